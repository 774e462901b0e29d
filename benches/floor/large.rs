//! Our carrier and our tick as the server has them, around chunks of 32 KiB, which no world of ours has.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;

use ninefold::carrier;
use ninefold::carrier::udp::{BoundUdp, RunningUdp, Surroundings, UdpReport};
use ninefold::chunk::{ChunkLimits, ChunkService, Encoded, GivenUp, Inline, Job, Report, WorkerId, Workshop};
use ninefold::clock::{Beat, Monotonic, wake_on_time};
use ninefold::config::Config;
use ninefold::game::explore::Explore;
use ninefold::recorder::Recorder;
use ninefold::telemetry::{Bookkeeper, Live, TickSample};
use ninefold::tick::Tick;
use ninefold_client::protocol::connection::{DEVELOPMENT_KEY, HandshakeLimits, ServerConfig};
use ninefold_client::protocol::time::Duration;
use ninefold_client::world::Plain;

/// What chunks are filled up to; nobody decodes them.
const CHUNK_BYTES: usize = 32 << 10;

/// Makes chunks when it is asked for them, as long as they are wanted.
struct Padded(Inline);

impl Workshop for Padded {
    fn submit(&mut self, job: Job) -> Result<(), Job> {
        self.0.submit(job)
    }

    fn poll(&mut self) -> Option<Report> {
        let mut report = self.0.poll()?;
        if let Report::Made { made, .. } = &mut report {
            let mut bytes = made.encoded.bsp.to_vec();
            bytes.resize(CHUNK_BYTES, 0);
            made.encoded = Encoded::new(bytes.into(), None);
        }
        Some(report)
    }

    fn give_up(&mut self, worker: WorkerId, job: Job) -> GivenUp {
        self.0.give_up(worker, job)
    }

    fn workers_alive(&self) -> usize {
        self.0.workers_alive()
    }
}

/// The server.
pub struct Large {
    udp: RunningUdp,
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    tick: JoinHandle<()>,
}

impl Large {
    pub fn start(config: &Config, unix_s: u64) -> Large {
        let clock = Monotonic::start();
        let (mut end, carrier_end) = carrier::ends();
        let bound = BoundUdp::bind(config.listen, config.socket_buffer_bytes as usize).unwrap();
        let address = bound.address();
        let server = ServerConfig {
            protocol_id: config.protocol_id,
            private_key: DEVELOPMENT_KEY,
            public_addresses: vec![address],
            clients_max: config.clients_max,
            unix_s_at_origin: unix_s,
            challenge_key: [2; 32],
            hash_seed: [3; 32],
            limits: HandshakeLimits::default(),
        };
        let (beat, live) = (Arc::new(Beat::default()), Arc::new(Live::default()));
        let gather = Duration::from_us(config.gather_us.into());
        let surroundings =
            Surroundings { guests_max: 0, clock, beat: Arc::clone(&beat), gather, live: Arc::clone(&live) };
        let udp = bound.serve(server, carrier_end, surroundings).unwrap();
        let (stop, doorbells) = (Arc::new(AtomicBool::new(false)), udp.doorbells());
        let (rules, stopped) = (config.rules(0), Arc::clone(&stop));
        let hz = config.tick_rate_hz;
        let run = move || {
            wake_on_time();
            let period = rules.period();
            let chunks =
                ChunkService::new(ChunkLimits::default(), Padded(Inline::new(Arc::new(Plain::new(0)))));
            let mut tick = Tick::new(rules, chunks, Box::new(Explore::new(0, 0)));
            let (mut recorder, _) = Recorder::new(clock, hz, None, None, None, Arc::clone(&live));
            let mut book = Bookkeeper::new(live, hz, period);
            let mut due = clock.now();
            while !stopped.load(Relaxed) {
                beat.announce(due);
                clock.sleep_until(due);
                let begun = recorder.begin(&end);
                book.note_waiting(&end.arrivals, 0, 1);
                let began = clock.now();
                let times = tick.run(began, &mut end, &|| clock.now_ns());
                book.note_left(&end.departures);
                doorbells.iter().for_each(|doorbell| doorbell.ring());
                let lateness = began.since(due);
                let clients = tick.clients() as u32;
                book.record(TickSample { number: tick.number(), began, lateness, times, clients }, 0, &tick);
                recorder.end(begun, lateness, 0, &times, &tick);
                due += period;
            }
        };
        let tick = std::thread::Builder::new().name("ninefold-tick".into()).spawn(run).unwrap();
        Large { udp, address, stop, tick }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn stop(self) -> UdpReport {
        self.stop.store(true, Relaxed);
        self.tick.join().unwrap();
        self.udp.stop().unwrap()
    }
}
