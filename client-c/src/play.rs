//! Input, events, positions, entities, figures.

use ninefold_client::protocol::connection::ClientState;
use ninefold_client::world::{ChunkCoord, Position};
use ninefold_client::{EndReason, Event};

use crate::border::{self, Sized32};
use crate::handle::{Inner, NinefoldClient, enter};
use crate::status::{Failure, NinefoldStatus, Outcome};

/// A `waited_us` of a chunk that was not awaited.
pub const NINEFOLD_NOT_AWAITED: u64 = u64::MAX;

/// What happened. More kinds may come: ignore those that you do not know.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NinefoldEventKind {
    /// Nothing.
    None = 0,
    /// The server let us in: `tick_rate_hz`, `player`, `world_id`, `tick`.
    Welcome = 1,
    /// The player stands in another chunk, `cx` and `cz`; `is_present` says whether it is here.
    Entered = 2,
    /// A chunk is here: `cx`, `cz`, `version`, `encoded_bytes`, `waited_us`.
    ChunkReady = 3,
    /// A chunk, `cx` and `cz`, cannot be had; a flat, safe one stands in for it.
    ChunkUnavailable = 4,
    /// The session is over: `end`. ninefold_client_error has words.
    Ended = 5,
}

/// Why a session ended.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NinefoldEnd {
    /// It has not.
    None = 0,
    /// The token expired before a server let us in.
    TokenExpired = 1,
    /// No server answered.
    NoAnswer = 2,
    /// The server has no room.
    Denied = 3,
    /// Nothing was heard for as long as the token allows.
    TimedOut = 4,
    /// One side said goodbye.
    Disconnected = 5,
    /// The server closed the connection, or did not take the token.
    Closed = 6,
    /// The server does not let this client in: another version, or too many inputs.
    Refused = 7,
    /// The server no longer acknowledges what this client says.
    Unresponsive = 8,
}

impl NinefoldEnd {
    fn of(reason: EndReason) -> NinefoldEnd {
        match reason {
            EndReason::Connection(ClientState::TokenExpired) => Self::TokenExpired,
            EndReason::Connection(ClientState::RequestTimedOut | ClientState::ResponseTimedOut) => {
                Self::NoAnswer
            }
            EndReason::Connection(ClientState::ConnectionDenied) => Self::Denied,
            EndReason::Connection(ClientState::TimedOut) => Self::TimedOut,
            EndReason::Connection(_) => Self::Disconnected,
            EndReason::Closed(_) => Self::Closed,
            EndReason::Refused(_) | EndReason::Version(_) => Self::Refused,
            EndReason::Unresponsive => Self::Unresponsive,
        }
    }
}

/// Something that happened. Fields that are not of its kind are 0.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct NinefoldEvent {
    /// sizeof(NinefoldEvent), set by the program before each call.
    pub size: u32,
    /// What happened.
    pub kind: NinefoldEventKind,
    /// The chunk's column.
    pub cx: i32,
    /// The chunk's row.
    pub cz: i32,
    /// The chunk's version.
    pub version: u32,
    /// 1 if the chunk that was entered is here.
    pub is_present: u32,
    /// Bytes that the chunk had on the wire; 0 if it came from the store.
    pub encoded_bytes: u64,
    /// How long the chunk was awaited, microseconds, or NINEFOLD_NOT_AWAITED.
    pub waited_us: u64,
    /// Why the session ended.
    pub end: NinefoldEnd,
    /// The server's ticks a second.
    pub tick_rate_hz: u32,
    /// Which world it is: the same number, the same chunks.
    pub world_id: u64,
    /// The server's tick when it let us in.
    pub tick: u64,
    /// Our number among the players.
    pub player: u32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: repr(C), `size` first, integers and enums of which 0 is one.
unsafe impl Sized32 for NinefoldEvent {
    const SIZE_MIN: usize = std::mem::offset_of!(Self, player) + 4;
    fn set_size(&mut self, size: u32) {
        self.size = size;
    }
}

impl NinefoldEvent {
    const EMPTY: NinefoldEvent = NinefoldEvent {
        size: 0,
        kind: NinefoldEventKind::None,
        cx: 0,
        cz: 0,
        version: 0,
        is_present: 0,
        encoded_bytes: 0,
        waited_us: 0,
        end: NinefoldEnd::None,
        tick_rate_hz: 0,
        world_id: 0,
        tick: 0,
        player: 0,
        reserved: 0,
    };

    fn at(kind: NinefoldEventKind, coord: ChunkCoord) -> NinefoldEvent {
        NinefoldEvent { kind, cx: coord.cx, cz: coord.cz, ..Self::EMPTY }
    }

    fn of(event: &Event) -> NinefoldEvent {
        match event {
            Event::Welcome(welcome) => NinefoldEvent {
                kind: NinefoldEventKind::Welcome,
                tick_rate_hz: welcome.tick_rate_hz.into(),
                world_id: welcome.world_id,
                tick: welcome.tick,
                player: welcome.player,
                ..Self::EMPTY
            },
            Event::Entered { coord, present } => NinefoldEvent {
                is_present: (*present).into(),
                ..Self::at(NinefoldEventKind::Entered, *coord)
            },
            Event::ChunkReady { chunk, version, encoded_bytes, waited } => NinefoldEvent {
                version: *version,
                encoded_bytes: *encoded_bytes as u64,
                waited_us: waited.map_or(NINEFOLD_NOT_AWAITED, |waited| waited.as_us()),
                ..Self::at(NinefoldEventKind::ChunkReady, chunk.coord())
            },
            Event::ChunkUnavailable { chunk } => Self::at(NinefoldEventKind::ChunkUnavailable, chunk.coord()),
            Event::Ended(reason) => {
                NinefoldEvent { kind: NinefoldEventKind::Ended, end: NinefoldEnd::of(*reason), ..Self::EMPTY }
            }
        }
    }
}

/// The next event. Call it until it returns NINEFOLD_STATUS_NOTHING.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ninefold_client_poll_event(
    client: *mut NinefoldClient,
    event: *mut NinefoldEvent,
) -> NinefoldStatus {
    let poll = |inner: &mut Inner| -> Outcome {
        // SAFETY: the caller's promise. Before the event is taken, so that it is not lost to a mistake.
        unsafe { border::size_of_theirs(event, "event")? };
        let polled = inner.client_mut().poll_event();
        if let Some(Event::Ended(reason)) = &polled {
            inner.set_error(reason);
        }
        let told = polled.as_ref().map_or(NinefoldEvent::EMPTY, NinefoldEvent::of);
        // SAFETY: the caller's promise.
        unsafe { border::write(event, told, "event")? };
        Ok(if polled.is_some() { NinefoldStatus::Ok } else { NinefoldStatus::Nothing })
    };
    // SAFETY: the caller's promise.
    unsafe { enter(client, poll) }
}

/// Says what the player wants from now on: a wish of -1 to 1 eastward and southward, where it looks (65,536 to the
/// full turn, 0 is east, a quarter is south). Goes out with the next step.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ninefold_client_set_input(
    client: *mut NinefoldClient,
    move_x: f64,
    move_z: f64,
    yaw: u16,
) -> NinefoldStatus {
    let set = |inner: &mut Inner| -> Outcome {
        if !(move_x.is_finite() && move_z.is_finite()) {
            return Err(Failure::new(NinefoldStatus::Argument, "move_x and move_z must be finite numbers"));
        }
        inner.client_mut().send_input(move_x, move_z, yaw);
        Ok(NinefoldStatus::Ok)
    };
    // SAFETY: the caller's promise.
    unsafe { enter(client, set) }
}

/// Where the player is.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct NinefoldOwn {
    /// sizeof(NinefoldOwn), set by the program.
    pub size: u32,
    /// The column of the chunk that it stands in.
    pub cx: i32,
    /// Its row.
    pub cz: i32,
    /// 0.
    pub reserved: u32,
    /// Eastward in the world, units.
    pub x: f64,
    /// Upward.
    pub y: f64,
    /// Southward.
    pub z: f64,
}

// SAFETY: repr(C), `size` first, plain numbers.
unsafe impl Sized32 for NinefoldOwn {
    const SIZE_MIN: usize = std::mem::offset_of!(Self, z) + 8;
    fn set_size(&mut self, size: u32) {
        self.size = size;
    }
}

/// Where the player is. NINEFOLD_STATUS_NOTHING before it is in the world.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ninefold_client_own(
    client: *mut NinefoldClient,
    own: *mut NinefoldOwn,
) -> NinefoldStatus {
    let tell = |inner: &mut Inner| -> Outcome {
        let Some(local) = inner.client().position() else { return Ok(NinefoldStatus::Nothing) };
        let Position { x, y, z } = local.into();
        let ChunkCoord { cx, cz } = local.chunk;
        // SAFETY: the caller's promise.
        unsafe { border::write(own, NinefoldOwn { size: 0, cx, cz, reserved: 0, x, y, z }, "own")? };
        Ok(NinefoldStatus::Ok)
    };
    // SAFETY: the caller's promise.
    unsafe { enter(client, tell) }
}

/// Somebody or something else in the ring. Its layout never changes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct NinefoldEntity {
    /// Who it is.
    pub id: u64,
    /// Eastward in the world, units.
    pub x: f64,
    /// Upward.
    pub y: f64,
    /// Southward.
    pub z: f64,
}

/// Who and what is near, at most `room` of them; `entities` may be NULL where `room` is 0. `count` becomes how
/// many there are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ninefold_client_entities(
    client: *mut NinefoldClient,
    entities: *mut NinefoldEntity,
    room: usize,
    count: *mut usize,
) -> NinefoldStatus {
    let tell = |inner: &mut Inner| -> Outcome {
        let all: Vec<NinefoldEntity> = (inner.client().others().iter())
            .map(|(id, other)| {
                let Position { x, y, z } = other.position.into();
                NinefoldEntity { id: id.into(), x, y, z }
            })
            .collect();
        // SAFETY: the caller's promises.
        unsafe { border::fill(entities, room, all.into_iter(), count, "entities") }
    };
    // SAFETY: the caller's promise.
    unsafe { enter(client, tell) }
}

/// Counts and measures since the client was made.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct NinefoldStats {
    /// sizeof(NinefoldStats), set by the program.
    pub size: u32,
    /// 1 while a server has let us in.
    pub is_connected: u32,
    /// Round trip, smoothed, microseconds.
    pub rtt_us: u64,
    /// How much it varies, microseconds.
    pub rtt_variation_us: u64,
    /// Packets sent.
    pub packets_sent: u64,
    /// Those found lost.
    pub packets_lost: u64,
    /// Datagrams received from the server.
    pub datagrams_in: u64,
    /// Bytes of those.
    pub bytes_in: u64,
    /// Datagrams sent.
    pub datagrams_out: u64,
    /// Bytes of those.
    pub bytes_out: u64,
    /// Chunks held.
    pub chunks_held: u64,
    /// Chunks of the ring that have not come yet.
    pub chunks_wanted: u64,
    /// Chunks that came over the wire.
    pub chunks_received: u64,
    /// Chunks that came out of the store instead.
    pub chunks_from_store: u64,
    /// Chunks that came damaged, from wherever, and were asked for again.
    pub chunks_damaged: u64,
    /// Moves into another chunk.
    pub crossings: u64,
    /// Those into a chunk that was not here.
    pub crossings_without_chunk: u64,
}

// SAFETY: repr(C), `size` first, plain numbers.
unsafe impl Sized32 for NinefoldStats {
    const SIZE_MIN: usize = std::mem::offset_of!(Self, crossings_without_chunk) + 8;
    fn set_size(&mut self, size: u32) {
        self.size = size;
    }
}

/// How the session goes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ninefold_client_stats(
    client: *mut NinefoldClient,
    stats: *mut NinefoldStats,
) -> NinefoldStatus {
    let tell = |inner: &mut Inner| -> Outcome {
        let client = inner.client();
        let (own, link, rtt) = (client.stats(), client.link().stats(), client.link().rtt());
        let told = NinefoldStats {
            size: 0,
            is_connected: client.is_connected().into(),
            rtt_us: rtt.smoothed().as_us(),
            rtt_variation_us: rtt.variation().as_us(),
            packets_sent: link.packets_sent,
            packets_lost: link.packets_lost,
            datagrams_in: own.datagrams_in,
            bytes_in: own.bytes_in,
            datagrams_out: own.datagrams_out,
            bytes_out: own.bytes_out,
            chunks_held: client.cache().len() as u64,
            chunks_wanted: client.ring().wanted().len() as u64,
            chunks_received: own.chunks_complete,
            chunks_from_store: own.chunks_from_store,
            chunks_damaged: own.chunks_hash_failed + own.chunks_undecodable + own.chunks_store_failed,
            crossings: own.crossings,
            crossings_without_chunk: own.crossings_without_chunk,
        };
        // SAFETY: the caller's promise.
        unsafe { border::write(stats, told, "stats")? };
        Ok(NinefoldStatus::Ok)
    };
    // SAFETY: the caller's promise.
    unsafe { enter(client, tell) }
}
