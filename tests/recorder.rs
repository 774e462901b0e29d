//! The flight recorder of a real server: what a trace shows of a stall, of clients and of chunks, and what becomes of
//! a folder that cannot be written to.

mod common;
#[path = "common/trace.rs"]
mod trace;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{Player, Trouble, config, pass, until};
use ninefold::config::Config;
use ninefold::game::explore::Explore;
use ninefold::game::hecs::Entity;
use ninefold::game::{Game, Player as InGame, Scene};
use ninefold::metrics::ask_for_trace;
use ninefold::recorder::RecordError;
use ninefold::server::Server;
use ninefold::telemetry::{Asked, Phase};
use ninefold_client::protocol::frame::PlayerInput;
use ninefold_client::world::{BspWorld, ChunkCoord, Mover};
use trace::{Mark, Trace, TraceFolder};

const STALL: Duration = Duration::from_millis(20);

/// The ordinary game, which sleeps through one tick when it is told to, or gives up in it.
struct Sleepy {
    game: Explore,
    sleeps: Arc<AtomicBool>,
    panics: Arc<AtomicBool>,
}

impl Sleepy {
    fn new(config: &Config) -> Sleepy {
        let [sleeps, panics] = Default::default();
        Sleepy { game: Explore::new(config.world_seed, 0), sleeps, panics }
    }
}

impl Game for Sleepy {
    fn connect(&mut self, scene: &mut Scene<'_>, player: InGame, at: Mover) -> Entity {
        self.game.connect(scene, player, at)
    }

    fn input(&mut self, scene: &mut Scene<'_>, player: Entity, input: &PlayerInput, pressed: u16) {
        self.game.input(scene, player, input, pressed);
    }

    fn tick(&mut self, scene: &mut Scene<'_>) {
        if self.sleeps.swap(false, Ordering::Relaxed) {
            std::thread::sleep(STALL);
        }
        assert!(!self.panics.load(Ordering::Relaxed), "a game that gives up");
        self.game.tick(scene);
    }
}

fn recorded(folder: &TraceFolder) -> Config {
    Config { trace_dir: folder.0.clone(), ..config() }
}

/// The tick whose part of that name took at least so long.
fn stalled<'t>(trace: &'t Trace, part: &str, at_least: Duration) -> Option<(&'t Mark, &'t [Mark])> {
    let is_long = |mark: &Mark| mark.name == part && mark.took_us >= at_least.as_micros() as f64;
    trace.ticks().into_iter().find(|(_, parts)| parts.iter().any(is_long))
}

/// The figures as Prometheus gets them.
fn scrape(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// The buckets of the phases' histogram with this label: up to how many seconds, and how many.
fn buckets(text: &str, label: &str) -> Vec<(f64, u64)> {
    let of_phase =
        |line: &&str| line.starts_with("ninefold_phase_duration_seconds_bucket") && line.contains(label);
    let mut buckets: Vec<(f64, u64)> = (text.lines().filter(of_phase))
        .map(|line| {
            let le = line.split("le=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
            let le = if le == "+Inf" { f64::INFINITY } else { le.parse().unwrap() };
            (le, line.rsplit(' ').next().unwrap().parse().unwrap())
        })
        .collect();
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert!(buckets.len() > 5, "{text}");
    buckets
}

#[test]
fn a_stall_is_in_its_phase_in_the_trace_and_in_the_telemetry() {
    let folder = TraceFolder::new("stall");
    // One a second: on a busy machine another tick may overrun first.
    let metrics_listen = Some("127.0.0.1:0".parse().unwrap());
    let config = Config { trace_overrun_interval_s: 1, metrics_listen, ..recorded(&folder) };
    let game = Sleepy::new(&config);
    let sleeps = Arc::clone(&game.sleeps);
    let world = Arc::new(BspWorld::new(config.world_seed));
    let server = Server::start_game(&config, world, Box::new(game)).unwrap();
    let mut players = [Player::join(&server, &config, 7)];
    until("the ring is there", 10, &mut players, |players| players[0].has_ring());
    // Not in the shadow of an overrun while it joined.
    pass(80, &mut players);
    sleeps.store(true, Ordering::Relaxed);
    pass(60, &mut players);

    let trace = folder.wait_for("one with the stall", |t| stalled(t, "simulate", STALL).is_some());
    let (tick, parts) = stalled(&trace, "simulate", STALL).unwrap();
    let number = &tick.args["number"];
    let overruns = trace.instants("trouble", "overrun");
    assert!(overruns.iter().any(|overrun| overrun.args["number"] == *number), "{overruns:?}");
    assert!(trace.other["why"].as_str().unwrap().ends_with("overran"));
    // It slept: the wall's time is not the processor's.
    assert!(tick.args["cpu_us"].as_f64().unwrap() < tick.took_us - 15_000.0, "{tick:?}");
    let others: f64 = parts.iter().filter(|part| part.name != "simulate").map(|part| part.took_us).sum();
    assert!(tick.took_us - others >= 20_000.0, "{parts:?}");
    // And what came after is there, too.
    let after = trace.ticks().into_iter().filter(|(later, _)| later.from_us > tick.end_us()).count();
    assert!(after >= 5, "{after} ticks after it");

    let state = server.state(&Asked::default());
    let phase = |name: &str| state.ticks.phases.iter().find(|phase| phase.name == name).unwrap().time_us;
    assert!(phase("simulate").max >= 20_000.0 && state.ticks.overruns >= 1, "{:?}", state.ticks);

    let buckets = buckets(&scrape(server.metrics().unwrap()), "phase=\"simulate\"");
    let all = buckets.last().unwrap().1;
    assert!(buckets.iter().any(|(le, n)| *le <= 0.020 && *n < all), "{buckets:?}");

    let summary = server.stop().unwrap();
    let telemetry = &summary.tick.telemetry;
    assert!(telemetry.overruns >= 1);
    assert!(telemetry.phases[Phase::Simulate as usize].percentiles().max >= 20_000.0);
}

#[test]
fn a_trace_that_was_asked_for_shows_clients_chunks_workers_and_the_configuration() {
    let folder = TraceFolder::new("asked");
    let config = Config {
        metrics_listen: Some("127.0.0.1:0".parse().unwrap()),
        trace_overrun_interval_s: 0,
        ..recorded(&folder)
    };
    let bad = ChunkCoord { cx: 40, cz: 40 };
    let world = Trouble::new(config.world_seed, move |coord| assert_ne!(coord, bad, "a bad place"));
    let server = common::start_with(&config, Arc::new(world));
    let mut players = [7, 8].map(|client_id| Player::join(&server, &config, client_id));
    until("both are in", 10, &mut players, |players| players.iter().all(Player::has_ring));
    assert!(server.teleport(7, bad));
    until("it is there", 10, &mut players, |players| {
        players[0].client.ring().active().is_some_and(|at| (at.cx, at.cz) == (40, 40))
    });
    players[1].leave();
    pass(20, &mut players);

    let path = server.record().unwrap();
    assert_eq!(folder.files(), std::slice::from_ref(&path));
    let trace = Trace::read(&path);
    let who = |name| {
        let marks = trace.instants("clients", name);
        marks.iter().map(|mark| mark.args["client_id"].as_u64().unwrap()).collect::<Vec<u64>>()
    };
    assert_eq!((who("joined"), who("left"), who("teleported")), (vec![7, 8], vec![8], vec![7]));
    assert_eq!(trace.instants("chunks", "panicked").len(), 3);
    assert_eq!(trace.instants("chunks", "failed").len(), 1);
    assert_eq!(trace.instants("trouble", "chunks_unavailable").len(), 1);
    let made = trace.instants("chunks", "made").len();
    assert!(made >= 17, "{made}");
    let worked: Vec<&Mark> = (trace.spans.iter())
        .filter(|(track, _)| track.starts_with("ninefold-gen-"))
        .flat_map(|(_, spans)| spans)
        .collect();
    let of = |name: &str| worked.iter().filter(|span| span.name == name).count();
    assert_eq!((of("make chunk"), of("panicked")), (made, 3));
    assert!(worked.iter().all(|span| span.took_us > 0.0));
    let ticks = trace.ticks();
    assert!(ticks.iter().any(|(tick, _)| tick.args["dearest"].as_array().unwrap().len() == 2));
    assert_eq!(trace.other["config"]["tick_rate_hz"], "60");
    assert_eq!(trace.other["why"], "asked for");
    let clients = &trace.counters["clients"];
    assert_eq!(clients.iter().map(|(_, n)| *n as u32).max(), Some(2));
    for counter in ["tick wall", "tick cpu", "chunks queued", "departures waiting", "bytes out"] {
        assert!(!trace.counters[counter].is_empty(), "{counter}");
    }

    assert_eq!(server.record(), Err(RecordError::TooSoon));
    // Over HTTP nobody waits for it: it is written when it may be.
    ask_for_trace(server.metrics().unwrap(), Duration::from_secs(5)).unwrap();
    let number = ticks.last().unwrap().0.args["number"].as_u64();
    let later = folder.wait_for("the next", |t| t.ticks().last().unwrap().0.args["number"].as_u64() > number);
    assert_eq!(later.other["why"], "asked for");
    let told = server.state(&Asked::default()).recorder;
    assert!(told.present && told.written == 2, "{told:?}");
    server.stop().unwrap();
}

#[test]
fn a_trace_goes_back_ten_seconds_and_no_further_than_eleven() {
    let folder = TraceFolder::new("long");
    let config = Config { trace_overrun_interval_s: 0, tick_rate_hz: 240, ..recorded(&folder) };
    let server = common::start(&config);
    // A busy machine skips some.
    let end = Instant::now() + Duration::from_secs(60);
    while server.live().ticks.load(Ordering::Relaxed) < 2_700 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    let trace = Trace::read(&server.record().unwrap());
    let ticks = trace.ticks();
    assert!((2_400..=2_640).contains(&ticks.len()), "{} ticks", ticks.len());
    server.stop().unwrap();
    assert_eq!(folder.files().len(), 1, "overruns have no trace");
}

#[test]
fn a_tick_that_panics_leaves_what_led_to_it() {
    let folder = TraceFolder::new("panic");
    let config = Config { trace_overrun_interval_s: 0, ..recorded(&folder) };
    let game = Sleepy::new(&config);
    let panics = Arc::clone(&game.panics);
    let world = Arc::new(BspWorld::new(config.world_seed));
    let server = Server::start_game(&config, world, Box::new(game)).unwrap();
    let mut players = [Player::join(&server, &config, 7)];
    until("the ring is there", 10, &mut players, |players| players[0].has_ring());
    panics.store(true, Ordering::Relaxed);
    let trace = folder.wait_for("one for the panic", |t| t.other["why"] == "the tick panicked");
    assert_eq!(trace.instants("clients", "joined").len(), 1);
    assert!(server.stop().is_err());
}

#[test]
fn a_folder_that_cannot_be_written_to_is_told_and_the_server_goes_on() {
    let folder = TraceFolder::new("no-folder");
    std::fs::create_dir_all(&folder.0).unwrap();
    let file = folder.0.join("a-file");
    std::fs::write(&file, "").unwrap();
    let config = Config { trace_dir: file.join("traces"), ..config() };
    let server = common::start(&config);
    let Err(RecordError::NotWritten(line)) = server.record() else { panic!("it was written") };
    assert!(line.contains("trace_dir") && line.contains("set another"), "{line}");
    let mut players = [Player::join(&server, &config, 1)];
    until("it serves", 10, &mut players, |players| players[0].has_ring());
    server.stop().unwrap();
}

#[test]
fn without_a_recorder_or_a_folder_one_who_asks_is_told_so() {
    for (config, expected) in [
        (Config { recorder: false, ..config() }, RecordError::Off),
        (Config { trace_dir: "".into(), ..config() }, RecordError::NoFolder),
    ] {
        let server = common::start(&config);
        assert_eq!(server.record(), Err(expected));
        server.stop().unwrap();
    }
}
