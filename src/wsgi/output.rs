//! The result of an application, on its way to the client. This part is the same for every handler.
//! It decides when the head is final, whether the length is known and which blocks are sent, and
//! closes the result once.

use std::io::Read;
use std::mem;

use super::application::{AppResult, Application, Body, Iterable};
use super::environ::Environ;
use super::start_response::{Head, Start, StartResponse};
use super::writing::Writing;
use crate::http::{BodySource, READ, read_block};
use crate::socketserver::{Block, Failure, HandlerResult, complain, contain};

/// How much of a body is pulled although it is not sent ([WSGI-14]), in bytes and in blocks. Only
/// this limit stops an endless body here, because no client has to take the blocks.
///
/// [WSGI-14]: crate::spec#wsgi-14
const CONSUMED_BYTES: usize = 64 * 1024;
const CONSUMED_BLOCKS: usize = 1024;

/// The response to an application that failed before its head was sent. It tells the client
/// nothing ([WSGI-19]; the text is Python's).
///
/// [WSGI-19]: crate::spec#wsgi-19
pub(super) fn error_output(
    _: &mut Environ<'_>,
    start_response: &mut dyn StartResponse,
) -> AppResult {
    start_response.call(
        "500 Internal Server Error",
        &[("Content-Type", "text/plain")],
    )?;
    Ok("A server error occurred.  Please contact the administrator.".into())
}

/// The output of an application, pulled until its head is certain ([WSGI-5]).
///
/// [WSGI-5]: crate::spec#wsgi-5
pub(super) struct Output {
    /// The result, to be closed once.
    result: Pending,
    /// For the blocks that are still to be pulled: a late `write()` goes here.
    start: Start,
    /// The head, which is final.
    head: Head,
    /// The part of the body that is not sent yet.
    rest: Rest,
}

/// The part of the body that is not sent yet.
enum Rest {
    /// All of the body is this block, so its length is known ([WSGI-13]). It is empty if the body
    /// is.
    ///
    /// [WSGI-13]: crate::spec#wsgi-13
    Whole(Block),
    /// Blocks are pulled one by one. The first one may have been pulled already.
    Streaming(Option<Block>),
    /// Nothing more is pulled.
    Ended,
}

impl Output {
    /// Calls the application. While it runs, `write` is called for its `write()`.
    pub(super) fn of<A: Application + ?Sized>(
        application: &A,
        environ: &mut Environ<'_>,
        write: impl FnMut(&mut Start, &[u8]) -> HandlerResult + Send,
    ) -> Result<Output, Failure> {
        let mut start = Start::new();
        let mut writing = Writing {
            start: &mut start,
            write,
        };
        let body = contain(|| application.call(environ, &mut writing))?;
        Output::begin(Pending(body), start)
    }

    /// Pulls until there is something to send, or the end. That makes the head final.
    fn begin(mut result: Pending, mut start: Start) -> Result<Output, Failure> {
        let single = result.0.block_count() == Some(1);
        let first = loop {
            match result.pull(&mut start)? {
                Some(block) if block.is_empty() => {}
                first => break first,
            }
        };
        let rest = match first {
            // After a write() the length of the body is not known (WSGI-13).
            None if start.is_committed() => Rest::Ended,
            Some(_) if start.is_committed() || !single => Rest::Streaming(first),
            only => Rest::Whole(only.unwrap_or_default()),
        };
        let head = start.send()?;
        Ok(Output {
            result,
            start,
            head,
            rest,
        })
    }

    /// Returns the head, which is final.
    pub(super) fn head(&self) -> &Head {
        &self.head
    }

    /// Returns all of the body, if it is known to be one block or nothing. The response then gets
    /// that length ([WSGI-13]).
    ///
    /// [WSGI-13]: crate::spec#wsgi-13
    pub(super) fn whole(&self) -> Option<&[u8]> {
        match &self.rest {
            Rest::Whole(whole) => Some(whole),
            _ => None,
        }
    }

    /// Takes all of the body, if it is known to be one block or nothing.
    pub(super) fn take_whole(&mut self) -> Option<Block> {
        match mem::replace(&mut self.rest, Rest::Ended) {
            Rest::Whole(whole) => Some(whole),
            rest => {
                self.rest = rest;
                None
            }
        }
    }

    /// Closes the result now, for a caller that needs to know whether that failed.
    pub(super) fn close(mut self) -> HandlerResult {
        self.result.close()
    }

    /// Pulls blocks that are not sent, and drops them ([WSGI-14]).
    ///
    /// [WSGI-14]: crate::spec#wsgi-14
    pub(super) fn consume(&mut self) -> Result<(), Failure> {
        let mut bytes = 0;
        for _ in 0..CONSUMED_BLOCKS {
            match self.next_block()? {
                Some(block) if bytes < CONSUMED_BYTES => bytes += block.len(),
                _ => break,
            }
        }
        Ok(())
    }
}

impl BodySource for Output {
    /// Returns the next block to send. Of a whole body there is only one.
    fn next_block(&mut self) -> Result<Option<Block>, Failure> {
        match mem::replace(&mut self.rest, Rest::Ended) {
            Rest::Whole(whole) => Ok(Some(whole).filter(|whole| !whole.is_empty())),
            Rest::Streaming(first) => {
                let block = match first {
                    None => self.result.pull(&mut self.start)?,
                    first => first,
                };
                if block.is_some() {
                    self.rest = Rest::Streaming(None);
                }
                Ok(block)
            }
            Rest::Ended => Ok(None),
        }
    }

    /// Returns the application's reader, when the block that was pulled before the head is sent.
    fn reader(&mut self) -> Option<&mut dyn Read> {
        match self.rest {
            Rest::Streaming(None) => self.result.0.reader(),
            _ => None,
        }
    }
}

/// A result whose `close()` is still to be called. That happens once, at the latest when this is
/// dropped: the response is complete or has failed, or the client has disconnected ([WSGI-18]).
///
/// [WSGI-18]: crate::spec#wsgi-18
struct Pending(Body);

impl Pending {
    /// Returns the bytes that the application wrote by `write()`, or else the next block. Bytes
    /// that it wrote while that block was made go before the block.
    fn pull(&mut self, start: &mut Start) -> Result<Option<Block>, Failure> {
        let mut written = start.take_written();
        if !written.is_empty() {
            return Ok(Some(written.into()));
        }
        let block = contain(|| match self.0.reader() {
            Some(reader) => Ok(read_block(reader, READ)?.map(Block::from)),
            None => self.0.next_block(start),
        })?;
        // A late start_response comes with the first block, not after it (WSGI-11).
        start.check()?;
        written = start.take_written();
        Ok(match block {
            block if written.is_empty() => block,
            Some(block) => {
                written.extend_from_slice(&block);
                Some(written.into())
            }
            None => Some(written.into()),
        })
    }

    fn close(&mut self) -> HandlerResult {
        let mut body = mem::replace(&mut self.0, Body::from(""));
        let closed = contain(|| body.close());
        // An iterator has no close() but its drop.
        let dropped = contain(move || {
            drop(body);
            Ok(())
        });
        closed.and(dropped)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // The response cannot change any more, so a failure goes to the log alone (WSGI-18).
        if let Err(failure) = self.close() {
            complain("close() of a result failed", failure);
        }
    }
}
