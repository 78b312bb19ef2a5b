//! How the content of a request reaches its handler.

use std::fmt;
use std::io::Write;

use super::h1::Fields;
use super::settings::BodyDeadlines;
use super::{HttpResult, Response};
use crate::socketserver::Failure;

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

/// Takes the content of a request as it arrives, and answers at its end; see
/// [`Response::receive`].
///
/// On the loop it should not block: every client waits for it. One that is slow all the same is
/// not overrun, for nothing is read meanwhile.
///
/// Dropped without [`finish`](Self::finish) if the content never comes to its end: the client
/// left, was too slow, or sent what is no content.
///
/// ```
/// use std::fs::File;
/// use std::io::Write;
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use serve_forever::http::h1::Fields;
/// use serve_forever::http::{BodySink, HttpResult, Response, Uptake};
/// use serve_forever::socketserver::Failure;
///
/// /// An upload whose progress others can look at.
/// struct Upload {
///     file: File,
///     received: Arc<AtomicU64>,
/// }
///
/// impl BodySink for Upload {
///     fn block(&mut self, block: &[u8]) -> Result<Uptake, Failure> {
///         self.file.write_all(block)?;
///         self.received.fetch_add(block.len() as u64, Ordering::Relaxed);
///         Ok(Uptake::More)
///     }
///
///     fn finish(self: Box<Self>, _: Fields<'_>, response: Response<'_>) -> HttpResult {
///         self.file.sync_all()?;
///         response.send_response(201).body("")
///     }
/// }
/// ```
pub trait BodySink: Send {
    /// Takes the next block of content, as large as it happened to arrive.
    ///
    /// # Errors
    ///
    /// A failure is answered with 500, and no more is read.
    fn block(&mut self, block: &[u8]) -> Result<Uptake, Failure>;

    /// Answers: the content has arrived, or was [enough](Uptake::Enough).
    ///
    /// # Errors
    ///
    /// A failure is answered with 500.
    fn finish(self: Box<Self>, trailers: Fields<'_>, response: Response<'_>) -> HttpResult;
}

/// Whether a [`BodySink`] goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uptake {
    /// It wants the rest.
    More,
    /// It can answer without the rest, which is not read; the connection closes.
    Enough,
}

/// Writes content to a file, or whatever takes bytes, and lets `finish` answer.
pub(super) struct WriterSink<W, F> {
    pub(super) writer: W,
    pub(super) finish: F,
}

impl<W, F> BodySink for WriterSink<W, F>
where
    W: Write + Send,
    F: FnOnce(W, Response<'_>) -> HttpResult + Send,
{
    fn block(&mut self, block: &[u8]) -> Result<Uptake, Failure> {
        self.writer.write_all(block)?;
        Ok(Uptake::More)
    }

    fn finish(mut self: Box<Self>, _trailers: Fields<'_>, response: Response<'_>) -> HttpResult {
        self.writer.flush()?;
        (self.finish)(self.writer, response)
    }
}

impl fmt::Debug for dyn BodySink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodySink")
    }
}
