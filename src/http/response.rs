//! The answer, written straight into the output: `send_response`, `send_header`, then the body.

use std::error::Error;
use std::fmt;

use super::body::{BodyFraming, BodySource, Pulled, Streaming, cut};
use super::deferred::{Deferred, Message};
use super::h1::{self, EncodeError, Sink, Version};
use super::status::{explanation, phrase};
use super::{HttpResult, HttpSettings};
use crate::reactor::Now;
use crate::socketserver::{Buffer, Failure, Mailbox, Protocol, contain};

impl Sink for Buffer {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// What of a request decides how its answer is framed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// HEAD: the fields of the answer to a GET, and no content.
    pub(super) head_only: bool,
    pub(super) version: Version,
    /// Whether the client may be sending another request already.
    pub(super) client_goes_on: bool,
    /// Whether the connection can go on after the answer.
    pub(super) keep_alive: bool,
}

/// What all answers on a connection are written with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) settings: &'a HttpSettings,
    pub(super) now: &'a Now,
    pub(super) terms: Terms,
    /// How a deferred answer finds its way back.
    pub(super) deferral: Option<(&'a Mailbox<Message>, u32)>,
}

/// What has become of an answer so far. It stays in one place: building an answer step by step
/// moves references to it and nothing else.
#[derive(Debug)]
struct State {
    code: u16,
    close: bool,
    /// The Content-Length that the handler gave.
    declared: Option<u64>,
    error: Option<ResponseError>,
    outcome: Outcome,
    /// What went wrong although there is an answer.
    failure: Option<Box<Failure>>,
}

#[derive(Debug)]
pub(super) enum Outcome {
    /// There is no answer yet.
    Unanswered,
    /// The answer is written.
    Done,
    /// The head is written; the content is pulled as the client reads it.
    Stream(Box<Streaming>),
    /// Somebody else will send the answer.
    Deferred,
    /// The connection goes on with another protocol.
    Upgrade(Upgrade),
}

/// The protocol that takes over after an upgrade.
pub(super) struct Upgrade(pub(super) Box<dyn Protocol<Message = Message> + Send>);

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upgrade")
    }
}

/// An answer, and whether the connection ends with it.
pub(super) struct Answered {
    pub(super) outcome: Outcome,
    pub(super) close: bool,
    pub(super) failure: Option<Box<Failure>>,
}

/// Lets `write` answer, and takes back what it wrote if it fails or panics: nothing of an answer
/// that is not whole is sent (design law 10).
pub(super) fn answer(
    output: &mut Buffer,
    context: &Context<'_>,
    write: impl FnOnce(Response<'_>) -> HttpResult,
) -> Result<Answered, Failure> {
    let before = output.len();
    let mut state = State {
        code: 0,
        close: !context.terms.keep_alive,
        declared: None,
        error: None,
        outcome: Outcome::Unanswered,
        failure: None,
    };
    let response = Response {
        output,
        context,
        state: &mut state,
    };
    let failure = match (contain(|| write(response)), state.outcome) {
        (Ok(Reply(())), Outcome::Unanswered) => ResponseError::Unanswered.into(),
        (Ok(Reply(())), outcome) => {
            return Ok(Answered {
                outcome,
                close: state.close,
                failure: state.failure,
            });
        }
        (Err(failure), _) => failure,
    };
    output.truncate(before);
    Err(failure)
}

/// An answer that has not begun. A handler consumes it and gets the [`Reply`] to return.
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
    output: &'a mut Buffer,
    context: &'a Context<'a>,
    state: &'a mut State,
}

/// That a request was answered, or will be. Only an answer makes one.
#[derive(Debug)]
pub struct Reply(());

impl<'a> Response<'a> {
    /// Begins the answer: status line with the usual phrase, `Server`, `Date` (HTTP-29).
    #[inline]
    pub fn send_response(self, code: u16) -> ResponseHead<'a> {
        self.send_response_with_reason(code, phrase(code))
    }

    /// As [`send_response`](Self::send_response), with a reason phrase of one's own.
    #[inline]
    pub fn send_response_with_reason(self, code: u16, reason: &str) -> ResponseHead<'a> {
        let head = self.send_response_only(code, reason);
        head.output.put(&head.context.settings.server_and_date);
        head.output.put(head.context.now.date());
        head.output.put(b"\r\n");
        head
    }

    /// Begins the answer with the status line alone, without `Server` and `Date`.
    #[inline]
    pub fn send_response_only(self, code: u16, reason: &str) -> ResponseHead<'a> {
        let Response {
            output,
            context,
            state,
        } = self;
        state.code = code;
        if let Err(error) = h1::status_line(output, code, reason) {
            state.error = Some(ResponseError::Head(error));
        }
        ResponseHead {
            output,
            context,
            state,
        }
    }

    /// Answers with the error page of `code`, and closes the connection (HTTP-34).
    ///
    /// # Errors
    ///
    /// If `code` is no status code.
    pub fn send_error(self, code: u16) -> HttpResult {
        self.send_error_with(code, phrase(code), explanation(code))
    }

    /// As [`send_error`](Self::send_error), with a reason and an explanation of one's own.
    ///
    /// # Errors
    ///
    /// If `code` is no status code, or `reason` holds a control character.
    #[cold]
    pub fn send_error_with(self, code: u16, reason: &str, explanation: &str) -> HttpResult {
        let reason = if reason.is_empty() { "???" } else { reason };
        let head = self.send_response_with_reason(code, reason);
        head.state.close = true;
        if !has_content(code) {
            return head.body("");
        }
        head.send_header("Content-Type", "text/html;charset=utf-8")
            .body(error_page(code, reason, explanation))
    }

    /// Leaves the answer to somebody else, on any thread; the connection waits for it.
    ///
    /// The [`Reply`] is to be returned. A [`Deferred`] that is dropped unanswered answers 500.
    pub fn defer(self) -> (Deferred, Reply) {
        let deferred = match self.context.deferral {
            Some((mailbox, serial)) => Deferred::new(mailbox.clone(), serial),
            None => Deferred::unreachable(),
        };
        self.state.outcome = Outcome::Deferred;
        (deferred, Reply(()))
    }
}

/// An answer whose head is being written. Errors wait until the end, where nothing was sent yet.
#[derive(Debug)]
#[must_use = "an answer needs a body, if only an empty one"]
pub struct ResponseHead<'a> {
    output: &'a mut Buffer,
    context: &'a Context<'a>,
    state: &'a mut State,
}

impl ResponseHead<'_> {
    /// Adds a field (HTTP-31).
    ///
    /// `Content-Length` is kept to (WSGI-17), `Connection: close` closes (HTTP-22), and
    /// `Transfer-Encoding` is refused: how an answer is framed follows from its body.
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
    /// [`Response::send_response`] has done so; this is for those who begin with
    /// [`Response::send_response_only`] and must first see what else is in the head.
    pub fn send_server(self) -> Self {
        self.output.put(self.context.settings.server_field());
        self
    }

    /// Adds the `Date` field; see [`send_server`](Self::send_server).
    pub fn send_date(self) -> Self {
        self.output.put(b"Date: ");
        self.output.put(self.context.now.date());
        self.output.put(b"\r\n");
        self
    }

    /// Reports a failure to the server although the request is answered, for a handler with an
    /// error page of its own: [`Failure::Stop`] stops, any other goes to
    /// [`Hooks::handle_error`](crate::socketserver::Hooks::handle_error).
    pub fn with_failure(self, failure: Failure) -> Self {
        self.state.failure = Some(Box::new(failure));
        self
    }

    /// Ends the answer with all of its content.
    ///
    /// # Errors
    ///
    /// What was wrong with the head; nothing of it is sent.
    #[inline]
    pub fn body(mut self, content: impl AsRef<[u8]>) -> HttpResult {
        let content = content.as_ref();
        let length = self.state.declared.unwrap_or(content.len() as u64);
        let framing = match has_content(self.state.code) {
            true => BodyFraming::Length(length),
            false => BodyFraming::Silent,
        };
        self.end_headers(framing)?;
        if self.is_silent() {
            return self.answered(Outcome::Done);
        }
        // As much as was announced: never more, and if less the connection says so (WSGI-17).
        let (sent, wrong) = cut(content, length);
        self.output.put(sent);
        if let Some(error) = wrong {
            self.state.close |= error == ResponseError::TooShort;
            self.state.failure = Some(Box::new(error.into()));
        }
        self.answered(Outcome::Done)
    }

    /// Ends the head; the content is pulled from `source` as the client reads it.
    ///
    /// Without a `Content-Length` it is chunked, or for HTTP/1.0 ends with the connection. The
    /// first block is pulled at once: it leaves together with the head, in one write.
    ///
    /// # Errors
    ///
    /// What was wrong with the head, or the failure of the first block; nothing is sent.
    pub fn stream(mut self, source: impl BodySource + 'static) -> HttpResult {
        let framing = match (self.state.declared, self.context.terms.version) {
            _ if !has_content(self.state.code) => BodyFraming::Silent,
            (Some(length), _) => BodyFraming::Length(length),
            (None, Version::Http11) => BodyFraming::Chunked,
            (None, Version::Http10) => BodyFraming::Close,
        };
        self.end_headers(framing)?;
        if self.is_silent() {
            return self.answered(Outcome::Done);
        }
        let mut streaming = Streaming {
            source: Box::new(source),
            framing,
            close: self.state.close,
            terms: self.context.terms,
        };
        match streaming.pull(self.output)? {
            Pulled::More => self.answered(Outcome::Stream(Box::new(streaming))),
            Pulled::End { close, wrong } => {
                self.state.close = close;
                if let Some(error) = wrong {
                    self.state.failure = Some(Box::new(error.into()));
                }
                self.answered(Outcome::Done)
            }
        }
    }

    /// Ends the head, and the connection goes on with `protocol`, which gets the bytes that
    /// follow the request (RFC 9110 §7.8). Meant for status 101.
    ///
    /// # Errors
    ///
    /// What was wrong with the head; nothing of it is sent.
    pub fn upgrade(
        mut self,
        protocol: impl Protocol<Message = Message> + Send + 'static,
    ) -> HttpResult {
        self.state.close = false;
        self.end_headers(BodyFraming::Silent)?;
        self.answered(Outcome::Upgrade(Upgrade(Box::new(protocol))))
    }

    /// Writes how the content ends, whether the connection goes on, and the empty line.
    #[inline]
    fn end_headers(&mut self, framing: BodyFraming) -> Result<(), ResponseError> {
        if let Some(error) = self.state.error.take() {
            return Err(error);
        }
        let output = &mut *self.output;
        match framing {
            BodyFraming::Silent => {}
            BodyFraming::Length(length) => h1::content_length(output, length),
            BodyFraming::Chunked => output.put(b"Transfer-Encoding: chunked\r\n"),
            BodyFraming::Close => self.state.close = true,
        }
        if self.state.close {
            output.put(b"Connection: close\r\n");
        } else if self.context.terms.version < Version::Http11 {
            output.put(b"Connection: keep-alive\r\n");
        }
        output.put(b"\r\n");
        Ok(())
    }

    fn is_silent(&self) -> bool {
        self.context.terms.head_only || !has_content(self.state.code)
    }

    fn answered(self, outcome: Outcome) -> HttpResult {
        self.state.outcome = outcome;
        Ok(Reply(()))
    }
}

impl State {
    /// Writes a field, unless it says how the answer is framed.
    ///
    /// Inlined by force: what a handler writes is mostly known when it is compiled, and is checked
    /// then.
    #[inline(always)]
    fn field(
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
        if special && !self.note(name, value)? {
            return Ok(());
        }
        h1::field(output, name, value).map_err(ResponseError::Head)
    }

    /// Takes note of what a field says about the framing; whether it is to be written all the
    /// same.
    #[cold]
    fn note(&mut self, name: &str, value: &[u8]) -> Result<bool, ResponseError> {
        match name.len() {
            10 => {
                let is = |token: &[u8], option: &[u8]| token.eq_ignore_ascii_case(option);
                self.close |= h1::tokens(value).any(|token| is(token, b"close"));
                // How the connection goes on is said at the end; other options stay.
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
}

/// Whether an answer of this status may have content (RFC 9110 §6.4.1, WSGI-14).
fn has_content(code: u16) -> bool {
    !matches!(code, 100..=199 | 204 | 304)
}

/// Why an answer was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResponseError {
    /// A status, reason or field that cannot be sent (HTTP-31: no line break reaches the wire).
    Head(EncodeError),
    /// A Content-Length that is no number, or a second one.
    ContentLength,
    /// More content than its Content-Length announced: the rest was cut off.
    TooLong,
    /// Less content than its Content-Length announced: the connection was closed.
    TooShort,
    /// A Transfer-Encoding: framing is not the handler's business.
    TransferEncoding,
    /// The handler returned the [`Reply`] of another request.
    Unanswered,
    /// The [`Deferred`] was dropped without an answer.
    Forgotten,
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResponseError::Head(error) => error.fmt(f),
            ResponseError::ContentLength => f.write_str("Content-Length is not one number"),
            ResponseError::TooLong => f.write_str("the content is longer than its Content-Length"),
            ResponseError::TooShort => {
                f.write_str("the content is shorter than its Content-Length")
            }
            ResponseError::TransferEncoding => f.write_str("a handler sets no Transfer-Encoding"),
            ResponseError::Unanswered => f.write_str("the handler did not answer"),
            ResponseError::Forgotten => f.write_str("a deferred request was never answered"),
        }
    }
}

impl Error for ResponseError {}

/// The page of [`Response::send_error`]: Python's `DEFAULT_ERROR_MESSAGE`, escaped (HTTP-36).
fn error_page(code: u16, reason: &str, explanation: &str) -> String {
    let (reason, explanation) = (escape(reason), escape(explanation));
    format!(
        "<!DOCTYPE HTML>\n\
         <html lang=\"en\">\n\
         \x20   <head>\n\
         \x20       <meta charset=\"utf-8\">\n\
         \x20       <title>Error response</title>\n\
         \x20   </head>\n\
         \x20   <body>\n\
         \x20       <h1>Error response</h1>\n\
         \x20       <p>Error code: {code}</p>\n\
         \x20       <p>Message: {reason}.</p>\n\
         \x20       <p>Error code explanation: {code} - {explanation}.</p>\n\
         \x20   </body>\n\
         </html>\n"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
