//! The content of an answer: how it ends, and how it is pulled while the client reads.

use std::io::{ErrorKind, Read};
use std::{fmt, iter, mem};

use super::ResponseError;
use super::h1::{self, Sink};
use super::workers::Workers;
use crate::socketserver::{Buffer, Failure};

/// Content that is pulled block by block, each only when the one before is on its way.
///
/// Dropped when it has ended, failed, or the client is gone. Any iterator of blocks is one, and
/// [`FromRead`] makes one of a file.
pub trait BodySource: Send {
    /// The next block; `None` at the end. An empty one is not the end.
    ///
    /// # Errors
    ///
    /// A failure breaks the answer off: the client sees that it is incomplete.
    fn next_block(&mut self) -> Result<Option<Vec<u8>>, Failure>;

    /// The trailer fields, asked for at the end of an answer that is chunked; no other can have
    /// any (RFC 9112 §7.1.2). By default none.
    fn trailers(&mut self) -> Vec<(String, Vec<u8>)> {
        Vec::new()
    }
}

impl<I> BodySource for I
where
    I: Iterator + Send,
    I::Item: Into<Vec<u8>>,
{
    fn next_block(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        Ok(self.next().map(Into::into))
    }
}

/// The content of a file, or of anything else that can be read without waiting, in blocks. On
/// [`Workers`](super::Workers) reading may wait.
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

/// How much is read at a time. A slow client has as much unsent above the high-water mark; and
/// what fits into a processor's cache is sent faster than what does not.
pub(super) const BLOCK: usize = 16 * 1024;

impl<R: Read> FromRead<R> {
    /// The content of `reader`, to its end.
    pub fn new(reader: R) -> FromRead<R> {
        FromRead(reader)
    }
}

impl<R: Read + Send> BodySource for FromRead<R> {
    fn next_block(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let mut block = vec![0; BLOCK];
        loop {
            match self.0.read(&mut block) {
                Ok(0) => return Ok(None),
                Ok(count) => {
                    block.truncate(count);
                    return Ok(Some(block));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// How the content of an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyFraming {
    /// There is none, and no field says so (1xx, 204, 304).
    Silent,
    /// So many bytes are left to be sent.
    Length(u64),
    Chunked,
    /// With the connection (HTTP/1.0).
    Close,
}

/// What is written around a block at most, and a last chunk without trailers behind it.
const CHUNK_FRAMING: usize = 32;

/// Puts the blocks of an answer into its framing.
#[derive(Debug)]
pub(super) struct Framer {
    framing: BodyFraming,
    close: bool,
    /// Bytes of content that were written.
    sent: u64,
}

/// How an answer ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) close: bool,
    pub(super) sent: u64,
    /// The content was not as long as had been announced.
    pub(super) wrong: Option<ResponseError>,
}

impl Framer {
    pub(super) fn new(framing: BodyFraming, close: bool) -> Framer {
        Framer {
            framing,
            close,
            sent: 0,
        }
    }

    /// Bytes of content that were written so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether only a reset can tell the client that an answer broken off is not whole.
    pub(super) fn ends_with_the_connection(&self) -> bool {
        self.framing == BodyFraming::Close
    }

    /// Writes a block; the end, if that was all that had been announced.
    pub(super) fn block(&mut self, block: &[u8], output: &mut Buffer) -> Option<Ending> {
        match &mut self.framing {
            BodyFraming::Chunked => {
                output.reserve(block.len() + CHUNK_FRAMING);
                h1::chunk(output, block);
            }
            BodyFraming::Close => output.put(block),
            BodyFraming::Silent => return None,
            BodyFraming::Length(left) => {
                let (taken, wrong) = cut(block, *left);
                output.put(taken);
                *left -= taken.len() as u64;
                self.sent += taken.len() as u64;
                return match *left {
                    0 => Some(self.ending(wrong)),
                    _ => None,
                };
            }
        }
        self.sent += block.len() as u64;
        None
    }

    /// Writes what follows the last block.
    pub(super) fn end(
        &mut self,
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
                self.close = true; // nothing else can say that some is missing
                return Ok(self.ending(Some(ResponseError::TooShort)));
            }
            BodyFraming::Length(_) | BodyFraming::Close | BodyFraming::Silent => {}
        }
        Ok(self.ending(None))
    }

    fn ending(&self, wrong: Option<ResponseError>) -> Ending {
        Ending {
            close: self.close,
            sent: self.sent,
            wrong,
        }
    }
}

/// An answer whose content is pulled.
pub(super) struct Streaming {
    pub(super) source: Box<dyn BodySource>,
    pub(super) framer: Framer,
    /// Who pulls, and sees to the source's end: if nobody is named, whoever has this.
    pub(super) workers: Option<Workers>,
}

impl Streaming {
    /// Pulls one block and writes it with its framing; how it ended, if that was the last.
    pub(super) fn pull(&mut self, output: &mut Buffer) -> Result<Option<Ending>, Failure> {
        match self.source.next_block()? {
            Some(block) => Ok(self.framer.block(&block, output)),
            None => {
                let trailers = self.source.trailers();
                self.framer.end(&trailers, output).map(Some)
            }
        }
    }
}

impl Drop for Streaming {
    /// A source may block as it ends, too, wherever its client leaves (WSGI-14).
    fn drop(&mut self) {
        if let Some(workers) = self.workers.take() {
            let nothing = Box::new(iter::empty::<Vec<u8>>());
            workers.end(mem::replace(&mut self.source, nothing));
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

/// As much of `content` as was announced, and what is wrong if the two differ.
pub(super) fn cut(content: &[u8], announced: u64) -> (&[u8], Option<ResponseError>) {
    let room = usize::try_from(announced).unwrap_or(usize::MAX);
    match content.get(..room) {
        Some(sent) if sent.len() < content.len() => (sent, Some(ResponseError::TooLong)),
        Some(sent) => (sent, None),
        None => (content, Some(ResponseError::TooShort)),
    }
}
