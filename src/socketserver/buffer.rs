//! Bytes between the socket and a protocol: input that is not used yet, output that is not sent.

mod kept;

use std::io::{self, Read, Write};
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
        let block = block.into();
        match &mut self.kept {
            Some(kept) if kept.allowed && block.count() >= LARGE => {
                kept.push(block, self.end - self.start);
            }
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
            match &mut self.kept {
                // Whatever its size: a part of it may be sent already.
                Some(kept) if kept.allowed => kept.push(block, self.end - self.start),
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

    /// Appends what one `read` returns: at most `most` bytes, behind a prefix. `prefix` appends the
    /// prefix of so many bytes. If nothing is read, there is no prefix either.
    ///
    /// It makes room first. What if `read` returns fewer than `most` bytes? Then they move to the end of
    /// their shorter prefix. All others are where they belong, without a copy.
    ///
    /// # Errors
    ///
    /// Returns the error of `read`; the buffer is then unchanged.
    pub(crate) fn read_behind(
        &mut self,
        source: &mut (impl Read + ?Sized),
        most: usize,
        prefix: impl Fn(&mut Buffer, usize),
    ) -> io::Result<usize> {
        let before = self.end - self.start;
        prefix(self, most);
        let length = self.end - self.start - before;
        self.reserve(most);
        let place = self.end;
        self.end -= length; // also if `read` panics
        let room = &mut self.storage[place..place + most];
        let count = source.read(room)?.min(most);
        if count > 0 {
            prefix(self, count);
            if self.end < place {
                self.storage.copy_within(place..place + count, self.end);
            }
            self.end += count;
        }
        Ok(count)
    }

    /// Passes all bytes to one `write`, and drops those that it took. If there are kept blocks, it
    /// is one [`write_vectored`](Write::write_vectored) of the first few pieces.
    ///
    /// # Errors
    ///
    /// Returns the error of `write`, or `WriteZero` if it took nothing. The buffer is then
    /// unchanged.
    pub fn write_to(&mut self, sink: &mut impl Write) -> io::Result<usize> {
        let count = match &self.kept {
            Some(kept) if !kept.is_empty() => kept.write_to(self, sink)?,
            _ => sink.write(self)?,
        };
        if count == 0 && !self.is_empty() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.consume(count);
        Ok(count)
    }

    /// Makes room for `more` bytes, and appends as many as `write` says that it has written there.
    ///
    /// # Errors
    ///
    /// Returns the error of `write`; the buffer is then unchanged.
    #[cfg(feature = "tls")]
    pub(crate) fn write_with<E>(
        &mut self,
        more: usize,
        write: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<(), E> {
        self.reserve(more);
        self.end += write(&mut self.storage[self.end..])?;
        Ok(())
    }

    /// Returns the first bytes that lie together: all of them, unless there are kept blocks.
    #[cfg(feature = "tls")]
    pub(crate) fn first_piece(&self) -> &[u8] {
        match &self.kept {
            Some(kept) if !kept.is_empty() => kept.first_piece(self),
            _ => self,
        }
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
mod tests {
    use std::sync::Arc;

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

    // Law 6: an idle connection has a buffer.
    #[test]
    fn a_buffer_is_small() {
        assert!(size_of::<Buffer>() <= 40, "{} bytes", size_of::<Buffer>());
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
                let held = buffer.capacity();
                assert!(
                    held <= most,
                    "{held} for {} in steps of {step}",
                    buffer.len()
                );
            }
        }
    }

    /// Numbers whose order looks random, and is always the same.
    struct Dice(u32);

    impl Dice {
        fn below(&mut self, sides: usize) -> usize {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (self.0 >> 8) as usize % sides
        }
    }

    /// Takes a few bytes of what it is given, as a socket does.
    struct Sip {
        taken: Vec<u8>,
        most: usize,
    }

    impl Write for Sip {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let bytes = &bytes[..bytes.len().min(self.most)];
            self.taken.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn write_vectored(&mut self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
            let all: Vec<u8> = pieces
                .iter()
                .flat_map(|piece| piece.iter().copied())
                .collect();
            self.write(&all)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Whatever is done to a buffer that keeps blocks, the same bytes leave it as leave one that
    /// copies them.
    #[test]
    fn kept_blocks_leave_in_their_places() {
        for seed in 0..200 {
            let mut dice = Dice(seed);
            let (mut keeps, mut copies) = (Buffer::new(), Buffer::new());
            keeps.keep_blocks(true);
            let (mut sip, mut expected) = (
                Sip {
                    taken: Vec::new(),
                    most: 0,
                },
                Vec::new(),
            );
            for step in 0..40_u8 {
                match dice.below(8) {
                    0..3 => {
                        let most = [300, 2 * LARGE][dice.below(2)];
                        let own = vec![step; dice.below(most)];
                        keeps.extend_from_slice(&own);
                        copies.extend_from_slice(&own);
                    }
                    3 | 4 => {
                        let block = Block::lend(vec![step; LARGE - 1 + dice.below(3000)]);
                        keeps.append(block.clone());
                        copies.append(block);
                    }
                    5 => {
                        let length = copies.len().saturating_sub(dice.below(2 * LARGE));
                        keeps.truncate(length);
                        copies.truncate(length);
                    }
                    6 => {
                        let mut other = Buffer::new();
                        other.keep_blocks(dice.below(2) == 0);
                        other.append_buffer(mem::take(&mut keeps));
                        keeps = other;
                        keeps.keep_blocks(true);
                        let mut fits = keeps.split_off_to_fit();
                        fits.keep_blocks(true);
                        assert!(keeps.is_empty());
                        keeps = fits;
                    }
                    _ => {
                        sip.most = dice.below(3 * LARGE);
                        if let Ok(count) = keeps.write_to(&mut sip) {
                            expected.extend_from_slice(&copies[..count]);
                            copies.consume(count);
                        }
                    }
                }
                assert_eq!(keeps.len(), copies.len(), "seed {seed}, step {step}");
            }
            assert!(sip.taken == expected, "seed {seed}");
            assert!(keeps.make_contiguous() == &*copies, "seed {seed}");
        }
    }

    /// A block is not copied, and is dropped when its last byte is sent.
    #[test]
    fn a_kept_block_is_where_it_was() {
        let page = Arc::<[u8]>::from(vec![b'x'; LARGE]);
        let mut buffer = Buffer::new();
        buffer.append(Arc::clone(&page));
        buffer.consume(LARGE);
        assert_eq!(Arc::strong_count(&page), 1, "it was copied");
        let held = buffer.capacity();
        buffer.keep_blocks(true);
        buffer.append(Arc::clone(&page));
        buffer.append("small");
        assert_eq!((buffer.len(), &*buffer), (LARGE + 5, &b"small"[..]));
        buffer.consume(LARGE - 1);
        assert_eq!(Arc::strong_count(&page), 2);
        buffer.consume(1);
        assert_eq!(Arc::strong_count(&page), 1);
        assert_eq!((&*buffer, buffer.capacity()), (&b"small"[..], held));
        buffer.append(page);
        buffer.keep_blocks(false);
        assert_eq!(buffer[5..], [b'x'; LARGE]);
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

    /// What is read stands right behind its prefix, whatever the lengths of both are.
    #[test]
    fn reading_behind_a_prefix() {
        let line = |buffer: &mut Buffer, count: usize| {
            buffer.extend_from_slice(format!("{count:x} ").as_bytes());
        };
        let mut buffer = Buffer::new();
        let mut expected = Vec::new();
        for (most, content) in [(300, 300), (300, 299), (4096, 1), (7, 9), (1000, 40)] {
            let content = vec![b'a' + (most % 26) as u8; content];
            let count = content.len().min(most);
            let read = buffer.read_behind(&mut &*content, most, line);
            assert_eq!(read.ok(), Some(count));
            expected.extend_from_slice(format!("{count:x} ").as_bytes());
            expected.extend_from_slice(&content[..count]);
            assert_eq!(
                buffer.escape_ascii().to_string(),
                expected.escape_ascii().to_string()
            );
        }
        assert_eq!(buffer.read_behind(&mut io::empty(), 10, line).ok(), Some(0));
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("scripted"))
            }
        }
        assert!(buffer.read_behind(&mut Broken, 10, line).is_err());
        assert!(
            *buffer == *expected,
            "nothing, or a failure, changes nothing"
        );
        buffer.consume(1300);
        expected.drain(..1300.min(expected.len()));
        let read = buffer.read_behind(&mut &b"xyz"[..], 3, |_, _| {});
        assert_eq!(read.ok(), Some(3));
        assert!(buffer.ends_with(b"xyz") && buffer.starts_with(&expected));
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
