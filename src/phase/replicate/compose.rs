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
    ENTERED_BITS_MAX, ENTITIES_PER_SNAPSHOT_MAX, Encoder, GONE_BITS, Head, OwnState, SAME_BITS,
    SnapshotEntity, entered_bits,
};

use super::neighbourhood::Neighbourhoods;
use super::news::{Came, News};
use super::urgency::{Urgencies, distance_squared};
use crate::replicas::Replicas;
use crate::rules::Rules;
use crate::session::Session;
use crate::snapshots::{Lists, Told};
use crate::view::View;

/// Bits that a snapshot needs beside its entities: the head, the own mover, all doors, the ends of its lists.
const FRAME_BITS: usize = 8 * 80;

/// What there is to tell.
pub struct Around<'t> {
    pub tick: u64,
    pub rules: &'t Rules,
    /// Every so many ticks it is a client's turn to look round.
    pub sight_ticks: u64,
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

/// Writes snapshots; kept from client to client for its memory, and for what it has found out for others already.
#[derive(Debug)]
pub struct Composer {
    body: Box<[u8; PACKET_BYTES_MAX]>,
    pub(super) neighbourhoods: Neighbourhoods,
    news: News,
    /// Of too many entities around, the nearest.
    nearest: Vec<u32>,
    changes: Vec<Change>,
    urgencies: Urgencies,
    lists: Lists,
}

/// What the client has, against what is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    pub index: u32,
    pub kind: Kind,
    /// The tick whose state it has; means nothing for what has entered.
    as_of: u64,
    /// What telling it takes: of what has entered at most so many, and no more than that once [`Composer::count`] has run.
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
            neighbourhoods: Neighbourhoods::default(),
            news: News::default(),
            nearest: Vec::new(),
            changes: Vec::new(),
            urgencies: Urgencies::default(),
            lists: Lists::default(),
        }
    }
}

impl Composer {
    /// Another tick begins: what was found out in the last one is over.
    pub fn begin_tick(&mut self, tick: u64, replicas: &Replicas) {
        self.neighbourhoods.begin_tick();
        self.news.begin_tick(tick, replicas);
    }

    /// Bytes of memory of what is kept for each entity.
    pub fn memory_bytes(&self) -> usize {
        self.news.memory_bytes() + self.neighbourhoods.memory_bytes() + self.urgencies.memory_bytes()
    }

    /// Writes what the client is to be told now, and remembers it as sent.
    pub fn compose(&mut self, around: &Around<'_>, session: &mut Session) -> Composed<'_> {
        let now = around.tick;
        session.snapshots.trim(now, &mut self.lists);
        let baseline = session.snapshots.baseline();
        let (base_tick, base_own, base_doors) =
            baseline.map_or((None, OwnState::default(), [0; 9]), |b| (Some(b.tick), b.own, b.open_doors));
        self.compare(around, &session.view, baseline.map_or((&[], now), |b| (&b.told, b.tick)));
        let left_out = self.choose(around, session);
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
        write_known(&mut encoder, &self.changes, &self.news);
        write_entered(&mut encoder, around, &self.changes);
        let bytes = encoder.finish();
        let mut list = self.lists.take();
        remember(&self.changes, now, &mut list);
        session.snapshots.push(now, around.own, around.open_doors, list);
        Composed { body: &self.body[..bytes], is_full: base_tick.is_none(), left_out }
    }

    /// Lays what the client has beside what is: one entry for each index of either, two where an index has another
    /// entity now, ascending.
    fn compare(&mut self, around: &Around<'_>, view: &View, (told, base_tick): (&[Told], u64)) {
        let Composer { neighbourhoods, news, nearest, changes, .. } = self;
        changes.clear();
        let mut here = neighbourhoods.entities(view, around.replicas);
        if here.len() > ENTITIES_PER_SNAPSHOT_MAX {
            find_nearest(around, here, nearest);
            here = nearest;
        }
        let others = here.iter().copied().filter(|index| Some(*index) != around.own_index);
        let mut here = others.peekable();
        for told in told {
            let (index, as_of) = (told.index(), told.as_of(base_tick));
            while let Some(new) = here.next_if(|new| *new < index) {
                changes.push(Change::entered(new));
            }
            let is_here = here.next_if(|other| *other == index).is_some();
            let (came, bits) =
                if is_here { news.of(around, index, as_of, base_tick) } else { (Came::Gone, 0) };
            changes.push(Change::of(index, as_of, came, bits));
            if is_here && came == Came::Gone {
                changes.push(Change::entered(index));
            }
        }
        changes.extend(here.map(Change::entered));
    }

    /// Decides what is told now, and how much is left out.
    fn choose(&mut self, around: &Around<'_>, session: &mut Session) -> usize {
        let budget = (8 * around.rules.snapshot_bytes_max).saturating_sub(FRAME_BITS);
        let fits = |changes: &[Change]| changes.iter().map(|change| change.bits).sum::<usize>() <= budget;
        // Counting costs as much as writing. A few fit whatever they are.
        if !fits(&self.changes) {
            self.count(around);
        }
        if fits(&self.changes) {
            return 0;
        }
        self.urgencies.choose(around, session, &mut self.changes, budget)
    }

    /// Counts the bits of those that have entered.
    fn count(&mut self, around: &Around<'_>) {
        for change in self.changes.iter_mut().filter(|change| change.kind == Kind::Entered) {
            if let Some(now) = entity(around, change.index) {
                change.bits = entered_bits((around.own.cx, around.own.cz), &now);
            }
        }
    }
}

impl Change {
    fn of(index: u32, as_of: u64, came: Came, bits: usize) -> Change {
        let (kind, bits) = match came {
            Came::Same => (Kind::Same, SAME_BITS),
            Came::Changed => (Kind::Changed, bits),
            Came::Gone => (Kind::Gone, GONE_BITS),
        };
        Change { index, as_of, kind, bits, told: true }
    }

    fn entered(index: u32) -> Change {
        Change { index, as_of: 0, kind: Kind::Entered, bits: ENTERED_BITS_MAX, told: true }
    }
}

/// Of too many, the nearest that a snapshot has room for, by index.
fn find_nearest(around: &Around<'_>, here: &[u32], nearest: &mut Vec<u32>) {
    let far = |index: &u32| {
        let state = around.replicas.get(*index).map(|replica| replica.state);
        state.map_or(i64::MAX, |state| distance_squared(&around.own, &state))
    };
    nearest.clear();
    nearest.extend(here.iter().filter(|index| Some(**index) != around.own_index));
    if nearest.len() > ENTITIES_PER_SNAPSHOT_MAX {
        nearest.select_nth_unstable_by_key(ENTITIES_PER_SNAPSHOT_MAX, far);
        nearest.truncate(ENTITIES_PER_SNAPSHOT_MAX);
        nearest.sort_unstable();
    }
}

fn entity(around: &Around<'_>, index: u32) -> Option<SnapshotEntity> {
    around.replicas.get(index).map(|replica| SnapshotEntity { index, id: replica.id, state: replica.state })
}

fn write_known(encoder: &mut Encoder<'_>, changes: &[Change], news: &News) {
    for change in changes {
        match change.kind {
            Kind::Entered => {}
            Kind::Gone => encoder.gone(),
            Kind::Changed if change.told => encoder.changed_as(news.change(change.index, change.as_of)),
            Kind::Changed | Kind::Same => encoder.same(),
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
            Kind::Changed => change.as_of,
            Kind::Entered | Kind::Gone => continue,
        };
        list.push(Told::new(now, change.index, as_of));
    }
}

fn lead_half_ms(lead_us: Option<i64>) -> i8 {
    lead_us.map_or(0, |us| us.div_euclid(500).clamp(i8::MIN.into(), i8::MAX.into()) as i8)
}
