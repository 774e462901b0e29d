//! Screens of every size, and what stands on them.

use std::path::Path;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};

use super::*;
use crate::outcome::Second;
use crate::scenario::Scenario;

const SCENARIO: &str = "name = \"bad \\u001b[31mlinks\"\nabout = \"a test\"\nseed = 1\n\
    [[group]]\nname = \"walkers\"\nclients = 200\nbehaviour = \"walk\"\n\
    [[stage]]\nkind = \"ramp\"\nseconds = 10\n[[stage]]\nkind = \"hold\"\nseconds = 50\n\
    [[fault]]\nat_s = 40\nkind = \"outage\"\nseconds = 2\n\
    [objectives]\ntick_p99 = \"< 8ms\"\ncrossings_without_chunk = \"== 0\"\njoin_p99 = \"< 2s\"\n";

fn second(at_s: u64) -> Second {
    Second {
        at_s,
        input_state_p50_us: Some(20_000.0),
        input_state_p99_us: Some(45_000.0 + 1_000.0 * at_s as f64),
        tick_p50_us: Some(900.0),
        tick_p99_us: Some(if at_s == 12 { 11_000.0 } else { 2_000.0 }),
        tick_max_us: Some(3_000.0),
        crossings: 10,
        crossings_without_chunk: u64::from(at_s == 5),
        bytes_down: 5_000_000,
        generator_late_p99_us: Some(500.0),
        generator_cpu: Some(if at_s == 20 { 0.88 } else { 0.3 }),
        ..Second::default()
    }
}

/// The scene after so many seconds.
fn scene(seconds: u64) -> Scene {
    let scenario = Scenario::parse(Path::new("bad.toml"), SCENARIO).unwrap();
    let all: Vec<Second> = (0..seconds).map(second).collect();
    let mut scene = Scene::default();
    for known in 0..=all.len() {
        scene.take(&Glimpse {
            scenario: &scenario,
            elapsed: Duration::from_ms(known as u64 * 1_000 + 500),
            length: Duration::from_secs(60),
            playing: 187,
            wanted: 200,
            seconds: &all[..known],
            is_new_second: true,
        });
    }
    scene
}

fn screen(scene: &Scene, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(scene, frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let row = |y: u16| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>() + "\n";
    (0..height).map(row).collect()
}

#[test]
fn all_of_it_is_on_a_screen_of_the_usual_size() {
    let screen = screen(&scene(30), 120, 36);
    for words in [
        "hold 2/2",
        "187 of 200 play",
        "outage in 9 s",
        "29 s left",
        "✗ tick_p99 < 8ms",
        "11 ms, worst second",
        "✗ crossings_without_chunk == 0",
        "· join_p99 < 2s",
        "at the end",
        "busiest thread at 88.0 % in one second",
        "300, 1 without their chunk",
        "input to state",
        "p99 74 ms",
        "5 MB/s",
        "q or Ctrl-C",
    ] {
        assert!(screen.contains(words), "{words}\n{screen}");
    }
    assert!(
        screen.contains('⠉') || screen.contains('⠒') || screen.contains('⡠'),
        "there is a line\n{screen}"
    );
}

#[test]
fn what_a_terminal_would_obey_is_not_drawn() {
    let screen = screen(&scene(3), 120, 36);
    assert!(screen.contains("bad [31mlinks") && !screen.contains('\u{1b}'));
}

#[test]
fn no_screen_is_too_small_or_too_large() {
    let (before, after) = (scene(0), scene(30));
    for (width, height) in (1..30).flat_map(|w| (1..14).map(move |h| (w * 7, h * 4 - 3))) {
        screen(&before, width, height);
        screen(&after, width, height);
    }
    assert!(screen(&after, 60, 24).contains("tick_p99 < 8ms"), "{}", screen(&after, 60, 24));
}

#[test]
fn a_figure_that_only_the_end_tells_is_not_guessed_and_worst_seconds_stay() {
    let scene = scene(30);
    let of = |name: &str| scene.standings.iter().find(|s| s.objective.starts_with(name)).unwrap().holds;
    assert_eq!(
        (of("tick_p99"), of("crossings_without_chunk"), of("join_p99")),
        (Some(false), Some(false), None)
    );
    assert_eq!((scene.sums.crossings, scene.sums.crossings_without_chunk), (300, 1));
    assert_eq!(scene.seconds.len(), 30);
}

#[test]
fn ctrl_c_and_q_end_it_and_other_keys_do_not() {
    let key = |code, modifiers| Event::Key(KeyEvent::new(code, modifiers));
    assert!(wants_end(&key(KeyCode::Char('c'), KeyModifiers::CONTROL)));
    assert!(wants_end(&key(KeyCode::Char('q'), KeyModifiers::NONE)));
    assert!(!wants_end(&key(KeyCode::Char('c'), KeyModifiers::NONE)));
    assert!(!wants_end(&Event::Resize(3, 4)));
}
