//! Which players stand in which chunk, so that telling a client of its ring costs what is in the ring.

use ahash::AHashMap;
use ninefold_world::{ChunkCoord, LocalPosition};

/// A player in a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occupant {
    /// Its index on the wire.
    pub player: u32,
    /// Where it is.
    pub at: LocalPosition,
}

/// The players of one chunk.
#[derive(Debug, Default)]
pub struct Cell {
    occupants: Vec<Occupant>,
    /// The tick in which one of them last came, moved or left.
    changed_in: u64,
}

/// All players by chunk.
#[derive(Debug, Default)]
pub struct Crowd {
    cells: AHashMap<ChunkCoord, Cell>,
}

impl Cell {
    /// Its players, in no order that means anything.
    pub fn occupants(&self) -> &[Occupant] {
        &self.occupants
    }

    /// The tick in which one of them last came, moved or left.
    pub fn changed_in(&self) -> u64 {
        self.changed_in
    }
}

impl Crowd {
    /// A chunk's players; `None` when nobody was there lately.
    pub fn cell(&self, coord: ChunkCoord) -> Option<&Cell> {
        self.cells.get(&coord)
    }

    /// A player comes in.
    pub fn insert(&mut self, tick: u64, player: u32, at: LocalPosition) {
        let cell = self.cells.entry(at.chunk).or_default();
        debug_assert!(cell.occupants.iter().all(|o| o.player != player), "a player stands in one place");
        cell.occupants.push(Occupant { player, at });
        cell.changed_in = tick;
    }

    /// A player has moved.
    pub fn moved(&mut self, tick: u64, player: u32, from: ChunkCoord, to: LocalPosition) {
        if from != to.chunk {
            self.remove(tick, player, from);
            self.insert(tick, player, to);
            return;
        }
        let cell = self.cells.get_mut(&from).expect("a player that moves was inserted");
        let occupant = cell.occupants.iter_mut().find(|o| o.player == player);
        occupant.expect("a player that moves was inserted").at = to;
        cell.changed_in = tick;
    }

    /// A player goes.
    pub fn remove(&mut self, tick: u64, player: u32, from: ChunkCoord) {
        let Some(cell) = self.cells.get_mut(&from) else { return };
        cell.occupants.retain(|o| o.player != player);
        cell.changed_in = tick;
    }

    /// Gives back the cells in which nothing has happened for `ticks`. Not every tick: it looks at all.
    pub fn sweep(&mut self, tick: u64, ticks: u64) {
        self.cells.retain(|_, cell| !cell.occupants.is_empty() || cell.changed_in + ticks > tick);
    }

    /// Chunks with a cell.
    pub fn cells(&self) -> usize {
        self.cells.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(cx: i32, x: u16) -> LocalPosition {
        LocalPosition { chunk: ChunkCoord { cx, cz: 0 }, x, y: 0, z: 0 }
    }

    #[test]
    fn a_player_is_in_one_cell_at_a_time() {
        let mut crowd = Crowd::default();
        crowd.insert(1, 7, at(0, 5));
        crowd.moved(2, 7, ChunkCoord { cx: 0, cz: 0 }, at(0, 6));
        crowd.moved(3, 7, ChunkCoord { cx: 0, cz: 0 }, at(1, 0));
        let cell = |crowd: &Crowd, cx| crowd.cell(ChunkCoord { cx, cz: 0 }).map(|c| c.occupants().to_vec());
        assert_eq!(cell(&crowd, 0), Some(vec![]));
        assert_eq!(cell(&crowd, 1), Some(vec![Occupant { player: 7, at: at(1, 0) }]));
    }

    #[test]
    fn an_empty_cell_tells_that_somebody_left_and_is_given_back_later() {
        let mut crowd = Crowd::default();
        crowd.insert(1, 7, at(0, 5));
        crowd.remove(9, 7, ChunkCoord { cx: 0, cz: 0 });
        assert_eq!(crowd.cell(ChunkCoord { cx: 0, cz: 0 }).unwrap().changed_in(), 9);
        crowd.sweep(10, 60);
        assert_eq!(crowd.cells(), 1);
        crowd.sweep(100, 60);
        assert_eq!(crowd.cells(), 0);
    }
}
