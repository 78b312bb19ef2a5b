//! Any protocol on a blocking socket: a conversation written once runs under every dispatch.

use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::budget::complain;
use super::connection::{DISCARD, Pace};
use super::handler::Rfile;
use super::mailbox::Post;
use super::{Buffer, EventedSettings, Failure, HandlerResult, Next, Protocol, RequestHandler};
use crate::reactor::{Now, Slot};

/// A [`Protocol`] as a [`RequestHandler`] (RT-8).
///
/// Its deadlines hold, and count only the time for which the client is waited for: a worker that
/// was slow itself does not take that out on the client. What the conversation wants reported is
/// the failure of the request, once it has ended; a second one is logged.
///
/// What a blocked thread cannot do is break off a read: for a message, and for a
/// [drain](Protocol::drain), a worker looks up from it ten times a second. The loop's own thread
/// could not be asked for a drain meanwhile, and delivers a message after its read, or when the
/// protocol next [waits](Next::Wait).
#[derive(Debug, Clone)]
pub struct Blocking<P> {
    protocol: P,
    settings: EventedSettings,
}

impl<P: Protocol> Blocking<P> {
    /// The protocol, with the limits that [`Evented`](super::Evented) has by default.
    pub fn new(protocol: P) -> Blocking<P> {
        Blocking::with_settings(protocol, EventedSettings::default())
    }

    /// As [`new`](Self::new), within the given limits. There is no
    /// [`high_water`](EventedSettings::high_water) here: what is written is sent before more is
    /// read or produced.
    pub fn with_settings(protocol: P, settings: EventedSettings) -> Blocking<P> {
        Blocking { protocol, settings }
    }

    /// The protocol, after the conversation.
    pub fn into_inner(self) -> P {
        self.protocol
    }
}

impl<P: Protocol> RequestHandler for Blocking<P> {
    fn handle(&mut self, rfile: &mut dyn Rfile, wfile: &mut dyn Write) -> HandlerResult {
        let mut line = Line {
            rfile,
            wfile,
            settings: &self.settings,
            input: Buffer::new(),
            output: Buffer::new(),
            input_closed: false,
            post: Post::new(1, None),
            now: Now::new(),
            told: false,
            failure: None,
        };
        let mut upgraded = line.converse(&mut self.protocol)?;
        while let Some(mut protocol) = upgraded {
            upgraded = line.converse(&mut *protocol)?;
        }
        line.failure.map_or(Ok(()), Err)
    }
}

type Upgraded<M> = Option<Box<dyn Protocol<Message = M> + Send>>;

/// The two files, and what is under way between them and the protocol.
struct Line<'a, M> {
    rfile: &'a mut dyn Rfile,
    wfile: &'a mut dyn Write,
    settings: &'a EventedSettings,
    input: Buffer,
    output: Buffer,
    /// The client has sent everything it will.
    input_closed: bool,
    post: Post<M>,
    /// The time that the protocol was last told.
    now: Now,
    /// The protocol has been told that the server drains.
    told: bool,
    /// What the protocol first wanted reported.
    failure: Option<Failure>,
}

impl<M: Send + 'static> Line<'_, M> {
    /// Converses to the end, or until another protocol takes over.
    fn converse(
        &mut self,
        protocol: &mut dyn Protocol<Message = M>,
    ) -> Result<Upgraded<M>, Failure> {
        let ended = self.take_turns(protocol);
        if !matches!(ended, Ok(Some(_))) {
            protocol.connection_lost(&self.now);
        }
        ended
    }

    fn take_turns(
        &mut self,
        protocol: &mut dyn Protocol<Message = M>,
    ) -> Result<Upgraded<M>, Failure> {
        let slot = Slot::default();
        self.post.open(slot);
        let mailbox = self.post.mailbox(slot);
        let mut next = protocol.connection_made(mailbox, &mut self.output, &self.now);
        let mut seen = false;
        loop {
            if let Next::Abort = next {
                self.output.clear();
            }
            let sent = self.send(); // what was answered is sent, whatever else went wrong
            self.keep(protocol.take_failure())?;
            if !sent {
                return Ok(None);
            }
            let unseen = !seen && !self.input.is_empty();
            seen = false;
            next = match next {
                Next::Read if unseen => {
                    seen = true;
                    protocol.receive(&mut self.input, &mut self.output, &self.now)
                }
                // What is left will never be completed (RT-10).
                Next::Read if self.input_closed => return Ok(None),
                Next::Read => match self.read(protocol.deadline()) {
                    Read::Bytes => {
                        seen = true;
                        protocol.receive(&mut self.input, &mut self.output, &self.now)
                    }
                    Read::End => {
                        self.input_closed = true;
                        protocol.input_closed(&mut self.output, &self.now)
                    }
                    Read::Message(message) => {
                        protocol.deliver(message, &mut self.output, &self.now)
                    }
                    Read::TimedOut => protocol.timed_out(&mut self.output, &self.now),
                    Read::Draining => {
                        self.told = true;
                        protocol.drain(&mut self.output, &self.now)
                    }
                    Read::Lost => return Ok(None),
                },
                Next::Produce => protocol.produce(&mut self.output, &self.now),
                Next::Wait => match self.wait(protocol.deadline()) {
                    Waited::Message(message) => {
                        protocol.deliver(message, &mut self.output, &self.now)
                    }
                    Waited::TimedOut => protocol.timed_out(&mut self.output, &self.now),
                    Waited::Draining => {
                        self.told = true;
                        protocol.drain(&mut self.output, &self.now)
                    }
                },
                Next::Close => return Ok(None),
                Next::Linger => {
                    self.linger();
                    return Ok(None);
                }
                Next::Abort => {
                    self.rfile.reset_on_close();
                    return Ok(None);
                }
                Next::Upgrade(protocol) => return Ok(Some(protocol)),
            };
        }
    }

    /// Sends everything; `false` if the client is gone, or does not read, or too slowly.
    fn send(&mut self) -> bool {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        while !self.output.is_empty() {
            let deadline = pace.deadline(self.settings);
            let left = deadline.map(|deadline| deadline.saturating_duration_since(now));
            match self.send_some(left) {
                Ok(0) | Err(_) => return false,
                Ok(sent) => {
                    now = Instant::now();
                    pace.advance(sent, now);
                }
            }
        }
        true
    }

    /// Sends as much as the client takes in `left`.
    fn send_some(&mut self, left: Option<Duration>) -> io::Result<usize> {
        if left == Some(Duration::ZERO) {
            return Err(ErrorKind::TimedOut.into());
        }
        self.rfile.set_timeout(left)?;
        let sent = uninterrupted(|| self.wfile.write(&self.output))?;
        self.output.consume(sent);
        Ok(sent)
    }

    /// How long until `deadline`, for a protocol that believes in the time it was told.
    fn left(&self, deadline: Option<Instant>) -> Option<Duration> {
        let now = self.now.instant();
        deadline.map(|deadline| deadline.saturating_duration_since(now))
    }

    /// Whether the server drains, and the protocol does not know.
    fn is_draining(&self) -> bool {
        let set = |draining: &AtomicBool| draining.load(Ordering::Acquire);
        !self.told && self.rfile.draining().is_some_and(set)
    }

    /// How long to block for something that is to come in `left`: no longer than a glance,
    /// where this is not the loop's own thread.
    fn glance(&self, left: Option<Duration>) -> Option<Duration> {
        match self.rfile.draining() {
            Some(_) => Some(left.map_or(GLANCE, |left| left.min(GLANCE))),
            None => left,
        }
    }

    /// Waits for bytes until `deadline` and adds them to the input.
    fn read(&mut self, deadline: Option<Instant>) -> Read<M> {
        let left = self.left(deadline);
        let until = left.and_then(|left| Instant::now().checked_add(left));
        loop {
            if self.is_draining() {
                self.now.advance(Instant::now());
                return Read::Draining;
            }
            if let Some(message) = self.post.wait(Some(self.now.instant())) {
                return Read::Message(message);
            }
            let rest = until.map(|until| until.saturating_duration_since(Instant::now()));
            let glance = self.glance(rest);
            let read = match left {
                Some(Duration::ZERO) => Err(ErrorKind::TimedOut.into()),
                // What is there already is in time, however long it took to come to this.
                _ => receive(self.rfile, &mut self.input, glance),
            };
            self.now.advance(Instant::now());
            return match read {
                Ok(0) => Read::End,
                Ok(_) if self.is_draining() => Read::Draining, // first of that, then of the bytes
                Ok(_) => Read::Bytes,
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut
                        if until.is_none_or(|until| self.now.instant() < until) =>
                    {
                        continue;
                    }
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => Read::TimedOut,
                    _ => Read::Lost,
                },
            };
        }
    }

    /// Waits for a message until `deadline`.
    fn wait(&mut self, deadline: Option<Instant>) -> Waited<M> {
        let left = self.left(deadline);
        let until = left.and_then(|left| Instant::now().checked_add(left));
        loop {
            if self.is_draining() {
                self.now.advance(Instant::now());
                return Waited::Draining;
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let glance = self.glance(left);
            let message = self.post.wait(glance.map(|glance| Instant::now() + glance));
            self.now.advance(Instant::now());
            match message {
                Some(message) => return Waited::Message(message),
                None if until.is_some_and(|until| until <= self.now.instant()) => {
                    return Waited::TimedOut;
                }
                None => {}
            }
        }
    }

    /// Says that this was all, and reads away what the client still sends, for a bounded time and
    /// up to a bounded amount (TCP-8).
    fn linger(&mut self) {
        if self.rfile.shutdown_write().is_err() {
            return; // the client is gone
        }
        self.now.advance(Instant::now());
        let deadline = &self.now + self.settings.linger;
        let mut left = DISCARD;
        while left > 0 {
            self.input.clear();
            match self.read(Some(deadline)) {
                Read::Bytes => left = left.saturating_sub(self.input.len()),
                Read::Message(_) => {} // too late
                _ => return,
            }
        }
    }

    /// Keeps the first failure until the end, logs a later one, and hands on what stops the
    /// server.
    fn keep(&mut self, failure: Option<Failure>) -> HandlerResult {
        match (failure, &self.failure) {
            (None, _) => {}
            (Some(Failure::Stop), _) => return Err(Failure::Stop),
            (Some(Failure::Request(later)), Some(_)) => complain("a request failed", &later),
            (first, None) => self.failure = first,
        }
        Ok(())
    }
}

/// What one read brought.
enum Read<M> {
    Bytes,
    Message(M),
    End,
    TimedOut,
    Draining,
    Lost,
}

/// What one wait brought.
enum Waited<M> {
    Message(M),
    TimedOut,
    Draining,
}

/// How long a blocked thread takes to notice a message, or that the server drains: short for who
/// waits for it, long for a processor.
const GLANCE: Duration = Duration::from_millis(100);

fn receive(
    rfile: &mut dyn Rfile,
    input: &mut Buffer,
    timeout: Option<Duration>,
) -> io::Result<usize> {
    rfile.set_timeout(timeout)?;
    let count = uninterrupted(|| {
        let bytes = rfile.fill_buf()?;
        input.extend_from_slice(bytes);
        Ok(bytes.len())
    })?;
    rfile.consume(count);
    Ok(count)
}

/// What `call` comes to when no signal interrupts it (PEP 475).
fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
