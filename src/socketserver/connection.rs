//! One connection: a stream that is never waited for, and the protocol it speaks.
//!
//! This is the only place that interprets a [`Next`]. The loop gives its connections their turns
//! here, and so does the [`Driver`](super::Driver), which has only one.
//!
//! A turn alternates between two things until neither can go on: send what was written, and let
//! the protocol take its next step. The step follows from the last verdict (`Stage`), the send
//! from what is unsent; nothing else is remembered. In the common case a turn is one read, one
//! call of the protocol and one write, and the connection owns no buffer before or after.

mod transfer;

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use self::transfer::{READ, Received, receive, send};
use super::buffer::Buffer;
use super::failure::{Failure, HandlerResult, Panic, contain};
use super::mailbox::Post;
use super::pace::Pace;
use super::protocol::{Conversation, Next, Protocol};
use super::settings::EventedSettings;
use super::transport::Duplex;
use crate::reactor::{Now, Readiness, Slot};

/// How many steps one connection takes while others wait (RT-6).
const STEPS: usize = 8;

/// How much a lingering client may send before it is cut off after all.
const DISCARD: usize = 8 * 1024 * 1024;

/// The buffers that all connections of a loop share, one turn at a time.
#[derive(Debug)]
pub(crate) struct Scratch {
    input: Buffer,
    output: Buffer,
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch {
            input: Buffer::with_capacity(READ),
            output: Buffer::new(),
        }
    }
}

/// What a connection is lent for one turn.
pub(crate) struct Loan<'a, M> {
    /// Its place, which its mailboxes name.
    pub(crate) slot: Slot,
    /// What its stream may be able to do.
    pub(crate) readiness: &'a mut Readiness,
    /// The buffers of this turn.
    pub(crate) scratch: &'a mut Scratch,
    /// The limits of all connections.
    pub(crate) settings: &'a EventedSettings,
    /// Where its messages come from.
    pub(crate) post: &'a Post<M>,
    /// The time that its protocol is told.
    pub(crate) now: &'a Now,
    /// Whether a drain has begun.
    pub(crate) draining: bool,
    /// The last words of a protocol that another has taken over from.
    pub(crate) failure: Option<Failure>,
}

/// Why a connection is given a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// It has just been accepted.
    Made,
    /// It may be able to go on.
    Ready,
    /// The server is stopping.
    Drain,
}

/// What a turn came to.
pub(crate) struct Outcome {
    /// What becomes of the connection.
    pub(crate) fate: Fate,
    /// What the conversation wants reported.
    pub(crate) failure: Option<Failure>,
    /// Until when the connection may be left alone if it sleeps.
    pub(crate) deadline: Option<Instant>,
}

/// What becomes of a connection after its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It waits for an event, a message, or its deadline.
    Sleeps,
    /// It could go on, but others wait.
    Again,
    /// It is to be closed now.
    Gone,
    /// It is to be closed now, because the client does not read, or too slowly.
    Stalled,
    /// It is to be closed now, and its protocol must not be called again.
    Panicked,
}

/// What a connection that sleeps waits for, besides its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Awaits {
    /// The client has to take output.
    Room,
    /// The client has to send something. A message is as welcome.
    Bytes,
    /// Another thread has to send a message.
    Message,
}

/// How a conversation ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End<'a> {
    /// The protocol is told, at this time.
    Told(&'a Now),
    /// The protocol has panicked and must not be called again.
    Panicked,
}

/// A stream, the protocol that is spoken on it, and what is under way between the two.
pub(crate) struct Connection<S, P: Protocol> {
    pub(crate) stream: S,
    conversation: Conversation<P>,
    /// What the last verdict has left to do.
    stage: Stage,
    /// The client has sent everything it will.
    input_closed: bool,
    /// What arrived and was not used.
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

/// The protocol's last verdict, as far as it is still to be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Read {
        /// The input holds bytes that the protocol has not been offered since it last did
        /// something else than reading.
        unseen: bool,
    },
    Produce,
    Wait,
    Close,
    Linger,
    Abort,
    /// The writing half is shut down; what arrives is discarded.
    Lingering {
        /// When it ends, whatever the client does.
        until: Option<Instant>,
        /// How many more bytes are discarded.
        left: usize,
    },
}

/// Output that the stream did not take.
struct Unsent {
    bytes: Buffer,
    pace: Pace,
}

impl<S: Duplex, P: Protocol> Connection<S, P> {
    pub(crate) fn new(stream: S, protocol: P) -> Connection<S, P> {
        Connection {
            stream,
            conversation: Conversation::First(protocol),
            stage: Stage::Read { unseen: false },
            input_closed: false,
            input: Buffer::new(),
            unsent: None,
            inbox: None,
        }
    }

    /// Keeps a message until the protocol can take it.
    pub(crate) fn post(&mut self, message: P::Message) {
        self.inbox.get_or_insert_default().push_back(message);
    }

    /// How many messages wait for the protocol.
    pub(super) fn unread(&self) -> usize {
        self.inbox.as_ref().map_or(0, |inbox| inbox.len())
    }

    pub(crate) fn is_upgraded(&self) -> bool {
        matches!(self.conversation, Conversation::Upgraded(_))
    }

    /// What it waits for, if its last turn has put it to sleep.
    pub(super) fn awaits(&self) -> Awaits {
        match (&self.unsent, self.stage) {
            (Some(_), _) => Awaits::Room,
            (None, Stage::Wait) => Awaits::Message,
            (None, _) => Awaits::Bytes,
        }
    }

    /// Ends the conversation and closes the stream.
    ///
    /// # Errors
    ///
    /// Returns the panic of a protocol, or of what a handler has left in it (design law 10).
    pub(crate) fn end(self, end: End<'_>) -> HandlerResult {
        let mut connection = self;
        contain(move || {
            if let End::Told(now) = end {
                connection.conversation.connection_lost(now);
            }
            drop(connection);
            Ok(())
        })
    }

    /// Until when the connection may be left alone.
    ///
    /// A client that does not read is given up after a while, whatever its protocol waits for.
    fn deadline(&self, settings: &EventedSettings) -> Option<Instant> {
        match (&self.unsent, self.stage) {
            (Some(unsent), _) => unsent.pace.deadline(settings),
            (None, Stage::Lingering { until, .. }) => until,
            (None, _) => self.conversation.deadline(),
        }
    }

    /// Goes on as far as it can.
    pub(crate) fn turn(&mut self, occasion: Occasion, loan: &mut Loan<'_, P::Message>) -> Outcome {
        // Each method of a protocol may panic, also those that only tell something (design law 10).
        let turned = catch_unwind(AssertUnwindSafe(|| {
            let fate = self.go_on(occasion, loan);
            let last_words = loan.failure.take();
            Outcome {
                fate,
                failure: last_words.or_else(|| self.conversation.take_failure()),
                deadline: self.deadline(loan.settings),
            }
        }));
        turned.unwrap_or_else(|payload| {
            // The buffers of this turn went down with it.
            *loan.scratch = Scratch::default();
            Outcome {
                fate: Fate::Panicked,
                failure: Some(Panic::from_payload(payload.as_ref()).into()),
                deadline: None,
            }
        })
    }

    /// A turn that may panic.
    fn go_on(&mut self, occasion: Occasion, loan: &mut Loan<'_, P::Message>) -> Fate {
        // A deadline may have moved since it was armed, so the clock decides.
        let due = mem::take(&mut loan.readiness.timeout) && self.is_due(loan);
        match self.stage {
            _ if due && self.unsent.is_some() => return Fate::Stalled,
            Stage::Lingering { .. } if due => return Fate::Gone,
            _ => {}
        }
        let now = loan.now.instant();
        let (mut output, mut pace) = match self.unsent.take() {
            Some(unsent) => (unsent.bytes, unsent.pace),
            None => (mem::take(&mut loan.scratch.output), Pace::new(now)),
        };
        match occasion {
            Occasion::Made => self.begin(&mut output, loan),
            Occasion::Drain => self.drain(&mut output, loan),
            Occasion::Ready if due => self.time_out(&mut output, loan),
            Occasion::Ready => {}
        }
        let mut sent = 0;
        let advanced = self.advance(&mut output, &mut sent, loan);
        let fate = advanced.unwrap_or_else(|error| {
            // Report nothing: the client has disconnected (TCP-11, WSGI-20).
            log::debug!("connection lost: {error}");
            Fate::Gone
        });
        pace.advance(sent, now);
        self.put_back(output, pace, loan.scratch);
        fate
    }

    fn is_due(&self, loan: &Loan<'_, P::Message>) -> bool {
        let deadline = self.deadline(loan.settings);
        deadline.is_some_and(|deadline| deadline <= loan.now.instant())
    }

    fn begin(&mut self, output: &mut Buffer, loan: &mut Loan<'_, P::Message>) {
        let mailbox = loan.post.mailbox(loan.slot);
        let next = self.conversation.connection_made(mailbox, output, loan.now);
        self.follow(next, false, output, loan);
    }

    fn drain(&mut self, output: &mut Buffer, loan: &mut Loan<'_, P::Message>) {
        if let Stage::Read { .. } | Stage::Produce | Stage::Wait = self.stage {
            let next = self.conversation.drain(output, loan.now);
            self.follow(next, false, output, loan);
        }
    }

    fn time_out(&mut self, output: &mut Buffer, loan: &mut Loan<'_, P::Message>) {
        let next = self.conversation.timed_out(output, loan.now);
        self.follow(next, false, output, loan);
    }

    /// Sends and steps in turn until nothing can go on, or others have waited long enough; counts
    /// the bytes that were `sent`.
    fn advance(
        &mut self,
        output: &mut Buffer,
        sent: &mut usize,
        loan: &mut Loan<'_, P::Message>,
    ) -> io::Result<Fate> {
        for _ in 0..STEPS {
            *sent += send(&mut self.stream, output, loan.readiness)?;
            if let Some(fate) = self.step(output, loan)? {
                return Ok(fate);
            }
        }
        *sent += send(&mut self.stream, output, loan.readiness)?;
        Ok(Fate::Again)
    }

    /// One step of the protocol; `Some` if there is none to be taken.
    fn step(
        &mut self,
        output: &mut Buffer,
        loan: &mut Loan<'_, P::Message>,
    ) -> io::Result<Option<Fate>> {
        // What if the mark is zero? Then everything is sent first, but nothing stops for good.
        let full = !output.is_empty() && output.len() >= loan.settings.high_water;
        match self.stage {
            Stage::Read { .. } | Stage::Wait | Stage::Produce if full => Ok(Some(Fate::Sleeps)),
            Stage::Read { .. } | Stage::Wait if self.inbox.is_some() => {
                self.deliver(output, loan);
                Ok(None)
            }
            Stage::Read { unseen: true } => {
                let next = self.conversation.receive(&mut self.input, output, loan.now);
                self.follow(next, true, output, loan);
                Ok(None)
            }
            Stage::Read { unseen: false } => self.read(output, loan),
            // What it waits for would reach nobody. If there is output, the next write decides: a
            // client that only stopped sending still takes it (RT-10).
            Stage::Wait if loan.readiness.hung_up && output.is_empty() => Ok(Some(Fate::Gone)),
            Stage::Wait => Ok(Some(Fate::Sleeps)),
            Stage::Produce => {
                let next = self.conversation.produce(output, loan.now);
                self.follow(next, false, output, loan);
                Ok(None)
            }
            Stage::Abort => {
                self.stream.reset_on_close();
                Ok(Some(Fate::Gone))
            }
            // What if the client never takes it? Then the pace of `unsent` is the deadline.
            Stage::Close | Stage::Linger if !output.is_empty() => Ok(Some(Fate::Sleeps)),
            Stage::Close if self.input_closed => Ok(Some(Fate::Gone)),
            Stage::Close => self.close(loan),
            Stage::Linger => {
                self.stream.shutdown_write()?;
                self.stage = Stage::Lingering {
                    until: loan.now.instant().checked_add(loan.settings.linger),
                    left: DISCARD,
                };
                Ok(None)
            }
            Stage::Lingering { until, left } => self.discard(until, left, loan),
        }
    }

    /// Hands over the oldest message.
    fn deliver(&mut self, output: &mut Buffer, loan: &mut Loan<'_, P::Message>) {
        let message = self.inbox.as_mut().and_then(|inbox| inbox.pop_front());
        self.inbox.take_if(|inbox| inbox.is_empty());
        if let Some(message) = message {
            loan.post.delivered(loan.slot);
            let next = self.conversation.deliver(message, output, loan.now);
            self.follow(next, false, output, loan);
        }
    }

    /// Reads once and offers what arrived.
    fn read(
        &mut self,
        output: &mut Buffer,
        loan: &mut Loan<'_, P::Message>,
    ) -> io::Result<Option<Fate>> {
        let arrived = &mut loan.scratch.input;
        arrived.clear();
        match receive(&mut self.stream, arrived, loan.readiness)? {
            Received::Nothing => return Ok(Some(Fate::Sleeps)),
            Received::Interrupted => return Ok(None),
            Received::End => {
                self.input_closed = true;
                let next = self.conversation.input_closed(output, loan.now);
                self.follow(next, false, output, loan);
                return Ok(None);
            }
            Received::Bytes => {}
        }
        let next = if self.input.is_empty() {
            let next = self.conversation.receive(arrived, output, loan.now);
            if !arrived.is_empty() {
                self.input.extend_from_slice(arrived);
            }
            next
        } else {
            self.input.extend_from_slice(arrived);
            self.conversation.receive(&mut self.input, output, loan.now)
        };
        self.follow(next, true, output, loan);
        Ok(None)
    }

    /// Closes, unless there is unread input: then closing would reset the connection, and the client
    /// would lose the output that is still on its way (TCP-8).
    fn close(&mut self, loan: &mut Loan<'_, P::Message>) -> io::Result<Option<Fate>> {
        let arrived = &mut loan.scratch.input;
        arrived.clear();
        match receive(&mut self.stream, arrived, loan.readiness)? {
            Received::Nothing | Received::End => Ok(Some(Fate::Gone)),
            Received::Interrupted => Ok(None),
            Received::Bytes => {
                self.stage = Stage::Linger;
                Ok(None)
            }
        }
    }

    /// Reads away what the client still sends, for a while and up to a limit.
    fn discard(
        &mut self,
        until: Option<Instant>,
        left: usize,
        loan: &mut Loan<'_, P::Message>,
    ) -> io::Result<Option<Fate>> {
        let arrived = &mut loan.scratch.input;
        arrived.clear();
        match receive(&mut self.stream, arrived, loan.readiness)? {
            Received::Nothing => Ok(Some(Fate::Sleeps)),
            Received::Interrupted => Ok(None),
            Received::End => Ok(Some(Fate::Gone)),
            // What if the client sends without end? It is cut off after all (design law 7).
            Received::Bytes if arrived.len() >= left => Ok(Some(Fate::Gone)),
            Received::Bytes => {
                let left = left - arrived.len();
                self.stage = Stage::Lingering { until, left };
                Ok(None)
            }
        }
    }

    /// Takes a verdict over. `seen` says whether the protocol has been offered all the input.
    fn follow(
        &mut self,
        mut next: Next<P::Message>,
        mut seen: bool,
        output: &mut Buffer,
        loan: &mut Loan<'_, P::Message>,
    ) {
        if self.input.is_empty() {
            self.input = Buffer::new(); // an idle connection keeps no memory (design law 6)
        }
        self.stage = loop {
            let unseen = !seen && !self.input.is_empty();
            break match next {
                // What is left will never be completed (RT-10).
                Next::Read if self.input_closed && !unseen => Stage::Close,
                Next::Read => Stage::Read { unseen },
                Next::Produce => Stage::Produce,
                Next::Wait => Stage::Wait,
                Next::Close => Stage::Close,
                Next::Linger => Stage::Linger,
                Next::Abort => {
                    output.clear();
                    Stage::Abort
                }
                Next::Upgrade(protocol) => {
                    next = self.upgrade(protocol, output, loan);
                    // What if bytes came with the request to upgrade? They are the new protocol's.
                    seen = false;
                    continue;
                }
            };
        };
    }

    /// Lets another protocol take over, and returns its first verdict.
    fn upgrade(
        &mut self,
        protocol: Box<dyn Protocol<Message = P::Message> + Send>,
        output: &mut Buffer,
        loan: &mut Loan<'_, P::Message>,
    ) -> Next<P::Message> {
        let failure = self.conversation.take_failure();
        loan.failure = loan.failure.take().or(failure);
        self.conversation = Conversation::Upgraded(protocol);
        let mailbox = loan.post.mailbox(loan.slot);
        let next = self.conversation.connection_made(mailbox, output, loan.now);
        // What if the others were told of the drain before this one was there?
        match next {
            Next::Read | Next::Produce | Next::Wait if loan.draining => {
                self.conversation.drain(output, loan.now)
            }
            next => next,
        }
    }

    /// Keeps what the stream did not take, and gives the shared buffer back.
    fn put_back(&mut self, mut output: Buffer, pace: Pace, scratch: &mut Scratch) {
        if !output.is_empty() {
            let bytes = if output.capacity() > 2 * READ {
                mem::take(&mut output)
            } else {
                let mut bytes = Buffer::new();
                bytes.extend_from_slice(&output);
                bytes
            };
            self.unsent = Some(Box::new(Unsent { bytes, pace }));
        }
        output.clear();
        if output.capacity() <= 2 * READ && output.capacity() > scratch.output.capacity() {
            scratch.output = output;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socketserver::mailbox::Mailbox;
    use std::convert::Infallible;
    use std::io::{ErrorKind, Read, Write};
    use std::time::Duration;

    /// A stream whose client takes `room` more bytes and sends nothing.
    struct Wire {
        room: usize,
    }

    impl Read for Wire {
        fn read(&mut self, _bytes: &mut [u8]) -> io::Result<usize> {
            Err(ErrorKind::WouldBlock.into())
        }
    }

    impl Write for Wire {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room);
            self.room -= count;
            match count {
                0 => Err(ErrorKind::WouldBlock.into()),
                count => Ok(count),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Duplex for Wire {
        fn shutdown_write(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Has always more to say.
    struct Endless;

    impl Protocol for Endless {
        type Message = Infallible;

        fn connection_made(&mut self, _: Mailbox<Infallible>, _: &mut Buffer, _: &Now) -> Next {
            Next::Produce
        }

        fn receive(&mut self, _: &mut Buffer, _: &mut Buffer, _: &Now) -> Next {
            Next::Close
        }

        fn produce(&mut self, output: &mut Buffer, _: &Now) -> Next {
            output.extend_from_slice(&[b'x'; 20 * 1024]);
            Next::Produce
        }
    }

    /// Law 8: a client that takes little is slow, one that takes nothing is stalled, and one that
    /// takes next to nothing, too.
    #[test]
    fn a_slow_reader_is_not_a_stalled_one() {
        let (settings, post) = (EventedSettings::default(), Post::new(1, None));
        let mut scratch = Scratch::default();
        let mut connection = Connection::new(Wire { room: 0 }, Endless);
        let began = Instant::now();
        let mut turn = |connection: &mut Connection<Wire, Endless>, occasion, seconds| {
            let instant = began + Duration::from_secs(seconds);
            let mut readiness = Readiness {
                timeout: true,
                ..Readiness::FRESH
            };
            let outcome = connection.turn(
                occasion,
                &mut Loan {
                    slot: Slot::default(),
                    readiness: &mut readiness,
                    scratch: &mut scratch,
                    settings: &settings,
                    post: &post,
                    now: &Now::at(instant, std::time::SystemTime::UNIX_EPOCH),
                    draining: false,
                    failure: None,
                },
            );
            (outcome.fate, outcome.deadline)
        };
        let deadline = |seconds| Some(began + Duration::from_secs(seconds));
        let made = turn(&mut connection, Occasion::Made, 0);
        assert_eq!(made, (Fate::Sleeps, deadline(30)));
        for seconds in [20, 40, 60] {
            connection.stream.room = 20 * 1024; // for which as much is produced
            let slow = turn(&mut connection, Occasion::Ready, seconds);
            assert_eq!(slow, (Fate::Sleeps, deadline(seconds + 30)));
        }
        assert_eq!(turn(&mut connection, Occasion::Ready, 89).0, Fate::Sleeps);
        assert_eq!(turn(&mut connection, Occasion::Ready, 90).0, Fate::Stalled);

        let mut trickle = Connection::new(Wire { room: 0 }, Endless);
        turn(&mut trickle, Occasion::Made, 0);
        // Each second pays for 240 bytes, after the first thirty.
        for (seconds, room, ends) in [(20, 480, 32), (29, 1, 32), (31, 240, 33), (32, 1, 33)] {
            trickle.stream.room = room;
            let slow = turn(&mut trickle, Occasion::Ready, seconds);
            assert_eq!(slow, (Fate::Sleeps, deadline(ends)), "at {seconds} s");
        }
        trickle.stream.room = 1;
        assert_eq!(turn(&mut trickle, Occasion::Ready, 33).0, Fate::Stalled);
    }
}
