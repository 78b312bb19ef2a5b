//! Frames: their heads, and masks (RFC 6455 section 5).

use super::close::{LONGEST_CONTROL, Violation};

/// What a frame is for (RFC 6455 section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opcode {
    /// A further part of a message.
    Continuation = 0,
    /// A message of text, or its first part.
    Text = 1,
    /// A binary message, or its first part.
    Binary = 2,
    /// The end of the conversation.
    Close = 8,
    /// A question whether the other side is there.
    Ping = 9,
    /// The answer to a ping.
    Pong = 10,
}

impl Opcode {
    fn of(number: u8) -> Option<Opcode> {
        Some(match number {
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            _ => return None,
        })
    }

    /// Returns whether a frame of this kind may come between the parts of a message.
    pub(super) fn is_control(self) -> bool {
        matches!(self, Opcode::Close | Opcode::Ping | Opcode::Pong)
    }
}

/// The head of a frame of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// What the frame is for.
    pub(super) opcode: Opcode,
    /// Whether the message ends with this frame.
    pub(super) is_last: bool,
    /// The length of the content. It is only announced, so nothing is allocated for it.
    pub(super) length: u64,
    /// The mask of the content.
    pub(super) mask: [u8; 4],
    /// The length of the head itself.
    pub(super) size: usize,
}

impl Head {
    /// Reads the head at the front of `bytes`; `None` if it is not complete.
    ///
    /// A mistake is found as soon as its byte is there, so the result does not depend on how the
    /// bytes arrive.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<Head>, Violation> {
        let Some(&first) = bytes.first() else {
            return Ok(None);
        };
        if first & 0x70 != 0 {
            return Err(Violation::protocol("a reserved bit is set"));
        }
        let opcode = Opcode::of(first & 0x0f).ok_or(Violation::protocol("unknown opcode"))?;
        let is_last = first & 0x80 != 0;
        if opcode.is_control() && !is_last {
            return Err(Violation::protocol("a control frame is fragmented"));
        }
        let Some(&second) = bytes.get(1) else {
            return Ok(None);
        };
        if second & 0x80 == 0 {
            return Err(Violation::protocol("a frame is not masked"));
        }
        let short = second & 0x7f;
        if opcode.is_control() && usize::from(short) > LONGEST_CONTROL {
            return Err(Violation::protocol("a control frame is too long"));
        }
        let (length, end) = match (short, &bytes[2..]) {
            (126, [a, b, ..]) => (u64::from(u16::from_be_bytes([*a, *b])), 4),
            (127, [a, b, c, d, e, f, g, h, ..]) => {
                (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), 10)
            }
            (126 | 127, _) => return Ok(None),
            _ => (u64::from(short), 2),
        };
        let least = match short {
            126 => 126,
            127 => 1 << 16,
            _ => 0,
        };
        if length < least || length > i64::MAX as u64 {
            return Err(Violation::protocol("a length is not in its shortest form"));
        }
        let mask = match bytes.get(end..end + 4) {
            Some(&[a, b, c, d]) => [a, b, c, d],
            _ => return Ok(None),
        };
        Ok(Some(Head {
            opcode,
            is_last,
            length,
            mask,
            size: end + 4,
        }))
    }
}

/// The head of a frame that is sent, in `bytes[..length]`: a whole message, and not masked.
pub(super) struct SentHead {
    bytes: [u8; 10],
    length: usize,
}

impl SentHead {
    pub(super) fn new(opcode: Opcode, length: usize) -> SentHead {
        let mut bytes = [0; 10];
        bytes[0] = 0x80 | opcode as u8;
        let size = match length {
            0..=125 => {
                bytes[1] = length as u8;
                2
            }
            126..=0xffff => {
                bytes[1] = 126;
                bytes[2..4].copy_from_slice(&(length as u16).to_be_bytes());
                4
            }
            _ => {
                bytes[1] = 127;
                bytes[2..].copy_from_slice(&(length as u64).to_be_bytes());
                10
            }
        };
        SentHead {
            bytes,
            length: size,
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Removes the mask from `bytes`, the content of a frame or a part of it. Returns the mask for the
/// bytes after it.
pub(super) fn unmask(bytes: &mut [u8], mut mask: [u8; 4]) -> [u8; 4] {
    let wide = u64::from(u32::from_ne_bytes(mask));
    let wide = wide << 32 | wide;
    let mut words = bytes.chunks_exact_mut(8);
    for word in &mut words {
        // As an array, whose length the compiler knows: it then unmasks many bytes at a time.
        if let Ok(word) = <&mut [u8; 8]>::try_from(word) {
            *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
        }
    }
    let rest = words.into_remainder();
    for (byte, key) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
    mask.rotate_left(rest.len() % 4);
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mask of byte `n` is `mask[n % 4]` (RFC 6455 section 5.3), wherever the content is cut.
    #[test]
    fn a_mask_is_the_same_at_any_cut() {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        let masked: Vec<u8> = (0..100).collect();
        let plain: Vec<u8> = (0..100).map(|n| n as u8 ^ mask[n % 4]).collect();
        for cut in 0..=100 {
            let mut bytes = masked.clone();
            let (front, rest) = bytes.split_at_mut(cut);
            let next = unmask(front, mask);
            unmask(rest, next);
            assert_eq!(bytes, plain, "cut at {cut}");
        }
    }
}
