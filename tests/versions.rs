//! Old and new clients: who shares a version and an encoding is let in, and whatever else it says is
//! ignored; who does not is told what the server speaks, and goes.

#[path = "common/puppets.rs"]
mod puppets;

use std::sync::Arc;

use ninefold::config::Config;
use ninefold_client::protocol::frame::{
    ENCODING_BSP_BIT, Message, PROTOCOL_VERSION, RefuseReason, Welcome, kind,
};
use ninefold_client::protocol::limits::PACKET_BYTES_MAX;
use ninefold_client::protocol::link::Link;
use ninefold_client::world::BspWorld;
use puppets::Stage;

const HELLO: u8 = 1;

fn stage() -> Stage {
    let rules = Config { spawn_radius_chunks: 0, ..Config::default() }.rules(77);
    Stage::new(rules, Arc::new(BspWorld::new(9)), 1)
}

/// A client that says these frames in its first packet, and then what every client says.
fn join_saying(stage: &mut Stage, frames: &[(u8, &[u8])]) -> usize {
    let me = stage.join();
    stage.puppets[me].link = Link::new(stage.now);
    let mut buffer = [0; PACKET_BYTES_MAX];
    let mut packet = stage.puppets[me].link.packet(stage.now, &mut buffer);
    for (kind, body) in frames {
        packet.push(*kind, &[body]);
    }
    let built = packet.finish().expect("there are frames");
    stage.inject(me, &buffer[..built.head_bytes]);
    stage.steps(10);
    me
}

/// The body of a RELIABLE frame with a first message.
fn first_message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, 0, kind][..], body].concat()
}

fn hello(version_min: u16, version_max: u16, encodings: u32) -> Vec<u8> {
    let versions = [version_min, version_max].map(u16::to_le_bytes).concat();
    first_message(
        HELLO,
        &[&versions[..], &encodings.to_le_bytes(), &512_u16.to_le_bytes(), &0_u16.to_le_bytes()].concat(),
    )
}

fn answer(hello: &[u8]) -> (Message, usize, u64) {
    let mut stage = stage();
    let me = join_saying(&mut stage, &[(kind::RELIABLE, hello)]);
    let first = stage.puppets[me].messages.first().copied().expect("the server answers");
    (first, stage.tick.clients(), stage.tick.counters().clients_refused)
}

fn is_welcome(message: &Message) -> bool {
    matches!(message, Message::Welcome(Welcome { version: PROTOCOL_VERSION, .. }))
}

const REFUSED: Message =
    Message::Refuse(RefuseReason::Version { min: PROTOCOL_VERSION, max: PROTOCOL_VERSION });

#[test]
fn a_client_that_is_too_old_is_told_so_and_leaves() {
    assert_eq!(answer(&hello(0, PROTOCOL_VERSION - 1, ENCODING_BSP_BIT)), (REFUSED, 0, 1));
}

#[test]
fn a_client_that_is_too_new_is_told_so_and_leaves() {
    assert_eq!(answer(&hello(PROTOCOL_VERSION + 1, u16::MAX, ENCODING_BSP_BIT)), (REFUSED, 0, 1));
}

#[test]
fn a_range_that_ends_before_it_begins_has_no_version_in_common() {
    assert_eq!(answer(&hello(PROTOCOL_VERSION + 1, PROTOCOL_VERSION - 1, ENCODING_BSP_BIT)), (REFUSED, 0, 1));
}

#[test]
fn a_newer_client_that_still_speaks_ours_is_let_in_at_ours() {
    for (min, max) in [(0, 9), (PROTOCOL_VERSION, u16::MAX), (0, PROTOCOL_VERSION)] {
        let (message, clients, refused) = answer(&hello(min, max, ENCODING_BSP_BIT));
        assert!(is_welcome(&message) && (clients, refused) == (1, 0), "{min} to {max}: {message:?}");
    }
}

#[test]
fn capabilities_that_we_do_not_know_change_nothing() {
    let (message, clients, _) = answer(&hello(PROTOCOL_VERSION, PROTOCOL_VERSION, u32::MAX));
    assert!(is_welcome(&message) && clients == 1);
    let (message, clients, refused) = answer(&hello(PROTOCOL_VERSION, PROTOCOL_VERSION, !ENCODING_BSP_BIT));
    assert_eq!(
        (message, clients, refused),
        (Message::Refuse(RefuseReason::Encoding(ENCODING_BSP_BIT)), 0, 1)
    );
}

#[test]
fn a_longer_hello_is_read_as_far_as_it_is_known() {
    let mut longer = hello(PROTOCOL_VERSION, PROTOCOL_VERSION, ENCODING_BSP_BIT);
    longer.extend([0xff; 20]);
    let (message, clients, _) = answer(&longer);
    assert!(is_welcome(&message) && clients == 1);
}

#[test]
fn a_hello_that_is_cut_off_is_counted_and_answered_by_nothing() {
    let mut stage = stage();
    let cut = hello(PROTOCOL_VERSION, PROTOCOL_VERSION, ENCODING_BSP_BIT);
    let me = join_saying(&mut stage, &[(kind::RELIABLE, &cut[..cut.len() - 1])]);
    assert!(stage.puppets[me].messages.is_empty());
    assert_eq!((stage.tick.counters().frames_refused, stage.tick.clients()), (1, 1));
}

#[test]
fn unknown_frames_and_messages_are_skipped_by_their_length() {
    let mut stage = stage();
    let hello = hello(PROTOCOL_VERSION, PROTOCOL_VERSION, ENCODING_BSP_BIT);
    let mut unknown = first_message(200, &[7; 40]);
    unknown[0] = 1; // the second message
    let frames = [
        (0xee, &[0x11, 9, 9][..]),
        (kind::RELIABLE, &hello),
        (0x00, &[]),
        (0xff, &[0; 500]),
        (kind::RELIABLE, &unknown),
    ];
    let me = join_saying(&mut stage, &frames);
    assert!(is_welcome(&stage.puppets[me].messages[0]));
    let counters = *stage.tick.counters();
    assert_eq!((counters.frames_unknown, counters.frames_refused, counters.packets_refused), (4, 0, 0));
    stage.steps(30);
    assert_eq!(stage.puppets[me].chunks.len(), 9, "and it plays on");
}
