//! The facts about a request that can be logged ([LOG-2]).
//!
//! [LOG-2]: crate::spec#log-2

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use memchr::memchr;

use crate::http::error_format::ErrorFormat;
use crate::http::h1::Head;
use crate::http::proxies::Rule;
use crate::http::settings::HttpSettings;
use crate::reactor::Now;

/// One request and its outcome; see
/// [`HttpRequestHandler::log_request`](crate::http::HttpRequestHandler::log_request).
///
/// It has the client's bytes unchanged. Escape them before you write them anywhere ([LOG-3]).
///
/// [LOG-3]: crate::spec#log-3
#[derive(Debug, Clone, Copy)]
pub struct LogEntry<'a> {
    /// Where to read the client's own words.
    origin: Origin<'a>,
    /// The address of the other end, and the proxies that are believed.
    peer: Peer<'a>,
    /// The status of the response, if there was one.
    code: Option<u16>,
    /// Bytes of the response's body.
    sent: u64,
    /// Whether the response was written to its end.
    complete: bool,
    /// When the request began to arrive.
    began: Instant,
    /// The time of the loop's turn.
    now: &'a Now,
    /// How long after `now` the response ended, as far as is known.
    late: Duration,
}

impl<'a> LogEntry<'a> {
    /// Returns the client's address; `None` if clients have no host and port. A trusted proxy may have
    /// said it, as in [`Request::client_address`](crate::http::Request::client_address). A request that
    /// is malformed has the address of the proxy, because its fields are not read.
    pub fn client_address(&self) -> Option<SocketAddr> {
        match self.origin {
            Origin::Head(_, head) => self.peer.client(head),
            Origin::Record(record) => record.client_address,
            Origin::Bytes(_) => self.peer.address,
        }
    }

    /// Returns the request line as the client sent it, without its line end. It is empty if the
    /// client did not send a whole line ([HTTP-6]).
    ///
    /// [HTTP-6]: crate::spec#http-6
    pub fn request_line(&self) -> &'a [u8] {
        match self.origin {
            Origin::Head(bytes, _) | Origin::Bytes(bytes) => first_line(bytes),
            Origin::Record(record) => &record.request_line,
        }
    }

    /// Returns the `Referer` field.
    pub fn referer(&self) -> Option<&'a [u8]> {
        match self.origin {
            Origin::Head(_, head) => head.fields.get("referer"),
            Origin::Record(record) => record.referer.as_deref(),
            Origin::Bytes(_) => None,
        }
    }

    /// Returns the `User-Agent` field.
    pub fn user_agent(&self) -> Option<&'a [u8]> {
        match self.origin {
            Origin::Head(_, head) => head.fields.get("user-agent"),
            Origin::Record(record) => record.user_agent.as_deref(),
            Origin::Bytes(_) => None,
        }
    }

    /// Returns the status of the response; `None` if there was no response.
    pub fn code(&self) -> Option<u16> {
        self.code
    }

    /// Returns how many bytes of the body were sent, without framing ([WSGI-21]).
    ///
    /// [WSGI-21]: crate::spec#wsgi-21
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Returns whether the response was written to its end. This does not prove delivery ([LOG-5]).
    ///
    /// [LOG-5]: crate::spec#log-5
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Returns when the request began to arrive. For the first request of a connection, if it
    /// arrives in pieces, it is when the connection was made.
    pub fn began(&self) -> SystemTime {
        let ended = self.ended();
        ended.checked_sub(self.duration()).unwrap_or(ended)
    }

    /// Returns when the response ended, which is now.
    pub fn ended(&self) -> SystemTime {
        let wall = self.now.wall();
        wall.checked_add(self.late).unwrap_or(wall)
    }

    /// Returns the time from [`began`](Self::began) to [`ended`](Self::ended).
    ///
    /// The loop reads the clock once a turn. So a request whose response is written in the turn in
    /// which it arrived takes zero time, however long its handler ran. The handler's time counts
    /// behind an [`AccessLog`](crate::http::AccessLog), which reads the clock itself, and on
    /// a [`Pool`](crate::socketserver::Pool).
    pub fn duration(&self) -> Duration {
        let turn = self.now.instant().saturating_duration_since(self.began);
        turn.saturating_add(self.late)
    }

    /// Returns the same entry for a response that did not end before `instant`.
    pub(super) fn not_before(mut self, instant: Instant) -> LogEntry<'a> {
        self.late = instant.saturating_duration_since(self.now.instant());
        self
    }
}

/// Where to read what the client sent.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) enum Origin<'a> {
    /// The head is still in the input: its bytes, and the same parsed.
    Head(&'a [u8], &'a Head<'a>),
    /// The input is not a valid request.
    Bytes(&'a [u8]),
    /// The head is gone, and this copy was made of it.
    Record(&'a Record),
}

impl Origin<'_> {
    /// Returns whether the request is a HEAD request, whose response has no body (RFC 9110 §9.3.2).
    pub(in crate::http) fn is_head(&self) -> bool {
        match self {
            Origin::Head(_, head) => head.method == "HEAD",
            // The method is enough: the result must not depend on how much has arrived.
            Origin::Bytes(bytes) => bytes.starts_with(b"HEAD "),
            Origin::Record(record) => record.request_line.starts_with(b"HEAD "),
        }
    }

    /// Returns the format of an error page. It is that of the settings if the client has no
    /// preference, or if nobody can know it.
    pub(in crate::http) fn error_format(&self, settings: &HttpSettings) -> ErrorFormat {
        match self {
            Origin::Head(_, head) => settings.error_format_for(head.fields),
            Origin::Bytes(_) => settings.error_format,
            Origin::Record(record) => record.error_format,
        }
    }
}

/// The other end of a connection: the client, or a proxy.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::http) struct Peer<'a> {
    /// Its address, if it has host and port.
    pub(in crate::http) address: Option<SocketAddr>,
    /// The proxies that are believed, if there are any.
    pub(in crate::http) proxies: Option<&'a Arc<Rule>>,
}

impl Peer<'_> {
    /// Returns the address of the client that has sent a request.
    fn client(&self, head: &Head<'_>) -> Option<SocketAddr> {
        match self.proxies {
            Some(rule) => rule.client(self.address, head.fields),
            None => self.address,
        }
    }
}

/// A copy of those parts of a head that its log entry, or an error page, needs later.
#[derive(Debug)]
pub(in crate::http) struct Record {
    /// The client's address, if it has host and port.
    client_address: Option<SocketAddr>,
    /// The request line without its line end.
    request_line: Box<[u8]>,
    /// The `Referer` field.
    referer: Option<Box<[u8]>>,
    /// The `User-Agent` field.
    user_agent: Option<Box<[u8]>>,
    /// The format of an error page.
    pub(in crate::http) error_format: ErrorFormat,
}

impl Record {
    /// Copies them from a head and its bytes. The settings say which format an error page has.
    pub(in crate::http) fn new(
        bytes: &[u8],
        head: &Head<'_>,
        settings: &HttpSettings,
        peer: Peer<'_>,
    ) -> Record {
        let kept = |name| head.fields.get(name).map(Box::from);
        Record {
            client_address: peer.client(head),
            request_line: first_line(bytes).into(),
            referer: kept("referer"),
            user_agent: kept("user-agent"),
            error_format: settings.error_format_for(head.fields),
        }
    }
}

/// The request that an entry is about.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Subject<'a> {
    /// Where to read what the client sent.
    pub(in crate::http) origin: Origin<'a>,
    /// When it began to arrive.
    pub(in crate::http) began: Instant,
}

/// The part of an entry that is known when the response ends.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Outcome {
    /// The status of the response, if there was one.
    pub(in crate::http) code: Option<u16>,
    /// Bytes of the response's body.
    pub(in crate::http) sent: u64,
    /// Whether the response was written to its end.
    pub(in crate::http) complete: bool,
}

impl<'a> LogEntry<'a> {
    /// Puts an entry together. Its response ends at `now`.
    pub(in crate::http) fn new(
        subject: Subject<'a>,
        peer: Peer<'a>,
        outcome: Outcome,
        now: &'a Now,
    ) -> LogEntry<'a> {
        LogEntry {
            origin: subject.origin,
            peer,
            code: outcome.code,
            sent: outcome.sent,
            complete: outcome.complete,
            began: subject.began,
            now,
            late: Duration::ZERO,
        }
    }
}

/// Returns the first line of a request without its line end; empty if the line is not complete.
fn first_line(bytes: &[u8]) -> &[u8] {
    let end = memchr(b'\n', bytes).unwrap_or(0);
    let line = bytes.get(..end).unwrap_or_default();
    line.strip_suffix(b"\r").unwrap_or(line)
}
