//! llhttp, which reads for Node, in its default strict mode, through `llhttp_callbacks.c`.

use std::ffi::{CStr, c_char, c_int};

use crate::verdict::{End, Framing, Message, Role, Start, Verdict};

#[repr(C)]
struct Log {
    _opaque: [u8; 0],
}

unsafe extern "C" {
    fn log_new(responses: c_int, to_head: c_int) -> *mut Log;
    fn log_read(log: *mut Log, bytes: *const u8, length: usize) -> c_int;
    fn log_finish(log: *mut Log) -> c_int;
    fn log_bytes(log: *const Log, length: *mut usize) -> *const u8;
    fn log_error(log: *const Log) -> *const c_char;
    fn log_reason(log: *const Log) -> *const c_char;
    fn log_free(log: *mut Log);
}

/// `HPE_PAUSED_UPGRADE`: another protocol follows.
const PAUSED_UPGRADE: c_int = 22;
/// `HPE_CLOSED_CONNECTION`: something follows a message after which the connection closes.
const CLOSED_CONNECTION: c_int = 5;

/// Flags of a head, from `llhttp.h`.
const F_CHUNKED: u64 = 0x8;
const F_CONTENT_LENGTH: u64 = 0x20;

/// Reads `input` in the pieces that end at `cuts`.
pub fn read(role: Role, input: &[u8], cuts: &[usize]) -> Verdict {
    // SAFETY: the log is freed at the end, and not used afterwards. Each length is that of its bytes.
    unsafe {
        let log = log_new(
            role.is_client().into(),
            (role == Role::Client("HEAD")).into(),
        );
        let (mut error, mut from) = (0, 0);
        for &cut in cuts {
            if error == 0 {
                let piece = &input[from..cut];
                error = log_read(log, piece.as_ptr(), piece.len());
            }
            from = cut;
        }
        if error == 0 && role.sees_end() {
            error = log_finish(log);
        }
        let mut length = 0;
        let bytes = log_bytes(log, &mut length);
        let bytes = match length {
            0 => &[],
            length => std::slice::from_raw_parts(bytes, length),
        };
        let mut reading = Reading::of(role, bytes);
        let end = reading.end.take().unwrap_or_else(|| match error {
            0 if role.sees_end() => End::Closed,
            0 => End::More,
            PAUSED_UPGRADE => End::Tunnel,
            CLOSED_CONNECTION => End::Closed,
            _ => End::Refused(format!(
                "{} {}",
                text(log_error(log)),
                text(log_reason(log))
            )),
        });
        log_free(log);
        let messages = reading.messages;
        Verdict { messages, end }.comparable()
    }
}

/// # Safety
///
/// `text` is null or a C string.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller says so.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}

/// What the log says.
#[derive(Default)]
struct Reading {
    messages: Vec<Message>,
    method: Vec<u8>,
    target: Vec<u8>,
    name: Vec<u8>,
    value: Vec<u8>,
    /// The fields of the head, until it is complete.
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether the fields that come are those of a head.
    in_head: bool,
    end: Option<End>,
}

impl Reading {
    fn of(role: Role, mut log: &[u8]) -> Reading {
        let mut reading = Reading::default();
        while let ([letter, a, b, c, d, rest @ ..], None) = (log, &reading.end) {
            let length = u32::from_ne_bytes([*a, *b, *c, *d]) as usize;
            let (text, rest) = rest.split_at(length);
            log = rest;
            reading.note(role, *letter, text);
        }
        reading
    }

    fn note(&mut self, role: Role, letter: u8, text: &[u8]) {
        match letter {
            b'B' => {
                *self = Reading {
                    messages: std::mem::take(&mut self.messages),
                    in_head: true,
                    ..Reading::default()
                }
            }
            b'm' => self.method.extend_from_slice(text),
            b't' => self.target.extend_from_slice(text),
            b'n' => self.name.extend_from_slice(text),
            b'v' => self.value.extend_from_slice(text),
            b'F' => self.field(),
            b'H' => self.head(role, &numbers(text)),
            b'b' => self.last().content.extend_from_slice(text),
            b'E' => {
                self.last().complete = true;
                let last = self.messages.last().map(|message| &message.start);
                let interim = matches!(
                    last,
                    Some(Start::Response {
                        status: 100 | 102..=199
                    })
                );
                let is_last = match role {
                    Role::Client(_) => !interim,
                    _ => numbers(text) == [0],
                };
                self.end = is_last.then_some(End::Closed);
            }
            letter => panic!("a letter that is not known: {letter}"),
        }
    }

    fn field(&mut self) {
        let mut value = std::mem::take(&mut self.value);
        // llhttp leaves the whitespace behind a value to the program, as Node removes it.
        while let [.., b' ' | b'\t'] = value[..] {
            value.pop();
        }
        let field = (std::mem::take(&mut self.name), value);
        match self.in_head {
            true => self.fields.push(field),
            false => {
                let trailers = &mut self.last().trailers;
                trailers.get_or_insert_default().push(field);
            }
        }
    }

    fn head(&mut self, role: Role, numbers: &[u64]) {
        let &[_, minor, status, flags, length, until_close] = numbers else {
            panic!("a head of {} numbers", numbers.len());
        };
        let start = match role {
            Role::Client(_) => Start::Response {
                status: status as u16,
            },
            _ => Start::Request {
                method: std::mem::take(&mut self.method),
                target: std::mem::take(&mut self.target),
            },
        };
        let mut message = Message::new(start, minor as u8);
        message.fields = Some(std::mem::take(&mut self.fields));
        message.trailers = Some(Vec::new());
        let silent = role == Role::Client("HEAD") || matches!(status, 100..=103 | 204 | 304);
        message.framing = Some(match flags {
            _ if silent && role.is_client() => Framing::Empty,
            _ if flags & F_CHUNKED != 0 => Framing::Chunked,
            _ if flags & F_CONTENT_LENGTH != 0 => Framing::of_length(length),
            _ if until_close != 0 => Framing::UntilClose,
            _ => Framing::Empty,
        });
        self.messages.push(message);
        self.in_head = false;
        let tunnel =
            status == 101 || (role == Role::Client("CONNECT") && matches!(status, 200..=299));
        if tunnel {
            // Only the program knows that the request was CONNECT.
            self.last().complete = true;
            self.last().framing = Some(Framing::Empty);
            self.end = Some(End::Tunnel);
        }
    }

    fn last(&mut self) -> &mut Message {
        self.messages.last_mut().expect("its head came before")
    }
}

fn numbers(bytes: &[u8]) -> Vec<u64> {
    let numbers = bytes.chunks_exact(8);
    let number = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().expect("eight bytes"));
    numbers.map(number).collect()
}
