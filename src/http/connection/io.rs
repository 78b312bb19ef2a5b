//! The output and the time, which every step of a connection needs.

use crate::reactor::Now;
use crate::socketserver::Buffer;

/// The output of the connection, and the time of this turn.
pub(super) struct Io<'a> {
    /// Bytes for the client.
    pub(super) output: &'a mut Buffer,
    /// The time of this turn.
    pub(super) now: &'a Now,
}
