//! Servers that are asked over a socket. Each tells how it has read a request, in a field of its response:
//!
//! ```text
//! Echo: METHOD,TARGET,MINOR,CONTENT
//! ```
//!
//! All but `MINOR` are in hexadecimal digits. The programs are in `peers`; `servers.py` starts them.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use crate::judge::{Stream, Tally, Unexplained};
use crate::peers::Peer;
use crate::row::Row;
use crate::verdict::{End, Message, Role, Start, Verdict};

/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(3);

pub struct Server {
    pub peer: Peer,
    pub address: SocketAddr,
}

impl Server {
    /// Sends an input in one piece, and in two.
    pub fn judge(&self, input: &[u8], tally: &mut Tally) -> Result<(), Box<Unexplained>> {
        tally.inputs += 1;
        for cuts in [vec![input.len()], vec![input.len() / 2, input.len()]] {
            tally.streams += 1;
            let stream = Stream::new(Role::ServerToEnd, input, cuts);
            let theirs = self.read(input, &stream.cuts);
            let theirs = theirs.unwrap_or_else(|error| panic!("{}: {error}", self.peer.name()));
            stream.explain(self.peer, &theirs, tally)?;
        }
        Ok(())
    }

    /// Whether an example of the row shows it.
    pub fn shows(&self, row: &Row) -> bool {
        let mut tally = Tally::default();
        let mut examples = row.examples.iter();
        examples.any(|example| self.judge(example, &mut tally).is_ok() && tally.has(row.name))
    }

    /// What the server makes of a client that sends these pieces, and nothing more.
    fn read(&self, input: &[u8], cuts: &[usize]) -> io::Result<Verdict> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut from = 0;
        for &cut in cuts {
            // A server that has refused may have closed already. Then its response is there to be read.
            if stream.write_all(&input[from..cut]).is_err() {
                break;
            }
            from = cut;
        }
        drop(stream.shutdown(Shutdown::Write));
        let (mut sent, mut piece) = (Vec::new(), [0; 16384]);
        loop {
            match stream.read(&mut piece) {
                Ok(0) => return Ok(verdict(&sent, End::Silent)),
                Ok(count) => sent.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    return Ok(verdict(&sent, End::Silent));
                }
                // It neither responds nor closes.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(verdict(&sent, End::Refused("no answer".into())));
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// What the responses tell, and how the connection ended if none of them tells.
fn verdict(mut sent: &[u8], mut end: End) -> Verdict {
    let mut messages = Vec::new();
    // What has no head is a response to HTTP/0.9.
    while let Some(head) = sent.windows(4).position(|text| text == b"\r\n\r\n") {
        let text = String::from_utf8_lossy(&sent[..head]).into_owned();
        sent = &sent[head + 4..];
        let status = text.split(' ').nth(1).and_then(|text| text.parse().ok());
        match (status, echo(&text)) {
            (Some(100..=199), _) => {}
            (_, Some(message)) => messages.push(message),
            (status, None) => {
                // Whatever follows belongs to it, or to nothing.
                end = End::Refused(format!("status {}", status.unwrap_or(0)));
                break;
            }
        }
    }
    Verdict { messages, end }.comparable()
}

/// The message that a response tells of.
fn echo(head: &str) -> Option<Message> {
    let mut lines = head.split("\r\n");
    let value = lines.find_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("echo:")
            .map(str::to_owned)
    })?;
    let parts: Vec<&str> = value.trim().split(',').collect();
    let [method, target, minor, content] = parts[..] else {
        return None;
    };
    let start = Start::Request {
        method: bytes(method),
        target: bytes(target),
    };
    let mut message = Message::new(start, minor.parse().ok()?);
    message.content = bytes(content);
    message.complete = true;
    Some(message)
}

fn bytes(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(&String::from_utf8_lossy(pair), 16).unwrap_or(0);
    pairs.map(byte).collect()
}
