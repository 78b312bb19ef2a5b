//! A response while it is written: what it is written with, and what has become of it so far.

use std::fmt;
use std::sync::Arc;

use super::body::{BodyFraming, Ending, Streaming};
use super::body_policy::Want;
use super::h1::{self, Fields, Sink, Version};
use super::message::{Message, Notes, OpenHead, ReplyTo, Upgrade};
use super::owned::OwnedRequest;
use super::reader::{BodyReader, BodySender};
use super::response_error::ResponseError;
use super::settings::HttpSettings;
use super::terms::Terms;
use crate::reactor::Now;
use crate::socketserver::{Buffer, Failure, Mailbox, Pool};

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

/// What a response is written with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) settings: &'a Arc<HttpSettings>,
    pub(super) now: &'a Now,
    pub(super) terms: Terms,
    /// The request's connection and its number there, unless other threads cannot reach it.
    pub(super) address: Option<(&'a Mailbox<Message>, u32)>,
    pub(super) content: Content<'a>,
    pub(super) place: Place<'a>,
}

impl Context<'_> {
    pub(super) fn reply_to(&self) -> Option<ReplyTo> {
        self.address
            .map(|address| ReplyTo::new(address, self.settings, self.terms))
    }
}

/// Where a response is written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'a> {
    /// On the loop, straight into the output of the connection.
    Loop,
    /// On another thread, into memory; the loop ends the head when it takes the bytes.
    Away {
        /// The pool that this thread belongs to, if it is a worker: it pulls the body, too.
        workers: Option<&'a Pool>,
    },
}

/// The body of the request that is responded to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content<'a> {
    /// It has arrived, and lies in the input.
    Whole(&'a [u8], Fields<'a>),
    /// It has arrived, and lies in a copy of the request.
    Owned(&'a OwnedRequest),
    /// It will arrive. `ask`: the client waits for `100 Continue` first.
    Coming { ask: bool },
    /// Another part of the program has it, or had it.
    Elsewhere,
    /// There is some that nobody will read.
    Unwanted,
}

impl Content<'_> {
    /// Whether nobody may have read all of it, which ends the connection (design law 12).
    fn is_unread(&self) -> bool {
        matches!(self, Content::Coming { .. } | Content::Unwanted)
    }
}

/// What a handler left to be done.
#[derive(Debug)]
pub(super) enum Outcome {
    /// There is no response yet.
    Unanswered,
    /// The response is written.
    Done,
    /// The head is written; the body is pulled as the client reads it.
    Stream(Box<Streaming>),
    /// Another part of the program will send the response.
    Deferred,
    /// The body of the request is taken in first.
    Receive(Box<dyn ContentSink>),
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

/// The request's body on its way to another thread.
#[derive(Debug)]
pub(super) enum Reading {
    /// The reader that the program has not taken yet.
    Reader(BodyReader),
    /// The loop's end; the program has the reader.
    Sender(BodySender),
}

/// What has become of a response so far, and in the end. It stays in one place: the steps of the
/// builder move references to it and nothing else.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) outcome: Outcome,
    pub(super) code: u16,
    /// Whether the connection ends with it.
    pub(super) close: bool,
    /// The `Content-Length` that the handler set.
    pub(super) declared: Option<u64>,
    /// What is wrong with the head.
    pub(super) error: Option<ResponseError>,
    /// Bytes of the body that were written.
    pub(super) sent: u64,
    /// The body was not as long as its `Content-Length` announced.
    pub(super) wrong: Option<ResponseError>,
    /// Where an open head ends; `None`: there is no head yet, or the loop has written it.
    pub(super) open_head: Option<usize>,
    /// Boxed: few responses have any.
    pub(super) notes: Option<Box<Notes>>,
    /// Boxed: few handlers read a body elsewhere.
    pub(super) reading: Option<Box<Reading>>,
}

impl Written {
    /// Nothing is written yet.
    pub(super) fn new(context: &Context<'_>) -> Written {
        Written {
            outcome: Outcome::Unanswered,
            code: 0,
            close: !context.terms.keep_alive,
            declared: None,
            error: None,
            sent: 0,
            wrong: None,
            open_head: None,
            notes: None,
            reading: None,
        }
    }

    pub(super) fn notes(&mut self) -> &mut Notes {
        self.notes.get_or_insert_default()
    }

    /// How a response ended that is written.
    pub(super) fn ending(&self) -> Ending {
        Ending {
            close: self.close,
            sent: self.sent,
            wrong: self.wrong,
        }
    }

    /// The head that the loop has to end.
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

    /// How a response of this status ends if it cannot have a body (RFC 9110 §6.4.1, HTTP-35).
    #[inline]
    pub(super) fn without_body(&self) -> Option<BodyFraming> {
        match self.code {
            100..=199 | 204 | 304 => Some(BodyFraming::Silent),
            // Only the end of the connection says so by itself (RFC 9110 §15.3.6).
            205 if !self.close => Some(BodyFraming::Length(0)),
            205 => Some(BodyFraming::Silent),
            _ => None,
        }
    }

    /// Writes a field, unless it says how the response is framed.
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
            10 => name.eq_ignore_ascii_case("connection"),
            14 => name.eq_ignore_ascii_case("content-length"),
            17 => name.eq_ignore_ascii_case("transfer-encoding"),
            _ => false,
        };
        if special && !self.note_framing(name, value)? {
            return Ok(());
        }
        h1::field(output, name, value).map_err(ResponseError::Head)
    }

    /// Notes what a field says about the framing. Returns whether it is written all the same.
    #[cold]
    fn note_framing(&mut self, name: &str, value: &[u8]) -> Result<bool, ResponseError> {
        match name.len() {
            10 => {
                let is = |token: &[u8], option: &[u8]| token.eq_ignore_ascii_case(option);
                self.close |= h1::tokens(value).any(|token| is(token, b"close"));
                // The end of the head says how the connection goes on; other options stay.
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

    /// Writes how the body ends, and then the end of the head if this is the loop's thread.
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
        match context.place {
            Place::Loop => end_head(output, self.close, context.terms.version),
            Place::Away { .. } => self.open_head = Some(output.len()),
        }
        Ok(())
    }

    /// A head that no client takes for the final one is not the response.
    #[cold]
    fn check_upgrade(&self) -> Result<(), ResponseError> {
        match self.outcome {
            Outcome::Upgrade(_) => Ok(()),
            _ => Err(ResponseError::NotFinal),
        }
    }
}

/// Says whether the connection goes on, and ends the head.
#[inline]
pub(super) fn end_head(output: &mut Buffer, close: bool, version: Version) {
    if close {
        output.put(b"Connection: close\r\n");
    } else if version < Version::Http11 {
        output.put(b"Connection: keep-alive\r\n");
    }
    output.put(b"\r\n");
}
