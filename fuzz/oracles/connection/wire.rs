//! Drives a connection like the loop does, with a client at the other end.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, UNIX_EPOCH};

use serve_forever::http::{HttpConnection, HttpSettings, Message};
use serve_forever::reactor::Now;
use serve_forever::socketserver::{Buffer, Mailbox, Next, Protocol};

use super::Answers;
use super::handler::{self, Handler, Log, Shared};
use super::transcript::{self, End};

/// With this much unsent output, the owner neither reads nor calls `produce`.
const HIGH_WATER: usize = 64 * 1024;

/// Settings with limits that are so small that short inputs reach them.
fn settings() -> Arc<HttpSettings> {
    static SETTINGS: OnceLock<Arc<HttpSettings>> = OnceLock::new();
    Arc::clone(SETTINGS.get_or_init(|| Arc::new(small())))
}

fn small() -> HttpSettings {
    let mut settings = HttpSettings::default();
    let head = &mut settings.limits.head;
    (head.request_line, head.head, head.fields) = (120, 400, 8);
    settings.limits.body = 200;
    settings.limits.upload = 300;
    let chunks = &mut settings.limits.chunks;
    (chunks.content, chunks.overhead, chunks.line) = (200, 48, 40);
    (chunks.trailers, chunks.trailer_fields) = (60, 3);
    settings
}

/// The last verdict of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Read { unseen: bool },
    Produce,
    Wait,
    Closed,
    Aborted,
}

pub(crate) struct Wire {
    protocol: Box<dyn Protocol<Message = Message>>,
    mailbox: Mailbox<Message>,
    settings: Arc<HttpSettings>,
    log: Shared,
    stage: Stage,
    upgraded: bool,
    /// How many requests had been begun when the server began to stop.
    drained: Option<usize>,
    input_closed: bool,
    input: Buffer,
    output: Buffer,
    inbox: VecDeque<Message>,
    /// Bytes that the client has sent and nobody has read.
    unread: Vec<u8>,
    /// Whether the client will send nothing more.
    half_closed: bool,
    /// All bytes that were read.
    received: Vec<u8>,
    /// All bytes that the client got.
    sent: Vec<u8>,
    /// Whether the client reads.
    open: bool,
    now: Now,
}

impl Wire {
    pub(crate) fn new(mailbox: Mailbox<Message>, began: Instant) -> Wire {
        let log: Shared = Rc::new(RefCell::new(Log::default()));
        let handler = Handler(Rc::clone(&log));
        let connection = HttpConnection::new(handler, None, settings());
        let mut wire = Wire {
            protocol: Box::new(connection),
            mailbox: mailbox.clone(),
            settings: settings(),
            log,
            stage: Stage::Read { unseen: false },
            upgraded: false,
            drained: None,
            input_closed: false,
            input: Buffer::new(),
            output: Buffer::new(),
            inbox: VecDeque::new(),
            unread: Vec::new(),
            half_closed: false,
            received: Vec::new(),
            sent: Vec::new(),
            open: true,
            now: Now::at(began, UNIX_EPOCH + Duration::from_secs(784_111_777)),
        };
        let next = wire
            .protocol
            .connection_made(mailbox, &mut wire.output, &wire.now);
        wire.follow(next, false);
        wire
    }

    /// Whether somebody may have sent messages that have not arrived here.
    pub(crate) fn expects_messages(&self) -> bool {
        self.log.borrow().posted
    }

    pub(crate) fn no_more_messages(&mut self) {
        self.log.borrow_mut().posted = false;
    }

    /// Queues a message. The protocol gets it when it can take it.
    pub(crate) fn post(&mut self, message: Message) {
        self.inbox.push_back(message);
        self.advance();
    }

    pub(crate) fn arrive(&mut self, bytes: &[u8]) {
        if !self.half_closed {
            self.unread.extend_from_slice(bytes);
            self.advance();
        }
    }

    /// Somebody sends a message that no HTTP connection understands.
    pub(crate) fn message(&mut self) {
        self.inbox.push_back(Message::Custom(Box::new(())));
        self.advance();
    }

    pub(crate) fn open(&mut self, open: bool) {
        self.open = open;
        self.advance();
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now = Now::at(self.now.instant() + time, self.now.wall());
    }

    /// Lets time pass until the protocol's deadline, if it has one. While output waits to be sent, the
    /// deadline does not count.
    pub(crate) fn time_out(&mut self) {
        if self.is_over() || !self.output.is_empty() {
            return;
        }
        if let Some(deadline) = self.protocol.deadline() {
            self.pass(deadline.saturating_duration_since(self.now.instant()));
            let next = self.protocol.timed_out(&mut self.output, &self.now);
            self.follow(next, false);
            self.advance();
        }
    }

    pub(crate) fn half_close(&mut self) {
        self.half_closed = true;
        self.advance();
    }

    pub(crate) fn drain(&mut self) {
        if self.is_over() {
            return;
        }
        let begun = self.log.borrow().exchanges.len();
        self.drained.get_or_insert(begun);
        let mut nothing = Buffer::new();
        let input = match self.stage {
            Stage::Read { .. } => {
                self.read(); // SHUT-14
                &mut self.input
            }
            _ => &mut nothing,
        };
        let next = self.protocol.drain(input, &mut self.output, &self.now);
        self.follow(next, false);
        self.advance();
    }

    /// Takes the next step of a response that is made outside of the handler.
    pub(crate) fn answer(&mut self) {
        self.log.borrow_mut().answer();
    }

    fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Closed | Stage::Aborted)
    }

    /// Sends and steps in turn until nothing more can be done, like the loop.
    fn advance(&mut self) {
        let most = 100 + 20 * (self.received.len() + self.unread.len() + self.inbox.len());
        for _ in 0..most {
            self.send();
            if !self.step() {
                return;
            }
            self.watch();
        }
        panic!("a busy loop: {:?}", self.stage);
    }

    fn send(&mut self) {
        if self.stage == Stage::Aborted {
            self.output.clear();
        }
        if self.open {
            self.sent.extend_from_slice(&self.output);
            self.output.clear();
        }
    }

    fn step(&mut self) -> bool {
        let full = self.output.len() >= HIGH_WATER;
        match self.stage {
            Stage::Closed | Stage::Aborted => return false,
            _ if full => return false,
            Stage::Read { .. } | Stage::Wait if !self.inbox.is_empty() => {
                if let Some(message) = self.inbox.pop_front() {
                    let next = self.protocol.deliver(message, &mut self.output, &self.now);
                    self.follow(next, false);
                }
            }
            Stage::Wait => return false,
            Stage::Produce => {
                let next = self.protocol.produce(&mut self.output, &self.now);
                self.follow(next, false);
            }
            Stage::Read { unseen: true } => self.offer(),
            Stage::Read { unseen: false } if !self.unread.is_empty() => {
                self.read();
                self.offer();
            }
            Stage::Read { unseen: false } if self.half_closed && !self.input_closed => {
                self.input_closed = true;
                let next = self.protocol.input_closed(&mut self.output, &self.now);
                self.follow(next, false);
            }
            Stage::Read { unseen: false } => return false,
        }
        true
    }

    fn read(&mut self) {
        self.received.extend_from_slice(&self.unread);
        self.input.extend_from_slice(&self.unread);
        self.unread.clear();
    }

    fn offer(&mut self) {
        let next = self
            .protocol
            .receive(&mut self.input, &mut self.output, &self.now);
        self.follow(next, true);
    }

    fn follow(&mut self, mut next: Next<Message>, mut seen: bool) {
        while let Next::Upgrade(protocol) = next {
            self.protocol = protocol;
            self.upgraded = true;
            seen = false;
            let mailbox = self.mailbox.clone();
            next = self
                .protocol
                .connection_made(mailbox, &mut self.output, &self.now);
        }
        let unseen = !seen && !self.input.is_empty();
        self.stage = match next {
            Next::Read if self.input_closed && !unseen => Stage::Closed,
            Next::Read => Stage::Read { unseen },
            Next::Produce => Stage::Produce,
            Next::Wait => Stage::Wait,
            Next::Abort => Stage::Aborted,
            Next::Close | Next::Linger | Next::Upgrade(_) => Stage::Closed,
        };
    }

    /// Checks what must hold after each step.
    fn watch(&self) {
        let log = self.log.borrow();
        let limits = &self.settings.limits;
        if self.stage == (Stage::Read { unseen: false }) {
            let empty_lines = 8;
            let most = empty_lines + limits.head.head + limits.body + limits.chunks.trailers;
            assert!(
                self.input.len() <= most,
                "kept of the input: {}",
                self.input.len()
            );
            let deadline = self.protocol.deadline();
            assert!(
                self.upgraded || deadline.is_some(),
                "a client may be silent for ever"
            );
        }
        let heard = self.inbox.is_empty() && !log.posted;
        if self.stage == Stage::Wait && heard && !log.pushes() {
            let deadline = self.protocol.deadline();
            assert!(deadline.is_some(), "an answer may take for ever");
        }
        // The output may exceed the mark by one response or one block, with its fields.
        let most = 2 * HIGH_WATER + handler::LARGEST;
        assert!(self.output.len() <= most, "unsent: {}", self.output.len());
        if let (Some(drained), false) = (self.drained, self.upgraded) {
            let begun = log.exchanges.len();
            assert!(begun <= drained + 1, "a request was begun while draining");
        }
    }

    /// Lets the client read everything. Returns whether a message may be on its way then.
    pub(crate) fn settle(&mut self) -> bool {
        self.open(true);
        self.expects_messages()
    }

    /// Checks what the client got, and returns it.
    pub(crate) fn end(mut self) -> Answers {
        self.send();
        self.protocol.connection_lost(&self.now);
        let log = self.log.borrow();
        transcript::judge(&End {
            exchanges: &log.exchanges,
            logged: log.logged,
            last_is_head: log.last_is_head,
            received: &self.received,
            sent: &self.sent,
            stage: self.stage,
            limits: &self.settings.limits,
            drained: self.drained,
            half_closed: self.half_closed,
        });
        let streamed = log.exchanges.iter().any(|exchange| exchange.streamed);
        drop(log);
        Answers {
            bytes: self.sent,
            streamed,
        }
    }
}
