//! Files as bodies. Python's `wsgiref.util.FileWrapper`.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};

use super::application::{Body, Iterable};
use super::start_response::StartResponse;
use crate::http::read_block;
use crate::socketserver::{Block, Failure, HandlerResult};

/// A file as a body, read block by block ([UTIL-1]).
///
/// It takes anything that implements [`Read`]. The server does not know how long that is, so the
/// response has a `Content-Length` only if the application sets it ([WSGI-24]).
///
/// The file is read on the thread that runs the application. On the loop's thread, a file that
/// makes its reader wait, such as a pipe, makes every client wait.
///
/// ```
/// use serve_forever::wsgi::{AppResult, Environ, FileWrapper, StartResponse};
///
/// fn app(_: &mut Environ<'_>, start_response: &mut dyn StartResponse) -> AppResult {
///     let file = std::fs::File::open("Cargo.toml")?;
///     let length = file.metadata()?.len().to_string();
///     start_response.call("200 OK", &[("Content-Type", "text/plain"), ("Content-Length", &length)])?;
///     Ok(FileWrapper::new(file).into())
/// }
/// # let _ = app;
/// ```
///
/// [UTIL-1]: crate::spec#util-1
/// [WSGI-24]: crate::spec#wsgi-24
pub struct FileWrapper<F> {
    /// `None` after `close`.
    file: Option<F>,
    /// The size of the largest block, in bytes.
    block_size: usize,
}

impl<F: Read> FileWrapper<F> {
    /// Reads `file` in blocks of at most 8192 bytes.
    pub fn new(file: F) -> FileWrapper<F> {
        FileWrapper {
            file: Some(file),
            block_size: 8192,
        }
    }

    /// Sets the size of the largest block. Python's `blksize`.
    ///
    /// PEP 3333 calls it a suggestion. It holds for a program that takes the blocks, such as middleware.
    /// The server itself reads more at a time.
    #[must_use]
    pub fn block_size(mut self, bytes: usize) -> FileWrapper<F> {
        self.block_size = bytes;
        self
    }
}

/// The blocks, up to the first read that returns nothing. That end does not close the file, but
/// dropping the wrapper does.
impl<F: Read> Iterator for FileWrapper<F> {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<io::Result<Vec<u8>>> {
        let file = self.file.as_mut()?;
        read_block(file, self.block_size).transpose()
    }
}

impl<F: Read + Send> Iterable for FileWrapper<F> {
    fn next_block(&mut self, _: &mut dyn StartResponse) -> Result<Option<Block>, Failure> {
        Ok(self.next().transpose()?.map(Block::from))
    }

    /// Returns the file, unless it is closed.
    fn reader(&mut self) -> Option<&mut dyn Read> {
        self.file.as_mut().map(|file| file as &mut dyn Read)
    }

    /// Closes the file by dropping it.
    fn close(&mut self) -> HandlerResult {
        self.file = None;
        Ok(())
    }
}

impl<F: Read + Send + 'static> From<FileWrapper<F>> for Body {
    fn from(file: FileWrapper<F>) -> Body {
        Body::from_iterable(file)
    }
}

/// The rest of the file, in the blocks of a [`FileWrapper`]. The response has a `Content-Length`
/// only if the application sets it ([WSGI-24]).
///
/// [WSGI-24]: crate::spec#wsgi-24
impl From<File> for Body {
    fn from(file: File) -> Body {
        FileWrapper::new(file).into()
    }
}

impl<F> fmt::Debug for FileWrapper<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileWrapper")
            .field("closed", &self.file.is_none())
            .field("block_size", &self.block_size)
            .finish()
    }
}
