//! Why a pool refuses a job.

use std::error::Error;
use std::fmt;
use std::io;

/// The reason why a [`Pool`](super::Pool) refuses a job.
#[derive(Debug)]
#[non_exhaustive]
pub enum Overloaded {
    /// Every thread is busy, and the queue is full.
    Full,
    /// There is no thread, and the system cannot start any ([THREAD-4]), or the pool may start
    /// none. If there is at least one thread, the job waits for it instead.
    ///
    /// [THREAD-4]: crate::spec#thread-4
    NoThread(io::Error),
    /// The pool is closed and takes no more jobs.
    Closed,
}

impl fmt::Display for Overloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Overloaded::Full => f.write_str("every thread is busy and the queue is full"),
            Overloaded::NoThread(error) => write!(f, "no thread can be started: {error}"),
            Overloaded::Closed => f.write_str("the pool is closed"),
        }
    }
}

impl Error for Overloaded {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Overloaded::NoThread(error) => Some(error),
            Overloaded::Full | Overloaded::Closed => None,
        }
    }
}
