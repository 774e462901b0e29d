//! Which leaves a sight line can join, exactly, in plan.
//!
//! From each leaf through each sequence of portals that one straight line can pass (Teller 1992, in the
//! plane): the lines through a sequence lie between two extreme ones. The leftmost touches a right corner
//! and, further on, a left one; the rightmost the other way round. A portal can be passed if part of it
//! lies strictly between the two; a corner of it between them becomes the new extreme. Corners are small
//! whole numbers, so every answer is exact. What is above and below is not looked at: it hides little
//! where floors differ by no more than a step, and leaving it out hides nothing that can be seen.

use super::portal::{Beyond, Corner, Portals};
use super::{LeafSet, Table, Visibility};
use crate::border::Side;
use crate::chunk::LEAVES_MAX;
use crate::coord::CELLS_PER_CHUNK;

/// A line passes at most so many portals: it crosses at most 32 cell boundaries, the border's among them.
const DEPTH_MAX: usize = 2 * CELLS_PER_CHUNK + 1;
/// Portals that are looked at for one chunk before it counts as open land: some 10 ms of work, however a recipe
/// was made up. What is generated needs a tenth.
const STEPS_MAX: u32 = 1_000_000;

/// Finds what `leaves` leaves can see of each other and of the openings.
pub(crate) fn find(portals: &Portals, leaves: usize) -> Visibility {
    // Few chunks indoors have more leaves than a word has bits.
    if leaves <= 64 { find_in::<1>(portals, leaves) } else { find_in::<{ LEAVES_MAX / 64 }>(portals, leaves) }
}

fn find_in<const WORDS: usize>(portals: &Portals, leaves: usize) -> Visibility {
    let openings = portals.openings.len();
    let mut all = Sight { leaves: [0; WORDS], openings: 0 };
    (0..leaves).for_each(|leaf| all.insert(leaf));
    (0..openings).for_each(|opening| all.openings |= 1 << opening);
    let mut flow = Flow {
        portals,
        sights: [all; LEAVES_MAX],
        seen: all,
        lefts: [[0; 2]; DEPTH_MAX],
        rights: [[0; 2]; DEPTH_MAX],
        steps: 0,
    };
    for from in 0..leaves {
        flow.look(from);
        if flow.steps > STEPS_MAX {
            return Visibility::All;
        }
    }
    let mut rows = vec![LeafSet::NONE; leaves + openings];
    for (from, sight) in flow.sights[..leaves].iter().enumerate() {
        (0..leaves).filter(|leaf| sight.contains(*leaf)).for_each(|leaf| rows[from].insert(leaf));
        let seen = (0..openings).filter(|opening| sight.openings & (1 << opening) != 0);
        seen.for_each(|opening| rows[leaves + opening].insert(from));
    }
    Visibility::Table(Table { rows, openings: portals.openings.clone() })
}

/// What a leaf sees.
#[derive(Debug, Clone, Copy)]
struct Sight<const WORDS: usize> {
    leaves: [u64; WORDS],
    openings: u64,
}

impl<const WORDS: usize> Sight<WORDS> {
    fn contains(&self, leaf: usize) -> bool {
        self.leaves[leaf / 64] & (1 << (leaf % 64)) != 0
    }

    fn insert(&mut self, leaf: usize) {
        self.leaves[leaf / 64] |= 1 << (leaf % 64);
    }

    fn intersection(self, other: Self) -> Self {
        let leaves = std::array::from_fn(|i| self.leaves[i] & other.leaves[i]);
        Sight { leaves, openings: self.openings & other.openings }
    }

    fn is_subset(self, other: Self) -> bool {
        let extra = self.leaves.iter().zip(other.leaves).fold(0, |extra, (a, b)| extra | (a & !b));
        extra | (self.openings & !other.openings) == 0
    }
}

struct Flow<'p, const WORDS: usize> {
    portals: &'p Portals,
    /// What each leaf sees, where that is known already; what it might see, where it is not.
    sights: [Sight<WORDS>; LEAVES_MAX],
    /// What the leaf that looks has seen.
    seen: Sight<WORDS>,
    /// Corners of the portals that were passed.
    lefts: [Corner; DEPTH_MAX],
    rights: [Corner; DEPTH_MAX],
    steps: u32,
}

/// A line: two of its points, in the direction of sight.
#[derive(Debug, Clone, Copy)]
struct Line {
    from: Corner,
    to: Corner,
}

impl Line {
    /// Positive where a point is left of it, 0 on it.
    fn side(self, point: Corner) -> i32 {
        let [dx, dz] = [self.to[0] - self.from[0], self.to[1] - self.from[1]];
        dx * (point[1] - self.from[1]) - dz * (point[0] - self.from[0])
    }
}

/// The leftmost and the rightmost line through the portals so far.
#[derive(Debug, Clone, Copy)]
struct Extremes {
    leftmost: Line,
    rightmost: Line,
}

impl<const WORDS: usize> Flow<'_, WORDS> {
    fn look(&mut self, from: usize) {
        let mut might = self.sights[from];
        self.seen = Sight { leaves: [0; WORDS], openings: 0 };
        self.seen.insert(from);
        // Sight goes both ways: what the leaves before this one see is known.
        for (before, sight) in self.sights[..from].iter().enumerate() {
            if sight.contains(from) {
                self.seen.insert(before);
            } else {
                might.leaves[before / 64] &= !(1 << (before % 64));
            }
        }
        let portals = self.portals.of(from as u16);
        self.steps += portals.len() as u32;
        for portal in portals {
            (self.lefts[0], self.rights[0]) = (portal.left, portal.right);
            self.enter(portal.beyond, 1, None, portal.side, might);
        }
        self.sights[from] = self.seen;
    }

    /// What lies behind the last portal passed, and further on: nothing but what all that were passed
    /// might see.
    fn enter(
        &mut self,
        beyond: Beyond,
        depth: usize,
        extremes: Option<Extremes>,
        entered: Side,
        might: Sight<WORDS>,
    ) {
        let leaf = match beyond {
            Beyond::Opening(opening) => {
                self.seen.openings |= 1 << opening;
                return;
            }
            Beyond::Leaf(leaf) => leaf,
        };
        self.seen.insert(usize::from(leaf));
        let might = might.intersection(self.sights[usize::from(leaf)]);
        if might.is_subset(self.seen) || depth == DEPTH_MAX || self.steps > STEPS_MAX {
            return;
        }
        let portals = self.portals.of(leaf);
        self.steps += portals.len() as u32;
        for portal in portals {
            let is_hopeless = match portal.beyond {
                Beyond::Leaf(leaf) => !might.contains(usize::from(leaf)),
                Beyond::Opening(opening) => self.seen.openings & (1 << opening) != 0,
            };
            // A line leaves a box neither on the side where it came in nor against its direction.
            if is_hopeless || portal.side == entered.opposite() {
                continue;
            }
            if let Some(narrowed) = self.narrow(depth, extremes, portal.left, portal.right) {
                (self.lefts[depth], self.rights[depth]) = (portal.left, portal.right);
                self.enter(portal.beyond, depth + 1, Some(narrowed), portal.side, might);
            }
        }
    }

    /// The lines that pass one portal more; `None` if none does.
    fn narrow(
        &self,
        depth: usize,
        extremes: Option<Extremes>,
        left: Corner,
        right: Corner,
    ) -> Option<Extremes> {
        let mut extremes = match extremes {
            // Two portals of one box, on different sides: there are lines through both.
            None => {
                let leftmost = Line { from: self.rights[0], to: left };
                let rightmost = Line { from: self.lefts[0], to: right };
                return Some(Extremes { leftmost, rightmost });
            }
            Some(extremes) => extremes,
        };
        if extremes.leftmost.side(right) >= 0 || extremes.rightmost.side(left) <= 0 {
            return None;
        }
        if extremes.leftmost.side(left) < 0 {
            extremes.leftmost = tangent(&self.rights[..depth], left, 1);
        }
        if extremes.rightmost.side(right) > 0 {
            extremes.rightmost = tangent(&self.lefts[..depth], right, -1);
        }
        Some(extremes)
    }
}

/// The line through one of `corners` and `to` that leaves none of them on the wrong side: on the left
/// (`sign` 1) or on the right (-1).
fn tangent(corners: &[Corner], to: Corner, sign: i32) -> Line {
    let mut line = Line { from: corners[0], to };
    for corner in &corners[1..] {
        if line.side(*corner) * sign > 0 {
            line.from = *corner;
        }
    }
    line
}
