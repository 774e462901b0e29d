//! What docs/protocol.md has of server and client: the numbers of play, and the worked session, which a real client
//! core and the real tick say to each other, taken apart by the tables of the protocol's dictionary.
//!
//! `cargo test --test protocol_page -- --ignored` writes them anew.

#[path = "common/crowd.rs"]
mod crowd;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use crowd::{Crowd, Passed};
use ninefold::config::Config;
use ninefold::game::explore::Explore;
use ninefold::happened::EVENTS_WAITING_MAX;
use ninefold::inputs::{CATCH_UP_TICKS_MAX, INPUTS_PER_TICK_MAX, INPUTS_WAITING_MAX};
use ninefold::rules::{
    CHUNK_REQUESTS_PER_TICK_MAX, LEAVE_AFTER, OFFERS_WAIT, PACKETS_PER_TICK_MAX, SILENCE_MAX,
    SNAPSHOT_REPEATS, SNAPSHOTS_IDLE_HZ,
};
use ninefold_client::protocol::dictionary::{FRAMES, Field, MESSAGES, Unit};
use ninefold_client::protocol::frame::{Frames, Inputs, PlayerInput, kind};
use ninefold_client::protocol::time::{Duration, Instant};
use ninefold_client::world::Plain;
use ninefold_client::{
    ASK_AFTER, INTERPOLATION_DELAY_MAX, LEAD_US, STEER_PPM_MAX, TICK_RATE_HZ_MAX, UNCONFIRMED_INPUTS_MAX,
};
use ninefold_netem::Profile;

/// Each way.
const DELAY_US: u64 = 10_000;
/// Steps of a millisecond until whoever stands there has settled.
const BEFORE_STEPS: usize = 500;
/// Steps until the newcomer walks, and those that it walks and lives on.
const STAND_STEPS: usize = 60;
const WALK_STEPS: usize = 67;
const REST_STEPS: usize = 50;
/// A body longer than this is shown in part.
const SHOWN_BYTES_MAX: usize = 48;

/// The packets of the newcomer, and when it came.
fn session() -> (Instant, Vec<Passed>) {
    let rules = Config { spawn_radius_chunks: 0, ..Config::default() }.rules(7);
    let line = Profile { delay_us: DELAY_US, ..Profile::default() };
    let mut crowd = Crowd::new(rules, Arc::new(Plain::new(7)), Box::new(Explore::new(7, 0)), line, 1);
    crowd.join();
    (0..BEFORE_STEPS).for_each(|_| _ = crowd.step());
    let (began, newcomer) = (crowd.now, crowd.join());
    crowd.members[newcomer].packets = Some(Vec::new());
    (0..STAND_STEPS).for_each(|_| _ = crowd.step());
    let east = PlayerInput { move_x: PlayerInput::FULL_SPEED, ..PlayerInput::default() };
    for (input, steps) in [(east, WALK_STEPS), (PlayerInput::default(), REST_STEPS)] {
        crowd.members[newcomer].client.set_input(input);
        (0..steps).for_each(|_| _ = crowd.step());
    }
    let packets = crowd.members[newcomer].packets.take().expect("they were kept");
    (began, packets)
}

fn hex(bytes: &[u8]) -> String {
    let shown: Vec<String> = bytes.iter().take(SHOWN_BYTES_MAX).map(|byte| format!("{byte:02x}")).collect();
    let left = bytes.len().saturating_sub(SHOWN_BYTES_MAX);
    let rest = if left > 0 { format!(" and {left} more") } else { String::new() };
    shown.join(" ") + &rest
}

/// The fields at the front of a body, and what is behind them.
fn fields<'b>(fields: &[Field], mut body: &'b [u8]) -> (String, &'b [u8]) {
    let mut text = String::new();
    for field in fields {
        let Some(value) = field.scalar.read(body) else { break };
        let _ = write!(text, " {} {value}", field.name);
        body = &body[field.scalar.bytes()..];
    }
    (text, body)
}

fn find(units: &'static [Unit], number: u8) -> &'static Unit {
    units.iter().find(|unit| unit.number == number).unwrap_or_else(|| panic!("{number:#04x} is in no table"))
}

/// A frame in words.
fn frame(number: u8, body: &[u8]) -> String {
    let unit = find(FRAMES, number);
    let (mut text, rest) = fields(unit.fields, body);
    match number {
        kind::RELIABLE => {
            let message = find(MESSAGES, body[4]);
            let (of_message, behind) = fields(message.fields, rest);
            assert!(behind.is_empty(), "{} has nothing behind its fields here", message.name);
            let _ = write!(text, "; {}{of_message}", message.name);
        }
        kind::INPUTS => {
            for (number, input) in Inputs::parse(body).expect("the client writes them right").iter() {
                let PlayerInput { move_x, move_z, yaw, buttons } = input;
                let _ = write!(text, "; {number}: {move_x} {move_z} {yaw} {buttons}");
            }
        }
        _ if !rest.is_empty() => {
            let _ = write!(text, "; {}", hex(rest));
        }
        _ => {}
    }
    format!("{}{text}", unit.name)
}

/// The session as the page has it.
fn written_session() -> String {
    let (began, packets) = session();
    let mut text = "```\n".to_owned();
    for Passed { at, by_client, packet } in packets {
        let us = at.since(began).as_us();
        let (ms, sender) = (us as f64 / 1_000.0, if by_client { "client" } else { "server" });
        let number = u32::from_le_bytes(*packet.first_chunk().expect("a packet has a number"));
        let _ = writeln!(text, "{ms:7.3} ms {sender} {number}: {}", hex(&packet));
        for part in Frames::new(&packet[4..]) {
            let (number, body) = part.expect("both ends write whole frames");
            let _ = writeln!(text, "           {}", frame(number, body));
        }
    }
    text + "```\n"
}

/// The numbers of play as the page has them.
fn written_numbers() -> String {
    let config = Config::default();
    let ms = |time: Duration| format!("{} ms", time.as_ms());
    let (lead_from, lead_to) = (LEAD_US.start() / 1_000, LEAD_US.end() / 1_000);
    let rows = [
        (
            "s",
            "inputs that wait ahead of their time",
            INPUTS_WAITING_MAX.to_string(),
            "further ones are refused",
        ),
        ("s", "inputs taken in one tick", INPUTS_PER_TICK_MAX.to_string(), "the others wait"),
        (
            "s",
            "ticks without input that are caught up with",
            CATCH_UP_TICKS_MAX.to_string(),
            "the others are gone",
        ),
        ("s", "time without input", ms(SILENCE_MAX), "a player in the air falls"),
        ("s", "snapshots from the last change in the ring on", SNAPSHOT_REPEATS.to_string(), "then fewer"),
        ("s", "snapshots a second where nothing changes", SNAPSHOTS_IDLE_HZ.to_string(), ""),
        ("s", "bytes of a snapshot, by default", config.snapshot_bytes_max.to_string(), "it is incomplete"),
        ("s", "events that wait for one client", EVENTS_WAITING_MAX.to_string(), "the oldest are dropped"),
        ("s", "time for offers after HELLO", ms(OFFERS_WAIT), "chunks are sent"),
        ("s", "time from REFUSE to the end", ms(LEAVE_AFTER), "the session ends"),
        (
            "s",
            "chunk requests in one tick",
            CHUNK_REQUESTS_PER_TICK_MAX.to_string(),
            "further ones are refused",
        ),
        (
            "s",
            "packets of a client in one tick",
            PACKETS_PER_TICK_MAX.to_string(),
            "further ones are dropped",
        ),
        ("c", "lead that is left alone", format!("{lead_from} to {lead_to} ms"), "the clock is steered"),
        ("c", "faster or slower than the server's rate", format!("{} %", STEER_PPM_MAX / 10_000), ""),
        (
            "c",
            "inputs that no snapshot has confirmed",
            UNCONFIRMED_INPUTS_MAX.to_string(),
            "the player stands until a snapshot comes",
        ),
        ("c", "time without progress of a chunk of the ring", ms(ASK_AFTER), "it is asked for"),
        ("c", "time that others are shown behind", ms(INTERPOLATION_DELAY_MAX), ""),
        ("c", "ticks a second", TICK_RATE_HZ_MAX.to_string(), "the WELCOME is refused"),
    ];
    let mut text = "| | what | at most | beyond it |\n|---|---|---|---|\n".to_owned();
    for (who, what, value, then) in rows {
        let _ = writeln!(text, "| {who} | {what} | {value} | {then} |");
    }
    text
}

fn sections() -> [(&'static str, String); 2] {
    [("session", written_session()), ("play", written_numbers())]
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/protocol.md")
}

fn page() -> String {
    std::fs::read_to_string(file()).expect("the page can be read")
}

/// What is before a section, in it, and behind it.
fn split<'p>(page: &'p str, name: &str) -> (&'p str, &'p str, &'p str) {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let start = page.find(&begin).unwrap_or_else(|| panic!("no {begin}")) + begin.len();
    let stop = start + page[start..].find(&end).unwrap_or_else(|| panic!("no {end}"));
    (&page[..start], &page[start..stop], &page[stop..])
}

#[test]
fn the_page_has_what_client_and_server_say_and_go_by() {
    let page = page();
    for (name, should) in sections() {
        let (_, written, _) = split(&page, name);
        let differs = written.lines().zip(should.lines()).find(|(written, should)| written != should);
        assert!(written == should, "the page's {name} is another: {differs:?}; write it anew");
    }
}

/// A session that shows too little explains nothing.
#[test]
fn the_worked_session_has_all_that_a_session_is_made_of() {
    let text = written_session();
    for name in ["HELLO", "WELCOME", "CHUNK_ENTER", "FRAGMENT", "INPUTS", "SNAPSHOT", "ACK"] {
        assert!(text.contains(name), "no {name}");
    }
}

#[test]
#[ignore = "writes docs/protocol.md"]
fn the_page_is_written_anew() {
    for (name, should) in sections() {
        let page = page();
        let (before, _, after) = split(&page, name);
        std::fs::write(file(), format!("{before}{should}{after}")).expect("the page can be written");
    }
}
