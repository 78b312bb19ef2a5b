//! How a handler takes the body of a request: as it arrives, on the loop or on another thread.

use std::io::{BufRead, Write};

use super::body_budget::BodyShare;
use super::body_policy::Want;
use super::body_reader::BodyReader;
use super::h1::Fields;
use super::owned::put_section;
use super::response::{self, HttpResult, Response};
use super::written::{Content, ContentSink, Context, Outcome, Reading, Written};
use crate::socketserver::{Buffer, Failure};

/// Takes the body of a request as it arrives, and responds at its end; see [`Response::receive`].
///
/// On the loop it must not block: every client waits for it. It is never overrun, because nothing
/// is read while it works.
///
/// If the body never comes to its end, the sink is dropped without a call of
/// [`finish`](Self::finish). The client has then disconnected, was too slow, or sent a malformed
/// body.
///
/// ```
/// use std::fs::File;
/// use std::io::Write;
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use serve_forever::http::h1::Fields;
/// use serve_forever::http::{BodySink, HttpResult, Response, Want};
/// use serve_forever::socketserver::Failure;
///
/// /// An upload whose progress others can look at.
/// struct Upload {
///     file: File,
///     received: Arc<AtomicU64>,
/// }
///
/// impl BodySink for Upload {
///     fn block(&mut self, block: &[u8]) -> Result<Want, Failure> {
///         self.file.write_all(block)?;
///         self.received.fetch_add(block.len() as u64, Ordering::Relaxed);
///         Ok(Want::More)
///     }
///
///     fn finish(self: Box<Self>, _: Fields<'_>, response: Response<'_>) -> HttpResult {
///         self.file.sync_all()?;
///         response.send_response(201).body("")
///     }
/// }
/// ```
pub trait BodySink: Send {
    /// Takes the next block of the body, as large as it happened to arrive.
    ///
    /// # Errors
    ///
    /// An error makes the response a 500, and no more is read.
    fn block(&mut self, block: &[u8]) -> Result<Want, Failure>;

    /// Writes the response: the body has arrived, or the sink has had [enough](Want::Enough).
    ///
    /// # Errors
    ///
    /// An error makes the response a 500.
    fn finish(self: Box<Self>, trailers: Fields<'_>, response: Response<'_>) -> HttpResult;
}

/// A sink that writes its response by itself. So the connection does not depend on [`Response`].
struct Responding<S>(S);

impl<S: BodySink> ContentSink for Responding<S> {
    fn block(&mut self, block: &[u8]) -> Result<Want, Failure> {
        self.0.block(block)
    }

    fn finish(
        self: Box<Self>,
        trailers: Fields<'_>,
        output: &mut Buffer,
        context: &Context<'_>,
    ) -> Result<Written, Failure> {
        let mut written = Written::new(context);
        let respond = |response: Response<'_>| Box::new(self.0).finish(trailers, response);
        response::write(&mut written, output, context, respond)?;
        Ok(written)
    }
}

/// Writes the body to a file, or to anything that takes bytes, and lets `finish` respond.
struct WriterSink<W, F> {
    /// Gets the body.
    writer: W,
    /// Responds when the body is written.
    finish: F,
}

impl<W, F> BodySink for WriterSink<W, F>
where
    W: Write + Send,
    F: FnOnce(W, Response<'_>) -> HttpResult + Send,
{
    fn block(&mut self, block: &[u8]) -> Result<Want, Failure> {
        self.writer.write_all(block)?;
        Ok(Want::More)
    }

    fn finish(mut self: Box<Self>, _trailers: Fields<'_>, response: Response<'_>) -> HttpResult {
        self.writer.flush()?;
        (self.finish)(self.writer, response)
    }
}

impl Response<'_> {
    /// Takes the body of the request in first, block by block as it arrives; then `sink` responds.
    ///
    /// The sink is called on the loop, or on the worker that runs the handler.
    ///
    /// This is for a handler whose [`body_policy`](super::HttpRequestHandler::body_policy) is
    /// [streamed](super::BodyPolicy::streamed). A body that has already arrived is one block.
    ///
    /// # Errors
    ///
    /// None on the loop. On a worker it returns the failure of the sink, or an
    /// [`UnexpectedEof`](std::io::ErrorKind::UnexpectedEof) if the body does not come to its end.
    /// Return the result from your handler.
    pub fn receive(mut self, mut sink: impl BodySink + 'static) -> HttpResult {
        if let Content::Whole(..) | Content::Arriving { .. } = self.context.content {
            let sink = Reading::Sink(Box::new(Responding(sink)));
            self.state.reading = Some(Box::new(sink));
            return Ok(self.leave(Outcome::Deferred));
        }
        // This is not the loop's thread, so it may wait for the body.
        let mut reader = self.body_reader();
        loop {
            let block = reader.fill_buf()?;
            let length = block.len();
            if length == 0 || sink.block(block)? == Want::Enough {
                break;
            }
            reader.consume(length);
        }
        Box::new(sink).finish(reader.trailers(), self)
    }

    /// Like [`receive`](Self::receive), but into a file, or anything that takes bytes without
    /// waiting. `finish` gets it back when the whole body is written, and responds.
    ///
    /// ```
    /// use std::fs::File;
    /// use std::time::Duration;
    /// use serve_forever::http::{BodyDeadlines, BodyPolicy};
    /// use serve_forever::http::{HttpRequestHandler, HttpResult, Request, Response};
    ///
    /// #[derive(Clone)]
    /// struct Upload;
    ///
    /// impl HttpRequestHandler for Upload {
    ///     fn body_policy(&mut self, _: &Request<'_>) -> BodyPolicy {
    ///         let mut deadlines = BodyDeadlines::default(); // by default, an upload has 1 h
    ///         deadlines.total = Duration::from_secs(24 * 60 * 60);
    ///         BodyPolicy::streamed().limit(10 << 30).deadlines(deadlines)
    ///     }
    ///
    ///     fn do_put(&mut self, _: &Request<'_>, response: Response<'_>) -> HttpResult {
    ///         let file = File::create("/var/spool/upload")?;
    ///         response.receive_into(file, |file, response| {
    ///             file.sync_all()?;
    ///             response.send_response(201).body("")
    ///         })
    ///     }
    /// }
    /// # let _ = Upload;
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the errors of [`receive`](Self::receive).
    pub fn receive_into<W, F>(self, writer: W, finish: F) -> HttpResult
    where
        W: Write + Send + 'static,
        F: FnOnce(W, Response<'_>) -> HttpResult + Send + 'static,
    {
        self.receive(WriterSink { writer, finish })
    }

    /// Returns the body of the request, to be read on another thread. Then
    /// [`defer`](Self::defer) or [`offload`](Self::offload) the response.
    ///
    /// ```
    /// use std::io;
    /// use serve_forever::http::{HttpResult, Request, Response};
    ///
    /// fn measure(_: &Request<'_>, mut response: Response<'_>) -> HttpResult {
    ///     let mut reader = response.body_reader();
    ///     let (deferred, reply) = response.defer();
    ///     std::thread::spawn(move || {
    ///         // Ignore the error: the client has disconnected.
    ///         let _ = deferred.respond(|response| {
    ///             let length = io::copy(&mut reader, &mut io::sink())?;
    ///             response.send_response(200).body(format!("{length} bytes"))
    ///         });
    ///     });
    ///     Ok(reply)
    /// }
    /// # let _ = measure;
    /// ```
    ///
    /// If the handler responds by itself, the body stays unread and the connection closes. The
    /// first reader gets the body. Every further reader fails with
    /// [`UnexpectedEof`](std::io::ErrorKind::UnexpectedEof).
    pub fn body_reader(&mut self) -> BodyReader {
        match self.state.reading.take().map(|reading| *reading) {
            Some(Reading::Reader(reader)) => return reader,
            Some(sender) => {
                self.state.reading = Some(Box::new(sender));
                return BodyReader::gone();
            }
            None => {}
        }
        match *self.context.content {
            Content::Whole(body, trailers) => {
                let share = self.take_share(body.len());
                BodyReader::whole(body, section(trailers), share)
            }
            Content::Owned(request) => BodyReader::shared(request, section(request.trailers())),
            Content::Arriving { ask, window } => match self.context.reply_to() {
                Some(reply_to) => {
                    let share = self.take_share(window);
                    let (reader, sender) = BodyReader::new(reply_to, ask, share);
                    self.state.reading = Some(Box::new(Reading::Sender(sender)));
                    reader
                }
                None => BodyReader::gone(),
            },
            Content::Elsewhere | Content::Unwanted => BodyReader::gone(),
        }
    }

    /// Counts the body for another thread. Returns whether there is room for it beside the bodies of
    /// other clients.
    pub(super) fn keep_body(&mut self) -> bool {
        let bytes = match *self.context.content {
            Content::Whole(body, _) => body.len(),
            Content::Arriving { window, .. } => window,
            Content::Owned(_) | Content::Elsewhere | Content::Unwanted => 0,
        };
        // What if a reader has the body already? Then it is counted there.
        if bytes > 0 && self.state.share.is_none() && self.state.reading.is_none() {
            self.state.share = BodyShare::of(self.context.settings, bytes);
            return self.state.share.is_some();
        }
        true
    }

    /// Returns the body's part of the budget, to go along with it. A handler that asks for a reader
    /// cannot be refused one, so the body counts even if there is no room.
    fn take_share(&mut self, bytes: usize) -> Option<BodyShare> {
        let share = self.state.share.take();
        share.or_else(|| (bytes > 0).then(|| BodyShare::anyway(self.context.settings, bytes)))
    }
}

/// Returns the trailers as bytes, which a reader can keep.
pub(super) fn section(trailers: Fields<'_>) -> Vec<u8> {
    let mut section = Vec::new();
    put_section(&mut section, trailers);
    section
}
