//! The bodies of frames, and the messages of the reliable channel.

use bytes::Bytes;
use zerocopy::IntoBytes;

use super::{Fields, File, Sample, Unit};
use crate::chunk::{Fragmenter, ParityEncoder};
use crate::frame::{
    ChunkAt, ChunkKey, Fragment, FragmentHeader, Hello, Message, ParityFragment, RawMessage, RefuseReason,
    UnavailableReason, Welcome, fragment_id,
};

pub(super) const VECTORS: File = File {
    name: "frames.txt",
    about: "Bodies of the frame FRAGMENT, and messages of the reliable channel.",
    units: &[
        Unit { name: "FRAGMENT", encode: encode_fragment, decode: decode_fragment },
        Unit { name: "FRAGMENT with parity", encode: encode_parity, decode: decode_parity },
        Unit { name: "HELLO", encode: encode_message, decode: decode_hello },
        Unit { name: "WELCOME", encode: encode_message, decode: decode_welcome },
        Unit { name: "REFUSE", encode: encode_message, decode: decode_refuse },
        Unit { name: "CHUNK_ENTER", encode: encode_message, decode: decode_enter },
        Unit { name: "CHUNK_UNAVAILABLE", encode: encode_message, decode: decode_unavailable },
        Unit { name: "CHUNK_FORGET", encode: encode_message, decode: decode_forget },
        Unit { name: "CHUNK_REQUEST", encode: encode_message, decode: decode_request },
        Unit { name: "CHUNK_HAVE", encode: encode_message, decode: decode_have },
        Unit { name: "CHUNK_KNOWN", encode: encode_message, decode: decode_known },
        Unit { name: "unknown message", encode: encode_message, decode: decode_unknown },
    ],
    samples,
};

fn key(f: &Fields) -> ChunkKey {
    ChunkKey { cx: f.number("cx"), cy: f.number("cy"), cz: f.number("cz") }
}

fn with_key(f: Fields, key: ChunkKey) -> Fields {
    f.with("cx", key.cx).with("cy", key.cy).with("cz", key.cz)
}

fn encode_fragment(f: &Fields) -> Vec<u8> {
    let (key, payload) = (key(f), f.bytes("payload"));
    let header = FragmentHeader {
        id: fragment_id(key).into(),
        cx: key.cx.into(),
        cy: key.cy.into(),
        cz: key.cz.into(),
        version: f.number::<u32>("version").into(),
        index: f.number::<u16>("index").into(),
        count: f.number::<u16>("count").into(),
        kind: f.number("kind"),
        encoding: f.number("encoding"),
        flags: 0,
        length: (payload.len() as u16).into(),
    };
    [header.as_bytes(), &payload].concat()
}

fn decode_fragment(_: &Fields, bytes: &[u8]) -> Result<Fields, String> {
    let f = Fragment::parse(bytes).map_err(|e| e.to_string())?;
    Ok(with_key(Fields::new(), f.key)
        .with("version", f.version)
        .with("index", f.index)
        .with("count", f.count)
        .with("kind", f.kind)
        .with("encoding", f.encoding)
        .hex("payload", f.payload))
}

/// A chunk's bytes and which parity fragment of it: 1,150 bytes that only the code makes.
fn encode_parity(f: &Fields) -> Vec<u8> {
    let (key, chunk) = (key(f), Bytes::from(f.bytes("chunk")));
    let fragmenter = Fragmenter::new(key, f.number("version"), f.number("kind"), f.number("encoding"), chunk);
    let parity =
        ParityEncoder::default().encode(&fragmenter.expect("the chunk is of a length that it can have"));
    let (header, payload) = parity.fragment(f.number("index"));
    [header.as_bytes(), &payload].concat()
}

fn decode_parity(given: &Fields, bytes: &[u8]) -> Result<Fields, String> {
    let f = ParityFragment::parse(bytes).map_err(|e| e.to_string())?;
    let fields = with_key(Fields::new(), f.key)
        .with("version", f.version)
        .with("index", f.index)
        .with("count", f.count)
        .with("kind", f.kind)
        .with("encoding", f.encoding)
        .with("last_bytes", f.last_bytes);
    Ok(fields.given(given, &["chunk"]))
}

fn at(f: &Fields) -> ChunkAt {
    ChunkAt { key: key(f), version: f.number("version") }
}

fn encode_message(f: &Fields) -> Vec<u8> {
    let message = match f.number("kind") {
        1 => Message::Hello(Hello {
            version_min: f.number("version_min"),
            version_max: f.number("version_max"),
            encodings: f.number("encodings"),
            cache_chunks: f.number("cache_chunks"),
            offers: f.number("offers"),
        }),
        2 => Message::Welcome(Welcome {
            version: f.number("version"),
            tick_rate_hz: f.number("tick_rate_hz"),
            player: f.number("player"),
            world_id: f.number("world_id"),
            tick: f.number("tick"),
            walk_speed_units_s: f.number("walk_speed_units_s"),
        }),
        3 => Message::Refuse(match f.number("reason") {
            1 => RefuseReason::Version { min: f.number("min"), max: f.number("max") },
            2 => RefuseReason::Encoding(f.number("encodings")),
            _ => RefuseReason::Flood,
        }),
        4 => Message::ChunkEnter { cx: f.number("cx"), cz: f.number("cz") },
        5 => Message::ChunkUnavailable(
            at(f),
            match f.number("reason") {
                1 => UnavailableReason::Failed,
                n => UnavailableReason::Other(n),
            },
        ),
        6 => Message::ChunkForget(at(f)),
        7 => Message::ChunkRequest(key(f)),
        8 => Message::ChunkHave { key: key(f), content_hash: f.number("content_hash") },
        9 => Message::ChunkKnown(at(f)),
        kind => Message::Unknown(kind),
    };
    let raw = message.encode();
    assert_eq!(raw.kind(), f.number::<u8>("kind"));
    raw.body().to_vec()
}

/// Reads a message of this kind.
fn message(kind: u8, bytes: &[u8]) -> Result<(Fields, Message), String> {
    let raw = RawMessage::new(kind, bytes).ok_or("a message has at most 40 bytes")?;
    let message = Message::decode(&raw).map_err(|e| e.to_string())?;
    Ok((Fields::new().with("kind", kind), message))
}

fn decode_hello(_: &Fields, bytes: &[u8]) -> Result<Fields, String> {
    let (f, Message::Hello(m)) = message(1, bytes)? else { unreachable!() };
    Ok(f.with("version_min", m.version_min)
        .with("version_max", m.version_max)
        .with("encodings", m.encodings)
        .with("cache_chunks", m.cache_chunks)
        .with("offers", m.offers))
}

fn decode_welcome(_: &Fields, bytes: &[u8]) -> Result<Fields, String> {
    let (f, Message::Welcome(m)) = message(2, bytes)? else { unreachable!() };
    Ok(f.with("version", m.version)
        .with("tick_rate_hz", m.tick_rate_hz)
        .with("player", m.player)
        .with("world_id", m.world_id)
        .with("tick", m.tick)
        .with("walk_speed_units_s", m.walk_speed_units_s))
}

fn decode_refuse(_: &Fields, bytes: &[u8]) -> Result<Fields, String> {
    let (f, Message::Refuse(reason)) = message(3, bytes)? else { unreachable!() };
    Ok(match reason {
        RefuseReason::Version { min, max } => f.with("reason", 1).with("min", min).with("max", max),
        RefuseReason::Encoding(bits) => f.with("reason", 2).with("encodings", bits),
        RefuseReason::Flood => f.with("reason", 3),
    })
}

fn decode_enter(_: &Fields, bytes: &[u8]) -> Result<Fields, String> {
    let (f, Message::ChunkEnter { cx, cz }) = message(4, bytes)? else { unreachable!() };
    Ok(f.with("cx", cx).with("cz", cz))
}

fn decode_unavailable(_: &Fields, bytes: &[u8]) -> Result<Fields, String> {
    let (f, Message::ChunkUnavailable(at, reason)) = message(5, bytes)? else { unreachable!() };
    let reason = match reason {
        UnavailableReason::Failed => 1,
        UnavailableReason::Other(n) => n,
    };
    Ok(with_key(f, at.key).with("version", at.version).with("reason", reason))
}

fn decode_forget(_: &Fields, bytes: &[u8]) -> Result<Fields, String> {
    let (f, Message::ChunkForget(at)) = message(6, bytes)? else { unreachable!() };
    Ok(with_key(f, at.key).with("version", at.version))
}

fn decode_request(_: &Fields, bytes: &[u8]) -> Result<Fields, String> {
    let (f, Message::ChunkRequest(key)) = message(7, bytes)? else { unreachable!() };
    Ok(with_key(f, key))
}

fn decode_have(_: &Fields, bytes: &[u8]) -> Result<Fields, String> {
    let (f, Message::ChunkHave { key, content_hash }) = message(8, bytes)? else { unreachable!() };
    Ok(with_key(f, key).with("content_hash", content_hash))
}

fn decode_known(_: &Fields, bytes: &[u8]) -> Result<Fields, String> {
    let (f, Message::ChunkKnown(at)) = message(9, bytes)? else { unreachable!() };
    Ok(with_key(f, at.key).with("version", at.version))
}

fn decode_unknown(given: &Fields, bytes: &[u8]) -> Result<Fields, String> {
    let (f, Message::Unknown(_)) = message(given.number("kind"), bytes)? else { unreachable!() };
    Ok(f)
}

fn samples() -> Vec<Sample> {
    let mut all = fragment_samples();
    all.extend(message_samples());
    all
}

fn fragment_samples() -> Vec<Sample> {
    let fragment = |cx: i32, cz: i32, index: u16, count: u16, payload: &[u8]| {
        let f = with_key(Fields::new(), ChunkKey { cx, cy: 0, cz }).with("version", 1);
        let f = f.with("index", index).with("count", count).with("kind", 0).with("encoding", 1);
        f.hex("payload", payload)
    };
    let full: Vec<u8> = (0..1_150).map(|n| (n % 251) as u8).collect();
    let whole = fragment(-2, 3, 0, 1, &[0xaa, 0xbb]);
    let broken = |at: usize, value: u8| {
        let mut bytes = encode_fragment(&whole);
        bytes[at] = value;
        bytes
    };
    let refused = |case, bytes: &[u8]| Sample::refused("FRAGMENT", case, Fields::new(), bytes);
    let parity = |index: u16| {
        let f = with_key(Fields::new(), ChunkKey { cx: -2, cy: 0, cz: 3 }).with("version", 1);
        let f = f.with("index", index).with("count", 2).with("kind", 0).with("encoding", 1);
        f.with("last_bytes", 3).hex("chunk", &full.iter().copied().chain([7, 8, 9]).collect::<Vec<u8>>())
    };
    let parity_of = |case, index| Sample::new("FRAGMENT with parity", case, parity(index));
    let refused_parity = |case, at: usize, value: u8| {
        let mut bytes = encode_parity(&parity(0));
        bytes[at] = value;
        Sample::refused("FRAGMENT with parity", case, Fields::new(), &bytes)
    };
    vec![
        parity_of("the first of two fragments", 0),
        parity_of("the last of two fragments", 7),
        refused_parity("beyond what a chunk of two has", 20, 8),
        refused_parity("an unknown flag", 26, 3),
        Sample::new("FRAGMENT", "a chunk of two bytes", whole.clone()),
        Sample::new("FRAGMENT", "full, one of 256", fragment(i32::MIN, i32::MAX, 254, 256, &full)),
        Sample::new("FRAGMENT", "the last of 29, one byte", fragment(0, 0, 28, 29, &[7])),
        refused("no fragments", &broken(22, 0)),
        refused("257 fragments", &{
            let mut bytes = broken(22, 1);
            bytes[23] = 1;
            bytes
        }),
        refused("index not below count", &broken(20, 1)),
        refused("short, and not the last", &broken(22, 2)),
        refused("length is not what follows", &broken(27, 3)),
        refused("without a payload", &broken(27, 0)[..29]),
        refused("an id of other coordinates", &broken(0, 0)),
        refused("shorter than its header", &broken(0, 0xba)[..28]),
    ]
}

fn message_samples() -> Vec<Sample> {
    let kind = |kind: u8| Fields::new().with("kind", kind);
    let chunk = |f: Fields| with_key(f, ChunkKey { cx: -1, cy: 0, cz: 7 });
    let hello = |min: u16, max: u16, encodings: u32| {
        let f = kind(1).with("version_min", min).with("version_max", max);
        f.with("encodings", encodings).with("cache_chunks", 512).with("offers", 3)
    };
    let welcome = kind(2).with("version", 2).with("tick_rate_hz", 60).with("player", 8);
    let welcome = welcome.with("world_id", 0x0102_0304_0506_0708_u64).with("tick", 1_u64 << 40);
    let welcome = welcome.with("walk_speed_units_s", 320);
    let refused = |unit, case, bytes: &[u8]| Sample::refused(unit, case, Fields::new(), bytes);
    vec![
        Sample::new("HELLO", "version 2, encoding 1", hello(2, 2, 2)),
        Sample::new("HELLO", "a newer client with capabilities of its own", hello(2, 9, 0x8000_0006)),
        Sample::new("WELCOME", "60 Hz", welcome),
        Sample::new(
            "REFUSE",
            "no version in common",
            kind(3).with("reason", 1).with("min", 1).with("max", 2),
        ),
        Sample::new("REFUSE", "no encoding in common", kind(3).with("reason", 2).with("encodings", 2)),
        Sample::new("REFUSE", "a flood of inputs", kind(3).with("reason", 3)),
        Sample::new("CHUNK_ENTER", "west", kind(4).with("cx", -1).with("cz", 2)),
        Sample::new(
            "CHUNK_UNAVAILABLE",
            "could not be made",
            chunk(kind(5)).with("version", 1).with("reason", 1),
        ),
        Sample::new(
            "CHUNK_UNAVAILABLE",
            "an unknown reason",
            chunk(kind(5)).with("version", 1).with("reason", 77),
        ),
        Sample::new("CHUNK_FORGET", "version 3", chunk(kind(6)).with("version", 3)),
        Sample::new("CHUNK_REQUEST", "a chunk of the ring", chunk(kind(7))),
        Sample::new(
            "CHUNK_HAVE",
            "from an earlier session",
            chunk(kind(8)).with("content_hash", 0xfedc_ba98_7654_3210_u64),
        ),
        Sample::new("CHUNK_KNOWN", "version 3", chunk(kind(9)).with("version", 3)),
        Sample::new("unknown message", "to be ignored", kind(200)),
        refused("HELLO", "a byte short", &[1, 0, 1, 0, 2, 0, 0, 0, 0]),
        refused("WELCOME", "empty", &[]),
        refused("REFUSE", "a reason that is none", &[9, 0, 0, 0, 0]),
        refused("CHUNK_ENTER", "two bytes short", &[0; 6]),
        refused("CHUNK_HAVE", "without a byte of its hash", &[0; 19]),
        refused("CHUNK_KNOWN", "without its version", &[0; 12]),
        refused("CHUNK_REQUEST", "without its last coordinate", &[0; 8]),
    ]
}
