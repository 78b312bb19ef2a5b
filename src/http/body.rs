//! The content of an answer: how it ends, and how it is pulled while the client reads.

use std::fmt;

use super::ResponseError;
use super::h1::{self, Sink};
use super::response::Terms;
use crate::socketserver::{Buffer, Failure};

/// Content that is pulled block by block, each only when the one before is on its way.
///
/// Dropped when it has ended, failed, or the client is gone. Any iterator of blocks is one.
pub trait BodySource: Send {
    /// The next block; `None` at the end. An empty one is not the end.
    ///
    /// # Errors
    ///
    /// A failure breaks the answer off: the client sees that it is incomplete.
    fn next_block(&mut self) -> Result<Option<Vec<u8>>, Failure>;
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

/// An answer whose content is on its way.
pub(super) struct Streaming {
    pub(super) source: Box<dyn BodySource>,
    pub(super) framing: BodyFraming,
    pub(super) close: bool,
    pub(super) terms: Terms,
}

/// What came of pulling one block.
#[derive(Debug)]
pub(super) enum Pulled {
    More,
    End {
        close: bool,
        /// The content was not as long as had been announced.
        wrong: Option<ResponseError>,
    },
}

impl Streaming {
    /// Pulls one block and writes it with its framing.
    pub(super) fn pull(&mut self, output: &mut Buffer) -> Result<Pulled, Failure> {
        let block = self.source.next_block()?;
        match (&mut self.framing, block) {
            (BodyFraming::Chunked, Some(block)) => h1::chunk(output, &block),
            (BodyFraming::Chunked, None) => {
                h1::last_chunk(output, std::iter::empty::<(&str, &[u8])>())?;
                return Ok(self.end(None));
            }
            (BodyFraming::Length(left), Some(block)) => {
                let (sent, wrong) = cut(&block, *left);
                output.put(sent);
                *left -= sent.len() as u64;
                if *left == 0 {
                    return Ok(self.end(wrong));
                }
            }
            (BodyFraming::Length(left), None) if *left > 0 => {
                self.close = true; // nothing else can say that some is missing
                return Ok(self.end(Some(ResponseError::TooShort)));
            }
            (BodyFraming::Close, Some(block)) => output.put(&block),
            (BodyFraming::Silent, Some(_)) => {}
            (_, None) => return Ok(self.end(None)),
        }
        Ok(Pulled::More)
    }

    fn end(&self, wrong: Option<ResponseError>) -> Pulled {
        Pulled::End {
            close: self.close,
            wrong,
        }
    }
}

impl fmt::Debug for Streaming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streaming")
            .field("framing", &self.framing)
            .field("close", &self.close)
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
