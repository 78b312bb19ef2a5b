//! Bodies of requests that are too large for memory: they wait in a file until they are whole
//! ([WSGI-30]).
//!
//! [WSGI-30]: crate::spec#wsgi-30

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Seek, Write};
use std::sync::Arc;

use crate::http::h1::Fields;
use crate::http::{BodyPolicy, BodySink, HttpResult, Request, Response, Want};
use crate::socketserver::Failure;

/// How much of a body is kept in memory if its length was not announced. A body on its way to a sink
/// does not count for `Limits::bodies`, so this has to be little: with 10 000 clients it is 625 MiB.
const UNANNOUNCED: usize = 64 * 1024;

/// Which bodies go to a file, and where that comes from.
#[derive(Clone)]
pub(super) struct Spooling {
    /// A body that announces more bytes goes to a file.
    memory: usize,
    /// Makes a file.
    open: Arc<dyn Fn() -> io::Result<File> + Send + Sync>,
}

impl Spooling {
    pub(super) fn new(
        memory: usize,
        open: impl Fn() -> io::Result<File> + Send + Sync + 'static,
    ) -> Spooling {
        Spooling {
            memory,
            open: Arc::new(open),
        }
    }

    /// Returns how the body of `request` arrives.
    pub(super) fn body_policy(&self, request: &Request<'_>) -> BodyPolicy {
        match self.takes(request) {
            true => BodyPolicy::streamed(),
            false => BodyPolicy::whole().limit(u64::try_from(self.memory).unwrap_or(u64::MAX)),
        }
    }

    /// Returns whether the body of `request` is too large for memory, or may be.
    pub(super) fn takes(&self, request: &Request<'_>) -> bool {
        match request.content_length() {
            Some(length) => usize::try_from(length).map_or(true, |length| length > self.memory),
            None => request.header("Transfer-Encoding").is_some(),
        }
    }
}

impl fmt::Debug for Spooling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spooling")
            .field("memory", &self.memory)
            .finish_non_exhaustive()
    }
}

/// A body that has arrived whole, to be read from its beginning.
pub(super) struct Spooled {
    /// How many bytes it has.
    pub(super) length: u64,
    /// Reads them.
    pub(super) input: Box<dyn BufRead + Send>,
}

/// Takes a body, and passes it to `finish`.
pub(super) struct Spool<F> {
    /// The bytes so far.
    kept: Kept,
    /// How many bytes there are.
    length: u64,
    /// How many of them may be in memory.
    most: usize,
    /// Makes the file.
    open: Arc<dyn Fn() -> io::Result<File> + Send + Sync>,
    /// Calls the application.
    finish: F,
}

/// Where the bytes of a body are.
enum Kept {
    /// In memory.
    Memory(Vec<u8>),
    /// In a file, because they were too many for memory.
    File(File),
}

impl<F> Spool<F> {
    pub(super) fn new(spooling: &Spooling, request: &Request<'_>, finish: F) -> Spool<F> {
        Spool {
            kept: Kept::Memory(Vec::new()),
            length: 0,
            most: match request.content_length() {
                Some(_) => 0, // it is too large, or it would not be here
                None => spooling.memory.min(UNANNOUNCED),
            },
            open: Arc::clone(&spooling.open),
            finish,
        }
    }
}

impl<F> BodySink for Spool<F>
where
    F: FnOnce(Spooled, Response<'_>) -> HttpResult + Send,
{
    fn block(&mut self, block: &[u8]) -> Result<Want, Failure> {
        match &mut self.kept {
            Kept::Memory(bytes) if bytes.len() + block.len() <= self.most => {
                bytes.extend_from_slice(block);
            }
            Kept::Memory(bytes) => {
                let mut file = (self.open)()?;
                file.write_all(bytes)?;
                file.write_all(block)?;
                self.kept = Kept::File(file);
            }
            Kept::File(file) => file.write_all(block)?,
        }
        self.length += u64::try_from(block.len()).unwrap_or(u64::MAX);
        Ok(Want::More)
    }

    fn finish(self: Box<Self>, _: Fields<'_>, response: Response<'_>) -> HttpResult {
        let input: Box<dyn BufRead + Send> = match self.kept {
            Kept::Memory(bytes) => Box::new(Cursor::new(bytes)),
            Kept::File(mut file) => {
                file.rewind()?;
                Box::new(BufReader::new(file))
            }
        };
        let length = self.length;
        (self.finish)(Spooled { length, input }, response)
    }
}
