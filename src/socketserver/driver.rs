//! Runs a conversation without a loop: in memory, on a blocking socket, or over standard input and
//! output.
//!
//! The driver does for one connection what the loop does for all of its connections. It waits, sets
//! the readiness hints, and gives the connection a turn.

mod patient;

use std::mem;
use std::time::Instant;

use self::patient::Patient;
use super::budget::complain;
use super::connection::scratch::Scratch;
use super::connection::{Awaits, Connection, End, Fate, Loan, Occasion, Phase};
use super::failure::{Failure, HandlerResult};
use super::mailbox::Post;
use super::protocol::Protocol;
use super::settings::EventedSettings;
use super::transport::Duplex;
use crate::reactor::{Now, Readiness, Slot};

/// Drives one [`Protocol`] to the end of its conversation, on the thread that calls
/// [`drive`](Self::drive).
///
/// Use it where there is no loop:
///
/// - in a test, with a request in memory;
/// - in a program that inetd has started, over standard input and output;
/// - on a blocking socket.
///
/// For everything else, use [`Evented`](super::Evented), which runs the same protocols.
///
/// ```
/// use std::convert::Infallible;
/// use serve_forever::reactor::Now;
/// use serve_forever::socketserver::{Buffer, Driver, Files, Next, Protocol};
///
/// struct Echo;
///
/// impl Protocol for Echo {
///     type Message = Infallible;
///
///     fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, _now: &Now) -> Next {
///         output.extend_from_slice(&std::mem::take(input));
///         Next::Read
///     }
/// }
///
/// let mut output = Vec::new();
/// Driver::new(Echo).drive(Files { rfile: &b"hello"[..], wfile: &mut output })?;
/// assert_eq!(output, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What a blocked thread cannot do
///
/// A blocked thread waits for one thing at a time:
///
/// - The driver notices a deadline when a read, a write or the wait for a message returns. Set a
///   read and a write timeout on the stream: then the driver is late by at most this timeout.
///   Without a timeout, it waits for a silent client without limit.
/// - While the protocol [reads](super::Next::Read), a message from another thread is delivered when
///   the read returns.
/// - While the protocol [waits](super::Next::Wait) for a message, nobody notices that the client
///   disconnects.
/// - After [`Next::Close`](super::Next::Close), nobody looks for unread input. If the client may
///   still be sending, the protocol has to [linger](super::Next::Linger).
/// - A [drain](Protocol::drain) does not reach the protocol.
#[derive(Debug, Clone)]
pub struct Driver<P> {
    /// The protocol that is spoken first.
    protocol: P,
    /// The limits of the conversation.
    settings: EventedSettings,
}

/// The hints for a stream on which nothing has arrived, but which may take output.
const WRITABLE: Readiness = Readiness {
    readable: false,
    ..Readiness::FRESH
};

impl<P: Protocol> Driver<P> {
    /// Returns a driver for `protocol`, with the default limits of [`Evented`](super::Evented).
    pub fn new(protocol: P) -> Driver<P> {
        Driver::with_settings(protocol, EventedSettings::default())
    }

    /// Like [`new`](Self::new), but with your own limits.
    pub fn with_settings(protocol: P, settings: EventedSettings) -> Driver<P> {
        Driver { protocol, settings }
    }

    /// Runs the conversation over `stream` until it has ended, and drops the stream.
    ///
    /// For a blocking socket, pass a [`TcpStream`](std::net::TcpStream) of the standard library.
    /// For bytes in memory, or standard input and output, pass [`Files`](super::Files). The stream
    /// has to block: a stream that returns `WouldBlock` immediately keeps the thread busy.
    ///
    /// # Errors
    ///
    /// Returns the first failure if the protocol panics, or [reports](Protocol::take_failure) any.
    /// Later failures are logged. Returns [`Failure::Stop`] if the protocol reports it, and ends
    /// the conversation. If the client disconnects, this is no failure.
    pub fn drive(self, stream: impl Duplex) -> HandlerResult {
        let (slot, post) = (Slot::default(), Post::new(1, None));
        post.open(slot);
        let mut connection = Connection::new(Patient::new(stream), self.protocol);
        let (mut scratch, mut now, mut result) = (Scratch::default(), Now::new(), Ok(()));
        let (mut occasion, mut readiness) = (Occasion::Made, WRITABLE);
        let mut last = Awaits::Room;
        let end = loop {
            connection.stream.may_write();
            let mut loan = Loan {
                slot,
                readiness: &mut readiness,
                scratch: &mut scratch,
                settings: &self.settings,
                post: &post,
                now: &now,
                phase: Phase::Serving,
                failure: None,
                completed: 0,
            };
            let outcome = connection.turn(occasion, &mut loan);
            result = first(result, outcome.failure);
            let stopped = matches!(result, Err(Failure::Stop(_)));
            let waited = Instant::now();
            readiness = match outcome.fate {
                Fate::Panicked => break End::Panicked,
                Fate::Again if !stopped => WRITABLE,
                Fate::Sleeps if !stopped => {
                    let before = mem::replace(&mut last, connection.awaits());
                    // What if the deadline passed before this looked for input? Then it looks once
                    // (RT-12). `now` is when the turn began: if that took long, the client is not late.
                    let passed = |deadline: &Instant| *deadline <= now.instant();
                    let overdue = before == last && outcome.deadline.as_ref().is_some_and(passed);
                    wait(&mut connection, outcome.deadline, overdue, &post)
                }
                _ => break End::Told(&now),
            };
            now.advance_after_wait(Some(waited), Instant::now());
            occasion = Occasion::Ready;
        };
        post.close(slot);
        let (_, ended) = connection.end(end);
        first(result, ended.err())
    }
}

/// Returns the first failure and logs a later failure. If the later failure is a stop, it replaces
/// the first.
fn first(result: HandlerResult, failure: Option<Failure>) -> HandlerResult {
    match (result, failure) {
        (result, None) => result,
        (Err(first), Some(Failure::Request(later))) => {
            complain("a request failed", later);
            Err(first)
        }
        (_, Some(failure)) => Err(failure),
    }
}

/// Waits until the connection can go on: for a message, for bytes, or for its deadline. Returns the
/// hints for the next turn. If it is `overdue`, reads nothing, because a read could wait.
fn wait<S: Duplex, P: Protocol>(
    connection: &mut Connection<Patient<S>, P>,
    deadline: Option<Instant>,
    overdue: bool,
    post: &Post<P::Message>,
) -> Readiness {
    let awaits = connection.awaits();
    let message = match awaits {
        Awaits::Message => post.wait(deadline),
        Awaits::Bytes | Awaits::Room => post.receive(),
    };
    if let Some((_, message)) = message {
        connection.post(message);
    } else if awaits == Awaits::Bytes && !overdue {
        let readable = connection.stream.wait();
        return Readiness {
            readable,
            timeout: true, // the turn compares the deadline with the clock
            ..WRITABLE
        };
    }
    Readiness {
        timeout: true,
        ..WRITABLE
    }
}
