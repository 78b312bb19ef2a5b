//! Servers that read nothing of what they get: what the operating system alone costs.
//!
//! They are told how long a request is, count bytes, and send a ready-made answer for each request.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::thread;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

/// An answer as long as ours to the same request.
const ANSWER: &str = concat!(
    "HTTP/1.1 200 OK\r\n",
    "Server: serve_forever\r\n",
    "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
    "Content-Type: text/plain\r\n",
    "Content-Length: 13\r\n",
    "\r\n",
    "Hello, World!",
);

const LISTENER: Token = Token(usize::MAX);

/// What a floor does with each connection.
#[derive(Clone)]
pub struct Script {
    /// The length of a request, in bytes.
    pub request: usize,
    /// What is sent for each request.
    pub answer: Vec<u8>,
    /// Whether to close after one answer.
    pub closes: bool,
}

impl Script {
    /// Answers a request of `request` bytes with "Hello, World!".
    pub fn hello(request: usize, closes: bool) -> Script {
        Script {
            request,
            answer: ANSWER.into(),
            closes,
        }
    }

    /// As many answers as may wait for one write.
    fn answers(&self) -> Vec<u8> {
        self.answer.repeat(1 + 16 * 1024 / self.answer.len())
    }
}

/// The floor of an event loop: one thread, edges, one read and one write for what has arrived. It
/// serves until the process is killed.
pub fn event_loop(address: SocketAddr, script: &Script) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(address)?;
    let registry = poll.registry();
    registry.register(&mut listener, LISTENER, Interest::READABLE)?;
    let (mut events, answers) = (Events::with_capacity(1024), script.answers());
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let (mut free, mut room) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            let Token(slot) = event.token();
            if event.token() != LISTENER {
                let gone = match &mut connections[slot] {
                    Some(connection) => connection.serve(script, &answers, &mut room).is_err(),
                    None => false,
                };
                if gone {
                    connections[slot] = None;
                    free.push(slot);
                }
                continue;
            }
            while let Ok((mut stream, _)) = listener.accept() {
                let slot = free.pop().unwrap_or_else(|| {
                    connections.push(None);
                    connections.len() - 1
                });
                stream.set_nodelay(true)?;
                let both = Interest::READABLE | Interest::WRITABLE;
                poll.registry().register(&mut stream, Token(slot), both)?;
                connections[slot] = Some(Connection::new(stream));
            }
        }
    }
}

struct Connection {
    stream: TcpStream,
    /// Bytes of a request that is not complete.
    read: usize,
    /// Bytes of answers that are not sent.
    owed: usize,
    /// Where in an answer the next byte is.
    at: usize,
}

impl Connection {
    fn new(stream: TcpStream) -> Connection {
        Connection {
            stream,
            read: 0,
            owed: 0,
            at: 0,
        }
    }

    /// Reads and answers what has arrived. An error means that the connection has ended.
    fn serve(&mut self, script: &Script, answers: &[u8], room: &mut [u8]) -> io::Result<()> {
        loop {
            self.write(script, answers)?;
            let count = match self.stream.read(room) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            self.read += count;
            self.owed += self.read / script.request * script.answer.len();
            self.read %= script.request;
            self.write(script, answers)?;
            if count < room.len() {
                // Linux announces what comes after a short read with another edge.
                return Ok(());
            }
        }
    }

    fn write(&mut self, script: &Script, answers: &[u8]) -> io::Result<()> {
        while self.owed > 0 {
            let most = answers.len().min(self.at + self.owed);
            match self.stream.write(&answers[self.at..most]) {
                Ok(count) => {
                    self.owed -= count;
                    self.at = (self.at + count) % script.answer.len();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
            if script.closes && self.owed == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }
}

/// The floor of a thread for each connection, which blocks. It serves until the process is killed.
pub fn threads(address: SocketAddr, script: &Script) -> io::Result<()> {
    let answers = script.answers();
    for stream in std::net::TcpListener::bind(address)?.incoming() {
        let (mut stream, script, answers) = (stream?, script.clone(), answers.clone());
        stream.set_nodelay(true)?;
        let serve = move || -> io::Result<()> {
            let (mut room, mut read) = (vec![0; 16 * 1024], 0);
            loop {
                let count = stream.read(&mut room)?;
                if count == 0 {
                    return Ok(());
                }
                read += count;
                let (complete, length) = (read / script.request, script.answer.len());
                read %= script.request;
                let mut owed = complete * length;
                while owed > 0 {
                    // Whole answers, as many as are there at once.
                    let most = owed.min(answers.len() / length * length);
                    stream.write_all(&answers[..most])?;
                    owed -= most;
                }
                if complete > 0 && script.closes {
                    return Ok(());
                }
            }
        };
        thread::spawn(serve);
    }
    Ok(())
}
