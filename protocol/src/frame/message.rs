//! What must arrive, once and in order: the messages of the reliable channel.
//!
//! Hello and welcome are the first message in each direction, since the channel is ordered. Kinds are
//! open numbers: an unknown one is delivered as [`Message::Unknown`] and may be ignored.

use super::{ChunkKey, FrameError};
use crate::codec::{Reader, Writer};
use crate::limits::RELIABLE_BODY_BYTES_MAX;

/// The bit in [`Hello::encodings`] of the compiled BSP tree (encoding number 1).
pub const ENCODING_BSP_BIT: u32 = 1 << 1;
/// The bit in [`Hello::encodings`] of the recipe (encoding number 2).
pub const ENCODING_RECIPE_BIT: u32 = 1 << 2;

/// Chunks that a client may offer when it joins.
pub const OFFERS_MAX: u16 = 128;

/// The client's first message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// The oldest protocol version that it speaks.
    pub version_min: u16,
    /// The newest.
    pub version_max: u16,
    /// Chunk encodings that it understands: bit n is encoding n.
    pub encodings: u32,
    /// Chunks that its cache holds.
    pub cache_chunks: u16,
    /// Chunks that it has from an earlier session and offers right behind this, each with a
    /// [`Message::ChunkHave`]; at most [`OFFERS_MAX`].
    pub offers: u16,
}

/// The server's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Welcome {
    /// The protocol version from here on.
    pub version: u16,
    /// Ticks a second.
    pub tick_rate_hz: u16,
    /// The receiver's own index among players.
    pub player: u32,
    /// Names the world: chunks kept from another one are worthless.
    pub world_id: u64,
    /// The tick of this answer.
    pub tick: u64,
    /// Full walking speed, units a second, for a client that predicts.
    pub walk_speed_units_s: u16,
}

/// Why a client is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefuseReason {
    /// No protocol version in common; the server speaks this range.
    Version {
        /// The oldest that the server speaks.
        min: u16,
        /// The newest.
        max: u16,
    },
    /// No chunk encoding in common; the server offers these bits.
    Encoding(u32),
    /// The client sent far more inputs than there were ticks.
    Flood,
}

/// After the words "the server".
impl std::fmt::Display for RefuseReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RefuseReason::Version { min, max } if min == max => write!(f, "speaks protocol version {min}"),
            RefuseReason::Version { min, max } => write!(f, "speaks protocol versions {min} to {max}"),
            RefuseReason::Encoding(bits) => {
                write!(f, "offers the chunk encodings {bits:#b} (bit n is encoding n)")
            }
            RefuseReason::Flood => write!(f, "got far more inputs than there were ticks"),
        }
    }
}

/// Why a chunk cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnavailableReason {
    /// It could not be made; an empty, safe chunk stands in for it.
    Failed,
    /// A reason that this version does not know.
    Other(u8),
}

/// A chunk at a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkAt {
    /// Which.
    pub key: ChunkKey,
    /// Its version.
    pub version: u32,
}

/// A message of the reliable channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// Client: who I am.
    Hello(Hello),
    /// Server: you are in.
    Welcome(Welcome),
    /// Server: you are not let in.
    Refuse(RefuseReason),
    /// Server: you stand in another chunk now.
    ChunkEnter {
        /// Chunk.
        cx: i32,
        /// Chunk.
        cz: i32,
    },
    /// Server: this chunk cannot be had.
    ChunkUnavailable(ChunkAt, UnavailableReason),
    /// Client: I threw this one away.
    ChunkForget(ChunkAt),
    /// Client: I want this one again.
    ChunkRequest(ChunkKey),
    /// Client: I have this one from an earlier session.
    ChunkHave {
        /// Which.
        key: ChunkKey,
        /// The low 64 bits of its content hash.
        content_hash: u64,
    },
    /// Server: what you have of this one is right; take it as this version.
    ChunkKnown(ChunkAt),
    /// A kind that this version does not know.
    Unknown(u8),
}

/// A message as bytes: its kind and its body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RawMessage {
    kind: u8,
    length: u8,
    bytes: [u8; RELIABLE_BODY_BYTES_MAX],
}

pub(crate) const HELLO: u8 = 1;
pub(crate) const WELCOME: u8 = 2;
pub(crate) const REFUSE: u8 = 3;
pub(crate) const CHUNK_ENTER: u8 = 4;
pub(crate) const CHUNK_UNAVAILABLE: u8 = 5;
pub(crate) const CHUNK_FORGET: u8 = 6;
pub(crate) const CHUNK_REQUEST: u8 = 7;
pub(crate) const CHUNK_HAVE: u8 = 8;
pub(crate) const CHUNK_KNOWN: u8 = 9;

pub(crate) const REFUSE_VERSION: u8 = 1;
pub(crate) const REFUSE_ENCODING: u8 = 2;
pub(crate) const REFUSE_FLOOD: u8 = 3;
pub(crate) const UNAVAILABLE_FAILED: u8 = 1;

impl RawMessage {
    /// A message of any kind; `None` when the body is over [`RELIABLE_BODY_BYTES_MAX`].
    pub fn new(kind: u8, body: &[u8]) -> Option<Self> {
        let mut bytes = [0; RELIABLE_BODY_BYTES_MAX];
        bytes.get_mut(..body.len())?.copy_from_slice(body);
        Some(RawMessage { kind, length: body.len() as u8, bytes })
    }

    /// Its kind.
    pub const fn kind(&self) -> u8 {
        self.kind
    }

    /// Its body.
    pub fn body(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl std::fmt::Debug for RawMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RawMessage({}, {:02x?})", self.kind, self.body())
    }
}

impl Message {
    /// The message as bytes. An unknown one is its kind with no body.
    pub fn encode(&self) -> RawMessage {
        let mut bytes = [0; RELIABLE_BODY_BYTES_MAX];
        let mut w = Writer::new(&mut bytes);
        let kind = match *self {
            Message::Hello(h) => {
                w.u16(h.version_min).u16(h.version_max).u32(h.encodings).u16(h.cache_chunks).u16(h.offers);
                HELLO
            }
            Message::Welcome(m) => {
                w.u16(m.version).u16(m.tick_rate_hz).u32(m.player).u64(m.world_id).u64(m.tick);
                w.u16(m.walk_speed_units_s);
                WELCOME
            }
            Message::Refuse(RefuseReason::Version { min, max }) => {
                w.u8(REFUSE_VERSION).u16(min).u16(max);
                REFUSE
            }
            Message::Refuse(RefuseReason::Encoding(bits)) => {
                w.u8(REFUSE_ENCODING).u32(bits);
                REFUSE
            }
            Message::Refuse(RefuseReason::Flood) => {
                w.u8(REFUSE_FLOOD);
                REFUSE
            }
            Message::ChunkEnter { cx, cz } => {
                w.i32(cx).i32(cz);
                CHUNK_ENTER
            }
            Message::ChunkUnavailable(at, reason) => {
                write_at(&mut w, at).u8(match reason {
                    UnavailableReason::Failed => UNAVAILABLE_FAILED,
                    UnavailableReason::Other(n) => n,
                });
                CHUNK_UNAVAILABLE
            }
            Message::ChunkForget(at) => {
                write_at(&mut w, at);
                CHUNK_FORGET
            }
            Message::ChunkRequest(key) => {
                w.i32(key.cx).i32(key.cy).i32(key.cz);
                CHUNK_REQUEST
            }
            Message::ChunkHave { key, content_hash } => {
                w.i32(key.cx).i32(key.cy).i32(key.cz).u64(content_hash);
                CHUNK_HAVE
            }
            Message::ChunkKnown(at) => {
                write_at(&mut w, at);
                CHUNK_KNOWN
            }
            Message::Unknown(kind) => kind,
        };
        let length = w.written() as u8;
        RawMessage { kind, length, bytes }
    }

    /// Reads a message; bytes after the known fields are a newer version's and are ignored.
    pub fn decode(raw: &RawMessage) -> Result<Message, FrameError> {
        let mut r = Reader::new(raw.body());
        Ok(match raw.kind {
            HELLO => Message::Hello(Hello {
                version_min: r.u16("hello version_min")?,
                version_max: r.u16("hello version_max")?,
                encodings: r.u32("hello encodings")?,
                cache_chunks: r.u16("hello cache_chunks")?,
                // Version 1 had none, and must be told so in words.
                offers: if r.is_empty() { 0 } else { r.u16("hello offers")? },
            }),
            WELCOME => Message::Welcome(Welcome {
                version: r.u16("welcome version")?,
                tick_rate_hz: r.u16("welcome tick_rate_hz")?,
                player: r.u32("welcome player")?,
                world_id: r.u64("welcome world_id")?,
                tick: r.u64("welcome tick")?,
                walk_speed_units_s: r.u16("welcome walk_speed_units_s")?,
            }),
            REFUSE => Message::Refuse(read_refuse(&mut r)?),
            CHUNK_ENTER => Message::ChunkEnter { cx: r.i32("chunk enter cx")?, cz: r.i32("chunk enter cz")? },
            CHUNK_UNAVAILABLE => {
                let at = read_at(&mut r)?;
                let reason = match r.u8("chunk unavailable reason")? {
                    UNAVAILABLE_FAILED => UnavailableReason::Failed,
                    n => UnavailableReason::Other(n),
                };
                Message::ChunkUnavailable(at, reason)
            }
            CHUNK_FORGET => Message::ChunkForget(read_at(&mut r)?),
            CHUNK_REQUEST => Message::ChunkRequest(read_key(&mut r)?),
            CHUNK_HAVE => {
                Message::ChunkHave { key: read_key(&mut r)?, content_hash: r.u64("chunk have content_hash")? }
            }
            CHUNK_KNOWN => Message::ChunkKnown(read_at(&mut r)?),
            kind => Message::Unknown(kind),
        })
    }
}

fn read_refuse(r: &mut Reader<'_>) -> Result<RefuseReason, FrameError> {
    match r.u8("refuse reason")? {
        REFUSE_VERSION => Ok(RefuseReason::Version { min: r.u16("refuse min")?, max: r.u16("refuse max")? }),
        REFUSE_ENCODING => Ok(RefuseReason::Encoding(r.u32("refuse encodings")?)),
        REFUSE_FLOOD => Ok(RefuseReason::Flood),
        n => Err(FrameError::Value { frame: "refuse", field: "reason", value: n.into() }),
    }
}

fn read_key(r: &mut Reader<'_>) -> Result<ChunkKey, FrameError> {
    Ok(ChunkKey { cx: r.i32("chunk cx")?, cy: r.i32("chunk cy")?, cz: r.i32("chunk cz")? })
}

fn read_at(r: &mut Reader<'_>) -> Result<ChunkAt, FrameError> {
    Ok(ChunkAt { key: read_key(r)?, version: r.u32("chunk version")? })
}

fn write_at<'w, 'b>(w: &'w mut Writer<'b>, at: ChunkAt) -> &'w mut Writer<'b> {
    w.i32(at.key.cx).i32(at.key.cy).i32(at.key.cz).u32(at.version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: ChunkKey = ChunkKey { cx: -1, cy: 0, cz: 7 };

    #[test]
    fn chunk_enter_is_eight_bytes() {
        let raw = Message::ChunkEnter { cx: -1, cz: 2 }.encode();
        assert_eq!((raw.kind(), raw.body()), (4, &[0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0][..]));
    }

    #[test]
    fn every_message_survives_the_trip() {
        let at = ChunkAt { key: KEY, version: 3 };
        let hello = Hello { version_min: 1, version_max: 2, encodings: 6, cache_chunks: 512, offers: 3 };
        let welcome = Welcome {
            version: 1,
            tick_rate_hz: 60,
            player: 8,
            world_id: 9,
            tick: 1 << 40,
            walk_speed_units_s: 320,
        };
        for message in [
            Message::Hello(hello),
            Message::Welcome(welcome),
            Message::Refuse(RefuseReason::Version { min: 1, max: 2 }),
            Message::Refuse(RefuseReason::Encoding(2)),
            Message::ChunkEnter { cx: i32::MIN, cz: i32::MAX },
            Message::ChunkUnavailable(at, UnavailableReason::Failed),
            Message::ChunkUnavailable(at, UnavailableReason::Other(77)),
            Message::ChunkForget(at),
            Message::ChunkRequest(KEY),
            Message::Refuse(RefuseReason::Flood),
            Message::ChunkHave { key: KEY, content_hash: u64::MAX - 1 },
            Message::ChunkKnown(at),
            Message::Unknown(200),
        ] {
            assert_eq!(Message::decode(&message.encode()), Ok(message));
        }
    }

    #[test]
    fn a_refusal_can_be_read() {
        let versions = |min, max| RefuseReason::Version { min, max }.to_string();
        assert_eq!(versions(3, 3), "speaks protocol version 3");
        assert_eq!(versions(3, 5), "speaks protocol versions 3 to 5");
        let encodings = RefuseReason::Encoding(6).to_string();
        assert_eq!(encodings, "offers the chunk encodings 0b110 (bit n is encoding n)");
    }

    #[test]
    fn a_short_message_names_the_field() {
        let raw = RawMessage::new(CHUNK_ENTER, &[0; 6]).unwrap();
        let error = Message::decode(&raw).unwrap_err();
        assert_eq!(error.to_string(), "the input ends inside `chunk enter cz`: 4 bytes wanted, 2 left");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(kind: u8, body in proptest::collection::vec(any::<u8>(), 0..40)) {
            let raw = RawMessage::new(kind, &body).unwrap();
            if let Ok(message) = Message::decode(&raw) {
                prop_assert_eq!(Message::decode(&message.encode()), Ok(message));
            }
        }
    }
}
