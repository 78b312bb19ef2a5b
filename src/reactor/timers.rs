//! A heap of deadlines, with at most one entry for each slot, re-armed lazily.

use std::time::Instant;

/// Deadlines of slots, the nearest first.
///
/// A connection's deadline moves with every request, nearly always to a later time. So arming a
/// later deadline does nothing: the earlier entry stays. When that entry is due, its owner looks
/// at the clock and arms the real deadline. The price is one turn too many for each deadline that
/// moved. The gain is that a request, in steady state, does not touch the heap ([RT-7]).
///
/// [RT-7]: crate::spec#rt-7
#[derive(Debug, Default)]
pub struct Timers {
    /// A binary heap: no entry is later than its two children, `2i + 1` and `2i + 2`.
    heap: Vec<Entry>,
    /// Where in the heap each slot's entry is, or [`ABSENT`].
    places: Vec<u32>,
}

/// One slot's deadline.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// When the slot is due.
    deadline: Instant,
    /// The slot's index.
    slot: u32,
}

/// The place of a slot that has no entry.
const ABSENT: u32 = u32::MAX;

impl Timers {
    /// Makes `slot` due at `deadline` at the latest. An earlier deadline that is armed stays.
    pub fn arm(&mut self, slot: u32, deadline: Instant) {
        if self.places.len() <= slot as usize {
            self.places.resize(slot as usize + 1, ABSENT);
        }
        match self.places[slot as usize] {
            ABSENT => {
                self.heap.push(Entry { deadline, slot });
                self.sift_up(self.heap.len() - 1);
            }
            place => {
                let place = place as usize;
                if deadline < self.heap[place].deadline {
                    self.heap[place].deadline = deadline;
                    self.sift_up(place);
                }
            }
        }
    }

    /// Forgets `slot`'s deadline, if it has one.
    pub fn disarm(&mut self, slot: u32) {
        let place = self.places.get(slot as usize).copied().unwrap_or(ABSENT);
        if place != ABSENT {
            self.remove(place as usize);
        }
    }

    /// Returns the nearest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.heap.first().map(|entry| entry.deadline)
    }

    /// Takes out one slot whose deadline has passed at `now`.
    pub fn pop_due(&mut self, now: Instant) -> Option<u32> {
        let entry = *self.heap.first()?;
        if entry.deadline > now {
            return None;
        }
        self.remove(0);
        Some(entry.slot)
    }

    /// Returns how many slots have a deadline armed.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Returns whether no deadline is armed.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    fn remove(&mut self, place: usize) {
        let gone = self.heap.swap_remove(place);
        self.places[gone.slot as usize] = ABSENT;
        if place < self.heap.len() {
            // The last entry took this place. It may be too early for it, or too late.
            let place = self.sift_up(place);
            self.sift_down(place);
        }
    }

    /// Moves an entry up to where it belongs, and returns its place.
    fn sift_up(&mut self, mut place: usize) -> usize {
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.heap[parent].deadline <= self.heap[place].deadline {
                break;
            }
            self.heap.swap(parent, place);
            self.record(place);
            place = parent;
        }
        self.record(place);
        place
    }

    /// Moves an entry down to where it belongs.
    fn sift_down(&mut self, mut place: usize) {
        loop {
            let left = 2 * place + 1;
            let right = left + 1;
            let mut least = place;
            for child in [left, right] {
                if child < self.heap.len() && self.heap[child].deadline < self.heap[least].deadline
                {
                    least = child;
                }
            }
            if least == place {
                break;
            }
            self.heap.swap(place, least);
            self.record(place);
            place = least;
        }
        self.record(place);
    }

    /// Notes where an entry is now.
    fn record(&mut self, place: usize) {
        self.places[self.heap[place].slot as usize] = place as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(base: Instant, millis: u64) -> Instant {
        base + Duration::from_millis(millis)
    }

    #[test]
    fn a_slot_has_one_entry_and_keeps_its_earliest_deadline() {
        let base = Instant::now();
        let mut timers = Timers::default();
        timers.arm(7, at(base, 50));
        timers.arm(7, at(base, 90));
        timers.arm(7, at(base, 20));
        assert_eq!(timers.len(), 1);
        assert_eq!(timers.next(), Some(at(base, 20)));
        assert_eq!(timers.pop_due(at(base, 19)), None);
        assert_eq!(timers.pop_due(at(base, 20)), Some(7));
        assert!(timers.is_empty());
        timers.disarm(7);
        timers.disarm(99);
    }

    /// Against a plain list, through a few thousand pseudo-random operations.
    #[test]
    fn the_heap_agrees_with_a_list() {
        let base = Instant::now();
        let mut timers = Timers::default();
        let mut list: Vec<(Instant, u32)> = Vec::new();
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..5_000 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let slot = (seed >> 8) as u32 % 40;
            let deadline = at(base, (seed >> 20) % 1_000);
            match seed % 4 {
                0 => {
                    timers.disarm(slot);
                    list.retain(|entry| entry.1 != slot);
                }
                1 => {
                    let popped = timers.pop_due(deadline);
                    let due = list
                        .iter()
                        .map(|entry| entry.0)
                        .min()
                        .filter(|d| *d <= deadline);
                    assert_eq!(popped.is_some(), due.is_some());
                    if let Some(slot) = popped {
                        let place = list.iter().position(|entry| entry.1 == slot);
                        assert_eq!(Some(list.swap_remove(place.expect("armed")).0), due);
                    }
                }
                _ => {
                    timers.arm(slot, deadline);
                    match list.iter_mut().find(|entry| entry.1 == slot) {
                        Some(entry) => entry.0 = entry.0.min(deadline),
                        None => list.push((deadline, slot)),
                    }
                }
            }
            assert_eq!(timers.len(), list.len());
            assert_eq!(timers.next(), list.iter().map(|entry| entry.0).min());
        }
    }
}
