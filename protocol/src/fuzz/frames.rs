//! Bodies of frames: each is read or refused, and what was read says the same when it is written again.

use std::collections::VecDeque;

use ninefold_fuzz::{records, target};

use crate::chunk::parity_max;
use crate::frame::{
    Fragment, Frames, GameEvent, INPUTS_BYTES_MAX, INPUTS_PER_FRAME_MAX, Inputs, Message, ParityFragment,
    RawMessage, is_parity, kind,
};
use crate::limits::{
    ACK_RANGES_MAX, FRAGMENT_PAYLOAD_BYTES, FRAGMENTS_PER_CHUNK_MAX, PACKET_BYTES_MAX, PACKET_HEADER_BYTES,
};
use crate::link::Ack;
use crate::snapshot::{ENTITIES_PER_SNAPSHOT_MAX, Snapshot, SnapshotError, decode, encode, peek_ticks};

/// Tick rate of the snapshots: it scales differences and is known to both sides.
const HZ: u16 = 60;
/// As many snapshots as a client keeps.
const BASELINES: usize = 64;
/// More than any snapshot that came in one packet takes when it is written again without a baseline.
const ENCODED_BYTES: usize = 1 << 17;

target! {
    /// The frames of a packet, as whichever frame they claim to be.
    frames_are_read_or_refused(Bytes, 60_000) |packet: &[u8]| {
        for frame in Frames::new(packet.get(PACKET_HEADER_BYTES..).unwrap_or_default()) {
            let Ok((kind, body)) = frame else { break };
            read(kind, body);
        }
    }
}

target! {
    /// Snapshots one after the other, each against what was read before it.
    snapshots_are_read_or_refused(Script, 1_500) |script: &[u8]| {
        let (mut held, mut scratch) = (VecDeque::new(), vec![0xa5; ENCODED_BYTES]);
        for record in records(script) {
            let body = &record.body[..record.body.len().min(PACKET_BYTES_MAX)];
            if let Some(snapshot) = read_snapshot(body, &held, &mut scratch) {
                held.push_back(snapshot);
                held.drain(..held.len().saturating_sub(BASELINES));
            }
        }
    }
}

fn read(kind: u8, body: &[u8]) {
    match kind {
        kind::ACK => read_ack(body),
        kind::FRAGMENT => read_fragment(body),
        kind::INPUTS => read_inputs(body),
        kind::EVENT => {
            if let Ok(event) = GameEvent::parse(body) {
                assert_eq!(GameEvent::parse(&event.to_bytes()), Ok(event));
            }
        }
        kind::SNAPSHOT => _ = read_snapshot(body, &VecDeque::new(), &mut vec![0xa5; ENCODED_BYTES]),
        _ => read_message(body),
    }
}

fn read_ack(body: &[u8]) {
    let Ok(ack) = Ack::parse(body) else { return };
    let Ok(ranges) = ack.ranges(u64::from(ack.largest)) else { return };
    assert!(ranges.len() <= ACK_RANGES_MAX && ranges.first().is_some_and(|r| r.1 == u64::from(ack.largest)));
    assert!(ranges.iter().all(|r| r.0 <= r.1) && ranges.windows(2).all(|w| w[1].1 < w[0].0));
}

fn read_fragment(body: &[u8]) {
    let (count, length) = if is_parity(body) {
        let Ok(parity) = ParityFragment::parse(body) else { return };
        assert!(parity.index < parity_max(parity.count));
        assert!((1..=FRAGMENT_PAYLOAD_BYTES).contains(&usize::from(parity.last_bytes)));
        (parity.count, parity.payload.len())
    } else {
        let Ok(fragment) = Fragment::parse(body) else { return };
        assert!(fragment.index < fragment.count);
        (fragment.count, fragment.payload.len())
    };
    assert!((1..=FRAGMENTS_PER_CHUNK_MAX).contains(&count));
    assert!((1..=FRAGMENT_PAYLOAD_BYTES).contains(&length));
}

fn read_inputs(body: &[u8]) {
    let Ok(inputs) = Inputs::parse(body) else { return };
    let all: Vec<_> = inputs.iter().collect();
    assert!(all.len() <= INPUTS_PER_FRAME_MAX);
    let Some(&(newest, _)) = all.last() else { return };
    let mut out = [0xa5; INPUTS_BYTES_MAX];
    let bytes = Inputs::write(newest, all.iter().map(|(_, input)| *input), &mut out);
    let again: Vec<_> = Inputs::parse(&out[..bytes]).expect("it was written").iter().collect();
    assert_eq!(again, all);
}

/// As the body of the reliable channel has it: a kind, and what follows.
fn read_message(body: &[u8]) {
    let Some((kind, body)) = body.split_first() else { return };
    let Some(raw) = RawMessage::new(*kind, body) else { return };
    if let Ok(message) = Message::decode(&raw) {
        assert_eq!(Message::decode(&message.encode()), Ok(message));
    }
}

fn read_snapshot(body: &[u8], held: &VecDeque<Snapshot>, out: &mut [u8]) -> Option<Snapshot> {
    let base_of = |tick| held.iter().find(|held| held.tick == tick);
    let mut snapshot = Snapshot::default();
    match decode(body, HZ, base_of, &mut snapshot) {
        Ok(()) => {}
        Err(SnapshotError::BaselineGone(tick)) => {
            assert!(base_of(tick).is_none());
            return None;
        }
        Err(_) => return None,
    }
    assert!(snapshot.entities.len() <= ENTITIES_PER_SNAPSHOT_MAX);
    assert!(snapshot.entities.windows(2).all(|w| w[0].index < w[1].index), "in the order of their indices");
    assert!(snapshot.own.x < 1 << 20 && snapshot.own.z < 1 << 20, "{:?}", snapshot.own);
    let base = peek_ticks(body).expect("it was read").1.and_then(base_of);
    let bytes = encode(out, HZ, base, &snapshot);
    let mut again = Snapshot::default();
    decode(&out[..bytes], HZ, |_| base, &mut again).expect("it was written");
    assert_eq!(again, snapshot);
    Some(snapshot)
}
