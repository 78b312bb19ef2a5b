//! A conversation as a protocol: messages, pings, the closing handshake, and deadlines.
//!
//! ```text
//! Open ── this side closes ──► Closing ── the client closes, or takes too long ──► Closed
//!   └──── the client closes, breaks a rule, or is gone ──────────────────────────────►
//! ```

use std::str;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::close::{Violation, WebSocketClose};
use super::frame::Opcode;
use super::handler::WebSocketHandler;
use super::link::{Link, Outgoing, Phase, write};
use super::message::WebSocketMessage;
use super::reader::{Item, Reader};
use super::settings::WebSocketSettings;
use super::socket::WebSocket;
use crate::http::message::Message;
use crate::http::settings::HttpSettings;
use crate::http::stats::Hit;
use crate::reactor::Now;
use crate::socketserver::{Buffer, Failure, HandlerResult, Mailbox, Next, Protocol, contain};

/// While at least this much output waits to be sent, no further message is looked at.
const MUCH_OUTPUT: usize = 64 * 1024;

/// A shorter heartbeat would only keep the loop busy.
const SHORTEST_HEARTBEAT: Duration = Duration::from_secs(1);

/// One conversation with one client.
pub(super) struct Conversation<H> {
    /// The program's handler. `None` once it knows that the conversation has ended.
    handler: Option<H>,
    /// Reads the frames of the client.
    reader: Reader,
    /// What is sent, and whether anything may still be sent.
    link: Link,
    /// Counts how often each limit and deadline was reached.
    http_settings: Arc<HttpSettings>,
    /// How long a client may be silent.
    heartbeat: Duration,
    /// How long a message may take.
    message_time: Duration,
    /// How long a client may take to close.
    closing: Duration,
    /// When the client last sent anything, was sent a ping, or was told to close.
    since: Option<Instant>,
    /// When the message began that is still arriving.
    begun: Option<Instant>,
    /// The client was sent a ping since it last sent anything.
    is_asked: bool,
    /// The server is stopping.
    is_draining: bool,
    /// A failure to report.
    failure: Option<Failure>,
}

impl<H: WebSocketHandler> Conversation<H> {
    pub(super) fn new(
        settings: &WebSocketSettings,
        http_settings: &Arc<HttpSettings>,
        protocol: Option<&str>,
        handler: H,
    ) -> Conversation<H> {
        Conversation {
            handler: Some(handler),
            reader: Reader::new(settings.message, http_settings),
            link: Link::new(protocol),
            http_settings: Arc::clone(http_settings),
            heartbeat: settings.heartbeat.max(SHORTEST_HEARTBEAT),
            message_time: settings.message_time,
            closing: settings.closing,
            since: None,
            begun: None,
            is_asked: false,
            is_draining: false,
            failure: None,
        }
    }

    /// Acts on something that has arrived whole. Returns what follows if the conversation has ended.
    fn take(
        &mut self,
        item: Item,
        input: &mut Buffer,
        output: &mut Buffer,
    ) -> Option<Next<Message>> {
        let content = self.reader.content(&item, input);
        match item.opcode {
            // After its own Close frame, this side waits only for the client's (RFC 6455 section 5.5.1).
            Opcode::Close => {
                return Some(self.client_closes(WebSocketClose::read(content), output));
            }
            Opcode::Ping => self.link.send(Opcode::Pong, content, output),
            // What if the reader has let through a text that is not UTF-8? It never does.
            Opcode::Text => {
                self.begun = None;
                let text = str::from_utf8(content).unwrap_or_default();
                let message = WebSocketMessage::Text(text);
                let handled = hand_over(&mut self.handler, &mut self.link, message, output);
                self.check(handled, output);
            }
            Opcode::Binary => {
                self.begun = None;
                let message = WebSocketMessage::Binary(content);
                let handled = hand_over(&mut self.handler, &mut self.link, message, output);
                self.check(handled, output);
            }
            // That the client has sent it is enough.
            Opcode::Pong | Opcode::Continuation => {}
        }
        self.reader.done(item, input);
        None
    }

    /// The client has sent its Close frame: sends the same code, if none was sent, and closes.
    fn client_closes(
        &mut self,
        close: Result<WebSocketClose, Violation>,
        output: &mut Buffer,
    ) -> Next<Message> {
        let close = match close {
            Ok(close) => close,
            Err(violation) => return self.refuse(violation, output),
        };
        if self.link.phase == Phase::Open {
            let echo = WebSocketClose::new(close.code(), "");
            write(Opcode::Close, &echo.content(), output);
        }
        self.end(close);
        Next::Close
    }

    /// The client has broken the rules: tells it which, and closes without waiting for it.
    fn refuse(&mut self, violation: Violation, output: &mut Buffer) -> Next<Message> {
        self.count(match violation.code {
            WebSocketClose::TOO_LONG => Hit::BodyTooLarge,
            WebSocketClose::TRY_AGAIN_LATER => Hit::BodyShed,
            _ => Hit::BadRequest,
        });
        let close = WebSocketClose::new(violation.code, violation.reason);
        self.give_up(close, output)
    }

    /// Sends a Close frame, if none was sent, and closes without waiting for the client.
    fn give_up(&mut self, close: WebSocketClose, output: &mut Buffer) -> Next<Message> {
        self.link.close(close.clone(), output);
        self.end(close);
        Next::Linger
    }

    /// Ends the conversation, and tells the handler.
    fn end(&mut self, close: WebSocketClose) {
        self.link.end();
        // The connection may linger for a while, and others need the room.
        self.reader.forget();
        // If both sides have closed, the first reason is the one that counts.
        let close = self.link.close.take().unwrap_or(close);
        if let Some(mut handler) = self.handler.take() {
            let told = contain(|| {
                handler.closed(&close);
                drop(handler);
                Ok(())
            });
            self.report(told);
        }
    }

    /// What if the handler has failed? The client is told, and the server too.
    fn check(&mut self, handled: HandlerResult, output: &mut Buffer) {
        if let Err(failure) = &handled {
            let code = match failure {
                Failure::Request(_) => WebSocketClose::SERVER_ERROR,
                Failure::Stop(_) => WebSocketClose::GOING_AWAY,
            };
            self.link.close(WebSocketClose::new(code, ""), output);
        }
        self.report(handled);
    }

    fn count(&self, hit: Hit) {
        self.http_settings.counters.count(hit);
    }

    /// Keeps the first failure that was not reported yet.
    fn report(&mut self, result: HandlerResult) {
        if let Err(failure) = result {
            self.failure.get_or_insert(failure);
        }
    }

    /// The client has sent something.
    fn heard(&mut self, now: &Now) {
        // What if this side waits for the client's Close frame? Then nothing else counts.
        if self.link.phase == Phase::Open {
            self.since = Some(now.instant());
            self.is_asked = false;
        }
    }

    /// Returns until when the message must end that is still arriving.
    fn message_deadline(&self) -> Option<Instant> {
        self.begun?.checked_add(self.message_time)
    }

    /// Lets the deadline of the closing handshake begin, if this side has just closed.
    fn follow(&mut self, was: Phase, now: &Now) {
        if was == Phase::Open && self.link.phase == Phase::Closing {
            self.since = Some(now.instant());
        }
    }

    /// Reads frames until there is no whole one, or too much waits to be sent.
    fn read(&mut self, input: &mut Buffer, output: &mut Buffer) -> Next<Message> {
        loop {
            let item = match self.reader.next(input) {
                Ok(Some(item)) => item,
                Ok(None) => return Next::Read,
                Err(violation) => return self.refuse(violation, output),
            };
            if let Some(next) = self.take(item, input, output) {
                return next;
            }
            if output.len() >= MUCH_OUTPUT && !input.is_empty() {
                return Next::Produce; // and then read on
            }
        }
    }
}

/// Gives a message to the handler, unless this side has closed.
fn hand_over<H: WebSocketHandler>(
    handler: &mut Option<H>,
    link: &mut Link,
    message: WebSocketMessage<'_>,
    output: &mut Buffer,
) -> HandlerResult {
    match handler {
        Some(handler) if link.phase == Phase::Open => {
            let socket = &mut WebSocket { link, output };
            contain(|| handler.message(socket, message))
        }
        _ => Ok(()),
    }
}

impl<H: WebSocketHandler> Protocol for Conversation<H> {
    type Message = Message;

    fn connection_made(
        &mut self,
        mailbox: Mailbox<Message>,
        output: &mut Buffer,
        now: &Now,
    ) -> Next<Message> {
        self.link.mailbox = Some(mailbox);
        self.heard(now);
        if let Some(handler) = &mut self.handler {
            let link = &mut self.link;
            let opened = contain(|| handler.open(&mut WebSocket { link, output }));
            self.check(opened, output);
        }
        Next::Read
    }

    fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, now: &Now) -> Next<Message> {
        self.heard(now);
        let was = self.link.phase;
        let next = self.read(input, output);
        if self.reader.is_in_message() {
            self.begun.get_or_insert(now.instant());
        }
        self.follow(was, now);
        next
    }

    fn input_closed(&mut self, _output: &mut Buffer, _now: &Now) -> Next<Message> {
        self.end(WebSocketClose::new(WebSocketClose::ABNORMAL, ""));
        Next::Close
    }

    fn deliver(&mut self, message: Message, output: &mut Buffer, now: &Now) -> Next<Message> {
        let was = self.link.phase;
        if let Message::Custom(message) = message {
            if let Some(outgoing) = Outgoing::of(message) {
                self.link.forward(outgoing, output);
            }
        }
        self.follow(was, now);
        Next::Read
    }

    fn output_sent(&mut self, now: &Now) {
        // While the output waited, nobody may have read what the client sends (RT-13).
        self.since = Some(now.instant());
    }

    fn timed_out(&mut self, output: &mut Buffer, now: &Now) -> Next<Message> {
        let close = |code, reason| WebSocketClose::new(code, reason);
        let was = self.link.phase;
        match was {
            Phase::Open if self.is_draining => {
                let goodbye = close(WebSocketClose::GOING_AWAY, "the server is stopping");
                self.link.close(goodbye, output);
            }
            Phase::Open
                if self
                    .message_deadline()
                    .is_some_and(|due| due <= now.instant()) =>
            {
                self.count(Hit::BodyTimeout);
                let slow = close(WebSocketClose::POLICY, "a message took too long");
                return self.give_up(slow, output);
            }
            Phase::Open if self.is_asked => {
                self.count(Hit::KeepAliveTimeout);
                let silent = close(WebSocketClose::SERVER_ERROR, "there was no pong");
                return self.give_up(silent, output);
            }
            Phase::Open => {
                self.link.send(Opcode::Ping, b"", output);
                self.is_asked = true;
                self.since = Some(now.instant());
            }
            Phase::Closing | Phase::Closed => {
                self.count(Hit::KeepAliveTimeout);
                self.end(close(WebSocketClose::ABNORMAL, ""));
                return Next::Linger;
            }
        }
        self.follow(was, now);
        Next::Read
    }

    fn drain(&mut self, input: &mut Buffer, output: &mut Buffer, now: &Now) -> Next<Message> {
        // Not before the messages are delivered that other threads have sent. So `timed_out` says
        // good-bye, whose time has come.
        self.is_draining = true;
        match input.is_empty() {
            true => Next::Read,
            false => self.receive(input, output, now),
        }
    }

    fn connection_lost(&mut self, _now: &Now) {
        self.end(WebSocketClose::new(WebSocketClose::ABNORMAL, ""));
    }

    fn deadline(&self) -> Option<Instant> {
        let since = self.since?;
        match self.link.phase {
            Phase::Open if self.is_draining => Some(since),
            Phase::Open => {
                let (silence, message) =
                    (since.checked_add(self.heartbeat), self.message_deadline());
                silence.into_iter().chain(message).min()
            }
            Phase::Closing => since.checked_add(self.closing),
            Phase::Closed => None,
        }
    }

    fn keeps_blocks(&self) -> bool {
        true
    }

    fn take_failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }
}
