//! How a handler on another thread learns that the server drains: its reader can tell.

use std::io::{self, BufRead, Read, Write};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::socketserver::{HandlerResult, RequestHandler, Rfile};

/// A handler whose reader knows when the server drains.
pub(super) struct Drainable<'a, H> {
    pub(super) handler: H,
    pub(super) draining: &'a AtomicBool,
}

impl<H: RequestHandler> RequestHandler for Drainable<'_, H> {
    fn setup(&mut self, rfile: &mut dyn Rfile) -> HandlerResult {
        let draining = self.draining;
        self.handler.setup(&mut Watched { rfile, draining })
    }

    fn handle(&mut self, rfile: &mut dyn Rfile, wfile: &mut dyn Write) -> HandlerResult {
        let draining = self.draining;
        self.handler.handle(&mut Watched { rfile, draining }, wfile)
    }

    fn finish(&mut self) -> HandlerResult {
        self.handler.finish()
    }
}

/// The reader that it is given.
struct Watched<'a> {
    rfile: &'a mut dyn Rfile,
    draining: &'a AtomicBool,
}

impl Read for Watched<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.rfile.read(bytes)
    }
}

impl BufRead for Watched<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.rfile.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.rfile.consume(count);
    }
}

impl Rfile for Watched<'_> {
    fn set_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.rfile.set_timeout(timeout)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.rfile.shutdown_write()
    }

    fn reset_on_close(&mut self) {
        self.rfile.reset_on_close();
    }

    fn draining(&self) -> Option<&AtomicBool> {
        Some(self.draining)
    }
}
