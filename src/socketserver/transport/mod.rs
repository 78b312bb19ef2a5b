//! Axis 1: where requests come from.

mod datagram;
mod inet;
mod state;
mod stream;
mod tcp;
mod udp;
#[cfg(unix)]
mod unix;

pub use datagram::Datagram;
pub use inet::ServerAddress;
pub use tcp::Tcp;
pub use udp::Udp;
#[cfg(unix)]
pub use unix::{UnixAddress, UnixDatagrams, UnixStreams};

use std::fmt::Debug;
use std::io::{self, Read, Write};

use mio::event::Source;

use super::HandlerResult;
use super::handler::Rfile;

/// A listening socket: Python's `TCPServer` and its siblings, without the loop.
pub trait Transport {
    /// What is accepted: a connection, or a datagram and the way back.
    type Request: Request;
    /// Who sent it.
    type Address: Clone + Debug;

    /// Binds the socket to its address (TCP-4).
    ///
    /// # Errors
    ///
    /// What the system answers; the socket is as it was.
    fn server_bind(&mut self) -> io::Result<()>;

    /// Begins to listen (TCP-5).
    ///
    /// # Errors
    ///
    /// What the system answers.
    fn server_activate(&mut self) -> io::Result<()>;

    /// Closes the socket; again is no error (SRV-4).
    fn server_close(&mut self);

    /// The actual address once bound, the requested one before (SRV-6).
    fn server_address(&self) -> Self::Address;

    /// What the poll watches.
    ///
    /// # Errors
    ///
    /// If the transport is not activated, or closed (LOOP-15).
    fn source(&mut self) -> io::Result<&mut dyn Source>;

    /// Takes one request without blocking.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is none; else what the system answers.
    fn get_request(&mut self) -> io::Result<(Self::Request, Self::Address)>;

    /// The address that the client of `request` has reached, of a server at `server_address`.
    ///
    /// By default the server's own. A transport that may listen on several, as on `0.0.0.0`, asks
    /// the socket then. It is asked where the request is, which may be another thread than the
    /// transport's.
    ///
    /// # Errors
    ///
    /// What the system answers.
    fn local_address(
        request: &Self::Request,
        server_address: &Self::Address,
    ) -> io::Result<Self::Address> {
        let _ = request;
        Ok(server_address.clone())
    }
}

/// One accepted request. Dropping it closes it (`close_request`).
pub trait Request: Send + 'static {
    /// Serves the request by blocking reads and writes on two files (STREAM-1 to STREAM-5).
    ///
    /// # Errors
    ///
    /// What `handle` returns, or the failure to make the files.
    fn serve(
        &mut self,
        handle: impl FnOnce(&mut dyn Rfile, &mut dyn Write) -> HandlerResult,
    ) -> HandlerResult
    where
        Self: Sized;

    /// Ends the request so that its client notices at once; harmless if repeated (REQ-10, TCP-7).
    fn shutdown_request(&mut self) {}
}

/// A request that is a stream of bytes: the only kind that an event loop can keep open, so an
/// evented datagram server does not compile.
pub trait Stream: Request + Read + Write + Source {
    /// Shuts down the writing half, so that the client sees the end of the answer.
    ///
    /// # Errors
    ///
    /// What the system answers, `NotConnected` if the client is gone.
    fn shutdown_write(&mut self) -> io::Result<()>;

    /// Makes the closing that follows a reset, as far as the transport knows such a thing: the
    /// client learns that it has not got everything.
    fn reset_on_close(&mut self) {}
}
