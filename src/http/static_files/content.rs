//! The content of a file, read block by block while it is sent.
//!
//! A short range is read straight into the output, and leaves with the head. A long one is read into
//! `blocks` of its own, which are sent from where they are.

use std::collections::VecDeque;
use std::fmt::Write;
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read};
use std::mem;
use std::sync::Arc;

use super::blocks::{Blocks, SpareBlocks};
use super::ranges::ByteRange;
use crate::http::response_body::{BodySource, READ};
use crate::socketserver::{Block, Failure};

/// A range that is not longer than this leaves together with the head.
const SHORT: u64 = READ as u64;

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
    /// Returns the content for one range of the file. It takes its memory from `spare`, if there is some.
    pub(super) fn range(file: Arc<File>, rest: ByteRange, spare: &Arc<SpareBlocks>) -> FileContent {
        let parts = VecDeque::from([Part::Range(RangeReader { file, rest })]);
        FileContent::new(parts, spare)
    }

    /// Returns several ranges as `multipart/byteranges` (RFC 9110 §14.6), and the boundary between
    /// them.
    pub(super) fn multipart(
        file: &Arc<File>,
        ranges: &[ByteRange],
        content_type: &str,
        length: u64,
        spare: &Arc<SpareBlocks>,
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
        (boundary, FileContent::new(parts, spare))
    }

    fn new(parts: VecDeque<Part>, spare: &Arc<SpareBlocks>) -> FileContent {
        let blocks = Blocks::new(length(&parts), spare);
        FileContent { parts, blocks }
    }

    /// Returns how many bytes are to be sent.
    pub(super) fn length(&self) -> u64 {
        length(&self.parts)
    }
}

/// Returns how many bytes the parts have together.
fn length(parts: &VecDeque<Part>) -> u64 {
    let lengths = parts.iter().map(|part| match part {
        Part::Text(text) => text.len() as u64,
        Part::Range(reader) => reader.rest.length,
    });
    lengths.fold(0, u64::saturating_add)
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
