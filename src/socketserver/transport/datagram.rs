//! A datagram as a request: its bytes, and the way back to its sender.

use std::fmt::Debug;
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;

use super::traits::Accepted;
use crate::socketserver::budget::complain;
use crate::socketserver::failure::{Failure, HandlerResult, contain};
use crate::socketserver::handler::Rfile;
use crate::socketserver::waiter::Waiter;

/// One datagram, the server's own socket, and the sender's address ([UDP-2]).
///
/// The handler reads the datagram from `rfile` and collects its reply in `wfile`. When the handler
/// has finished, the reply is sent as one datagram ([DGRAM-1], [DGRAM-2]). It is also sent if it is
/// empty, and if `handle` or `finish` has failed, unless the transport's settings say otherwise.
/// If `setup` fails, nothing is sent, because nothing else ran ([HND-1]).
///
/// The socket is reference-counted. A request that outlives the server can therefore still reply,
/// and the address becomes free when the last such request is dropped ([UDP-5]).
///
/// [DGRAM-1]: crate::spec#dgram-1
/// [DGRAM-2]: crate::spec#dgram-2
/// [HND-1]: crate::spec#hnd-1
/// [UDP-2]: crate::spec#udp-2
/// [UDP-5]: crate::spec#udp-5
#[derive(Debug)]
pub struct Datagram<A> {
    /// The bytes that were received.
    bytes: Vec<u8>,
    /// The server's socket, through which replies are sent.
    socket: Arc<dyn SendTo<A>>,
    /// Where replies are sent to.
    sender: A,
    /// Which replies are sent.
    settings: DatagramSettings,
}

/// A socket that sends replies to addresses of type `A`.
pub(super) trait SendTo<A>: Debug + Send + Sync {
    fn send_to(&self, bytes: &[u8], address: &A) -> io::Result<usize>;
}

/// How much of a datagram is received, and which replies are sent ([UDP-1], [DGRAM-2]).
///
/// [DGRAM-2]: crate::spec#dgram-2
/// [UDP-1]: crate::spec#udp-1
#[derive(Debug, Clone, Copy)]
pub(super) struct DatagramSettings {
    /// How many bytes of a datagram are received.
    pub(super) max_packet_size: usize,
    /// Whether a reply is sent if the handler wrote nothing.
    pub(super) send_empty_replies: bool,
    /// Whether a reply is sent if the handler failed.
    pub(super) send_replies_after_failure: bool,
}

impl Default for DatagramSettings {
    /// Python's behaviour, with its `max_packet_size`.
    fn default() -> DatagramSettings {
        DatagramSettings {
            max_packet_size: 8192,
            send_empty_replies: true,
            send_replies_after_failure: true,
        }
    }
}

impl<A> Datagram<A> {
    pub(super) fn new(
        bytes: Vec<u8>,
        socket: Arc<dyn SendTo<A>>,
        sender: A,
        settings: DatagramSettings,
    ) -> Datagram<A> {
        Datagram {
            bytes,
            socket,
            sender,
            settings,
        }
    }

    /// Returns the bytes of the datagram, cut at the transport's `max_packet_size`.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the sender's address.
    pub fn sender(&self) -> &A {
        &self.sender
    }

    /// Sends one datagram to the sender immediately, in addition to the handler's own reply.
    ///
    /// This never blocks. Otherwise a client that does not fetch its replies could stop the
    /// server.
    ///
    /// # Errors
    ///
    /// Returns `WouldBlock` if there is no room to send it. Returns the operating system's error
    /// if the reply is too large for a datagram, or if the sender has no address ([DGRAM-3]).
    ///
    /// [DGRAM-3]: crate::spec#dgram-3
    pub fn reply(&self, bytes: &[u8]) -> io::Result<()> {
        loop {
            match self.socket.send_to(bytes, &self.sender) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns whether the reply is to be sent, given the handler's result.
    fn sends(&self, reply: &ReplyBuffer, handled: &HandlerResult) -> bool {
        let settings = self.settings;
        let ran = handled.is_ok() || (reply.begun && settings.send_replies_after_failure);
        ran && (settings.send_empty_replies || !reply.bytes.is_empty())
    }
}

impl<A: Debug + Send + Sync + 'static> Accepted for Datagram<A> {
    fn serve(
        &mut self,
        _waiter: &Waiter,
        handle: impl FnOnce(&mut dyn Rfile, &mut dyn Write) -> HandlerResult,
    ) -> HandlerResult {
        let mut reply = ReplyBuffer::default();
        let handled = contain(|| handle(&mut self.bytes.as_slice(), &mut reply));
        if !self.sends(&reply, &handled) {
            return handled;
        }
        let sent = self.reply(&reply.bytes).map_err(Failure::from);
        match (handled, sent) {
            (Err(first), Err(second)) => {
                // Only the first failure is returned (HND-2).
                complain("cannot send the reply of a failed handler", second);
                Err(first)
            }
            (handled, sent) => handled.and(sent),
        }
    }
}

/// The reply, as the handler writes it.
#[derive(Debug, Default)]
struct ReplyBuffer {
    /// The bytes so far.
    bytes: Vec<u8>,
    /// The handler got past its `setup`, which cannot write. After that, whatever runs the handler
    /// flushes this file, even if nothing was written.
    begun: bool,
}

impl Write for ReplyBuffer {
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
