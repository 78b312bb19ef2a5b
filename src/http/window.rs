//! Flow control between two threads: the sender must not get too far ahead of the receiver.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The sender stops when this many bytes are on their way.
pub(super) const HIGH_WATER: usize = 64 * 1024;

/// The sender goes on when fewer bytes than this are on their way.
const LOW_WATER: usize = HIGH_WATER / 2;

/// A block counts for at least this many bytes, because many small blocks cost memory as well.
pub(super) const LEAST: usize = 1024;

/// How many bytes are on their way between two threads.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// The bytes that were sent and have not arrived.
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

    /// Counts a block that has arrived. Returns whether this lets a sender go on that had to stop.
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
