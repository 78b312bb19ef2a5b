//! The content of a file, read block by block while it is sent.

use std::collections::VecDeque;
use std::fmt::Write;
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{Seek, SeekFrom};

use super::ranges::ByteRange;
use crate::http::response_body::{BLOCK, BodySource, read_block};
use crate::socketserver::{Block, Failure};

/// The parts of a file that are sent. Exactly their length is sent, unless the file shrinks
/// ([STATIC-9]).
///
/// [STATIC-9]: crate::spec#static-9
#[derive(Debug)]
pub(super) struct FileContent {
    /// The open file.
    file: File,
    /// The offset at which the operating system reads next.
    position: u64,
    /// The parts that are still to be sent, in order.
    parts: VecDeque<Part>,
}

/// A part of the content.
#[derive(Debug)]
enum Part {
    /// A boundary with the head of a part.
    Text(String),
    /// Bytes of the file.
    Range(ByteRange),
}

impl FileContent {
    /// Returns the content for one range of the file.
    pub(super) fn range(file: File, range: ByteRange) -> FileContent {
        FileContent::new(file, VecDeque::from([Part::Range(range)]))
    }

    /// Returns several ranges as `multipart/byteranges` (RFC 9110 §14.6), and the boundary between
    /// them.
    pub(super) fn multipart(
        file: File,
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
            parts.push_back(Part::Range(*range));
        }
        parts.push_back(Part::Text(format!("\r\n--{boundary}--\r\n")));
        (boundary, FileContent::new(file, parts))
    }

    fn new(file: File, parts: VecDeque<Part>) -> FileContent {
        FileContent {
            file,
            position: 0,
            parts,
        }
    }

    /// Returns how many bytes are to be sent.
    pub(super) fn length(&self) -> u64 {
        let lengths = self.parts.iter().map(|part| match part {
            Part::Text(text) => text.len() as u64,
            Part::Range(range) => range.length,
        });
        lengths.fold(0, u64::saturating_add)
    }

    /// Reads the next bytes of a range, at least one. `None` if the file ends before them.
    fn read(&mut self, range: ByteRange) -> Result<Option<Vec<u8>>, Failure> {
        if self.position != range.first {
            self.file.seek(SeekFrom::Start(range.first))?;
            self.position = range.first;
        }
        let size = usize::try_from(range.length).map_or(BLOCK, |length| length.min(BLOCK));
        let block = read_block(&mut self.file, size)?;
        self.position += block.as_ref().map_or(0, Vec::len) as u64;
        Ok(block)
    }
}

impl BodySource for FileContent {
    fn next_block(&mut self) -> Result<Option<Block>, Failure> {
        loop {
            match self.parts.pop_front() {
                None => return Ok(None),
                Some(Part::Text(text)) => return Ok(Some(text.into())),
                Some(Part::Range(ByteRange { length: 0, .. })) => {}
                Some(Part::Range(range)) => {
                    let block = self.read(range)?;
                    if let Some(block) = &block {
                        let rest = range.without_first(block.len() as u64);
                        self.parts.push_front(Part::Range(rest));
                    }
                    return Ok(block.map(Block::from));
                }
            }
        }
    }
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
