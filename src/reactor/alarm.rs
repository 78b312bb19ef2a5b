//! Ends the wait of a loop, or of a blocking handler, from elsewhere.

use std::io::{self, ErrorKind};
use std::sync::{Arc, Weak};

use mio::Waker;

/// Ends the wait of a loop, or of a blocking handler, from any thread ([RT-5]).
///
/// A program may keep handles of a server that is gone. An alarm in such a handle does not keep the
/// waker's descriptor open.
///
/// [RT-5]: crate::spec#rt-5
#[derive(Debug, Clone)]
pub(crate) struct Alarm(Weak<Waker>);

impl Alarm {
    pub(crate) fn new(waker: &Arc<Waker>) -> Alarm {
        Alarm(Arc::downgrade(waker))
    }

    /// Returns whether there is nobody left to wake.
    pub(crate) fn is_gone(&self) -> bool {
        self.0.strong_count() == 0
    }

    /// Ends the wait, or the next one. Does nothing if there is nobody left to wake.
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if the waker fails, except `Interrupted`.
    pub(crate) fn wake(&self) -> io::Result<()> {
        match self.0.upgrade() {
            Some(waker) => until_done(|| waker.wake()),
            None => Ok(()),
        }
    }
}

/// Repeats a step while signals interrupt it (PEP 475). If a wake-up were lost, the loop would sleep
/// forever.
fn until_done(mut step: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    loop {
        match step() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RT-5: a signal does not swallow a wake-up; any other error is the caller's.
    #[test]
    fn a_wake_up_that_is_interrupted_is_tried_again() {
        for end in [None, Some(ErrorKind::WouldBlock)] {
            let mut tries = 0;
            let woken = until_done(|| {
                tries += 1;
                match tries {
                    1..=3 => Err(ErrorKind::Interrupted.into()),
                    _ => end.map_or(Ok(()), |kind| Err(kind.into())),
                }
            });
            assert_eq!((tries, woken.err().map(|error| error.kind())), (4, end));
        }
    }
}
