//! How much is under way between two threads, of which one must not get too far ahead.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// With this much under way to another thread, or from it, the sender is held back.
pub(super) const HIGH_WATER: usize = 64 * 1024;

/// Below this much it may go on.
const LOW_WATER: usize = HIGH_WATER / 2;

/// What a block counts for at least: many small ones cost memory, too.
pub(super) const LEAST: usize = 1024;

/// How much is under way between two threads.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    level: AtomicUsize,
    ended: AtomicBool,
}

impl Gauge {
    /// A block of that length sets out; whether no other should, until [`fall`](Self::fall) says
    /// so.
    pub(super) fn rise(&self, length: usize) -> bool {
        let block = length.max(LEAST);
        self.level
            .fetch_add(block, Ordering::SeqCst)
            .saturating_add(block)
            >= HIGH_WATER
    }

    /// A block of that length has arrived; whether the sender may go on just now.
    pub(super) fn fall(&self, length: usize) -> bool {
        let block = length.max(LEAST);
        let before = self.level.fetch_sub(block, Ordering::SeqCst);
        before >= LOW_WATER && before.saturating_sub(block) < LOW_WATER
    }

    pub(super) fn is_high(&self) -> bool {
        self.level.load(Ordering::SeqCst) >= HIGH_WATER
    }

    /// Nothing more will set out.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_has_two_marks() {
        let gauge = Gauge::default();
        assert!(!gauge.rise(HIGH_WATER - LEAST));
        assert!(gauge.rise(1), "a byte counts for more");
        assert!(gauge.is_high());
        assert!(!gauge.fall(1), "not low yet");
        assert!(!gauge.is_high());
        assert!(gauge.fall(HIGH_WATER - LEAST));
        assert!(!gauge.rise(LOW_WATER));
        assert!(gauge.fall(LOW_WATER));
        assert!(!gauge.rise(LOW_WATER - LEAST));
        assert!(!gauge.fall(LOW_WATER - LEAST), "it was low before");
    }
}
