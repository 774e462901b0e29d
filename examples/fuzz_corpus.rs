//! Writes the seeds of the fuzz targets that are fed with what clients and servers say to each other:
//! `cargo run --release --example fuzz_corpus`. docs/fuzzing.md tells where the other seeds come from.
//!
//! A session is played for it in virtual time, by the server's tick and the client library over a line that loses,
//! so that the same seeds come of it on every machine.

#[path = "../tests/common/crowd.rs"]
mod crowd;

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use anyhow::Context;
use crowd::{Crowd, Passed};
use ninefold::config::Config;
use ninefold::game::explore::Explore;
use ninefold_client::ClientConfig;
use ninefold_client::protocol::frame::{Frames, PlayerInput, kind};
use ninefold_client::protocol::limits::PACKET_HEADER_BYTES;
use ninefold_client::protocol::time::Instant;
use ninefold_client::world::BspWorld;
use ninefold_fuzz::{corpus_dir, write_record};
use ninefold_netem::Path;

/// Seeds stay small: what is changed at random should be little.
const SCRIPT_BYTES_MAX: usize = 24_000;
/// Single packets of each make.
const PACKETS_OF_A_MAKE: usize = 2;
/// How long the session is, seconds.
const SESSION_SECONDS: u64 = 12;

fn main() -> anyhow::Result<()> {
    for (name, recipes) in [("recipes", true), ("trees", false)] {
        let packets = session(recipes);
        let way = |by_client: bool| packets.iter().filter(move |p| p.by_client == by_client);
        write("packets_of_any_server_are_taken_or_refused", name, &timed(way(false), |ms| ms.min(63)))?;
        write("packets_of_any_client_are_taken_or_refused", name, &timed(way(true), |ms| ms / 17))?;
        write("frames_of_any_server_are_taken_or_refused", name, &frames(way(false), |_| true))?;
        write(
            "frames_of_any_client_are_taken_or_refused",
            name,
            &frames(way(true), |kind| kind >= kind::PING),
        )?;
        write("a_link_stands_whatever_is_said", name, &conversation(&packets))?;
        write("snapshots_are_read_or_refused", name, &frames(way(false), |kind| kind == kind::SNAPSHOT))?;
        write("fragments_never_pass_the_bound", name, &frames(way(false), |kind| kind == kind::FRAGMENT))?;
        for (number, packet) in makes(&packets).iter().enumerate() {
            write("frames_are_read_or_refused", &format!("{name}.{number:02}"), packet)?;
        }
    }
    Ok(())
}

fn write(target: &str, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = corpus_dir(target);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join(name);
    fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    println!("{:>6} bytes  {target}/{name}", bytes.len());
    Ok(())
}

/// The packets of one client that walks among others, with losses and with doors that it uses.
fn session(recipes: bool) -> Vec<Passed> {
    let config = Config { spawn_radius_chunks: 0, creatures_per_chunk: 1, ..Config::default() };
    let line = Path::named("wifi").expect("it is one of netem's").up;
    let world = Arc::new(BspWorld::new(9));
    let mut crowd = Crowd::new(config.rules(0), world, Box::new(Explore::new(9, 1)), line, 4);
    (0..6).for_each(|_| _ = crowd.join_with(ClientConfig { recipes, ..ClientConfig::new(0) }));
    crowd.members[0].packets = Some(Vec::new());
    for second in 0..SESSION_SECONDS {
        for (index, member) in crowd.members.iter_mut().enumerate() {
            let turn = (second as usize + index) % 4;
            let [move_x, move_z] = [[32_767, 0], [0, 32_767], [-32_767, 0], [0, -32_767]][turn];
            let buttons = if second % 2 == 0 { PlayerInput::JUMP } else { PlayerInput::USE };
            member.client.set_input(PlayerInput { move_x, move_z, buttons, yaw: 1_000 });
        }
        crowd.seconds(1);
    }
    crowd.members[0].packets.take().expect("they were kept")
}

/// Whole packets with the time between them.
fn timed<'p>(packets: impl Iterator<Item = &'p Passed>, time: impl Fn(u64) -> u64) -> Vec<u8> {
    let (mut script, mut before) = (Vec::new(), Instant::from_us(1_000_000));
    for Passed { at, packet, .. } in packets {
        let ms = at.since(before).as_ms();
        before = *at;
        if script.len() + packet.len() > SCRIPT_BYTES_MAX
            || !write_record(time(ms) as u8, packet, &mut script)
        {
            break;
        }
    }
    script
}

/// Frames of the wanted kinds by themselves.
fn frames<'p>(packets: impl Iterator<Item = &'p Passed>, wants: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut script = Vec::new();
    for Passed { packet, .. } in packets {
        for (kind, body) in
            Frames::new(&packet[PACKET_HEADER_BYTES..]).flatten().filter(|(kind, _)| wants(*kind))
        {
            if script.len() + body.len() > SCRIPT_BYTES_MAX || !write_record(kind, body, &mut script) {
                return script;
            }
        }
    }
    script
}

/// As the target of the link reads it: what the server said is said to it, and it answers.
fn conversation(packets: &[Passed]) -> Vec<u8> {
    const PASSES: u8 = 0;
    const SAYS: u8 = 1;
    const HEARS: u8 = 7;
    let mut script = Vec::new();
    for Passed { by_client, packet, .. } in packets.iter().filter(|p| p.packet.len() < 400) {
        let told = if *by_client {
            write_record(SAYS, b"input", &mut script) && write_record(PASSES, &[4], &mut script)
        } else {
            write_record(HEARS, packet, &mut script)
        };
        if !told || script.len() > SCRIPT_BYTES_MAX {
            break;
        }
    }
    script
}

/// Some packets of each make: the kinds of frames in them.
fn makes(packets: &[Passed]) -> Vec<Vec<u8>> {
    let (mut seen, mut kept) = (BTreeSet::new(), Vec::new());
    for Passed { by_client, packet, .. } in packets {
        let kinds: Vec<u8> =
            Frames::new(&packet[PACKET_HEADER_BYTES..]).flatten().map(|(kind, _)| kind).collect();
        if (0..PACKETS_OF_A_MAKE).any(|n| seen.insert((*by_client, kinds.clone(), n))) {
            kept.push(packet.clone());
        }
    }
    kept
}
