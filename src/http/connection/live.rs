//! What keeps a stream of events alive ([SSE-4]).
//!
//! [SSE-4]: crate::spec#sse-4

use std::time::{Duration, Instant};

/// A comment in a stream of events. A browser ignores it, and a proxy sees that the stream lives.
pub(super) const HEARTBEAT: &[u8] = b":\n\n";

/// A shorter heartbeat would only keep the loop busy.
const SHORTEST_HEARTBEAT: Duration = Duration::from_secs(1);

/// How a stream of events is kept alive.
#[derive(Debug)]
pub(super) struct Live {
    /// How long it may be silent.
    heartbeat: Duration,
    /// The bytes of the comments that the loop has sent.
    pub(super) sent: u64,
    /// The server is stopping, so the stream ends as soon as what was sent to it is delivered.
    pub(super) is_ending: bool,
}

impl Live {
    pub(super) fn new(heartbeat: Duration) -> Live {
        Live {
            heartbeat: heartbeat.max(SHORTEST_HEARTBEAT),
            sent: 0,
            is_ending: false,
        }
    }

    /// Returns when the next comment, or the end, is due, if there was something to send at `since`.
    pub(super) fn deadline(&self, since: Instant) -> Option<Instant> {
        match self.is_ending {
            true => Some(since),
            false => since.checked_add(self.heartbeat),
        }
    }
}
