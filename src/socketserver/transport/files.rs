//! Two files as one stream, for a conversation without a socket.

use std::io::{self, IoSlice, Read, Write};

use super::traits::Duplex;

/// A stream made of two files: it reads from one and writes to the other.
///
/// Use it to [drive](crate::socketserver::Driver::drive) a protocol in memory, or over standard
/// input and output:
///
/// ```no_run
/// use std::io;
/// use serve_forever::socketserver::Files;
///
/// let stream = Files { rfile: io::stdin().lock(), wfile: io::stdout().lock() };
/// # let _ = stream;
/// ```
///
/// Each write is flushed. Shutting down the writing half only flushes `wfile`: the client sees the
/// end when you drop the files.
#[derive(Debug, Clone, Default)]
pub struct Files<R, W> {
    /// The bytes that the client sends.
    pub rfile: R,
    /// Gets the bytes for the client.
    pub wfile: W,
}

impl<R: Read, W> Read for Files<R, W> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.rfile.read(bytes)
    }
}

impl<R, W: Write> Write for Files<R, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.wfile.write(bytes)?;
        // Ignore the error: the bytes are taken, and the next write also fails.
        let _ = self.wfile.flush();
        Ok(count)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let count = self.wfile.write_vectored(pieces)?;
        // Ignore the error, as above.
        let _ = self.wfile.flush();
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.wfile.flush()
    }
}

impl<R: Read, W: Write> Duplex for Files<R, W> {
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.wfile.flush()
    }
}
