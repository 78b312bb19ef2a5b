//! The access log: one line for each request; Python's `log_message`.

mod entry;
mod format;
mod sink;
mod zone;

pub use entry::LogEntry;
pub(super) use entry::{Origin, Outcome, Peer, Record, Subject};
pub use format::LogFormat;
pub use sink::LogSink;

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::body_policy::BodyPolicy;
use super::handler::HttpRequestHandler;
use super::request::Request;
use super::response::{HttpResult, Response};
use format::Style;
use zone::Zone;

/// The buffer of a line is freed if it has grown beyond this many bytes.
const KEPT: usize = 16 * 1024;

thread_local! {
    /// The buffer for the next line of this thread. It is not in the handler, because every
    /// connection has a clone of the handler. An idle connection must not keep a buffer ([design
    /// law 6]).
    ///
    /// [design law 6]: crate::spec#law-6
    static LINE: Cell<String> = const { Cell::new(String::new()) };
}

/// Wraps a handler and writes one log line for every request.
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
/// # Which requests get a line
///
/// Every request that got a response has a line. This includes a request that the handler never saw
/// because it was malformed or too large, and a response that was broken off. The line is written
/// when the response ends ([LOG-5]), on the thread of the connection. So the lines of one
/// connection are in the order of its requests. There is no line if the client disconnects before
/// its request reaches the handler.
///
/// An error page gets a second line, before that one ([LOG-4]), in the formats that have room for
/// it; see [`errors`](Self::errors).
///
/// After the line, the wrapped handler's own log hooks are called as well.
///
/// # Escaping
///
/// Nothing that a client sends is written raw. Every format escapes all bytes that could end a line
/// or control a terminal ([LOG-3], cpython gh-100001); [`LogFormat`] says how.
///
/// [LOG-3]: crate::spec#log-3
/// [LOG-4]: crate::spec#log-4
/// [LOG-5]: crate::spec#log-5
#[derive(Clone)]
pub struct AccessLog<H> {
    /// The wrapped handler.
    handler: H,
    /// The destination of the lines.
    sink: Arc<dyn LogSink>,
    /// The format of the lines.
    style: Style,
    /// When the handler last returned.
    handled: Handled,
}

/// When a handler last returned, until its response is logged. The loop looks at the clock only once
/// a turn, so an entry alone does not know how long the handler took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Handled(Option<Instant>);

impl Handled {
    /// The handler has returned just now.
    pub(crate) fn note(&mut self) {
        self.0 = Some(Instant::now());
    }

    /// Returns `entry`, of the request that was handled last, with the time that its handler took.
    pub(crate) fn complete<'a>(&mut self, entry: &LogEntry<'a>) -> LogEntry<'a> {
        let handled = self.0.take();
        handled.map_or(*entry, |handled| entry.not_before(handled))
    }
}

impl<H> AccessLog<H> {
    /// Writes a line to `sink` for each request that `handler` serves.
    ///
    /// For [`WsgiHandler::access_log`](crate::wsgi::WsgiHandler::access_log) the handler is `()`.
    ///
    /// The sink is [`std::io::stderr`], a [`File`](std::fs::File), any writer in a
    /// [`Mutex`](std::sync::Mutex), or a closure; see [`LogSink`].
    pub fn new(handler: H, format: LogFormat, sink: impl LogSink + 'static) -> AccessLog<H> {
        AccessLog {
            handler,
            sink: Arc::new(sink),
            style: Style::new(format),
            handled: Handled::default(),
        }
    }

    /// Sets by how many minutes the time in the lines is ahead of UTC. The default is 0.
    ///
    /// The standard library does not know time zones, so you have to give the offset yourself, and
    /// it does not follow summer time. The feature `local-time` has `local_time`, which does. A value
    /// beyond 23 hours and 59 minutes is cut to that.
    #[must_use]
    pub fn utc_offset(mut self, minutes: i16) -> AccessLog<H> {
        self.style.zone = Zone::fixed(minutes);
        self
    }

    /// Writes local time, as Python's servers do. It follows summer time.
    ///
    /// The zone is that of the variable `TZ`, or else that of the system. It is read here, and not again:
    /// a program does not notice if it is changed later.
    ///
    /// ```
    /// use serve_forever::http::{AccessLog, LogFormat, Request, Response};
    ///
    /// let hello = |_: &Request<'_>, response: Response<'_>| response.send_response(200).body("hello");
    /// let handler = AccessLog::new(hello, LogFormat::Python, std::io::stderr()).local_time()?;
    /// # let _ = handler;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the zone cannot be found out: `TZ` does not name one, or the system has none.
    #[cfg(feature = "local-time")]
    #[cfg_attr(docsrs, doc(cfg(feature = "local-time")))]
    pub fn local_time(mut self) -> std::io::Result<AccessLog<H>> {
        self.style.zone = Zone::local()?;
        Ok(self)
    }

    /// Sets whether error pages get a second line, `code 404, message Not Found`.
    ///
    /// By default they do in [`LogFormat::Python`] and [`LogFormat::Json`]. In the two other formats
    /// readers expect each line to be a request.
    #[must_use]
    pub fn errors(mut self, errors: bool) -> AccessLog<H> {
        self.style.errors = errors;
        self
    }

    /// Returns the wrapped handler.
    pub fn handler(&self) -> &H {
        &self.handler
    }

    /// Writes the line of a request.
    pub(crate) fn write_request(&self, entry: &LogEntry<'_>) {
        self.write(|line| self.style.request(line, entry));
    }

    /// Writes the line of an error page, if the format has one.
    pub(crate) fn write_error(&self, entry: &LogEntry<'_>, message: &str) {
        if self.style.errors {
            self.write(|line| self.style.error(line, entry, message));
        }
    }

    fn write(&self, fill: impl FnOnce(&mut String)) {
        // An error means that the thread is ending and its buffer is gone: use a new one.
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
        self.handled.note();
        reply
    }

    fn body_policy(&mut self, request: &Request<'_>) -> BodyPolicy {
        self.handler.body_policy(request)
    }

    fn log_request(&mut self, entry: &LogEntry<'_>) {
        let entry = self.handled.complete(entry);
        self.write_request(&entry);
        self.handler.log_request(&entry);
    }

    fn log_error(&mut self, entry: &LogEntry<'_>, message: &str) {
        self.write_error(entry, message);
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
