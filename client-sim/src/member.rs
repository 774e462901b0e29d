//! One client of the swarm and what is remembered of it, whatever carries its packets.

use std::sync::atomic::Ordering;

use ninefold_client::protocol::connection::ClientState;
use ninefold_client::protocol::frame::PlayerInput;
use ninefold_client::protocol::time::{Duration, Instant};
use ninefold_client::{Client, EndReason, Event};

use crate::swarm::{Figures, Live, SwarmPlan};
use crate::walker::Walker;

/// How often one that has ended is looked at.
const ENDED_EVERY: Duration = Duration::from_secs(1);

/// A client.
pub(crate) struct Member {
    index: u64,
    /// Its core.
    pub client: Client,
    walker: Walker,
    started_at: Instant,
    playable_at: Option<Instant>,
    /// Since when it stands in a chunk that is not there.
    without_chunk_since: Option<Instant>,
    /// When its next tick is due.
    pub next_tick: Instant,
}

impl Member {
    /// A client that begins now.
    pub fn new(now: Instant, index: u64, plan: &SwarmPlan, client: Client) -> Self {
        let walker = Walker::new(plan.seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15), plan.pace);
        Member {
            index,
            client,
            walker,
            started_at: now,
            playable_at: None,
            without_chunk_since: None,
            next_tick: now,
        }
    }

    /// Whether it has come to play. On the way in every answer is waited for; later an acknowledgement can
    /// wait for the next tick.
    pub fn has_played(&self) -> bool {
        self.playable_at.is_some()
    }

    /// One tick of the client: time passes, it decides where to walk and says so.
    pub fn tick(&mut self, now: Instant, figures: &mut Figures, live: &Live) {
        let (x, z) = self.walker.decide(now, &self.client);
        let axis = |wish: f64| (wish.clamp(-1.0, 1.0) * f64::from(PlayerInput::FULL_SPEED)) as i16;
        self.client.set_input(PlayerInput { move_x: axis(x), move_z: axis(z), ..PlayerInput::default() });
        self.client.handle_timeout(now);
        // The core knows when its next input is due; once it has ended there is nothing to wait for.
        self.next_tick = self.client.next_timeout().unwrap_or(now + ENDED_EVERY).max(now);
        self.take_events(now, figures, live);
        let stands_in = self.client.predicted().and_then(|(_, mover)| mover.position.chunk());
        let is_there = stands_in.is_none_or(|coord| self.client.chunk(coord).is_some());
        if self.playable_at.is_some() && !is_there {
            figures.ticks_without_chunk += 1;
        }
    }

    pub fn take_events(&mut self, now: Instant, figures: &mut Figures, live: &Live) {
        while let Some(event) = self.client.poll_event() {
            match event {
                Event::Welcome(_)
                | Event::EntityEntered { .. }
                | Event::EntityLeft { .. }
                | Event::Happened(_)
                | Event::Teleported => {}
                Event::Entered { present: true, .. } => {
                    if self.playable_at.is_some() {
                        live.crossings.fetch_add(1, Ordering::Relaxed);
                        figures.enter_usable.record(0);
                    }
                }
                Event::Entered { present: false, .. } => {
                    if self.playable_at.is_some() {
                        live.crossings.fetch_add(1, Ordering::Relaxed);
                    }
                    self.without_chunk_since = Some(now);
                }
                Event::ChunkReady { chunk, waited, encoded_bytes, .. } => {
                    live.chunks.fetch_add(1, Ordering::Relaxed);
                    if figures.saw(chunk.coord(), chunk.content_hash().0) {
                        figures.encoded_bytes.record(encoded_bytes as u64);
                    }
                    if let Some(waited) = waited {
                        figures.chunk_complete.record(waited.as_us());
                    }
                }
                Event::ChunkUnavailable { .. } => {}
                Event::Ended(reason) => {
                    live.lost.fetch_add(1, Ordering::Relaxed);
                    figures.lost.push((self.index, reason));
                }
            }
        }
        if self.client.is_playable() {
            if let Some(since) = self.without_chunk_since.take()
                && self.playable_at.is_some()
            {
                figures.enter_usable.record(now.since(since).as_us());
            }
            if self.playable_at.is_none() {
                self.playable_at = Some(now);
                live.playable.fetch_add(1, Ordering::Relaxed);
                figures.join.record(now.since(self.started_at).as_us());
            }
        }
    }

    /// The run is over: what it counted goes into the figures, and it says goodbye.
    pub fn finish(&mut self, figures: &mut Figures) {
        if self.client.ended().is_none() && !self.client.is_connected() {
            figures.lost.push((self.index, EndReason::Connection(ClientState::Disconnected)));
        }
        let stats = *self.client.stats();
        figures.chunks_delivered += stats.chunks_complete;
        figures.chunks_hash_failed += stats.chunks_hash_failed + stats.chunks_undecodable;
        figures.chunks_unavailable += stats.chunks_unavailable;
        figures.crossings += stats.crossings;
        figures.crossings_without_chunk += stats.crossings_without_chunk;
        self.client.disconnect();
    }
}
