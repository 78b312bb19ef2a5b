//! TLS as a protocol around a protocol.

use std::fmt;
use std::mem;
use std::time::{Duration, Instant};

use rustls::Error;

use super::config::TlsConfig;
use super::records::Records;
use super::scratch::{KEPT, Scratch};
use super::session::TlsSession;
use super::stats::Event;
use crate::reactor::Now;
use crate::socketserver::buffer::Buffer;
use crate::socketserver::failure::Failure;
use crate::socketserver::mailbox::Mailbox;
use crate::socketserver::protocol::{Conversation, Next, Protocol};

/// What a client that speaks plain HTTP is told, in the only language that it understands.
const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    Content-Type: text/plain; charset=utf-8\r\nContent-Length: 78\r\nConnection: close\r\n\r\n\
    This port speaks HTTPS. Write https:// instead of http:// before the address.\n";

/// The server side of one TLS connection, and the protocol that is spoken inside. A
/// [`Tls`](super::Tls) factory makes it.
pub struct TlsConnection<P: Protocol> {
    /// The protocol inside. It knows nothing of the connection until the handshake is complete.
    inner: Conversation<P>,
    /// The part of its last verdict that is still to be followed.
    asked: Asked,
    /// How other threads reach the protocol inside.
    mailbox: Option<Mailbox<P::Message>>,
    /// The certificate and the rules, and the counters.
    config: TlsConfig,
    /// How far it is.
    stage: Stage,
    /// Plaintext that has arrived and that the protocol inside has not used.
    input: Buffer,
    /// Plaintext of the protocol inside that could not be encrypted yet, because the output was long.
    /// Boxed: an idle connection has none ([design law 6]).
    ///
    /// [design law 6]: crate::spec#law-6
    held: Option<Box<Buffer>>,
    /// What there is to report of a protocol that another one has replaced.
    replaced: Option<Box<Replaced>>,
    /// Whether the protocol inside knows that the server is stopping.
    told: Told,
    /// The protocol inside has been told that the client sends no more.
    is_input_closed: bool,
    /// Output of the protocol inside was sent, but not all.
    owes_notice: bool,
}

/// The stages of a connection.
enum Stage {
    /// The handshake is not complete.
    Handshake(Box<Handshake>),
    /// The protocol inside is connected.
    Open(Box<Records>),
    /// Nothing more is encrypted or decrypted. Whether the protocol inside was ever connected.
    Over(bool),
}

/// What is needed only until the handshake is complete.
struct Handshake {
    /// `None` until the first byte has arrived.
    records: Option<Box<Records>>,
    /// What the handshake will fill.
    session: TlsSession,
    /// How much time the client has.
    timeout: Duration,
    /// When that is over.
    until: Option<Instant>,
}

/// A verdict of the protocol inside, without what was followed at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Read,
    Produce,
    Wait,
    Close,
    Linger,
    Abort,
}

/// Whether the server is stopping, and the protocol inside knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// The server runs.
    Serving,
    /// The server is stopping. The protocol inside is told as soon as it can be.
    Not,
    /// It is told when its first bytes have arrived: the drain has met the handshake ([SHUT-14]).
    ///
    /// [SHUT-14]: crate::spec#shut-14
    Later,
    /// It knows.
    Yes,
}

#[derive(Default)]
struct Replaced {
    failure: Option<Failure>,
    completed: usize,
}

impl<P: Protocol> TlsConnection<P> {
    /// Wraps a protocol. The handshake fills `session`.
    pub(super) fn new(
        inner: P,
        session: TlsSession,
        config: TlsConfig,
        handshake_timeout: Duration,
    ) -> TlsConnection<P> {
        TlsConnection {
            inner: Conversation::First(inner),
            asked: Asked::Read,
            mailbox: None,
            config,
            stage: Stage::Handshake(Box::new(Handshake {
                records: None,
                session,
                timeout: handshake_timeout,
                until: None,
            })),
            input: Buffer::new(),
            held: None,
            replaced: None,
            told: Told::Serving,
            is_input_closed: false,
            owes_notice: false,
        }
    }

    /// Takes all of `input`, and goes on with what it says.
    fn go_on(&mut self, input: &mut Buffer, output: &mut Buffer, now: &Now) -> Next<P::Message> {
        let mut scratch = Scratch::take();
        let before = self.input.len();
        let next = match self.decrypt(input, &mut scratch.input, output) {
            Ok(()) => {
                let arrived = !scratch.input.is_empty() || self.input.len() > before;
                self.hand_over(arrived, &mut scratch, output, now)
            }
            Err(next) => next,
        };
        scratch.put_back();
        next
    }

    /// Decrypts all of `input`, behind the plaintext that is left, or else into `plain`.
    ///
    /// # Errors
    ///
    /// Returns what the owner has to do if that was the end.
    fn decrypt(
        &mut self,
        input: &mut Buffer,
        plain: &mut Buffer,
        output: &mut Buffer,
    ) -> Result<(), Next<P::Message>> {
        let plain = match self.input.is_empty() {
            true => plain,
            false => &mut self.input,
        };
        let records = match &mut self.stage {
            Stage::Open(records) => records,
            Stage::Over(_) => return Err(Next::Close),
            Stage::Handshake(handshake) => match &mut handshake.records {
                Some(records) => records,
                None if input.first().is_some_and(u8::is_ascii_uppercase) => {
                    self.config.counters().count(Event::PlainHttp);
                    input.clear();
                    output.extend_from_slice(PLAIN_HTTP);
                    return Err(self.end(Next::Linger));
                }
                first => match Records::new(self.config.of_connection(&handshake.session)) {
                    Ok(records) => first.insert(Box::new(records)),
                    Err(error) => {
                        self.replaced.get_or_insert_default().failure = Some(error.into());
                        return Err(self.end(Next::Close));
                    }
                },
            },
        };
        let received = records.receive(input, plain, output);
        received.map_err(|error| self.fail(&error))
    }

    /// Hands over the plaintext that has arrived, once the handshake is complete.
    fn hand_over(
        &mut self,
        arrived: bool,
        scratch: &mut Scratch,
        output: &mut Buffer,
        now: &Now,
    ) -> Next<P::Message> {
        let plain = &mut scratch.output;
        plain.keep_blocks(self.inner.keeps_blocks());
        let mut next = match self.finish_handshake(plain, now) {
            Some(next) => next,
            None if matches!(self.stage, Stage::Handshake(_)) => return Next::Read,
            None => self.asked.again(),
        };
        if arrived && self.told == Told::Later {
            self.told = Told::Not;
        }
        let reads = matches!(next, Next::Read) && self.told != Told::Not;
        if reads && arrived && self.input.is_empty() {
            next = self.inner.receive(&mut scratch.input, plain, now);
        } else if reads && arrived {
            next = self.inner.receive(&mut self.input, plain, now);
        }
        if !scratch.input.is_empty() {
            self.input.extend_from_slice(&scratch.input);
        }
        self.follow(next, reads, plain, output, now)
    }

    /// If the handshake has just become complete, connects the protocol inside, and returns its first
    /// verdict.
    fn finish_handshake(&mut self, plain: &mut Buffer, now: &Now) -> Option<Next<P::Message>> {
        let Stage::Handshake(handshake) = &mut self.stage else {
            return None;
        };
        let records = handshake
            .records
            .take_if(|records| !records.is_handshaking())?;
        handshake.session.agree(records.state());
        let mailbox = self.mailbox.clone()?;
        self.config.counters().count(Event::Handshake);
        self.stage = Stage::Open(records);
        let next = self.inner.connection_made(mailbox, plain, now);
        if self.told == Told::Not && matches!(next, Next::Read) {
            self.told = Told::Later;
        }
        Some(next)
    }

    /// Follows the verdict of the protocol inside as far as it goes without the owner, and encrypts
    /// what was written to `plain`. `seen` says whether the protocol has been offered all its input.
    fn follow(
        &mut self,
        mut next: Next<P::Message>,
        mut seen: bool,
        plain: &mut Buffer,
        output: &mut Buffer,
        now: &Now,
    ) -> Next<P::Message> {
        self.asked = loop {
            next = match next {
                Next::Upgrade(protocol) => {
                    seen = false;
                    self.upgrade(protocol, plain, now)
                }
                Next::Read if self.told == Told::Not => {
                    self.told = Told::Yes;
                    seen = true;
                    self.inner.drain(&mut self.input, plain, now)
                }
                Next::Produce | Next::Wait if self.told == Told::Not => {
                    self.told = Told::Yes;
                    self.inner.drain(&mut Buffer::new(), plain, now)
                }
                Next::Read if !seen && !self.input.is_empty() => {
                    seen = true;
                    self.inner.receive(&mut self.input, plain, now)
                }
                Next::Read if self.has_ended() && self.is_input_closed => break Asked::Close,
                Next::Read if self.has_ended() => {
                    self.is_input_closed = true;
                    seen = false;
                    self.inner.input_closed(plain, now)
                }
                Next::Read => break Asked::Read,
                Next::Produce => break Asked::Produce,
                Next::Wait => break Asked::Wait,
                Next::Close => break Asked::Close,
                Next::Linger => break Asked::Linger,
                Next::Abort => break Asked::Abort,
            };
        };
        self.release_input();
        self.send(plain, output)
    }

    /// Lets another protocol take over inside, and returns its first verdict.
    fn upgrade(
        &mut self,
        protocol: Box<dyn Protocol<Message = P::Message> + Send>,
        plain: &mut Buffer,
        now: &Now,
    ) -> Next<P::Message> {
        let replaced = self.replaced.get_or_insert_default();
        replaced.failure = replaced.failure.take().or(self.inner.take_failure());
        replaced.completed += self.inner.take_completed();
        self.inner = Conversation::Upgraded(protocol);
        plain.keep_blocks(self.inner.keeps_blocks());
        if self.told == Told::Yes {
            self.told = Told::Not; // the new protocol does not know yet
        }
        match self.mailbox.clone() {
            Some(mailbox) => self.inner.connection_made(mailbox, plain, now),
            None => Next::Close, // there is one since the connection was made
        }
    }

    /// Encrypts what is in `plain`, behind what is held, and returns what the owner has to do.
    ///
    /// What if that is much, for example a large block that is not copied? Then the rest is held, and
    /// the owner says when there is room again. Memory follows what the client takes ([design law 7]).
    ///
    /// [design law 7]: crate::spec#law-7
    fn send(&mut self, plain: &mut Buffer, output: &mut Buffer) -> Next<P::Message> {
        if self.asked == Asked::Abort {
            return self.end(Next::Abort);
        }
        let Stage::Open(records) = &mut self.stage else {
            return Next::Close;
        };
        if let Some(held) = &mut self.held {
            held.append_buffer(mem::take(plain));
        }
        let unsent = self.held.as_deref_mut().unwrap_or(&mut *plain);
        if let Err(error) = records.send(unsent, output) {
            return self.fail(&error);
        }
        if !plain.is_empty() {
            self.held = Some(Box::new(match plain.capacity() > KEPT {
                true => mem::take(plain),
                false => plain.split_off_to_fit(),
            }));
        }
        self.held.take_if(|held| held.is_empty());
        match self.asked {
            _ if self.held.is_some() => Next::Produce,
            Asked::Close | Asked::Linger => {
                records.close(output);
                let next = self.asked.again();
                self.end(next)
            }
            asked => asked.again(),
        }
    }

    /// Nothing more is encrypted or decrypted: returns `last`, the last verdict.
    fn end(&mut self, last: Next<P::Message>) -> Next<P::Message> {
        let was_open = !matches!(self.stage, Stage::Handshake(_) | Stage::Over(false));
        self.stage = Stage::Over(was_open);
        self.held = None;
        self.input = Buffer::new();
        last
    }

    /// The client sent what it must not, or refused something. The output may have an alert that says
    /// so; if the connection were closed over unread input, the client might not get it ([TCP-8]).
    ///
    /// [TCP-8]: crate::spec#tcp-8
    fn fail(&mut self, error: &Error) -> Next<P::Message> {
        let event = match self.stage {
            Stage::Handshake(_) => Event::Failed,
            Stage::Open(_) | Stage::Over(_) => Event::Broken,
        };
        self.config.counters().explain(event, error);
        self.end(Next::Linger)
    }

    /// Returns whether the client has said that it sends no more.
    fn has_ended(&self) -> bool {
        matches!(&self.stage, Stage::Open(records) if records.ended())
    }

    /// Returns whether the protocol inside knows of the connection.
    fn is_made(&self) -> bool {
        matches!(self.stage, Stage::Open(_) | Stage::Over(true))
    }

    /// Frees the memory of input that nobody needs any more ([design law 6]).
    ///
    /// [design law 6]: crate::spec#law-6
    fn release_input(&mut self) {
        if self.input.is_empty() {
            self.input = Buffer::new();
        } else if self.input.capacity() > KEPT && self.input.len() < KEPT / 2 {
            self.input = self.input.split_off_to_fit();
        }
    }

    /// Calls `method` of the protocol inside, and follows its verdict.
    fn call(
        &mut self,
        output: &mut Buffer,
        now: &Now,
        method: impl FnOnce(&mut Conversation<P>, &mut Buffer) -> Next<P::Message>,
    ) -> Next<P::Message> {
        let mut scratch = Scratch::take();
        let plain = &mut scratch.output;
        plain.keep_blocks(self.inner.keeps_blocks());
        let next = method(&mut self.inner, plain);
        let next = self.follow(next, false, plain, output, now);
        scratch.put_back();
        next
    }
}

impl Asked {
    /// Returns the verdict once more.
    fn again<M>(self) -> Next<M> {
        match self {
            Asked::Read => Next::Read,
            Asked::Produce => Next::Produce,
            Asked::Wait => Next::Wait,
            Asked::Close => Next::Close,
            Asked::Linger => Next::Linger,
            Asked::Abort => Next::Abort,
        }
    }
}

impl<P: Protocol> Protocol for TlsConnection<P> {
    type Message = P::Message;

    fn connection_made(
        &mut self,
        mailbox: Mailbox<P::Message>,
        _output: &mut Buffer,
        now: &Now,
    ) -> Next<P::Message> {
        self.mailbox = Some(mailbox);
        if let Stage::Handshake(handshake) = &mut self.stage {
            // A time beyond the clock's range is no deadline.
            handshake.until = now.instant().checked_add(handshake.timeout);
        }
        Next::Read
    }

    fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, now: &Now) -> Next<P::Message> {
        self.go_on(input, output, now)
    }

    /// The client has closed its half without a word of TLS. Whoever is between the two may have cut off
    /// the rest, so the protocol inside must not take what it has for the whole (RFC 8446 section 6.1,
    /// [TLS-4]): it learns only that the connection is lost.
    ///
    /// [TLS-4]: crate::spec#tls-4
    fn input_closed(&mut self, output: &mut Buffer, _now: &Now) -> Next<P::Message> {
        match &mut self.stage {
            Stage::Handshake(handshake) if handshake.records.is_some() => {
                self.config.counters().count(Event::Failed);
            }
            Stage::Open(records) => records.close(output),
            Stage::Handshake(_) | Stage::Over(_) => {}
        }
        self.end(Next::Close)
    }

    fn produce(&mut self, output: &mut Buffer, now: &Now) -> Next<P::Message> {
        if self.held.is_some() {
            let next = self.send(&mut Buffer::new(), output);
            if self.held.is_none() && mem::take(&mut self.owes_notice) {
                self.inner.output_sent(now);
            }
            return next;
        }
        self.call(output, now, |inner, plain| inner.produce(plain, now))
    }

    fn deliver(&mut self, message: P::Message, output: &mut Buffer, now: &Now) -> Next<P::Message> {
        self.call(output, now, |inner, plain| {
            inner.deliver(message, plain, now)
        })
    }

    fn output_sent(&mut self, now: &Now) {
        match self.held {
            Some(_) => self.owes_notice = true,
            None if self.is_made() => self.inner.output_sent(now),
            None => {}
        }
    }

    fn timed_out(&mut self, output: &mut Buffer, now: &Now) -> Next<P::Message> {
        if let Stage::Handshake(_) = self.stage {
            self.config.counters().count(Event::Timeout);
            return self.end(Next::Close);
        }
        self.call(output, now, |inner, plain| inner.timed_out(plain, now))
    }

    fn drain(&mut self, input: &mut Buffer, output: &mut Buffer, now: &Now) -> Next<P::Message> {
        self.told = Told::Not;
        match &self.stage {
            Stage::Handshake(handshake) if handshake.records.is_none() && input.is_empty() => {
                self.end(Next::Close)
            }
            _ => self.go_on(input, output, now),
        }
    }

    fn connection_lost(&mut self, now: &Now) {
        if self.is_made() {
            self.inner.connection_lost(now);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Handshake(handshake) => handshake.until,
            // What is held is the owner's business: it waits until the client reads.
            Stage::Open(_) if self.held.is_none() => self.inner.deadline(),
            Stage::Open(_) | Stage::Over(_) => None,
        }
    }

    fn ends_with_input(&self) -> bool {
        matches!(self.stage, Stage::Open(_)) && self.inner.ends_with_input()
    }

    fn take_failure(&mut self) -> Option<Failure> {
        let replaced = self.replaced.as_mut();
        let failure = replaced.and_then(|replaced| replaced.failure.take());
        failure.or_else(|| self.inner.take_failure())
    }

    fn take_completed(&mut self) -> usize {
        let replaced = self.replaced.take_if(|replaced| replaced.failure.is_none());
        replaced.map_or(0, |replaced| replaced.completed) + self.inner.take_completed()
    }
}

impl<P: Protocol> fmt::Debug for TlsConnection<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::Handshake(_) => "handshake",
            Stage::Open(_) => "open",
            Stage::Over(_) => "over",
        };
        f.debug_struct("TlsConnection")
            .field("stage", &stage)
            .finish_non_exhaustive()
    }
}
