//! Bytes between the socket and a protocol: input that is not used yet, output that is not sent.

use std::io::{self, Read, Write};
use std::ops::{Deref, DerefMut, Range};

/// A queue of bytes that reads as a slice.
///
/// Bytes are appended at the end and [consumed](Buffer::consume) from the front. The bytes in
/// between are the buffer's value: it derefs to `[u8]`. The storage is initialised once and
/// reused, so a read goes directly into it. An empty buffer that was never used owns no memory.
#[derive(Default)]
pub struct Buffer {
    /// Initialised memory: the bytes of the buffer, and free room before and after them.
    storage: Vec<u8>,
    /// Where the bytes of the buffer begin in the storage.
    start: usize,
    /// Where they end.
    end: usize,
}

/// The smallest size of storage that is allocated, so that small appends do not each allocate.
const LEAST: usize = 256;

/// A buffer with fewer bytes than this doubles its storage.
const FAST: usize = 4 * 1024;

impl Buffer {
    /// Creates an empty buffer that owns no memory.
    pub const fn new() -> Buffer {
        Buffer {
            storage: Vec::new(),
            start: 0,
            end: 0,
        }
    }

    /// Creates an empty buffer with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Buffer {
        Buffer {
            storage: vec![0; capacity],
            start: 0,
            end: 0,
        }
    }

    /// Returns how many bytes there are. It returns the same as the length of the slice, but
    /// cheaper, because it checks no bounds.
    #[inline]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Returns whether there are no bytes.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Returns how many bytes of memory the buffer holds, used or not.
    pub fn capacity(&self) -> usize {
        self.storage.len()
    }

    /// Appends `bytes`.
    #[inline]
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.extend_from_slices(&[bytes]);
    }

    /// Appends all of `parts`, with one check for room.
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

    /// Makes room for `more` bytes, before you append them in several pieces.
    #[inline]
    pub fn reserve(&mut self, more: usize) {
        if self.end + more > self.storage.len() {
            self.grow(more);
        }
    }

    /// Drops `count` bytes from the front, or all bytes if there are fewer.
    pub fn consume(&mut self, count: usize) {
        self.start += count.min(self.len());
        if self.is_empty() {
            self.clear();
        }
    }

    /// Drops all bytes, and keeps the memory.
    pub fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
    }

    /// Keeps only the first `length` bytes. Use it to take back what was written after them.
    pub fn truncate(&mut self, length: usize) {
        self.end = self.end.min(self.start + length);
    }

    /// Removes the bytes in `range`. The bytes after it move forward.
    ///
    /// # Panics
    ///
    /// Panics if the range is not within the buffer.
    pub fn remove(&mut self, range: Range<usize>) {
        let value = &mut self.storage[self.start..self.end];
        value.copy_within(range.end.., range.start);
        self.end -= range.len();
    }

    /// Appends what one `read` returns. It reads at most as much as there is room for, so
    /// [`reserve`](Self::reserve) room first: without any, it returns 0.
    ///
    /// # Errors
    ///
    /// Returns the error of `read`; the buffer is then unchanged.
    pub fn read_from(&mut self, source: &mut impl Read) -> io::Result<usize> {
        let count = source.read(&mut self.storage[self.end..])?;
        self.end += count;
        Ok(count)
    }

    /// Passes all bytes to one `write`, and drops those that it took.
    ///
    /// # Errors
    ///
    /// Returns the error of `write`, or `WriteZero` if it took nothing. The buffer is then
    /// unchanged.
    pub fn write_to(&mut self, sink: &mut impl Write) -> io::Result<usize> {
        let count = sink.write(self)?;
        if count == 0 && !self.is_empty() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.consume(count);
        Ok(count)
    }

    /// Makes room for `more` bytes after the end. If moving the bytes to the front is enough, the
    /// storage does not grow.
    #[cold]
    fn grow(&mut self, more: usize) -> &mut [u8] {
        self.storage.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let needed = self.end + more;
        if needed > self.storage.len() {
            // Double while it is small, then add a quarter. A buffer that slowly fills up to a
            // limit must not take twice the limit (design law 7).
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

    /// Law 7: in whatever steps it is filled, a buffer takes little more memory than it holds.
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
