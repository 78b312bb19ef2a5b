//! Failures of handlers and hooks: Python's `Exception` and `SystemExit`.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Why a handler or a hook did not succeed.
///
/// The operator `?` turns any error into a [`Failure::Request`]. This is possible because a failure
/// is not itself an [`Error`]. For the code that calls the server, a failure converts into
/// `Box<dyn Error>` and [`io::Error`].
///
/// ```
/// use serve_forever::socketserver::HandlerResult;
///
/// fn handle(line: &str) -> HandlerResult {
///     let _number: u32 = line.trim().parse()?;
///     Ok(())
/// }
/// assert!(handle("7").is_ok() && handle("seven").is_err());
/// ```
///
/// If your error is boxed already, or only a text, make the failure yourself:
///
/// ```
/// use std::error::Error;
/// use serve_forever::socketserver::{Failure, HandlerResult};
///
/// fn look_up(name: &str) -> Result<u32, Box<dyn Error + Send + Sync>> {
///     Ok(name.parse()?)
/// }
///
/// fn handle(name: &str) -> HandlerResult {
///     match look_up(name).map_err(Failure::Request)? {
///         0 => Err(Failure::Request("nobody is number 0".into())),
///         _ => Ok(()),
///     }
/// }
/// assert!(handle("7").is_ok() && handle("0").is_err() && handle("seven").is_err());
/// ```
pub enum Failure {
    /// This request failed, and the server goes on (Python's `Exception`).
    Request(Box<dyn Error + Send + Sync>),
    /// The server is to stop (Python's `SystemExit`).
    Stop,
}

/// The result of a handler or a hook.
pub type HandlerResult = Result<(), Failure>;

/// A panic in a handler or a hook. It was caught, so that it fails one request and not the server.
///
/// It arrives in a [`Failure::Request`], from which you can downcast it. A program that is built
/// with `panic = "abort"` ends instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panic {
    /// The text of the panic.
    message: String,
}

impl Panic {
    /// Returns the message of the panic.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the message of a panic and drops its payload. A payload may panic in turn when it is
    /// dropped.
    pub(crate) fn caught(payload: Box<dyn Any + Send>) -> Panic {
        let panic = Panic::from_payload(payload.as_ref());
        if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            mem::forget(another); // Its drop may panic again, without end.
        }
        panic
    }

    pub(crate) fn from_payload(payload: &(dyn Any + Send)) -> Panic {
        let message = match (
            payload.downcast_ref::<&str>(),
            payload.downcast_ref::<String>(),
        ) {
            (Some(text), _) => (*text).to_owned(),
            (_, Some(text)) => text.clone(),
            _ => "a panic without a message".to_owned(),
        };
        Panic { message }
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panicked: {}", self.message)
    }
}

impl Error for Panic {}

/// Runs `step`. A panic in it becomes a failure of the request, not of the server (design law 10).
pub(crate) fn contain<R>(step: impl FnOnce() -> Result<R, Failure>) -> Result<R, Failure> {
    // Unwind safety: whatever the step left half done belongs to the request, and is dropped with
    // it.
    match catch_unwind(AssertUnwindSafe(step)) {
        Ok(result) => result,
        Err(payload) => Err(Panic::caught(payload).into()),
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::Request(Box::new(error))
    }
}

impl From<Failure> for Box<dyn Error + Send + Sync> {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Request(error) => error,
            Failure::Stop => "the server was told to stop".into(),
        }
    }
}

impl From<Failure> for Box<dyn Error> {
    fn from(failure: Failure) -> Self {
        Box::<dyn Error + Send + Sync>::from(failure)
    }
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> io::Error {
        match Box::<dyn Error + Send + Sync>::from(failure).downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Request(error) => error.fmt(f),
            Failure::Stop => f.write_str("the server was told to stop"),
        }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Request(error) => f.debug_tuple("Request").field(error).finish(),
            Failure::Stop => f.write_str("Stop"),
        }
    }
}
