//! How the content of a request reaches its handler.

use super::settings::BodyDeadlines;

/// What becomes of the content of a request, decided from its head alone; see
/// [`HttpRequestHandler::intake`](super::HttpRequestHandler::intake).
///
/// ```
/// use serve_forever::http::Intake;
///
/// // An upload that does not fit into memory, of at most 10 GiB.
/// let intake = Intake::streamed().limit(10 << 30);
/// # let _ = intake;
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Intake {
    pub(super) way: Way,
    pub(super) limit: Option<u64>,
    pub(super) deadlines: Option<BodyDeadlines>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Whole,
    Streamed,
    Refused(u16),
}

impl Intake {
    /// The content is kept, and the handler called when it has arrived whole. The default.
    ///
    /// At most [`Limits::body`](super::Limits::body) bytes, else 413.
    pub fn whole() -> Intake {
        Intake::new(Way::Whole)
    }

    /// The handler is called at once, and takes the content as it arrives, by
    /// [`Response::receive`] or [`Response::body_reader`], or answers without it.
    ///
    /// At most [`Limits::upload`](super::Limits::upload) bytes, else 413. Content that has
    /// arrived together with the head may be whole in [`Request::body`](super::Request::body);
    /// the two methods hand it over all the same.
    pub fn streamed() -> Intake {
        Intake::new(Way::Streamed)
    }

    /// The content is not read at all: the request is answered with the error page of `code`,
    /// 413 or 417 say, and the connection closes.
    pub fn refused(code: u16) -> Intake {
        Intake::new(Way::Refused(code))
    }

    /// Sets another limit for this request, in bytes of content.
    pub fn limit(mut self, bytes: u64) -> Intake {
        self.limit = Some(bytes);
        self
    }

    /// Sets other deadlines for the content of this request.
    pub fn deadlines(mut self, deadlines: BodyDeadlines) -> Intake {
        self.deadlines = Some(deadlines);
        self
    }

    fn new(way: Way) -> Intake {
        Intake {
            way,
            limit: None,
            deadlines: None,
        }
    }
}

/// Whether a [`BodySink`] goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uptake {
    /// It wants the rest.
    More,
    /// It can answer without the rest, which is not read; the connection closes.
    Enough,
}
