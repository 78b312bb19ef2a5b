//! The content of a file, read block by block while it is sent.
//!
//! A short range is read straight into the output, and leaves with the head. A long one is read into
//! blocks of its own, which are sent from where they are. The faster the client takes them, the larger
//! they become.

use std::collections::VecDeque;
use std::fmt::Write;
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, ErrorKind, Read};
use std::mem;
use std::sync::Arc;

use super::ranges::ByteRange;
use crate::http::response_body::{BodySource, READ};
use crate::socketserver::{Block, Failure};

/// A range that is not longer than this leaves together with the head.
const SHORT: u64 = READ as u64;

/// The largest block of a file. Larger ones are hardly faster (measured).
const LARGEST_BLOCK: usize = 128 * 1024;

/// The smallest block of a file, for a client that does not take them.
const SMALLEST_BLOCK: usize = 16 * 1024;

/// The parts of a file that are sent. Exactly their length is sent, unless the file shrinks
/// ([STATIC-9]).
///
/// [STATIC-9]: crate::spec#static-9
#[derive(Debug)]
pub(super) struct FileContent {
    /// The parts that are still to be sent, in order.
    parts: VecDeque<Part>,
    /// The memory for the blocks of long ranges.
    blocks: Blocks,
}

/// A part of the content.
#[derive(Debug)]
enum Part {
    /// A boundary with the head of a part.
    Text(String),
    /// Bytes of the file.
    Range(RangeReader),
}

/// Reads a range of a file. Others may read the same open file, so the position is kept here.
#[derive(Debug)]
struct RangeReader {
    /// The open file.
    file: Arc<File>,
    /// The rest of the range.
    rest: ByteRange,
}

impl FileContent {
    /// Returns the content for one range of the file.
    pub(super) fn range(file: Arc<File>, rest: ByteRange) -> FileContent {
        FileContent::new(VecDeque::from([Part::Range(RangeReader { file, rest })]))
    }

    /// Returns several ranges as `multipart/byteranges` (RFC 9110 §14.6), and the boundary between
    /// them.
    pub(super) fn multipart(
        file: &Arc<File>,
        ranges: &[ByteRange],
        content_type: &str,
        length: u64,
    ) -> (String, FileContent) {
        let boundary = boundary();
        let mut parts = VecDeque::new();
        for (number, range) in ranges.iter().enumerate() {
            let end_of_line = if number == 0 { "" } else { "\r\n" };
            parts.push_back(Part::Text(format!(
                "{end_of_line}--{boundary}\r\n\
                 Content-Type: {content_type}\r\n\
                 Content-Range: {}\r\n\r\n",
                range.content_range(length)
            )));
            parts.push_back(Part::Range(RangeReader {
                file: Arc::clone(file),
                rest: *range,
            }));
        }
        parts.push_back(Part::Text(format!("\r\n--{boundary}--\r\n")));
        (boundary, FileContent::new(parts))
    }

    fn new(parts: VecDeque<Part>) -> FileContent {
        FileContent {
            parts,
            blocks: Blocks::default(),
        }
    }

    /// Returns how many bytes are to be sent.
    pub(super) fn length(&self) -> u64 {
        let lengths = self.parts.iter().map(|part| match part {
            Part::Text(text) => text.len() as u64,
            Part::Range(reader) => reader.rest.length,
        });
        lengths.fold(0, u64::saturating_add)
    }
}

impl BodySource for FileContent {
    fn next_block(&mut self) -> Result<Option<Block>, Failure> {
        match self.parts.front_mut() {
            Some(Part::Range(reader)) => Ok(self.blocks.read(reader)?),
            Some(Part::Text(text)) => {
                let text = mem::take(text);
                self.parts.pop_front();
                Ok(Some(text.into()))
            }
            None => Ok(None),
        }
    }

    fn reader(&mut self) -> Option<&mut dyn Read> {
        let is_read = |part: &Part| matches!(part, Part::Range(reader) if reader.rest.length == 0);
        while self.parts.front().is_some_and(is_read) {
            self.parts.pop_front();
        }
        match self.parts.front_mut() {
            Some(Part::Range(reader)) if reader.rest.length <= SHORT => Some(reader),
            Some(Part::Range(_) | Part::Text(_)) | None => None,
        }
    }
}

impl Read for RangeReader {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.rest.length).unwrap_or(usize::MAX);
        let size = bytes.len().min(left);
        let count = read_at(&self.file, &mut bytes[..size], self.rest.first)?;
        self.rest = self.rest.without_first(count as u64);
        Ok(count)
    }
}

/// The memory of blocks that are sent while the next is read.
///
/// If a block is sent when the next is asked for, the client is fast, and the next is twice as large: a
/// few large writes cost less than many small ones. If it is not, the next is half as large. So a
/// response to a slow client needs little memory.
#[derive(Debug)]
struct Blocks {
    /// The memory of the last blocks, at most two. A block that was sent gives its memory to a later
    /// one.
    memory: Vec<Arc<[u8]>>,
    /// The size of the next block.
    size: usize,
}

impl Default for Blocks {
    fn default() -> Blocks {
        Blocks {
            memory: Vec::new(),
            size: LARGEST_BLOCK / 2,
        }
    }
}

impl Blocks {
    /// Reads the next block, at least one byte. Returns `None` if the file ends before that.
    fn read(&mut self, reader: &mut RangeReader) -> io::Result<Option<Block>> {
        let mut memory = self.free_memory();
        let size = self.size;
        let room = Arc::make_mut(&mut memory);
        let count = loop {
            match reader.read(&mut room[..size]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                count => break count?,
            }
        };
        self.memory.push(Arc::clone(&memory));
        let mut block = Block::from(memory);
        block.truncate(count);
        Ok((count > 0).then_some(block))
    }

    /// Chooses the size of the next block. Returns memory for it, which no other block has.
    fn free_memory(&mut self) -> Arc<[u8]> {
        let is_free = |memory: &mut Arc<[u8]>| Arc::get_mut(memory).is_some();
        self.size = match self.memory.last_mut().map(is_free) {
            None => self.size,
            Some(true) => (self.size * 2).min(LARGEST_BLOCK),
            Some(false) => (self.size / 2).max(SMALLEST_BLOCK),
        };
        self.memory.retain(|memory| memory.len() <= 2 * self.size);
        let fits = |memory: &mut Arc<[u8]>| memory.len() >= self.size && is_free(memory);
        match self.memory.iter_mut().position(fits) {
            Some(free) => self.memory.remove(free),
            None => {
                if self.memory.len() > 1 {
                    self.memory.remove(0);
                }
                vec![0; self.size].into()
            }
        }
    }
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], position: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, bytes, position)
}

#[cfg(windows)]
fn read_at(file: &File, bytes: &mut [u8], position: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, bytes, position)
}

/// Returns a boundary that no file contains. Nobody can guess it, because the keys of the hashers
/// come from the system's random numbers (RFC 2046 §5.1.1).
fn boundary() -> String {
    let mut boundary = String::with_capacity(32);
    for _ in 0..2 {
        // Ignore the result: writing to a String cannot fail.
        let _ = write!(
            boundary,
            "{:016x}",
            RandomState::new().build_hasher().finish()
        );
    }
    boundary
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Law 7: a client that takes its blocks gets larger ones, and one that does not gets smaller ones.
    /// Either way the bytes are those of the file.
    #[test]
    fn the_client_decides_how_large_the_blocks_are() {
        let path = std::env::temp_dir().join(format!("content-{}", std::process::id()));
        let content: Vec<u8> = (0..1_000_000_u32).map(|at| (at / 251 + at) as u8).collect();
        std::fs::write(&path, &content).expect("a file");
        let file = Arc::new(File::open(&path).expect("it is there"));
        std::fs::remove_file(&path).expect("it is there");
        let rest = ByteRange {
            first: 1,
            length: 999_999,
        };
        let mut source = FileContent::range(file, rest);
        let (mut held, mut position, mut sizes) = (Vec::new(), 1, Vec::new());
        for step in 0.. {
            let block = source.next_block().expect("it can be read");
            let Some(block) = block else { break };
            let end = position + block.len();
            assert!(*block == content[position..end], "block {step}");
            position = end;
            sizes.push(block.len() / 1024);
            match step {
                3..=6 => held.push(block),
                7 => held.clear(),
                _ => {}
            }
        }
        assert_eq!(position, content.len());
        assert_eq!(sizes[..10], [64, 128, 128, 128, 64, 32, 16, 16, 32, 64]);
        assert_eq!(source.blocks.memory.len(), 2);
    }
}
