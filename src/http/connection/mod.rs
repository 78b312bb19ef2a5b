//! One HTTP connection as a protocol: keep-alive, pipelining, bodies, `Expect`, and when to close.
//!
//! A connection is in one of four phases. Each step takes the phase by value, and puts the next one
//! in its place:
//!
//! ```text
//!            head and body are there: the handler responds
//!          ┌──────────────────────────────────────────────┐
//!          ▼                                              │
//!   ┌──► Head ── the body is still to come ──► Body ──────┤
//!   │      │                                              │
//!   │      └─ the handler takes more than one call ─► Exchange ── complete ──┐
//!   └────────────────────────────────────────────────────────────────────────┘
//!        any of them ── refused, failed, asked to close, drained ──► Closed
//! ```
//!
//! Nearly every request has arrived whole when the connection looks at it. It is handled where it
//! lies in the input: no state is kept, and nothing is copied. While a body is arriving, its head
//! stays in the input buffer and the body grows behind it. In the end the request lies there whole.
//!
//! Heads and bodies are read by the codec's `Scanner` and `ContentDecoder`, as `h1::Connection` reads
//! them. This type does not contain a `Connection`, for three reasons. An idle connection would have 72
//! bytes more. A handler gets the head and the body as two views of one input, and a `Connection` lends
//! one event at a time. And a response can come from another thread as bytes that are already framed.
//! `tests/codec.rs` holds the two against each other.

mod exchange;
mod io;
mod live;
mod refusal;
mod report;
mod serve;
mod streamed_body;
mod verdict;
mod whole_body;

use std::mem;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use super::access::{Origin, Subject};
use super::addresses::Addresses;
use super::h1::Scanner;
use super::handler::HttpRequestHandler;
use super::message::Message;
use super::response_body::Ending;
use super::settings::HttpSettings;
use super::stats::Hit;
use super::terms::Terms;
use crate::reactor::Now;
#[cfg(feature = "tls")]
use crate::socketserver::TlsSession;
use crate::socketserver::{Buffer, Failure, Mailbox, Next, Protocol};
use exchange::{Exchange, Verdict};
use io::Io;
use whole_body::WholeBody;

/// While at least this much output waits to be sent, no further pipelined request is looked at.
const MUCH_OUTPUT: usize = 64 * 1024;

/// TCP sends a body of this size without waiting for the client. It is less than the ten segments
/// that need no acknowledgement (RFC 6928).
const AT_ONCE: u64 = 8 * 1024;

/// The server side of one HTTP/1.1 connection.
#[derive(Debug)]
pub struct HttpConnection<H> {
    /// The limits and deadlines, and what they have counted.
    settings: Arc<HttpSettings>,
    /// The program's handler, for all requests of this connection.
    handler: H,
    /// The addresses of the client and of the server.
    addresses: Addresses,
    /// How other threads reach this connection, once it is connected.
    mailbox: Option<Mailbox<Message>>,
    /// Where in the exchange of requests and responses it is.
    phase: Phase,
    /// When the phase began, or last made progress. Its deadline follows from this.
    since: Option<Instant>,
    /// Counts requests, so that news that comes late is not taken for news about another request.
    serial: u32,
    /// The server is stopping: no further request is served.
    draining: bool,
    /// A response may still be on its way when its last byte is written.
    has_sent_much: bool,
    /// How many exchanges have ended since the owner last asked.
    completed: u16,
    /// The first failure that was not reported yet. Boxed: a failure is rare, and an idle
    /// connection small ([design law 6]).
    ///
    /// [design law 6]: crate::spec#law-6
    failure: Option<Box<Failure>>,
}

/// The four phases; see the module.
#[derive(Debug, Default)]
enum Phase {
    /// Between requests, or in a head.
    Head(Scanner, Awaited),
    /// The head is there and waits for its body.
    Body(Box<WholeBody>),
    /// The request has been handled, and there is more to come, in either direction.
    Exchange(Box<Exchange>),
    /// The last response is written.
    #[default]
    Closed,
}

/// The part of a head that is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    /// The first byte of the first request. Empty lines before it do not count.
    First,
    /// The first byte of a further request.
    Next,
    /// The rest of a head that has begun.
    Rest {
        /// Whether it is a HEAD request, as far as the bytes so far tell.
        head_only: bool,
    },
}

/// What follows a step: `Continue` with the rest of the input, or `Break` and return this to the
/// owner.
type Step = ControlFlow<Next<Message>>;

impl<H: HttpRequestHandler> HttpConnection<H> {
    /// Creates a connection whose requests go to `handler`. `client_address` is a `SocketAddr`, or
    /// `None` for a client without host and port, as on a Unix-domain socket ([UNIX-4]).
    ///
    /// [UNIX-4]: crate::spec#unix-4
    pub fn new(
        handler: H,
        client_address: impl Into<Option<SocketAddr>>,
        settings: Arc<HttpSettings>,
    ) -> HttpConnection<H> {
        HttpConnection {
            settings,
            handler,
            addresses: Addresses::new(client_address.into(), None),
            mailbox: None,
            phase: Phase::Head(Scanner::default(), Awaited::First),
            since: None,
            serial: 0,
            draining: false,
            has_sent_much: false,
            completed: 0,
            failure: None,
        }
    }

    /// Sets the address that the client has reached; see
    /// [`Request::local_address`](super::Request::local_address).
    pub fn local_address(mut self, address: impl Into<Option<SocketAddr>>) -> HttpConnection<H> {
        self.addresses = Addresses::new(self.addresses.client(), address.into());
        self
    }

    /// Adds the TLS that is between client and server; see [`Request::tls`](super::Request::tls).
    #[cfg(feature = "tls")]
    pub(super) fn over_tls(mut self, session: TlsSession) -> HttpConnection<H> {
        self.addresses = self.addresses.over_tls(session);
        self
    }

    /// The response is written: waits for the next request, or closes.
    #[inline(always)] // runs for each request
    fn next_request(&mut self, ending: &Ending, terms: Terms, now: &Now) -> Step {
        self.has_sent_much |= ending.sent > AT_ONCE;
        if ending.close || self.draining {
            return self.close(terms);
        }
        self.phase = Phase::Head(Scanner::default(), Awaited::Next);
        self.since = Some(now.instant());
        Step::Continue(())
    }

    /// Closes, and lingers if the client may be sending.
    ///
    /// What if the client does not expect the close, and has sent its next request already? Closing
    /// over unread input resets the connection, and the client would lose its response (RFC 9112
    /// §9.6, [TCP-8]). Anything else that arrives while a response is on its way does the same,
    /// even the empty line that old clients send after a body.
    ///
    /// [TCP-8]: crate::spec#tcp-8
    fn close(&mut self, terms: Terms) -> Step {
        self.phase = Phase::Closed;
        Step::Break(match terms.linger || self.has_sent_much {
            true => Next::Linger,
            false => Next::Close,
        })
    }

    /// Returns how other threads reach the current request.
    fn context_address(&self) -> Option<(&Mailbox<Message>, u32)> {
        self.mailbox.as_ref().map(|mailbox| (mailbox, self.serial))
    }

    /// Lets an event change the exchange, if there is one, and follows it.
    fn exchange(
        &mut self,
        io: &mut Io<'_>,
        event: impl FnOnce(&mut Exchange, &mut Io<'_>) -> Verdict,
    ) -> Next<Message> {
        match mem::take(&mut self.phase) {
            Phase::Exchange(mut exchange) => {
                let verdict = event(&mut exchange, io);
                next(self.follow(exchange, verdict, io))
            }
            phase => {
                self.phase = phase;
                self.awaits()
            }
        }
    }

    /// Takes in what has arrived of a body.
    fn content(&mut self, input: &mut Buffer, io: &mut Io<'_>) -> Step {
        match mem::take(&mut self.phase) {
            Phase::Body(pending) => self.body(pending, input, io),
            Phase::Exchange(mut exchange) => {
                let verdict = exchange.take_in(input, self.since, io);
                self.follow(exchange, verdict, io)
            }
            Phase::Head(..) | Phase::Closed => Step::Break(Next::Close),
        }
    }

    /// Returns what the connection waits for.
    fn awaits(&self) -> Next<Message> {
        match &self.phase {
            Phase::Head(..) | Phase::Body(_) => Next::Read,
            Phase::Exchange(exchange) => exchange.next(),
            Phase::Closed => Next::Close,
        }
    }
}

/// Returns what follows a step outside of [`Protocol::receive`], where there is no further input to
/// look at.
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

    #[inline(always)] // runs for each request; `drain` calls it, too
    fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, now: &Now) -> Next<Message> {
        let io = &mut Io { output, now };
        loop {
            // What if a step panics? `Closed` is left behind, so the connection cannot go on from a
            // state that is half changed. Between pipelined requests the phase is taken field by
            // field, because a copy of the whole phase stalls the processor.
            let step = match self.phase {
                Phase::Head(scanner, awaited) => {
                    self.phase = Phase::Closed;
                    self.head(scanner, awaited, input, io)
                }
                _ => self.content(input, io),
            };
            match step {
                // Closing over input that nobody read would reset the connection (TCP-8).
                Step::Break(Next::Close) if !input.is_empty() => return Next::Linger,
                Step::Break(next) => return next,
                Step::Continue(()) if input.is_empty() => return Next::Read,
                Step::Continue(()) if io.output.len() >= MUCH_OUTPUT => {
                    // Pipelined requests wait until their responses have room. What if the server
                    // drains meanwhile? These requests have arrived, so they count as begun: the
                    // connection is not closed as an idle one.
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
        // The rest of what has begun can never arrive (HTTP-18, RT-9). What if the request is
        // whole, and only its response is awaited? Then this is not called yet, because the
        // connection has not returned `Next::Read`.
        match mem::take(&mut self.phase) {
            Phase::Exchange(exchange) => self.break_off(&exchange, now),
            Phase::Head(..) | Phase::Body(_) | Phase::Closed => Next::Close,
        }
    }

    fn produce(&mut self, output: &mut Buffer, now: &Now) -> Next<Message> {
        let io = &mut Io { output, now };
        self.exchange(io, Exchange::pull)
    }

    fn deliver(&mut self, message: Message, output: &mut Buffer, now: &Now) -> Next<Message> {
        match message {
            Message::Late(late) if late.serial == self.serial => {
                let (draining, io) = (self.draining, &mut Io { output, now });
                self.exchange(io, |exchange, io| exchange.hear(late.news, draining, io))
            }
            // What if the response is complete, and another request has begun? Then the serial
            // differs, and the news changes nothing. A custom message is for a protocol that has
            // not taken over.
            Message::Late(_) | Message::Custom(_) => self.awaits(),
        }
    }

    fn output_sent(&mut self, now: &Now) {
        // While the output waited, nobody may have read what the client sends. So its time begins now.
        // What if the program is waited for? Then the client's reading changes nothing.
        let awaits_client = match &self.phase {
            Phase::Head(_, awaited) => *awaited != Awaited::First,
            Phase::Body(_) => true,
            Phase::Exchange(exchange) => exchange.awaits_client(),
            Phase::Closed => false,
        };
        if awaits_client {
            self.since = Some(now.instant());
        }
    }

    fn timed_out(&mut self, output: &mut Buffer, now: &Now) -> Next<Message> {
        let began = self.since.unwrap_or(now.instant());
        let io = &mut Io { output, now };
        match mem::take(&mut self.phase) {
            Phase::Head(_, Awaited::First | Awaited::Next) => {
                // The client has sent nothing, so it gets no 408. It may be sending its next
                // request just now, and would take the 408 for the response.
                self.settings.counters.count(Hit::KeepAliveTimeout);
                Next::Close
            }
            Phase::Head(_, Awaited::Rest { head_only }) => {
                // There is no line to log, but a HEAD request gets no body (HTTP-35).
                let origin = Origin::Bytes(if head_only { b"HEAD " } else { b"" });
                next(self.too_slow(Hit::HeadTimeout, Subject { origin, began }, io))
            }
            Phase::Body(pending) => next(self.too_slow(Hit::BodyTimeout, pending.subject(), io)),
            Phase::Exchange(exchange) => next(self.overdue(exchange, io)),
            Phase::Closed => Next::Close,
        }
    }

    fn drain(&mut self, input: &mut Buffer, output: &mut Buffer, now: &Now) -> Next<Message> {
        self.draining = true;
        if let Phase::Exchange(exchange) = &mut self.phase {
            exchange.drain();
        }
        let next = match input.is_empty() {
            true => self.awaits(),
            // It was sent before the client could know of the drain (SHUT-14).
            false => self.receive(input, output, now),
        };
        match self.phase {
            Phase::Head(_, Awaited::First | Awaited::Next) => {
                self.phase = Phase::Closed;
                Next::Close
            }
            // What if a head has begun? It is finished like any request, and its response says that
            // the connection closes: `respond` reads `draining`.
            _ => next,
        }
    }

    fn connection_lost(&mut self, now: &Now) {
        // If the client disconnects before its request is handled, nothing is logged.
        if let Phase::Exchange(exchange) = mem::take(&mut self.phase) {
            self.log_broken(&exchange, now);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let (since, deadlines) = (self.since?, &self.settings.deadlines);
        match &self.phase {
            // A time beyond the clock's range is no deadline.
            Phase::Head(_, Awaited::First | Awaited::Rest { .. }) => {
                since.checked_add(deadlines.head)
            }
            Phase::Head(_, Awaited::Next) => since.checked_add(deadlines.keep_alive),
            Phase::Body(pending) => pending.deadline(since),
            Phase::Exchange(exchange) => exchange.deadline(since),
            // The owner limits how long a connection lingers.
            Phase::Closed => None,
        }
    }

    fn keeps_blocks(&self) -> bool {
        true
    }

    fn ends_with_input(&self) -> bool {
        match &self.phase {
            Phase::Exchange(exchange) => exchange.ends_with_input,
            Phase::Head(..) | Phase::Body(_) | Phase::Closed => false,
        }
    }

    fn take_failure(&mut self) -> Option<Failure> {
        self.failure.take().map(|failure| *failure)
    }

    fn take_completed(&mut self) -> usize {
        mem::take(&mut self.completed).into()
    }
}
