//! How many messages wait for the conversation at one slot.

use std::sync::atomic::{AtomicU64, Ordering};

/// The generation of the conversation at a slot, and the number of messages that wait for it.
///
/// Both are in one word, because a conversation can end and another can take its slot at any
/// moment. A message to the earlier one is then never counted for the later one.
#[derive(Default)]
pub(super) struct Shelf(AtomicU64);

impl Shelf {
    /// From now on the slot belongs to `generation`, and no message waits for it.
    pub(super) fn assign(&self, generation: u32) {
        let word = u64::from(generation) << u32::BITS;
        self.0.store(word, Ordering::Release);
    }

    /// Returns the generation that the slot belongs to.
    pub(super) fn owner(&self) -> u32 {
        (self.0.load(Ordering::Acquire) >> u32::BITS) as u32
    }

    /// Changes the number of messages that wait for `generation`.
    ///
    /// # Errors
    ///
    /// Returns the owner of the slot if that is another generation, or if `change` returns `None`.
    pub(super) fn count(
        &self,
        generation: u32,
        change: impl Fn(u32) -> Option<u32>,
    ) -> Result<(), u32> {
        let update = |word: u64| {
            let (owner, waiting) = ((word >> u32::BITS) as u32, word as u32);
            let waiting = change(waiting).filter(|_| owner == generation)?;
            Some(u64::from(owner) << u32::BITS | u64::from(waiting))
        };
        let (set, fetch) = (Ordering::AcqRel, Ordering::Acquire);
        let updated = self.0.fetch_update(set, fetch, update);
        updated.map(drop).map_err(|word| (word >> u32::BITS) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sender looks up its conversation and is counted later. In between, the conversation may
    /// end and another may take its slot.
    #[test]
    fn messages_to_an_earlier_owner_are_not_counted() {
        let shelf = Shelf::default();
        let waiting = || shelf.0.load(Ordering::Acquire) as u32;
        let one_more = |waiting: u32| waiting.checked_add(1);
        let one_less = |waiting: u32| waiting.checked_sub(1);
        shelf.assign(1);
        assert_eq!(shelf.count(1, one_more), Ok(()));
        shelf.assign(2);
        assert_eq!(waiting(), 0);
        assert_eq!(shelf.count(2, one_more), Ok(()));
        assert_eq!(shelf.count(1, one_more), Err(2));
        assert_eq!(shelf.count(1, one_less), Err(2));
        assert_eq!(waiting(), 1);
        assert_eq!(shelf.count(2, one_less), Ok(()));
        assert_eq!(shelf.count(2, one_less), Err(2), "there is none");
    }
}
