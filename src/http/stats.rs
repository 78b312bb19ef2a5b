//! Which limits and deadlines were hit, and how often (design laws 7 and 8).

use std::sync::atomic::{AtomicU64, Ordering};

use super::h1;

/// How often clients have met each limit and deadline, on all connections with the same
/// [`HttpSettings`](super::HttpSettings).
///
/// Limits that every connection has, whatever it speaks, are counted in
/// [`Stats`](crate::socketserver::Stats).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpStats {
    /// What was no valid request: 400, 501 and 505.
    pub bad_requests: u64,
    /// Request lines that were too long: 414.
    pub request_line_too_long: u64,
    /// Heads that were too large, or had too many fields: 431.
    pub head_too_large: u64,
    /// Contents that were too large: 413.
    pub body_too_large: u64,
    /// Chunked contents with too much framing: 400.
    pub chunk_overhead: u64,
    /// Trailer sections that were too large: 431.
    pub trailers_too_large: u64,
    /// Expectations that cannot be met: 417.
    pub expectation_failed: u64,
    /// Heads that took too long: 408.
    pub head_timeouts: u64,
    /// Contents that took too long, or were too slow: 408.
    pub body_timeouts: u64,
    /// Connections that were idle for too long: closed.
    pub keep_alive_timeouts: u64,
    /// Answers that the program owed for too long: 503, or broken off.
    pub answer_timeouts: u64,
}

/// The counters behind [`HttpStats`]. Counted where something is refused, never for a request
/// that is served.
#[derive(Debug, Default)]
pub(super) struct Counters([AtomicU64; 11]);

/// What is counted; the order is that of the fields above.
#[derive(Debug, Clone, Copy)]
pub(super) enum Hit {
    BadRequest,
    RequestLineTooLong,
    HeadTooLarge,
    BodyTooLarge,
    ChunkOverhead,
    TrailersTooLarge,
    ExpectationFailed,
    HeadTimeout,
    BodyTimeout,
    KeepAliveTimeout,
    AnswerTimeout,
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
    pub(super) fn count(&self, hit: Hit) {
        self.0[hit as usize].fetch_add(1, Ordering::Relaxed);
    }

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
            answer_timeouts: count(Hit::AnswerTimeout),
        }
    }
}
