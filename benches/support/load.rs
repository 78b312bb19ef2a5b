//! A client that costs little: one thread, many connections, and it counts bytes instead of parsing.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::SockRef;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a client sends.
#[derive(Clone)]
pub struct Load {
    pub name: &'static str,
    pub request: Vec<u8>,
    pub connections: usize,
    /// How many requests are sent at once on a connection.
    pub depth: usize,
    /// Whether each request has a connection of its own. The request has to say so.
    pub closes: bool,
}

/// What a server does wrong, for a reader.
pub type Misconduct = Box<dyn std::error::Error>;

/// What happened in one run.
pub struct Run {
    /// How many requests were answered.
    pub requests: u64,
    /// For each batch of requests, how long the answer took, sorted.
    latencies: Vec<Duration>,
}

impl Run {
    /// The time in which so many of 1000 batches were answered.
    pub fn latency(&self, permille: usize) -> Duration {
        self.latencies[(self.latencies.len() - 1) * permille / 1000]
    }
}

/// The connections to one server. Between two runs they are idle. They are reset when this is dropped.
pub struct Client<'l> {
    load: &'l Load,
    address: SocketAddr,
    /// What one connection sends at once.
    batch: Vec<u8>,
    /// The length of the answers to a batch.
    answers: usize,
    poll: Poll,
    connections: Vec<Connection>,
    room: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    /// When the batch was sent; `None` if no answer is expected.
    began: Option<Instant>,
    sent: usize,
    received: usize,
}

/// What a connection has come to.
enum Progress {
    Waits,
    Answered,
    Closed,
}

impl<'l> Client<'l> {
    /// Sends one request to learn how long its answer is, and opens the connections.
    ///
    /// # Errors
    ///
    /// Returns what the server does wrong.
    pub fn connect(address: SocketAddr, load: &'l Load) -> Result<Client<'l>, Misconduct> {
        let mut client = Client {
            load,
            address,
            batch: load.request.repeat(load.depth),
            answers: load.depth * length_of_answer(address, &load.request)?,
            poll: Poll::new().expect("a poll"),
            connections: Vec::new(),
            room: vec![0; 256 * 1024],
        };
        if !load.closes {
            for slot in 0..load.connections {
                let connection = client.open(slot);
                client.connections.push(connection);
            }
            // The first run has no connection left to accept.
            client.run(Duration::ZERO)?;
        }
        Ok(client)
    }

    fn open(&self, slot: usize) -> Connection {
        let mut stream = TcpStream::connect(self.address).expect("a socket");
        // A connection that is reset leaves nothing behind that would use up the ports.
        let socket = SockRef::from(&stream);
        socket.set_linger(Some(Duration::ZERO)).expect("an option");
        let both = Interest::READABLE | Interest::WRITABLE;
        let registered = self
            .poll
            .registry()
            .register(&mut stream, Token(slot), both);
        registered.expect("a registration");
        stream.set_nodelay(true).expect("an option");
        Connection {
            stream,
            began: None,
            sent: 0,
            received: 0,
        }
    }

    /// Sends requests for so long, on each connection the next when the last is answered. It returns
    /// when everything is answered.
    ///
    /// # Errors
    ///
    /// Returns what the server does wrong.
    pub fn run(&mut self, time: Duration) -> Result<Run, Misconduct> {
        let ends = Instant::now() + time;
        if self.load.closes {
            self.connections = (0..self.load.connections)
                .map(|slot| self.open(slot))
                .collect();
        }
        for connection in &mut self.connections {
            connection.begin(&self.batch)?;
        }
        let (mut waiting, mut latencies) = (self.connections.len(), Vec::new());
        let mut events = Events::with_capacity(1024);
        while waiting > 0 {
            self.poll.poll(&mut events, Some(PATIENCE)).expect("a wait");
            if events.is_empty() {
                return Err(format!("{waiting} clients got no answer for {PATIENCE:?}").into());
            }
            for event in &events {
                waiting -= usize::from(self.handle(event, ends, &mut latencies)?);
            }
        }
        latencies.sort_unstable();
        Ok(Run {
            requests: (latencies.len() * self.load.depth) as u64,
            latencies,
        })
    }

    /// Handles an event. Returns whether its connection will send nothing more in this run.
    fn handle(
        &mut self,
        event: &Event,
        ends: Instant,
        latencies: &mut Vec<Duration>,
    ) -> Result<bool, Misconduct> {
        let Token(slot) = event.token();
        let Some(began) = self.connections[slot].began else {
            return Ok(false);
        };
        let connection = &mut self.connections[slot];
        connection.write(&self.batch)?;
        match connection.read(&mut self.room, self.answers, self.load.closes)? {
            Progress::Waits => return Ok(false),
            Progress::Answered => {}
            Progress::Closed => {
                if !self.load.closes || connection.received < self.answers {
                    return Err("the connection was closed too early".into());
                }
            }
        }
        let now = Instant::now();
        latencies.push(now - began);
        connection.began = None;
        if now >= ends {
            return Ok(true);
        }
        if self.load.closes {
            self.connections[slot] = self.open(slot);
        }
        self.connections[slot].begin(&self.batch)?;
        Ok(false)
    }
}

impl Connection {
    /// Sends a batch, as much as there is room for.
    fn begin(&mut self, batch: &[u8]) -> Result<(), Misconduct> {
        (self.began, self.sent, self.received) = (Some(Instant::now()), 0, 0);
        self.write(batch)
    }

    fn write(&mut self, batch: &[u8]) -> Result<(), Misconduct> {
        while self.sent < batch.len() {
            match self.stream.write(&batch[self.sent..]) {
                Ok(count) => self.sent += count,
                // Not connected yet is the same as no room.
                Err(error) if is_wait(error.kind()) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads what has arrived. If the server closes, the answer is followed by the end of the input.
    fn read(
        &mut self,
        room: &mut [u8],
        answers: usize,
        closes: bool,
    ) -> Result<Progress, Misconduct> {
        loop {
            match self.stream.read(room) {
                Ok(0) => return Ok(Progress::Closed),
                Ok(count) => {
                    if self.received == 0 && count >= 12 && !room.starts_with(b"HTTP/1.1 200") {
                        return Err("another status than 200".into());
                    }
                    self.received += count;
                    if self.received > answers {
                        return Err("an answer of another length".into());
                    }
                }
                Err(error) if is_wait(error.kind()) => return Ok(Progress::Waits),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    return Ok(Progress::Closed);
                }
                Err(error) => return Err(error.into()),
            }
            if self.received == answers && !closes {
                return Ok(Progress::Answered);
            }
        }
    }
}

fn is_wait(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::NotConnected)
}

/// Sends one request, and returns the length of the answer.
fn length_of_answer(address: SocketAddr, request: &[u8]) -> Result<usize, Misconduct> {
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    let (mut answer, mut room) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        let count = stream.read(&mut room)?;
        if count == 0 {
            return Err("the connection was closed too early".into());
        }
        answer.extend_from_slice(&room[..count]);
        let Some(end) = answer.windows(4).position(|it| it == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"));
        let content: usize = length.ok_or("no Content-Length")?.trim().parse()?;
        if answer.len() >= end + 4 + content {
            return Ok(end + 4 + content);
        }
    }
}
