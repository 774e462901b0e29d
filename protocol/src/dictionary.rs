//! The wire as data: every packet, frame and message with its fields in order, every class of a snapshot, every
//! refusal, limit and timer of this crate.
//!
//! Numbers come from the constants that the code itself uses. That the fields are the code's is held by the golden
//! bytes: tests read each of them by these tables and compare the values. The tables of docs/protocol.md and of the
//! Wireshark dissector are written from here.

use crate::connection::limits as connection;
use crate::connection::packet::Kind as PacketKind;
use crate::frame::{self, kind, message};
use crate::limits;
use crate::link::rtt::ACK_DELAY_MAX;
use crate::snapshot::{self, coding};

/// How a field is written; all little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    /// One byte.
    U8,
    /// One byte, two's complement.
    I8,
    /// Two bytes.
    U16,
    /// Two bytes, two's complement.
    I16,
    /// Four bytes.
    U32,
    /// Four bytes, two's complement.
    I32,
    /// Eight bytes.
    U64,
}

impl Scalar {
    /// Its length.
    pub const fn bytes(self) -> usize {
        match self {
            Scalar::U8 | Scalar::I8 => 1,
            Scalar::U16 | Scalar::I16 => 2,
            Scalar::U32 | Scalar::I32 => 4,
            Scalar::U64 => 8,
        }
    }

    /// Its name, as Rust has it.
    pub const fn name(self) -> &'static str {
        match self {
            Scalar::U8 => "u8",
            Scalar::I8 => "i8",
            Scalar::U16 => "u16",
            Scalar::I16 => "i16",
            Scalar::U32 => "u32",
            Scalar::I32 => "i32",
            Scalar::U64 => "u64",
        }
    }

    /// The number that the first bytes of `bytes` are; `None` where they are too few.
    pub fn read(self, bytes: &[u8]) -> Option<i128> {
        let mut wide = [0; 16];
        wide[..self.bytes()].copy_from_slice(bytes.get(..self.bytes())?);
        let value = i128::from_le_bytes(wide);
        let bits = 8 * self.bytes() as u32;
        let is_signed = matches!(self, Scalar::I8 | Scalar::I16 | Scalar::I32);
        Some(if is_signed { value << (128 - bits) >> (128 - bits) } else { value })
    }
}

/// One field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name, as in the golden bytes.
    pub name: &'static str,
    /// How it is written.
    pub scalar: Scalar,
    /// What it means.
    pub about: &'static str,
}

const fn field(name: &'static str, scalar: Scalar, about: &'static str) -> Field {
    Field { name, scalar, about }
}

/// Who sends something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// Clients.
    Client,
    /// The server.
    Server,
    /// Either.
    Both,
}

impl From {
    /// In a word.
    pub const fn name(self) -> &'static str {
        match self {
            From::Client => "client",
            From::Server => "server",
            From::Both => "both",
        }
    }
}

/// Something with a number, a name and a layout.
#[derive(Debug, Clone, Copy)]
pub struct Unit {
    /// Its number on the wire.
    pub number: u8,
    /// Its name.
    pub name: &'static str,
    /// Who sends it.
    pub from: From,
    /// The fields with which its body begins.
    pub fields: &'static [Field],
    /// What follows them; empty: nothing.
    pub rest: &'static str,
    /// What it is for.
    pub about: &'static str,
}

use Scalar::{I8, I16, I32, U8, U16, U32, U64};

const fn unit(
    number: u8,
    name: &'static str,
    from: From,
    fields: &'static [Field],
    rest: &'static str,
    about: &'static str,
) -> Unit {
    Unit { number, name, from, fields, rest, about }
}

/// The packets of a connection over UDP: NETCODE's, then ours.
pub const PACKETS: &[Unit] = &[
    unit(
        PacketKind::Request as u8,
        "REQUEST",
        From::Client,
        &[],
        "version, protocol id, expiry, nonce, private token",
        "let me in",
    ),
    unit(PacketKind::Denied as u8, "DENIED", From::Server, &[], "", "the server is full"),
    unit(
        PacketKind::Challenge as u8,
        "CHALLENGE",
        From::Server,
        &[],
        "challenge sequence u64, challenge token, 300 bytes",
        "show that you get this",
    ),
    unit(
        PacketKind::Response as u8,
        "RESPONSE",
        From::Client,
        &[],
        "challenge sequence u64, challenge token, 300 bytes",
        "I got this",
    ),
    unit(
        PacketKind::KeepAlive as u8,
        "KEEP_ALIVE",
        From::Both,
        &[],
        "slot u32, slots u32",
        "I am here; the server's first one lets in",
    ),
    unit(PacketKind::Payload as u8, "PAYLOAD", From::Both, &[], "a packet of the link", "1 to 1,200 bytes"),
    unit(PacketKind::Disconnect as u8, "DISCONNECT", From::Both, &[], "", "goodbye, ten times"),
    unit(
        PacketKind::AesPayload as u8,
        "AES_PAYLOAD",
        From::Both,
        &[],
        "a packet of the link",
        "the same, sealed with AES-128-GCM",
    ),
    unit(
        PacketKind::PathChallenge as u8,
        "PATH_CHALLENGE",
        From::Server,
        &[],
        "8 bytes",
        "are you at this address?",
    ),
    unit(
        PacketKind::PathResponse as u8,
        "PATH_RESPONSE",
        From::Client,
        &[],
        "those 8 bytes",
        "yes; with a connection id, as all that follow",
    ),
    unit(PacketKind::NamedKeepAlive as u8, "NAMED_KEEP_ALIVE", From::Client, &[], "slot u32, slots u32", ""),
    unit(PacketKind::NamedPayload as u8, "NAMED_PAYLOAD", From::Client, &[], "a packet of the link", ""),
    unit(
        PacketKind::NamedAesPayload as u8,
        "NAMED_AES_PAYLOAD",
        From::Client,
        &[],
        "a packet of the link",
        "sealed with AES-128-GCM",
    ),
    unit(PacketKind::NamedDisconnect as u8, "NAMED_DISCONNECT", From::Client, &[], "", ""),
];

/// The frames of a packet of the link, but for those that version 2 no longer has.
pub const FRAMES: &[Unit] = &[
    unit(
        kind::ACK,
        "ACK",
        From::Both,
        &[
            field("largest", U32, "the low half of the newest packet number received"),
            field("delay", U16, "how long ago it came, 8 us"),
            field("more", U8, "ranges that follow, at most 31"),
            field("first", U16, "packets just below `largest` that were received too"),
        ],
        "`more` times `gap u16, length u16`",
        "which packets came",
    ),
    unit(
        kind::RELIABLE,
        "RELIABLE",
        From::Both,
        &[
            field("sequence", U32, "counts the messages of one direction from 0"),
            field("kind", U8, "which message"),
        ],
        "the message, at most 40 bytes",
        "a message that arrives, once and in order",
    ),
    unit(kind::PING, "PING", From::Both, &[], "padding, which says nothing", "asks for an acknowledgement"),
    unit(
        kind::FRAGMENT,
        "FRAGMENT",
        From::Server,
        &[
            field("id", U32, "XXH32, seed 0, over `cy, cx, cz` as i32"),
            field("cx", I32, "chunk"),
            field("cy", I32, "floor, 0"),
            field("cz", I32, "chunk"),
            field("version", U32, "the chunk's; a newer one replaces an unfinished older one"),
            field("index", U16, "this fragment"),
            field("count", U16, "fragments of the chunk, 1 to 256"),
            field("kind", U8, "0: BSP"),
            field("encoding", U8, "1: tree, 2: recipe"),
            field("flags", U8, "0, or 1: parity"),
            field("length", U16, "payload bytes that follow; with parity those of the chunk's last payload"),
        ],
        "the payload, 1,150 bytes but for the last one",
        "a slice of a chunk",
    ),
    unit(
        kind::INPUTS,
        "INPUTS",
        From::Client,
        &[
            field("newest", U32, "the number of the newest input; inputs count from 1"),
            field("count", U8, "inputs in this frame, 1 to 32, the oldest first"),
        ],
        "`count` times `changed u8, [move_x i16, move_z i16], [yaw u16], [buttons u16]`",
        "what the player wants, tick by tick",
    ),
    unit(
        kind::SNAPSHOT,
        "SNAPSHOT",
        From::Server,
        &[
            field("tick", U32, "the low half of the server's tick"),
            field(
                "baseline",
                U8,
                "it leads from the snapshot so many ticks before, 1 to 63; 0: from nothing. With 128 added it is incomplete: not everything that has changed had room in it",
            ),
            field(
                "input",
                U16,
                "the low half of the number of the newest input that is in it, 0 before the first",
            ),
            field("lead_half_ms", I8, "how early inputs come, 0.5 ms: the least of the last second"),
        ],
        "bits",
        "what is around the player",
    ),
    unit(
        kind::EVENT,
        "EVENT",
        From::Server,
        &[
            field("number", U16, "counts the events that this client is told of, from 0, wrapping"),
            field("kind", U16, "what happened: 1 a door was opened, 2 closed; from 256 on the game's"),
            field("tick", U32, "when: the low half of the tick"),
            field("cx", I32, "where: chunk"),
            field("cz", I32, "where: chunk"),
            field("x", U16, "eastward in the chunk, 1/64 unit"),
            field("y", I16, "upward, 1/64 unit"),
            field("z", U16, "southward in the chunk, 1/64 unit"),
            field("reserved", U16, "0"),
            field("value", U32, "more about it: the door's index in its chunk"),
        ],
        "",
        "something happened",
    ),
];

const CX: Field = field("cx", I32, "chunk");
const CY: Field = field("cy", I32, "floor, 0");
const CZ: Field = field("cz", I32, "chunk");
const VERSION: Field = field("version", U32, "the chunk's");
const CHUNK_AT: &[Field] = &[CX, CY, CZ, VERSION];

/// The messages of the reliable channel.
pub const MESSAGES: &[Unit] = &[
    unit(
        message::HELLO,
        "HELLO",
        From::Client,
        &[
            field("version_min", U16, "the oldest version of the protocol that the client speaks"),
            field("version_max", U16, "the newest"),
            field("encodings", U32, "chunk encodings that it understands: bit n is encoding n"),
            field("cache_chunks", U16, "chunks that it keeps"),
            field("offers", U16, "CHUNK_HAVE messages that follow, at most 128; may be missing: 0"),
        ],
        "",
        "the first message",
    ),
    unit(
        message::WELCOME,
        "WELCOME",
        From::Server,
        &[
            field("version", U16, "the version of the protocol from here on"),
            field("tick_rate_hz", U16, "ticks a second"),
            field("player", U32, "the client's slot among players"),
            field("world_id", U64, "names the world: chunks kept from another are worthless"),
            field("tick", U64, "the tick of this answer"),
            field("walk_speed_units_s", U16, "full walking speed, units a second"),
        ],
        "",
        "you are in",
    ),
    unit(
        message::REFUSE,
        "REFUSE",
        From::Server,
        &[field("reason", U8, "why")],
        "by reason",
        "you are not, or no longer, let in; the server ends the session",
    ),
    unit(
        message::CHUNK_ENTER,
        "CHUNK_ENTER",
        From::Server,
        &[field("cx", I32, "chunk"), field("cz", I32, "chunk")],
        "",
        "you stand in this chunk now: it and the eight around it are your ring",
    ),
    unit(
        message::CHUNK_UNAVAILABLE,
        "CHUNK_UNAVAILABLE",
        From::Server,
        &[CX, CY, CZ, VERSION, field("reason", U8, "1: it could not be made")],
        "",
        "this one cannot be had; take a flat, open chunk for it",
    ),
    unit(message::CHUNK_FORGET, "CHUNK_FORGET", From::Client, CHUNK_AT, "", "I threw this one away"),
    unit(
        message::CHUNK_REQUEST,
        "CHUNK_REQUEST",
        From::Client,
        &[CX, CY, CZ],
        "",
        "send this one of the ring again",
    ),
    unit(
        message::CHUNK_HAVE,
        "CHUNK_HAVE",
        From::Client,
        &[
            CX,
            CY,
            CZ,
            field(
                "content_hash",
                U64,
                "the low half of its content hash, the first 8 bytes of it in the header",
            ),
        ],
        "",
        "I have this one from an earlier session; only right behind HELLO, as many as it says",
    ),
    unit(
        message::CHUNK_KNOWN,
        "CHUNK_KNOWN",
        From::Server,
        CHUNK_AT,
        "",
        "what you have of this one is right: it is not sent, take it as this version",
    ),
];

/// The reasons of [`MESSAGES`]' REFUSE, each with what follows it.
pub const REFUSALS: &[Unit] = &[
    unit(
        message::REFUSE_VERSION,
        "VERSION",
        From::Server,
        &[field("min", U16, "the oldest version that the server speaks"), field("max", U16, "the newest")],
        "",
        "no version in common",
    ),
    unit(
        message::REFUSE_ENCODING,
        "ENCODING",
        From::Server,
        &[field("encodings", U32, "chunk encodings that the server has: bit n is encoding n")],
        "",
        "no chunk encoding in common; every client must understand encoding 1",
    ),
    unit(message::REFUSE_FLOOD, "FLOOD", From::Server, &[], "", "far more inputs than there were ticks"),
];

/// A number of a snapshot that says its class first.
#[derive(Debug, Clone, Copy)]
pub struct Classed {
    /// What it is called in the description of the bits.
    pub name: &'static str,
    /// Its widths, class by class, in bits.
    pub widths: &'static [u32],
    /// Whether it is two's complement.
    pub signed: bool,
    /// What it is.
    pub about: &'static str,
}

const fn classed(name: &'static str, widths: &'static [u32], signed: bool, about: &'static str) -> Classed {
    Classed { name, widths, signed, about }
}

/// The numbers of a snapshot that have classes.
pub const CLASSES: &[Classed] = &[
    classed("OWN_PLACE", &coding::OWN_PLACE, true, "how far the own mover came along one axis, 1/1024 unit"),
    classed(
        "OWN_HEIGHT",
        &coding::OWN_HEIGHT,
        true,
        "how its height or its speed upward changed, 1/1024 unit (per second)",
    ),
    classed("VELOCITY", &coding::VELOCITY, true, "how a speed changed, 1/16 unit per second"),
    classed("HEIGHT", &coding::HEIGHT, true, "the height, less where it was expected, 1/64 unit"),
    classed("YAW", &coding::YAW, true, "how the yaw changed, modulo 1,024"),
    classed("STATE", &coding::STATE, false, "the bits of `state` that changed"),
    classed("PLACE", &coding::PLACE, true, "a place, less where it was expected, 1/64 unit"),
    classed("INDEX_GAP", &coding::INDEX_GAP, false, "an entered index, less the least that it can be"),
    classed("ID", &coding::ID, false, "who it is"),
    classed("KIND", &coding::KIND, false, "what it is"),
    classed("ENTERED_HEIGHT", &coding::ENTERED_HEIGHT, true, "its height, 1/64 unit"),
    classed("ENTERED_VELOCITY", &coding::ENTERED_VELOCITY, true, "its speeds, 1/16 unit per second"),
];

/// A bound or a time.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// What it bounds.
    pub about: &'static str,
    /// How much.
    pub value: u64,
    /// Of what.
    pub unit: &'static str,
    /// What happens at it.
    pub then: &'static str,
}

const fn bound(about: &'static str, value: u64, unit: &'static str, then: &'static str) -> Bound {
    Bound { about, value, unit, then }
}

/// The bounds of the wire.
pub const LIMITS: &[Bound] = &[
    bound("a packet of the link", limits::PACKET_BYTES_MAX as u64, "bytes", "it is refused"),
    bound(
        "a reliable message's body",
        limits::RELIABLE_BODY_BYTES_MAX as u64,
        "bytes",
        "the packet is refused",
    ),
    bound(
        "reliable messages ahead of the next expected one",
        limits::RELIABLE_WINDOW as u64,
        "messages",
        "the packet is refused",
    ),
    bound(
        "ranges of one acknowledgement",
        limits::ACK_RANGES_MAX as u64,
        "ranges",
        "older ones are forgotten and count as lost",
    ),
    bound(
        "packets that a sender remembers",
        limits::SENT_PACKETS_MAX as u64,
        "packets",
        "the oldest counts as lost",
    ),
    bound("inputs in one frame", frame::INPUTS_PER_FRAME_MAX as u64, "inputs", "the frame is refused"),
    bound("a snapshot's baseline", snapshot::BASELINE_TICKS_MAX as u64, "ticks", "the frame is refused"),
    bound(
        "entities in one snapshot",
        snapshot::ENTITIES_PER_SNAPSHOT_MAX as u64,
        "entities",
        "the server tells of the nearest; more are refused",
    ),
    bound(
        "chunks offered by HELLO",
        frame::OFFERS_MAX as u64,
        "chunks",
        "further ones are refused and counted",
    ),
    bound(
        "fragments of one chunk",
        limits::FRAGMENTS_PER_CHUNK_MAX as u64,
        "fragments",
        "the frame is refused",
    ),
    bound("a fragment's payload", limits::FRAGMENT_PAYLOAD_BYTES as u64, "bytes", "the frame is refused"),
    bound(
        "unfinished chunks",
        limits::REASSEMBLY_BYTES_MAX as u64,
        "bytes",
        "fragments of further chunks are refused",
    ),
];

/// The times of the link and the connection.
pub const TIMERS: &[Bound] = &[
    bound(
        "keep-alive, and a handshake packet again",
        connection::KEEP_ALIVE.as_us() / 1_000,
        "ms",
        "when nothing else was sent",
    ),
    bound(
        "slow keep-alive",
        connection::SLOW_KEEP_ALIVE.as_us() / 1_000,
        "ms",
        "the same between ends whose token allows it",
    ),
    bound(
        "a path's challenge",
        connection::PATH_CHALLENGE_TIME_MAX.as_us() / 1_000,
        "ms",
        "the session stays where it was",
    ),
    bound("a handshake", connection::HANDSHAKE_TIME_MAX.as_us() / 1_000, "ms", "forgotten"),
    bound(
        "delay of an acknowledgement that is believed",
        ACK_DELAY_MAX.as_us() / 1_000,
        "ms",
        "the rest counts as the line's",
    ),
    bound(
        "an unfinished chunk without progress",
        limits::REASSEMBLY_IDLE_MAX.as_us() / 1_000,
        "ms",
        "its fragments are dropped",
    ),
];

#[cfg(test)]
mod tests;
