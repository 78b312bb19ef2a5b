//! One HTTP connection as a protocol: keep-alive, pipelining, bodies, `Expect`, and when to close.
//!
//! A request that has arrived whole, which is nearly every one, is answered where it lies in the
//! input: no state is kept of it and nothing is copied. Of one whose body is still under way the
//! head stays in the input and the body grows behind it, so that in the end it lies there whole.

mod arrival;
mod exchange;
mod progress;
mod refusal;
mod report;

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use super::access::{Origin, Subject};
use super::body::Ending;
use super::deferred::Message;
use super::ends::Ends;
use super::h1::Scanner;
use super::response::{Content, Context, Terms};
use super::stats::Hit;
use super::{HttpRequestHandler, HttpSettings};
use crate::reactor::Now;
use crate::socketserver::{Buffer, Failure, Mailbox, Next, Protocol};
use arrival::Body;
use exchange::{Exchange, Inbound};

/// Above this much output no further pipelined request is looked at until it is sent.
const HIGH_WATER: usize = 64 * 1024;

/// Content of an answer that has left before anything comes back: less than the ten segments that
/// TCP sends without an acknowledgement (RFC 6928).
const AT_ONCE: u64 = 8 * 1024;

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
    /// An answer may still be under way when its last byte is written.
    has_sent_much: bool,
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
    Rest {
        /// Whether it is a HEAD request, as far as it has come.
        head_only: bool,
    },
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
            ends: Ends::new(client_address.into(), None),
            mailbox: None,
            phase: Phase::Head(Scanner::default(), Awaited::First),
            since: None,
            serial: 0,
            draining: false,
            has_sent_much: false,
            failure: None,
        }
    }

    /// Says which address the client has reached; see
    /// [`Request::local_address`](super::Request::local_address).
    pub fn local_address(mut self, address: impl Into<Option<SocketAddr>>) -> HttpConnection<H> {
        self.ends = Ends::new(self.ends.client(), address.into());
        self
    }

    /// The answer is written: waits for the next request, or closes.
    fn next_request(&mut self, ending: &Ending, terms: Terms, now: &Now) -> Step {
        self.has_sent_much |= ending.sent > AT_ONCE;
        if ending.close || self.draining {
            return self.close(terms);
        }
        match &mut self.phase {
            // The scanner is ready for another head.
            Phase::Head(_, awaited) => *awaited = Awaited::Next,
            phase => *phase = Phase::Head(Scanner::default(), Awaited::Next),
        }
        self.since = Some(now.instant());
        Step::Continue(())
    }

    /// Closes. A client that did not ask for it may have sent its next request already, and a
    /// reset for that would take the answer away from it (RFC 9112 §9.6, TCP-8). So would one for
    /// anything else that comes while an answer is under way, be it the empty line that old
    /// clients send after their content.
    fn close(&mut self, terms: Terms) -> Step {
        self.phase = Phase::Closed;
        Step::Break(match terms.client_goes_on || self.has_sent_much {
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

    /// What the connection waits for.
    fn verdict(&self) -> Next<Message> {
        match &self.phase {
            Phase::Head(..) | Phase::Body(_) => Next::Read,
            Phase::Exchange(exchange) => exchange.verdict(),
            Phase::Closed => Next::Close,
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
                        *awaited = Awaited::Rest { head_only: false };
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
            Phase::Head(_, Awaited::Rest { head_only }) => {
                self.settings.counters.count(Hit::HeadTimeout);
                // No line that could be logged, but a HEAD request gets no content (HTTP-35).
                let origin = Origin::Bytes(if head_only { b"HEAD " } else { b"" });
                next(self.refuse(408, why, Subject { origin, began }, output, now))
            }
            Phase::Head(_, Awaited::First | Awaited::Next) => {
                self.settings.counters.count(Hit::KeepAliveTimeout);
                Next::Close
            }
            Phase::Body(body) => {
                self.settings.counters.count(Hit::BodyTimeout);
                let subject = body.subject();
                next(self.refuse(408, why, subject, output, now))
            }
            Phase::Exchange(exchange) if !exchange.awaits_client() => {
                next(self.overdue(exchange, output, now))
            }
            Phase::Exchange(exchange) => {
                self.settings.counters.count(Hit::BodyTimeout);
                if exchange.has_begun() {
                    return self.break_off(&exchange, now);
                }
                let subject = exchange.subject();
                next(self.refuse(408, why, subject, output, now))
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
            Phase::Head(_, Awaited::First | Awaited::Rest { .. }) => {
                since.checked_add(deadlines.head)
            }
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
