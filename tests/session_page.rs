//! The worked session of docs/protocol.md: what a real client core and the real tick say to each other, taken apart
//! by the tables of the protocol's dictionary.
//!
//! `cargo test --test session_page -- --ignored` writes it anew.

#[path = "common/crowd.rs"]
mod crowd;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use crowd::{Crowd, Passed};
use ninefold::config::Config;
use ninefold::game::explore::Explore;
use ninefold_client::protocol::dictionary::{FRAMES, Field, MESSAGES, Unit};
use ninefold_client::protocol::frame::{Frames, Inputs, PlayerInput, kind};
use ninefold_client::protocol::time::Instant;
use ninefold_client::world::Plain;
use ninefold_netem::Profile;

const BEGIN: &str = "<!-- session -->\n";
const END: &str = "<!-- end of session -->";
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
fn page() -> String {
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

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/protocol.md")
}

fn parts() -> (String, String, String) {
    let text = std::fs::read_to_string(file()).expect("the page can be read");
    let (before, rest) = text.split_once(BEGIN).expect("the page has the marker");
    let (session, after) = rest.split_once(END).expect("the session has an end");
    (before.to_owned(), session.to_owned(), after.to_owned())
}

#[test]
fn the_worked_session_is_what_client_and_server_say() {
    let (_, written, _) = parts();
    let said = page();
    let differs = written.lines().zip(said.lines()).find(|(written, said)| written != said);
    assert!(written == said, "the page has another session: {differs:?}; write it anew");
}

/// A session that shows too little explains nothing.
#[test]
fn the_worked_session_has_all_that_a_session_is_made_of() {
    let text = page();
    for name in ["HELLO", "WELCOME", "CHUNK_ENTER", "FRAGMENT", "INPUTS", "SNAPSHOT", "ACK"] {
        assert!(text.contains(name), "no {name}");
    }
}

#[test]
#[ignore = "writes docs/protocol.md"]
fn the_worked_session_is_written_anew() {
    let (before, _, after) = parts();
    std::fs::write(file(), format!("{before}{BEGIN}{}{END}{after}", page()))
        .expect("the page can be written");
}
