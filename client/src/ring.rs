//! The nine chunks around the player, and what of them is still awaited.

use ninefold_protocol::time::{Duration, Instant};
use ninefold_world::{ChunkCoord, Topology};

use crate::cache::ChunkCache;

/// A chunk of the ring that has not come by then is asked for.
pub const ASK_AFTER: Duration = Duration::from_secs(2);
/// Asking again waits twice as long each time, at most this long.
const ASK_AGAIN_MAX: Duration = Duration::from_secs(16);

/// The ring.
#[derive(Debug, Default)]
pub struct Ring {
    active: Option<ChunkCoord>,
    coords: Vec<ChunkCoord>,
    wanted: Vec<Wanted>,
}

/// A chunk of the ring that is not there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Which.
    pub coord: ChunkCoord,
    /// When it came into the ring.
    pub since: Instant,
    /// When to ask for it.
    ask_at: Instant,
    /// How long to wait after that.
    ask_again: Duration,
}

impl Ring {
    /// The chunk that the player stands in; `None` before it is in the world.
    pub fn active(&self) -> Option<ChunkCoord> {
        self.active
    }

    /// The ring's chunks, the active one first.
    pub fn coords(&self) -> &[ChunkCoord] {
        &self.coords
    }

    /// What has not come yet.
    pub fn wanted(&self) -> &[Wanted] {
        &self.wanted
    }

    /// Whether this one has not come yet.
    pub fn wants(&self, coord: ChunkCoord) -> bool {
        self.wanted.iter().any(|wanted| wanted.coord == coord)
    }

    /// The player stands in another chunk now. Its ring's chunks become the most recently used.
    pub fn enter(&mut self, now: Instant, topology: Topology, active: ChunkCoord, cache: &mut ChunkCache) {
        self.active = Some(active);
        self.coords.clear();
        self.coords.extend(topology.ring(active));
        let before = std::mem::take(&mut self.wanted);
        // Touched last, the active chunk is the last that a full cache gives up.
        for &coord in self.coords.iter().rev() {
            if cache.touch(coord) {
                continue;
            }
            let known = before.iter().find(|w| w.coord == coord).copied();
            self.wanted.push(known.unwrap_or(Wanted {
                coord,
                since: now,
                ask_at: now + ASK_AFTER,
                ask_again: ASK_AFTER,
            }));
        }
    }

    /// A chunk has come; tells since when it was awaited.
    pub fn arrived(&mut self, coord: ChunkCoord) -> Option<Wanted> {
        let at = self.wanted.iter().position(|w| w.coord == coord)?;
        Some(self.wanted.swap_remove(at))
    }

    /// A fragment of it came: no need to ask for now.
    pub fn grew(&mut self, now: Instant, coord: ChunkCoord) {
        if let Some(wanted) = self.wanted.iter_mut().find(|w| w.coord == coord) {
            wanted.ask_at = wanted.ask_at.max(now + ASK_AFTER);
        }
    }

    /// The next chunk to ask for, if it is time.
    pub fn poll_ask(&mut self, now: Instant) -> Option<ChunkCoord> {
        let wanted = self.wanted.iter_mut().find(|w| w.ask_at <= now)?;
        wanted.ask_again = wanted.ask_again.scaled(2, 1).min(ASK_AGAIN_MAX);
        wanted.ask_at = now + wanted.ask_again;
        Some(wanted.coord)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ninefold_world::Chunk;
    use std::sync::Arc;

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_ms(ms)
    }

    #[test]
    fn what_is_not_cached_is_wanted_since_it_came_into_the_ring() {
        let mut cache = ChunkCache::new(64);
        assert_eq!(cache.insert(Arc::new(Chunk::safe(ChunkCoord { cx: 0, cz: 0 })), 1), None);
        let mut ring = Ring::default();
        ring.enter(at(0), Topology::Plane, ChunkCoord { cx: 0, cz: 0 }, &mut cache);
        assert_eq!((ring.coords().len(), ring.wanted().len()), (9, 8));
        ring.enter(at(10), Topology::Plane, ChunkCoord { cx: 1, cz: 0 }, &mut cache);
        let since = |cx, cz| ring.wanted().iter().find(|w| w.coord == ChunkCoord { cx, cz }).map(|w| w.since);
        assert_eq!((since(1, 1), since(2, 1), since(0, 0)), (Some(at(0)), Some(at(10)), None));
        assert!(ring.arrived(ChunkCoord { cx: 2, cz: 1 }).is_some());
        assert!(ring.arrived(ChunkCoord { cx: 2, cz: 1 }).is_none());
    }

    #[test]
    fn what_does_not_come_is_asked_for_ever_more_rarely() {
        let mut ring = Ring::default();
        let only = ChunkCoord { cx: i32::MAX, cz: i32::MAX };
        ring.enter(at(0), Topology::Plane, only, &mut ChunkCache::new(64));
        for coord in ring.coords().to_vec() {
            if coord != only {
                ring.arrived(coord);
            }
        }
        assert_eq!(ring.poll_ask(at(1_999)), None);
        assert_eq!(ring.poll_ask(at(2_000)), Some(only));
        assert_eq!(ring.poll_ask(at(5_999)), None);
        ring.grew(at(5_999), only);
        assert_eq!(ring.poll_ask(at(7_998)), None);
        assert_eq!(ring.poll_ask(at(7_999)), Some(only));
    }
}
