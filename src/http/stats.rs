//! Counts how often each limit and deadline was reached (design laws [7][law 7] and [8][law 8]).
//!
//! [law 7]: crate::spec#law-7
//! [law 8]: crate::spec#law-8

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::h1;

/// How often each limit and deadline was reached, on all connections with the same
/// [`HttpSettings`](super::HttpSettings).
///
/// The limits that connections have in every protocol are counted in
/// [`Stats`](crate::socketserver::Stats). A form that
/// [`Response::receive_form`](super::Response::receive_form) refuses counts like a request with the same
/// status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpStats {
    /// Malformed requests: status 400, 501 or 505. Also WebSocket clients that break a rule: code 1002
    /// or 1007.
    pub bad_requests: u64,
    /// Request lines that were too long: status 414.
    pub request_line_too_long: u64,
    /// Heads that were too large or had too many fields: status 431.
    pub head_too_large: u64,
    /// Bodies that were too large: status 413. Also WebSocket messages: code 1009.
    pub body_too_large: u64,
    /// Chunked bodies with too much framing: status 400.
    pub chunk_overhead: u64,
    /// Trailer sections that were too large: status 431.
    pub trailers_too_large: u64,
    /// Requests with an unknown expectation: status 417.
    pub expectation_failed: u64,
    /// Heads that took too long: status 408.
    pub head_timeouts: u64,
    /// Bodies that took too long or were too slow: status 408. Also WebSocket messages: code 1008.
    pub body_timeouts: u64,
    /// Connections that were closed because they were idle for too long. Also WebSocket clients that
    /// did not answer a ping or a Close frame.
    pub keep_alive_timeouts: u64,
    /// Responses that the program did not finish in time: status 503, or broken off.
    pub response_timeouts: u64,
    /// Bodies for which there was no room beside those of other clients
    /// ([`Limits::bodies`](super::Limits::bodies)): status 503. Also WebSocket messages: code 1013.
    pub bodies_shed: u64,
    /// Bytes of bodies that are kept in memory, now.
    pub body_bytes: usize,
}

/// The counters behind [`HttpStats`]. A request that is served without trouble changes none of the hits.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// How often each limit was reached, in the order of [`Hit`].
    hits: [AtomicU64; 12],
    /// [`HttpStats::body_bytes`].
    body_bytes: AtomicUsize,
}

/// Names one counter, in the order of the fields of [`HttpStats`].
#[derive(Debug, Clone, Copy)]
pub(super) enum Hit {
    /// [`HttpStats::bad_requests`].
    BadRequest,
    /// [`HttpStats::request_line_too_long`].
    RequestLineTooLong,
    /// [`HttpStats::head_too_large`].
    HeadTooLarge,
    /// [`HttpStats::body_too_large`].
    BodyTooLarge,
    /// [`HttpStats::chunk_overhead`].
    ChunkOverhead,
    /// [`HttpStats::trailers_too_large`].
    TrailersTooLarge,
    /// [`HttpStats::expectation_failed`].
    ExpectationFailed,
    /// [`HttpStats::head_timeouts`].
    HeadTimeout,
    /// [`HttpStats::body_timeouts`].
    BodyTimeout,
    /// [`HttpStats::keep_alive_timeouts`].
    KeepAliveTimeout,
    /// [`HttpStats::response_timeouts`].
    ResponseTimeout,
    /// [`HttpStats::bodies_shed`].
    BodyShed,
}

impl From<h1::Error> for Hit {
    fn from(error: h1::Error) -> Hit {
        use h1::Error;
        match error {
            Error::RequestLineTooLong => Hit::RequestLineTooLong,
            Error::HeadTooLarge | Error::TooManyFields => Hit::HeadTooLarge,
            Error::BodyTooLarge | Error::ContentLengthOverflow => Hit::BodyTooLarge,
            Error::ChunkOverhead | Error::ChunkLineTooLong => Hit::ChunkOverhead,
            Error::TrailersTooLarge | Error::TooManyTrailers => Hit::TrailersTooLarge,
            _ => Hit::BadRequest,
        }
    }
}

impl Counters {
    /// Adds one.
    pub(super) fn count(&self, hit: Hit) {
        self.hits[hit as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Adds `more` bytes of a body of which `mine` are counted already. Adds nothing, and returns
    /// `false`, if the sum would be more than `limit` and there are other bodies.
    pub(super) fn keep(&self, more: usize, mine: usize, limit: usize) -> bool {
        let grow = |sum: usize| {
            let grown = sum.saturating_add(more);
            (more == 0 || sum == mine || grown <= limit).then_some(grown)
        };
        let kept = &self.body_bytes;
        kept.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow)
            .is_ok()
    }

    /// Adds `bytes` of a body, whatever the limit is.
    pub(super) fn keep_anyway(&self, bytes: usize) {
        self.body_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Subtracts `bytes` of a body that was dropped.
    pub(super) fn give_back(&self, bytes: usize) {
        self.body_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Returns how many bytes of bodies are kept.
    pub(super) fn body_bytes(&self) -> usize {
        self.body_bytes.load(Ordering::Relaxed)
    }

    /// Reads all counters. Others may count meanwhile.
    pub(super) fn snapshot(&self) -> HttpStats {
        let count = |hit: Hit| self.hits[hit as usize].load(Ordering::Relaxed);
        HttpStats {
            bad_requests: count(Hit::BadRequest),
            request_line_too_long: count(Hit::RequestLineTooLong),
            head_too_large: count(Hit::HeadTooLarge),
            body_too_large: count(Hit::BodyTooLarge),
            chunk_overhead: count(Hit::ChunkOverhead),
            trailers_too_large: count(Hit::TrailersTooLarge),
            expectation_failed: count(Hit::ExpectationFailed),
            head_timeouts: count(Hit::HeadTimeout),
            body_timeouts: count(Hit::BodyTimeout),
            keep_alive_timeouts: count(Hit::KeepAliveTimeout),
            response_timeouts: count(Hit::ResponseTimeout),
            bodies_shed: count(Hit::BodyShed),
            body_bytes: self.body_bytes(),
        }
    }
}
