//! Counts how often each limit and deadline was reached (design laws [7][law 7] and [8][law 8]).
//!
//! [law 7]: crate::spec#law-7
//! [law 8]: crate::spec#law-8

use std::sync::atomic::{AtomicU64, Ordering};

use super::h1;

/// How often each limit and deadline was reached, on all connections with the same
/// [`HttpSettings`](super::HttpSettings).
///
/// The limits that connections have in every protocol are counted in
/// [`Stats`](crate::socketserver::Stats).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpStats {
    /// Malformed requests: status 400, 501 or 505.
    pub bad_requests: u64,
    /// Request lines that were too long: status 414.
    pub request_line_too_long: u64,
    /// Heads that were too large or had too many fields: status 431.
    pub head_too_large: u64,
    /// Bodies that were too large: status 413.
    pub body_too_large: u64,
    /// Chunked bodies with too much framing: status 400.
    pub chunk_overhead: u64,
    /// Trailer sections that were too large: status 431.
    pub trailers_too_large: u64,
    /// Requests with an unknown expectation: status 417.
    pub expectation_failed: u64,
    /// Heads that took too long: status 408.
    pub head_timeouts: u64,
    /// Bodies that took too long or were too slow: status 408.
    pub body_timeouts: u64,
    /// Connections that were closed because they were idle for too long.
    pub keep_alive_timeouts: u64,
    /// Responses that the program did not finish in time: status 503, or broken off.
    pub response_timeouts: u64,
}

/// The counters behind [`HttpStats`]. A request that is served without trouble changes none of them.
#[derive(Debug, Default)]
pub(super) struct Counters([AtomicU64; 11]);

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
        self.0[hit as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Reads all counters. Others may count meanwhile.
    pub(super) fn snapshot(&self) -> HttpStats {
        let count = |hit: Hit| self.0[hit as usize].load(Ordering::Relaxed);
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
        }
    }
}
