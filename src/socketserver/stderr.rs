//! Standard error, which may have no reader: the crate writes to it through one queue.

use std::fmt;
use std::io::{self, Write};
use std::sync::Mutex;

use super::budget::{Budget, spend};
use super::log_queue::{STDERR, stderr};

/// Standard error, for the lines of an access log and for `wsgi.errors`. No write waits for it.
#[derive(Debug)]
pub(crate) struct QueuedStderr;

impl Write for QueuedStderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        stderr().push_bytes(bytes);
        Ok(bytes.len())
    }

    /// Waits for a moment.
    fn flush(&mut self) -> io::Result<()> {
        stderr().settle_soon();
        Ok(())
    }
}

/// Writes a report to standard error. It is written when this returns, even if the program is killed
/// then, unless standard error blocks for more than a moment.
pub(super) fn report(text: &str) {
    stderr().push(text);
    stderr().settle_soon();
}

/// Like [`complain`], but prints to standard error, for reports that Python prints there. `error`
/// has to escape what it quotes of a client.
pub(crate) fn print(what: &str, error: &dyn fmt::Display) {
    static PRINTED: Mutex<Budget> = Mutex::new(Budget::new());
    if let Some(more) = spend(&PRINTED) {
        report(&format!("{what}: {error}{more}\n"));
    }
}

/// Dropping it waits until standard error has all lines, for one second at most.
#[derive(Debug)]
pub(super) struct FlushOnDrop;

impl Drop for FlushOnDrop {
    fn drop(&mut self) {
        if let Some(stderr) = STDERR.get() {
            stderr.settle();
        }
    }
}
