//! Fuzz targets of the client: servers that say anything. How they run: docs/fuzzing.md.

#[path = "common/liar.rs"]
mod liar;

mod fuzz {
    use ninefold_client::protocol::frame::PlayerInput;
    use ninefold_client::protocol::limits::PACKET_BYTES_MAX;
    use ninefold_fuzz::{Record, corpus_dir, load, records, target};

    use super::liar::{Liar, WELCOME};

    /// Records of a script that are played: what is kept by a client is small next to it.
    const PLAYED_MAX: usize = 400;

    target! {
        /// Packets as they are, each some milliseconds after the other.
        packets_of_any_server_are_taken_or_refused(Script, 250) |script: &[u8]| {
            hear_packets(script);
        }
    }

    target! {
        /// Frames in packets that are right: beyond what the link would refuse.
        frames_of_any_server_are_taken_or_refused(Script, 300) |script: &[u8]| {
            let mut liar = Liar::welcomed(WELCOME);
            walk(&mut liar);
            for Record { what, body } in records(script).take(PLAYED_MAX) {
                // No frame has a number that low.
                if what < 0x10 {
                    liar.pass(u64::from(what) * 8);
                } else {
                    let room = body.len().min(PACKET_BYTES_MAX - 150);
                    liar.send(Some((what, &body[..room])));
                    liar.pass(4);
                }
            }
        }
    }

    fn hear_packets(script: &[u8]) -> Liar {
        let mut liar = Liar::new();
        walk(&mut liar);
        for Record { what, body } in records(script).take(PLAYED_MAX) {
            liar.pass(u64::from(what % 64));
            liar.client.handle_packet(liar.now, body);
        }
        liar.pass(16);
        liar
    }

    fn walk(liar: &mut Liar) {
        let input = PlayerInput { move_x: 20_000, buttons: PlayerInput::JUMP, ..PlayerInput::default() };
        liar.client.set_input(input);
    }

    /// Without this a changed script would try a client that never came into the world.
    #[test]
    fn the_seeds_bring_the_client_into_the_world() {
        let seeds = load(&corpus_dir("packets_of_any_server_are_taken_or_refused"));
        assert!(!seeds.is_empty());
        for (path, script) in seeds {
            let liar = hear_packets(&script);
            let stats = liar.client.stats();
            assert!(liar.client.snapshot().is_some() && liar.client.is_playable(), "{path:?}: {stats:?}");
        }
    }
}
