//! Input, events, positions, entities, figures.

use ninefold_client::protocol::connection::ClientState;
use ninefold_client::protocol::frame::{GameEvent, PlayerInput};
use ninefold_client::protocol::time::Instant;
use ninefold_client::world::ChunkCoord;
use ninefold_client::{Client, EndReason, Event};

use crate::border::{self, Sized32};
use crate::handle::{Inner, NinefoldClient, enter};
use crate::status::{Failure, NinefoldStatus, Outcome};

/// Steps of places on the wire.
const POSITION_STEPS_PER_UNIT: f32 = 64.0;

/// The player jumps, if it stands.
pub const NINEFOLD_BUTTON_JUMP: u16 = 1;
/// The player opens or closes the door ahead.
pub const NINEFOLD_BUTTON_USE: u16 = 2;
const _: () = assert!(NINEFOLD_BUTTON_JUMP == PlayerInput::JUMP && NINEFOLD_BUTTON_USE == PlayerInput::USE);

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
    /// An entity came near: `entity`, `entity_id`, `what`.
    EntityEntered = 6,
    /// An entity is no longer near: `entity`, `entity_id`.
    EntityLeft = 7,
    /// Something happened near the player, `what`, once each: at `x`, `y`, `z` in the chunk `cx`, `cz`, in the server's `tick`
    /// (its low 32 bits), with `value`. Below 256 `what` is the library's: 1 a door was opened, 2 a door was closed, `value` is
    /// its number in the chunk. From there on it is the game's.
    Happened = 8,
    /// The player is suddenly elsewhere.
    Teleported = 9,
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
    /// The entity's index while it is near; another one may have it later.
    pub entity: u32,
    /// Who the entity is, for ever.
    pub entity_id: u64,
    /// What the entity is, or what happened.
    pub what: u32,
    /// More about what happened.
    pub value: u32,
    /// Where it happened: eastward in the chunk, units.
    pub x: f32,
    /// Upward.
    pub y: f32,
    /// Southward in the chunk.
    pub z: f32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: repr(C), `size` first, integers and enums of which 0 is one.
unsafe impl Sized32 for NinefoldEvent {
    const SIZE_MIN: usize = std::mem::offset_of!(Self, z) + 4;
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
        entity: 0,
        entity_id: 0,
        what: 0,
        value: 0,
        x: 0.0,
        y: 0.0,
        z: 0.0,
        reserved: 0,
    };

    fn at(kind: NinefoldEventKind, coord: ChunkCoord) -> NinefoldEvent {
        NinefoldEvent { kind, cx: coord.cx, cz: coord.cz, ..Self::EMPTY }
    }

    fn happened(event: &GameEvent) -> NinefoldEvent {
        let units = |steps: i32| steps as f32 / POSITION_STEPS_PER_UNIT;
        NinefoldEvent {
            tick: event.tick.into(),
            what: event.kind.into(),
            value: event.value,
            x: units(event.x.into()),
            y: units(event.y.into()),
            z: units(event.z.into()),
            ..Self::at(NinefoldEventKind::Happened, ChunkCoord { cx: event.cx, cz: event.cz })
        }
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
            Event::EntityEntered { index, id, kind } => NinefoldEvent {
                kind: NinefoldEventKind::EntityEntered,
                entity: *index,
                entity_id: *id,
                what: (*kind).into(),
                ..Self::EMPTY
            },
            Event::EntityLeft { index, id } => NinefoldEvent {
                kind: NinefoldEventKind::EntityLeft,
                entity: *index,
                entity_id: *id,
                ..Self::EMPTY
            },
            Event::Happened(happened) => Self::happened(happened),
            Event::Teleported => NinefoldEvent { kind: NinefoldEventKind::Teleported, ..Self::EMPTY },
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

/// Says what the player wants from now on, at any time and as often as you like: a wish of -1 to 1 eastward and
/// southward (a longer one than 1 is shortened), where it looks (65,536 to the full turn, 0 is east, a quarter is south), and
/// the buttons that are held: NINEFOLD_BUTTON_JUMP, NINEFOLD_BUTTON_USE, and the game's own from 16 on. Each tick takes the newest; a
/// button that was pressed and released between two ticks counts as pressed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ninefold_client_set_input(
    client: *mut NinefoldClient,
    move_x: f64,
    move_z: f64,
    yaw: u16,
    buttons: u16,
) -> NinefoldStatus {
    let set = |inner: &mut Inner| -> Outcome {
        if !(move_x.is_finite() && move_z.is_finite()) {
            return Err(Failure::new(NinefoldStatus::Argument, "move_x and move_z must be finite numbers"));
        }
        let axis = |wish: f64| (wish.clamp(-1.0, 1.0) * f64::from(PlayerInput::FULL_SPEED)) as i16;
        let input = PlayerInput { move_x: axis(move_x), move_z: axis(move_z), yaw, buttons };
        inner.client_mut().set_input(input);
        Ok(NinefoldStatus::Ok)
    };
    // SAFETY: the caller's promise.
    unsafe { enter(client, set) }
}

/// The player as it is to be shown now: moved on at once by what it wants, smooth between two ticks.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct NinefoldOwn {
    /// sizeof(NinefoldOwn), set by the program.
    pub size: u32,
    /// The column of the chunk that it stands in.
    pub cx: i32,
    /// Its row.
    pub cz: i32,
    /// 1 if it stands.
    pub on_ground: u32,
    /// The middle between its feet: eastward in the world, units.
    pub x: f64,
    /// Upward.
    pub y: f64,
    /// Southward.
    pub z: f64,
    /// How fast it moves eastward, units per second.
    pub velocity_x: f64,
    /// Upward.
    pub velocity_y: f64,
    /// Southward.
    pub velocity_z: f64,
    /// What the game has to say of it.
    pub state: u32,
    /// Where it looks, 65,536 to the full turn: 0 is east, a quarter is south.
    pub yaw: u16,
    /// 0.
    pub reserved: u16,
}

// SAFETY: repr(C), `size` first, plain numbers.
unsafe impl Sized32 for NinefoldOwn {
    const SIZE_MIN: usize = std::mem::offset_of!(Self, yaw) + 2;
    fn set_size(&mut self, size: u32) {
        self.size = size;
    }
}

/// The player as it is to be shown now. NINEFOLD_STATUS_NOTHING before it is in the world.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ninefold_client_own(
    client: *mut NinefoldClient,
    own: *mut NinefoldOwn,
) -> NinefoldStatus {
    let tell = |inner: &mut Inner| -> Outcome {
        let Some(view) = inner.client().own(inner.now()) else { return Ok(NinefoldStatus::Nothing) };
        let Some(chunk) = view.position.chunk() else { return Ok(NinefoldStatus::Nothing) };
        let [velocity_x, velocity_y, velocity_z] = view.velocity;
        let told = NinefoldOwn {
            size: 0,
            cx: chunk.cx,
            cz: chunk.cz,
            on_ground: view.on_ground.into(),
            x: view.position.x,
            y: view.position.y,
            z: view.position.z,
            velocity_x,
            velocity_y,
            velocity_z,
            state: view.state,
            yaw: view.yaw,
            reserved: 0,
        };
        // SAFETY: the caller's promise.
        unsafe { border::write(own, told, "own")? };
        Ok(NinefoldStatus::Ok)
    };
    // SAFETY: the caller's promise.
    unsafe { enter(client, tell) }
}

/// Somebody or something else near the player, as it is to be shown now. Its layout never changes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct NinefoldEntity {
    /// Who it is, for ever.
    pub id: u64,
    /// Its index while it is near; another one may have it later.
    pub index: u32,
    /// What it is; the game's numbers.
    pub kind: u16,
    /// Where it looks, 65,536 to the full turn: 0 is east, a quarter is south.
    pub yaw: u16,
    /// Eastward in the world, units.
    pub x: f64,
    /// Upward.
    pub y: f64,
    /// Southward.
    pub z: f64,
    /// How fast it moves eastward, units per second.
    pub velocity_x: f32,
    /// Upward.
    pub velocity_y: f32,
    /// Southward.
    pub velocity_z: f32,
    /// What the game has to say of it.
    pub state: u32,
}

/// Who and what is near, ascending by index, at most `room` of them; `entities` may be NULL where `room` is 0. `count`
/// becomes how many there are. NINEFOLD_EVENT_KIND_ENTITY_ENTERED was told of each, and NINEFOLD_EVENT_KIND_ENTITY_LEFT was not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ninefold_client_entities(
    client: *mut NinefoldClient,
    entities: *mut NinefoldEntity,
    room: usize,
    count: *mut usize,
) -> NinefoldStatus {
    let tell = |inner: &mut Inner| -> Outcome {
        let views = inner.client().entities(inner.now()).map(|view| NinefoldEntity {
            id: view.id,
            index: view.index,
            kind: view.kind,
            yaw: view.yaw,
            x: view.position.x,
            y: view.position.y,
            z: view.position.z,
            velocity_x: view.velocity[0] as f32,
            velocity_y: view.velocity[1] as f32,
            velocity_z: view.velocity[2] as f32,
            state: view.state,
        });
        let views: Vec<NinefoldEntity> = views.collect();
        // SAFETY: the caller's promises.
        unsafe { border::fill(entities, room, views.into_iter(), count, "entities") }
    };
    // SAFETY: the caller's promise.
    unsafe { enter(client, tell) }
}

/// A time or a number that is not known, or too far off to matter.
pub const NINEFOLD_UNKNOWN: i64 = i64::MAX;

/// How the session is: counts since the client was made, and measures of now. Shares are 0 to 1.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct NinefoldStats {
    /// sizeof(NinefoldStats), set by the program.
    pub size: u32,
    /// 1 while a server has let us in.
    pub is_connected: u32,
    /// Round trip, smoothed, microseconds; 0 until it was measured.
    pub rtt_us: u64,
    /// Its mean deviation, microseconds.
    pub rtt_jitter_us: u64,
    /// How late snapshots come in the mean, microseconds.
    pub snapshot_jitter_us: u64,
    /// Packets to the server that were lost, of those of the last second.
    pub loss_up: f64,
    /// Packets from the server that were lost, of those of the last second.
    pub loss_down: f64,
    /// Bytes of packets sent in the last second, per second.
    pub bytes_up_per_s: u64,
    /// Bytes of packets received in the last second, per second.
    pub bytes_down_per_s: u64,
    /// How far others are shown behind the newest that could be known of them, microseconds.
    pub interpolation_delay_us: u64,
    /// How early inputs come at the server, microseconds: the least of its last second, negative when they are late, or
    /// NINEFOLD_UNKNOWN.
    pub input_lead_us: i64,
    /// Microseconds until the player, as it moves, comes to a chunk that is not here, or NINEFOLD_UNKNOWN.
    pub edge_us: i64,
    /// Snapshots that said of the player what was predicted.
    pub confirmations: u64,
    /// Snapshots that said otherwise.
    pub corrections: u64,
    /// How far the last correction went, units.
    pub prediction_error: f64,
    /// How far the worst went, units.
    pub prediction_error_worst: f64,
    /// Entities that are near.
    pub entities: u64,
    /// Chunks held.
    pub chunks_held: u64,
    /// Chunks of the ring that are not here.
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
    /// Datagrams received from the server.
    pub datagrams_in: u64,
    /// Bytes of those.
    pub bytes_in: u64,
    /// Datagrams sent.
    pub datagrams_out: u64,
    /// Bytes of those.
    pub bytes_out: u64,
}

// SAFETY: repr(C), `size` first, plain numbers.
unsafe impl Sized32 for NinefoldStats {
    const SIZE_MIN: usize = std::mem::offset_of!(Self, bytes_out) + 8;
    fn set_size(&mut self, size: u32) {
        self.size = size;
    }
}

impl NinefoldStats {
    fn of(client: &Client, now: Instant) -> NinefoldStats {
        let (counted, measured) = (client.stats(), client.measures(now));
        NinefoldStats {
            size: 0,
            is_connected: client.is_connected().into(),
            rtt_us: measured.rtt.as_us(),
            rtt_jitter_us: measured.rtt_jitter.as_us(),
            snapshot_jitter_us: measured.snapshot_jitter.as_us(),
            loss_up: measured.loss_up,
            loss_down: measured.loss_down,
            bytes_up_per_s: measured.bytes_up_per_s,
            bytes_down_per_s: measured.bytes_down_per_s,
            interpolation_delay_us: measured.interpolation_delay.as_us(),
            input_lead_us: measured.input_lead_us.unwrap_or(NINEFOLD_UNKNOWN),
            edge_us: measured.edge_s.map_or(NINEFOLD_UNKNOWN, |s| (s * 1e6) as i64),
            confirmations: measured.confirmations,
            corrections: measured.corrections,
            prediction_error: measured.prediction_error_units,
            prediction_error_worst: measured.prediction_error_worst_units,
            entities: measured.entities as u64,
            chunks_held: client.cache().len() as u64,
            chunks_wanted: measured.chunks_wanted as u64,
            chunks_received: counted.chunks_complete,
            chunks_from_store: counted.chunks_from_store,
            chunks_damaged: counted.chunks_hash_failed
                + counted.chunks_undecodable
                + counted.chunks_store_failed,
            crossings: counted.crossings,
            crossings_without_chunk: counted.crossings_without_chunk,
            datagrams_in: counted.datagrams_in,
            bytes_in: counted.bytes_in,
            datagrams_out: counted.datagrams_out,
            bytes_out: counted.bytes_out,
        }
    }
}

/// How the session is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ninefold_client_stats(
    client: *mut NinefoldClient,
    stats: *mut NinefoldStats,
) -> NinefoldStatus {
    let tell = |inner: &mut Inner| -> Outcome {
        let told = NinefoldStats::of(inner.client(), inner.now());
        // SAFETY: the caller's promise.
        unsafe { border::write(stats, told, "stats")? };
        Ok(NinefoldStatus::Ok)
    };
    // SAFETY: the caller's promise.
    unsafe { enter(client, tell) }
}
