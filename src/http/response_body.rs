//! The body of a response: how it is framed, and how it is pulled while the client reads.

use std::cmp::Ordering;
use std::fmt;
use std::io::{self, ErrorKind, Read};

use super::h1::{self, Sink};
use super::response_error::ResponseError;
use crate::socketserver::{Block, Buffer, Failure};

/// A body that is pulled block by block, each block when the one before it is on its way.
///
/// It is dropped when it has ended or failed, or when the client has disconnected. If a worker
/// began the response, all of this happens on that worker's thread ([THREAD-11]). Any iterator of
/// blocks is a `BodySource`, and [`FromRead`] makes one from a file. A large [`Block`] is sent from
/// where its bytes are.
///
/// [THREAD-11]: crate::spec#thread-11
pub trait BodySource: Send {
    /// Returns the next block, or `None` at the end. An empty block is not the end.
    ///
    /// # Errors
    ///
    /// An error breaks the response off: the client sees that it is incomplete.
    fn next_block(&mut self) -> Result<Option<Block>, Failure>;

    /// Returns what the rest of the body is read from, if it can be read; by default `None`.
    ///
    /// If there is a reader, the server reads from it and does not call
    /// [`next_block`](Self::next_block): one `read` for each block, straight into the output of the
    /// connection. So a file needs no memory for its blocks. A read that returns 0 is the end. The
    /// server asks before each block, so a source may have some blocks, and then a reader.
    ///
    /// On the loop's thread a read must not wait. A reader must write as many bytes as it returns: what
    /// is there otherwise may belong to another client.
    fn reader(&mut self) -> Option<&mut dyn Read> {
        None
    }

    /// Returns the trailer fields; by default none.
    ///
    /// It is called at the end of a chunked response. No other response can have trailers
    /// (RFC 9112 §7.1.2). A field that has to come before the body, such as `Content-Type`, breaks
    /// the response off, and the failure is reported
    /// ([`ForbiddenTrailer`](super::h1::EncodeError::ForbiddenTrailer)). A client may ignore trailers,
    /// unless its `TE` field has `trailers` (RFC 9110 §6.5.1).
    fn trailers(&mut self) -> Vec<(String, Vec<u8>)> {
        Vec::new()
    }
}

impl<I> BodySource for I
where
    I: Iterator + Send,
    I::Item: Into<Block>,
{
    fn next_block(&mut self) -> Result<Option<Block>, Failure> {
        Ok(self.next().map(Into::into))
    }
}

/// The body read in blocks from a file, or from anything else that can be read without waiting. On
/// a [`Pool`](crate::socketserver::Pool) reading may wait.
///
/// ```
/// use std::fs::File;
/// use serve_forever::http::{FromRead, HttpResult, Request, Response};
///
/// fn download(_: &Request<'_>, response: Response<'_>) -> HttpResult {
///     let file = File::open("/var/lib/map.tiles")?;
///     let length = file.metadata()?.len();
///     response
///         .send_response(200)
///         .send_header("Content-Length", length.to_string())
///         .stream(FromRead::new(file))
/// }
/// # let _ = download;
/// ```
#[derive(Debug)]
pub struct FromRead<R>(R);

/// The size of a block that is made. A slow client can have this much unsent above the high-water mark.
pub(super) const BLOCK: usize = 16 * 1024;

/// How much is read at a time if nothing else is unsent. A system call costs little beside so many
/// bytes, and they fit into a processor's cache.
pub(crate) const READ: usize = 64 * 1024;

/// The least that is read at a time. A slow client can have this much unsent above [`READ`].
const LEAST: usize = 4 * 1024;

impl<R: Read> FromRead<R> {
    /// Reads `reader` to its end.
    pub fn new(reader: R) -> FromRead<R> {
        FromRead(reader)
    }
}

impl<R: Read + Send> BodySource for FromRead<R> {
    fn next_block(&mut self) -> Result<Option<Block>, Failure> {
        Ok(read_block(&mut self.0, BLOCK)?.map(Block::from))
    }

    fn reader(&mut self) -> Option<&mut dyn Read> {
        Some(&mut self.0)
    }
}

/// Reads a block of at most `size` bytes. Returns `None` at the end.
pub(crate) fn read_block(
    reader: &mut (impl Read + ?Sized),
    size: usize,
) -> io::Result<Option<Vec<u8>>> {
    let mut block = vec![0; size];
    let count = uninterrupted(|| reader.read(&mut block))?;
    block.truncate(count);
    Ok((count > 0).then_some(block))
}

/// Reads again as long as a signal interrupts the read (PEP 475).
fn uninterrupted(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// How the body of a response ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyFraming {
    /// There is no body, and no field says so (1xx, 204, 304).
    Silent,
    /// This many bytes are still to be written.
    Length(u64),
    /// With the last chunk, which is empty.
    Chunked,
    /// With the connection (HTTP/1.0).
    Close,
}

/// Room for the framing of one block, and for a last chunk without trailers after it. It is made
/// together with that for the block, because a buffer that grows once more grows by a quarter.
const CHUNK_FRAMING: usize = 32;

/// Writes the blocks of a body in their framing.
#[derive(Debug)]
pub(super) struct Framer {
    /// How the body ends, and how much is left if its length is announced.
    framing: BodyFraming,
    /// Bytes of the body that were written.
    sent: u64,
}

/// How a response ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ending {
    /// The connection ends with it.
    pub(super) close: bool,
    /// Bytes of the body that were written.
    pub(super) sent: u64,
    /// The body was not as long as its `Content-Length` announced.
    pub(super) wrong: Option<ResponseError>,
}

impl Framer {
    pub(super) fn new(framing: BodyFraming) -> Framer {
        Framer { framing, sent: 0 }
    }

    /// Bytes of the body that were written so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Returns whether there is no body, so that blocks are dropped.
    pub(super) fn is_silent(&self) -> bool {
        self.framing == BodyFraming::Silent
    }

    /// Returns whether only a reset can tell the client that a response is not whole.
    pub(super) fn is_close_delimited(&self) -> bool {
        self.framing == BodyFraming::Close
    }

    /// Writes a copy of a block. Returns the end if that was all that had been announced.
    pub(super) fn copy(&mut self, block: &[u8], output: &mut Buffer) -> Option<Ending> {
        let (count, length) = (self.cut(block.len()), block.len());
        let block = block.get(..count).unwrap_or(block);
        match self.framing {
            BodyFraming::Chunked => h1::chunk(output, block),
            _ => output.put(block),
        }
        self.wrote(length)
    }

    /// Like [`copy`](Self::copy), but the output may keep the block.
    pub(super) fn block(&mut self, mut block: Block, output: &mut Buffer) -> Option<Ending> {
        let length = block.count();
        block.truncate(self.cut(length));
        output.reserve(output.copied(block.count()) + CHUNK_FRAMING);
        self.begin_block(block.count(), output);
        output.append(block);
        self.end_block(length, output)
    }

    /// Reads a block from `reader` straight into the output: as much as `room` says, and [`LEAST`] if
    /// that is less. Returns `None` at the end of the reader, and else what [`copy`](Self::copy)
    /// returns.
    pub(super) fn read(
        &mut self,
        reader: &mut dyn Read,
        room: usize,
        output: &mut Buffer,
    ) -> io::Result<Option<Option<Ending>>> {
        let most = match self.framing {
            // One more byte shows that the body is too long.
            BodyFraming::Length(left) => cut(room.max(LEAST), left.saturating_add(1)).0,
            _ => room.max(LEAST),
        };
        // For all that may be read while the client takes nothing, so that the output grows once.
        output.reserve(most.min(room) + LEAST + CHUNK_FRAMING);
        let before = output.len();
        let framer = &*self;
        let read = || {
            let begin = |output: &mut Buffer, count| framer.begin_block(count, output);
            output.read_behind(reader, most, begin)
        };
        let length = uninterrupted(read)?;
        if length == 0 {
            return Ok(None);
        }
        if self.framing != BodyFraming::Chunked {
            output.truncate(before + self.cut(length));
        }
        Ok(Some(self.end_block(length, output)))
    }

    /// Returns how many bytes of a block of `length` bytes are sent.
    fn cut(&self, length: usize) -> usize {
        match self.framing {
            BodyFraming::Length(left) => cut(length, left).0,
            BodyFraming::Silent => 0,
            BodyFraming::Chunked | BodyFraming::Close => length,
        }
    }

    /// Writes what comes before a block of `length` bytes. An empty chunk would end the body.
    fn begin_block(&self, length: usize, output: &mut Buffer) {
        if self.framing == BodyFraming::Chunked && length > 0 {
            h1::chunk_size(output, length as u64);
        }
    }

    /// Writes what comes after a block of `length` bytes. Returns the end if that was all that had
    /// been announced.
    fn end_block(&mut self, length: usize, output: &mut Buffer) -> Option<Ending> {
        if self.framing == BodyFraming::Chunked && length > 0 {
            output.put(b"\r\n");
        }
        self.wrote(length)
    }

    /// Counts a block of `length` bytes.
    fn wrote(&mut self, length: usize) -> Option<Ending> {
        match &mut self.framing {
            BodyFraming::Silent => None,
            BodyFraming::Chunked | BodyFraming::Close => {
                self.sent += length as u64;
                None
            }
            BodyFraming::Length(left) => {
                let (taken, wrong) = cut(length, *left);
                *left -= taken as u64;
                self.sent += taken as u64;
                match *left {
                    0 => Some(self.ending(wrong)),
                    _ => None,
                }
            }
        }
    }

    /// Writes what follows the last block.
    pub(super) fn end(
        &self,
        trailers: &[(String, Vec<u8>)],
        output: &mut Buffer,
    ) -> Result<Ending, Failure> {
        match self.framing {
            BodyFraming::Chunked => {
                let trailers = trailers.iter();
                let trailers = trailers.map(|(name, value)| (name.as_str(), value.as_slice()));
                h1::last_chunk(output, trailers)?;
            }
            BodyFraming::Length(left) if left > 0 => {
                return Ok(self.ending(Some(ResponseError::TooShort)));
            }
            BodyFraming::Length(_) | BodyFraming::Close | BodyFraming::Silent => {}
        }
        Ok(self.ending(None))
    }

    fn ending(&self, wrong: Option<ResponseError>) -> Ending {
        Ending {
            // Only the end of the connection tells the client that some of the body is missing.
            close: wrong == Some(ResponseError::TooShort),
            sent: self.sent,
            wrong,
        }
    }
}

/// A response whose body is pulled.
pub(super) struct Streaming {
    /// Where the blocks come from.
    pub(super) source: Box<dyn BodySource>,
    /// Writes the blocks in their framing.
    pub(super) framer: Framer,
    /// How the response ended, if its first block was also the last.
    pub(super) ended: Option<Ending>,
}

impl Streaming {
    /// Pulls one block and writes it in its framing. Returns the end if that was the last. `room` is
    /// how much is read, if the source has a reader.
    pub(super) fn pull(
        &mut self,
        room: usize,
        output: &mut Buffer,
    ) -> Result<Option<Ending>, Failure> {
        let pulled = match self.source.reader() {
            Some(reader) => self.framer.read(reader, room, output)?,
            None => {
                let block = self.source.next_block()?;
                block.map(|block| self.framer.block(block, output))
            }
        };
        match pulled {
            Some(ended) => Ok(ended),
            None => {
                let trailers = self.source.trailers();
                self.framer.end(&trailers, output).map(Some)
            }
        }
    }
}

impl fmt::Debug for Streaming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streaming")
            .field("framer", &self.framer)
            .finish_non_exhaustive()
    }
}

/// Returns how much of a body of `length` bytes is sent if `announced` bytes were announced, and
/// what is wrong if the two differ.
pub(super) fn cut(length: usize, announced: u64) -> (usize, Option<ResponseError>) {
    let room = usize::try_from(announced).unwrap_or(usize::MAX);
    match length.cmp(&room) {
        Ordering::Greater => (room, Some(ResponseError::TooLong)),
        Ordering::Equal => (length, None),
        Ordering::Less => (length, Some(ResponseError::TooShort)),
    }
}
