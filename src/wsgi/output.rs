//! What an application answers, as far as it is the same for every handler: when the head is
//! final, what its length is, which blocks are sent, and that the result is closed once.

use std::mem;

use super::application::{AppResult, Application, Body, Iterable};
use super::environ::Environ;
use super::start_response::{Head, Start, StartResponse};
use crate::http::BodySource;
use crate::socketserver::{Failure, HandlerResult, complain, contain};

/// How much of a body that is not to be sent is asked for all the same (WSGI-14), in bytes and in
/// blocks. Nobody takes the blocks, so nothing else ends a body without an end.
const CONSUMED_BYTES: usize = 64 * 1024;
const CONSUMED_BLOCKS: usize = 1024;

/// Answers in the place of an application that failed before its head was sent, and tells the
/// client nothing (WSGI-19; the text is Python's).
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

/// Calls the application and pulls until the head is certain (WSGI-5).
pub(super) fn run<A: Application + ?Sized>(
    application: &A,
    environ: &mut Environ<'_>,
) -> Result<(Head, Answer), Failure> {
    run_with(|start| application.call(environ, start))
}

/// As [`run`], by `call`, which may put something of its own between application and `start`.
pub(super) fn run_with(
    call: impl FnOnce(&mut Start) -> AppResult,
) -> Result<(Head, Answer), Failure> {
    let mut start = Start::new();
    let body = contain(|| call(&mut start))?;
    let mut answer = Answer {
        result: Pending(body),
        start,
        first: None,
        whole: false,
        ended: false,
    };
    let head = answer.begin()?;
    Ok((head, answer))
}

/// The result of an application, on its way to the client.
pub(super) struct Answer {
    result: Pending,
    start: Start,
    /// The first block that is not empty, until it is sent.
    first: Option<Vec<u8>>,
    /// The first block is all there is (WSGI-13).
    whole: bool,
    /// Nothing is to be pulled any more.
    ended: bool,
}

impl Answer {
    /// Pulls until there is something to send, or the end; that makes the head final.
    fn begin(&mut self) -> Result<Head, Failure> {
        let single = self.result.0.block_count() == Some(1);
        self.first = loop {
            match self.pull()? {
                Some(block) if block.is_empty() => {}
                first => break first,
            }
        };
        // After a write() nobody knows how long the body is (WSGI-13).
        self.whole = !self.start.is_committed() && (single || self.first.is_none());
        self.ended = self.whole || self.first.is_none();
        Ok(self.start.send()?)
    }

    /// All of the body, if it is known to be its first block or nothing: then its length is the
    /// answer's (WSGI-13).
    pub(super) fn whole(&self) -> Option<&[u8]> {
        self.whole
            .then(|| self.first.as_deref().unwrap_or_default())
    }

    /// What was written by `write()`, and else, or together with it, the next block.
    fn pull(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let mut written = self.start.take_written();
        if !written.is_empty() {
            return Ok(Some(written));
        }
        let start = &mut self.start;
        let block = contain(|| self.result.0.next_block(start))?;
        // A late start_response comes with the first block, not after it (WSGI-11).
        start.check()?;
        written = start.take_written();
        Ok(match block {
            block if written.is_empty() => block,
            Some(block) => Some([written, block].concat()),
            None => Some(written),
        })
    }

    /// Closes the result now, for a caller who wants to know how that went.
    pub(super) fn close(mut self) -> HandlerResult {
        self.result.close()
    }

    /// Pulls blocks that are not to be sent and drops them (WSGI-14).
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

impl BodySource for Answer {
    /// The next block that is to be sent; of a whole body only the first.
    fn next_block(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        match self.first.take() {
            Some(first) => Ok(Some(first)),
            None if self.ended => Ok(None),
            None => self.pull(),
        }
    }
}

/// A result whose `close()` is still to be called: once, when this is dropped, which is when the
/// answer is complete, has failed, or the client is gone (WSGI-18).
struct Pending(Body);

impl Pending {
    fn close(&mut self) -> HandlerResult {
        let mut body = mem::replace(&mut self.0, Body::from(""));
        let closed = contain(|| body.close());
        // To be dropped is all that an iterator has for a close().
        let dropped = contain(move || {
            drop(body);
            Ok(())
        });
        closed.and(dropped)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // The answer is what it is: there is nobody left to tell but the log (WSGI-18).
        if let Err(failure) = self.close() {
            complain("close() of a result failed", &failure);
        }
    }
}
