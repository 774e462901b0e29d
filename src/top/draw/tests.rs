//! What stands where, on screens of every size.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};

use super::draw;
use crate::telemetry::state::{
    ClientState, DropState, Figures, FrameState, MemoryState, PhaseState, QueueState, RecentTick,
    SocketState, State,
};
use crate::telemetry::{Phase, Queue};
use crate::top::plain::text;
use crate::top::view::View;
use crate::top::watch::News;

const BUDGET_US: u64 = 16_666;

fn figures(p50: f64) -> Figures {
    Figures {
        count: 600,
        mean: p50,
        p50,
        p90: p50,
        p99: 2.0 * p50,
        p999: 3.0 * p50,
        p9999: 3.0 * p50,
        max: 4.0 * p50,
    }
}

/// A server of 200 clients at a time of its life; every 50th tick is an overrun.
fn state(uptime_s: f64, ticks: std::ops::Range<u64>) -> State {
    let mut state = State { version: 1, ..State::default() };
    state.server.uptime_s = uptime_s;
    (state.server.tick_rate_hz, state.server.budget_us) = (60, BUDGET_US);
    state.server.cpu_s = BTreeMap::from([("tick".to_owned(), uptime_s / 4.0)]);
    state.ticks.recent = (ticks.clone())
        .map(|number| {
            let total_us = if number % 50 == 0 { 25_000.0 } else { 400.0 };
            let lateness_us = if number % 50 == 1 { 20_000 } else { 80 };
            RecentTick {
                number,
                total_us,
                lateness_us,
                phases_us: vec![total_us / 7.0; 7],
                ..RecentTick::default()
            }
        })
        .collect();
    (state.ticks.run, state.ticks.overruns, state.ticks.recent_overruns) = (ticks.end, 12, 3);
    state.ticks.recent_time_us = figures(400.0);
    state.ticks.recent_lateness_us = figures(80.0);
    state.ticks.phases = (Phase::ALL.iter().enumerate())
        .map(|(n, phase)| PhaseState {
            name: phase.name().to_owned(),
            recent_us: figures(20.0 * (n + 1) as f64),
            recent_share: 0.1,
            ..PhaseState::default()
        })
        .collect();
    state.clients.connected = 200;
    state.clients.dearest = (0..10)
        .map(|n| ClientState {
            client_id: if n == 0 { u64::MAX } else { n },
            carrier: "udp".to_owned(),
            stage: "playing".to_owned(),
            cost_us: 5.0,
            rtt_us: Some(31_000),
            loss_permille: 20 * n,
            bytes_out_s: 24_000,
            ..ClientState::default()
        })
        .collect();
    let counts = BTreeMap::from([("asked".to_owned(), (100.0 * uptime_s) as u64), ("panics".to_owned(), 2)]);
    state.counters.insert("chunks".to_owned(), counts);
    state.chunks.oldest_request_age_us = 2_500_000;
    state.frames = vec![FrameState {
        name: "snapshot".into(),
        bytes_out: (5e6 * uptime_s) as u64,
        ..FrameState::default()
    }];
    state.queues = (Queue::ALL.iter())
        .map(|queue| QueueState { name: queue.name().into(), depth: 3, high_water: 60, bound: 64 })
        .collect();
    state.memory = vec![MemoryState { part: "lanes".into(), bytes: 21_000_000 }];
    state.sockets = vec![SocketState {
        carrier: "udp".into(),
        datagrams_in: (12e3 * uptime_s) as u64,
        ..SocketState::default()
    }];
    state.drops = vec![DropState {
        part: "connection".into(),
        cause: "from_nobody".into(),
        count: (7.0 * uptime_s) as u64,
    }];
    state
}

fn view() -> View {
    let mut view = View::new("127.0.0.1:9109".into());
    for n in 0..=10 {
        let end = 1_000 + 6 * n;
        view.hear(Instant::now(), News::State(Box::new(state(100.0 + n as f64 / 10.0, end - 600..end))));
    }
    view
}

/// The picture as a terminal has it.
fn terminal(view: &View, width: u16, height: u16) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(view, frame.area(), frame.buffer_mut())).unwrap();
    terminal
}

#[test]
fn a_small_screen_has_what_matters() {
    let picture = text(&view(), (80, 24));
    let lines: Vec<&str> = picture.lines().collect();
    assert_eq!(lines.len(), 24, "{picture}");
    for what in [
        "ninefold 127.0.0.1:9109  200 clients  tick p99 800 us of 16.7 ms",
        "● live",
        "udp in 12k/s",
        "16.7 ms ┄",
        "3 of 600 over budget",
        "ingress",
        "egress",
        "begins late",
        "oldest wish",
        "2.5 s",
        "asked, made",
        "100, 0 /s",
        "connection from nobody",
        "dearest clients",
        "31.0 ms",
        "q quit",
    ] {
        assert!(picture.contains(what), "no {what:?} in\n{picture}");
    }
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{picture}");
}

#[test]
fn a_large_screen_has_everything() {
    let picture = text(&view(), (160, 50));
    for what in [
        "snapshot",
        "5.0M",
        "departures udp",
        "chunks making",
        "lanes",
        "21MB",
        "thread tick",
        "25.0 %",
        "12 overruns",
    ] {
        assert!(picture.contains(what), "no {what:?} in\n{picture}");
    }
    // All ten, the long id by its end.
    let clients = picture.lines().filter(|line| line.contains(" udp ") && line.contains("31.0 ms")).count();
    assert_eq!(clients, 10, "{picture}");
    assert!(picture.contains("…709551615 udp"), "{picture}");
}

#[test]
fn no_size_is_too_small_or_too_large() {
    let (empty, full) = (View::new("x".into()), view());
    for (width, height) in (0..50u16).flat_map(|w| (0..30u16).map(move |h| (w * 7, h * 3))) {
        for view in [&empty, &full] {
            let mut buffer = ratatui::buffer::Buffer::empty(Rect::new(0, 0, width, height));
            draw(view, buffer.area, &mut buffer);
        }
    }
}

#[test]
fn an_overrun_stands_out_above_the_line_of_the_budget() {
    let terminal = terminal(&view(), 100, 30);
    let buffer = terminal.backend().buffer();
    let budget_row =
        (0..30).find(|y| buffer[(98, *y)].symbol() == "┄" || buffer[(97, *y)].symbol() == "┄").unwrap();
    let red: Vec<u16> = (9..100)
        .filter(|x| buffer[(*x, budget_row)].fg == Color::Red && buffer[(*x, budget_row)].symbol() != "┄")
        .collect();
    // Every 50th tick of the last 90.
    assert!((1..=2).contains(&red.len()), "{red:?}");
    let late = (0..30)
        .find(|y| (0..9).map(|x| buffer[(x, *y)].symbol()).collect::<String>().contains("late"))
        .unwrap();
    let marks: Vec<u16> = (9..100).filter(|x| buffer[(*x, late)].symbol() == "▲").collect();
    assert_eq!(marks, red.iter().map(|x| x + 1).collect::<Vec<_>>());
}

#[test]
fn a_server_that_went_away_is_said_to_be_and_its_last_picture_stays() {
    let mut view = view();
    let gone = Instant::now();
    view.hear(gone, News::Silent("127.0.0.1:9109: Connection refused".into()));
    view.now(gone + Duration::from_secs(4));
    let picture = text(&view, (100, 30));
    assert!(picture.contains("● silent 4 s"), "{picture}");
    assert!(picture.contains("Connection refused; asking again") && picture.contains("ingress"), "{picture}");
    let terminal = terminal(&view, 100, 30);
    assert!(terminal.backend().buffer()[(3, 15)].modifier.contains(Modifier::DIM));
    let picture = text(&View::new("127.0.0.1:1".into()), (80, 24));
    assert!(picture.contains("asking"), "{picture}");
}

#[test]
fn what_an_order_came_to_is_said_for_a_while() {
    let (mut view, at) = (view(), Instant::now());
    view.hear(at, News::Told("a trace was asked for".into()));
    view.now(at);
    assert!(text(&view, (80, 24)).contains("a trace was asked for"));
    view.now(at + Duration::from_secs(6));
    assert!(text(&view, (80, 24)).contains("q quit"));
}

#[test]
fn the_linear_scale_shows_the_budget_only_where_it_is_near() {
    let mut view = view();
    view.change_scale();
    assert!(text(&view, (100, 30)).contains("16.7 ms ┄"));
    view.ticks.iter_mut().for_each(|tick| tick.total_us = 300.0);
    let picture = text(&view, (100, 30));
    assert!(!picture.contains('┄') && picture.contains("330 us"), "{picture}");
}
