//! A counter for everything that happens to a client's packets and chunks on the tick's side.

use super::frames::FramesBothWays;

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)*) => {
        /// The counts since the start.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: u64,)*
            /// Frames by type.
            pub frames: FramesBothWays,
        }

        impl Counters {
            /// Takes over what another thread has counted, and leaves nothing there.
            pub fn take_over(&mut self, from: &mut Counters) {
                let from = std::mem::take(from);
                $(self.$name += from.$name;)*
                self.frames.add(&from.frames);
            }

            /// Every counter with its name, in the order in which they are told.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }
    };
}

counters! {
    /// Clients that authenticated.
    clients_connected,
    /// Clients that came into the world.
    clients_spawned,
    /// Clients whose session ended.
    clients_disconnected,
    /// Clients that were told to go: no version or encoding in common.
    clients_refused,
    /// Clients that were dropped because they no longer acknowledged.
    clients_unresponsive,
    /// Packets from clients.
    packets_in,
    /// Bytes of those.
    packet_bytes_in,
    /// Packets that came before; the line doubles some.
    packets_duplicate,
    /// Packets refused by the link: cut off or impossible.
    packets_refused,
    /// Packets beyond what one client may send in a tick.
    packets_over_limit,
    /// Arrivals of a session that had ended already.
    arrivals_stale,
    /// Frames with a wrong length or value.
    frames_refused,
    /// Frames and messages of unknown types, skipped.
    frames_unknown,
    /// Inputs that players were moved by.
    inputs_taken,
    /// Inputs that came too late to be waited for: no packet repeats them any more.
    inputs_missing,
    /// Inputs so far ahead of their time that they were refused.
    inputs_ahead,
    /// Ticks in which a player stood still because its input had not come.
    inputs_late,
    /// Clients that were told to go because they sent far more inputs than there were ticks.
    clients_flooding,
    /// Snapshots sent.
    snapshots_sent,
    /// Snapshots that led from nothing because no baseline was left.
    snapshots_full,
    /// Bytes of all snapshots.
    snapshot_bytes_out,
    /// Changes that had to wait for a later snapshot.
    changes_left_out,
    /// Events told, including again.
    events_sent,
    /// Events dropped because too many waited for one client.
    events_dropped,
    /// Events dropped because too many happened in one tick.
    happenings_dropped,
    /// Chunks that clients had from an earlier session and need not be sent.
    chunks_held_already,
    /// Packets to clients.
    packets_out,
    /// Bytes of those before sealing.
    packet_bytes_out,
    /// Chunk fragments sent, including parity and those sent again.
    fragments_sent,
    /// Chunk fragments sent because others were lost: fresh parity, or the same again.
    fragments_resent,
    /// Parity fragments sent along with their chunk, before anything of it was known to be lost.
    parity_ahead,
    /// Parity fragments sent because others were lost.
    parity_in_answer,
    /// Fragments of delivered chunks that parity stood in for.
    parity_used,
    /// Ticks of clients in which fragments waited because the line carries no more.
    clients_held_back,
    /// Chunks that a client acknowledged whole.
    chunks_delivered,
    /// Chunks that clients threw away.
    chunks_forgotten,
    /// Chunks that clients asked for again.
    chunks_requested,
    /// Requests for chunks outside the client's ring, or too many of them, ignored.
    chunk_requests_refused,
    /// Chunks that clients were told cannot be had.
    chunks_unavailable,
    /// Moves over a chunk border.
    crossings,
    /// Steps that stopped at a chunk that was not made yet.
    steps_blocked_by_missing_chunk,
    /// Players that stood in something solid and were put free.
    players_freed,
    /// Clients that got no packets in a tick because the carrier was behind.
    egress_skipped,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_thread_counted_counts_once() {
        let mut all = Counters { crossings: 3, ..Counters::default() };
        let mut part = Counters { crossings: 4, packets_in: 1, ..Counters::default() };
        part.frames.arrived.packet(&[0; 4]);
        all.take_over(&mut part);
        all.take_over(&mut part);
        assert_eq!((all.crossings, all.packets_in, all.frames.arrived.bytes()), (7, 1, 4));
        assert_eq!(part, Counters::default());
    }

    #[test]
    fn every_counter_has_its_name() {
        let counters = Counters { crossings: 3, ..Counters::default() };
        assert!(counters.each().any(|c| c == ("crossings", 3)));
    }
}
