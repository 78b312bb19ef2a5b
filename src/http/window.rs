//! How much is on its way between two threads when one must not get too far ahead of the other.

use std::sync::atomic::{AtomicUsize, Ordering};

/// With this many bytes on their way to another thread, or from it, the sender stops.
pub(super) const HIGH_WATER: usize = 64 * 1024;

/// Below this many the sender goes on.
const LOW_WATER: usize = HIGH_WATER / 2;

/// What a block counts for at least: many small ones cost memory, too.
pub(super) const LEAST: usize = 1024;

/// How many bytes are on their way between two threads.
#[derive(Debug, Default)]
pub(super) struct Window {
    level: AtomicUsize,
}

impl Window {
    /// Counts a block that is sent. Returns whether the sender must stop now, until
    /// [`fall`](Self::fall) says that it may go on.
    pub(super) fn rise(&self, length: usize) -> bool {
        let block = length.max(LEAST);
        let before = self.level.fetch_add(block, Ordering::SeqCst);
        before.saturating_add(block) >= HIGH_WATER
    }

    /// Counts a block that has arrived. Returns whether the sender may go on from just now.
    pub(super) fn fall(&self, length: usize) -> bool {
        let block = length.max(LEAST);
        let before = self.level.fetch_sub(block, Ordering::SeqCst);
        before >= LOW_WATER && before.saturating_sub(block) < LOW_WATER
    }

    pub(super) fn is_high(&self) -> bool {
        self.level.load(Ordering::SeqCst) >= HIGH_WATER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_two_marks() {
        let window = Window::default();
        assert!(!window.rise(HIGH_WATER - LEAST));
        assert!(window.rise(1), "a byte counts for more");
        assert!(window.is_high());
        assert!(!window.fall(1), "not low yet");
        assert!(!window.is_high());
        assert!(window.fall(HIGH_WATER - LEAST));
        assert!(!window.rise(LOW_WATER));
        assert!(window.fall(LOW_WATER));
        assert!(!window.rise(LOW_WATER - LEAST));
        assert!(!window.fall(LOW_WATER - LEAST), "it was low before");
    }
}
