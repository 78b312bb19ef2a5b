//! The limits that hold for every connection, whatever its protocol.

use std::time::Duration;

/// The limits of every connection, whatever its protocol: on the loop, in
/// [`Evented`](super::Evented), and without one, in a [`Driver`](super::Driver) (design laws
/// [7][law 7] and [8][law 8]).
///
/// [law 7]: crate::spec#law-7
/// [law 8]: crate::spec#law-8
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EventedSettings {
    /// How long a client may leave output unread without taking a byte: 30 s (nginx's
    /// `send_timeout` has 60 s, Apache's `Timeout` 60 s).
    pub write_stall: Duration,
    /// Bytes a second that a client must take on average, at least one: 240, as in Kestrel. This
    /// applies once output has waited for the client as long as [`write_stall`](Self::write_stall).
    /// A client that takes less does not have a slow line; it tries to hold the connection.
    pub write_rate: u32,
    /// How long a client may go on sending after the last output, before it is cut off: 2 s.
    /// (Apache has 2 s, nginx 5 s between two reads.)
    pub linger: Duration,
    /// While more output than this is unsent, nothing more is read or produced: 64 KiB.
    pub high_water: usize,
}

impl Default for EventedSettings {
    fn default() -> EventedSettings {
        EventedSettings {
            write_stall: Duration::from_secs(30),
            write_rate: 240,
            linger: Duration::from_secs(2),
            high_water: 64 * 1024,
        }
    }
}
