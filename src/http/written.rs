//! A response while it is being written: its context, and its state.

use std::fmt;
use std::sync::Arc;

use memchr::memchr;

use super::body_budget::BodyShare;
use super::body_policy::Want;
use super::body_reader::{BodyReader, BodySender};
use super::error_format::ErrorFormat;
use super::h1::{self, Fields, Head, Sink, Version};
use super::message::{Message, Notes, OpenHead, ReplyTo, Upgrade};
use super::owned::OwnedRequest;
use super::response_body::{BodyFraming, Ending, Streaming};
use super::response_error::ResponseError;
use super::settings::HttpSettings;
use super::terms::Terms;
use crate::reactor::Now;
use crate::socketserver::{Buffer, Failure, Mailbox};

impl Sink for Buffer {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    #[inline(always)]
    fn put_all(&mut self, parts: &[&[u8]]) {
        self.extend_from_slices(parts);
    }
}

/// The context in which a response is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    /// The limits and deadlines, and the fields that every response has.
    pub(super) settings: &'a Arc<HttpSettings>,
    /// The time of this turn.
    pub(super) now: &'a Now,
    /// The terms that follow from the head of the request.
    pub(super) terms: Terms,
    /// The head of the request, as long as it is there: few responses need to look at it.
    pub(super) head: Option<&'a Head<'a>>,
    /// The request's connection and its number there, unless other threads cannot reach it.
    pub(super) address: Option<(&'a Mailbox<Message>, u32)>,
    /// The body of the request.
    pub(super) content: &'a Content<'a>,
    /// The thread on which the response is written.
    pub(super) thread: Thread,
}

impl Context<'_> {
    pub(super) fn reply_to(&self) -> Option<ReplyTo> {
        let address = self.address?;
        let terms = Terms {
            error_format: self.error_format(),
            ..self.terms
        };
        Some(ReplyTo::new(address, self.settings, terms))
    }

    /// Returns the format of an error page, if this response becomes one.
    pub(super) fn error_format(&self) -> ErrorFormat {
        self.head.map_or(self.terms.error_format, |head| {
            self.settings.error_format_for(head.fields)
        })
    }
}

/// The thread on which a response is written.
///
/// On the loop's thread it is written straight into the output of the connection. On any other it
/// is written into memory, and the loop ends the head when it takes the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thread {
    /// The loop's.
    Loop,
    /// A worker's, which also pulls the body.
    Worker,
    /// Any other thread of the program.
    Other,
}

/// The body of the request, as its handler can get it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content<'a> {
    /// It has arrived, and lies in the input.
    Whole(&'a [u8], Fields<'a>),
    /// It has arrived, and lies in a copy of the request.
    Owned(&'a OwnedRequest),
    /// It is still arriving.
    Arriving {
        /// The client waits for `100 Continue` first.
        ask: bool,
        /// At most so many bytes of it wait at once for another thread that reads it.
        window: usize,
    },
    /// Another part of the program has it, or had it.
    Elsewhere,
    /// Some of it has not been read, and nobody will read it.
    Unwanted,
}

impl Content<'_> {
    /// Returns whether nobody may have read all of it, which ends the connection ([design law 12]).
    ///
    /// [design law 12]: crate::spec#law-12
    fn is_unread(&self) -> bool {
        matches!(self, Content::Arriving { .. } | Content::Unwanted)
    }
}

/// The work that is left after a handler has returned.
#[derive(Debug)]
pub(super) enum Outcome {
    /// There is no response yet.
    Unanswered,
    /// The response is written.
    Done,
    /// The head is written; the body is pulled as the client reads it.
    Stream(Box<Streaming>),
    /// Another part of the program will send the response, or a sink that takes the body first.
    Deferred,
    /// The connection goes on with another protocol.
    Upgrade(Upgrade),
}

/// A [`BodySink`](super::BodySink) as the connection sees it: it writes the response by itself.
pub(super) trait ContentSink: Send {
    /// Takes the next block.
    fn block(&mut self, block: &[u8]) -> Result<Want, Failure>;

    /// Writes the response.
    fn finish(
        self: Box<Self>,
        trailers: Fields<'_>,
        output: &mut Buffer,
        context: &Context<'_>,
    ) -> Result<Written, Failure>;
}

impl fmt::Debug for dyn ContentSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentSink")
    }
}

/// How the program takes the request's body as it arrives.
#[derive(Debug)]
pub(super) enum Reading {
    /// A sink takes it on the loop, and then responds.
    Sink(Box<dyn ContentSink>),
    /// The reader that the program has not taken yet.
    Reader(BodyReader),
    /// The loop's end; the program has the reader.
    Sender(BodySender),
}

/// The state of a response, while it is written and afterwards. It stays in one place: the steps of
/// the builder pass on only references to it.
#[derive(Debug)]
pub(super) struct Written {
    /// The work that is left.
    pub(super) outcome: Outcome,
    /// The status.
    pub(super) code: u16,
    /// Where the head begins in the output.
    pub(super) head: usize,
    /// Whether the connection ends with this response.
    pub(super) close: bool,
    /// The `Content-Length` that the handler set.
    pub(super) declared: Option<u64>,
    /// The first mistake in the head.
    pub(super) error: Option<ResponseError>,
    /// Bytes of the body that were written.
    pub(super) sent: u64,
    /// The body is shorter or longer than its `Content-Length`.
    pub(super) wrong: Option<ResponseError>,
    /// Where an open head ends in the output. `None`: there is no head yet, or its end is written.
    pub(super) open_head: Option<usize>,
    /// Notes for the connection. Boxed: few responses have any.
    pub(super) notes: Option<Box<Notes>>,
    /// The body of the request on its way to another thread. Boxed: few handlers need this.
    pub(super) reading: Option<Box<Reading>>,
    /// The body's part of the budget, if it is kept in memory.
    pub(super) share: Option<BodyShare>,
}

impl Written {
    /// Creates the state of a response before anything is written.
    pub(super) fn new(context: &Context<'_>) -> Written {
        Written::unwritten(!context.terms.keep_alive)
    }

    /// Like [`new`](Self::new), without a context. `close`: the connection ends with the response.
    #[inline]
    pub(super) fn unwritten(close: bool) -> Written {
        Written {
            outcome: Outcome::Unanswered,
            code: 0,
            head: 0,
            close,
            declared: None,
            error: None,
            sent: 0,
            wrong: None,
            open_head: None,
            notes: None,
            reading: None,
            share: None,
        }
    }

    pub(super) fn notes(&mut self) -> &mut Notes {
        self.notes.get_or_insert_default()
    }

    /// Returns how the response ended, once it is written.
    pub(super) fn ending(&self) -> Ending {
        Ending {
            close: self.close,
            sent: self.sent,
            wrong: self.wrong,
        }
    }

    /// Returns the head that the loop has to end, if there is one.
    pub(super) fn open_head(&self) -> Option<OpenHead> {
        let close_delimited = match &self.outcome {
            Outcome::Stream(streaming) => streaming.framer.is_close_delimited(),
            _ => false,
        };
        self.open_head.map(|end| OpenHead {
            end,
            code: self.code,
            close: self.close,
            close_delimited,
            pushed: None,
        })
    }

    /// Returns the framing of a response whose status allows no body, and `None` for any other
    /// status (RFC 9110 §6.4.1, [HTTP-35]).
    ///
    /// [HTTP-35]: crate::spec#http-35
    #[inline]
    pub(super) fn without_body(&self) -> Option<BodyFraming> {
        match self.code {
            100..=199 | 204 | 304 => Some(BodyFraming::Silent),
            // A client cannot know that a 205 is empty, unless the connection ends (RFC 9110
            // §15.3.6).
            205 if !self.close => Some(BodyFraming::Length(0)),
            205 => Some(BodyFraming::Silent),
            _ => None,
        }
    }

    /// Writes a field, unless it says how the response is framed. `Date` and `Server` replace those
    /// of the server ([HTTP-33]).
    ///
    /// [HTTP-33]: crate::spec#http-33
    ///
    /// `inline(always)`: most fields that a handler writes are constants, and the compiler then
    /// checks them.
    #[inline(always)]
    pub(super) fn field(
        &mut self,
        output: &mut Buffer,
        name: &str,
        value: &[u8],
    ) -> Result<(), ResponseError> {
        let special = match name.len() {
            4 => name.eq_ignore_ascii_case("date"),
            6 => name.eq_ignore_ascii_case("server"),
            10 => name.eq_ignore_ascii_case("connection"),
            14 => name.eq_ignore_ascii_case("content-length"),
            17 => name.eq_ignore_ascii_case("transfer-encoding"),
            _ => false,
        };
        if special && !self.note_special(output, name, value)? {
            return Ok(());
        }
        h1::field(output, name, value).map_err(ResponseError::Head)
    }

    /// Notes what a field says about the framing, and makes place for one that the server has written.
    /// Returns whether the field is written as well.
    #[cold]
    fn note_special(
        &mut self,
        output: &mut Buffer,
        name: &str,
        value: &[u8],
    ) -> Result<bool, ResponseError> {
        match name.len() {
            4 | 6 => {
                self.remove_field(output, name);
                Ok(true)
            }
            10 => {
                let is = |token: &[u8], option: &[u8]| token.eq_ignore_ascii_case(option);
                self.close |= h1::tokens(value).any(|token| is(token, b"close"));
                // `end_head` writes these two options. A field with another option stays.
                let ours = |token| is(token, b"close") || is(token, b"keep-alive");
                Ok(!h1::tokens(value).all(ours))
            }
            14 if self.declared.is_none() && value.iter().all(u8::is_ascii_digit) => {
                let text = std::str::from_utf8(value).unwrap_or_default();
                let length = text.parse().map_err(|_| ResponseError::ContentLength)?;
                self.declared = Some(length);
                Ok(false)
            }
            14 => Err(ResponseError::ContentLength),
            _ => Err(ResponseError::TransferEncoding),
        }
    }

    /// Removes a field from the head, if it is there.
    #[cold]
    pub(super) fn remove_field(&self, output: &mut Buffer, name: &str) {
        // An earlier response may have left a block in the output that its slice does not show.
        output.make_contiguous();
        let mut end = self.head;
        while let Some(line) = output.get(end..).and_then(first_line) {
            let start = end;
            end += line.len();
            let before_colon = line.split(|&byte| byte == b':').next();
            if before_colon.is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes())) {
                output.remove(start..end);
                break;
            }
        }
    }

    /// Writes the field that frames the body, and the end of the head if this is the loop's thread.
    #[inline]
    pub(super) fn end_headers(
        &mut self,
        framing: BodyFraming,
        output: &mut Buffer,
        context: &Context<'_>,
    ) -> Result<(), ResponseError> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let success = matches!(self.code, 200..=299);
        if self.code < 200 || (context.terms.connect && success) {
            self.check_upgrade()?;
        }
        self.close |= context.content.is_unread();
        match framing {
            BodyFraming::Silent => {}
            BodyFraming::Length(length) => h1::content_length(output, length),
            BodyFraming::Chunked => output.put(b"Transfer-Encoding: chunked\r\n"),
            BodyFraming::Close => self.close = true,
        }
        match context.thread {
            Thread::Loop => end_head(output, self.close, context.terms.version),
            Thread::Worker | Thread::Other => self.open_head = Some(output.len()),
        }
        Ok(())
    }

    /// Rejects a status that does not end the request, unless the response is an upgrade.
    #[cold]
    fn check_upgrade(&self) -> Result<(), ResponseError> {
        match self.outcome {
            Outcome::Upgrade(_) => Ok(()),
            _ => Err(ResponseError::NotFinal),
        }
    }
}

/// Returns the first line with its line end.
fn first_line(bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(..=memchr(b'\n', bytes)?)
}

/// Writes whether the connection goes on, and the empty line. Each version of HTTP has its own
/// default, which needs no field (RFC 9112 §9.3).
#[inline]
pub(super) fn end_head(output: &mut Buffer, close: bool, version: Version) {
    if close {
        output.put(b"Connection: close\r\n");
    } else if version < Version::Http11 {
        output.put(b"Connection: keep-alive\r\n");
    }
    output.put(b"\r\n");
}
