//! Compares the conversation of a WebSocket with RFC 6455 read literally, at any split.

use std::sync::{Arc, Mutex};
use std::time::{Instant, UNIX_EPOCH};

use serve_forever::http::websocket::{
    WebSocket, WebSocketClose, WebSocketHandler, WebSocketMessage, WebSocketSettings,
};
use serve_forever::http::{HttpConnection, HttpResult, HttpSettings, Message, Request, Response};
use serve_forever::reactor::Now;
use serve_forever::socketserver::{Buffer, HandlerResult, Mailbox, Next, Protocol};

use super::pieces::cuts;

/// The longest message.
const LIMIT: usize = 300;

/// A text for which the handler closes.
const BYE: &[u8] = b"bye";

/// The input is the bytes that a client sends after its handshake.
pub fn websocket(data: &[u8]) {
    let expected = literal(data);
    for cuts in cuts(data) {
        assert_eq!(play(data, &cuts), expected, "{cuts:?}");
    }
}

/// What the handler saw, and what the client was sent.
#[derive(Debug, Default, PartialEq, Eq)]
struct Played {
    /// Each message: whether it is text, and its content.
    messages: Vec<(bool, Vec<u8>)>,
    /// The codes that the handler was told. There must be one.
    closed: Vec<u16>,
    /// The frames of the server, without the reasons of its Close frames.
    sent: Vec<u8>,
}

const HANDSHAKE: &[u8] =
    b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
                           Sec-WebSocket-Version: 13\r\n\
                           Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Sends messages back, and notes them.
struct Echo(Arc<Mutex<Played>>);

impl WebSocketHandler for Echo {
    fn message(
        &mut self,
        socket: &mut WebSocket<'_>,
        message: WebSocketMessage<'_>,
    ) -> HandlerResult {
        let (is_text, bytes) = match message {
            WebSocketMessage::Text(text) => (true, text.as_bytes()),
            WebSocketMessage::Binary(bytes) => (false, bytes),
        };
        let mut played = self.0.lock().expect("no panic");
        played.messages.push((is_text, bytes.to_vec()));
        match is_text && bytes == BYE {
            true => socket.close(WebSocketClose::NORMAL, ""),
            false => socket.send(message),
        }
        Ok(())
    }

    fn closed(&mut self, close: &WebSocketClose) {
        let mut played = self.0.lock().expect("no panic");
        played.closed.push(close.code());
    }
}

/// Lets the library handle `bytes`, in pieces that end at `cuts`.
fn play(bytes: &[u8], cuts: &[usize]) -> Played {
    let played = Arc::new(Mutex::new(Played::default()));
    let witness = Arc::clone(&played);
    let handle = move |request: &Request<'_>, response: Response<'_>| -> HttpResult {
        let mut settings = WebSocketSettings::default();
        settings.message = LIMIT;
        settings.accept(request, response, Echo(Arc::clone(&witness)))
    };
    let now = Now::at(Instant::now(), UNIX_EPOCH);
    let settings = Arc::new(HttpSettings::default());
    let mut connection = HttpConnection::new(handle, None, Arc::clone(&settings));
    let (mut input, mut output) = (Buffer::new(), Buffer::new());
    input.extend_from_slice(HANDSHAKE);
    connection.connection_made(Mailbox::dangling(), &mut output, &now);
    let Next::Upgrade(mut protocol) = connection.receive(&mut input, &mut output, &now) else {
        panic!("the handshake is refused: {output:?}");
    };
    output.clear();
    let mut next = protocol.connection_made(Mailbox::<Message>::dangling(), &mut output, &now);
    let mut start = 0;
    for &cut in cuts {
        if !matches!(next, Next::Read) {
            break;
        }
        input.extend_from_slice(&bytes[start..cut]);
        start = cut;
        next = protocol.receive(&mut input, &mut output, &now);
        while matches!(next, Next::Produce) {
            protocol.produce(&mut output, &now);
            next = protocol.receive(&mut input, &mut output, &now);
        }
        // At the end, the owner drops the rest of the input.
        let body_bytes = settings.stats().body_bytes;
        let (kept, most) = match next {
            Next::Read => (body_bytes + input.len(), LIMIT + 14 + 125),
            _ => (body_bytes, 0),
        };
        assert!(kept <= most, "{kept} bytes are kept");
    }
    if matches!(next, Next::Read) {
        protocol.input_closed(&mut output, &now);
    }
    protocol.connection_lost(&now);
    drop(protocol);
    assert_eq!(settings.stats().body_bytes, 0, "the budget is given back");
    output.make_contiguous();
    let sent = without_reasons(&output);
    let played = std::mem::take(&mut *played.lock().expect("no panic"));
    Played { sent, ..played }
}

/// The frames of the server, without the reasons of its Close frames. The last frame may be one.
fn without_reasons(output: &[u8]) -> Vec<u8> {
    let mut frames = output.to_vec();
    let mut at = 0;
    while at < output.len() {
        let (length, head) = match output[at + 1] {
            126 => (
                usize::from(output[at + 2]) << 8 | usize::from(output[at + 3]),
                4,
            ),
            length => (usize::from(length), 2),
        };
        if output[at] == 0x88 {
            assert_eq!(at + head + length, output.len(), "sent after a Close frame");
            if length > 2 {
                frames.truncate(at + 4);
                frames[at + 1] = 2;
            }
        }
        at += head + length;
    }
    assert_eq!(at, output.len(), "half a frame");
    frames
}

/// What RFC 6455 says of `input`, if messages have at most [`LIMIT`] bytes.
fn literal(input: &[u8]) -> Played {
    let mut played = Played::default();
    let code = read(input, &mut played);
    played.closed.push(code);
    played
}

/// Reads frames to their end. Returns the code that the handler is told.
fn read(input: &[u8], played: &mut Played) -> u16 {
    // The code of this side's Close frame, if the handler has closed.
    let mut own = None;
    let mut message: Option<(bool, Vec<u8>)> = None;
    let mut rest = input;
    loop {
        let (frame, after) = match next_frame(rest, message.as_ref()) {
            Ok(Some(read)) => read,
            Ok(None) => return own.unwrap_or(1006),
            Err(code) => {
                if own.is_none() {
                    played.sent.extend([0x88, 2]);
                    played.sent.extend(code.to_be_bytes());
                }
                return own.unwrap_or(code);
            }
        };
        rest = after;
        match frame.opcode {
            8 => {
                let code = match frame.content.as_slice() {
                    [] => 1005,
                    [high, low, ..] => u16::from_be_bytes([*high, *low]),
                    [_] => unreachable!("refused"),
                };
                if own.is_none() {
                    let length = frame.content.len().min(2);
                    played.sent.extend([0x88, length as u8]);
                    played.sent.extend(&frame.content[..length]);
                }
                return own.unwrap_or(code);
            }
            9 if own.is_none() => send(0x8a, &frame.content, &mut played.sent),
            9 | 10 => {}
            opcode => {
                let (is_text, mut content) = message.take().unwrap_or((opcode == 1, Vec::new()));
                content.extend(&frame.content);
                if !frame.is_last {
                    message = Some((is_text, content));
                } else if own.is_none() {
                    if is_text && content == BYE {
                        played.sent.extend([0x88, 2, 0x03, 0xe8]);
                        own = Some(1000);
                    } else {
                        send(
                            if is_text { 0x81 } else { 0x82 },
                            &content,
                            &mut played.sent,
                        );
                    }
                    played.messages.push((is_text, content));
                }
            }
        }
    }
}

struct Frame {
    is_last: bool,
    opcode: u8,
    content: Vec<u8>,
}

/// The first frame of `input`, in the middle of `message`; `None` if it is not whole; or the code of
/// its first mistake.
fn next_frame<'a>(
    input: &'a [u8],
    message: Option<&(bool, Vec<u8>)>,
) -> Result<Option<(Frame, &'a [u8])>, u16> {
    let Some(first) = input.first() else {
        return Ok(None);
    };
    let (is_last, reserved, opcode) = (first >> 7 == 1, first >> 4 & 7, first & 15);
    let is_control = (8..=10).contains(&opcode);
    if reserved != 0 || !(is_control || opcode <= 2) || (is_control && !is_last) {
        return Err(1002);
    }
    let Some(second) = input.get(1) else {
        return Ok(None);
    };
    let short = u64::from(second & 127);
    if second >> 7 == 0 || (is_control && short > 125) {
        return Err(1002);
    }
    let digits = match short {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let Some(long) = input.get(2..2 + digits) else {
        return Ok(None);
    };
    let long = long
        .iter()
        .fold(0, |sum: u64, &byte| sum << 8 | u64::from(byte));
    let length = match short {
        126 if long < 126 => return Err(1002),
        127 if long <= 0xffff || long >> 63 == 1 => return Err(1002),
        126 | 127 => long,
        _ => short,
    };
    let start = 2 + digits + 4;
    let Some(mask) = input.get(start - 4..start) else {
        return Ok(None);
    };
    if !is_control && (opcode == 0) != message.is_some() {
        return Err(1002);
    }
    let before = message.map_or(0, |(_, content)| content.len() as u64);
    if !is_control && before.saturating_add(length) > LIMIT as u64 {
        return Err(1009);
    }
    let length = length as usize; // no more than the limit
    let masked = &input[start..input.len().min(start + length)];
    let unmask = |(index, &byte): (usize, &u8)| byte ^ mask[index % 4];
    let content: Vec<u8> = masked.iter().enumerate().map(unmask).collect();
    let is_whole = content.len() == length;
    if is_control && !is_whole {
        return Ok(None);
    }
    if opcode == 8 {
        check_close(&content)?;
    } else if !is_control && message.map_or(opcode == 1, |(is_text, _)| *is_text) {
        let before = message.map_or(&[][..], |(_, content)| content);
        let text = [before, &content].concat();
        match utf8(&text) {
            Utf8::Whole => {}
            Utf8::Cut if !(is_whole && is_last) => {}
            Utf8::Cut | Utf8::Wrong => return Err(1007),
        }
    }
    let frame = Frame {
        is_last,
        opcode,
        content,
    };
    Ok(is_whole.then(|| (frame, &input[start + length..])))
}

/// RFC 6455 sections 5.5.1 and 7.4, with the registry of IANA.
fn check_close(content: &[u8]) -> Result<(), u16> {
    let (code, reason) = match content {
        [] => return Ok(()),
        [_] => return Err(1002),
        [high, low, reason @ ..] => (u16::from(*high) << 8 | u16::from(*low), reason),
    };
    let registered = [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014,
    ];
    if !registered.contains(&code) && !(3000..5000).contains(&code) {
        return Err(1002);
    }
    match utf8(reason) {
        Utf8::Whole => Ok(()),
        Utf8::Cut | Utf8::Wrong => Err(1007),
    }
}

/// What bytes are as UTF-8.
#[derive(Debug, PartialEq, Eq)]
enum Utf8 {
    Whole,
    /// The last character is not complete, but may become one.
    Cut,
    Wrong,
}

/// Table 3-7 of the Unicode Standard.
fn utf8(mut bytes: &[u8]) -> Utf8 {
    while let Some((&first, rest)) = bytes.split_first() {
        let (count, second) = match first {
            0x00..=0x7f => (0, 0..=0),
            0xc2..=0xdf => (1, 0x80..=0xbf),
            0xe0 => (2, 0xa0..=0xbf),
            0xed => (2, 0x80..=0x9f),
            0xe1..=0xef => (2, 0x80..=0xbf),
            0xf0 => (3, 0x90..=0xbf),
            0xf1..=0xf3 => (3, 0x80..=0xbf),
            0xf4 => (3, 0x80..=0x8f),
            _ => return Utf8::Wrong,
        };
        for index in 0..count {
            match rest.get(index) {
                None => return Utf8::Cut,
                Some(byte) if index == 0 && !second.contains(byte) => return Utf8::Wrong,
                Some(0x80..=0xbf) => {}
                Some(_) => return Utf8::Wrong,
            }
        }
        bytes = &rest[count..];
    }
    Utf8::Whole
}

/// Writes a frame of the server.
fn send(first: u8, content: &[u8], sent: &mut Vec<u8>) {
    sent.push(first);
    match content.len() {
        length @ 0..126 => sent.push(length as u8),
        length => sent.extend([126, (length >> 8) as u8, length as u8]),
    }
    sent.extend(content);
}
