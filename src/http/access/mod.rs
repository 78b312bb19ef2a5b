//! What becomes of requests, and the lines that say so: Python's `log_message`.

mod entry;
mod format;
mod sink;

pub use entry::LogEntry;
pub(super) use entry::{Origin, Outcome, Record, Subject};
pub use format::LogFormat;
pub use sink::LogSink;

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::{HttpRequestHandler, HttpResult, Intake, Request, Response};
use format::Style;

/// A line longer than this leaves no room behind.
const KEPT: usize = 16 * 1024;

thread_local! {
    /// Room for the line that this thread writes next. It is not in the handler, of which every
    /// connection has a clone, and an idle one keeps no buffer (design law 6).
    static LINE: Cell<String> = const { Cell::new(String::new()) };
}

/// Answers as its handler does, and writes a line for every request.
///
/// ```
/// use serve_forever::http::{AccessLog, HttpResult, HttpServer, LogFormat, Request, Response};
///
/// fn hello(_: &Request<'_>, response: Response<'_>) -> HttpResult {
///     response.send_response(200).body("Hello")
/// }
///
/// let handler = AccessLog::new(hello, LogFormat::Combined, std::io::stderr());
/// let server = HttpServer::bind("127.0.0.1:0", handler)?;
/// # let _ = server;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # What there is a line for
///
/// For every request that got an answer, also one that the handler never saw because it was
/// malformed or too large, and for every answer that was broken off. The line is written when the
/// answer ends (LOG-5), on the thread that the connection is on, so lines of one connection are in
/// the order of its requests. A client that leaves before its request came to the handler leaves no
/// line.
///
/// An error page has a line of its own before that (LOG-4), in the formats that have room for one;
/// see [`errors`](Self::errors).
///
/// The hooks of the handler itself are called as well, after the line.
///
/// # Nothing that a client sends is written raw
///
/// Every format escapes what could end a line or steer a terminal (LOG-3, cpython gh-100001), in
/// the manner of its own that [`LogFormat`] tells.
#[derive(Clone)]
pub struct AccessLog<H> {
    handler: H,
    sink: Arc<dyn LogSink>,
    style: Style,
    /// When the handler was last done, until its answer is logged.
    handled: Option<Instant>,
}

impl<H> AccessLog<H> {
    /// Logs the requests that `handler` answers to `sink`: [`std::io::stderr`], a
    /// [`File`](std::fs::File), anything that can be written to in a [`Mutex`](std::sync::Mutex),
    /// or a closure; see [`LogSink`].
    pub fn new(handler: H, format: LogFormat, sink: impl LogSink + 'static) -> AccessLog<H> {
        AccessLog {
            handler,
            sink: Arc::new(sink),
            style: Style::new(format),
            handled: None,
        }
    }

    /// Sets by how many minutes the time in the lines is ahead of UTC: 0 by default.
    ///
    /// The standard library knows no time zones, so the program has to say which is its own, and
    /// when summer begins nobody tells it. More than a day is cut to a day less a minute.
    #[must_use]
    pub fn utc_offset(mut self, minutes: i16) -> AccessLog<H> {
        self.style.set_utc_offset(minutes);
        self
    }

    /// Sets whether error pages have a line of their own, `code 404, message Not Found`: by
    /// default in [`LogFormat::Python`] and [`LogFormat::Json`]. Who reads the two others expects
    /// a request in each line.
    #[must_use]
    pub fn errors(mut self, errors: bool) -> AccessLog<H> {
        self.style.errors = errors;
        self
    }

    /// The handler that answers.
    pub fn handler(&self) -> &H {
        &self.handler
    }

    fn write(&self, fill: impl FnOnce(&mut String)) {
        // Err: the thread is ending, and has no room of its own any more.
        let mut line = LINE.try_with(Cell::take).unwrap_or_default();
        line.clear();
        fill(&mut line);
        line.push('\n');
        self.sink.write_line(&line);
        if line.capacity() <= KEPT {
            let _ = LINE.try_with(|room| room.set(line));
        }
    }
}

impl<H: HttpRequestHandler> HttpRequestHandler for AccessLog<H> {
    fn handle(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        let reply = self.handler.handle(request, response);
        self.handled = Some(Instant::now());
        reply
    }

    fn intake(&mut self, request: &Request<'_>) -> Intake {
        self.handler.intake(request)
    }

    fn log_request(&mut self, entry: &LogEntry<'_>) {
        let handled = self.handled.take();
        let entry = handled.map_or(*entry, |handled| entry.not_before(handled));
        self.write(|line| self.style.request(line, &entry));
        self.handler.log_request(&entry);
    }

    fn log_error(&mut self, entry: &LogEntry<'_>, message: &str) {
        if self.style.errors {
            self.write(|line| self.style.error(line, entry, message));
        }
        self.handler.log_error(entry, message);
    }
}

impl<H: fmt::Debug> fmt::Debug for AccessLog<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog")
            .field("handler", &self.handler)
            .field("style", &self.style)
            .finish_non_exhaustive()
    }
}
