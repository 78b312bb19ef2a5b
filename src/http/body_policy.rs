//! How the body of a request reaches its handler.

use super::settings::BodyDeadlines;

/// How the body of a request reaches its handler, decided from the head alone; see
/// [`HttpRequestHandler::body_policy`](super::HttpRequestHandler::body_policy).
///
/// ```
/// use std::time::Duration;
/// use serve_forever::http::{BodyDeadlines, BodyPolicy};
///
/// // An upload that does not fit into memory, of at most 10 GiB. By default it would have 1 h.
/// let mut deadlines = BodyDeadlines::default();
/// deadlines.total = Duration::from_secs(24 * 60 * 60);
/// let policy = BodyPolicy::streamed().limit(10 << 30).deadlines(deadlines);
/// # let _ = policy;
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct BodyPolicy {
    /// How the body reaches the handler.
    pub(super) way: Way,
    /// The most bytes that the body may have; `None`: the limit of the settings.
    pub(super) limit: Option<u64>,
    /// How fast the body must arrive; `None`: the deadlines of the settings.
    pub(super) deadlines: Option<BodyDeadlines>,
}

/// The three ways of [`BodyPolicy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// See [`BodyPolicy::whole`].
    Whole,
    /// See [`BodyPolicy::streamed`].
    Streamed,
    /// See [`BodyPolicy::refused`].
    Refused(u16),
}

impl BodyPolicy {
    /// Keeps the body, and calls the handler when it has arrived whole. The default.
    ///
    /// A body of more than [`Limits::body`](super::Limits::body) bytes gets a 413.
    pub fn whole() -> BodyPolicy {
        BodyPolicy::new(Way::Whole)
    }

    /// Calls the handler when the head is there. The handler takes the body as it arrives, with
    /// [`Response::receive`](super::Response::receive) or
    /// [`Response::body_reader`](super::Response::body_reader), or responds without it.
    ///
    /// A body of more than [`Limits::upload`](super::Limits::upload) bytes gets a 413. A short body
    /// may arrive together with the head. It is then whole in
    /// [`Request::body`](super::Request::body), and these methods also return it.
    pub fn streamed() -> BodyPolicy {
        BodyPolicy::new(Way::Streamed)
    }

    /// Does not read the body: the client gets the error page of `code`, for example 413 or 417,
    /// and the connection closes.
    ///
    /// For a response with fields of its own, such as a 401 with `WWW-Authenticate`, use
    /// [`streamed`](Self::streamed) and respond without the body. The client is not asked for it then
    /// either.
    pub fn refused(code: u16) -> BodyPolicy {
        BodyPolicy::new(Way::Refused(code))
    }

    /// Sets another limit for the body of this request, in bytes.
    ///
    /// The time stays limited: the body may take 1 h in all, unless you set other
    /// [`deadlines`](Self::deadlines). In 1 h, 10 GiB need 3 MB a second. A slower client gets a 408
    /// ([`BodyDeadlines::total`]).
    pub fn limit(mut self, bytes: u64) -> BodyPolicy {
        self.limit = Some(bytes);
        self
    }

    /// Sets other deadlines for the body of this request.
    pub fn deadlines(mut self, deadlines: BodyDeadlines) -> BodyPolicy {
        self.deadlines = Some(deadlines);
        self
    }

    fn new(way: Way) -> BodyPolicy {
        BodyPolicy {
            way,
            limit: None,
            deadlines: None,
        }
    }
}

/// Whether a [`BodySink`](super::BodySink) wants more of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Want {
    /// It wants the rest.
    More,
    /// It can respond without the rest. The rest is not read, and the connection closes.
    Enough,
}
