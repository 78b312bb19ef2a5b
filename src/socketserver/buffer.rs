//! Bytes between the socket and a protocol: input that is not used yet, output that is not sent.

mod kept;
mod transfer;

use std::io::{self, Write};
use std::mem;
use std::ops::{Deref, DerefMut, Range};

use self::kept::{Kept, LARGE};
use super::block::Block;

/// A queue of bytes that reads as a slice.
///
/// Bytes are appended at the end and [consumed](Buffer::consume) from the front. The bytes in
/// between are the buffer's value: it derefs to `[u8]`. The storage is initialised once and
/// reused, so a read goes directly into it. An empty buffer that was never used owns no memory.
///
/// # Blocks that are not copied
///
/// The output of a connection can keep a large [`Block`] as it is, and send it from where its bytes
/// are. It does so only for a protocol that allows it ([`Protocol::keeps_blocks`]). Then the slice
/// does not show the bytes of such a block, but [`len`](Self::len) counts them;
/// [`make_contiguous`](Self::make_contiguous) copies them into the slice. Every other buffer copies
/// each block when it is appended.
///
/// [`Protocol::keeps_blocks`]: super::Protocol::keeps_blocks
#[derive(Default)]
pub struct Buffer {
    /// Initialised memory: the bytes of the buffer, and free room before and after them. It has no
    /// spare capacity.
    storage: Box<[u8]>,
    /// Where the bytes of the buffer begin in the storage.
    start: usize,
    /// Where they end.
    end: usize,
    /// The blocks that are not in the storage. `None`: no block may be kept. Boxed: most buffers
    /// keep none, and an idle connection is small ([design law 6]).
    ///
    /// [design law 6]: crate::spec#law-6
    kept: Option<Box<Kept>>,
}

/// The smallest size of storage that is allocated, so that small appends do not each allocate.
const LEAST: usize = 256;

/// A buffer with fewer bytes than this doubles its storage.
const FAST: usize = 4 * 1024;

impl Buffer {
    /// Creates an empty buffer that owns no memory.
    pub fn new() -> Buffer {
        Buffer::default()
    }

    /// Creates an empty buffer with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Buffer {
        Buffer {
            storage: vec![0; capacity].into(),
            ..Buffer::default()
        }
    }

    /// Returns how many bytes there are, those of kept blocks included. If there are no such
    /// blocks, it is the length of the slice, but cheaper, because it checks no bounds.
    #[inline]
    pub fn len(&self) -> usize {
        self.own() + self.kept.as_ref().map_or(0, |kept| kept.length())
    }

    /// Returns whether there are no bytes.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many bytes there are in the storage.
    #[inline]
    fn own(&self) -> usize {
        self.end - self.start
    }

    /// Returns how many bytes of memory the buffer holds, used or not, without kept blocks.
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
        let room = self.storage.get_mut(self.end..);
        let Some(mut room) = room.filter(|room| length <= room.len()) else {
            return self.grow(length, parts);
        };
        for part in parts {
            let (place, rest) = room.split_at_mut(part.len());
            place.copy_from_slice(part);
            room = rest;
        }
        self.end += length;
    }

    /// Appends a block. A large one is not copied, if this is the output of a protocol that allows
    /// that; see [`Buffer`].
    pub fn append(&mut self, block: impl Into<Block>) {
        let (block, own) = (block.into(), self.own());
        match &mut self.kept {
            Some(kept) if kept.allowed && block.count() >= LARGE => kept.push(block, own),
            _ => self.extend_from_slice(&block),
        }
    }

    /// Returns how much [`append`](Self::append) copies of a block of `length` bytes.
    pub(crate) fn copied(&self, length: usize) -> usize {
        match &self.kept {
            Some(kept) if kept.allowed && length >= LARGE => 0,
            _ => length,
        }
    }

    /// Takes all bytes out, into a buffer that is no larger than it has to be. The memory stays
    /// here.
    pub(crate) fn split_off_to_fit(&mut self) -> Buffer {
        let mut bytes = Buffer::new();
        bytes.extend_from_slice(self);
        if self.keeps_any() {
            bytes.kept = self.kept.take();
        }
        self.clear();
        bytes
    }

    /// Appends all of `other`. Its kept blocks stay kept if this buffer allows it, and so do its own
    /// bytes if they are many.
    pub(crate) fn append_buffer(&mut self, mut other: Buffer) {
        while let Some((gap, block)) = other.kept.as_mut().and_then(|kept| kept.pop()) {
            self.extend_from_slice(&other[..gap]);
            other.start += gap;
            let own = self.own();
            match &mut self.kept {
                // Whatever its size: a part of it may be sent already.
                Some(kept) if kept.allowed => kept.push(block, own),
                _ => self.extend_from_slice(&block),
            }
        }
        if self.copied(other.own()) > 0 {
            self.extend_from_slice(&other);
        } else if !other.is_empty() {
            let mut rest = Block::from(other.storage);
            rest.truncate(other.end);
            rest.consume(other.start);
            self.append(rest);
        }
    }

    /// Sets whether blocks may be kept. If not, copies those that are.
    #[inline]
    pub(crate) fn keep_blocks(&mut self, allowed: bool) {
        match &mut self.kept {
            Some(kept) if kept.allowed == allowed => {}
            None if !allowed => {}
            _ => self.change_keeping(allowed),
        }
    }

    #[cold]
    fn change_keeping(&mut self, allowed: bool) {
        self.make_contiguous();
        self.kept.get_or_insert_default().allowed = allowed;
    }

    /// Copies the kept blocks, so that the slice has all bytes. Returns the slice.
    pub fn make_contiguous(&mut self) -> &mut [u8] {
        if self.keeps_any() {
            let mut whole = Buffer::with_capacity(self.len());
            let allowed = self.kept.as_ref().is_some_and(|kept| kept.allowed);
            whole.append_buffer(mem::take(self));
            whole.keep_blocks(allowed);
            *self = whole;
        }
        self
    }

    fn keeps_any(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| !kept.is_empty())
    }

    /// Makes room for `more` bytes, before you append them in several pieces.
    #[inline]
    pub fn reserve(&mut self, more: usize) {
        if self.end + more > self.storage.len() {
            self.grow(more, &[]);
        }
    }

    /// Drops `count` bytes from the front, or all bytes if there are fewer.
    #[inline]
    pub fn consume(&mut self, count: usize) {
        let count = count.min(self.len());
        self.start += match &mut self.kept {
            Some(kept) if !kept.is_empty() => kept.consume(count),
            _ => count,
        };
        if self.is_empty() {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Drops all bytes, and keeps the memory.
    #[inline]
    pub fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
        if let Some(kept) = self.kept.as_mut().filter(|kept| !kept.is_empty()) {
            kept.clear();
        }
    }

    /// Keeps only the first `length` bytes. Use it to take back what was written after them.
    pub fn truncate(&mut self, length: usize) {
        let own = self.own();
        let own = match &mut self.kept {
            Some(kept) if !kept.is_empty() => kept.truncate(length, own),
            _ => own.min(length),
        };
        self.end = self.start + own;
    }

    /// Removes the bytes in `range`. The bytes after it move forward. Kept blocks are copied first.
    ///
    /// # Panics
    ///
    /// Panics if the range is not within the buffer.
    pub fn remove(&mut self, range: Range<usize>) {
        self.make_contiguous().copy_within(range.end.., range.start);
        self.end -= range.len();
    }

    /// Makes room for `more` bytes after the end, and appends `parts`. If moving the bytes to the
    /// front is enough, the storage does not grow.
    #[cold]
    fn grow(&mut self, more: usize, parts: &[&[u8]]) {
        self.storage.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let needed = self.end + more;
        if needed <= self.storage.len() {
            return self.extend_from_slices(parts);
        }
        // Double while it is small, then add a quarter. A buffer that slowly fills up to a
        // limit must not take twice the limit (design law 7).
        let step = match self.end < FAST {
            true => self.end,
            false => self.end / 4,
        };
        let grown = needed.max(self.end + step).max(LEAST);
        let mut storage = mem::take(&mut self.storage).into_vec();
        storage.truncate(self.end);
        storage.reserve_exact(grown - self.end);
        for part in parts {
            storage.extend_from_slice(part);
        }
        self.end = storage.len();
        storage.resize(grown, 0);
        self.storage = storage.into_boxed_slice();
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
mod tests;
