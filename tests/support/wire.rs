//! A connection in the hands of a test: bytes, times and messages in, bytes and verdicts out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serve_forever::http::{HttpConnection, HttpRequestHandler, HttpSettings, Message};
use serve_forever::reactor::Now;
use serve_forever::socketserver::{Buffer, Inbox, Mailbox, Next, Protocol};

pub const DATE: &str = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
pub const SERVER: &str = concat!("Server: serve_forever/", env!("CARGO_PKG_VERSION"), "\r\n");

pub fn peer() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 4711))
}

/// A connection in the hands of the test, which does what its verdicts say.
pub struct Wire {
    pub protocol: Box<dyn Protocol<Message = Message>>,
    pub input: Buffer,
    pub output: Buffer,
    began: Instant,
    now: Now,
    /// Everything that was sent.
    pub sent: Vec<u8>,
    pub verdict: &'static str,
    /// Whether the test lets output be sent.
    pub open: bool,
    inbox: Inbox<Message>,
}

impl Wire {
    pub fn new(handler: impl HttpRequestHandler + 'static) -> Wire {
        Wire::with(HttpSettings::default(), handler)
    }

    pub fn with(settings: HttpSettings, handler: impl HttpRequestHandler + 'static) -> Wire {
        let inbox = Inbox::new();
        let mailbox = inbox.mailbox();
        Wire::reachable_by(mailbox, inbox, settings, handler)
    }

    /// A connection that nobody can send a message to.
    pub fn unreachable(handler: impl HttpRequestHandler + 'static) -> Wire {
        let settings = HttpSettings::default();
        Wire::reachable_by(Mailbox::dangling(), Inbox::new(), settings, handler)
    }

    fn reachable_by(
        mailbox: Mailbox<Message>,
        inbox: Inbox<Message>,
        settings: HttpSettings,
        handler: impl HttpRequestHandler + 'static,
    ) -> Wire {
        let connection = HttpConnection::new(handler, peer(), Arc::new(settings));
        let began = Instant::now();
        let mut wire = Wire {
            protocol: Box::new(connection),
            input: Buffer::new(),
            output: Buffer::new(),
            began,
            now: Now::new(),
            sent: Vec::new(),
            verdict: "",
            open: true,
            inbox,
        };
        wire.at(Duration::ZERO);
        let next = wire
            .protocol
            .connection_made(mailbox, &mut wire.output, &wire.now);
        wire.follow(next);
        wire
    }

    /// Sets the time, counted from the beginning of the connection; the date stays.
    pub fn at(&mut self, time: Duration) {
        let wall = UNIX_EPOCH + Duration::from_secs(784_111_777);
        self.now = Now::at(self.began + time, wall);
    }

    /// Whether more will be read.
    pub fn reads(&self) -> bool {
        self.verdict == "Read"
    }

    pub fn receive(&mut self, bytes: impl AsRef<[u8]>) {
        assert!(self.reads(), "nothing is read after {}", self.verdict);
        self.input.extend_from_slice(bytes.as_ref());
        let next = self
            .protocol
            .receive(&mut self.input, &mut self.output, &self.now);
        self.follow(next);
    }

    /// Delivers what other threads have sent; how much that was.
    pub fn deliver(&mut self) -> usize {
        let mut count = 0;
        while self.verdict == "Read" || self.verdict == "Wait" {
            let Some(message) = self.inbox.receive() else {
                break;
            };
            count += 1;
            let next = self.protocol.deliver(message, &mut self.output, &self.now);
            self.follow(next);
            self.offer();
        }
        count
    }

    /// Offers what was left, as the owner of a connection does after anything but `receive`.
    fn offer(&mut self) {
        if self.reads() && !self.input.is_empty() {
            self.receive("");
        }
    }

    pub fn connection_lost(&mut self) {
        self.protocol.connection_lost(&self.now);
    }

    pub fn input_closed(&mut self) {
        assert!(self.reads());
        let next = self.protocol.input_closed(&mut self.output, &self.now);
        self.follow(next);
    }

    /// Output had to wait for the client, and is sent now.
    pub fn output_sent(&mut self) {
        self.protocol.output_sent(&self.now);
    }

    pub fn timed_out(&mut self) {
        let next = self.protocol.timed_out(&mut self.output, &self.now);
        self.follow(next);
    }

    /// The server is stopping, and nothing more has arrived.
    pub fn drain(&mut self) {
        self.drain_with("");
    }

    /// The server is stopping. These bytes have arrived, and the protocol did not know.
    pub fn drain_with(&mut self, bytes: impl AsRef<[u8]>) {
        let mut nothing = Buffer::new();
        let input = match self.reads() {
            true => {
                self.input.extend_from_slice(bytes.as_ref());
                &mut self.input
            }
            false => &mut nothing,
        };
        let next = self.protocol.drain(input, &mut self.output, &self.now);
        self.follow(next);
    }

    /// Sends, and goes on as the owner of a connection does.
    pub fn follow(&mut self, mut next: Next<Message>) {
        loop {
            if self.open {
                self.sent.extend_from_slice(&self.output);
                self.output.clear();
            }
            self.verdict = match next {
                Next::Read => "Read",
                Next::Produce => "Produce",
                Next::Wait => "Wait",
                Next::Close => "Close",
                Next::Linger => "Linger",
                Next::Abort => {
                    self.output.clear();
                    "Abort"
                }
                Next::Upgrade(protocol) => {
                    self.protocol = protocol;
                    next = self.protocol.connection_made(
                        self.inbox.mailbox(),
                        &mut self.output,
                        &self.now,
                    );
                    if let (Next::Read, false) = (&next, self.input.is_empty()) {
                        next = self
                            .protocol
                            .receive(&mut self.input, &mut self.output, &self.now);
                    }
                    continue;
                }
            };
            if self.verdict != "Produce" || !self.open {
                return;
            }
            next = self.protocol.produce(&mut self.output, &self.now);
            if let (Next::Read, false) = (&next, self.input.is_empty()) {
                next = self
                    .protocol
                    .receive(&mut self.input, &mut self.output, &self.now);
            }
        }
    }

    /// What was sent since the last time this was asked, with [`DATE`] where a thread wrote today's.
    pub fn sent(&mut self) -> String {
        let sent = String::from_utf8(std::mem::take(&mut self.sent));
        with_fixed_dates(&sent.expect("the tests send UTF-8"))
    }

    pub fn deadline(&self) -> Option<Duration> {
        let deadline = self.protocol.deadline()?;
        Some(deadline.duration_since(self.began))
    }

    pub fn failure(&mut self) -> Option<String> {
        let failure = self.protocol.take_failure()?;
        Some(failure.to_string())
    }
}

/// The status of the first answer.
pub fn status(answers: &str) -> u16 {
    let code = answers
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3));
    code.and_then(|code| code.parse().ok())
        .unwrap_or_else(|| panic!("no status line: {answers}"))
}

/// An answer with the usual fields.
pub fn answer(status_line: &str, rest: &str) -> String {
    format!("HTTP/1.1 {status_line}\r\n{SERVER}{DATE}{rest}")
}

pub const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

/// Responses with [`DATE`] in the place of today's date. A response of the loop has the date that
/// the test says; a response that was written away from it has the date of the clock.
pub fn with_fixed_dates(sent: &str) -> String {
    let lines = sent.split_inclusive("\r\n");
    let is_today = |line: &str| {
        let date = line.strip_prefix("Date: ")?.strip_suffix("\r\n")?;
        let age = SystemTime::now().duration_since(httpdate::parse_http_date(date).ok()?);
        Some(date.len() == 29 && age.ok()? < Duration::from_secs(86_400))
    };
    lines
        .map(|line| match is_today(line) {
            Some(true) => DATE,
            _ => line,
        })
        .collect()
}
