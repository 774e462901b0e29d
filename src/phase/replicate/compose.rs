//! One client's snapshot: what it has is compared with what is, and what has changed is written, the most urgent
//! first where not all of it fits.
//!
//! ```text
//!   baseline (newest acknowledged) ──┐
//!                                    ├─ by index ─▶ changes ─▶ those that fit ─▶ body, and what the client then knows
//!   what is in the ring now ─────────┘
//! ```

use ninefold_protocol::limits::PACKET_BYTES_MAX;
use ninefold_protocol::snapshot::{
    CHANGED_BITS_MAX, ENTERED_BITS_MAX, ENTITIES_PER_SNAPSHOT_MAX, Encoder, GONE_BITS, Head, OwnState,
    SAME_BITS, SnapshotEntity, changed_bits, entered_bits,
};

use super::urgency::{Urgencies, distance_squared};
use crate::replicas::Replicas;
use crate::rules::Rules;
use crate::session::Session;
use crate::snapshots::{Lists, Sent, SentSnapshots, TOLD_INDEX_MAX, Told};

/// Bits that a snapshot needs beside its entities: the head, the own mover, all doors, the ends of its lists.
const FRAME_BITS: usize = 8 * 80;

/// What there is to tell.
pub struct Around<'t> {
    pub tick: u64,
    pub rules: &'t Rules,
    /// The client itself.
    pub own: OwnState,
    /// Its own entity, which it knows from [`Around::own`].
    pub own_index: Option<u32>,
    pub open_doors: [u32; 9],
    pub replicas: &'t Replicas,
}

/// A snapshot that was written.
pub struct Composed<'c> {
    pub body: &'c [u8],
    /// Whether it leads from nothing.
    pub is_full: bool,
    /// Changes that did not fit.
    pub left_out: usize,
}

/// Writes snapshots; kept from client to client for its memory.
#[derive(Debug)]
pub struct Composer {
    body: Box<[u8; PACKET_BYTES_MAX]>,
    /// Entities that the client should know of, by index.
    here: Vec<u32>,
    changes: Vec<Change>,
    urgencies: Urgencies,
    lists: Lists,
}

/// What the client has, against what is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    pub index: u32,
    /// The tick whose state it has; `None` if it knows nothing of the entity.
    pub as_of: Option<u64>,
    pub kind: Kind,
    /// What telling it takes: at most so many, and exactly so many once [`Composer::count`] has run.
    pub bits: usize,
    /// Whether it is told now.
    pub told: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Same,
    Changed,
    Entered,
    Gone,
}

impl Default for Composer {
    fn default() -> Self {
        Composer {
            body: Box::new([0; PACKET_BYTES_MAX]),
            here: Vec::new(),
            changes: Vec::new(),
            urgencies: Urgencies::default(),
            lists: Lists::default(),
        }
    }
}

impl Composer {
    /// Writes what the client is to be told now, and remembers it as sent.
    pub fn compose(&mut self, around: &Around<'_>, session: &mut Session) -> Composed<'_> {
        self.look_around(around, session);
        let now = around.tick;
        session.snapshots.trim(now, &mut self.lists);
        let baseline = session.snapshots.baseline();
        let (base_tick, base_own, base_doors) =
            baseline.map_or((None, OwnState::default(), [0; 9]), |b| (Some(b.tick), b.own, b.open_doors));
        self.compare(around, baseline.map_or((&[], 0), |b| (&b.told, b.tick)));
        let left_out = self.choose(around, session, base_tick.unwrap_or(now));
        let head = Head {
            tick: now as u32,
            baseline: base_tick.map(|tick| tick as u32),
            input: session.inputs.last_taken() as u16,
            lead_half_ms: lead_half_ms(session.inputs.lead_us()),
            incomplete: left_out > 0,
        };
        let mut encoder = Encoder::new(&mut self.body[..], around.rules.tick_rate_hz as u16, &head);
        encoder.own(&base_own, &around.own);
        encoder.open_doors(&base_doors, (base_own.cx, base_own.cz), &around.open_doors);
        write_known(&mut encoder, around, &self.changes);
        write_entered(&mut encoder, around, &self.changes);
        let bytes = encoder.finish();
        let mut list = self.lists.take();
        remember(&self.changes, now, &mut list);
        session.snapshots.push(now, around.own, around.open_doors, list);
        Composed { body: &self.body[..bytes], is_full: base_tick.is_none(), left_out }
    }

    /// Finds the entities of the ring; of too many, the nearest.
    fn look_around(&mut self, around: &Around<'_>, session: &Session) {
        self.here.clear();
        for place in session.view.ring() {
            if let Some(cell) = around.replicas.cell(place.coord) {
                let others = cell.indices().iter().copied();
                self.here.extend(others.filter(|i| Some(*i) != around.own_index && *i <= TOLD_INDEX_MAX));
            }
        }
        if self.here.len() > ENTITIES_PER_SNAPSHOT_MAX {
            let far = |index: &u32| {
                let state = around.replicas.get(*index).map(|replica| replica.state);
                state.map_or(i64::MAX, |state| distance_squared(&around.own, &state))
            };
            self.here.select_nth_unstable_by_key(ENTITIES_PER_SNAPSHOT_MAX, far);
            self.here.truncate(ENTITIES_PER_SNAPSHOT_MAX);
        }
        self.here.sort_unstable();
    }

    /// Lays what the client has beside what is: one entry for each index of either, two where an index has another
    /// entity now, ascending.
    fn compare(&mut self, around: &Around<'_>, (told, base_tick): (&[Told], u64)) {
        self.changes.clear();
        let mut here = self.here.iter().copied().peekable();
        for told in told {
            let (index, as_of) = (told.index(), told.as_of(base_tick));
            while let Some(new) = here.next_if(|new| *new < index) {
                self.changes.push(Change::new(new, None, Kind::Entered));
            }
            let is_here = here.next_if(|other| *other == index).is_some();
            let change = if is_here { known(around, index, as_of) } else { None };
            match change {
                Some(change) => self.changes.push(change),
                None => {
                    self.changes.push(Change::new(index, Some(as_of), Kind::Gone));
                    if is_here {
                        self.changes.push(Change::new(index, None, Kind::Entered));
                    }
                }
            }
        }
        self.changes.extend(here.map(|index| Change::new(index, None, Kind::Entered)));
    }

    /// Decides what is told now, and how much is left out.
    fn choose(&mut self, around: &Around<'_>, session: &Session, base_tick: u64) -> usize {
        let budget = (8 * around.rules.snapshot_bytes_max).saturating_sub(FRAME_BITS);
        let fits = |changes: &[Change]| changes.iter().map(|change| change.bits).sum::<usize>() <= budget;
        // Counting costs as much as writing. A few dozen fit whatever they are.
        if !fits(&self.changes) {
            self.count(around, base_tick);
        }
        if fits(&self.changes) {
            self.changes.iter_mut().for_each(|change| change.told = true);
            return 0;
        }
        self.urgencies.choose(around, session, &mut self.changes, budget)
    }

    /// Counts the bits of each change.
    fn count(&mut self, around: &Around<'_>, base_tick: u64) {
        let age = (around.tick - base_tick) as u32;
        for change in &mut self.changes {
            let Some(now) = entity(around, change.index) else { continue };
            let base =
                change.as_of.and_then(|as_of| around.replicas.state_in(around.tick, as_of, change.index));
            match (change.kind, base) {
                (Kind::Changed, Some(base)) => {
                    change.bits = changed_bits(around.rules.tick_rate_hz as u16, age, base, &now.state);
                }
                (Kind::Entered, _) => change.bits = entered_bits((around.own.cx, around.own.cz), &now),
                _ => {}
            }
        }
    }
}

impl Change {
    fn new(index: u32, as_of: Option<u64>, kind: Kind) -> Change {
        let (bits, told) = match kind {
            Kind::Same => (SAME_BITS, true),
            Kind::Gone => (GONE_BITS, true),
            Kind::Changed => (CHANGED_BITS_MAX, false),
            Kind::Entered => (ENTERED_BITS_MAX, false),
        };
        Change { index, as_of, kind, bits, told }
    }
}

/// An entity that both know; `None` where what the client has is no longer known, or is another entity.
fn known(around: &Around<'_>, index: u32, as_of: u64) -> Option<Change> {
    let replica = around.replicas.get(index).filter(|replica| replica.born <= as_of)?;
    if replica.changed_in <= as_of {
        return Some(Change::new(index, Some(as_of), Kind::Same));
    }
    let is_kept = around.replicas.state_in(around.tick, as_of, index).is_some();
    is_kept.then(|| Change::new(index, Some(as_of), Kind::Changed))
}

fn entity(around: &Around<'_>, index: u32) -> Option<SnapshotEntity> {
    around.replicas.get(index).map(|replica| SnapshotEntity { index, id: replica.id, state: replica.state })
}

fn write_known(encoder: &mut Encoder<'_>, around: &Around<'_>, changes: &[Change]) {
    for change in changes {
        let Some(as_of) = change.as_of else { continue };
        let states = || {
            let base = around.replicas.state_in(around.tick, as_of, change.index)?;
            Some((base, &around.replicas.get(change.index)?.state))
        };
        match (change.kind, states()) {
            (Kind::Gone, _) => encoder.gone(),
            (Kind::Changed, Some((base, now))) if change.told => encoder.changed(base, now),
            _ => encoder.same(),
        }
    }
}

fn write_entered(encoder: &mut Encoder<'_>, around: &Around<'_>, changes: &[Change]) {
    for change in changes.iter().filter(|change| change.kind == Kind::Entered && change.told) {
        if let Some(entity) = entity(around, change.index) {
            encoder.entered(&entity);
        }
    }
}

/// What the client knows once it has this snapshot.
fn remember(changes: &[Change], now: u64, list: &mut Vec<Told>) {
    for change in changes {
        let as_of = match change.kind {
            Kind::Same => now,
            Kind::Changed | Kind::Entered if change.told => now,
            Kind::Changed => change.as_of.unwrap_or(now),
            Kind::Entered | Kind::Gone => continue,
        };
        list.push(Told::new(now, change.index, as_of));
    }
}

fn lead_half_ms(lead_us: Option<i64>) -> i8 {
    lead_us.map_or(0, |us| us.div_euclid(500).clamp(i8::MIN.into(), i8::MAX.into()) as i8)
}

/// The tick whose state of an entity was last sent.
pub(super) fn last_told(snapshots: &SentSnapshots, index: u32) -> Option<u64> {
    let Sent { tick, told, .. } = snapshots.newest()?;
    told.binary_search_by_key(&index, |t| t.index()).ok().map(|at| told[at].as_of(*tick))
}
