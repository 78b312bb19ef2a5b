//! One HTTP connection as a protocol: keep-alive, pipelining, bodies, `Expect`, and when to close.
//!
//! A request that has arrived whole, which is nearly every one, is answered where it lies in the
//! input: no state is kept of it and nothing is copied. Of one whose body is still under way the
//! head stays in the input and the body grows behind it, so that in the end it lies there whole.

use std::net::SocketAddr;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::body::{Pulled, Streaming};
use super::deferred::{Late, Message};
use super::h1::{
    self, ChunkLimits, ChunkedDecoder, Expect, FieldStorage, Fields, Framing, Head, Scanner,
    Version,
};
use super::response::{self, Answered, Context, Outcome, Terms, Upgrade};
use super::{Deadlines, HttpRequestHandler, HttpSettings, Limits, Request, ResponseError};
use crate::reactor::Now;
use crate::socketserver::{Buffer, Failure, Mailbox, Next, Protocol, contain};

/// Above this much output no further pipelined request is looked at until it is sent.
const HIGH_WATER: usize = 64 * 1024;

/// The server side of one HTTP/1.1 connection.
#[derive(Debug)]
pub struct HttpConnection<H> {
    settings: Arc<HttpSettings>,
    handler: H,
    client_address: Option<SocketAddr>,
    mailbox: Option<Mailbox<Message>>,
    phase: Phase,
    /// When the phase began, or last made progress: its deadline follows from this.
    since: Option<Instant>,
    /// Counts deferred requests, so that a late answer finds the one it is for.
    serial: u32,
    draining: bool,
    /// Boxed: a failure is rare, and an idle connection small (design law 6).
    failure: Option<Box<Failure>>,
}

#[derive(Debug)]
enum Phase {
    /// Between requests, or in a head.
    Head(Scanner, Awaited),
    /// The head is there and waits for its body.
    Body(Box<Body>),
    /// The content of an answer is being pulled.
    Streaming(Box<Streaming>),
    /// The answer will come as a message.
    Deferred(Terms),
    /// The last answer is written.
    Closed,
}

/// What of a head is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    /// The first byte that this client sends at all, but for empty lines.
    First,
    /// The first byte of another request.
    Next,
    /// The rest.
    Rest,
}

/// A request whose body is under way. In the input: head, content, trailers, what is not decoded.
#[derive(Debug)]
struct Body {
    head: Range<usize>,
    content: usize,
    trailers: usize,
    coding: Coding,
    began: Instant,
}

#[derive(Debug)]
enum Coding {
    Length(usize),
    Chunked(ChunkedDecoder),
}

/// What to do with a request once its head is understood.
enum Plan {
    Serve { content: usize },
    Await(Coding),
    Refuse(u16),
}

/// The verdict on one step: `Continue` with the next request, or `Break` off with this.
type Step = ControlFlow<Next<Message>>;

impl<H: HttpRequestHandler> HttpConnection<H> {
    /// A connection whose requests `handler` answers. `client_address` is a `SocketAddr`, or
    /// `None` for a client without host and port, as on a Unix-domain socket (UNIX-4).
    pub fn new(
        handler: H,
        client_address: impl Into<Option<SocketAddr>>,
        settings: Arc<HttpSettings>,
    ) -> HttpConnection<H> {
        HttpConnection {
            settings,
            handler,
            client_address: client_address.into(),
            mailbox: None,
            phase: Phase::Head(Scanner::default(), Awaited::First),
            since: None,
            serial: 0,
            draining: false,
            failure: None,
        }
    }

    /// Looks for a head, and for what is needed besides it.
    fn head(&mut self, input: &mut Buffer, output: &mut Buffer, now: &Now) -> Step {
        let Phase::Head(scanner, awaited) = &mut self.phase else {
            return Step::Break(Next::Close);
        };
        let mut storage = FieldStorage::new();
        let limits = &self.settings.limits;
        let (range, head) = match scanner.head(input, &mut storage, &limits.head) {
            Ok(Some(found)) => found,
            Ok(None) => {
                if scanner.has_begun() {
                    // The first head has had its time since the connection was made.
                    if *awaited == Awaited::Next {
                        self.since = Some(now.instant());
                    }
                    *awaited = Awaited::Rest;
                }
                return Step::Break(Next::Read);
            }
            Err(error) => return self.refuse(error.status(), &error.to_string(), output, now),
        };
        let arrived = input.len() - range.end;
        match plan(&head, arrived, limits.body) {
            Plan::Serve { content } => {
                let end = range.end + content;
                let body = &input[range.end..end];
                let step = self.answer(&head, body, Fields::default(), output, now);
                input.consume(end);
                self.after(step, input)
            }
            Plan::Await(coding) => {
                // RFC 9110 §10.1.1: who sends without waiting does not wait.
                if head.expect == Expect::Continue && arrived == 0 {
                    output.extend_from_slice(h1::CONTINUE);
                }
                self.phase = Phase::Body(Box::new(Body {
                    head: range,
                    content: 0,
                    trailers: 0,
                    coding,
                    began: now.instant(),
                }));
                Step::Continue(())
            }
            Plan::Refuse(code) => self.refuse(code, super::explanation(code), output, now),
        }
    }

    /// Takes in what has arrived of a body, and serves the request when it is whole.
    fn body(&mut self, input: &mut Buffer, output: &mut Buffer, now: &Now) -> Step {
        let limits = &self.settings.limits;
        let Phase::Body(body) = &mut self.phase else {
            return Step::Break(Next::Close);
        };
        match body.take_in(input, limits) {
            Ok(true) => {}
            Ok(false) => {
                self.since = Some(now.instant());
                return Step::Break(Next::Read);
            }
            Err(error) => return self.refuse(error.status(), &error.to_string(), output, now),
        }
        let Phase::Body(body) = std::mem::replace(&mut self.phase, Phase::Closed) else {
            return Step::Break(Next::Close);
        };
        let content = body.head.end..body.head.end + body.content;
        let trailers = content.end..content.end + body.trailers;
        // Both were parsed when they arrived; the second time they only become views.
        let mut storage = FieldStorage::new();
        let head = Head::parse(&input[body.head.clone()], &mut storage, &limits.head);
        let fields = h1::parse_fields(&input[trailers.clone()], limits.chunks.trailer_fields);
        let step = match (head, fields) {
            (Ok(head), Ok(fields)) => self.answer(&head, &input[content], fields, output, now),
            (Err(error), _) | (_, Err(error)) => {
                self.refuse(error.status(), &error.to_string(), output, now)
            }
        };
        input.consume(trailers.end);
        self.after(step, input)
    }

    /// Lets the handler answer a request that is whole.
    fn answer(
        &mut self,
        head: &Head<'_>,
        body: &[u8],
        trailers: Fields<'_>,
        output: &mut Buffer,
        now: &Now,
    ) -> Step {
        let terms = Terms {
            head_only: head.method == "HEAD",
            version: head.version,
            client_goes_on: head.keep_alive,
            keep_alive: head.keep_alive && !self.draining,
        };
        self.serial = self.serial.wrapping_add(1);
        let request = Request::new(head, body, trailers, self.client_address);
        let context = Context {
            settings: &self.settings,
            now,
            terms,
            deferral: self.mailbox.as_ref().map(|mailbox| (mailbox, self.serial)),
        };
        let handler = &mut self.handler;
        match response::answer(output, &context, |response| {
            handler.handle(&request, response)
        }) {
            Ok(answered) => self.conclude(answered, terms, now),
            Err(failure) => self.fail(failure, terms, output, now),
        }
    }

    /// Answers 500 for a handler that failed (design law 10).
    #[cold]
    fn fail(&mut self, failure: Failure, terms: Terms, output: &mut Buffer, now: &Now) -> Step {
        self.failure = Some(Box::new(failure));
        self.send_error(500, super::explanation(500), terms, output, now);
        self.close(terms)
    }

    /// Answers what cannot be a request, or not one that is served.
    #[cold]
    fn refuse(&mut self, code: u16, why: &str, output: &mut Buffer, now: &Now) -> Step {
        let terms = Terms {
            head_only: false,
            version: Version::Http11,
            client_goes_on: true,
            keep_alive: false,
        };
        self.send_error(code, why, terms, output, now);
        self.close(terms)
    }

    /// The last answer of the connection.
    #[cold]
    fn send_error(&mut self, code: u16, why: &str, terms: Terms, output: &mut Buffer, now: &Now) {
        let phrase = super::phrase(code);
        let answered = response::answer(output, &self.context(terms, now), |response| {
            response.send_error_with(code, phrase, why)
        });
        debug_assert!(answered.is_ok(), "codes and phrases of our own are valid");
        self.phase = Phase::Closed;
    }

    fn context<'a>(&'a self, terms: Terms, now: &'a Now) -> Context<'a> {
        Context {
            settings: &self.settings,
            now,
            terms,
            deferral: None,
        }
    }

    /// Follows a handler's reply.
    fn conclude(&mut self, answered: Answered, terms: Terms, now: &Now) -> Step {
        // Of several pipelined requests the first that failed is reported.
        self.failure = self.failure.take().or(answered.failure);
        match answered.outcome {
            Outcome::Done => self.next_request(answered.close, terms, now),
            Outcome::Unanswered => Step::Break(Next::Close),
            Outcome::Stream(streaming) => {
                self.phase = Phase::Streaming(streaming);
                Step::Break(Next::Produce)
            }
            Outcome::Deferred => {
                self.phase = Phase::Deferred(terms);
                Step::Break(Next::Wait)
            }
            Outcome::Upgrade(Upgrade(protocol)) => Step::Break(Next::Upgrade(protocol)),
        }
    }

    /// The answer is written: waits for the next request, or closes.
    fn next_request(&mut self, close: bool, terms: Terms, now: &Now) -> Step {
        if close || self.draining {
            return self.close(terms);
        }
        self.phase = Phase::Head(Scanner::default(), Awaited::Next);
        self.since = Some(now.instant());
        Step::Continue(())
    }

    /// Closes. A client that did not ask for it may have sent its next request already, and a
    /// reset for that would take the answer away from it (RFC 9112 §9.6, TCP-8).
    fn close(&mut self, terms: Terms) -> Step {
        self.phase = Phase::Closed;
        Step::Break(match terms.client_goes_on {
            true => Next::Linger,
            false => Next::Close,
        })
    }

    /// Closing over input that nobody read would reset the connection (TCP-8).
    fn after(&self, step: Step, input: &Buffer) -> Step {
        match step {
            Step::Break(Next::Close) if !input.is_empty() => Step::Break(Next::Linger),
            step => step,
        }
    }

    /// Writes an answer that came from elsewhere.
    fn answer_late(&mut self, late: Late, terms: Terms, output: &mut Buffer, now: &Now) -> Step {
        let answered = response::answer(output, &self.context(terms, now), |response| {
            let answer = late.answer.ok_or(ResponseError::Forgotten)?;
            let mut head = response.send_response(answer.code);
            for (name, value) in &answer.headers {
                head = head.send_header(name, value);
            }
            head.body(answer.body)
        });
        match answered {
            Ok(answered) => self.conclude(answered, terms, now),
            Err(failure) => self.fail(failure, terms, output, now),
        }
    }
}

/// Decides what to do with a request of which `arrived` bytes follow the head.
fn plan(head: &Head<'_>, arrived: usize, limit: usize) -> Plan {
    if head.expect == Expect::Unknown {
        return Plan::Refuse(417);
    }
    match head.framing {
        Framing::Empty => Plan::Serve { content: 0 },
        Framing::Chunked => Plan::Await(Coding::Chunked(ChunkedDecoder::default())),
        Framing::Length(length) => match usize::try_from(length) {
            Ok(content) if content <= arrived && content <= limit => Plan::Serve { content },
            Ok(content) if content <= limit => Plan::Await(Coding::Length(content)),
            _ => Plan::Refuse(413),
        },
    }
}

impl Body {
    /// Takes in what has arrived behind what was there before; whether that is all.
    fn take_in(&mut self, input: &mut Buffer, limits: &Limits) -> Result<bool, h1::Error> {
        let known = self.head.end + self.content + self.trailers;
        match &mut self.coding {
            Coding::Length(length) => {
                self.content = (input.len() - self.head.end).min(*length);
                Ok(self.content == *length)
            }
            Coding::Chunked(decoder) => {
                let limits = ChunkLimits {
                    content: limits.body as u64,
                    ..limits.chunks
                };
                let progress = decoder.decode(&mut input[known..], &limits)?;
                self.content += progress.content;
                self.trailers += progress.trailers;
                let end = self.head.end + self.content + self.trailers;
                input.remove(end..known + progress.consumed);
                Ok(progress.complete)
            }
        }
    }

    /// Until when more must have arrived: a while after the last of it, but all in all not slower
    /// than the minimum rate (design law 8).
    fn deadline(&self, deadlines: &Deadlines, since: Instant) -> Option<Instant> {
        let rate = u64::from(deadlines.body_rate.max(1));
        let earned = Duration::from_secs(self.content as u64 / rate);
        let allowed = deadlines.body_grace.saturating_add(earned);
        let ends = [
            since.checked_add(deadlines.body_idle),
            self.began.checked_add(allowed),
        ];
        ends.into_iter().flatten().min()
    }
}

impl<H: HttpRequestHandler> Protocol for HttpConnection<H> {
    type Message = Message;

    fn connection_made(
        &mut self,
        mailbox: Mailbox<Message>,
        _output: &mut Buffer,
        now: &Now,
    ) -> Next<Message> {
        self.mailbox = Some(mailbox);
        self.since = Some(now.instant());
        Next::Read
    }

    fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, now: &Now) -> Next<Message> {
        loop {
            let step = match self.phase {
                Phase::Head(..) => self.head(input, output, now),
                Phase::Body(_) => self.body(input, output, now),
                Phase::Streaming(_) => Step::Break(Next::Produce),
                Phase::Deferred(_) => Step::Break(Next::Wait),
                Phase::Closed => Step::Break(Next::Close),
            };
            match step {
                Step::Break(next) => return next,
                Step::Continue(()) if input.is_empty() => return Next::Read,
                // Pipelined requests wait until their answers have room.
                Step::Continue(()) if output.len() >= HIGH_WATER => return Next::Produce,
                Step::Continue(()) => {}
            }
        }
    }

    fn input_closed(&mut self, output: &mut Buffer, now: &Now) -> Next<Message> {
        // What arrived whole has been answered; the rest can never be (HTTP-18, RT-9).
        let _ = (output, now);
        self.phase = Phase::Closed;
        Next::Close
    }

    fn produce(&mut self, output: &mut Buffer, now: &Now) -> Next<Message> {
        let Phase::Streaming(streaming) = &mut self.phase else {
            return Next::Read;
        };
        match contain(|| streaming.pull(output)) {
            Ok(Pulled::More) => Next::Produce,
            Ok(Pulled::End { close, wrong }) => {
                self.failure = self
                    .failure
                    .take()
                    .or(wrong.map(|error| Box::new(error.into())));
                let terms = streaming.terms;
                match self.next_request(close, terms, now) {
                    Step::Continue(()) => Next::Read,
                    Step::Break(next) => next,
                }
            }
            Err(failure) => {
                // The head is out: only the end of the connection can tell (WSGI-19).
                self.failure = Some(Box::new(failure));
                self.phase = Phase::Closed;
                Next::Close
            }
        }
    }

    fn deliver(&mut self, message: Message, output: &mut Buffer, now: &Now) -> Next<Message> {
        let terms = match (&self.phase, &message) {
            (Phase::Deferred(terms), Message::Answer(late)) if late.serial == self.serial => *terms,
            (Phase::Deferred(_), _) => return Next::Wait,
            _ => return Next::Read,
        };
        let step = match message {
            Message::Answer(late) => self.answer_late(*late, terms, output, now),
            Message::Custom(_) => return Next::Wait,
        };
        match step {
            Step::Continue(()) => Next::Read,
            Step::Break(next) => next,
        }
    }

    fn timed_out(&mut self, output: &mut Buffer, now: &Now) -> Next<Message> {
        match self.phase {
            Phase::Head(_, Awaited::Rest) | Phase::Body(_) => {}
            Phase::Head(_, Awaited::First | Awaited::Next) | Phase::Closed => return Next::Close,
            // These have no deadline.
            Phase::Streaming(_) => return Next::Produce,
            Phase::Deferred(_) => return Next::Wait,
        }
        match self.refuse(408, super::explanation(408), output, now) {
            Step::Break(next) => next,
            Step::Continue(()) => Next::Close,
        }
    }

    fn drain(&mut self, output: &mut Buffer, now: &Now) -> Next<Message> {
        let _ = (output, now);
        self.draining = true;
        match &mut self.phase {
            Phase::Head(_, Awaited::First | Awaited::Next) | Phase::Closed => Next::Close,
            Phase::Head(_, Awaited::Rest) | Phase::Body(_) => Next::Read,
            Phase::Streaming(_) => Next::Produce,
            Phase::Deferred(terms) => {
                terms.keep_alive = false;
                Next::Wait
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let (since, deadlines) = (self.since?, &self.settings.deadlines);
        match &self.phase {
            // What no clock will ever show is no deadline.
            Phase::Head(_, Awaited::First | Awaited::Rest) => since.checked_add(deadlines.head),
            Phase::Head(_, Awaited::Next) => since.checked_add(deadlines.keep_alive),
            Phase::Body(body) => body.deadline(deadlines, since),
            Phase::Streaming(_) | Phase::Deferred(_) | Phase::Closed => None,
        }
    }

    fn take_failure(&mut self) -> Option<Failure> {
        self.failure.take().map(|failure| *failure)
    }
}
