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
    ///
    /// The progress of a client is seen when its operating system takes bytes ([RT-13]). The client
    /// reads them from a buffer of that system, which asks for more only when a part of the buffer is
    /// free again. So the time is longer for a client whose system has taken much: by 16 s for each
    /// MiB of the connection, and by 128 s at most. If the buffer has 6 MiB, as on Linux by default, a
    /// client that reads 10 KB/s is safe. But a client that reads less, from a full buffer of that
    /// size or a larger one, cannot be told from a client that has stopped, and is given up. The same
    /// goes for a client that reads a lot and then pauses for minutes. If you have such clients, set a
    /// longer time.
    ///
    /// A client that stops is given up after once or twice the time, because the system may still take
    /// some bytes after the client has stopped.
    ///
    /// [RT-13]: crate::spec#rt-13
    pub write_stall: Duration,
    /// Bytes a second that a client must take on average, at least one: 240, as in Kestrel. This
    /// applies once output has waited for the client as long as [`write_stall`](Self::write_stall).
    /// A client that takes less does not have a slow line; it tries to hold the connection.
    pub write_rate: u32,
    /// How long a client may go on sending after the last output, before it is cut off: 2 s.
    /// (Apache has 2 s, nginx 5 s between two reads.) A client that does not close its end delays a
    /// [drain](super::ShutdownHandle::drain) by this time.
    pub linger: Duration,
    /// While more output than this is unsent, nothing more is read or produced: 64 KiB.
    pub high_water: usize,
    /// Whether a client that has ended its input still gets the response for which it waits
    /// ([RT-10]): yes.
    ///
    /// The end of the input has two meanings, and nothing in TCP tells them apart. After a
    /// half-close, like that of `printf ... | nc`, the client still reads. But most clients have
    /// closed the connection, and will never read again. If yours never half-close, set this to
    /// `false`. Then a connection is closed as soon as its client has ended its input while another
    /// thread prepares its response, or pushes it. So a client that leaves a quiet stream of events
    /// is noticed immediately, as in nginx and Go. Otherwise it is noticed when something is sent to
    /// it, or when the system [asks](super::Tcp#how-clients-are-noticed) whether it is still there.
    /// A protocol can decide it for one conversation
    /// ([`Protocol::ends_with_input`](super::Protocol::ends_with_input)).
    ///
    /// [RT-10]: crate::spec#rt-10
    pub half_close: bool,
}

impl Default for EventedSettings {
    fn default() -> EventedSettings {
        EventedSettings {
            write_stall: Duration::from_secs(30),
            write_rate: 240,
            linger: Duration::from_secs(2),
            high_water: 64 * 1024,
            half_close: true,
        }
    }
}
