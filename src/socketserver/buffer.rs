//! Bytes on their way: what arrived and is not used yet, what is written and not sent yet.

use std::io::{self, Read, Write};
use std::ops::{Deref, DerefMut, Range};

/// A queue of bytes that reads as a slice.
///
/// Bytes are appended at the end and [consumed](Buffer::consume) from the front; what is between
/// is the buffer's value (it derefs to `[u8]`). The storage is initialised once and reused, so a
/// read goes straight into it. An empty buffer that was never used owns no memory.
#[derive(Default)]
pub struct Buffer {
    storage: Vec<u8>,
    start: usize,
    end: usize,
}

/// The least that storage grows to: smaller steps would only mean more of them.
const LEAST: usize = 256;

/// Up to here storage is doubled.
const FAST: usize = 4 * 1024;

impl Buffer {
    /// An empty buffer without memory.
    pub const fn new() -> Buffer {
        Buffer {
            storage: Vec::new(),
            start: 0,
            end: 0,
        }
    }

    /// An empty buffer with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Buffer {
        Buffer {
            storage: vec![0; capacity],
            start: 0,
            end: 0,
        }
    }

    /// How many bytes there are; as that of the slice, but found out with less.
    #[inline]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether there is no byte.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// How many bytes of memory the buffer holds, used or not.
    pub fn capacity(&self) -> usize {
        self.storage.len()
    }

    /// Appends `bytes`.
    #[inline]
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.extend_from_slices(&[bytes]);
    }

    /// Appends all of `parts`; room is made for them at once.
    #[inline(always)]
    pub(crate) fn extend_from_slices(&mut self, parts: &[&[u8]]) {
        let length = parts.iter().map(|part| part.len()).sum();
        let mut room = match self.storage.get_mut(self.end..self.end + length) {
            Some(room) => room,
            None => self.grow(length),
        };
        for part in parts {
            let (place, rest) = room.split_at_mut(part.len());
            place.copy_from_slice(part);
            room = rest;
        }
        self.end += length;
    }

    /// Makes room for `more` bytes that are appended in several pieces.
    #[inline]
    pub fn reserve(&mut self, more: usize) {
        if self.end + more > self.storage.len() {
            self.grow(more);
        }
    }

    /// Drops `count` bytes, or all there are, from the front.
    pub fn consume(&mut self, count: usize) {
        self.start += count.min(self.len());
        if self.is_empty() {
            self.clear();
        }
    }

    /// Drops all bytes and keeps the memory.
    pub fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
    }

    /// Keeps the first `length` bytes only: what was written since is taken back.
    pub fn truncate(&mut self, length: usize) {
        self.end = self.end.min(self.start + length);
    }

    /// Cuts `range` out of the middle; what follows moves up.
    ///
    /// # Panics
    ///
    /// If the range is not within the buffer.
    pub fn remove(&mut self, range: Range<usize>) {
        let value = &mut self.storage[self.start..self.end];
        value.copy_within(range.end.., range.start);
        self.end -= range.len();
    }

    /// Appends what one `read` returns, at most as much as there is memory left for.
    ///
    /// # Errors
    ///
    /// What the read answers.
    pub fn read_from(&mut self, source: &mut impl Read) -> io::Result<usize> {
        let count = source.read(&mut self.storage[self.end..])?;
        self.end += count;
        Ok(count)
    }

    /// Gives one `write` everything there is, and drops what it took.
    ///
    /// # Errors
    ///
    /// What the write answers; `WriteZero` if it took nothing.
    pub fn write_to(&mut self, sink: &mut impl Write) -> io::Result<usize> {
        let count = sink.write(self)?;
        if count == 0 && !self.is_empty() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.consume(count);
        Ok(count)
    }

    /// Makes room for `more` bytes after the end, by moving to the front if that suffices.
    #[cold]
    fn grow(&mut self, more: usize) -> &mut [u8] {
        self.storage.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let needed = self.end + more;
        if needed > self.storage.len() {
            // Twice as much while it is little. Later a quarter more: what is filled slowly up to
            // a limit shall not take twice the limit (design law 7).
            let step = match self.end < FAST {
                true => self.end,
                false => self.end / 4,
            };
            let grown = needed.max(self.end + step).max(LEAST);
            self.storage.reserve_exact(grown - self.storage.len());
            self.storage.resize(grown, 0);
        }
        &mut self.storage[self.end..needed]
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.storage[self.start..self.end]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.storage[self.start..self.end]
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer(\"{}\")", self.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let mut buffer = Buffer::new();
        assert_eq!(buffer.capacity(), 0);
        for round in 0..50_u8 {
            buffer.extend_from_slice(&[round; 37]);
            assert_eq!(buffer[..20], [round; 20]);
            buffer.consume(37);
        }
        assert!(buffer.is_empty());
        assert_eq!(buffer.capacity(), LEAST);
        buffer.consume(1);
        assert!(buffer.is_empty());
    }

    #[test]
    fn the_front_is_reused_before_memory_grows() {
        let mut buffer = Buffer::with_capacity(300);
        buffer.extend_from_slice(&[b'a'; 200]);
        buffer.consume(150);
        buffer.extend_from_slice(&[b'b'; 200]);
        assert_eq!(buffer.capacity(), 300);
        assert_eq!(buffer.len(), 250);
        assert_eq!((buffer[49], buffer[50]), (b'a', b'b'));
    }

    /// Law 7: whatever the steps in which it is filled, a buffer takes little more than it holds.
    #[test]
    fn memory_follows_what_arrives() {
        for step in [1, 100, 255, 1023, 5000, 40_000] {
            let mut buffer = Buffer::new();
            while buffer.len() < 300_000 {
                buffer.extend_from_slice(&vec![b'a'; step]);
                let most = buffer.len() + buffer.len() / 4 + FAST + LEAST;
                let held = buffer.storage.capacity();
                assert!(
                    held <= most,
                    "{held} for {} in steps of {step}",
                    buffer.len()
                );
            }
        }
    }

    #[test]
    fn a_range_is_cut_out_and_writing_is_taken_back() {
        let mut buffer = Buffer::new();
        buffer.extend_from_slice(b"xxhead5\r\nbodyrest");
        buffer.consume(2);
        buffer.remove(4..7);
        assert_eq!(&*buffer, b"headbodyrest");
        buffer.truncate(8);
        assert_eq!(&*buffer, b"headbody");
        buffer.truncate(99);
        assert_eq!(&*buffer, b"headbody");
    }

    #[test]
    fn a_sink_that_takes_nothing_is_an_error() {
        let mut buffer = Buffer::new();
        buffer.extend_from_slice(b"abc");
        let error = buffer
            .write_to(&mut [0_u8; 0].as_mut_slice())
            .map_err(|e| e.kind());
        assert_eq!(error, Err(io::ErrorKind::WriteZero));
        let mut room = [0_u8; 2];
        assert_eq!(buffer.write_to(&mut room.as_mut_slice()).ok(), Some(2));
        assert_eq!((&*buffer, &room), (&b"c"[..], b"ab"));
    }
}
