//! Failures of handlers and hooks: Python's `Exception` and `SystemExit`.

use std::any::Any;
use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Why a handler or a hook did not succeed.
///
/// The operator `?` turns any error into a [`Failure::Request`]: an error type, a boxed error, an
/// `anyhow::Error`. So does `into`, also for a text:
///
/// ```
/// use std::error::Error;
/// use serve_forever::socketserver::HandlerResult;
///
/// fn look_up(name: &str) -> Result<u32, Box<dyn Error + Send + Sync>> {
///     Ok(name.parse()?)
/// }
///
/// fn handle(name: &str) -> HandlerResult {
///     match look_up(name)? {
///         0 => Err("nobody is number 0".into()),
///         _ => Ok(()),
///     }
/// }
/// assert!(handle("7").is_ok() && handle("0").is_err() && handle("seven").is_err());
/// ```
///
/// This is possible because a failure is not itself an [`Error`]. Code that calls a handler by
/// itself can convert a failure into `Box<dyn Error>` or [`io::Error`](std::io::Error).
// Exhaustive: whoever gets a failure has to tell the two apart.
pub enum Failure {
    /// This request failed, and the server goes on (Python's `Exception`).
    Request(Box<dyn Error + Send + Sync>),
    /// The server is to stop, perhaps for a reason (Python's `SystemExit`). `serve_forever` returns
    /// it as [`ServeError::Stopped`](super::ServeError::Stopped).
    Stop(Option<Box<dyn Error + Send + Sync>>),
}

impl Failure {
    /// Returns a failure that stops the server.
    pub fn stop() -> Failure {
        Failure::Stop(None)
    }

    /// Returns a failure that stops the server, with a reason for the caller of `serve_forever`.
    ///
    /// ```
    /// use serve_forever::{HttpServer, Request, Response};
    /// use serve_forever::socketserver::{Failure, ServeError};
    ///
    /// let page = |_: &Request<'_>, response: Response<'_>| {
    ///     let response = response.send_response(200);
    ///     response.with_failure(Failure::stop_because("a client said so")).body("bye")
    /// };
    /// let mut server = HttpServer::bind("127.0.0.1:0", page)?;
    /// # std::net::TcpStream::connect(server.server_address())
    /// #     .and_then(|mut client| std::io::Write::write_all(&mut client, b"GET / HTTP/1.0\r\n\r\n"))?;
    /// match server.serve_forever() {
    ///     Err(ServeError::Stopped(Some(reason))) => println!("{reason}"),
    ///     other => other?,
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stop_because(reason: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
        Failure::Stop(Some(reason.into()))
    }
}

/// The result of a handler or a hook.
pub type HandlerResult = Result<(), Failure>;

/// A panic in a handler or a hook. It was caught, so that it fails one request and not the server.
///
/// It arrives in a [`Failure::Request`], from which you can downcast it. A program that is built
/// with `panic = "abort"` ends instead.
///
/// The program's panic hook has printed it before. A client can cause many of these reports; see
/// [`limit_panic_reports`](super::limit_panic_reports).
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

    /// Returns the message of a panic and drops its payload.
    fn caught(payload: Box<dyn Any + Send>) -> Panic {
        let panic = Panic::from_payload(payload.as_ref());
        // A payload may panic in turn when it is dropped. The payload of that panic is not dropped:
        // it may panic again, without end.
        if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            mem::forget(another);
        }
        panic
    }

    fn from_payload(payload: &(dyn Any + Send)) -> Panic {
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

thread_local! {
    /// How many calls of [`catch`] this thread is in.
    static CATCHING: Cell<u32> = const { Cell::new(0) };
}

/// Returns whether a panic on this thread is caught, so that it ends one request and no thread.
pub(crate) fn is_catching() -> bool {
    CATCHING.try_with(Cell::get).is_ok_and(|depth| depth > 0)
}

/// Runs `step`, and catches its panic ([design law 10]). Nothing else in the crate catches panics.
///
/// [design law 10]: crate::spec#law-10
pub(crate) fn catch<R>(step: impl FnOnce() -> R) -> Result<R, Panic> {
    count(1);
    // Unwind safety: whatever the step left half done belongs to the request, and is dropped with
    // it.
    let result = catch_unwind(AssertUnwindSafe(step)).map_err(Panic::caught);
    count(-1);
    result
}

/// Counts a call of [`catch`] that begins (1) or ends (-1).
#[inline] // twice for each request
fn count(change: i32) {
    // Ignore the error: at the end of a thread nobody counts any more.
    let _ = CATCHING.try_with(|depth| depth.set(depth.get().saturating_add_signed(change)));
}

/// Runs `step`. A panic in it becomes a failure of the request, not of the server ([design law
/// 10]).
///
/// [design law 10]: crate::spec#law-10
pub(crate) fn contain<R>(step: impl FnOnce() -> Result<R, Failure>) -> Result<R, Failure> {
    catch(step)?
}

// The bound holds for every error, boxed error and text. It would hold for a failure as well if that
// converted into `Box<dyn Error + Send + Sync>`, and then this would collide with `From<T> for T`.
impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::Request(error.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Request(error) => error.fmt(f),
            Failure::Stop(reason) => write_stop(f, reason.as_deref()),
        }
    }
}

/// Writes that the server is to stop, and why.
pub(super) fn write_stop(
    f: &mut fmt::Formatter<'_>,
    reason: Option<&(dyn Error + Send + Sync)>,
) -> fmt::Result {
    f.write_str("the server was told to stop")?;
    match reason {
        None => Ok(()),
        Some(reason) => write!(f, ": {reason}"),
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Request(error) => f.debug_tuple("Request").field(error).finish(),
            Failure::Stop(reason) => f.debug_tuple("Stop").field(reason).finish(),
        }
    }
}
