//! Messages out of frames: fragments, control frames between them, limits, and UTF-8.

use std::ops::Range;
use std::str;
use std::sync::Arc;

use super::close::Violation;
use super::frame::{Head, Opcode, unmask};
use crate::http::body_budget::BodyShare;
use crate::http::settings::HttpSettings;
use crate::socketserver::Buffer;

/// Something that has arrived whole. Its content is the reader's to show
/// ([`content`](Reader::content)) until it is [`done`](Reader::done) with.
#[derive(Debug)]
pub(super) struct Item {
    /// What it is. Never a continuation.
    pub(super) opcode: Opcode,
    /// Where the content is.
    place: Place,
}

/// Where the content of an item is.
#[derive(Debug)]
enum Place {
    /// In the input, which needs no copy.
    Input(Range<usize>),
    /// In the reader, because it came in several parts.
    Reader,
}

/// Reads the frames of a client ([WS-4]).
///
/// [WS-4]: crate::spec#ws-4
#[derive(Debug)]
pub(super) struct Reader {
    /// The longest message.
    limit: usize,
    /// The frame of a message whose content is still arriving.
    frame: Option<Frame>,
    /// The message that has begun and was not shown yet: whether it is text or binary.
    message: Option<Opcode>,
    /// The content of that message so far.
    parts: Buffer,
    /// How many bytes of `parts` are known to be UTF-8.
    checked: usize,
    /// The part of the budget for bodies that `parts` uses.
    share: BodyShare,
}

/// A frame of which not everything has arrived.
#[derive(Debug)]
struct Frame {
    /// Whether the message ends with it.
    is_last: bool,
    /// How many bytes of its content are missing.
    left: u64,
    /// The mask of the next byte, and of the three after it.
    mask: [u8; 4],
}

impl Reader {
    /// Creates a reader of messages of at most `limit` bytes.
    pub(super) fn new(limit: usize, settings: &Arc<HttpSettings>) -> Reader {
        Reader {
            limit,
            frame: None,
            message: None,
            parts: Buffer::new(),
            checked: 0,
            share: BodyShare::nothing(settings),
        }
    }

    /// Reads the next item from the front of `input`; `None` if it is not complete. Bytes that are
    /// needed again stay in `input`.
    pub(super) fn next(&mut self, input: &mut Buffer) -> Result<Option<Item>, Violation> {
        loop {
            if self.frame.is_some() {
                match self.go_on(input)? {
                    Some(true) => return Ok(self.end()),
                    Some(false) => continue,
                    None => return Ok(None),
                }
            }
            let Some(head) = Head::read(input)? else {
                return Ok(None);
            };
            if head.opcode.is_control() {
                return Ok(whole(&head, input));
            }
            let opcode = self.admit(&head)?;
            if head.is_last && self.message.is_none() {
                if let Some(item) = whole(&head, input) {
                    self.check_whole(&item, input)?;
                    return Ok(Some(item));
                }
            }
            self.message = Some(opcode);
            self.frame = Some(Frame {
                is_last: head.is_last,
                left: head.length,
                mask: head.mask,
            });
            input.consume(head.size);
        }
    }

    /// Returns whether a message has begun and not ended.
    pub(super) fn is_in_message(&self) -> bool {
        self.message.is_some()
    }

    /// Returns the content of an item.
    pub(super) fn content<'a>(&'a self, item: &Item, input: &'a Buffer) -> &'a [u8] {
        match &item.place {
            Place::Input(range) => &input[range.clone()],
            Place::Reader => &self.parts,
        }
    }

    /// Drops an item, so that the next one can be read.
    pub(super) fn done(&mut self, item: Item, input: &mut Buffer) {
        match item.place {
            Place::Input(range) => input.consume(range.end),
            Place::Reader => self.forget(),
        }
    }

    /// Frees what has arrived of a message.
    pub(super) fn forget(&mut self) {
        self.parts = Buffer::new();
        self.checked = 0;
        self.share.give_back();
    }

    /// Checks that a frame may come now. Returns the kind of its message.
    fn admit(&self, head: &Head) -> Result<Opcode, Violation> {
        let opcode = match (self.message, head.opcode) {
            (Some(message), Opcode::Continuation) => message,
            (None, Opcode::Continuation) => {
                return Err(Violation::protocol("there is no message to continue"));
            }
            (None, opcode) => opcode,
            (Some(_), _) => return Err(Violation::protocol("the last message has not ended")),
        };
        let room = (self.limit - self.parts.len().min(self.limit)) as u64;
        match head.length <= room {
            true => Ok(opcode),
            false => Err(Violation::too_long()),
        }
    }

    /// Takes in what has arrived of a frame. Returns whether the message ends with it; `None` if more
    /// of it is to come.
    fn go_on(&mut self, input: &mut Buffer) -> Result<Option<bool>, Violation> {
        let Some(frame) = &mut self.frame else {
            return Ok(None);
        };
        let left = usize::try_from(frame.left).unwrap_or(usize::MAX);
        let count = left.min(input.len());
        if !self.share.grow(count) {
            return Err(Violation::no_room());
        }
        let before = self.parts.len();
        self.parts.extend_from_slice(&input[..count]);
        input.consume(count);
        frame.mask = unmask(&mut self.parts[before..], frame.mask);
        frame.left -= count as u64;
        let (is_complete, is_last) = (frame.left == 0, frame.is_last);
        if self.message == Some(Opcode::Text) {
            self.check_parts(is_complete && is_last)?;
        }
        if is_complete {
            self.frame = None;
        }
        Ok(is_complete.then_some(is_last))
    }

    /// Returns the message that has ended.
    fn end(&mut self) -> Option<Item> {
        let opcode = self.message.take()?;
        let place = Place::Reader;
        Some(Item { opcode, place })
    }

    /// Checks the text of a message that has arrived in one piece.
    fn check_whole(&self, item: &Item, input: &Buffer) -> Result<(), Violation> {
        let is_valid =
            item.opcode != Opcode::Text || str::from_utf8(self.content(item, input)).is_ok();
        is_valid.then_some(()).ok_or(Violation::text())
    }

    /// Checks the new part of a text, so that a client learns at once that it is wrong. A character
    /// may be cut by the end of a part, but not by the end of the message.
    fn check_parts(&mut self, is_last: bool) -> Result<(), Violation> {
        match str::from_utf8(&self.parts[self.checked..]) {
            Ok(_) => self.checked = self.parts.len(),
            Err(error) if error.error_len().is_none() && !is_last => {
                self.checked += error.valid_up_to();
            }
            Err(_) => return Err(Violation::text()),
        }
        Ok(())
    }
}

/// Returns the frame as an item, if all of it has arrived.
fn whole(head: &Head, input: &mut Buffer) -> Option<Item> {
    let end = usize::try_from(head.length).ok()?.checked_add(head.size)?;
    unmask(input.get_mut(head.size..end)?, head.mask);
    Some(Item {
        opcode: head.opcode,
        place: Place::Input(head.size..end),
    })
}
