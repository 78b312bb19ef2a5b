//! A connection: a stream that never blocks, and the protocol that is spoken on it.
//!
//! The loop gives its connections their turns here. The [`Driver`](super::Driver) does the same, but it
//! has only one connection.
//!
//! A turn repeats two things until neither can go on: it sends the output, and it lets the protocol
//! take its next step. The last verdict (`Stage`) decides which step that is; `steps` has them, and is
//! the only place that interprets a [`Next`](super::Next). In the common case a turn is one read, one
//! call of the protocol and one write. Before and after such a turn, the connection owns no buffer.

pub(super) mod scratch;
mod steps;
mod transfer;

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::time::{Duration, Instant};

use self::scratch::Scratch;
use self::transfer::send;
use super::buffer::Buffer;
use super::failure::{Failure, HandlerResult, catch, contain};
use super::mailbox::Post;
use super::pace::{Pace, Taken};
use super::protocol::{Conversation, Protocol};
use super::settings::EventedSettings;
use super::transport::Duplex;
use crate::reactor::{Now, Readiness, Slot};

/// The most steps that a connection takes in one turn, because others wait ([RT-6]).
///
/// [RT-6]: crate::spec#rt-6
const STEPS: usize = 8;

/// How many bytes a client may still send while its connection lingers. After that the connection
/// is closed.
const DISCARD: usize = 8 * 1024 * 1024;

/// The things that the loop lends to a connection for one turn.
pub(crate) struct Loan<'a, M> {
    /// The connection's slot. Its mailboxes send to this slot.
    pub(crate) slot: Slot,
    /// The hints: whether a read or a write of its stream may succeed.
    pub(crate) readiness: &'a mut Readiness,
    /// The buffers of this turn.
    pub(crate) scratch: &'a mut Scratch,
    /// The limits of all connections.
    pub(crate) settings: &'a EventedSettings,
    /// Makes its mailboxes, and counts the messages that it takes.
    pub(crate) post: &'a Post<M>,
    /// The time that its protocol is told.
    pub(crate) now: &'a Now,
    /// Whether the server runs or is stopping.
    pub(crate) phase: Phase,
    /// The failure of a protocol that was replaced by an upgrade in this turn.
    pub(crate) failure: Option<Failure>,
    /// Exchanges that have ended and were not counted yet.
    pub(crate) completed: usize,
}

/// The reason why a connection gets a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// The connection has just been accepted.
    Made,
    /// The connection may be able to go on.
    Ready,
    /// The protocol's deadline has passed.
    Overdue,
    /// A client that a drain has accepted has had its time to send its first request.
    Settled,
}

/// Says whether the server runs or is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The server runs.
    Serving,
    /// A drain: what clients have sent or begun is finished. Those that it accepts have some time to
    /// send their first request.
    Draining,
    /// The server is being closed: only what has begun is finished, as far as it can be now.
    Closing,
    /// The patience of the drain is over, and the connections were reset.
    Aborted,
}

/// The result of a turn.
pub(crate) struct Outcome {
    /// Says how the connection goes on.
    pub(crate) fate: Fate,
    /// A failure that the loop must report.
    pub(crate) failure: Option<Failure>,
    /// How many exchanges have ended whose output is sent now.
    pub(crate) completed: usize,
    /// The time at which the connection needs a turn, even if nothing happens before.
    pub(crate) deadline: Option<Instant>,
}

/// How a connection goes on after its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The connection waits for an event, a message, or its deadline.
    Sleeps,
    /// The connection could go on, but others wait.
    Again,
    /// The caller must close the connection now.
    Gone,
    /// The caller must close the connection now. It ends early: the client has disconnected before it
    /// had everything, or the protocol resets the connection.
    BrokenOff,
    /// The caller must close the connection now: the client does not read, or reads too slowly.
    Stalled,
    /// The caller must close the connection now, and must not call its protocol again.
    Panicked,
}

/// The event that lets a sleeping connection go on, besides its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Awaits {
    /// The client has to take output.
    Room,
    /// The client has to send something, or another thread has to send a message.
    Bytes,
    /// Another thread has to send a message.
    Message,
}

/// How a conversation ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End<'a> {
    /// The protocol's `connection_lost` is called with this time.
    Told(&'a Now),
    /// The protocol has panicked and must not be called again.
    Panicked,
}

/// A stream, the protocol that is spoken on it, and the bytes and messages between the two.
pub(crate) struct Connection<S, P: Protocol> {
    /// The stream to the client.
    pub(crate) stream: S,
    /// The protocol, or the protocol that has replaced it.
    conversation: Conversation<P>,
    /// Says which step comes next.
    stage: Stage,
    /// Whether the client has sent its last byte.
    input_closed: bool,
    /// Whether the current protocol has completed an exchange.
    has_completed: bool,
    /// Whether the current protocol knows that the server is stopping.
    told: Told,
    /// How much the client's system has taken.
    taken: Taken,
    /// Bytes that arrived and that the protocol has not used.
    input: Buffer,
    /// Output that the stream did not take.
    unsent: Option<Box<Unsent>>,
    /// Messages that the protocol has not been given yet.
    #[expect(
        clippy::box_collection,
        reason = "most connections never get one (design law 6)"
    )]
    inbox: Option<Box<VecDeque<P::Message>>>,
}

/// Whether a protocol knows that the server is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// It does not know. If the server is stopping, the next step tells it.
    Not,
    /// A drain has accepted the client. The protocol is told when something has arrived, or when the
    /// client's time is over.
    Later,
    /// It knows.
    Yes,
}

/// The part of the protocol's last verdict that the connection still has to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The protocol wants input.
    Read {
        /// Whether the input holds bytes to offer before the next read. The protocol has done
        /// something else since it last saw them.
        unseen: bool,
    },
    /// The protocol writes more output when there is room.
    Produce,
    /// The protocol waits for a message.
    Wait,
    /// The connection closes when the output is sent.
    Close,
    /// The connection shuts down its writing half when the output is sent.
    Linger,
    /// The connection is reset, without sending the output.
    Abort,
    /// The writing half is shut down. Input is discarded.
    Lingering {
        /// The time at which the connection is closed, whatever the client does.
        until: Option<Instant>,
        /// How many more bytes are discarded.
        left: usize,
    },
}

/// Output that the stream did not take.
struct Unsent {
    /// The output itself.
    bytes: Buffer,
    /// How fast the client has taken output so far.
    pace: Pace,
    /// Exchanges that have ended. They count when this output is sent.
    completed: usize,
}

impl<S: Duplex, P: Protocol> Connection<S, P> {
    /// Returns a connection that speaks `protocol` over `stream`. Nothing has happened on it yet.
    pub(crate) fn new(stream: S, protocol: P) -> Connection<S, P> {
        Connection {
            stream,
            conversation: Conversation::First(protocol),
            stage: Stage::Read { unseen: false },
            input_closed: false,
            has_completed: false,
            told: Told::Not,
            taken: Taken::default(),
            input: Buffer::new(),
            unsent: None,
            inbox: None,
        }
    }

    /// Keeps a message until the protocol can take it.
    pub(crate) fn post(&mut self, message: P::Message) {
        self.inbox.get_or_insert_default().push_back(message);
    }

    /// Returns how many messages wait for the protocol.
    pub(super) fn unread(&self) -> usize {
        self.inbox.as_ref().map_or(0, |inbox| inbox.len())
    }

    /// Returns whether another protocol has taken over.
    pub(crate) fn is_upgraded(&self) -> bool {
        matches!(self.conversation, Conversation::Upgraded(_))
    }

    /// Returns whether an exchange has ended and not all of its output is sent.
    pub(crate) fn owes_output(&self) -> bool {
        self.unsent
            .as_ref()
            .is_some_and(|unsent| unsent.completed > 0)
    }

    /// Returns the event that the connection waits for, if its last turn returned
    /// [`Fate::Sleeps`].
    pub(super) fn awaits(&self) -> Awaits {
        match (&self.unsent, self.stage) {
            (Some(_), _) => Awaits::Room,
            (None, Stage::Wait) => Awaits::Message,
            (None, _) => Awaits::Bytes,
        }
    }

    /// Ends the conversation and closes the stream. Returns how many exchanges have ended with it,
    /// and whether something has panicked: the protocol, or what a handler left in it when that was
    /// dropped ([design law 10]).
    ///
    /// [design law 10]: crate::spec#law-10
    pub(crate) fn end(self, end: End<'_>) -> (usize, HandlerResult) {
        let mut connection = self;
        let unsent = connection.unsent.as_ref();
        let mut completed = unsent.map_or(0, |unsent| unsent.completed);
        // What if the conversation has completed nothing? Then it counts itself (REQ-12).
        let least = usize::from(!connection.has_completed);
        let result = contain(|| {
            if let End::Told(now) = end {
                connection.conversation.connection_lost(now);
                completed += connection.conversation.take_completed();
            }
            drop(connection);
            Ok(())
        });
        (completed.max(least), result)
    }

    /// Returns the time at which the connection needs a turn, even if nothing happens before.
    ///
    /// If the client does not read, the connection is closed after a while, whatever the protocol
    /// waits for.
    fn deadline(&self, settings: &EventedSettings) -> Option<Instant> {
        match (&self.unsent, self.stage) {
            (Some(unsent), _) => unsent.pace.deadline(settings, self.taken),
            (None, Stage::Lingering { until, .. }) => until,
            (None, _) => self.conversation.deadline(),
        }
    }

    /// Lets the connection go on as far as it can. A panic becomes [`Fate::Panicked`].
    pub(crate) fn turn(&mut self, occasion: Occasion, loan: &mut Loan<'_, P::Message>) -> Outcome {
        // Each method of a protocol may panic, also one that only notifies it (design law 10).
        let turned = catch(|| {
            let fate = self.go_on(occasion, loan);
            let last_words = loan.failure.take();
            Outcome {
                fate,
                failure: last_words.or_else(|| self.conversation.take_failure()),
                completed: self.count_completed(loan),
                deadline: self.wake_up(loan),
            }
        });
        turned.unwrap_or_else(|panic| {
            // The panic may have left the buffers of this turn half changed.
            *loan.scratch = Scratch::default();
            Outcome {
                fate: Fate::Panicked,
                failure: Some(panic.into()),
                completed: 0,
                deadline: None,
            }
        })
    }

    /// Takes a turn, in which the protocol may panic.
    ///
    /// If the deadline has passed, input and output still come first, and then the deadline is asked
    /// again ([RT-12]). What has arrived in time counts, however late the loop is. The hints are not
    /// asked: one wait reports a limited number of events.
    ///
    /// [RT-12]: crate::spec#rt-12
    fn go_on(&mut self, occasion: Occasion, loan: &mut Loan<'_, P::Message>) -> Fate {
        // A deadline may have moved since it was armed, so the clock decides.
        let lateness = match mem::take(&mut loan.readiness.timeout) {
            true => self.lateness(loan),
            false => None,
        };
        let Some(lateness) = lateness else {
            return self.take_steps(occasion, STEPS, loan);
        };
        loan.readiness.readable = true;
        loan.readiness.writable = true;
        if let Some(unsent) = &mut self.unsent {
            unsent.pace.forgive(lateness);
        }
        // Every message that is here was sent in time.
        let steps = STEPS + self.unread();
        match self.take_steps(occasion, steps, loan) {
            Fate::Sleeps | Fate::Again if self.is_due(loan) => self.expire(loan),
            fate => fate,
        }
    }

    /// Acts on a deadline that has passed although input and output were tried.
    fn expire(&mut self, loan: &mut Loan<'_, P::Message>) -> Fate {
        match self.stage {
            _ if self.unsent.is_some() => return Fate::Stalled,
            Stage::Lingering { .. } => return Fate::Gone,
            _ => {}
        }
        let passed = self.conversation.deadline();
        let fate = self.take_steps(Occasion::Overdue, STEPS, loan);
        let waits = matches!(
            self.stage,
            Stage::Read { .. } | Stage::Wait | Stage::Produce
        );
        let stays = waits && self.unsent.is_none() && self.conversation.deadline() == passed;
        if fate == Fate::Sleeps && stays {
            // It would be due again immediately, and so for ever.
            let error = io::Error::other("the deadline has not moved in timed_out");
            loan.failure.get_or_insert(error.into());
            return Fate::BrokenOff;
        }
        fate
    }

    /// Takes at most so many steps, and sends what it can.
    fn take_steps(
        &mut self,
        occasion: Occasion,
        steps: usize,
        loan: &mut Loan<'_, P::Message>,
    ) -> Fate {
        let (mut output, mut pace) = match self.unsent.take() {
            Some(unsent) => {
                loan.completed += unsent.completed;
                (unsent.bytes, unsent.pace)
            }
            None => (loan.scratch.take_output(), Pace::new(loan.now.instant())),
        };
        output.keep_blocks(self.conversation.keeps_blocks());
        match occasion {
            Occasion::Made => self.begin(&mut output, loan),
            Occasion::Overdue => self.time_out(&mut output, loan),
            Occasion::Settled if self.told == Told::Later => self.told = Told::Not,
            Occasion::Ready | Occasion::Settled => {}
        }
        let advanced = self.advance(steps, &mut output, &mut pace, loan);
        let fate = advanced.unwrap_or_else(|error| {
            // Report nothing: the client has disconnected (TCP-11, WSGI-20).
            log::debug!("connection lost: {error}");
            match output.is_empty() && self.is_idle() {
                true => Fate::Gone,
                false => Fate::BrokenOff,
            }
        });
        self.put_back(output, pace, loan.scratch);
        fate
    }

    /// Returns how many exchanges have ended. If output is left, keeps the number until that is
    /// sent.
    fn count_completed(&mut self, loan: &mut Loan<'_, P::Message>) -> usize {
        let completed = self.conversation.take_completed();
        self.has_completed |= completed > 0;
        let completed = mem::take(&mut loan.completed) + completed;
        match &mut self.unsent {
            Some(unsent) => {
                unsent.completed += completed;
                0
            }
            None => completed,
        }
    }

    /// Returns whether the deadline has passed.
    fn is_due(&self, loan: &Loan<'_, P::Message>) -> bool {
        let deadline = self.deadline(loan.settings);
        deadline.is_some_and(|deadline| deadline <= loan.now.instant())
    }

    /// Returns by how much the loop has come too late for the deadline; `None` if it has not passed.
    ///
    /// What if the loop was busy since its last look? Then that time does not count, because the
    /// client may have got its last response at the end of it.
    fn lateness(&self, loan: &Loan<'_, P::Message>) -> Option<Duration> {
        let (deadline, now) = (self.wake_up(loan)?, loan.now.instant());
        (deadline <= now).then(|| now - deadline)
    }

    /// Returns when the connection needs its next turn at the latest.
    #[inline]
    fn wake_up(&self, loan: &Loan<'_, P::Message>) -> Option<Instant> {
        let deadline = self.deadline(loan.settings)?;
        match deadline <= loan.now.instant() {
            true => deadline.checked_add(loan.now.unwatched()),
            false => Some(deadline),
        }
    }

    /// Alternates between sending and taking a step, until nothing can go on or the turn has had
    /// enough steps.
    fn advance(
        &mut self,
        steps: usize,
        output: &mut Buffer,
        pace: &mut Pace,
        loan: &mut Loan<'_, P::Message>,
    ) -> io::Result<Fate> {
        let mut left = steps;
        loop {
            // In the common case there is nothing to send before the first step.
            if !output.is_empty() || pace.lags() {
                self.send(output, pace, loan)?;
            }
            if left == 0 {
                return Ok(Fate::Again);
            }
            left -= 1;
            if let Some(fate) = self.step(output, loan)? {
                return Ok(fate);
            }
        }
    }

    /// Sends what the stream takes. If output had to wait, and now all of it is sent, the protocol is
    /// told ([RT-13]).
    ///
    /// [RT-13]: crate::spec#rt-13
    fn send(
        &mut self,
        output: &mut Buffer,
        pace: &mut Pace,
        loan: &mut Loan<'_, P::Message>,
    ) -> io::Result<()> {
        if let Some(unsent) = self.taken.prepare(output.len()) {
            self.stream.allow_unsent(unsent);
        }
        let sent = send(&mut self.stream, output, loan.readiness)?;
        pace.advance(sent, loan.now.instant());
        if let Some(unsent) = self.taken.add(sent) {
            self.stream.allow_unsent(unsent);
        }
        if output.is_empty() && pace.catch_up() {
            loan.scratch.enlarge(output);
            output.keep_blocks(self.conversation.keeps_blocks());
            self.conversation.output_sent(loan.now);
        }
        Ok(())
    }

    /// Keeps output that the stream did not take, or gives the buffer back.
    fn put_back(&mut self, output: Buffer, mut pace: Pace, scratch: &mut Scratch) {
        if output.is_empty() {
            return scratch.give_back(output);
        }
        pace.lag();
        self.unsent = Some(Box::new(Unsent {
            bytes: scratch.part_with(output),
            pace,
            completed: 0,
        }));
    }
}

#[cfg(test)]
mod tests;
