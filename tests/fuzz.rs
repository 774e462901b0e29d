//! Fuzz targets of the server's side: clients that say anything. How they run: docs/fuzzing.md.

mod fuzz {
    use std::sync::Arc;

    use ninefold::carrier::{self, Arrival, Carrier, CarrierEnd, ConnectionId, Departure, TickEnd};
    use ninefold::chunk::{ChunkLimits, ChunkService, Inline};
    use ninefold::config::Config;
    use ninefold::game::explore::Explore;
    use ninefold::rules::PACKETS_PER_TICK_MAX;
    use ninefold::session::Stage;
    use ninefold::tick::Tick;
    use ninefold_client::protocol::frame::{ENCODING_BSP_BIT, Hello, Message, PROTOCOL_VERSION, PlayerInput};
    use ninefold_client::protocol::limits::PACKET_BYTES_MAX;
    use ninefold_client::protocol::link::Link;
    use ninefold_client::protocol::time::{Duration, Instant};
    use ninefold_client::world::Plain;
    use ninefold_client::{Client, ClientConfig};
    use ninefold_fuzz::{Record, corpus_dir, load, records, target};

    /// Records of a script that are played.
    const PLAYED_MAX: usize = 400;
    /// Ticks in which the honest client comes into the world before anybody lies.
    const WAY_IN_TICKS: u32 = 40;
    /// Ticks after which it must have all that it should have.
    const HEALING_TICKS: u32 = 60;

    target! {
        /// Packets as they are. The honest client next to the liar sees nothing of it.
        packets_of_any_client_are_taken_or_refused(Script, 250) |script: &[u8]| {
            let mut stage = Room::new();
            for Record { what, body } in records(script).take(PLAYED_MAX) {
                stage.liar_sends(body);
                (0..what % 4).for_each(|_| stage.tick());
            }
            stage.heal();
        }
    }

    target! {
        /// Frames and messages in packets that are right: beyond what the link would refuse.
        frames_of_any_client_are_taken_or_refused(Script, 250) |script: &[u8]| {
            let mut stage = Room::new();
            stage.liar_greets();
            for Record { what, body } in records(script).take(PLAYED_MAX) {
                stage.liar_says(what, &body[..body.len().min(PACKET_BYTES_MAX - 150)]);
                stage.tick();
            }
            stage.heal();
        }
    }

    /// A tick with an honest client and a liar, in virtual time and without a line.
    struct Room {
        tick: Tick<Inline>,
        end: TickEnd,
        carrier: CarrierEnd,
        now: Instant,
        honest: Client,
        liar: Link<()>,
    }

    fn connection(slot: u32) -> ConnectionId {
        ConnectionId { slot, generation: 1, carrier: Carrier::Udp }
    }

    impl Room {
        fn new() -> Room {
            let config = Config { spawn_radius_chunks: 1, ..Config::default() };
            let (end, mut carrier) = carrier::ends();
            for slot in 0..2 {
                let arrival = Arrival::Connected { connection: connection(slot), client_id: slot.into() };
                carrier.arrivals.push(arrival, &[]).expect("the lane has room");
            }
            let chunks = ChunkService::new(ChunkLimits::default(), Inline::new(Arc::new(Plain::new(1))));
            let tick = Tick::new(config.rules(0), chunks, Box::new(Explore::new(1, 0)));
            let now = Instant::from_us(1_000_000);
            let mut honest = Client::carried(now, &ClientConfig::new(0));
            honest.carrier_is_up();
            honest.set_input(PlayerInput { move_x: 16_000, ..PlayerInput::default() });
            let mut stage = Room { tick, end, carrier, now, honest, liar: Link::new(now) };
            (0..WAY_IN_TICKS).for_each(|_| stage.tick());
            assert!(stage.honest.is_playable(), "the honest client is in before anybody lies");
            stage
        }

        fn liar_sends(&mut self, packet: &[u8]) {
            let packet = &packet[..packet.len().min(PACKET_BYTES_MAX)];
            let arrival = Arrival::Packet { connection: connection(1), at: self.now };
            self.carrier.arrivals.push(arrival, packet).expect("the lane has room for a tick's packets");
        }

        fn liar_greets(&mut self) {
            let hello = Hello {
                version_min: PROTOCOL_VERSION,
                version_max: PROTOCOL_VERSION,
                encodings: ENCODING_BSP_BIT,
                offers: 20,
                cache_chunks: 64,
            };
            self.liar.send_message(&Message::Hello(hello)).expect("an empty queue has room");
            self.liar_says(0x12, &[]);
            (0..10).for_each(|_| self.tick());
        }

        /// A frame, or a message if it is below the frames' numbers.
        fn liar_says(&mut self, what: u8, body: &[u8]) {
            let mut buffer = [0; PACKET_BYTES_MAX];
            let mut packet = self.liar.packet(self.now, &mut buffer);
            if packet.fits(body.len()) {
                packet.push(what, &[body]);
            }
            if let Some(built) = packet.finish() {
                self.liar_sends(&buffer[..built.head_bytes]);
            }
        }

        fn tick(&mut self) {
            self.now += Duration::from_us(16_667);
            let mut buffer = [0; PACKET_BYTES_MAX];
            self.honest.handle_timeout(self.now);
            while let Some(bytes) = self.honest.poll_packet(self.now, &mut buffer) {
                let arrival = Arrival::Packet { connection: connection(0), at: self.now };
                self.carrier.arrivals.push(arrival, &buffer[..bytes]).expect("the lane has room");
            }
            self.tick.run(self.now, &mut self.end, &|| 0);
            while let Some((departure, heads)) = self.carrier.departures.pop(&mut buffer) {
                match departure {
                    Departure::Packets(packets) => {
                        for packet in packets.each(heads).map(|parts| parts.concat()) {
                            assert!(packet.len() <= PACKET_BYTES_MAX, "{} bytes", packet.len());
                            if packets.connection.slot == 0 {
                                self.honest.handle_packet(self.now, &packet);
                            } else {
                                // It does not care.
                                let _ = self
                                    .liar
                                    .handle_packet(self.now, &packet)
                                    .map(|frames| frames.for_each(drop));
                                while self.liar.poll_message().is_some() {}
                            }
                        }
                    }
                    Departure::Disconnect(connection) => {
                        assert_eq!(connection.slot, 1, "the honest client stays");
                        let gone = Arrival::Disconnected(connection);
                        self.carrier.arrivals.push(gone, &[]).expect("the lane has room");
                    }
                }
            }
            while self.liar.poll_outcome().is_some() {}
            while self.honest.poll_event().is_some() {}
        }

        /// What must hold once the liar is silent.
        fn heal(&mut self) {
            self.honest.set_input(PlayerInput::default());
            (0..HEALING_TICKS).for_each(|_| self.tick());
            let honest = self.tick.sessions().find(|s| s.client_id == 0).expect("the honest client stays");
            assert_eq!(honest.stage, Stage::Playing);
            assert!(self.honest.is_playable() && self.honest.ring().wanted().is_empty());
            assert_eq!(self.honest.stats().packets_refused, 0);
            let counters = self.tick.counters();
            let refused = counters.packets_refused + counters.packets_duplicate + counters.packets_over_limit;
            assert!(
                refused <= PLAYED_MAX as u64 + u64::from(PACKETS_PER_TICK_MAX),
                "{refused} packets refused"
            );
        }
    }

    /// Without this a changed script would try a server to which nobody came.
    #[test]
    fn the_seeds_bring_the_liar_into_the_world() {
        let seeds = load(&corpus_dir("packets_of_any_client_are_taken_or_refused"));
        assert!(!seeds.is_empty());
        for (path, script) in seeds {
            let mut stage = Room::new();
            for Record { what, body } in records(&script).take(PLAYED_MAX) {
                stage.liar_sends(body);
                (0..what % 4).for_each(|_| stage.tick());
            }
            let liar = stage.tick.sessions().find(|s| s.client_id == 1).expect("it is there");
            assert_eq!(liar.stage, Stage::Playing, "{path:?}: {:?}", stage.tick.counters());
        }
    }
}
