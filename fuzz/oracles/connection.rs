//! One connection: any bytes, cut anywhere, with any events in between and handlers that do anything.
//!
//! The input is the bytes that the client sends. A byte of 0xf7 or above is an event ([`Event`]), and
//! also ends a piece. The path of each request tells the handler what to do ([`handler`]). So an input
//! is readable HTTP, except for the events.
//!
//! The connection is driven like on the loop, by the rules of `Protocol`, and checked after each step.
//! At the end three readings must agree: the requests that the literal parser finds in the input, the
//! requests that the handler got, and the responses that a strict client reads.

mod handler;
mod transcript;
mod wire;

use std::panic;
use std::sync::Once;
use std::time::{Duration, Instant};

use serve_forever::http::Message;
use serve_forever::socketserver::Inbox;

use wire::Wire;

/// The input is the bytes that a client sends, with events in between.
pub fn connection(data: &[u8]) {
    silence_handlers();
    let answers = play(data);
    // Without other events, the cuts must make no difference to what the client gets. The exception
    // is content that is taken as it arrives, because a response may leave some of it unread.
    let other = |&byte: &u8| Event::of(byte).is_some() && byte != CUT;
    if data.len() > 120 || answers.streamed || data.iter().any(other) {
        return;
    }
    let whole: Vec<u8> = data.iter().copied().filter(|&byte| byte != CUT).collect();
    let cut: Vec<u8> = whole.iter().flat_map(|&byte| [byte, CUT]).collect();
    let answers = answers.without_interim();
    for (pieces, way) in [(&whole, "whole"), (&cut, "byte by byte")] {
        let others = play(pieces).without_interim();
        let (ours, theirs) = (answers.escape_ascii(), others.escape_ascii());
        assert!(others == answers, "{way}: {theirs}\nas it is: {ours}");
    }
}

/// The bytes that the client got.
#[derive(Debug, Default)]
struct Answers {
    bytes: Vec<u8>,
    /// Whether the handler took content as it arrived.
    streamed: bool,
}

impl Answers {
    /// The bytes without `100 Continue`, which depends on how much the client has already sent.
    fn without_interim(&self) -> Vec<u8> {
        const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
        let mut rest = &self.bytes[..];
        let mut others = Vec::new();
        while let Some((first, after)) = rest.split_first() {
            match rest.strip_prefix(CONTINUE) {
                Some(after) => rest = after,
                None => {
                    others.push(*first);
                    rest = after;
                }
            }
        }
        others
    }
}

/// Plays the input and checks the result.
fn play(data: &[u8]) -> Answers {
    let inbox = Inbox::new();
    let mut wire = Wire::new(inbox.mailbox(), Instant::now());
    let mut rest = data;
    loop {
        take_messages(&mut wire, &inbox);
        let event = rest.iter().position(|&byte| Event::of(byte).is_some());
        let (piece, after) = rest.split_at(event.unwrap_or(rest.len()));
        if !piece.is_empty() {
            wire.arrive(piece);
            rest = after;
            continue;
        }
        let Some((&event, after)) = after.split_first() else {
            break;
        };
        rest = after;
        match Event::of(event) {
            Some(Event::Message) => wire.message(),
            Some(Event::Cut) | None => {}
            Some(Event::StopReading) => wire.open(false),
            Some(Event::GoOnReading) => wire.open(true),
            Some(Event::Second) => wire.pass(Duration::from_secs(1)),
            Some(Event::Deadline) => wire.time_out(),
            Some(Event::HalfClose) => wire.half_close(),
            Some(Event::Drain) => wire.drain(),
            Some(Event::Answer) => wire.answer(),
        }
    }
    while wire.settle() {
        take_messages(&mut wire, &inbox);
    }
    wire.end()
}

/// Hands over what handlers have sent, as long as there may be something.
fn take_messages(wire: &mut Wire, inbox: &Inbox<Message>) {
    while wire.expects_messages() {
        match inbox.receive() {
            Some(message) => wire.post(message),
            None => wire.no_more_messages(),
        }
    }
}

/// Prints no message for the panics of handlers, which are intended. Panics of the oracle are printed.
fn silence_handlers() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref() != Some(&handler::PANIC) {
                before(info);
            }
        }));
    });
}

/// What happens besides arriving bytes.
#[derive(Debug, Clone, Copy)]
enum Event {
    Message,
    Cut,
    StopReading,
    GoOnReading,
    Second,
    Deadline,
    HalfClose,
    Drain,
    Answer,
}

/// The byte of [`Event::Cut`].
const CUT: u8 = 0xf8;

impl Event {
    fn of(byte: u8) -> Option<Event> {
        Some(match byte {
            0xf7 => Event::Message,
            CUT => Event::Cut,
            0xf9 => Event::StopReading,
            0xfa => Event::GoOnReading,
            0xfb => Event::Second,
            0xfc => Event::Deadline,
            0xfd => Event::HalfClose,
            0xfe => Event::Drain,
            0xff => Event::Answer,
            _ => return None,
        })
    }
}
