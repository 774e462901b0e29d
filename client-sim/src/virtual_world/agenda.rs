//! Who is to be woken when: one heap for all, one place in it that counts for each.
//!
//! A wake that was made earlier leaves its old entry behind, which is skipped when it comes up. Entries of one moment come
//! up in a fixed order, so that a seed means the same everywhere.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// No wake.
const NEVER_US: u64 = u64::MAX;

/// The wakes of actors 0 to n.
#[derive(Debug, Default)]
pub struct Agenda {
    heap: BinaryHeap<Reverse<(u64, u32)>>,
    /// When each is woken next.
    wakes_us: Vec<u64>,
}

impl Agenda {
    /// Wakes an actor then, if it would not be woken earlier anyway.
    pub fn wake(&mut self, actor: u32, at_us: u64) {
        let index = actor as usize;
        if self.wakes_us.len() <= index {
            self.wakes_us.resize(index + 1, NEVER_US);
        }
        if at_us < self.wakes_us[index] {
            self.wakes_us[index] = at_us;
            self.heap.push(Reverse((at_us, actor)));
        }
    }

    /// When somebody is woken next.
    pub fn next_us(&mut self) -> Option<u64> {
        while let Some(&Reverse((at_us, actor))) = self.heap.peek() {
            if self.wakes_us[actor as usize] == at_us {
                return Some(at_us);
            }
            self.heap.pop();
        }
        None
    }

    /// Who is woken next, and when; it has no wake until it gets another.
    pub fn pop(&mut self) -> Option<(u64, u32)> {
        self.next_us()?;
        let Reverse((at_us, actor)) = self.heap.pop()?;
        self.wakes_us[actor as usize] = NEVER_US;
        Some((at_us, actor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_earliest_wake_of_an_actor_counts() {
        let mut agenda = Agenda::default();
        for (actor, at_us) in [(1, 50), (0, 40), (1, 30), (1, 60), (2, 30)] {
            agenda.wake(actor, at_us);
        }
        let woken: Vec<_> = std::iter::from_fn(|| agenda.pop()).collect();
        assert_eq!(woken, [(30, 1), (30, 2), (40, 0)]);
        agenda.wake(1, 70);
        assert_eq!((agenda.next_us(), agenda.pop(), agenda.pop()), (Some(70), Some((70, 1)), None));
    }
}
