//! Play: the player's ticks and inputs, what the server says of the player and of those around it, and what of
//! all that is to be shown.

use std::cell::Cell;
use std::collections::VecDeque;

use ninefold_protocol::frame::{
    GameEvent, INPUTS_BYTES_MAX, INPUTS_PER_FRAME_MAX, Inputs, PlayerInput, Welcome, kind,
};
use ninefold_protocol::link::PacketBuilder;
use ninefold_protocol::snapshot::Snapshot;
use ninefold_protocol::time::Instant;
use ninefold_world::{
    Chunk, ChunkCoord, HalfExtents, Hit, Loaded, Mover, OpenDoors, Pace, Position, Trace, contents, trace,
};

use super::{Client, EVENTS_MAX};
use crate::cache::ChunkCache;
use crate::clock::{TICK_RATE_HZ_MAX, TickClock};
use crate::entities::{Change, Entities, EntityView};
use crate::event::Event;
use crate::happened::Happened;
use crate::intent::Intent;
use crate::measures::Measures;
use crate::playback::Playback;
use crate::prediction::{OwnView, Prediction, Verdict};
use crate::snapshots::{SNAPSHOTS_MAX, Snapshots, Unusable};

/// Ticks that are made in one go; what else is due waits for the next.
const TICKS_AT_ONCE_MAX: usize = 32;

/// All that begins with the server's welcome, and what is gathered for it.
#[derive(Debug, Default)]
pub(super) struct Play {
    world: Option<InWorld>,
    intent: Intent,
    snapshots: Snapshots,
    /// Snapshots that overtook the welcome, which says how to read them: at most [`SNAPSHOTS_MAX`].
    early: VecDeque<(Instant, Box<[u8]>)>,
    entities: Entities,
    happened: Happened,
}

/// A client that was let in.
#[derive(Debug)]
struct InWorld {
    hz: u16,
    clock: TickClock,
    prediction: Prediction,
    playback: Playback,
    lead_us: Option<i64>,
    /// Whether a tick was made whose input was not sent.
    inputs_due: bool,
}

impl Play {
    pub fn next_due(&self) -> Option<Instant> {
        self.world.as_ref().map(|world| world.clock.next_due())
    }

    pub fn wants_to_send(&self) -> bool {
        self.world.as_ref().is_some_and(|world| world.inputs_due)
    }

    /// Writes what is known of play.
    pub fn tell(&self, now: Instant, into: &mut Measures) {
        into.entities = self.entities.len();
        let Some(world) = &self.world else { return };
        let counts = world.prediction.counts();
        into.snapshot_jitter = world.playback.jitter();
        into.interpolation_delay = world.playback.delay(now);
        into.input_lead_us = world.lead_us;
        into.steering_ppm = world.clock.steering_ppm();
        into.inputs_unconfirmed = world.prediction.unconfirmed().1.len();
        into.ticks_skipped = world.clock.skipped();
        into.confirmations = counts.confirmations;
        into.corrections = counts.corrections;
        into.prediction_error_units = counts.last_error_units;
        into.prediction_error_worst_units = counts.worst_error_units;
    }

    /// Puts the inputs that the server has not confirmed into a packet, once a tick. Tells how many bytes they take.
    pub fn write_inputs(&mut self, packet: &mut PacketBuilder<'_, '_, ()>) -> usize {
        let Some(world) = self.world.as_mut().filter(|world| world.inputs_due) else { return 0 };
        let (newest, inputs) = world.prediction.unconfirmed();
        let too_many = inputs.len().saturating_sub(INPUTS_PER_FRAME_MAX);
        if inputs.len() == 0 || !packet.fits(INPUTS_BYTES_MAX) {
            return 0;
        }
        let mut body = [0; INPUTS_BYTES_MAX];
        let bytes = Inputs::write(newest, inputs.skip(too_many), &mut body);
        packet.push(kind::INPUTS, &[&body[..bytes]]);
        world.inputs_due = false;
        bytes
    }
}

/// What a client knows of a chunk's solids. Who walks asks for the same one again and again.
fn chunk_in<'a>(cache: &'a ChunkCache) -> impl Fn(ChunkCoord) -> Option<&'a Chunk> {
    let last = Cell::new(None);
    move |coord| match last.get() {
        Some((of, chunk)) if of == coord => chunk,
        _ => {
            let chunk = cache.peek(coord).map(|cached| cached.chunk.as_ref());
            last.set(Some((coord, chunk)));
            chunk
        }
    }
}

fn tell(events: &mut VecDeque<Event>, event: Event) {
    if events.len() >= EVENTS_MAX {
        events.pop_front();
    }
    events.push_back(event);
}

impl Client {
    /// What the player wants from now on: at any time, as often as it likes. Each tick takes the newest, and a
    /// button that was pressed and released between two ticks counts as pressed.
    pub fn set_input(&mut self, input: PlayerInput) {
        self.play.intent.set(input);
    }

    /// The server has let us in: ticks begin.
    pub(super) fn begin(&mut self, now: Instant, welcome: &Welcome) {
        let hz = welcome.tick_rate_hz;
        if self.play.world.is_some() || !(1..=TICK_RATE_HZ_MAX).contains(&hz) {
            self.stats.frames_refused += 1;
            return;
        }
        let pace = Pace { speed_units_s: welcome.walk_speed_units_s.into(), tick_rate_hz: u32::from(hz) };
        self.play.world = Some(InWorld {
            hz,
            clock: TickClock::new(now, hz),
            prediction: Prediction::new(now, pace),
            playback: Playback::new(now, hz),
            lead_us: None,
            inputs_due: false,
        });
        self.play.entities.set_walking_speed(welcome.walk_speed_units_s.into());
        self.tell(Event::Welcome(*welcome));
        for (came_at, body) in std::mem::take(&mut self.play.early) {
            self.take_snapshot(came_at, &body);
        }
    }

    /// Makes the inputs that are due.
    pub(super) fn tick(&mut self, now: Instant) {
        let Play { world: Some(world), intent, .. } = &mut self.play else { return };
        let chunk_at = chunk_in(&self.cache);
        for _ in 0..TICKS_AT_ONCE_MAX {
            let Some(due) = world.clock.due(now) else { break };
            world.prediction.tick(&chunk_at, due, intent.take());
            world.inputs_due = true;
        }
    }

    /// A chunk has come or gone: the inputs on their way may lead elsewhere.
    pub(super) fn world_changed(&mut self, now: Instant) {
        let Some(world) = &mut self.play.world else { return };
        if !world.prediction.world_changed(now, &chunk_in(&self.cache)) {
            self.tell(Event::Teleported);
        }
    }

    pub(super) fn take_snapshot(&mut self, now: Instant, body: &[u8]) {
        let Client {
            play: Play { world, snapshots, early, entities, .. }, cache, events, stats, link, ..
        } = self;
        let Some(world) = world else {
            if early.len() == SNAPSHOTS_MAX {
                early.pop_front();
            }
            early.push_back((now, body.into()));
            return;
        };
        stats.snapshots_in += 1;
        let held = match snapshots.take(body, world.hz) {
            Ok(held) => held,
            Err(Unusable::Old) => return stats.snapshots_old += 1,
            Err(Unusable::BaselineGone) => return stats.snapshots_without_baseline += 1,
            Err(Unusable::Malformed) => return stats.frames_refused += 1,
        };
        let snapshot = &held.snapshot;
        world.playback.arrived(now, held.tick, entities.moves());
        let verdict = world.prediction.confirm(
            now,
            &chunk_in(cache),
            snapshot.input,
            &snapshot.own,
            snapshot.open_doors,
        );
        match verdict {
            Verdict::Refused => stats.confirmations_refused += 1,
            Verdict::Taken => {}
            Verdict::Jumped => tell(events, Event::Teleported),
        }
        // Before the first input was taken there is nothing to be early.
        if world.prediction.confirmed().is_some_and(|number| number > 0) {
            let lead_us = i64::from(snapshot.lead_half_ms) * 500;
            world.lead_us = Some(lead_us);
            world.clock.steer(now, lead_us, link.rtt().smoothed());
        }
        entities.take(now, &mut world.playback, held, |change| {
            tell(
                events,
                match change {
                    Change::Entered { index, id, kind } => Event::EntityEntered { index, id, kind },
                    Change::Left { index, id } => Event::EntityLeft { index, id },
                },
            );
        });
    }

    pub(super) fn take_event(&mut self, body: &[u8]) {
        match GameEvent::parse(body) {
            Ok(event) if self.play.happened.is_new(event.number) => {
                self.stats.events_in += 1;
                self.tell(Event::Happened(event));
            }
            Ok(_) => self.stats.events_repeated += 1,
            Err(_) => self.stats.frames_refused += 1,
        }
    }

    /// The player as it is to be shown now: predicted, and smooth between two ticks. `None` until the server has
    /// said where it is.
    pub fn own(&self, now: Instant) -> Option<OwnView> {
        self.play.world.as_ref()?.prediction.view(now, self.play.intent.current().yaw)
    }

    /// The number of the newest input and the mover after it, exactly as the server will have it when it has
    /// taken that input, unless something that this client does not know of gets in between.
    pub fn predicted(&self) -> Option<(u32, Mover)> {
        self.play.world.as_ref()?.prediction.newest()
    }

    /// When an input was due that no snapshot has confirmed yet: what latencies are measured from.
    pub fn input_due(&self, number: u32) -> Option<Instant> {
        self.play.world.as_ref()?.prediction.due(number)
    }

    /// Number of the newest input that a snapshot has confirmed; 0 until one has.
    pub fn input_confirmed(&self) -> u32 {
        self.play.world.as_ref().and_then(|world| world.prediction.confirmed()).unwrap_or(0)
    }

    /// The entities around the player as they are to be shown now, ascending by index. Those of whom
    /// [`Event::EntityEntered`] was told and [`Event::EntityLeft`] was not.
    pub fn entities(&self, now: Instant) -> impl Iterator<Item = EntityView> {
        self.play.entities.views(now, self.play.world.as_ref().map(|world| &world.playback))
    }

    /// The newest snapshot, as the server said it.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.play.snapshots.newest().map(|held| &held.snapshot)
    }

    /// Ticks a second, once the server has let us in.
    pub fn tick_rate_hz(&self) -> Option<u16> {
        self.play.world.as_ref().map(|world| world.hz)
    }

    /// The server's tick of the newest snapshot, counted from the first one.
    pub fn snapshot_tick(&self) -> Option<i64> {
        self.play.snapshots.newest().map(|held| held.tick)
    }

    /// Which doors of a chunk stand open, those included that the player has just used. Known of the nine chunks
    /// around the player; others count as closed.
    pub fn open_doors(&self, chunk: ChunkCoord) -> OpenDoors {
        self.play.world.as_ref().map_or(OpenDoors::NONE, |world| world.prediction.doors().of(chunk))
    }

    /// What is in the way of a box with its middle at `from` on its way to `to`, among the chunks that are here
    /// and with the doors as they are known; see [`ninefold_world::trace`].
    pub fn trace(&self, from: Position, to: Position, half_extents: HalfExtents) -> Trace {
        trace(&|coord| self.loaded(coord), from, to, half_extents)
    }

    /// What fills a place; `None` is air. See [`ninefold_world::contents`].
    pub fn contents(&self, at: Position) -> Option<Hit> {
        contents(&|coord| self.loaded(coord), at)
    }

    fn loaded(&self, coord: ChunkCoord) -> Option<Loaded<'_>> {
        let chunk = self.cache.peek(coord)?.chunk.as_ref();
        Some(Loaded { chunk, open_doors: self.open_doors(coord) })
    }
}
