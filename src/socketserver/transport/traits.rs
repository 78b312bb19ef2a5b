//! Transports, and the requests that they accept.

use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::net::IpAddr;

use mio::event::Source;

use crate::socketserver::failure::HandlerResult;
use crate::socketserver::handler::Rfile;
use crate::socketserver::waiter::Waiter;

/// How many requests may be waiting, if nothing else is known: the longest queue that Linux allows by
/// default.
pub(super) const MOST_WAITING: usize = 4096;

/// A listening socket: Python's `TCPServer` and its siblings, without the loop.
///
/// A server calls these methods; a program that only uses a server needs none of them except
/// [`server_address`](Self::server_address).
pub trait Transport {
    /// A request: a connection, or a datagram together with a way to reply.
    type Request: Accepted;
    /// The address of a client, and of the server itself.
    type Address: Clone + Debug;

    /// Binds the socket to its address ([TCP-4]).
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if the socket cannot be bound; the socket is then
    /// still unbound. Returns `InvalidInput` if the transport is already activated, or closed.
    ///
    /// [TCP-4]: crate::spec#tcp-4
    fn server_bind(&mut self) -> io::Result<()>;

    /// Starts to listen ([TCP-5]).
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if the socket cannot listen, and `InvalidInput` if
    /// the transport is already activated, or closed.
    ///
    /// [TCP-5]: crate::spec#tcp-5
    fn server_activate(&mut self) -> io::Result<()>;

    /// Closes the socket. Closing it a second time does nothing ([SRV-4]).
    ///
    /// [SRV-4]: crate::spec#srv-4
    fn server_close(&mut self);

    /// Returns the actual address once the socket is bound, and the requested one before that
    /// ([SRV-6]).
    ///
    /// [SRV-6]: crate::spec#srv-6
    fn server_address(&self) -> Self::Address;

    /// Returns the source of events that the loop registers with its poll.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` if the transport is not activated, or closed ([LOOP-15]).
    ///
    /// [LOOP-15]: crate::spec#loop-15
    fn source(&mut self) -> io::Result<&mut dyn Source>;

    /// A drain begins: keeps new clients out as far as the system can, and returns how many requests
    /// may be waiting.
    ///
    /// The server takes what is waiting, at most so many requests, and then closes the socket
    /// ([SHUT-14]). By default, this keeps nobody out and returns 4096, the most that Linux lets wait
    /// unless it is told otherwise.
    ///
    /// [SHUT-14]: crate::spec#shut-14
    fn drain(&mut self) -> usize {
        MOST_WAITING
    }

    /// Takes one request without blocking.
    ///
    /// # Errors
    ///
    /// Returns `WouldBlock` if no request is waiting, `InvalidInput` if the transport is not
    /// activated, and the operating system's error if a request cannot be accepted.
    fn get_request(&mut self) -> io::Result<(Self::Request, Self::Address)>;

    /// Returns the IP address of a client, by which the clients of
    /// [`set_max_connections_per_address`] are counted. By default it returns `None`, and the client
    /// is not counted.
    ///
    /// Return `None` if the address proves nothing, as that of a datagram: whoever forges the address
    /// of another client could lock that client out.
    ///
    /// [`set_max_connections_per_address`]: crate::socketserver::Engine::set_max_connections_per_address
    fn ip_address(client_address: &Self::Address) -> Option<IpAddr> {
        let _ = client_address;
        None
    }

    /// Returns the address that the client of `request` connected to.
    ///
    /// By default this is `server_address`. A transport that can listen on several addresses, as
    /// on `0.0.0.0`, asks the socket of the request. The call may come from another thread than
    /// the transport's, because the request may have moved there.
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if the socket does not know its address.
    fn local_address(
        request: &Self::Request,
        server_address: &Self::Address,
    ) -> io::Result<Self::Address> {
        let _ = request;
        Ok(server_address.clone())
    }
}

/// One accepted request: a connection or a datagram. Dropping it closes it (`close_request`).
pub trait Accepted: Send + 'static {
    /// Calls `handle` with two files, from which it reads and to which it writes ([STREAM-1] to
    /// [STREAM-5]). If a file has to wait for the client, it does so with `waiter`, so that the wait
    /// ends when the server stops ([SHUT-4], [THREAD-5]).
    ///
    /// # Errors
    ///
    /// Returns the failure of `handle`, or a failure to make the files or to send what `handle`
    /// wrote.
    ///
    /// [SHUT-4]: crate::spec#shut-4
    /// [STREAM-1]: crate::spec#stream-1
    /// [STREAM-5]: crate::spec#stream-5
    /// [THREAD-5]: crate::spec#thread-5
    fn serve(
        &mut self,
        waiter: &Waiter,
        handle: impl FnOnce(&mut dyn Rfile, &mut dyn Write) -> HandlerResult,
    ) -> HandlerResult
    where
        Self: Sized;

    /// Ends the request so that its client notices immediately. Calling it again does no harm
    /// ([REQ-10], [TCP-7]).
    ///
    /// [REQ-10]: crate::spec#req-10
    /// [TCP-7]: crate::spec#tcp-7
    fn shutdown_request(&mut self) {}
}

/// Bytes in both directions: all that a connection needs of its socket.
///
/// On a loop, a read or write that would have to wait fails with `WouldBlock`. Under a
/// [`Driver`](crate::socketserver::Driver) it waits, for as long as the stream's own timeout allows,
/// and fails then with `WouldBlock` or `TimedOut`.
pub trait Duplex: Read + Write {
    /// Shuts down the writing half, so that the client sees where the output ends.
    ///
    /// # Errors
    ///
    /// Returns `NotConnected` if the client has disconnected, or another error of the operating
    /// system.
    fn shutdown_write(&mut self) -> io::Result<()>;

    /// Makes the next close a reset, if the transport has resets. The client then knows that its
    /// data is incomplete.
    ///
    /// By default it does nothing.
    fn reset_on_close(&mut self) {}

    /// Lets the system hold this many bytes that it has not sent yet, if it held fewer by itself. A
    /// connection calls it before it sends much at once, and when its client has taken so much that it is
    /// known to read ([RT-13]). Then fewer and larger writes send the same.
    ///
    /// By default it does nothing.
    ///
    /// [RT-13]: crate::spec#rt-13
    fn allow_unsent(&mut self, bytes: u32) {
        let _ = bytes;
    }
}

/// A request that is a stream of bytes. Every [`Duplex`] request that a poll can watch is one.
///
/// Only a stream can stay open on an event loop. An evented server of datagrams is therefore a
/// type error.
pub trait Stream: Accepted + Duplex + Source {}

impl<S: Accepted + Duplex + Source> Stream for S {}
