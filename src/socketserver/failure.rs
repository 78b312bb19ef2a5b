//! What goes wrong in a handler or a hook: Python's `Exception` and `SystemExit`.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Why a handler or a hook did not succeed.
///
/// Any error becomes a [`Failure::Request`] by `?`. A failure is not itself an
/// [`Error`], which is what makes that possible; it converts into
/// `Box<dyn Error>` and [`io::Error`] for those who call the server.
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
/// One that is boxed already, or is only a text, is put into it:
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
    /// This request failed; the server goes on (Python's `Exception`).
    Request(Box<dyn Error + Send + Sync>),
    /// The server shall stop (Python's `SystemExit`).
    Stop,
}

/// What a handler returns.
pub type HandlerResult = Result<(), Failure>;

/// A panic that was caught at the boundary of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panic {
    message: String,
}

impl Panic {
    /// What the panic said.
    pub fn message(&self) -> &str {
        &self.message
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

/// Runs `step`; a panic in it is a failure of the request, not of the server (design law 10).
pub(crate) fn contain<R>(step: impl FnOnce() -> Result<R, Failure>) -> Result<R, Failure> {
    // Whatever the step left half done is dropped with the request it belongs to.
    match catch_unwind(AssertUnwindSafe(step)) {
        Ok(result) => result,
        Err(payload) => Err(Panic::from_payload(payload.as_ref()).into()),
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
