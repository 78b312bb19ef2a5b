//! picohttpparser. It reads heads and chunks. How content is framed it leaves to the program, so here
//! stands a program after RFC 9112 section 6.3, which repairs where that allows it.

#[path = "../../../benches/h1/src/picohttpparser.rs"]
mod picohttpparser;

use picohttpparser::{Chunks, Invalid, room};

use crate::verdict::{End, Field, Framing, Message, Role, Start, Verdict};

/// Room for more fields than ours has.
const MAX_FIELDS: usize = 200;

/// Reads `input` in the pieces that end at `cuts`.
pub fn read(role: Role, input: &[u8], cuts: &[usize]) -> Verdict {
    let mut program = Program {
        role,
        input: Vec::new(),
        looked: 0,
        content: None,
        messages: Vec::new(),
    };
    let mut from = 0;
    for &cut in cuts {
        program.input.extend_from_slice(&input[from..cut]);
        from = cut;
        if let Some(end) = program.read() {
            return program.verdict(end);
        }
    }
    let end = match (role, &program.content) {
        (Role::Server, _) => End::More,
        (Role::ServerToEnd, None) if program.input.iter().all(|byte| b"\r\n".contains(byte)) => {
            End::Closed
        }
        (_, Some(Content::UntilClose)) => {
            program.last().complete = true;
            End::Closed
        }
        _ => End::Refused("truncated".into()),
    };
    program.verdict(end)
}

struct Program {
    role: Role,
    /// What has arrived and was not used.
    input: Vec<u8>,
    /// How much of it the parser has seen.
    looked: usize,
    content: Option<Content>,
    messages: Vec<Message>,
}

/// How the content goes on.
enum Content {
    Length(u64),
    Chunked(Chunks),
    UntilClose,
}

impl Program {
    fn read(&mut self) -> Option<End> {
        loop {
            let went_on = match self.content {
                None => self.head(),
                Some(_) => self.content(),
            };
            match went_on {
                Ok(true) => {}
                Ok(false) => return None,
                Err(end) => return Some(end),
            }
        }
    }

    /// Returns whether a head was there.
    fn head(&mut self) -> Result<bool, End> {
        // Nothing was added since the last time.
        if self.input.len() == self.looked {
            return Ok(false);
        }
        let found = match self.role {
            Role::Client(_) => response(&self.input, self.looked),
            _ => request(&self.input, self.looked),
        };
        let Some((length, message)) = found.map_err(|Invalid| End::Refused("-1".into()))? else {
            self.looked = self.input.len();
            return Ok(false);
        };
        self.input.drain(..length);
        self.looked = 0;
        self.messages.push(message);
        self.frame()?;
        Ok(true)
    }

    /// Decides how the content ends.
    fn frame(&mut self) -> Result<(), End> {
        let role = self.role;
        let message = self.last();
        let tunnel = match (role, &message.start) {
            (_, Start::Request { .. }) => message.is_connect(),
            (_, Start::Response { status: 101 }) => true,
            (_, Start::Response { status }) => {
                role == Role::Client("CONNECT") && matches!(status, 200..=299)
            }
        };
        if tunnel {
            (message.complete, message.framing) = (true, Some(Framing::Empty));
            return Err(End::Tunnel);
        }
        let framing = framing(role, message)?;
        message.framing = Some(framing);
        self.content = Some(match framing {
            Framing::Empty => Content::Length(0),
            Framing::Length(length) => Content::Length(length),
            Framing::Chunked => Content::Chunked(Chunks::new()),
            Framing::UntilClose => Content::UntilClose,
        });
        Ok(())
    }

    /// Returns whether the content came to its end.
    fn content(&mut self) -> Result<bool, End> {
        let mut bytes = std::mem::take(&mut self.input);
        let complete = match self.content.as_mut().expect("there is some") {
            Content::Length(rest) => {
                let some = bytes
                    .len()
                    .min(usize::try_from(*rest).unwrap_or(usize::MAX));
                self.input = bytes.split_off(some);
                *rest -= some as u64;
                *rest == 0
            }
            Content::UntilClose => false,
            Content::Chunked(chunks) => {
                let decoded = chunks.decode(&mut bytes);
                let decoded = decoded.map_err(|Invalid| End::Refused("chunks: -1".into()))?;
                // What it has not used follows what it has decoded.
                let (content, rest) = (decoded.content, decoded.rest);
                self.input =
                    rest.map_or(Vec::new(), |rest| bytes[content..content + rest].to_vec());
                bytes.truncate(content);
                rest.is_some()
            }
        };
        self.last().content.extend_from_slice(&bytes);
        if complete {
            self.content = None;
            self.message_complete()?;
        }
        Ok(complete)
    }

    fn message_complete(&mut self) -> Result<(), End> {
        let message = self.last();
        message.complete = true;
        let goes_on = match message.start {
            Start::Request { .. } => persists(message),
            Start::Response { status } => status < 200,
        };
        if goes_on { Ok(()) } else { Err(End::Closed) }
    }

    fn last(&mut self) -> &mut Message {
        self.messages.last_mut().expect("its head came before")
    }

    fn verdict(self, end: End) -> Verdict {
        let messages = self.messages;
        Verdict { messages, end }.comparable()
    }
}

/// RFC 9112 section 6.3. A `chunked` that comes last counts, a length beside it does not.
fn framing(role: Role, message: &Message) -> Result<Framing, End> {
    if let (Role::Client(method), Start::Response { status }) = (role, &message.start) {
        if method == "HEAD" || matches!(status, 100..=199 | 204 | 304) {
            return Ok(Framing::Empty);
        }
    }
    let codings = all(message, b"transfer-encoding").join(&b","[..]);
    let last = codings.rsplit(|&byte| byte == b',').next();
    if !codings.is_empty() {
        return match last.map(<[u8]>::trim_ascii) {
            Some(coding) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
            _ => Err(End::Refused("the program: the coding".into())),
        };
    }
    let lengths = all(message, b"content-length");
    match (lengths.first(), role) {
        (None, Role::Client(_)) => Ok(Framing::UntilClose),
        (None, _) => Ok(Framing::Empty),
        (Some(first), _) => {
            let digits = first.iter().all(u8::is_ascii_digit);
            let number = std::str::from_utf8(first).ok();
            let number = number.filter(|_| digits).and_then(|text| text.parse().ok());
            let same = lengths.iter().all(|length| length == first);
            let number = number.filter(|_| same);
            number
                .map(Framing::of_length)
                .ok_or_else(|| End::Refused("the program: the length".into()))
        }
    }
}

/// RFC 9112 section 9.3.
fn persists(message: &Message) -> bool {
    let options = all(message, b"connection")
        .join(&b","[..])
        .to_ascii_lowercase();
    let mut options = options.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    match message.minor {
        0 => {
            options.clone().any(|option| option == b"keep-alive")
                && options.all(|option| option != b"close")
        }
        _ => options.all(|option| option != b"close"),
    }
}

/// The values of all fields of this name.
fn all<'a>(message: &'a Message, name: &[u8]) -> Vec<&'a [u8]> {
    let fields = message.fields.iter().flatten();
    let named = fields.filter(|(other, _)| other.eq_ignore_ascii_case(name));
    named.map(|(_, value)| value.as_slice()).collect()
}

/// Returns the length of the head, and what is in it.
fn request(bytes: &[u8], looked: usize) -> Result<Option<(usize, Message)>, Invalid> {
    let mut room = room::<MAX_FIELDS>();
    let found = picohttpparser::request(bytes, looked, &mut room)?;
    Ok(found.map(|(length, head)| {
        let start = Start::Request {
            method: head.method.into(),
            target: head.target.into(),
        };
        (length, message(start, head.minor, head.fields))
    }))
}

fn response(bytes: &[u8], looked: usize) -> Result<Option<(usize, Message)>, Invalid> {
    let mut room = room::<MAX_FIELDS>();
    let found = picohttpparser::response(bytes, looked, &mut room)?;
    Ok(found.map(|(length, head)| {
        let start = Start::Response {
            status: u16::try_from(head.status).unwrap_or(0),
        };
        (length, message(start, head.minor, head.fields))
    }))
}

fn message(start: Start, minor: i32, found: &[picohttpparser::Field<'_>]) -> Message {
    let mut message = Message::new(start, u8::try_from(minor).unwrap_or(0));
    let mut fields: Vec<Field> = Vec::new();
    for field in found {
        match (field.name(), fields.last_mut()) {
            (Some(name), _) => fields.push((name.into(), field.value().into())),
            (None, Some((_, before))) => {
                before.push(b' ');
                before.extend_from_slice(field.value());
            }
            (None, None) => fields.push((Vec::new(), field.value().into())),
        }
    }
    for (_, value) in &mut fields {
        // It leaves the whitespace behind a value to the program.
        while let [.., b' ' | b'\t'] = value[..] {
            value.pop();
        }
    }
    message.fields = Some(fields);
    message
}
