//! What a parser makes of a stream of bytes: one type for all parsers.

use std::fmt;

/// Which end of a connection the parser is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It reads requests. More may come after the bytes.
    Server,
    /// It reads requests. The stream ends after the bytes.
    ServerToEnd,
    /// It has sent a request with this method, and reads the response. The stream ends after the bytes.
    Client(&'static str),
}

impl Role {
    /// Each reads some response in a way of its own.
    pub const CLIENTS: [Role; 3] = [
        Role::Client("GET"),
        Role::Client("HEAD"),
        Role::Client("CONNECT"),
    ];

    pub fn is_client(self) -> bool {
        matches!(self, Role::Client(_))
    }

    /// Whether the stream ends after the bytes.
    pub fn sees_end(self) -> bool {
        self != Role::Server
    }
}

/// All that a parser makes of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The messages in their order. Only the last one can be incomplete, and only if the parser waits.
    pub messages: Vec<Message>,
    pub end: End,
}

/// What the parser does after the last message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It waits for more bytes.
    More,
    /// It refuses what follows, and says why.
    Refused(String),
    /// The connection does not persist. What follows is not read.
    Closed,
    /// What follows is not HTTP.
    Tunnel,
    /// The connection ends, and it does not say why.
    Silent,
}

/// A message, as far as the parser tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub start: Start,
    /// 0 is HTTP/1.0, 1 is HTTP/1.1 and above.
    pub minor: u8,
    pub fields: Option<Vec<Field>>,
    pub framing: Option<Framing>,
    pub content: Vec<u8>,
    pub trailers: Option<Vec<Field>>,
    /// Whether the end of the message has come.
    pub complete: bool,
}

/// Name and value.
pub type Field = (Vec<u8>, Vec<u8>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    Request { method: Vec<u8>, target: Vec<u8> },
    Response { status: u16 },
}

/// How the parser finds the end of the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    Empty,
    Length(u64),
    Chunked,
    UntilClose,
}

impl Message {
    /// A message of which only the start is known.
    pub fn new(start: Start, minor: u8) -> Message {
        Message {
            start,
            minor: minor.min(1),
            fields: None,
            framing: None,
            content: Vec::new(),
            trailers: None,
            complete: false,
        }
    }

    /// Whether it has a field of this name.
    pub fn has(&self, name: &[u8]) -> bool {
        let mut fields = self.fields.iter().flatten();
        fields.any(|(other, _)| other.eq_ignore_ascii_case(name))
    }

    /// The method of a request. A response has none.
    pub fn method(&self) -> &[u8] {
        match &self.start {
            Start::Request { method, .. } => method,
            Start::Response { .. } => &[],
        }
    }

    /// The target of a request. A response has none.
    pub fn target(&self) -> &[u8] {
        match &self.start {
            Start::Request { target, .. } => target,
            Start::Response { .. } => &[],
        }
    }

    /// Whether it asks for a tunnel.
    pub fn is_connect(&self) -> bool {
        self.method() == b"CONNECT"
    }
}

impl Framing {
    /// A length of zero is no content.
    pub fn of_length(length: u64) -> Framing {
        match length {
            0 => Framing::Empty,
            length => Framing::Length(length),
        }
    }
}

impl Verdict {
    /// Leaves out what is not comparable: the beginning of a message that is refused, which a parser may
    /// have told or not, and what follows a CONNECT, which is up to the program.
    pub fn comparable(mut self) -> Verdict {
        if let Some(place) = self.messages.iter().position(Message::is_connect) {
            self.messages.truncate(place + 1);
            let connect = &mut self.messages[place];
            (connect.framing, connect.trailers, connect.complete) = (None, None, true);
            connect.content.clear();
            self.end = End::Tunnel;
        } else if self.end != End::More {
            self.messages.retain(|message| message.complete);
        }
        self
    }
}

/// For a person who looks for the reason of a difference.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for message in &self.messages {
            writeln!(f, "    {message}")?;
        }
        write!(f, "    then {:?}", self.end)
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.start {
            Start::Request { method, target } => {
                write!(f, "{} {}", method.escape_ascii(), target.escape_ascii())?;
            }
            Start::Response { status } => write!(f, "{status}")?,
        }
        write!(f, " 1.{} {:?} \"", self.minor, self.framing)?;
        write!(f, "{}\"", self.content.escape_ascii())?;
        for (name, value) in self.fields.iter().chain(&self.trailers).flatten() {
            write!(f, " [{}: {}]", name.escape_ascii(), value.escape_ascii())?;
        }
        f.write_str(if self.complete { "" } else { " …" })
    }
}
