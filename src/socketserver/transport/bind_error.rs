//! Errors that name the address: why a server could not be bound.

use std::error::Error;
use std::fmt::{self, Display};
use std::io;

/// What was tried with an address, and why it failed.
#[derive(Debug)]
struct BindError {
    /// What was tried, and the address: `bind 127.0.0.1:80`.
    tried: String,
    /// The operating system's error.
    error: io::Error,
}

/// Returns a function that names `address` in an error. The result has the same kind, and the error
/// of the operating system is its source.
pub(super) fn cannot(tried: &str, address: impl Display) -> impl FnOnce(io::Error) -> io::Error {
    move |error| {
        let tried = format!("{tried} {address}");
        io::Error::new(error.kind(), BindError { tried, error })
    }
}

impl Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.tried, self.error)
    }
}

impl Error for BindError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}
