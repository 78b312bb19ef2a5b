//! The answer, written straight into the output: `send_response`, `send_header`, then the body.

use std::error::Error;
use std::fmt;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::Duration;

use super::body::{BodyFraming, BodySource, Ending, Framer, Streaming, cut};
use super::deferred::{Deferred, Home, Message};
use super::gauge::Gauge;
use super::h1::{self, EncodeError, Fields, Sink, Version};
use super::intake::{BodySink, Uptake, WriterSink};
use super::reader::{BodyReader, Inflow};
use super::status::{explanation, phrase};
use super::workers::{Errand, Workers};
use super::{HttpResult, HttpSettings};
use crate::reactor::Now;
use crate::socketserver::{Buffer, Failure, Mailbox, Protocol, contain};

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

/// What of a request decides how its answer is framed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// HEAD: the fields of the answer to a GET, and no content.
    pub(super) head_only: bool,
    /// CONNECT: an answer of success would make the connection a tunnel (RFC 9110 §9.3.6).
    pub(super) connect: bool,
    pub(super) version: Version,
    /// Whether the client may be sending another request already.
    pub(super) client_goes_on: bool,
    /// Whether the connection can go on after the answer, if the content has been read by then.
    pub(super) keep_alive: bool,
}

/// What all answers on a connection are written with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) settings: &'a Arc<HttpSettings>,
    pub(super) now: &'a Now,
    pub(super) terms: Terms,
    /// How a late answer finds its way back.
    pub(super) home: Option<(&'a Mailbox<Message>, u32)>,
    pub(super) content: Content<'a>,
    /// Who pulls content: nobody but the loop, unless this is one of them.
    pub(super) workers: Option<&'a Workers>,
}

/// The content of the request that is answered.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content<'a> {
    /// It has arrived.
    Whole(&'a [u8], Fields<'a>),
    /// It is on its way, as soon as the client is asked for it if it waits for that.
    Coming { ask: bool },
    /// Another thread reads it as it arrives, and knows whether that was all.
    Arriving(&'a Arc<Gauge>),
    /// Somebody else has it, or had it.
    Elsewhere,
    /// There is some that nobody will read.
    Unwanted,
}

impl Content<'_> {
    /// Whether there may be some that nobody has read, which ends the connection (design law 12).
    fn is_unread(&self) -> bool {
        match self {
            Content::Coming { .. } | Content::Unwanted => true,
            Content::Arriving(gauge) => !gauge.has_ended(),
            Content::Whole(..) | Content::Elsewhere => false,
        }
    }
}

/// What few answers come with.
#[derive(Debug, Default)]
pub(super) struct Extras {
    /// What went wrong although there is an answer.
    pub(super) failure: Option<Failure>,
    /// The reason, if the answer is an error page.
    pub(super) reason: Option<Box<str>>,
    /// How long the answer may take, if not as long as others.
    pub(super) patience: Option<Duration>,
    /// Where the content is to be put in that a [`BodyReader`] reads.
    pub(super) inflow: Option<Inflow>,
    /// The reader that was made before.
    pub(super) reader: Option<BodyReader>,
}

#[derive(Debug)]
pub(super) enum Outcome {
    /// There is no answer yet.
    Unanswered,
    /// The answer is written.
    Done,
    /// The head is written; the content is pulled as the client reads it.
    Stream(Box<Streaming>),
    /// The head is written; the content will be pushed.
    Push(Box<Framer>),
    /// Somebody else will send the answer.
    Deferred,
    /// The content is taken in first.
    Receive(Box<dyn BodySink>),
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

/// What has become of an answer so far, and in the end. It stays in one place: building an answer
/// step by step moves references to it and nothing else.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) outcome: Outcome,
    pub(super) code: u16,
    /// Whether the connection ends with it.
    pub(super) close: bool,
    /// The Content-Length that the handler gave.
    declared: Option<u64>,
    /// What is wrong with the head.
    error: Option<ResponseError>,
    /// Bytes of content that were written.
    pub(super) sent: u64,
    /// That was not what had been announced.
    pub(super) wrong: Option<ResponseError>,
    /// Boxed: nearly no answer has any.
    pub(super) extras: Option<Box<Extras>>,
}

impl Answered {
    /// Nothing is written yet.
    pub(super) fn new(context: &Context<'_>) -> Answered {
        Answered {
            outcome: Outcome::Unanswered,
            code: 0,
            close: !context.terms.keep_alive,
            declared: None,
            error: None,
            sent: 0,
            wrong: None,
            extras: None,
        }
    }

    /// Lets `write` answer, and takes back what it wrote if it fails or panics: nothing of an
    /// answer that is not whole is sent (design law 10).
    pub(super) fn write(
        &mut self,
        output: &mut Buffer,
        context: &Context<'_>,
        write: impl FnOnce(Response<'_>) -> HttpResult,
    ) -> Result<(), Failure> {
        let before = output.len();
        let response = Response {
            output,
            context,
            state: self,
        };
        let failure = match contain(|| write(response)) {
            Ok(Reply(())) if matches!(self.outcome, Outcome::Unanswered) => {
                ResponseError::Unanswered.into()
            }
            Ok(Reply(())) => return Ok(()),
            Err(failure) => failure,
        };
        output.truncate(before);
        Err(failure)
    }

    /// How an answer ended that is written.
    pub(super) fn ending(&self) -> Ending {
        Ending {
            close: self.close,
            sent: self.sent,
            wrong: self.wrong,
        }
    }

    /// How an answer of this status ends that may have no content (RFC 9110 §6.4.1, HTTP-35).
    #[inline]
    fn without_content(&self) -> Option<BodyFraming> {
        match self.code {
            100..=199 | 204 | 304 => Some(BodyFraming::Silent),
            // Nothing else says that it has none, but the end of the connection (RFC 9110 §15.3.6).
            205 if !self.close => Some(BodyFraming::Length(0)),
            205 => Some(BodyFraming::Silent),
            _ => None,
        }
    }

    fn extras(&mut self) -> &mut Extras {
        self.extras.get_or_insert_default()
    }

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

/// As [`Answered::write`], for an answer that need not stay in its place.
pub(super) fn answer(
    output: &mut Buffer,
    context: &Context<'_>,
    write: impl FnOnce(Response<'_>) -> HttpResult,
) -> Result<Answered, Failure> {
    answer_with(output, context, None, write)
}

/// As [`answer`], for one that has `extras` already.
#[inline]
pub(super) fn answer_with(
    output: &mut Buffer,
    context: &Context<'_>,
    extras: Option<Box<Extras>>,
    write: impl FnOnce(Response<'_>) -> HttpResult,
) -> Result<Answered, Failure> {
    let mut answered = Answered {
        extras,
        ..Answered::new(context)
    };
    answered.write(output, context, write)?;
    Ok(answered)
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
    state: &'a mut Answered,
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
        let head = match (code, reason) {
            (200, "OK") => {
                let head = self.begin(code);
                head.output.put(head.context.settings.ok_server_and_date());
                head
            }
            _ => {
                let head = self.send_response_only(code, reason);
                head.output.put(head.context.settings.server_and_date());
                head
            }
        };
        head.output.put(head.context.now.date_line());
        head
    }

    /// Begins the answer with the status line alone, without `Server` and `Date`.
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
        head.state.extras().reason = Some(reason.into());
        if head.state.without_content().is_some() {
            return head.body("");
        }
        head.send_header("Content-Type", "text/html;charset=utf-8")
            .body(error_page(code, reason, explanation))
    }

    /// Leaves the answer to somebody else, on any thread; the connection waits for it.
    ///
    /// The [`Reply`] is to be returned. A [`Deferred`] that is dropped unanswered answers 500.
    pub fn defer(self) -> (Deferred, Reply) {
        self.state.outcome = Outcome::Deferred;
        (Deferred::new(self.home()), Reply(()))
    }

    /// Leaves the answer to one of the `workers`, where `job` may block; the connection waits for
    /// it. If too many wait for a worker, the answer is 503, and a
    /// [`QueueFull`](crate::socketserver::QueueFull) is reported.
    ///
    /// What the answer needs of the request has to be taken along; content that is still to come
    /// is read with [`body_reader`](Self::body_reader). A body that is
    /// [streamed](ResponseHead::stream) is pulled on a worker, too.
    ///
    /// ```
    /// use serve_forever::http::{HttpResult, Request, Response, Workers};
    ///
    /// fn report(workers: &Workers, request: &Request<'_>, response: Response<'_>) -> HttpResult {
    ///     let query = request.query().unwrap_or_default().to_owned();
    ///     response.offload(workers, move |response| {
    ///         let rows = std::fs::read(query)?; // slow
    ///         response.send_response(200).body(rows)
    ///     })
    /// }
    /// # let _ = report;
    /// ```
    ///
    /// # Errors
    ///
    /// None; the result is what the handler has to return.
    pub fn offload(
        mut self,
        workers: &Workers,
        job: impl FnOnce(Response<'_>) -> HttpResult + Send + 'static,
    ) -> HttpResult {
        let Some(home) = self.home() else {
            return job(self); // nobody can reach this connection, a test's say
        };
        let reader = self.body_reader();
        // Whoever has the reader: the handler may have taken it before.
        let arriving = match self.context.content {
            Content::Coming { .. } => self.state.extras().inflow.as_ref().map(Inflow::gauge),
            Content::Arriving(gauge) => Some(gauge),
            Content::Whole(..) | Content::Elsewhere | Content::Unwanted => None,
        };
        let arriving = arriving.map(Arc::clone);
        let errand = Errand {
            settings: Arc::clone(self.context.settings),
            terms: self.context.terms,
            home,
            reader,
            arriving,
        };
        match errand.submit(workers, job) {
            Ok(()) => {
                self.state.outcome = Outcome::Deferred;
                Ok(Reply(()))
            }
            Err(full) => {
                let head = self.send_response(503).with_failure(full.into());
                head.send_header("Retry-After", "1").body("")
            }
        }
    }

    /// Takes the content of the request in first, block by block as it arrives; then `sink`
    /// answers.
    ///
    /// The sink is called on the loop, or on the worker that the handler runs on.
    ///
    /// For a handler whose [`intake`](super::HttpRequestHandler::intake) is
    /// [streamed](super::Intake::streamed); content that is whole already is one block.
    ///
    /// # Errors
    ///
    /// None; the result is what the handler has to return.
    pub fn receive(mut self, mut sink: impl BodySink + 'static) -> HttpResult {
        if let Content::Arriving(_) | Content::Elsewhere | Content::Unwanted = self.context.content
        {
            // On a worker, which may wait for the content itself.
            let mut reader = self.body_reader();
            loop {
                let block = reader.fill_buf()?;
                let length = block.len();
                if length == 0 || sink.block(block)? == Uptake::Enough {
                    break;
                }
                reader.consume(length);
            }
            return Box::new(sink).finish(reader.trailers(), self);
        }
        self.state.outcome = Outcome::Receive(Box::new(sink));
        Ok(Reply(()))
    }

    /// As [`receive`](Self::receive), into a file or whatever takes bytes without waiting; `finish`
    /// gets it back when all is written, and answers.
    ///
    /// ```
    /// use std::fs::File;
    /// use serve_forever::http::{HttpRequestHandler, HttpResult, Intake, Request, Response};
    ///
    /// #[derive(Clone)]
    /// struct Upload;
    ///
    /// impl HttpRequestHandler for Upload {
    ///     fn intake(&mut self, _: &Request<'_>) -> Intake {
    ///         Intake::streamed().limit(10 << 30)
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
    /// As [`receive`](Self::receive).
    pub fn receive_into<W, F>(self, writer: W, finish: F) -> HttpResult
    where
        W: Write + Send + 'static,
        F: FnOnce(W, Response<'_>) -> HttpResult + Send + 'static,
    {
        self.receive(WriterSink { writer, finish })
    }

    /// The content of the request, to be read on another thread; then
    /// [`defer`](Self::defer) or [`offload`](Self::offload) the answer.
    ///
    /// ```
    /// use std::io;
    /// use serve_forever::http::{Answer, HttpResult, Request, Response};
    ///
    /// fn measure(_: &Request<'_>, mut response: Response<'_>) -> HttpResult {
    ///     let mut reader = response.body_reader();
    ///     let (deferred, reply) = response.defer();
    ///     std::thread::spawn(move || {
    ///         if let Ok(length) = io::copy(&mut reader, &mut io::sink()) {
    ///             let answer = Answer::new(200).body(format!("{length} bytes"));
    ///             let _ = deferred.send(answer); // Err: the client has left
    ///         }
    ///     });
    ///     Ok(reply)
    /// }
    /// # let _ = measure;
    /// ```
    ///
    /// If the handler answers by itself, the content stays unread, and the connection closes. The
    /// first reader gets the content: every further one fails with
    /// [`UnexpectedEof`](std::io::ErrorKind::UnexpectedEof).
    pub fn body_reader(&mut self) -> BodyReader {
        let extras = self.state.extras();
        if let Some(reader) = extras.reader.take() {
            return reader;
        }
        match self.context.content {
            Content::Whole(content, trailers) => {
                let mut section = Vec::new();
                for (name, value) in trailers {
                    // Err: it has been read, so it can be written.
                    let _ = h1::field(&mut section, name, value);
                }
                BodyReader::whole(content, section)
            }
            Content::Coming { ask } if extras.inflow.is_none() => match self.home() {
                Some(home) => {
                    let (reader, inflow) = BodyReader::new(home, ask);
                    self.state.extras().inflow = Some(inflow);
                    reader
                }
                None => BodyReader::gone(),
            },
            _ => BodyReader::gone(),
        }
    }

    /// Sets how long this answer may take if it comes from elsewhere, and the next blocks of its
    /// content if a worker pulls them; by default [`Deadlines::answer`](super::Deadlines::answer).
    #[must_use]
    pub fn answer_within(self, patience: Duration) -> Response<'a> {
        self.state.extras().patience = Some(patience);
        self
    }

    /// Sends an interim response, `103 Early Hints` say, ahead of the answer (RFC 9110 §15.2). A
    /// client of HTTP/1.0 does not get it. `100 Continue` is sent without being asked for.
    ///
    /// It leaves when the handler returns; from a [worker](Self::offload) at once, if there is room
    /// as for [`Deferred::send_interim`].
    ///
    /// # Errors
    ///
    /// If `code` is 101, or not from 100 to 199, or if a field cannot be sent or announces content.
    pub fn send_interim(
        self,
        code: u16,
        headers: &[(&str, &str)],
    ) -> Result<Response<'a>, ResponseError> {
        let bytes = interim(code, headers)?;
        match (self.context.workers, self.home()) {
            _ if self.context.terms.version < Version::Http11 => {}
            // What a worker writes goes home with its answer, which may be a long time.
            (Some(_), Some(home)) => home.suggest(bytes),
            _ => self.output.put(&bytes),
        }
        Ok(self)
    }

    /// Whether this is a worker's answer, for which there is a loop that sends.
    pub(crate) fn is_on_worker(&self) -> bool {
        self.context.workers.is_some() && self.context.home.is_some()
    }

    /// The time of this turn; on a worker, the time when it began with the answer.
    pub(super) fn now(&self) -> &Now {
        self.context.now
    }

    fn home(&self) -> Option<Home> {
        let (mailbox, serial) = self.context.home?;
        Some(Home::new(mailbox.clone(), serial))
    }
}

/// An answer whose head is being written. Errors wait until the end, where nothing was sent yet.
#[derive(Debug)]
#[must_use = "an answer needs a body, if only an empty one"]
pub struct ResponseHead<'a> {
    output: &'a mut Buffer,
    context: &'a Context<'a>,
    state: &'a mut Answered,
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
        self.output.put(self.context.now.date_line());
        self
    }

    /// Reports a failure to the server although the request is answered, for a handler with an
    /// error page of its own: [`Failure::Stop`] stops, any other goes to
    /// [`Hooks::handle_error`](crate::socketserver::Hooks::handle_error).
    pub fn with_failure(self, failure: Failure) -> Self {
        self.state.extras().failure = Some(failure);
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
        let framing = self.state.without_content();
        let framing = framing.unwrap_or(BodyFraming::Length(length));
        self.end_headers(framing)?;
        if self.is_silent() {
            return self.answered(Outcome::Done);
        }
        // As much as was announced: never more, and if less the connection says so (WSGI-17).
        let (sent, wrong) = cut(content, length);
        self.output.put(sent);
        self.state.sent = sent.len() as u64;
        self.state.close |= wrong == Some(ResponseError::TooShort);
        self.state.wrong = wrong;
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
        let Some(framer) = self.begin()? else {
            return self.answered(Outcome::Done);
        };
        let mut streaming = Streaming {
            source: Box::new(source),
            framer,
            workers: self.context.workers.cloned(),
        };
        match streaming.pull(self.output)? {
            None => self.answered(Outcome::Stream(Box::new(streaming))),
            Some(Ending { close, sent, wrong }) => {
                self.state.close = close;
                self.state.sent = sent;
                self.state.wrong = wrong;
                self.answered(Outcome::Done)
            }
        }
    }

    /// Ends the head; the content will be pushed.
    pub(super) fn push(mut self) -> HttpResult {
        match self.begin()? {
            Some(framer) => self.answered(Outcome::Push(Box::new(framer))),
            None => self.answered(Outcome::Done),
        }
    }

    /// Ends the head of an answer whose content comes in blocks; `None` if it has none.
    fn begin(&mut self) -> Result<Option<Framer>, ResponseError> {
        let framing = match (self.state.declared, self.context.terms.version) {
            (Some(length), _) => BodyFraming::Length(length),
            (None, Version::Http11) => BodyFraming::Chunked,
            (None, Version::Http10) => BodyFraming::Close,
        };
        let framing = self.state.without_content().unwrap_or(framing);
        self.end_headers(framing)?;
        let framer = Framer::new(framing, self.state.close);
        Ok((!self.is_silent()).then_some(framer))
    }

    /// Ends the head, and the connection goes on with `protocol`, which gets the bytes that
    /// follow the request (RFC 9110 §7.8). Meant for status 101.
    ///
    /// # Errors
    ///
    /// What was wrong with the head, that the client speaks HTTP/1.0, which knows no upgrade, or
    /// that there is content still to come, which the other protocol would take for its own;
    /// nothing is sent.
    pub fn upgrade(
        mut self,
        protocol: impl Protocol<Message = Message> + Send + 'static,
    ) -> HttpResult {
        if self.context.terms.version < Version::Http11 {
            return Err(ResponseError::Upgrade.into());
        }
        if self.context.content.is_unread() {
            return Err(ResponseError::Unread.into());
        }
        self.state.close = false;
        self.state.outcome = Outcome::Upgrade(Upgrade(Box::new(protocol)));
        self.end_headers(BodyFraming::Silent)?;
        Ok(Reply(()))
    }

    /// What no client takes for the end of its request is not the answer to it.
    #[cold]
    fn check_upgrade(&self) -> Result<(), ResponseError> {
        match self.state.outcome {
            Outcome::Upgrade(_) => Ok(()),
            _ => Err(ResponseError::NotFinal),
        }
    }

    /// Writes how the content ends, whether the connection goes on, and the empty line.
    #[inline]
    fn end_headers(&mut self, framing: BodyFraming) -> Result<(), ResponseError> {
        if let Some(error) = self.state.error.take() {
            return Err(error);
        }
        let success = matches!(self.state.code, 200..=299);
        if self.state.code < 200 || (self.context.terms.connect && success) {
            self.check_upgrade()?;
        }
        self.state.close |= self.context.content.is_unread();
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
        self.context.terms.head_only || self.state.without_content().is_some()
    }

    fn answered(self, outcome: Outcome) -> HttpResult {
        self.state.outcome = outcome;
        Ok(Reply(()))
    }
}

/// Writes an interim response: status line, fields, empty line.
pub(super) fn interim(code: u16, headers: &[(&str, &str)]) -> Result<Vec<u8>, ResponseError> {
    let mut bytes = Vec::new();
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
    /// The answer took longer than [`Deadlines::answer`](super::Deadlines::answer).
    Overdue,
    /// The [`AnswerStream`](super::AnswerStream) was dropped before its end.
    Unfinished,
    /// Content announced in an interim response, which has none (RFC 9110 §8.6, RFC 9112 §6.1).
    Interim,
    /// An upgrade of HTTP/1.0 (RFC 9110 §7.8).
    Upgrade,
    /// An upgrade in the middle of the content (RFC 9110 §7.8).
    Unread,
    /// A status below 200, or of success to CONNECT: without an upgrade the client would take the
    /// next answer for this one, or for no answer at all (RFC 9110 §9.3.6, §15.2).
    NotFinal,
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
            ResponseError::Overdue => f.write_str("the answer took too long"),
            ResponseError::Unfinished => f.write_str("an answer that was pushed has no end"),
            ResponseError::Interim => f.write_str("an interim response has no content"),
            ResponseError::Upgrade => f.write_str("HTTP/1.0 knows no upgrade"),
            ResponseError::Unread => f.write_str("an upgrade must follow the content"),
            ResponseError::NotFinal => f.write_str("the status does not end the request"),
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

/// Text for an HTML page; quotes are left as they are.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
