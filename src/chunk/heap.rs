//! A binary heap of slots that can be re-ordered and removed from anywhere.
//!
//! The queue of requests, the retries that wait for their time and the ages of waiting chunks are all
//! "the smallest key first, and any key may change or go". An insertion, change or removal costs
//! O(log n); memory is kept, so that a steady tick allocates nothing. Keys are unique by construction
//! (they end in a number that is given once), so the order does not depend on the history of the heap.

/// Marks a slot that is not in the heap.
const NOWHERE: u32 = u32::MAX;

/// A min-heap of `(key, slot)` with each slot's place remembered.
#[derive(Debug)]
pub(super) struct SlotHeap<K> {
    /// Heap order: no item is smaller than the one at `(place - 1) / 2`.
    items: Vec<(K, u32)>,
    /// By slot: its place in `items`, or [`NOWHERE`].
    places: Vec<u32>,
}

impl<K: Ord + Copy> SlotHeap<K> {
    pub fn new() -> Self {
        SlotHeap { items: Vec::new(), places: Vec::new() }
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn contains(&self, slot: u32) -> bool {
        self.places.get(slot as usize).is_some_and(|&place| place != NOWHERE)
    }

    /// The smallest key and its slot.
    pub fn peek(&self) -> Option<(K, u32)> {
        self.items.first().copied()
    }

    /// Takes the slot with the smallest key.
    pub fn pop(&mut self) -> Option<(K, u32)> {
        let first = self.peek()?;
        self.remove(first.1);
        Some(first)
    }

    /// Puts a slot in that is not in yet.
    pub fn insert(&mut self, slot: u32, key: K) {
        debug_assert!(!self.contains(slot), "slot {slot} is in the heap already");
        if self.places.len() <= slot as usize {
            self.places.resize(slot as usize + 1, NOWHERE);
        }
        let place = self.items.len();
        self.items.push((key, slot));
        self.places[slot as usize] = place as u32;
        self.rise(place);
    }

    /// Gives a slot that is in the heap another key; a slot that is not in it stays out.
    pub fn change(&mut self, slot: u32, key: K) {
        if !self.contains(slot) {
            return;
        }
        let place = self.places[slot as usize] as usize;
        let before = std::mem::replace(&mut self.items[place].0, key);
        if key < before {
            self.rise(place);
        } else {
            self.sink(place);
        }
    }

    /// Takes a slot out wherever it is; false if it was not in.
    pub fn remove(&mut self, slot: u32) -> bool {
        if !self.contains(slot) {
            return false;
        }
        let place = self.places[slot as usize] as usize;
        let last = self.items.len() - 1;
        self.swap(place, last);
        self.items.pop();
        self.places[slot as usize] = NOWHERE;
        if place < last {
            self.rise(place);
            self.sink(place);
        }
        true
    }

    fn rise(&mut self, mut place: usize) {
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.items[parent].0 <= self.items[place].0 {
                return;
            }
            self.swap(parent, place);
            place = parent;
        }
    }

    fn sink(&mut self, mut place: usize) {
        loop {
            let left = 2 * place + 1;
            let Some(&(mut smallest, _)) = self.items.get(left) else { return };
            let mut child = left;
            if let Some(&(right, _)) = self.items.get(left + 1)
                && right < smallest
            {
                (child, smallest) = (left + 1, right);
            }
            if self.items[place].0 <= smallest {
                return;
            }
            self.swap(place, child);
            place = child;
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.items.swap(a, b);
        self.places[self.items[a].1 as usize] = a as u32;
        self.places[self.items[b].1 as usize] = b as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_changed_key_moves_its_slot_both_ways() {
        let mut heap = SlotHeap::new();
        for (slot, key) in [(0, 10), (1, 20), (2, 30)] {
            heap.insert(slot, key);
        }
        heap.change(2, 5);
        assert_eq!(heap.peek(), Some((5, 2)));
        heap.change(2, 25);
        assert_eq!([heap.pop(), heap.pop(), heap.pop()], [Some((10, 0)), Some((20, 1)), Some((25, 2))]);
        heap.change(2, 1);
        assert_eq!(heap.pop(), None);
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_sorted_map(steps in prop::collection::vec((0u8..4, 0u32..24, 0u16..50), 1..300)) {
            let mut heap = SlotHeap::new();
            let mut model: BTreeMap<u32, (u16, usize)> = BTreeMap::new();
            for (step, (action, slot, number)) in steps.into_iter().enumerate() {
                let key = (number, step);
                match action {
                    0 if !heap.contains(slot) => {
                        heap.insert(slot, key);
                        model.insert(slot, key);
                    }
                    1 => {
                        heap.change(slot, key);
                        model.entry(slot).and_modify(|k| *k = key);
                    }
                    2 => prop_assert_eq!(heap.remove(slot), model.remove(&slot).is_some()),
                    3 => {
                        let smallest = model.iter().map(|(&slot, &key)| (key, slot)).min();
                        prop_assert_eq!(heap.pop(), smallest);
                        if let Some((_, slot)) = smallest {
                            model.remove(&slot);
                        }
                    }
                    _ => {}
                }
                prop_assert_eq!(heap.len(), model.len());
            }
        }
    }
}
