//! One connection of the loop: a socket that is never waited for, and the protocol it speaks.
//!
//! A turn alternates between two things until neither can go on: send what was written, and let
//! the protocol take its next step. The step follows from the last verdict (`Stage`), the send
//! from what is unsent; nothing else is remembered. In the common case that is one read, one call
//! of the protocol and one write, and the connection owns no buffer before or after.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::mem;
use std::time::{Duration, Instant};

use super::mailbox::Post;
use super::protocol::Conversation;
use super::{Buffer, EventedSettings, Failure, Next, Protocol, Stream};
use crate::reactor::{Now, Readiness, Slot};

/// How much one read can return: large enough for most uploads, and for a pipelined batch.
const READ: usize = 64 * 1024;

/// Whether a read that returns less than was asked for is as good as `WouldBlock`: epoll and
/// kqueue report what comes after it, Windows nothing before the socket was found empty.
const SHORT_READ_IS_LAST: bool = cfg!(unix);

/// How many steps one connection takes while others wait (RT-6).
const STEPS: usize = 8;

/// How much a lingering client may send before it is cut off after all.
pub(super) const DISCARD: usize = 8 * 1024 * 1024;

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
pub(crate) struct Turn<'a, M> {
    pub(crate) slot: Slot,
    pub(crate) readiness: &'a mut Readiness,
    pub(crate) scratch: &'a mut Scratch,
    pub(crate) settings: &'a EventedSettings,
    pub(crate) post: &'a Post<M>,
    pub(crate) now: &'a Now,
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

/// What becomes of a connection after its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It waits for an event, a message, or its deadline.
    Sleeps,
    /// It could go on, but others wait.
    Again,
    /// It is to be closed now.
    Gone,
    /// As `Gone`, because the client does not read, or too slowly.
    Stalled,
}

pub(crate) struct Connection<S, P: Protocol> {
    pub(crate) stream: S,
    conversation: Conversation<P>,
    stage: Stage,
    /// The client has sent everything it will.
    input_closed: bool,
    /// What arrived and was not used.
    input: Buffer,
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
    /// `unseen`: the input holds bytes that the protocol has not been offered since it last did
    /// something else than reading.
    Read {
        unseen: bool,
    },
    Produce,
    Wait,
    Close,
    Linger,
    Abort,
    /// The writing half is shut down; what arrives is discarded.
    Lingering {
        until: Option<Instant>,
        left: usize,
    },
}

/// Output that the socket did not take.
struct Unsent {
    bytes: Buffer,
    pace: Pace,
}

/// How fast a client reads for which output waits.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    /// When it began to lag behind.
    began: Instant,
    /// When the socket last took some.
    since: Instant,
    /// How much it has taken since it began.
    sent: u64,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Pace {
        Pace {
            began: now,
            since: now,
            sent: 0,
        }
    }

    pub(super) fn advance(&mut self, sent: usize, now: Instant) {
        if sent > 0 {
            self.since = now;
            self.sent = self.sent.saturating_add(sent as u64);
        }
    }

    /// Until when more must have been taken: a while after the last of it, but all in all not
    /// slower than the minimum rate (design law 8).
    pub(super) fn deadline(&self, settings: &EventedSettings) -> Option<Instant> {
        let earned = Duration::from_secs(self.sent / u64::from(settings.write_rate.max(1)));
        let ends = [
            self.since.checked_add(settings.write_stall),
            self.began
                .checked_add(settings.write_stall.saturating_add(earned)),
        ];
        ends.into_iter().flatten().min()
    }
}

impl<S: Stream, P: Protocol> Connection<S, P> {
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

    pub(crate) fn is_upgraded(&self) -> bool {
        matches!(self.conversation, Conversation::Upgraded(_))
    }

    pub(crate) fn take_failure(&mut self) -> Option<Failure> {
        self.conversation.take_failure()
    }

    /// Tells the protocol that this was all.
    pub(crate) fn lost(&mut self, now: &Now) {
        self.conversation.connection_lost(now);
    }

    /// Until when the connection may be left alone.
    ///
    /// A client that does not read is given up after a while, whatever its protocol waits for.
    pub(crate) fn deadline(&self, settings: &EventedSettings) -> Option<Instant> {
        match (&self.unsent, self.stage) {
            (Some(unsent), _) => unsent.pace.deadline(settings),
            (None, Stage::Lingering { until, .. }) => until,
            (None, _) => self.conversation.deadline(),
        }
    }

    /// Goes on as far as it can.
    pub(crate) fn turn(&mut self, occasion: Occasion, turn: &mut Turn<'_, P::Message>) -> Fate {
        let due = mem::take(&mut turn.readiness.timeout) && self.is_due(turn);
        match self.stage {
            _ if due && self.unsent.is_some() => return Fate::Stalled,
            Stage::Lingering { .. } if due => return Fate::Gone,
            _ => {}
        }
        let now = turn.now.instant();
        let (mut output, mut pace) = match self.unsent.take() {
            Some(unsent) => (unsent.bytes, unsent.pace),
            None => (mem::take(&mut turn.scratch.output), Pace::new(now)),
        };
        match occasion {
            Occasion::Made => self.begin(&mut output, turn),
            Occasion::Drain => self.drain(&mut output, turn),
            Occasion::Ready if due => self.time_out(&mut output, turn),
            Occasion::Ready => {}
        }
        let mut sent = 0;
        let advanced = self.advance(&mut output, &mut sent, turn);
        let fate = advanced.unwrap_or_else(|error| {
            // The client is gone: nobody is left to tell (TCP-11, WSGI-20).
            log::debug!("connection lost: {error}");
            Fate::Gone
        });
        pace.advance(sent, now);
        self.put_back(output, pace, turn.scratch);
        fate
    }

    fn is_due(&self, turn: &Turn<'_, P::Message>) -> bool {
        let deadline = self.deadline(turn.settings);
        deadline.is_some_and(|deadline| deadline <= turn.now.instant())
    }

    fn begin(&mut self, output: &mut Buffer, turn: &mut Turn<'_, P::Message>) {
        let mailbox = turn.post.mailbox(turn.slot);
        let next = self.conversation.connection_made(mailbox, output, turn.now);
        self.follow(next, false, output, turn);
    }

    fn drain(&mut self, output: &mut Buffer, turn: &mut Turn<'_, P::Message>) {
        if let Stage::Read { .. } | Stage::Produce | Stage::Wait = self.stage {
            let next = self.conversation.drain(output, turn.now);
            self.follow(next, false, output, turn);
        }
    }

    fn time_out(&mut self, output: &mut Buffer, turn: &mut Turn<'_, P::Message>) {
        let next = self.conversation.timed_out(output, turn.now);
        self.follow(next, false, output, turn);
    }

    /// Sends and steps in turn until nothing can go on, or others have waited long enough; counts
    /// the bytes that were `sent`.
    fn advance(
        &mut self,
        output: &mut Buffer,
        sent: &mut usize,
        turn: &mut Turn<'_, P::Message>,
    ) -> io::Result<Fate> {
        for _ in 0..STEPS {
            *sent += send(&mut self.stream, output, turn.readiness)?;
            if let Some(fate) = self.step(output, turn)? {
                return Ok(fate);
            }
        }
        *sent += send(&mut self.stream, output, turn.readiness)?;
        Ok(Fate::Again)
    }

    /// One step of the protocol; `Some` if there is none to be taken.
    fn step(
        &mut self,
        output: &mut Buffer,
        turn: &mut Turn<'_, P::Message>,
    ) -> io::Result<Option<Fate>> {
        let full = !output.is_empty() && output.len() >= turn.settings.high_water;
        match self.stage {
            Stage::Read { .. } | Stage::Wait | Stage::Produce if full => Ok(Some(Fate::Sleeps)),
            Stage::Read { .. } | Stage::Wait if self.inbox.is_some() => {
                self.deliver(output, turn);
                Ok(None)
            }
            Stage::Read { unseen: true } => {
                let next = self.conversation.receive(&mut self.input, output, turn.now);
                self.follow(next, true, output, turn);
                Ok(None)
            }
            Stage::Read { unseen: false } => self.read(output, turn),
            // The answer would reach nobody; while there is output, a write decides (RT-10).
            Stage::Wait if turn.readiness.hung_up && output.is_empty() => Ok(Some(Fate::Gone)),
            Stage::Wait => Ok(Some(Fate::Sleeps)),
            Stage::Produce => {
                let next = self.conversation.produce(output, turn.now);
                self.follow(next, false, output, turn);
                Ok(None)
            }
            Stage::Abort => {
                self.stream.reset_on_close();
                Ok(Some(Fate::Gone))
            }
            Stage::Close | Stage::Linger if !output.is_empty() => Ok(Some(Fate::Sleeps)),
            Stage::Close if self.input_closed => Ok(Some(Fate::Gone)),
            Stage::Close => self.close(turn),
            Stage::Linger => {
                self.stream.shutdown_write()?;
                self.stage = Stage::Lingering {
                    until: turn.now.instant().checked_add(turn.settings.linger),
                    left: DISCARD,
                };
                Ok(None)
            }
            Stage::Lingering { until, left } => self.discard(until, left, turn),
        }
    }

    /// Hands over the oldest message.
    fn deliver(&mut self, output: &mut Buffer, turn: &mut Turn<'_, P::Message>) {
        let message = self.inbox.as_mut().and_then(|inbox| inbox.pop_front());
        self.inbox.take_if(|inbox| inbox.is_empty());
        if let Some(message) = message {
            turn.post.delivered(turn.slot);
            let next = self.conversation.deliver(message, output, turn.now);
            self.follow(next, false, output, turn);
        }
    }

    /// Reads once and offers what arrived.
    fn read(
        &mut self,
        output: &mut Buffer,
        turn: &mut Turn<'_, P::Message>,
    ) -> io::Result<Option<Fate>> {
        let arrived = &mut turn.scratch.input;
        arrived.clear();
        match receive(&mut self.stream, arrived, turn.readiness)? {
            Received::Nothing => return Ok(Some(Fate::Sleeps)),
            Received::Interrupted => return Ok(None),
            Received::End => {
                self.input_closed = true;
                let next = self.conversation.input_closed(output, turn.now);
                self.follow(next, false, output, turn);
                return Ok(None);
            }
            Received::Bytes => {}
        }
        let next = if self.input.is_empty() {
            let next = self.conversation.receive(arrived, output, turn.now);
            if !arrived.is_empty() {
                self.input.extend_from_slice(arrived);
            }
            next
        } else {
            self.input.extend_from_slice(arrived);
            self.conversation.receive(&mut self.input, output, turn.now)
        };
        self.follow(next, true, output, turn);
        Ok(None)
    }

    /// Closes, unless over unread input: that would reset the connection under the answer (TCP-8).
    fn close(&mut self, turn: &mut Turn<'_, P::Message>) -> io::Result<Option<Fate>> {
        let arrived = &mut turn.scratch.input;
        arrived.clear();
        match receive(&mut self.stream, arrived, turn.readiness)? {
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
        turn: &mut Turn<'_, P::Message>,
    ) -> io::Result<Option<Fate>> {
        let arrived = &mut turn.scratch.input;
        arrived.clear();
        match receive(&mut self.stream, arrived, turn.readiness)? {
            Received::Nothing => Ok(Some(Fate::Sleeps)),
            Received::Interrupted => Ok(None),
            Received::End => Ok(Some(Fate::Gone)),
            Received::Bytes if arrived.len() >= left => Ok(Some(Fate::Gone)),
            Received::Bytes => {
                let left = left - arrived.len();
                self.stage = Stage::Lingering { until, left };
                Ok(None)
            }
        }
    }

    /// Takes a verdict over; `seen`: the protocol has been offered all the input there is.
    fn follow(
        &mut self,
        mut next: Next<P::Message>,
        mut seen: bool,
        output: &mut Buffer,
        turn: &mut Turn<'_, P::Message>,
    ) {
        if self.input.is_empty() {
            self.input = Buffer::new(); // an idle connection keeps no memory (design law 6)
        }
        while let Next::Upgrade(protocol) = next {
            let failure = self.conversation.take_failure();
            turn.failure = turn.failure.take().or(failure);
            self.conversation = Conversation::Upgraded(protocol);
            seen = false;
            let mailbox = turn.post.mailbox(turn.slot);
            next = self.conversation.connection_made(mailbox, output, turn.now);
        }
        let unseen = !seen && !self.input.is_empty();
        self.stage = match next {
            // What is left will never be completed (RT-10).
            Next::Read if self.input_closed && !unseen => Stage::Close,
            Next::Read => Stage::Read { unseen },
            Next::Produce => Stage::Produce,
            Next::Wait => Stage::Wait,
            Next::Close | Next::Upgrade(_) => Stage::Close,
            Next::Linger => Stage::Linger,
            Next::Abort => {
                output.clear();
                Stage::Abort
            }
        };
    }

    /// Keeps what the socket did not take, and gives the shared buffer back.
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

/// What one read brought.
enum Received {
    Bytes,
    End,
    Nothing,
    Interrupted,
}

/// One read. The hint is cleared by `WouldBlock`, and by a short read unless an end follows it: a
/// second read would only confirm that there is nothing (design law 5, RT-1).
fn receive(
    stream: &mut impl Stream,
    into: &mut Buffer,
    readiness: &mut Readiness,
) -> io::Result<Received> {
    if !readiness.readable {
        return Ok(Received::Nothing);
    }
    if into.capacity() < READ {
        *into = Buffer::with_capacity(READ); // the protocol has kept the one it was lent
    }
    match into.read_from(stream) {
        Ok(0) => Ok(Received::End),
        Ok(count) => {
            readiness.readable = count >= READ || readiness.read_closed || !SHORT_READ_IS_LAST;
            Ok(Received::Bytes)
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            readiness.readable = false;
            Ok(Received::Nothing)
        }
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(Received::Interrupted),
        Err(error) => Err(error),
    }
}

/// Writes until everything is sent or the socket takes no more; how much that was.
fn send(
    stream: &mut impl Stream,
    output: &mut Buffer,
    readiness: &mut Readiness,
) -> io::Result<usize> {
    let mut sent = 0;
    while !output.is_empty() && readiness.writable {
        match output.write_to(stream) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => readiness.writable = false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socketserver::{HandlerResult, Mailbox, Request, Rfile};
    use mio::event::Source;
    use mio::{Interest, Registry, Token};
    use std::convert::Infallible;
    use std::io::{Read, Write};

    /// A socket whose client takes `room` more bytes and sends nothing.
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

    impl Source for Wire {
        fn register(&mut self, _: &Registry, _: Token, _: Interest) -> io::Result<()> {
            Ok(())
        }

        fn reregister(&mut self, _: &Registry, _: Token, _: Interest) -> io::Result<()> {
            Ok(())
        }

        fn deregister(&mut self, _: &Registry) -> io::Result<()> {
            Ok(())
        }
    }

    impl Request for Wire {
        fn serve(
            &mut self,
            _handle: impl FnOnce(&mut dyn Rfile, &mut dyn Write) -> HandlerResult,
        ) -> HandlerResult {
            Ok(())
        }
    }

    impl Stream for Wire {
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
            let fate = connection.turn(
                occasion,
                &mut Turn {
                    slot: Slot::default(),
                    readiness: &mut readiness,
                    scratch: &mut scratch,
                    settings: &settings,
                    post: &post,
                    now: &Now::at(instant, std::time::SystemTime::UNIX_EPOCH),
                    failure: None,
                },
            );
            (fate, connection.deadline(&settings))
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
