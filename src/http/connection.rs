//! One HTTP connection as a protocol: keep-alive, pipelining, bodies, `Expect`, and when to close.
//!
//! A request that has arrived whole, which is nearly every one, is answered where it lies in the
//! input: no state is kept of it and nothing is copied. Of one whose body is still under way the
//! head stays in the input and the body grows behind it, so that in the end it lies there whole.

use std::net::SocketAddr;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::Instant;

use super::access::{self, LogEntry, Origin, Record};
use super::body::Ending;
use super::deferred::{Home, Message, News, Pulled, Pushing};
use super::ends::Ends;
use super::exchange::{Arrived, Exchange, Inbound, Inlet, Outbound, Receiving, Untaken};
use super::h1::{self, ChunkLimits, Expect, FieldStorage, Fields, Framing, Head, Scanner, Version};
use super::incoming::Incoming;
use super::intake::{BodySink, Way};
use super::response::{self, Answered, Content, Context, Extras, Outcome, Terms, Upgrade};
use super::stats::Hit;
use super::{HttpRequestHandler, HttpSettings, Request, ResponseError};
use crate::reactor::Now;
use crate::socketserver::{Buffer, Failure, Mailbox, Next, Protocol, contain};

/// Above this much output no further pipelined request is looked at until it is sent.
const HIGH_WATER: usize = 64 * 1024;

/// The server side of one HTTP/1.1 connection.
#[derive(Debug)]
pub struct HttpConnection<H> {
    settings: Arc<HttpSettings>,
    handler: H,
    ends: Ends,
    mailbox: Option<Mailbox<Message>>,
    phase: Phase,
    /// When the phase began, or last made progress: its deadline follows from this.
    since: Option<Instant>,
    /// Counts requests, so that what comes late finds the one it is for.
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
    /// The request has been handled, and there is more to come, in either direction.
    Exchange(Box<Exchange>),
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
    incoming: Incoming,
    /// When the request began to arrive.
    began: Instant,
    /// For the log, if it never becomes whole.
    record: Record,
}

/// What to do with a request once its head is understood.
enum Plan {
    /// So many bytes of content are there, and that is all.
    Serve(usize),
    /// It is kept until it is whole.
    Await(Incoming),
    /// It is handled, and its content taken as it arrives.
    Stream(Incoming),
    Refuse(u16, Option<Hit>),
    Fail(Failure),
}

/// A request on its way to the handler.
#[derive(Clone, Copy)]
struct Asked<'a> {
    head: &'a Head<'a>,
    /// The bytes of the head.
    bytes: &'a [u8],
    content: Content<'a>,
    began: Instant,
}

/// The verdict on one step: `Continue` with the next request, or `Break` off with this.
type Step = ControlFlow<Next<Message>>;

/// The terms of an answer to what is not served: the connection ends with it.
fn refused(origin: Origin<'_>) -> Terms {
    Terms {
        head_only: origin.is_head(),
        connect: false,
        version: Version::Http11,
        client_goes_on: true,
        keep_alive: false,
    }
}

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
            ends: Ends::new(client_address.into(), None),
            mailbox: None,
            phase: Phase::Head(Scanner::default(), Awaited::First),
            since: None,
            serial: 0,
            draining: false,
            failure: None,
        }
    }

    /// Says which address the client has reached; see [`Request::local_address`].
    pub fn local_address(mut self, address: impl Into<Option<SocketAddr>>) -> HttpConnection<H> {
        self.ends = Ends::new(self.ends.client(), address.into());
        self
    }

    // A request comes in.

    /// Looks for a head, and for what is needed besides it.
    fn head(&mut self, input: &mut Buffer, output: &mut Buffer, now: &Now) -> Step {
        let Phase::Head(scanner, awaited) = &mut self.phase else {
            return Step::Break(Next::Close);
        };
        let began = match *awaited {
            Awaited::Rest => self.since.unwrap_or(now.instant()),
            Awaited::First | Awaited::Next => now.instant(),
        };
        let mut storage = FieldStorage::new();
        let (range, head) = match scanner.head(input, &mut storage, &self.settings.limits.head) {
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
            Err(error) => {
                let origin = Origin::Bytes(readable(error, input));
                return self.refuse_malformed(error, origin, began, output, now);
            }
        };
        let bytes = &input[range.clone()];
        let arrived = input.len() - range.end;
        let mut asked = Asked {
            head: &head,
            bytes,
            content: Content::Whole(b"", Fields::default()),
            began,
        };
        match self.plan(&asked, arrived, now) {
            Plan::Serve(content) => {
                let end = range.end + content;
                asked.content = Content::Whole(&input[range.end..end], Fields::default());
                let step = self.answer(&asked, None, output, now);
                input.consume(end);
                self.after(step, input)
            }
            Plan::Await(incoming) => {
                // RFC 9110 §10.1.1: who sends without waiting does not wait.
                if head.expect == Expect::Continue && arrived == 0 {
                    output.extend_from_slice(h1::CONTINUE);
                }
                let record = Record::new(bytes, &head);
                self.phase = Phase::Body(Box::new(Body {
                    head: range,
                    content: 0,
                    trailers: 0,
                    incoming,
                    began,
                    record,
                }));
                Step::Continue(())
            }
            Plan::Stream(incoming) => {
                let ask = head.expect == Expect::Continue && arrived == 0;
                asked.content = Content::Coming { ask };
                let step = self.answer(&asked, Some(incoming), output, now);
                input.consume(range.end);
                step
            }
            Plan::Refuse(code, hit) => {
                if let Some(hit) = hit {
                    self.settings.counters.count(hit);
                }
                let origin = Origin::Head(bytes, &head);
                self.refuse(code, super::explanation(code), origin, began, output, now)
            }
            Plan::Fail(failure) => {
                let origin = Origin::Head(bytes, &head);
                self.fail(failure, refused(origin), origin, began, output, now)
            }
        }
    }

    /// Decides what to do with a request of which `arrived` bytes follow the head.
    fn plan(&mut self, asked: &Asked<'_>, arrived: usize, now: &Now) -> Plan {
        let head = asked.head;
        match (head.expect, head.framing) {
            (Expect::Unknown, _) => Plan::Refuse(417, Some(Hit::ExpectationFailed)),
            (_, Framing::Empty | Framing::Length(0)) => Plan::Serve(0),
            _ => self.plan_content(asked, arrived, now),
        }
    }

    /// As [`plan`](Self::plan), for a request with content.
    fn plan_content(&mut self, asked: &Asked<'_>, arrived: usize, now: &Now) -> Plan {
        let head = asked.head;
        let request = Request::new(head, asked.bytes, b"", Fields::default(), &self.ends);
        let handler = &mut self.handler;
        let intake = match contain(|| Ok(handler.intake(&request))) {
            Ok(intake) => intake,
            Err(failure) => return Plan::Fail(failure),
        };
        let limits = &self.settings.limits;
        let limit = match intake.way {
            Way::Whole => intake.limit.unwrap_or(limits.body as u64),
            Way::Streamed => intake.limit.unwrap_or(limits.upload),
            Way::Refused(code) => {
                let hit = match code {
                    413 => Some(Hit::BodyTooLarge),
                    417 => Some(Hit::ExpectationFailed),
                    _ => None,
                };
                return Plan::Refuse(code, hit);
            }
        };
        let deadlines = intake.deadlines.unwrap_or(self.settings.deadlines.body);
        let incoming = match head.framing {
            Framing::Length(length) if length > limit => {
                return Plan::Refuse(413, Some(Hit::BodyTooLarge));
            }
            Framing::Length(length) => match usize::try_from(length) {
                Ok(content) if content <= arrived => return Plan::Serve(content),
                _ => Incoming::sized(length, deadlines, now.instant()),
            },
            Framing::Chunked | Framing::Empty => {
                let limits = ChunkLimits {
                    content: limit,
                    ..limits.chunks
                };
                Incoming::chunked(limits, deadlines, now.instant())
            }
        };
        match intake.way {
            Way::Streamed => Plan::Stream(incoming),
            _ => Plan::Await(incoming),
        }
    }

    /// Takes in what has arrived of a body, and serves the request when it is whole.
    fn body(&mut self, input: &mut Buffer, output: &mut Buffer, now: &Now) -> Step {
        let Phase::Body(body) = &mut self.phase else {
            return Step::Break(Next::Close);
        };
        let taken = body.take_in(input);
        if let Ok(false) = taken {
            self.since = Some(now.instant());
            return Step::Break(Next::Read);
        }
        let Phase::Body(body) = std::mem::replace(&mut self.phase, Phase::Closed) else {
            return Step::Break(Next::Close);
        };
        if let Err(error) = taken {
            let origin = Origin::Record(&body.record);
            return self.refuse_malformed(error, origin, body.began, output, now);
        }
        let content = body.head.end..body.head.end + body.content;
        let trailers = content.end..content.end + body.trailers;
        // Both were parsed when they arrived; the second time they only become views.
        let limits = &self.settings.limits;
        let mut storage = FieldStorage::new();
        let bytes = &input[body.head.clone()];
        let head = Head::parse(bytes, &mut storage, &limits.head);
        let fields = h1::parse_fields(&input[trailers.clone()], limits.chunks.trailer_fields);
        let step = match (head, fields) {
            (Ok(head), Ok(fields)) => {
                let asked = Asked {
                    head: &head,
                    bytes,
                    content: Content::Whole(&input[content], fields),
                    began: body.began,
                };
                self.answer(&asked, None, output, now)
            }
            (Err(error), _) | (_, Err(error)) => {
                let origin = Origin::Record(&body.record);
                self.refuse_malformed(error, origin, body.began, output, now)
            }
        };
        input.consume(trailers.end);
        self.after(step, input)
    }

    // It is answered.

    /// Lets the handler answer. What of the content is `incoming` it may take, or not.
    fn answer(
        &mut self,
        asked: &Asked<'_>,
        incoming: Option<Incoming>,
        output: &mut Buffer,
        now: &Now,
    ) -> Step {
        let head = asked.head;
        let terms = Terms {
            head_only: head.method == "HEAD",
            connect: head.method == "CONNECT",
            version: head.version,
            client_goes_on: head.keep_alive || incoming.is_some(),
            keep_alive: head.keep_alive && !self.draining,
        };
        self.serial = self.serial.wrapping_add(1);
        let (body, trailers) = match asked.content {
            Content::Whole(body, trailers) => (body, trailers),
            _ => (&b""[..], Fields::default()),
        };
        let request = Request::new(head, asked.bytes, body, trailers, &self.ends);
        let context = Context {
            settings: &self.settings,
            now,
            terms,
            home: self.mailbox.as_ref().map(|mailbox| (mailbox, self.serial)),
            content: asked.content,
            workers: None,
        };
        let handler = &mut self.handler;
        let answered = response::answer(output, &context, |response| {
            handler.handle(&request, response)
        });
        let origin = Origin::Head(asked.bytes, head);
        match answered {
            Ok(answered) if matches!(answered.outcome, Outcome::Done) => {
                let ending = answered.ending();
                if let Some(extras) = answered.extras {
                    self.note(*extras, origin, asked.began, answered.code, now);
                }
                self.report_wrong(&ending);
                self.log(origin, asked.began, Some(answered.code), &ending, now);
                self.next_request(answered.close, terms, now)
            }
            Ok(answered) => {
                let exchange = Box::new(Exchange {
                    terms,
                    record: Record::new(asked.bytes, head),
                    began: asked.began,
                    code: None,
                    patience: self.settings.deadlines.answer,
                    inbound: match incoming {
                        Some(_) => Inbound::Unwanted,
                        None => Inbound::Done,
                    },
                    outbound: Outbound::Awaited,
                });
                self.begin(exchange, asked.content, incoming, answered, output, now)
            }
            Err(failure) => self.fail(failure, terms, origin, asked.began, output, now),
        }
    }

    /// Connects the content with who wants it, and follows the reply.
    fn begin(
        &mut self,
        mut exchange: Box<Exchange>,
        content: Content<'_>,
        incoming: Option<Incoming>,
        mut answered: Answered,
        output: &mut Buffer,
        now: &Now,
    ) -> Step {
        let extras = answered.extras.as_mut();
        let inflow = extras.and_then(|extras| extras.inflow.take());
        let inlet = match (&mut answered.outcome, inflow) {
            (Outcome::Receive(_), _) => {
                let outcome = std::mem::replace(&mut answered.outcome, Outcome::Deferred);
                let Outcome::Receive(sink) = outcome else {
                    return Step::Break(Next::Close);
                };
                Some(Inlet::Sink(sink))
            }
            (_, Some(inflow)) => Some(Inlet::Reader(inflow)),
            (_, None) => None,
        };
        match (inlet, incoming, content) {
            (Some(inlet), Some(incoming), Content::Coming { ask }) => {
                let receiving = Receiving::new(incoming, inlet, ask, output, now);
                exchange.inbound = Inbound::Receiving(Box::new(receiving));
            }
            (Some(Inlet::Sink(mut sink)), None, Content::Whole(body, trailers)) => {
                let taken = match body {
                    b"" => Ok(()),
                    _ => contain(|| sink.block(body).map(|_| ())),
                };
                return match taken {
                    Ok(()) => self.finish(exchange, sink, trailers, output, now),
                    Err(failure) => self.fail_exchange(exchange, failure, output, now),
                };
            }
            _ => {}
        }
        self.settle(exchange, answered, now)
    }

    /// Lets a sink answer that has got all it wants.
    fn finish(
        &mut self,
        exchange: Box<Exchange>,
        sink: Box<dyn BodySink>,
        trailers: Fields<'_>,
        output: &mut Buffer,
        now: &Now,
    ) -> Step {
        let context = self.context(self.terms(&exchange), now);
        let answered =
            response::answer(output, &context, |response| sink.finish(trailers, response));
        match answered {
            Ok(answered) => self.settle(exchange, answered, now),
            Err(failure) => self.fail_exchange(exchange, failure, output, now),
        }
    }

    /// Follows a reply.
    fn settle(&mut self, mut exchange: Box<Exchange>, answered: Answered, now: &Now) -> Step {
        let ending = answered.ending();
        if let Some(extras) = answered.extras {
            exchange.patience = extras.patience.unwrap_or(exchange.patience);
            let origin = Origin::Record(&exchange.record);
            self.note(*extras, origin, exchange.began, answered.code, now);
        }
        if !matches!(answered.outcome, Outcome::Deferred) {
            exchange.code = Some(answered.code);
        }
        match answered.outcome {
            Outcome::Done => return self.end(&exchange, ending, now),
            Outcome::Upgrade(Upgrade(protocol)) => {
                let origin = Origin::Record(&exchange.record);
                self.log(origin, exchange.began, exchange.code, &ending, now);
                return Step::Break(Next::Upgrade(protocol));
            }
            Outcome::Stream(streaming) => exchange.outbound = Outbound::Pulled(streaming),
            Outcome::Deferred => {}
            Outcome::Push(_) | Outcome::Receive(_) | Outcome::Unanswered => {
                debug_assert!(false, "who asks for these sees to them");
            }
        }
        self.go_on(exchange, now)
    }

    /// Waits for what the exchange waits for.
    fn go_on(&mut self, exchange: Box<Exchange>, now: &Now) -> Step {
        self.since = Some(now.instant());
        let next = exchange.verdict();
        self.phase = Phase::Exchange(exchange);
        match next {
            Next::Read => Step::Continue(()),
            next => Step::Break(next),
        }
    }

    /// The answer is written to its end.
    fn end(&mut self, exchange: &Exchange, ending: Ending, now: &Now) -> Step {
        self.report_wrong(&ending);
        let origin = Origin::Record(&exchange.record);
        self.log(origin, exchange.began, exchange.code, &ending, now);
        let whole = matches!(exchange.inbound, Inbound::Done);
        self.next_request(ending.close || !whole, exchange.terms, now)
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

    // It is not served.

    /// Answers 500 for a handler that failed (design law 10).
    #[cold]
    fn fail(
        &mut self,
        failure: Failure,
        terms: Terms,
        origin: Origin<'_>,
        began: Instant,
        output: &mut Buffer,
        now: &Now,
    ) -> Step {
        self.report(Some(failure));
        self.send_error(
            500,
            super::explanation(500),
            terms,
            origin,
            began,
            output,
            now,
        );
        self.close(terms)
    }

    /// As [`fail`](Self::fail), or, if the answer has begun, breaks it off.
    #[cold]
    fn fail_exchange(
        &mut self,
        exchange: Box<Exchange>,
        failure: Failure,
        output: &mut Buffer,
        now: &Now,
    ) -> Step {
        if exchange.has_begun() {
            self.report(Some(failure));
            return Step::Break(self.break_off(&exchange, now));
        }
        let origin = Origin::Record(&exchange.record);
        self.fail(failure, exchange.terms, origin, exchange.began, output, now)
    }

    /// Ends an answer whose head is out: only the end of the connection can tell (WSGI-19).
    #[cold]
    fn break_off(&mut self, exchange: &Exchange, now: &Now) -> Next<Message> {
        self.phase = Phase::Closed;
        self.log_broken(exchange, now);
        match exchange.ends_with_the_connection() {
            true => Next::Abort,
            false => Next::Close,
        }
    }

    /// Answers what is malformed, or exceeds a limit.
    #[cold]
    fn refuse_malformed(
        &mut self,
        error: h1::Error,
        origin: Origin<'_>,
        began: Instant,
        output: &mut Buffer,
        now: &Now,
    ) -> Step {
        self.settings.counters.count(error.into());
        self.refuse(
            error.status(),
            &error.to_string(),
            origin,
            began,
            output,
            now,
        )
    }

    /// Answers what cannot be a request, or not one that is served.
    #[cold]
    fn refuse(
        &mut self,
        code: u16,
        why: &str,
        origin: Origin<'_>,
        began: Instant,
        output: &mut Buffer,
        now: &Now,
    ) -> Step {
        self.send_error(code, why, refused(origin), origin, began, output, now);
        self.close(refused(origin))
    }

    /// The last answer of the connection.
    #[cold]
    #[expect(clippy::too_many_arguments, reason = "what it says, to whom, and when")]
    fn send_error(
        &mut self,
        code: u16,
        why: &str,
        terms: Terms,
        origin: Origin<'_>,
        began: Instant,
        output: &mut Buffer,
        now: &Now,
    ) {
        let phrase = super::phrase(code);
        let answered = response::answer(output, &self.context(terms, now), |response| {
            response.send_error_with(code, phrase, why)
        });
        self.phase = Phase::Closed;
        match answered {
            Ok(answered) => {
                let ending = answered.ending();
                if let Some(extras) = answered.extras {
                    self.note(*extras, origin, began, code, now);
                }
                self.log(origin, began, Some(code), &ending, now);
            }
            // An Intake may have named a code that is none.
            Err(failure) => self.report(Some(failure)),
        }
    }

    fn context<'a>(&'a self, terms: Terms, now: &'a Now) -> Context<'a> {
        Context {
            settings: &self.settings,
            now,
            terms,
            home: self.mailbox.as_ref().map(|mailbox| (mailbox, self.serial)),
            content: Content::Elsewhere,
            workers: None,
        }
    }

    /// The terms of an answer that is given now.
    fn terms(&self, exchange: &Exchange) -> Terms {
        let whole = matches!(exchange.inbound, Inbound::Done);
        Terms {
            keep_alive: exchange.terms.keep_alive && whole && !self.draining,
            ..exchange.terms
        }
    }

    // It is talked about.

    /// Of several pipelined requests the first that failed is reported.
    #[inline]
    fn report(&mut self, failure: Option<Failure>) {
        if let (Some(failure), None) = (failure, &self.failure) {
            self.failure = Some(Box::new(failure));
        }
    }

    /// Takes note of what few answers come with.
    #[cold]
    fn note(&mut self, extras: Extras, origin: Origin<'_>, began: Instant, code: u16, now: &Now) {
        self.report(extras.failure);
        if let Some(reason) = extras.reason {
            self.log_error(origin, began, code, &reason, now);
        }
    }

    /// Content that was not as long as announced is a failure, too (WSGI-17).
    fn report_wrong(&mut self, ending: &Ending) {
        if let Some(error) = ending.wrong {
            self.report(Some(error.into()));
        }
    }

    /// Logs an answer that was written to its end.
    #[inline]
    fn log(
        &mut self,
        origin: Origin<'_>,
        began: Instant,
        code: Option<u16>,
        ending: &Ending,
        now: &Now,
    ) {
        let outcome = access::Outcome {
            code,
            sent: ending.sent,
            complete: ending.wrong != Some(ResponseError::TooShort),
        };
        let entry = LogEntry::new(origin, self.ends.client(), outcome, began, now);
        let handler = &mut self.handler;
        let logged = contain(|| {
            handler.log_request(&entry);
            Ok(())
        });
        self.report(logged.err());
    }

    /// Logs that an answer is an error page, before it is logged as an answer (LOG-4).
    #[cold]
    fn log_error(
        &mut self,
        origin: Origin<'_>,
        began: Instant,
        code: u16,
        reason: &str,
        now: &Now,
    ) {
        let outcome = access::Outcome {
            code: Some(code),
            sent: 0,
            complete: false,
        };
        let entry = LogEntry::new(origin, self.ends.client(), outcome, began, now);
        let handler = &mut self.handler;
        let logged = contain(|| {
            handler.log_error(&entry, &format!("code {code}, message {reason}"));
            Ok(())
        });
        self.report(logged.err());
    }

    /// Logs an answer that was broken off, or never came.
    fn log_broken(&mut self, exchange: &Exchange, now: &Now) {
        let outcome = access::Outcome {
            code: exchange.code,
            sent: exchange.sent(),
            complete: false,
        };
        let origin = Origin::Record(&exchange.record);
        let entry = LogEntry::new(origin, self.ends.client(), outcome, exchange.began, now);
        let handler = &mut self.handler;
        let logged = contain(|| {
            handler.log_request(&entry);
            Ok(())
        });
        self.report(logged.err());
    }

    // There is more to come.

    /// Hands on what has arrived of the content.
    fn receive_content(&mut self, input: &mut Buffer, output: &mut Buffer, now: &Now) -> Step {
        let Phase::Exchange(exchange) = &mut self.phase else {
            return Step::Break(Next::Close);
        };
        let receiving = match &mut exchange.inbound {
            Inbound::Receiving(receiving) if !receiving.is_paused() => receiving,
            _ => return Step::Break(exchange.verdict()),
        };
        let arrived = match receiving.take_in(input, now) {
            Ok(Arrived::Part) => {
                self.since = Some(now.instant());
                return Step::Break(exchange.verdict());
            }
            arrived => arrived,
        };
        let Phase::Exchange(mut exchange) = std::mem::replace(&mut self.phase, Phase::Closed)
        else {
            return Step::Break(Next::Close);
        };
        let whole = match arrived {
            Ok(arrived) => arrived == Arrived::Whole,
            Err(Untaken::Failed(failure)) => {
                return self.fail_exchange(exchange, failure, output, now);
            }
            Err(Untaken::Malformed(error)) if exchange.has_begun() => {
                self.settings.counters.count(error.into());
                return Step::Break(self.break_off(&exchange, now));
            }
            Err(Untaken::Malformed(error)) => {
                let origin = Origin::Record(&exchange.record);
                return self.refuse_malformed(error, origin, exchange.began, output, now);
            }
        };
        let Some(receiving) = exchange.end_inbound(whole) else {
            return self.go_on(exchange, now);
        };
        let Receiving {
            inlet, trailers, ..
        } = *receiving;
        match inlet {
            Inlet::Sink(sink) => {
                // The decoder has checked them.
                let trailers = h1::parse_fields(&trailers, usize::MAX).unwrap_or_default();
                let step = self.finish(exchange, sink, trailers, output, now);
                self.after(step, input)
            }
            Inlet::Reader(inflow) => {
                if whole {
                    inflow.end(trailers);
                }
                self.go_on(exchange, now)
            }
        }
    }

    /// Pulls a block of the answer, or has it pulled.
    fn pull(&mut self, mut exchange: Box<Exchange>, output: &mut Buffer, now: &Now) -> Step {
        let away = Outbound::Away {
            sent: exchange.sent(),
            ends_with_the_connection: exchange.ends_with_the_connection(),
        };
        match std::mem::replace(&mut exchange.outbound, away) {
            Outbound::Pulled(mut streaming) => {
                let workers = streaming.workers.clone();
                if let (Some(workers), Some(mailbox)) = (workers, &self.mailbox) {
                    workers.pull(Home::new(mailbox.clone(), self.serial), streaming);
                    return self.go_on(exchange, now);
                }
                let pulled = contain(|| streaming.pull(output));
                exchange.outbound = Outbound::Pulled(streaming);
                match pulled {
                    Ok(None) => self.go_on(exchange, now),
                    Ok(Some(ending)) => self.end(&exchange, ending, now),
                    Err(failure) => self.fail_exchange(exchange, failure, output, now),
                }
            }
            outbound => {
                exchange.outbound = outbound;
                self.go_on(exchange, now)
            }
        }
    }

    /// Acts on what another thread has to say.
    fn hear(
        &mut self,
        mut exchange: Box<Exchange>,
        news: News,
        output: &mut Buffer,
        now: &Now,
    ) -> Step {
        match (news, &mut exchange.outbound) {
            (News::Answer(answer), Outbound::Awaited) => {
                let context = self.context(self.terms(&exchange), now);
                let answered = response::answer(output, &context, |response| {
                    let answer = answer.ok_or(ResponseError::Forgotten)?;
                    let mut head = response.send_response(answer.code);
                    for (name, value) in &answer.headers {
                        head = head.send_header(name, value);
                    }
                    head.body(answer.body)
                });
                match answered {
                    Ok(answered) => self.settle(exchange, answered, now),
                    Err(failure) => self.fail_exchange(exchange, failure, output, now),
                }
            }
            (News::Interim(bytes), Outbound::Awaited) => {
                if exchange.terms.version >= Version::Http11 {
                    output.extend_from_slice(&bytes);
                }
                self.go_on(exchange, now)
            }
            (News::Begin(answer, gauge, room), Outbound::Awaited) => {
                let context = self.context(self.terms(&exchange), now);
                let answered = response::answer(output, &context, |response| {
                    let mut head = response.send_response(answer.code);
                    for (name, value) in &answer.headers {
                        head = head.send_header(name, value);
                    }
                    head.push()
                });
                match answered {
                    Ok(Answered {
                        outcome: Outcome::Push(framer),
                        code,
                        ..
                    }) => {
                        exchange.code = Some(code);
                        exchange.outbound = Outbound::Pushed(Pushing {
                            framer: *framer,
                            gauge,
                            room,
                        });
                        self.go_on(exchange, now)
                    }
                    Ok(answered) => self.settle(exchange, answered, now),
                    Err(failure) => self.fail_exchange(exchange, failure, output, now),
                }
            }
            (News::Block(block), Outbound::Pushed(pushing)) => {
                match pushing.block(&block, output) {
                    Some(ending) => self.end(&exchange, ending, now),
                    None => self.go_on(exchange, now),
                }
            }
            (News::End(trailers), Outbound::Pushed(pushing)) => {
                match pushing.framer.end(&trailers, output) {
                    Ok(ending) => self.end(&exchange, ending, now),
                    Err(failure) => self.fail_exchange(exchange, failure, output, now),
                }
            }
            (News::Broken, Outbound::Pushed(_)) => {
                let failure = ResponseError::Unfinished.into();
                self.fail_exchange(exchange, failure, output, now)
            }
            (News::GoOn, outbound) => {
                let begun = !matches!(outbound, Outbound::Awaited);
                if let Inbound::Receiving(receiving) = &mut exchange.inbound {
                    receiving.go_on((!begun).then_some(output), now);
                }
                self.go_on(exchange, now)
            }
            (News::Worked(bytes, Ok(answered)), Outbound::Awaited) => {
                output.extend_from_slice(&bytes);
                let incoming = None;
                self.begin(
                    exchange,
                    Content::Elsewhere,
                    incoming,
                    *answered,
                    output,
                    now,
                )
            }
            (News::Worked(_, Err(failure)), Outbound::Awaited) => {
                self.fail_exchange(exchange, failure, output, now)
            }
            (News::Pulled(bytes, pulled), Outbound::Away { sent, .. }) => {
                output.extend_from_slice(&bytes);
                match pulled {
                    Ok(Pulled::Part(pulled)) => {
                        *sent = pulled;
                        self.go_on(exchange, now)
                    }
                    Ok(Pulled::More(streaming)) => {
                        exchange.outbound = Outbound::Pulled(streaming);
                        self.go_on(exchange, now)
                    }
                    Ok(Pulled::End(ending)) => self.end(&exchange, ending, now),
                    Err(failure) => self.fail_exchange(exchange, failure, output, now),
                }
            }
            // It comes too late, and changes nothing.
            _ => self.go_on(exchange, now),
        }
    }

    /// What the connection waits for.
    fn verdict(&self) -> Next<Message> {
        match &self.phase {
            Phase::Head(..) | Phase::Body(_) => Next::Read,
            Phase::Exchange(exchange) => exchange.verdict(),
            Phase::Closed => Next::Close,
        }
    }

    /// The program has owed an answer, or the rest of one, for too long.
    #[cold]
    fn overdue(&mut self, exchange: Box<Exchange>, output: &mut Buffer, now: &Now) -> Step {
        self.settings.counters.count(Hit::AnswerTimeout);
        self.report(Some(ResponseError::Overdue.into()));
        if exchange.has_begun() {
            return Step::Break(self.break_off(&exchange, now));
        }
        let (origin, why) = (Origin::Record(&exchange.record), super::explanation(503));
        self.send_error(
            503,
            why,
            exchange.terms,
            origin,
            exchange.began,
            output,
            now,
        );
        self.close(exchange.terms)
    }
}

/// What of a head that is refused can be logged as its request line (HTTP-6).
fn readable(error: h1::Error, input: &[u8]) -> &[u8] {
    match error {
        h1::Error::RequestLineTooLong | h1::Error::MethodTooLong => b"",
        _ => {
            let start = input.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
            input.get(start.unwrap_or(0)..).unwrap_or_default()
        }
    }
}

/// What a verdict on one step means outside of [`Protocol::receive`].
fn next(step: Step) -> Next<Message> {
    match step {
        Step::Continue(()) => Next::Read,
        Step::Break(next) => next,
    }
}

impl Body {
    /// Takes in what has arrived behind what was there before; whether that is all.
    fn take_in(&mut self, input: &mut Buffer) -> Result<bool, h1::Error> {
        let known = self.head.end + self.content + self.trailers;
        let progress = self.incoming.decode(&mut input[known..])?;
        self.content += progress.content;
        self.trailers += progress.trailers;
        let end = self.head.end + self.content + self.trailers;
        input.remove(end..known + progress.consumed);
        Ok(progress.complete)
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
                Phase::Exchange(_) => self.receive_content(input, output, now),
                Phase::Closed => Step::Break(Next::Close),
            };
            match step {
                Step::Break(next) => return next,
                Step::Continue(()) if input.is_empty() => return Next::Read,
                Step::Continue(()) if output.len() >= HIGH_WATER => {
                    // Pipelined requests wait until their answers have room. They have begun.
                    if let Phase::Head(_, awaited) = &mut self.phase {
                        *awaited = Awaited::Rest;
                    }
                    return Next::Produce;
                }
                Step::Continue(()) => {}
            }
        }
    }

    fn input_closed(&mut self, _output: &mut Buffer, now: &Now) -> Next<Message> {
        // What arrived whole has been answered; the rest can never be (HTTP-18, RT-9).
        match std::mem::replace(&mut self.phase, Phase::Closed) {
            Phase::Exchange(exchange) => self.break_off(&exchange, now),
            _ => Next::Close,
        }
    }

    fn produce(&mut self, output: &mut Buffer, now: &Now) -> Next<Message> {
        match std::mem::replace(&mut self.phase, Phase::Closed) {
            Phase::Exchange(exchange) => next(self.pull(exchange, output, now)),
            phase => {
                self.phase = phase;
                self.verdict()
            }
        }
    }

    fn deliver(&mut self, message: Message, output: &mut Buffer, now: &Now) -> Next<Message> {
        let news = match message {
            Message::Late(late) if late.serial == self.serial => late.news,
            _ => return self.verdict(),
        };
        match std::mem::replace(&mut self.phase, Phase::Closed) {
            Phase::Exchange(exchange) => next(self.hear(exchange, news, output, now)),
            phase => {
                self.phase = phase;
                self.verdict()
            }
        }
    }

    fn timed_out(&mut self, output: &mut Buffer, now: &Now) -> Next<Message> {
        let why = super::explanation(408);
        let began = self.since.unwrap_or(now.instant());
        match std::mem::replace(&mut self.phase, Phase::Closed) {
            Phase::Head(_, Awaited::Rest) => {
                self.settings.counters.count(Hit::HeadTimeout);
                next(self.refuse(408, why, Origin::Bytes(b""), began, output, now))
            }
            Phase::Head(_, Awaited::First | Awaited::Next) => {
                self.settings.counters.count(Hit::KeepAliveTimeout);
                Next::Close
            }
            Phase::Body(body) => {
                self.settings.counters.count(Hit::BodyTimeout);
                let origin = Origin::Record(&body.record);
                next(self.refuse(408, why, origin, body.began, output, now))
            }
            Phase::Exchange(exchange) if !exchange.awaits_client() => {
                next(self.overdue(exchange, output, now))
            }
            Phase::Exchange(exchange) => {
                self.settings.counters.count(Hit::BodyTimeout);
                if exchange.has_begun() {
                    return self.break_off(&exchange, now);
                }
                let origin = Origin::Record(&exchange.record);
                next(self.refuse(408, why, origin, exchange.began, output, now))
            }
            Phase::Closed => Next::Close,
        }
    }

    fn drain(&mut self, _output: &mut Buffer, _now: &Now) -> Next<Message> {
        self.draining = true;
        if let Phase::Head(_, Awaited::First | Awaited::Next) = self.phase {
            self.phase = Phase::Closed;
        }
        self.verdict()
    }

    fn connection_lost(&mut self, now: &Now) {
        if let Phase::Exchange(exchange) = std::mem::replace(&mut self.phase, Phase::Closed) {
            self.log_broken(&exchange, now);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let (since, deadlines) = (self.since?, &self.settings.deadlines);
        match &self.phase {
            // What no clock will ever show is no deadline.
            Phase::Head(_, Awaited::First | Awaited::Rest) => since.checked_add(deadlines.head),
            Phase::Head(_, Awaited::Next) => since.checked_add(deadlines.keep_alive),
            Phase::Body(body) => body.incoming.deadline(since),
            Phase::Exchange(exchange) => exchange.deadline(since),
            Phase::Closed => None,
        }
    }

    fn take_failure(&mut self) -> Option<Failure> {
        self.failure.take().map(|failure| *failure)
    }
}
