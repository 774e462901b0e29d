//! The server's figures over HTTP: a stall shows where it is, a scrape parses, the dashboard and the documentation name
//! what is there, and whoever asks too much or too slowly does no harm.
//!
//! `cargo test --test metrics -- --ignored` writes the table of docs/operations.md anew.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{Player, config_with_quic, pass, until};
use hyper::Method;
use ninefold::config::Config;
use ninefold::game::explore::Explore;
use ninefold::game::hecs::Entity;
use ninefold::game::{Game, Player as Joined, Scene};
use ninefold::metrics::{FetchError, Kind, TABLE, ask, ask_for_trace, fetch_state, table_markdown};
use ninefold::server::Server;
use ninefold_client::protocol::frame::PlayerInput;
use ninefold_client::world::{BspWorld, Mover};

const PATIENCE: Duration = Duration::from_secs(5);
/// How long a stalled tick sleeps.
const STALL: Duration = Duration::from_millis(20);

fn config() -> Config {
    Config { metrics_listen: Some("127.0.0.1:0".parse().unwrap()), ..config_with_quic() }
}

fn get(address: SocketAddr, path: &str) -> String {
    String::from_utf8(ask(address, Method::GET, path, PATIENCE).unwrap().to_vec()).unwrap()
}

/// The ordinary game, whose tick sleeps as often as it is told to.
struct Stalling {
    game: Explore,
    stalls: Arc<AtomicU64>,
}

impl Game for Stalling {
    fn connect(&mut self, scene: &mut Scene<'_>, player: Joined, at: Mover) -> Entity {
        self.game.connect(scene, player, at)
    }

    fn input(&mut self, scene: &mut Scene<'_>, player: Entity, input: &PlayerInput, pressed: u16) {
        self.game.input(scene, player, input, pressed);
    }

    fn tick(&mut self, scene: &mut Scene<'_>) {
        self.game.tick(scene);
        let less_one = |left: u64| left.checked_sub(1);
        if self.stalls.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less_one).is_ok() {
            std::thread::sleep(STALL);
        }
    }
}

/// A server, whose ticks sleep as often as the counter says.
fn stalling() -> (Server, Config, Arc<AtomicU64>) {
    let (config, stalls) = (config(), Arc::new(AtomicU64::new(0)));
    let game = Stalling { game: Explore::new(config.world_seed, 0), stalls: Arc::clone(&stalls) };
    let world = Arc::new(BspWorld::new(config.world_seed));
    let server = Server::start_game(&config, world, Box::new(game)).unwrap();
    (server, config, stalls)
}

/// Waits for something of the server.
fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "did not come true: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_stall_shows_in_its_phase_in_the_overruns_and_in_the_histogram() {
    let (server, _, stalls) = stalling();
    let address = server.metrics().unwrap();
    wait("it ticks", || fetch_state(address, "", PATIENCE).unwrap().ticks.run > 30);
    let before = fetch_state(address, "", PATIENCE).unwrap().ticks.overruns;
    stalls.store(3, Ordering::Relaxed);
    wait("three ticks stalled", || stalls.load(Ordering::Relaxed) == 0);
    wait("they are written down", || {
        fetch_state(address, "", PATIENCE).unwrap().ticks.overruns >= before + 3
    });
    let state = fetch_state(address, "ticks=600", PATIENCE).unwrap();
    let stall_us = STALL.as_micros() as f64;
    let long = |name: &str| {
        state.ticks.phases.iter().find(|p| p.name == name).unwrap().time_us.max > stall_us * 0.99
    };
    assert!(long("simulate"));
    let others: Vec<_> = state
        .ticks
        .phases
        .iter()
        .filter(|p| p.name != "simulate" && long(&p.name))
        .map(|p| &p.name)
        .collect();
    assert!(others.is_empty(), "{others:?}");
    assert!(state.ticks.overruns_in_a_row_max >= 3, "{:?}", state.ticks);
    let stalled = state.ticks.recent.iter().filter(|t| t.phases_us[1] > stall_us * 0.99).count();
    assert_eq!(stalled, 3);
    assert!(state.ticks.recent_overruns >= 3);

    let page = Page::parse(&get(address, "/metrics"));
    let simulate = |le: &str| {
        page.value(&format!(r#"ninefold_phase_duration_seconds_bucket{{le="{le}",phase="simulate"}}"#))
    };
    assert_eq!(simulate("+Inf") - simulate("0.016"), 3.0);
    assert!(page.value("ninefold_tick_overruns_total") >= 3.0);
    server.stop().unwrap();
}

#[test]
fn a_server_that_never_keeps_up_is_healthy_and_not_ready() {
    let (server, _, stalls) = stalling();
    let address = server.metrics().unwrap();
    wait("it is ready", || ask(address, Method::GET, "/readyz", PATIENCE).is_ok());
    stalls.store(u64::MAX, Ordering::Relaxed);
    let mut why = String::new();
    wait("it is not ready any more", || match ask(address, Method::GET, "/readyz", PATIENCE) {
        Err(FetchError::Refused { status: 503, why: said, .. }) => {
            why = said;
            true
        }
        _ => false,
    });
    assert!(why.contains("were late or took longer than 16666 us"), "{why}");
    assert_eq!(get(address, "/healthz"), "ok\n");
    stalls.store(0, Ordering::Relaxed);
    wait("it is ready again", || ask(address, Method::GET, "/readyz", PATIENCE).is_ok());
    server.stop().unwrap();
}

#[test]
fn players_are_seen_with_what_they_cost_and_every_byte_of_theirs() {
    let (server, config, _) = stalling();
    let address = server.metrics().unwrap();
    let mut players = [Player::join(&server, &config, 11), Player::join_quic(&server, &config, 12)];
    until("both have their rings", 10, &mut players, |players| players.iter().all(Player::has_ring));
    players[0].wish = (1.0, 0.0);
    pass(120, &mut players);
    let state = fetch_state(address, "clients=5", PATIENCE).unwrap();
    assert_eq!((state.clients.connected, state.clients.playing), (2, 2));
    let mut dearest = state.clients.dearest.clone();
    assert!(dearest[0].cost_us >= dearest[1].cost_us && dearest[1].cost_us > 0.0, "{dearest:?}");
    dearest.sort_by_key(|client| client.client_id);
    let of = |n: usize| (dearest[n].client_id, dearest[n].carrier.as_str(), dearest[n].stage.as_str());
    assert_eq!([of(0), of(1)], [(11, "udp", "playing"), (12, "quic", "playing")]);
    for client in &dearest {
        assert!(client.rtt_us.is_some() && client.memory_bytes > 1_000, "{client:?}");
        assert!(client.bytes_in > 1_000 && client.bytes_out > 1_000 && client.bytes_in_s > 100, "{client:?}");
    }
    // Every byte of a packet is some frame's.
    let ticks = &state.counters["tick"];
    let sum =
        |of: fn(&ninefold::telemetry::state::FrameState) -> u64| state.frames.iter().map(of).sum::<u64>();
    assert_eq!(sum(|f| f.bytes_out), ticks["packet_bytes_out"]);
    assert_eq!(sum(|f| f.bytes_in), ticks["packet_bytes_in"]);
    let frames = |name: &str| state.frames.iter().find(|f| f.name == name).unwrap();
    assert_eq!(frames("fragment").frames_out, ticks["fragments_sent"]);
    assert_eq!(frames("snapshot").frames_out, ticks["snapshots_sent"]);
    assert_eq!(frames("header").frames_in, ticks["packets_in"]);
    // Queues, sockets, chunks, memory.
    let queue = |name: &str| state.queues.iter().find(|q| q.name == name).unwrap();
    for name in ["arrivals_udp", "arrivals_quic", "departures_udp", "departures_quic", "chunks_making"] {
        assert!(queue(name).high_water > 0 && queue(name).bound >= queue(name).high_water, "{name}");
    }
    assert!(state.sockets.iter().all(|s| s.datagrams_in > 50 && s.bytes_out > 1_000), "{:?}", state.sockets);
    let chunks = &state.counters["chunks"];
    assert!(chunks["asked"] >= chunks["made"] && chunks["made"] == state.chunks.ready_us.count, "{chunks:?}");
    let memory: BTreeMap<_, _> = state.memory.iter().map(|m| (m.part.as_str(), m.bytes)).collect();
    assert!(memory["lanes"] > 16 << 20 && memory["chunks"] > 10_000 && memory["links"] > 1_000, "{memory:?}");
    server.stop().unwrap();
}

#[test]
fn a_client_that_left_is_no_longer_listed() {
    let (server, config, _) = stalling();
    let mut players = [Player::join(&server, &config, 11)];
    until("it has its ring", 10, &mut players, |players| players.iter().all(Player::has_ring));
    // Its turn comes within some seconds, for which it has to stay.
    until("it is listed", 10, &mut players, |_| server.state(&Default::default()).clients.dearest.len() == 1);
    players[0].leave();
    wait("it is not", || server.state(&Default::default()).clients.dearest.is_empty());
    server.stop().unwrap();
}

/// A page of OpenMetrics text.
struct Page {
    /// Families with their type.
    families: BTreeMap<String, String>,
    /// Samples, their labels in order, with their values.
    samples: BTreeMap<String, f64>,
}

impl Page {
    /// Reads a page and holds it to its format.
    fn parse(text: &str) -> Page {
        let (mut families, mut samples) = (BTreeMap::new(), BTreeMap::new());
        let mut helped = BTreeSet::new();
        assert!(text.ends_with("# EOF\n"));
        for line in text.lines().filter(|line| *line != "# EOF") {
            if let Some(help) = line.strip_prefix("# HELP ") {
                helped.insert(help.split_once(' ').unwrap().0.to_owned());
            } else if let Some(family) = line.strip_prefix("# TYPE ") {
                let (name, kind) = family.split_once(' ').unwrap();
                assert_eq!(families.insert(name.to_owned(), kind.to_owned()), None, "{name} comes twice");
            } else {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                let sample = Page::sorted(sample);
                let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
                assert!(value.is_finite() && value >= 0.0, "{line}");
                assert!(Page::family(&families, &sample).is_some(), "{line} has no family");
                assert_eq!(samples.insert(sample, value), None, "{line} comes twice");
            }
        }
        assert_eq!(helped, families.keys().cloned().collect());
        Page { families, samples }
    }

    /// The sample with its labels in order.
    fn sorted(sample: &str) -> String {
        let Some((name, labels)) = sample.strip_suffix('}').and_then(|s| s.split_once('{')) else {
            return sample.to_owned();
        };
        let mut labels: Vec<&str> = labels.split(',').collect();
        assert!(
            labels
                .iter()
                .all(|l| l.split_once("=\"").is_some_and(|(k, v)| !k.is_empty() && v.ends_with('"')))
        );
        labels.sort_unstable();
        format!("{name}{{{}}}", labels.join(","))
    }

    /// The family that a sample is of.
    fn family<'f>(families: &'f BTreeMap<String, String>, sample: &str) -> Option<&'f String> {
        let name = sample.split('{').next().unwrap();
        let suffixes = [("", "gauge"), ("_total", "counter")];
        let of_histogram = ["_bucket", "_sum", "_count"].map(|suffix| (suffix, "histogram"));
        let mut all = suffixes.into_iter().chain(of_histogram);
        all.find_map(|(suffix, kind)| {
            let (family, is) = families.get_key_value(name.strip_suffix(suffix)?)?;
            (is == kind).then_some(family)
        })
    }

    fn value(&self, sample: &str) -> f64 {
        *self.samples.get(sample).unwrap_or_else(|| panic!("no sample {sample}"))
    }

    /// Whether there is a sample of that name, with that label if one is said.
    fn has(&self, name: &str, label: Option<&str>) -> bool {
        self.samples.keys().any(|sample| {
            let (of, labels) = sample.split_once('{').unwrap_or((sample, ""));
            of == name && label.is_none_or(|label| labels.contains(label))
        })
    }
}

/// The page of a server on which somebody has played.
fn played() -> Page {
    let (server, config, _) = stalling();
    let mut players = [Player::join(&server, &config, 1), Player::join_quic(&server, &config, 2)];
    until("both have their rings", 10, &mut players, |players| players.iter().all(Player::has_ring));
    pass(60, &mut players);
    let page = Page::parse(&get(server.metrics().unwrap(), "/metrics"));
    server.stop().unwrap();
    page
}

#[test]
fn a_scrape_parses_and_has_each_metric_of_the_table_and_no_other() {
    let page = played();
    for metric in TABLE {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        assert_eq!(page.families.get(metric.name).map(String::as_str), Some(kind), "{}", metric.name);
        for label in metric.labels {
            let of_metric: Vec<_> = page
                .samples
                .keys()
                .filter(|s| Page::family(&page.families, s).unwrap() == metric.name)
                .collect();
            assert!(
                !of_metric.is_empty() && of_metric.iter().all(|s| s.contains(&format!("{label}=\""))),
                "{of_metric:?}"
            );
        }
    }
    assert_eq!(page.families.len(), TABLE.len());
    // Buckets only grow, and the last one has all.
    for name in page.families.iter().filter(|(_, kind)| *kind == "histogram").map(|(name, _)| name) {
        let mut groups: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
        for (sample, count) in page.samples.iter().filter(|(s, _)| s.starts_with(&format!("{name}_bucket{{")))
        {
            let (before, rest) = sample.split_once("le=\"").unwrap();
            let (le, after) = rest.split_once('"').unwrap();
            let le = if le == "+Inf" { f64::INFINITY } else { le.parse().unwrap() };
            groups.entry(format!("{before}{after}")).or_default().push((le, *count));
        }
        assert!(!groups.is_empty(), "{name}");
        for buckets in groups.values_mut() {
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(
                buckets.is_sorted_by(|a, b| a.1 <= b.1) && buckets.last().unwrap().0.is_infinite(),
                "{name}"
            );
        }
    }
    let ticks = page.value("ninefold_tick_duration_seconds_count");
    assert!(ticks > 60.0 && ticks == page.value(r#"ninefold_tick_duration_seconds_bucket{le="+Inf"}"#));
    assert!(page.value("ninefold_tick_duration_seconds_sum") / ticks < 0.016);
}

/// The metrics that an expression names, each with the labels that it wants to be equal to something.
fn named(expression: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(at) = rest.find("ninefold_") {
        let name: String =
            rest[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        rest = &rest[at + name.len()..];
        let selector = rest.strip_prefix('{').and_then(|s| s.split_once('}')).map_or("", |(s, _)| s);
        let labels = selector.split(',').filter(|l| l.contains("=\"")).map(str::to_owned).collect();
        found.push((name, labels));
    }
    found
}

#[test]
fn the_dashboard_names_metrics_and_labels_that_are_there() {
    let page = played();
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/grafana.json");
    let dashboard: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let (mut shown, mut count) = (BTreeSet::new(), 0);
    for target in targets {
        let expression = target["expr"].as_str().unwrap();
        let named = named(expression);
        assert!(!named.is_empty(), "{expression}");
        for (name, labels) in named {
            assert!(page.has(&name, None), "{expression}: no samples {name}");
            for label in labels {
                assert!(page.has(&name, Some(&label)), "{expression}: no samples {name} with {label}");
            }
            shown.insert(Page::family(&page.families, &name).unwrap().clone());
        }
        count += 1;
    }
    assert!(count > 40, "{count} expressions");
    let hidden: Vec<_> = TABLE.iter().map(|m| m.name).filter(|name| !shown.contains(*name)).collect();
    assert_eq!(hidden, ["ninefold_build_info"], "it is what the list of servers is made from");
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
}

const BEGIN: &str = "<!-- metrics: from here on written by tests/metrics.rs -->\n";
const END: &str = "<!-- metrics: to here -->\n";

fn operations() -> (PathBuf, String) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let page = std::fs::read_to_string(&path).unwrap();
    (path, page)
}

#[test]
fn the_documentation_has_the_table_of_metrics() {
    let (_, page) = operations();
    let table =
        page.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)).expect("the page has its marks").0;
    let advice = "cargo test --test metrics -- --ignored";
    assert!(table == table_markdown(), "docs/operations.md is not what the code has: {advice}");
}

#[test]
#[ignore = "writes docs/operations.md"]
fn write_the_table_of_metrics() {
    let (path, page) = operations();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    std::fs::write(path, format!("{before}{BEGIN}{}{END}{after}", table_markdown())).unwrap();
}

#[test]
fn too_many_connections_are_turned_away_and_counted() {
    let (server, _, _) = stalling();
    let address = server.metrics().unwrap();
    let mut held: Vec<TcpStream> = (0..16).map(|_| TcpStream::connect(address).unwrap()).collect();
    // Each has its place once it was answered.
    for stream in &mut held {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        assert!(stream.read(&mut [0; 64]).unwrap() > 0);
    }
    let mut one_more = TcpStream::connect(address).unwrap();
    one_more.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(matches!(one_more.read(&mut [0; 1]), Ok(0) | Err(_)), "it is closed");
    drop(held);
    wait("there is room again", || ask(address, Method::GET, "/metrics", PATIENCE).is_ok());
    let page = Page::parse(&get(address, "/metrics"));
    assert!(page.value("ninefold_metrics_connections_refused_total") >= 1.0);
    server.stop().unwrap();
}

#[test]
fn who_never_ends_a_request_is_cut_off() {
    let (server, _, _) = stalling();
    let mut slow = TcpStream::connect(server.metrics().unwrap()).unwrap();
    slow.set_read_timeout(Some(2 * PATIENCE)).unwrap();
    slow.write_all(b"GET /metrics HTTP/1.1\r\nhost: ").unwrap();
    let began = Instant::now();
    let mut answer = Vec::new();
    let _ = slow.read_to_end(&mut answer);
    assert!(began.elapsed() < 2 * PATIENCE, "it is still open");
    let mut long = TcpStream::connect(server.metrics().unwrap()).unwrap();
    long.set_read_timeout(Some(PATIENCE)).unwrap();
    long.write_all(&[b"GET /".as_slice(), &[b'x'; 20_000]].concat()).unwrap();
    answer.clear();
    let _ = long.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    server.stop().unwrap();
}

#[test]
fn who_asks_a_dead_or_a_strange_address_hears_so_in_time() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = fetch_state(nobody, "", PATIENCE).unwrap_err();
    assert!(matches!(error, FetchError::Unreachable { .. }), "{error}");
    // It listens and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let within = Duration::from_millis(200);
    let began = Instant::now();
    let error = fetch_state(silent.local_addr().unwrap(), "", within).unwrap_err();
    assert!(matches!(error, FetchError::TimedOut { .. }) && began.elapsed() < PATIENCE, "{error}");
    let strange = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = strange.local_addr().unwrap();
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = strange.accept().unwrap();
        let _ = stream.read(&mut [0; 1_024]).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{\"version\":9}").unwrap();
    });
    let error = fetch_state(address, "", PATIENCE).unwrap_err();
    assert!(matches!(error, FetchError::Version { theirs: 9, .. }), "{error}");
    answering.join().unwrap();
}

#[test]
fn a_trace_can_be_asked_for() {
    let (server, _, _) = stalling();
    let address = server.metrics().unwrap();
    let asked = |server: &Server| server.state(&Default::default()).recorder.asked;
    let before = asked(&server);
    match ask_for_trace(address, PATIENCE) {
        Ok(()) => assert!(server.state(&Default::default()).recorder.present),
        Err(FetchError::Refused { status, why, .. }) => {
            assert_eq!((status, why.as_str()), (501, "this server has no flight recorder"));
        }
        Err(error) => panic!("{error}"),
    }
    assert_eq!(asked(&server), before + 1);
    server.stop().unwrap();
}

#[test]
fn an_address_that_is_taken_is_told_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = Config { metrics_listen: Some(taken.local_addr().unwrap()), ..config() };
    let error = Server::start(&config, Arc::new(BspWorld::new(1))).unwrap_err().to_string();
    let expected = format!("metrics_listen {}: ", taken.local_addr().unwrap());
    assert!(error.starts_with(&expected) && error.contains("--metrics-listen"), "{error}");
    assert_eq!(error.lines().count(), 1);
}
