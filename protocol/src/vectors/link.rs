//! Packets of the link and its own frames.

use super::{Fields, File, Sample, Unit};
use crate::codec::{Reader, Writer};
use crate::frame::{Frames, Message, frame_header, kind};
use crate::limits::PACKET_BYTES_MAX;
use crate::link::{Ack, AckRanges, Link};
use crate::time::{Duration, Instant};

pub(super) const VECTORS: File = File {
    name: "link.txt",
    about: "Packets of the link, and the bodies of its frames ACK and RELIABLE.",
    units: &[
        Unit { name: "packet", encode: encode_packet, decode: decode_packet },
        Unit { name: "ACK", encode: encode_ack, decode: decode_ack },
        Unit { name: "RELIABLE", encode: encode_reliable, decode: decode_reliable },
    ],
    samples,
};

/// Frames are `type body`, parted by commas.
fn encode_packet(f: &Fields) -> Vec<u8> {
    let mut bytes = f.number::<u32>("number").to_le_bytes().to_vec();
    for frame in f.text("frames").split(", ").filter(|t| !t.is_empty()) {
        let (kind, body) = frame.split_once(' ').expect("a frame is type and body");
        let body = super::unhex(body).expect("hexadecimal bytes");
        bytes.extend(frame_header(kind.parse().expect("a type"), body.len()));
        bytes.extend(body);
    }
    bytes
}

/// What the link makes of it; frames of types that it does not know are skipped by their length.
fn decode_packet(_: &Fields, bytes: &[u8]) -> Result<Fields, String> {
    let accepted = Link::<()>::new(Instant::ZERO).handle_packet(Instant::ZERO, bytes).map(|_| ());
    accepted.map_err(|e| e.to_string())?;
    let mut r = Reader::new(bytes);
    let number = r.u32("packet number").map_err(|e| e.to_string())?;
    let frames: Vec<String> = Frames::new(r.rest())
        .map(|frame| frame.map(|(kind, body)| format!("{kind} {}", super::hex(body))))
        .collect::<Result<_, _>>()
        .map_err(|e| e.to_string())?;
    Ok(Fields::new().with("number", number).with("frames", frames.join(", ")))
}

/// Ranges are `first-last`, the newest first.
fn encode_ack(f: &Fields) -> Vec<u8> {
    let mut ranges = AckRanges::default();
    for range in f.text("ranges").split(' ') {
        let (first, last) = range.split_once('-').expect("a range is first-last");
        for number in first.parse().expect("a number")..=last.parse::<u64>().expect("a number") {
            let _ = ranges.insert(number);
        }
    }
    let mut buffer = [0xa5; PACKET_BYTES_MAX];
    let mut w = Writer::new(&mut buffer);
    ranges.write(Duration::from_us(f.number("delay_us")), &mut w);
    let written = w.written();
    buffer[..written].to_vec()
}

fn decode_ack(f: &Fields, bytes: &[u8]) -> Result<Fields, String> {
    let ack = Ack::parse(bytes).map_err(|e| e.to_string())?;
    let above: u64 = f.number("upper_half");
    let ranges = ack.ranges(above << 32 | u64::from(ack.largest)).map_err(|e| e.to_string())?;
    let ranges: Vec<String> = ranges.iter().map(|(first, last)| format!("{first}-{last}")).collect();
    let f = Fields::new().with("upper_half", above).with("delay_us", ack.delay.as_us());
    Ok(f.with("ranges", ranges.join(" ")))
}

/// By a link that has so many messages waiting; they share a packet.
fn encode_reliable(f: &Fields) -> Vec<u8> {
    let sequence: u32 = f.number("sequence");
    let message = Message::ChunkEnter { cx: f.number("cx"), cz: f.number("cz") };
    let mut link = Link::<()>::new(Instant::ZERO);
    for _ in 0..sequence {
        link.send_message(&Message::Unknown(200)).expect("there is room");
    }
    link.send_message(&message).expect("there is room");
    let mut buffer = [0; PACKET_BYTES_MAX];
    let built = link.packet(Instant::ZERO, &mut buffer).finish().expect("there is something to say");
    let frames = Frames::new(&buffer[4..built.head_bytes]);
    let (frame, body) = frames.flatten().last().expect("the message was written");
    assert_eq!(frame, kind::RELIABLE);
    body.to_vec()
}

fn decode_reliable(f: &Fields, bytes: &[u8]) -> Result<Fields, String> {
    let sequence = Reader::new(bytes).u32("reliable sequence").unwrap_or_default();
    let mut link = Link::<()>::new(Instant::ZERO);
    let mut packet = 0_u32.to_le_bytes().to_vec();
    for before in 0..sequence.min(100) {
        packet.extend(frame_header(kind::RELIABLE, 5));
        packet.extend(before.to_le_bytes());
        packet.push(200);
    }
    packet.extend(frame_header(kind::RELIABLE, bytes.len()));
    packet.extend(bytes);
    link.handle_packet(Instant::ZERO, &packet).map_err(|e| e.to_string())?;
    let raw = std::iter::from_fn(|| link.poll_message()).last().ok_or("it is kept for later")?;
    let Ok(Message::ChunkEnter { cx, cz }) = Message::decode(&raw) else { panic!("{raw:?} of {f:?}") };
    Ok(Fields::new().with("sequence", sequence).with("kind", raw.kind()).with("cx", cx).with("cz", cz))
}

fn samples() -> Vec<Sample> {
    let packet = |number: u32, frames: &str| Fields::new().with("number", number).with("frames", frames);
    let refused = |case, bytes: &[u8]| Sample::refused("packet", case, Fields::new(), bytes);
    let hello = "17 0x00000000010100010002000000000200";
    let mut all = vec![
        Sample::new("packet", "a client's first: HELLO", packet(0, hello)),
        Sample::new("packet", "PING", packet(7, "18 0x")),
        Sample::new(
            "packet",
            "an unknown frame between two known ones",
            packet(8, "18 0x, 238 0x0708, 18 0x"),
        ),
        refused("shorter than its number", &[1, 2, 3]),
        refused("a frame is cut off", &[0, 0, 0, 0, 0x12, 0, 0, 0x20, 9, 0, 1]),
        refused("a frame's header is cut off", &[0, 0, 0, 0, 0x12, 0]),
        refused("an ACK of what was never sent", &[0, 0, 0, 0, 0x10, 9, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0]),
    ];
    let ack = |upper_half: u64, delay_us: u64, ranges: &str| {
        Fields::new().with("upper_half", upper_half).with("delay_us", delay_us).with("ranges", ranges)
    };
    let given = || Fields::new().with("upper_half", 0);
    let many: Vec<String> = (0..32_u64).rev().map(|n| format!("{}-{}", 3 * n, 3 * n + 1)).collect();
    let refused = |case, bytes: &[u8]| Sample::refused("ACK", case, given(), bytes);
    all.extend([
        Sample::new("ACK", "one packet", ack(0, 0, "0-0")),
        Sample::new("ACK", "three ranges after 80 us", ack(0, 80, "10-10 7-8 1-3")),
        Sample::new("ACK", "above 32 bits, the longest delay", ack(5, 524_280, "21474836485-21474836490")),
        Sample::new("ACK", "32 ranges", ack(0, 8, &many.join(" "))),
        refused("33 ranges", &[0, 0, 0, 0, 0, 0, 32, 0, 0]),
        refused("a gap of none", &[9, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]),
        refused("a range of none", &[9, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0]),
        refused("below packet 0", &[3, 0, 0, 0, 0, 0, 0, 9, 0]),
        refused("a range below packet 0", &[3, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 9, 0]),
        refused("a range is cut off", &[9, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 1]),
    ]);
    let reliable =
        |sequence: u32| Fields::new().with("sequence", sequence).with("kind", 4).with("cx", -1).with("cz", 2);
    let refused = |case, bytes: &[u8]| Sample::refused("RELIABLE", case, Fields::new(), bytes);
    all.extend([
        Sample::new("RELIABLE", "the first message", reliable(0)),
        Sample::new("RELIABLE", "the fourth message", reliable(3)),
        refused("without its kind", &[0, 0, 0, 0]),
        refused("a message of 41 bytes", &[0; 46]),
        refused("further ahead than is kept", &[0, 16, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0]),
    ]);
    all
}
