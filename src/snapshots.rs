//! The snapshots that a client was sent and may have: what the next one can lead from.
//!
//! A record says for each entity which tick's state the client has once it has that snapshot. From the newest
//! acknowledged one on all are kept, for at most [`BASELINE_TICKS_MAX`] ticks; after that the client is told
//! everything anew.

use ninefold_protocol::snapshot::{BASELINE_TICKS_MAX, OwnState};
use prefetch_index::prefetch_index;

/// What a client knows of an entity: its index, and how many ticks before the snapshot the state is that it has. Four
/// bytes, since in a crowd everybody is told of everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told(u32);

/// Indices that fit; there are as many entities at most.
pub const TOLD_INDEX_MAX: u32 = (1 << 24) - 1;

impl Told {
    /// With a snapshot of tick `now`, the client has the state of tick `as_of`.
    pub fn new(now: u64, index: u32, as_of: u64) -> Told {
        debug_assert!(index <= TOLD_INDEX_MAX && as_of <= now);
        // Older than anything that is kept is old enough.
        let age = now.saturating_sub(as_of).min(u8::MAX.into());
        Told((index << 8) | age as u32)
    }

    /// The entity's index.
    pub fn index(self) -> u32 {
        self.0 >> 8
    }

    /// The tick whose state the client has, as the snapshot of tick `now` says.
    pub fn as_of(self, now: u64) -> u64 {
        now.saturating_sub(u64::from(self.0 & 0xff))
    }
}

/// A snapshot that was sent.
#[derive(Debug, Default)]
pub struct Sent {
    /// When.
    pub tick: u64,
    /// The client itself, as told.
    pub own: OwnState,
    /// The open doors of the ring around [`OwnState::cx`], [`OwnState::cz`], as told.
    pub open_doors: [u32; 9],
    /// The entities that it knows with it, by index, ascending.
    pub told: Vec<Told>,
}

/// The snapshots of one client.
#[derive(Debug, Default)]
pub struct SentSnapshots {
    /// The oldest first; at most one for each tick that counts. What is over leaves from the front and the others move up:
    /// they are few, and so stay in the same lines of memory instead of wandering through as many as there ever were.
    sent: Vec<Sent>,
    /// The tick of the newest one that was acknowledged, kept or not; 0 before the first.
    acked: u64,
}

/// Lists that nobody uses, kept for their memory and shared by all clients.
#[derive(Debug, Default)]
pub struct Lists(Vec<Vec<Told>>);

/// Lists that are kept at most.
const LISTS_MAX: usize = 1_024;

impl Lists {
    /// An empty list.
    pub fn take(&mut self) -> Vec<Told> {
        self.0.pop().unwrap_or_default()
    }

    fn give_back(&mut self, mut list: Vec<Told>) {
        if self.0.len() < LISTS_MAX {
            list.clear();
            self.0.push(list);
        }
    }
}

impl SentSnapshots {
    /// Forgets those that are too old to lead from, and those before the newest acknowledged one.
    pub fn trim(&mut self, now: u64, lists: &mut Lists) {
        let is_over = |sent: &Sent| sent.tick < self.acked || now - sent.tick > u64::from(BASELINE_TICKS_MAX);
        let over = self.sent.iter().take_while(|sent| is_over(sent)).count();
        self.sent.drain(..over).for_each(|over| lists.give_back(over.told));
    }

    /// The newest one that the client has acknowledged, if it is not too old to lead from. After
    /// [`SentSnapshots::trim`].
    pub fn baseline(&self) -> Option<&Sent> {
        self.sent.first().filter(|sent| sent.tick == self.acked)
    }

    /// The newest one that was sent.
    pub fn newest(&self) -> Option<&Sent> {
        self.sent.last()
    }

    /// One more was sent.
    pub fn push(&mut self, tick: u64, own: OwnState, open_doors: [u32; 9], told: Vec<Told>) {
        debug_assert!(self.sent.last().is_none_or(|sent| sent.tick < tick), "one a tick");
        self.sent.push(Sent { tick, own, open_doors, told });
    }

    /// The client has the snapshot of this tick, which it was sent.
    pub fn on_acked(&mut self, tick: u64) {
        // What is older than the newest says nothing new.
        self.acked = self.acked.max(tick);
    }

    /// Has those that are kept fetched from memory, see [`crate::ahead`].
    pub fn fetch(&self) {
        (0..=self.sent.len()).for_each(|at| prefetch_index(&self.sent, at));
    }

    /// The same of what was told with the one that the next leads from.
    pub fn fetch_told(&self) {
        const TOLD_PER_LINE: usize = 64 / size_of::<Told>();
        if let Some(sent) = self.sent.iter().find(|sent| sent.tick == self.acked) {
            (0..sent.told.len()).step_by(TOLD_PER_LINE).for_each(|at| prefetch_index(&sent.told, at));
        }
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.sent.len()
    }

    /// Bytes of memory beside the table itself.
    pub fn memory_bytes(&self) -> usize {
        let lists: usize = self.sent.iter().map(|sent| sent.told.capacity() * size_of::<Told>()).sum();
        self.sent.capacity() * size_of::<Sent>() + lists
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }
}

/// What a client was last sent of each entity, to be asked for indices in ascending order.
#[derive(Debug)]
pub struct LastTold<'s> {
    tick: u64,
    rest: &'s [Told],
}

impl<'s> LastTold<'s> {
    /// By the newest snapshot.
    pub fn of(snapshots: &'s SentSnapshots) -> Self {
        snapshots
            .newest()
            .map_or(LastTold { tick: 0, rest: &[] }, |sent| LastTold { tick: sent.tick, rest: &sent.told })
    }

    /// The tick whose state of this entity was last sent. No later question is about a lower index.
    pub fn find(&mut self, index: u32) -> Option<u64> {
        while let [first, rest @ ..] = self.rest
            && first.index() < index
        {
            self.rest = rest;
        }
        self.rest.first().filter(|told| told.index() == index).map(|told| told.as_of(self.tick))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(ticks: std::ops::RangeInclusive<u64>) -> SentSnapshots {
        let mut snapshots = SentSnapshots::default();
        ticks.for_each(|tick| snapshots.push(tick, OwnState::default(), [0; 9], Vec::new()));
        snapshots
    }

    fn baseline(snapshots: &mut SentSnapshots, now: u64) -> Option<u64> {
        snapshots.trim(now, &mut Lists::default());
        snapshots.baseline().map(|sent| sent.tick)
    }

    #[test]
    fn the_newest_acknowledged_one_is_the_baseline() {
        let mut snapshots = sent(1..=9);
        assert_eq!(baseline(&mut snapshots, 10), None);
        [4, 7, 5].into_iter().for_each(|tick| snapshots.on_acked(tick));
        assert_eq!(baseline(&mut snapshots, 10), Some(7));
        assert_eq!((snapshots.len(), snapshots.newest().map(|s| s.tick)), (3, Some(9)));
    }

    #[test]
    fn lists_are_used_again() {
        let mut lists = Lists::default();
        let mut snapshots = SentSnapshots::default();
        snapshots.push(1, OwnState::default(), [0; 9], vec![Told::new(1, 2, 1); 50]);
        snapshots.trim(100, &mut lists);
        let list = lists.take();
        assert!(list.is_empty() && list.capacity() >= 50);
    }

    #[test]
    fn what_is_told_keeps_its_index_and_its_tick() {
        for (now, index, as_of) in [(100, 0, 100), (100, TOLD_INDEX_MAX, 37), (5, 7, 0)] {
            let told = Told::new(now, index, as_of);
            assert_eq!((told.index(), told.as_of(now)), (index, as_of));
        }
        let old = Told::new(1_000, 9, 3);
        assert_eq!((old.index(), old.as_of(1_000)), (9, 745));
    }

    #[test]
    fn what_was_last_told_is_found_by_index() {
        let mut snapshots = SentSnapshots::default();
        assert_eq!(LastTold::of(&snapshots).find(3), None);
        let told = [(2, 9), (3, 7), (6, 9)].map(|(index, as_of)| Told::new(9, index, as_of));
        snapshots.push(9, OwnState::default(), [0; 9], told.to_vec());
        let mut last = LastTold::of(&snapshots);
        let found = [1, 3, 3, 5, 6, 8].map(|index| last.find(index));
        assert_eq!(found, [None, Some(7), Some(7), None, Some(9), None]);
    }

    #[test]
    fn one_that_is_too_old_is_gone() {
        let mut snapshots = sent(1..=20);
        snapshots.on_acked(10);
        assert_eq!(baseline(&mut snapshots, 73), Some(10));
        assert_eq!(baseline(&mut snapshots, 74), None);
        snapshots.on_acked(12);
        assert_eq!(baseline(&mut snapshots, 74), Some(12));
        assert_eq!(baseline(&mut snapshots, 200), None);
        assert!(snapshots.is_empty());
    }
}
