//! Why a loop ended although nobody had requested a shutdown.

use std::error::Error;
use std::fmt;
use std::io;

use super::failure::{Failure, write_stop};

/// Why [`serve_forever`](super::Server::serve_forever), or a single turn, returned an error.
///
/// It is an [`Error`], so `?` turns it into whatever your `main` returns: `Box<dyn Error>`,
/// [`io::Error`] or `anyhow::Error`.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServeError {
    /// A handler or a hook returned [`Failure::Stop`], perhaps with a reason. Python's
    /// `SystemExit`.
    Stopped(Option<Box<dyn Error + Send + Sync>>),
    /// A hook failed, or the operating system reported an error of the poll or the listener
    /// ([LOOP-12]).
    ///
    /// [LOOP-12]: crate::spec#loop-12
    Failed(Box<dyn Error + Send + Sync>),
}

impl From<Failure> for ServeError {
    fn from(failure: Failure) -> ServeError {
        match failure {
            Failure::Request(error) => ServeError::Failed(error),
            Failure::Stop(reason) => ServeError::Stopped(reason),
        }
    }
}

impl From<io::Error> for ServeError {
    fn from(error: io::Error) -> ServeError {
        ServeError::Failed(error.into())
    }
}

/// An error of the operating system comes out as it went in.
impl From<ServeError> for io::Error {
    fn from(error: ServeError) -> io::Error {
        match error {
            ServeError::Failed(error) => match error.downcast::<io::Error>() {
                Ok(error) => *error,
                Err(error) => io::Error::other(error),
            },
            stopped => io::Error::other(stopped),
        }
    }
}

impl From<Failure> for Box<dyn Error> {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Request(error) => error,
            stop => ServeError::from(stop).into(),
        }
    }
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> io::Error {
        ServeError::from(failure).into()
    }
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServeError::Stopped(reason) => write_stop(f, reason.as_deref()),
            ServeError::Failed(error) => error.fmt(f),
        }
    }
}

impl Error for ServeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            ServeError::Stopped(None) => None,
            ServeError::Stopped(Some(error)) | ServeError::Failed(error) => error.source(),
        }
    }
}
