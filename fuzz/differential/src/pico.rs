//! picohttpparser. It reads heads and chunks. How content is framed it leaves to the program, so here
//! stands a program after RFC 9112 section 6.3, which repairs where that allows it.

use std::mem::zeroed;
use std::ptr;

use picohttpparser_sys::{
    phr_chunked_decoder, phr_decode_chunked, phr_header, phr_parse_request, phr_parse_response,
};

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
    Chunked(phr_chunked_decoder),
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
        let (length, message) = match found {
            (-2, _) => {
                self.looked = self.input.len();
                return Ok(false);
            }
            (-1, _) => return Err(End::Refused("-1".into())),
            (length, message) => (usize::try_from(length).expect("a length"), message),
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
            Framing::Chunked => {
                // SAFETY: these are numbers, and its documentation asks for zeros.
                let mut decoder: phr_chunked_decoder = unsafe { zeroed() };
                decoder.consume_trailer = 1;
                Content::Chunked(decoder)
            }
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
            Content::Chunked(decoder) => {
                let given = bytes.len();
                let mut length = given;
                // SAFETY: the pointer leads to `length` bytes.
                let left =
                    unsafe { phr_decode_chunked(decoder, bytes.as_mut_ptr().cast(), &mut length) };
                if left == -1 {
                    return Err(End::Refused("chunks: -1".into()));
                }
                // What it has not used follows what it has decoded.
                let left = usize::try_from(left).ok();
                self.input = left.map_or(Vec::new(), |left| bytes[length..length + left].to_vec());
                bytes.truncate(length);
                left.is_some()
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

fn request(bytes: &[u8], looked: usize) -> (i32, Message) {
    let (mut method, mut target) = ((ptr::null(), 0), (ptr::null(), 0));
    let (mut minor, mut count) = (0, MAX_FIELDS);
    let mut fields = [phr_header::default(); MAX_FIELDS];
    // SAFETY: the pointers lead to `bytes` and to variables of this function, with their lengths.
    unsafe {
        let length = phr_parse_request(
            bytes.as_ptr().cast(),
            bytes.len(),
            &mut method.0,
            &mut method.1,
            &mut target.0,
            &mut target.1,
            &mut minor,
            fields.as_mut_ptr(),
            &mut count,
            looked,
        );
        let done = length >= 0;
        let start = Start::Request {
            method: text(done, method),
            target: text(done, target),
        };
        (
            length,
            message(done, start, minor, &fields[..count.min(MAX_FIELDS)]),
        )
    }
}

fn response(bytes: &[u8], looked: usize) -> (i32, Message) {
    let (mut status, mut reason) = (0, (ptr::null(), 0));
    let (mut minor, mut count) = (0, MAX_FIELDS);
    let mut fields = [phr_header::default(); MAX_FIELDS];
    // SAFETY: the pointers lead to `bytes` and to variables of this function, with their lengths.
    unsafe {
        let length = phr_parse_response(
            bytes.as_ptr().cast(),
            bytes.len(),
            &mut minor,
            &mut status,
            &mut reason.0,
            &mut reason.1,
            fields.as_mut_ptr(),
            &mut count,
            looked,
        );
        let done = length >= 0;
        let start = Start::Response {
            status: u16::try_from(status).unwrap_or(0),
        };
        (
            length,
            message(done, start, minor, &fields[..count.min(MAX_FIELDS)]),
        )
    }
}

/// # Safety
///
/// If it is `done`, the fields lead to text.
unsafe fn message(done: bool, start: Start, minor: i32, found: &[phr_header]) -> Message {
    let mut message = Message::new(start, u8::try_from(minor).unwrap_or(0));
    let mut fields: Vec<Field> = Vec::new();
    for field in found {
        // SAFETY: the caller says so.
        let value = unsafe { text(done, (field.value, field.value_len)) };
        match fields.last_mut() {
            // A folded line goes on with the value before.
            Some((_, before)) if field.name.is_null() => {
                before.push(b' ');
                before.extend_from_slice(&value);
            }
            // SAFETY: the caller says so.
            _ => fields.push((unsafe { text(done, (field.name, field.name_len)) }, value)),
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

/// # Safety
///
/// If it is `done`, the pointer leads to as many bytes, or is null.
unsafe fn text(done: bool, (start, length): (*const std::ffi::c_char, usize)) -> Vec<u8> {
    if !done || start.is_null() {
        return Vec::new();
    }
    // SAFETY: the caller says so.
    unsafe { std::slice::from_raw_parts(start.cast::<u8>(), length) }.to_vec()
}
