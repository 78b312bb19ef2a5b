//! A datagram as a request: its bytes, and the way back to who sent it.

use std::fmt::Debug;
use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use super::Request;
use crate::socketserver::budget::complain;
use crate::socketserver::handler::Rfile;
use crate::socketserver::{Failure, HandlerResult, contain};

/// Python's `max_packet_size` (UDP-1).
pub(super) const MAX_PACKET_SIZE: usize = 8192;

/// One datagram, the server's own socket, and the sender's address (UDP-2).
///
/// The handler reads the datagram from `rfile` and collects its answer in `wfile`; when it has
/// finished, the answer leaves as one datagram (DGRAM-1, DGRAM-2). It leaves also when it is
/// empty, and when `handle` or `finish` has failed, unless the transport was told otherwise. Only
/// a `setup` that fails sends nothing, for nothing else ran (HND-1).
///
/// The socket is shared by reference count: a request that is answered after the server was
/// closed still reaches its sender, and the address is free once the last one is done (UDP-5).
#[derive(Debug)]
pub struct Datagram<A> {
    bytes: Vec<u8>,
    socket: Arc<dyn Socket<A>>,
    sender: A,
    replies: Replies,
}

/// What a datagram is answered through.
pub(super) trait Socket<A>: Debug + Send + Sync {
    fn send_to(&self, bytes: &[u8], address: &A) -> io::Result<usize>;
}

/// Which replies are sent (DGRAM-2).
#[derive(Debug, Clone, Copy)]
pub(super) struct Replies {
    pub(super) empty: bool,
    pub(super) after_failure: bool,
}

impl Default for Replies {
    fn default() -> Replies {
        Replies {
            empty: true,
            after_failure: true,
        }
    }
}

impl<A> Datagram<A> {
    pub(super) fn new(
        bytes: Vec<u8>,
        socket: Arc<dyn Socket<A>>,
        sender: A,
        replies: Replies,
    ) -> Datagram<A> {
        Datagram {
            bytes,
            socket,
            sender,
            replies,
        }
    }

    /// What was sent, up to the transport's `max_packet_size`.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Who sent it.
    pub fn sender(&self) -> &A {
        &self.sender
    }

    /// Sends one datagram to the sender, at once: for answers besides the handler's.
    ///
    /// # Errors
    ///
    /// If it is too large for a datagram, or the sender has no address (DGRAM-3). `WouldBlock` if
    /// there is no room for it: waiting for a client that does not fetch its answers would hand
    /// the server over to it.
    pub fn reply(&self, bytes: &[u8]) -> io::Result<()> {
        loop {
            match self.socket.send_to(bytes, &self.sender) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether the answer is to be sent, after a handler that came to this.
    fn wants(&self, answer: &Answer, handled: &HandlerResult) -> bool {
        let ran = handled.is_ok() || (answer.begun && self.replies.after_failure);
        ran && (self.replies.empty || !answer.bytes.is_empty())
    }
}

impl<A: Debug + Send + Sync + 'static> Request for Datagram<A> {
    fn serve(
        &mut self,
        handle: impl FnOnce(&mut dyn Rfile, &mut dyn Write) -> HandlerResult,
    ) -> HandlerResult {
        let mut answer = Answer::default();
        let handled = contain(|| handle(&mut Packet(&self.bytes), &mut answer));
        if !self.wants(&answer, &handled) {
            return handled;
        }
        let sent = self.reply(&answer.bytes).map_err(Failure::from);
        match (handled, sent) {
            (Err(first), Err(second)) => {
                // The first is the one that is reported (HND-2).
                complain("no reply after a failed handler", &second);
                Err(first)
            }
            (handled, sent) => handled.and(sent),
        }
    }
}

/// The datagram as a file.
struct Packet<'a>(&'a [u8]);

impl Read for Packet<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

impl BufRead for Packet<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.0)
    }

    fn consume(&mut self, count: usize) {
        self.0.consume(count);
    }
}

impl Rfile for Packet<'_> {
    /// Nothing to wait for.
    fn set_timeout(&mut self, _timeout: Option<Duration>) -> io::Result<()> {
        Ok(())
    }
}

/// What the handler has written.
#[derive(Debug, Default)]
struct Answer {
    bytes: Vec<u8>,
    /// The handler got beyond its `setup`, which cannot touch this file.
    begun: bool,
}

impl Write for Answer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begun = true;
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.begun = true;
        Ok(())
    }
}
