//! The builder of a response: `send_response`, `send_header`, then the body ([HTTP-29] to
//! [HTTP-35]).
//!
//! It writes straight into the output, and is the only code that writes a head.
//!
//! [HTTP-29]: crate::spec#http-29
//! [HTTP-35]: crate::spec#http-35

use std::time::Duration;

use super::date::{DATE, date_value};
use super::error_page::error_page;
use super::h1::{self, EncodeError, Sink, Version};
use super::message::{Message, Upgrade};
use super::response_body::{BodyFraming, BodySource, Ending, Framer, READ, Streaming, cut};
use super::response_error::ResponseError;
use super::status::{explanation, phrase};
use super::written::{Content, Context, Outcome, Thread, Written};
use crate::socketserver::{Block, Buffer, Failure, Protocol, contain};

/// The result of a handler.
pub type HttpResult = Result<Reply, Failure>;

/// The proof that a request got its response, or will get one. Only a [`Response`] makes a `Reply`.
#[derive(Debug)]
pub struct Reply(());

/// A response that has not begun. A handler consumes it and gets the [`Reply`] to return.
///
/// ```
/// use serve_forever::http::{HttpResult, Request, Response};
///
/// fn hello(request: &Request<'_>, response: Response<'_>) -> HttpResult {
///     match request.path() {
///         "/" => response
///             .send_response(200)
///             .send_header("Content-Type", "text/plain")
///             .body("Hello, World!"),
///         _ => response.send_error(404),
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Response<'a> {
    /// Where the response is written.
    output: &'a mut Buffer,
    /// The settings, the time and the terms of the response.
    pub(super) context: &'a Context<'a>,
    /// How far it has come.
    pub(super) state: &'a mut Written,
}

/// Lets `respond` write a response into `output`. If it fails or panics, takes its bytes back: a
/// client must never get a part of a response for the whole ([design law 10]).
///
/// [design law 10]: crate::spec#law-10
#[inline]
pub(super) fn write(
    written: &mut Written,
    output: &mut Buffer,
    context: &Context<'_>,
    respond: impl FnOnce(Response<'_>) -> HttpResult,
) -> Result<(), Failure> {
    let before = output.len();
    let response = Response {
        output,
        context,
        state: written,
    };
    let failure = match contain(|| respond(response)) {
        Ok(Reply(())) if matches!(written.outcome, Outcome::Unanswered) => {
            ResponseError::Unanswered.into()
        }
        Ok(Reply(())) => return Ok(()),
        Err(failure) => failure,
    };
    output.truncate(before);
    Err(failure)
}

impl<'a> Response<'a> {
    /// Begins the response: status line with the usual reason phrase, `Server`, `Date` ([HTTP-29]).
    ///
    /// [HTTP-29]: crate::spec#http-29
    #[inline]
    pub fn send_response(self, code: u16) -> ResponseHead<'a> {
        match code {
            200 => {
                let head = self.begin(code);
                head.output.put(head.context.settings.ok_server_and_date());
                head.output.put(&date_value(head.context.now));
                head
            }
            _ => self.send_response_with_reason(code, phrase(code)),
        }
    }

    /// Like [`send_response`](Self::send_response), but with your own reason phrase.
    pub fn send_response_with_reason(self, code: u16, reason: &str) -> ResponseHead<'a> {
        let head = self.send_response_only(code, reason);
        head.output.put(head.context.settings.server_and_date());
        head.output.put(&date_value(head.context.now));
        head
    }

    /// Begins the response with the status line alone, without `Server` and `Date`.
    #[inline]
    pub fn send_response_only(self, code: u16, reason: &str) -> ResponseHead<'a> {
        let head = self.begin(code);
        if let Err(error) = h1::status_line(head.output, code, reason) {
            head.state.error = Some(ResponseError::Head(error));
        }
        head
    }

    fn begin(self, code: u16) -> ResponseHead<'a> {
        let Response {
            output,
            context,
            state,
        } = self;
        state.code = code;
        state.head = output.len();
        ResponseHead {
            output,
            context,
            state,
        }
    }

    /// Sends the error page of `code` ([HTTP-34], [HTTP-36]).
    ///
    /// The client chooses its format with `Accept`: Python's page in HTML, a problem in JSON
    /// (RFC 9457), or plain text. Without a preference it is
    /// [`HttpSettings::error_format`](super::HttpSettings::error_format), which is HTML by default;
    /// [`HttpSettings::negotiate_errors`](super::HttpSettings::negotiate_errors) turns the choice off.
    ///
    /// The connection stays open, unless a part of the request's body was not read.
    ///
    /// **The response has no fields of your own.** Some statuses need one: a 405 must have `Allow`
    /// (RFC 9110 section 15.5.6), a 401 `WWW-Authenticate`, a 426 `Upgrade`. Only your program knows
    /// their values. Send these statuses with [`ResponseHead::error_page`], which has an example.
    ///
    /// # Errors
    ///
    /// Returns an error if `code` is not a status code.
    ///
    /// [HTTP-34]: crate::spec#http-34
    /// [HTTP-36]: crate::spec#http-36
    pub fn send_error(self, code: u16) -> HttpResult {
        self.send_error_with(code, phrase(code), explanation(code))
    }

    /// Like [`send_error`](Self::send_error), but with your own reason and explanation.
    ///
    /// # Errors
    ///
    /// Returns an error if `code` is not a status code, or `reason` holds a control character.
    #[cold]
    pub fn send_error_with(self, code: u16, reason: &str, explanation: &str) -> HttpResult {
        self.send_error_page(code, reason, explanation, &[])
    }

    /// Like [`send_error_with`](Self::send_error_with), with `more` fields.
    #[cold]
    pub(super) fn send_error_page(
        self,
        code: u16,
        reason: &str,
        explanation: &str,
        more: &[(&str, &str)],
    ) -> HttpResult {
        let reason = or_unknown(reason);
        let head = self.send_response_with_reason(code, reason);
        let head = more
            .iter()
            .fold(head, |head, (name, value)| head.send_header(name, value));
        head.page(reason, explanation)
    }

    /// Sets how long this response may take if another thread sends it, and each further part of
    /// its body if a worker pulls that. The default is
    /// [`Deadlines::response`](super::Deadlines::response).
    #[must_use]
    pub fn respond_within(self, patience: Duration) -> Response<'a> {
        self.state.notes().patience = Some(patience);
        self
    }

    /// Ends this exchange as soon as the client has ended its input, although the response is not
    /// complete ([RT-10]).
    ///
    /// Use it for responses that may take long, such as a long poll or an endless stream. A browser
    /// that ends its input has closed the connection, and you learn that at once: the
    /// [`Deferred`](super::Deferred) or the [`ResponseStream`](super::ResponseStream)
    /// [is gone](super::Deferred::is_gone). But a client that only half-closes, such as
    /// `printf ... | nc`, gets no response. [`EventedSettings::half_close`] says the same for all
    /// connections of a server.
    ///
    /// [`EventedSettings::half_close`]: crate::socketserver::EventedSettings::half_close
    /// [RT-10]: crate::spec#rt-10
    #[must_use]
    pub fn without_half_close(self) -> Response<'a> {
        self.state.notes().ends_with_input = true;
        self
    }

    /// Sends an interim response ahead of the final one, for example `103 Early Hints`
    /// (RFC 9110 §15.2).
    ///
    /// A client of HTTP/1.0 does not get it. `100 Continue` is sent without your help. On the loop,
    /// it leaves when the handler returns. On a [worker](Self::offload) or through a
    /// [`Deferred`](super::Deferred) it leaves immediately if there is room; see
    /// [`Deferred::send_interim`](super::Deferred::send_interim).
    ///
    /// # Errors
    ///
    /// Returns an error if `code` is 101 or not from 100 to 199, or if a field cannot be sent or
    /// announces a body.
    pub fn send_interim(
        self,
        code: u16,
        headers: &[(&str, &str)],
    ) -> Result<Response<'a>, ResponseError> {
        let bytes = interim(code, headers)?;
        match self.context.thread {
            Thread::Loop if self.context.terms.knows_interim_responses() => self.output.put(&bytes),
            Thread::Loop => {}
            // Bytes in `output` reach the loop only with the response, which may take a long time.
            Thread::Worker | Thread::Other => {
                if let Some(reply_to) = self.context.reply_to() {
                    reply_to.suggest(bytes);
                }
            }
        }
        Ok(self)
    }

    /// Returns whether a worker writes this response, so that the loop can send its bytes
    /// meanwhile.
    pub(crate) fn is_on_worker(&self) -> bool {
        self.context.thread == Thread::Worker
    }

    /// Returns the time of this turn; on another thread, the time when the response was begun.
    #[cfg(feature = "files")]
    pub(super) fn now(&self) -> &crate::reactor::Now {
        self.context.now
    }

    /// Ends the handler's part. `outcome` is left to do.
    pub(super) fn leave(self, outcome: Outcome) -> Reply {
        self.state.outcome = outcome;
        Reply(())
    }
}

/// A response whose head is being written. If a field is wrong, the step that ends the head returns
/// the error, before anything is sent.
#[derive(Debug)]
#[must_use = "a response needs a body, even if it is empty"]
pub struct ResponseHead<'a> {
    /// Where the response is written.
    output: &'a mut Buffer,
    /// The settings, the time and the terms of the response.
    context: &'a Context<'a>,
    /// How far it has come.
    pub(super) state: &'a mut Written,
}

impl ResponseHead<'_> {
    /// Adds a field ([HTTP-31]).
    ///
    /// If you set `Content-Length`, the server sends exactly that much or closes the connection
    /// ([WSGI-17]). `Connection: close` closes it after the response ([HTTP-22]).
    /// `Transfer-Encoding` is refused, because the server chooses the framing. Your `Date` or `Server` is
    /// sent in the place of the server's ([HTTP-33]).
    ///
    /// [HTTP-22]: crate::spec#http-22
    /// [HTTP-31]: crate::spec#http-31
    /// [HTTP-33]: crate::spec#http-33
    /// [WSGI-17]: crate::spec#wsgi-17
    #[inline(always)]
    pub fn send_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let ResponseHead { output, state, .. } = &mut self;
        if state.error.is_none() {
            if let Err(error) = state.field(output, name, value.as_ref()) {
                state.error = Some(error);
            }
        }
        self
    }

    /// Adds the `Server` field, if the settings have one.
    ///
    /// [`Response::send_response`] does that by itself, so call this after
    /// [`Response::send_response_only`]. A `Server` that is there already is replaced.
    pub fn send_server(self) -> Self {
        self.state.remove_field(self.output, "Server");
        self.first_server()
    }

    /// Adds the `Date` field; see [`send_server`](Self::send_server).
    pub fn send_date(self) -> Self {
        self.state.remove_field(self.output, "Date");
        self.first_date()
    }

    /// Adds the `Server` field to a head that has none yet, so the head need not be searched.
    pub(crate) fn first_server(self) -> Self {
        self.output.put(self.context.settings.server_field());
        self
    }

    /// Adds the `Date` field to a head that has none yet.
    pub(crate) fn first_date(self) -> Self {
        self.output.put(DATE);
        self.output.put(&date_value(self.context.now));
        self
    }

    /// Adds the lines of fields that were checked, and the length that the body shall have. The lines
    /// say nothing about the connection or the framing.
    pub(crate) fn checked_fields(self, lines: &[u8], content_length: Option<u64>) -> Self {
        self.output.put(lines);
        self.state.declared = content_length;
        self
    }

    /// Reports a failure to the server although the request gets a response: for a handler with its
    /// own error page.
    ///
    /// [`Failure::Stop`] stops the server; any other failure goes to
    /// [`Hooks::handle_error`](crate::socketserver::Hooks::handle_error).
    pub fn with_failure(self, failure: Failure) -> Self {
        self.state.notes().failure = Some(failure);
        self
    }

    /// Tells the client when to try again ([GUARD-3]).
    ///
    /// [GUARD-3]: crate::spec#guard-3
    #[cold]
    pub(super) fn send_retry_after(self) -> Self {
        let (name, value) = self.context.settings.retry_after_field();
        self.send_header(name, value)
    }

    /// Ends the response with the error page of its status, like
    /// [`Response::send_error`], but after fields of your own. `explanation` is a sentence for the
    /// person who reads the page, without a full stop; [`explanation`] has one for each status.
    ///
    /// ```
    /// use serve_forever::http::{HttpResult, Request, Response, explanation};
    ///
    /// fn only_get(_: &Request<'_>, response: Response<'_>) -> HttpResult {
    ///     let head = response.send_response(405).send_header("Allow", "GET, HEAD");
    ///     head.error_page(explanation(405))
    /// }
    /// # let _ = only_get;
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the head is wrong; nothing of the response is sent.
    #[cold]
    pub fn error_page(self, explanation: &str) -> HttpResult {
        let reason = or_unknown(phrase(self.state.code));
        self.page(reason, explanation)
    }

    /// Ends the response with an error page in the format that the client prefers.
    fn page(self, reason: &str, explanation: &str) -> HttpResult {
        self.state.notes().reason = Some(reason.into());
        if self.state.without_body().is_some() {
            return self.body("");
        }
        let (code, format) = (self.state.code, self.context.error_format());
        let head = match self.context.settings.negotiate_errors {
            // Caches must not give one client the format of another (RFC 9110 §12.5.5).
            true => self
                .send_header("Content-Type", format.content_type())
                .send_header("Vary", "Accept"),
            false => self.send_header("Content-Type", format.content_type()),
        };
        head.body(error_page(format, code, reason, explanation))
    }

    /// Ends the response with its whole body, which is copied. If it is large,
    /// [`body_block`](Self::body_block) avoids the copy.
    ///
    /// In a response to HEAD the body is not sent, but its length is announced. If it is empty,
    /// there is a `Content-Length` only if you set one, because the body for GET may be longer
    /// ([HTTP-35]).
    ///
    /// # Errors
    ///
    /// Returns an error if the head is wrong; nothing of the response is sent.
    ///
    /// [HTTP-35]: crate::spec#http-35
    #[inline]
    pub fn body(mut self, body: impl AsRef<[u8]>) -> HttpResult {
        let body = body.as_ref();
        let sent = self.begin_whole(body.len())?;
        self.output.put(body.get(..sent).unwrap_or(body));
        self.leave(Outcome::Done)
    }

    /// Like [`body`](Self::body), but a large body is not copied: it is sent from where the
    /// [`Block`] has its bytes.
    ///
    /// # Errors
    ///
    /// Returns an error if the head is wrong; nothing of the response is sent.
    pub fn body_block(mut self, body: impl Into<Block>) -> HttpResult {
        let mut body = body.into();
        let sent = self.begin_whole(body.count())?;
        body.truncate(sent);
        self.keep_blocks();
        self.output.append(body);
        self.leave(Outcome::Done)
    }

    /// Ends the head for a body of `length` bytes. Returns how many of them are to be sent.
    #[inline]
    fn begin_whole(&mut self, length: usize) -> Result<usize, ResponseError> {
        let announced = self.state.declared.unwrap_or(length as u64);
        let is_unknown = self.context.terms.head_only && length == 0;
        let framing = match self.state.without_body() {
            // The handler may know that a HEAD request needs no body. Then the length is not that
            // of the response to a GET (RFC 9110 §8.6).
            None if is_unknown && self.state.declared.is_none() => BodyFraming::Silent,
            None => BodyFraming::Length(announced),
            Some(framing) => framing,
        };
        // Never send more than was announced. If it is less, close, so that the client notices
        // (WSGI-17).
        let (sent, wrong) = match self.is_silent() {
            true => (0, None),
            false => cut(length, announced),
        };
        self.state.close |= wrong == Some(ResponseError::TooShort);
        self.end_headers(framing)?;
        self.state.sent = sent as u64;
        self.state.wrong = wrong;
        Ok(sent)
    }

    /// On another thread, lets the output keep blocks: the loop takes them as they are. On the
    /// loop's, the output is the connection's, and its owner has decided.
    fn keep_blocks(&mut self) {
        if self.context.thread != Thread::Loop {
            self.output.keep_blocks(true);
        }
    }

    /// Ends the head. The body is then pulled from `source` as the client reads it.
    ///
    /// Without a `Content-Length` the body is chunked; for HTTP/1.0 it ends with the connection.
    /// The first block is pulled immediately and leaves together with the head, in one write.
    ///
    /// # Errors
    ///
    /// Returns an error if the head is wrong, or the failure of the first block. Nothing of the
    /// response is sent.
    pub fn stream(mut self, source: impl BodySource + 'static) -> HttpResult {
        let Some(framer) = self.begin_body()? else {
            return self.leave(Outcome::Done);
        };
        let mut streaming = Streaming {
            source: Box::new(source),
            framer,
            ended: None,
        };
        self.keep_blocks();
        streaming.ended = streaming.pull(READ, self.output)?;
        if let Some(Ending { close, sent, wrong }) = streaming.ended {
            self.state.close |= close;
            self.state.sent = sent;
            self.state.wrong = wrong;
        }
        match (&streaming.ended, self.context.thread) {
            // A worker drops the source when the response has left.
            (None, _) | (Some(_), Thread::Worker) => {
                self.leave(Outcome::Stream(Box::new(streaming)))
            }
            (Some(_), _) => self.leave(Outcome::Done),
        }
    }

    /// Ends the head. The caller pushes the body through `framer`; without a body this is `None`.
    pub(super) fn push(mut self, framer: &mut Option<Framer>) -> HttpResult {
        *framer = self.begin_body()?;
        self.leave(Outcome::Done)
    }

    /// Ends the head of a response whose body comes in blocks; `None` if it has no body.
    fn begin_body(&mut self) -> Result<Option<Framer>, ResponseError> {
        let framing = match (self.state.declared, self.context.terms.version) {
            (Some(length), _) => BodyFraming::Length(length),
            (None, Version::Http11) => BodyFraming::Chunked,
            (None, Version::Http10) => BodyFraming::Close,
        };
        let framing = self.state.without_body().unwrap_or(framing);
        self.end_headers(framing)?;
        Ok((!self.is_silent()).then(|| Framer::new(framing)))
    }

    /// Ends the head. The connection then goes on with `protocol`, which gets the bytes that follow
    /// the request (RFC 9110 §7.8). Use it with status 101.
    ///
    /// # Errors
    ///
    /// Returns an error if the head is wrong, or if the client speaks HTTP/1.0, which has no
    /// upgrade. Returns an error if a part of the request's body is still to come, because the
    /// other protocol would misread it. Nothing of the response is sent.
    pub fn upgrade(
        mut self,
        protocol: impl Protocol<Message = Message> + Send + 'static,
    ) -> HttpResult {
        if self.context.terms.version < Version::Http11 {
            return Err(ResponseError::Upgrade.into());
        }
        if let Content::Arriving { .. } | Content::Unwanted = self.context.content {
            return Err(ResponseError::Unread.into());
        }
        self.state.close = false;
        self.state.outcome = Outcome::Upgrade(Upgrade(Box::new(protocol)));
        self.end_headers(BodyFraming::Silent)?;
        Ok(Reply(()))
    }

    #[inline]
    fn end_headers(&mut self, framing: BodyFraming) -> Result<(), ResponseError> {
        self.state.end_headers(framing, self.output, self.context)
    }

    fn is_silent(&self) -> bool {
        self.context.terms.head_only || self.state.without_body().is_some()
    }

    fn leave(self, outcome: Outcome) -> HttpResult {
        self.state.outcome = outcome;
        Ok(Reply(()))
    }
}

/// Returns the reason for an error page, which always has one ([HTTP-37]).
///
/// [HTTP-37]: crate::spec#http-37
fn or_unknown(reason: &str) -> &str {
    if reason.is_empty() { "???" } else { reason }
}

/// Writes an interim response: status line, fields, empty line.
pub(super) fn interim(code: u16, headers: &[(&str, &str)]) -> Result<Buffer, ResponseError> {
    let mut bytes = Buffer::new();
    let written = match code {
        100 | 102..=199 => h1::status_line(&mut bytes, code, phrase(code)),
        _ => Err(EncodeError::InvalidStatus),
    };
    written.map_err(ResponseError::Head)?;
    for (name, value) in headers {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("content-length") || is("transfer-encoding") {
            return Err(ResponseError::Interim);
        }
        h1::field(&mut bytes, name, value.as_bytes()).map_err(ResponseError::Head)?;
    }
    h1::end_of_fields(&mut bytes);
    Ok(bytes)
}
