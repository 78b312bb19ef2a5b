//! What a step of a connection works with.

use crate::reactor::Now;
use crate::socketserver::Buffer;

/// The output of the connection, and the time of this turn.
pub(super) struct Io<'a> {
    pub(super) output: &'a mut Buffer,
    pub(super) now: &'a Now,
}
