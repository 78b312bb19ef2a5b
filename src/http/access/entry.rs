//! What there is to be logged of a request (LOG-2).

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use memchr::memchr;

use crate::http::h1::Head;
use crate::reactor::Now;

/// One request and what became of it; see
/// [`HttpRequestHandler::log_request`](crate::http::HttpRequestHandler::log_request).
///
/// Everything in it that comes from the client is as it came: who writes it somewhere has to
/// escape it (LOG-3).
#[derive(Debug, Clone, Copy)]
pub struct LogEntry<'a> {
    origin: Origin<'a>,
    client_address: Option<SocketAddr>,
    code: Option<u16>,
    sent: u64,
    complete: bool,
    began: Instant,
    now: &'a Now,
    /// How far the clock has gone on since `now`, as far as is known.
    late: Duration,
}

impl<'a> LogEntry<'a> {
    /// Who asked; `None` if clients have no host and port.
    pub fn client_address(&self) -> Option<SocketAddr> {
        self.client_address
    }

    /// The request line as it came, without its end; empty if none came whole (HTTP-6).
    pub fn request_line(&self) -> &'a [u8] {
        match self.origin {
            Origin::Head(bytes, _) | Origin::Bytes(bytes) => first_line(bytes),
            Origin::Record(record) => &record.request_line,
        }
    }

    /// The `Referer` field.
    pub fn referer(&self) -> Option<&'a [u8]> {
        match self.origin {
            Origin::Head(_, head) => head.fields.get("referer"),
            Origin::Record(record) => record.referer.as_deref(),
            Origin::Bytes(_) => None,
        }
    }

    /// The `User-Agent` field.
    pub fn user_agent(&self) -> Option<&'a [u8]> {
        match self.origin {
            Origin::Head(_, head) => head.fields.get("user-agent"),
            Origin::Record(record) => record.user_agent.as_deref(),
            Origin::Bytes(_) => None,
        }
    }

    /// The status of the answer; `None` if there was none.
    pub fn code(&self) -> Option<u16> {
        self.code
    }

    /// Bytes of content in the answer, without framing (WSGI-21).
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether the answer was written to its end. It does not prove delivery (LOG-5).
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// When the request began to arrive; the first on a connection that arrives in pieces, when the
    /// connection was made.
    pub fn began(&self) -> SystemTime {
        let ended = self.ended();
        ended.checked_sub(self.duration()).unwrap_or(ended)
    }

    /// When the answer ended, which is now.
    pub fn ended(&self) -> SystemTime {
        let wall = self.now.wall();
        wall.checked_add(self.late).unwrap_or(wall)
    }

    /// How long it took from the beginning to the end.
    ///
    /// By the time of the loop, which looks at the clock once a turn: a request that is answered
    /// in the turn in which it arrived took none, whatever its handler did meanwhile. Behind an
    /// [`AccessLog`](crate::http::AccessLog), which looks at the clock itself, and on
    /// [`Workers`](crate::http::Workers), a handler's time counts.
    pub fn duration(&self) -> Duration {
        let turn = self.now.instant().saturating_duration_since(self.began);
        turn.saturating_add(self.late)
    }

    /// The same, of an answer that did not end before `instant`.
    pub(super) fn not_before(mut self, instant: Instant) -> LogEntry<'a> {
        self.late = instant.saturating_duration_since(self.now.instant());
        self
    }
}

/// Where the words of the client are found.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) enum Origin<'a> {
    /// In the input still.
    Head(&'a [u8], &'a Head<'a>),
    /// In the input, which is no request.
    Bytes(&'a [u8]),
    /// In a copy.
    Record(&'a Record),
}

impl Origin<'_> {
    /// Whether the answer has no content whatever its status (RFC 9110 §9.3.2).
    pub(in crate::http) fn is_head(&self) -> bool {
        match self {
            Origin::Head(_, head) => head.method == "HEAD",
            // However much of it has come: what is refused must not depend on that.
            Origin::Bytes(bytes) => bytes.starts_with(b"HEAD "),
            Origin::Record(record) => record.request_line.starts_with(b"HEAD "),
        }
    }
}

/// What is kept of a request for its entry in the log.
#[derive(Debug)]
pub(in crate::http) struct Record {
    request_line: Box<[u8]>,
    referer: Option<Box<[u8]>>,
    user_agent: Option<Box<[u8]>>,
}

impl Record {
    pub(in crate::http) fn new(bytes: &[u8], head: &Head<'_>) -> Record {
        let kept = |name| head.fields.get(name).map(Box::from);
        Record {
            request_line: first_line(bytes).into(),
            referer: kept("referer"),
            user_agent: kept("user-agent"),
        }
    }
}

/// The request that something is said of.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Subject<'a> {
    pub(in crate::http) origin: Origin<'a>,
    /// When it began to arrive.
    pub(in crate::http) began: Instant,
}

/// What of an entry is known when the answer is.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Outcome {
    pub(in crate::http) code: Option<u16>,
    pub(in crate::http) sent: u64,
    pub(in crate::http) complete: bool,
}

impl<'a> LogEntry<'a> {
    pub(in crate::http) fn new(
        subject: Subject<'a>,
        client_address: Option<SocketAddr>,
        outcome: Outcome,
        now: &'a Now,
    ) -> LogEntry<'a> {
        LogEntry {
            origin: subject.origin,
            client_address,
            code: outcome.code,
            sent: outcome.sent,
            complete: outcome.complete,
            began: subject.began,
            now,
            late: Duration::ZERO,
        }
    }
}

/// The first line of a request without its end, if it is there to its end.
fn first_line(bytes: &[u8]) -> &[u8] {
    let end = memchr(b'\n', bytes).unwrap_or(0);
    let line = bytes.get(..end).unwrap_or_default();
    line.strip_suffix(b"\r").unwrap_or(line)
}
