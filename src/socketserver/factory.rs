//! A factory makes a handler or a protocol for each client, and is told the client's address.

use std::fmt;
use std::io;

use super::failure::Failure;
use super::server_handle::ServerHandle;
#[cfg(feature = "tls")]
use super::tls::TlsSession;
use crate::reactor::Now;

/// Makes what serves a client: a [`RequestHandler`](super::RequestHandler) for
/// [`Inline`](super::Inline) and [`Threading`](super::Threading), a [`Protocol`](super::Protocol)
/// for [`Evented`](super::Evented).
///
/// Any `Fn` closure that takes a reference to a client's address is a factory. It returns the
/// handler or the protocol itself, so it cannot fail. Implement the trait yourself if making can
/// fail, if your factory has to know which address the client has reached, or if it needs a name:
///
/// ```
/// use std::fs::File;
/// use std::net::SocketAddr;
/// use serve_forever::socketserver::{Ends, Factory, Failure};
///
/// /// Opens a file for each client.
/// struct Recordings;
///
/// impl Factory<SocketAddr> for Recordings {
///     type Made = File;
///
///     fn make(&self, ends: &Ends<'_, SocketAddr>) -> Result<File, Failure> {
///         Ok(File::create(format!("{}.log", ends.client_address().port()))?)
///     }
/// }
/// ```
///
/// With `Threading`, a handler is made on the thread that runs it, so it need not be `Send`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` makes nothing for a client at `{A}`",
    label = "this is not a factory for such clients",
    note = "a closure is a factory if it takes a reference to any client's address",
    note = "`Http<H>` is a factory if the handler `H` is an `HttpRequestHandler` and `Clone`: \
            a closure has to name the types of both arguments, \
            `|request: &Request<'_>, response: Response<'_>| ...`",
    note = "write the type of its argument: `|client_address: &SocketAddr| ...` or `|_: &_| ...`"
)]
pub trait Factory<A> {
    /// A handler or a protocol.
    type Made;

    /// Makes a handler or a protocol for the client at `ends`.
    ///
    /// # Errors
    ///
    /// Return any error if there is none for this client. The failure is
    /// [reported](super::Hooks::handle_error) with the client's address, and the client is closed
    /// without a word ([REQ-7]). A panic does the same. [`Failure::Stop`] stops the server.
    ///
    /// [REQ-7]: crate::spec#req-7
    fn make(&self, ends: &Ends<'_, A>) -> Result<Self::Made, Failure>;

    /// Returns what an [`Evented`](super::Evented) sends to a client that it closes immediately,
    /// because there is no room for it, or because its address has too many connections. By default
    /// it returns nothing, and the client is closed without a word.
    ///
    /// It is sent without waiting: bytes that the socket does not take at once are lost. So are all
    /// of them if the client goes on sending and its system drops what it has not read.
    fn turned_away(&self, now: &Now) -> Vec<u8> {
        let _ = now;
        Vec::new()
    }

    /// Called when an [`Evented`](super::Evented) is about to close its connections. Wait here for
    /// your threads that work for these connections.
    ///
    /// Return `true` if those threads may have sent messages. Each protocol is then told to
    /// [drain](super::Protocol::drain), and gets its messages. This is called again as long as a
    /// protocol takes any, because the protocol may have asked a thread for more. By default this
    /// returns `false` immediately.
    fn server_close(&mut self) -> bool {
        false
    }
}

impl<A, M, F: Fn(&A) -> M> Factory<A> for F {
    type Made = M;

    fn make(&self, ends: &Ends<'_, A>) -> Result<M, Failure> {
        Ok(self(ends.client_address()))
    }
}

/// The addresses of a connection's two ends: the client's, and the one that it has reached.
pub struct Ends<'a, A> {
    /// The client's end.
    client_address: &'a A,
    /// Finds out the server's end, if the dispatch knows how.
    local_address: Option<&'a dyn Fn() -> io::Result<A>>,
    /// Reaches the server, if there is one.
    server: Option<&'a ServerHandle>,
    /// What the handshake will agree on, if there is one.
    #[cfg(feature = "tls")]
    tls: Option<&'a TlsSession>,
}

impl<'a, A> Ends<'a, A> {
    /// Creates ends with only the client's address. Use it in tests, and in your own
    /// [`Dispatch`](super::Dispatch).
    pub fn new(client_address: &'a A) -> Ends<'a, A> {
        Ends {
            client_address,
            local_address: None,
            server: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Adds a function that finds out the local address.
    #[must_use]
    pub fn with_local_address(self, find: &'a dyn Fn() -> io::Result<A>) -> Ends<'a, A> {
        Ends {
            local_address: Some(find),
            ..self
        }
    }

    /// Adds a handle that reaches the server.
    #[must_use]
    pub fn with_server(self, server: Option<&'a ServerHandle>) -> Ends<'a, A> {
        Ends { server, ..self }
    }

    /// Returns a handle that reaches the server; `None` if there is no server. Python's
    /// `self.server`.
    pub fn server(&self) -> Option<&'a ServerHandle> {
        self.server
    }

    /// Returns the same ends inside of TLS.
    #[cfg(feature = "tls")]
    pub(super) fn over_tls<'b>(&'b self, session: &'b TlsSession) -> Ends<'b, A> {
        Ends {
            tls: Some(session),
            ..*self
        }
    }

    /// Returns what client and server agree on if the conversation is inside of [`Tls`](super::Tls).
    /// It is empty when a factory gets it, and filled when its protocol is
    /// [connected](super::Protocol::connection_made), so keep a clone.
    #[cfg(feature = "tls")]
    pub fn tls(&self) -> Option<&'a TlsSession> {
        self.tls
    }

    /// Returns the address of the client.
    pub fn client_address(&self) -> &'a A {
        self.client_address
    }

    /// Returns the address that the client has reached; see
    /// [`Transport::local_address`](super::Transport::local_address). This may ask the operating
    /// system, so call it only if you need the address.
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if the client has disconnected. Returns
    /// [`Unsupported`](io::ErrorKind::Unsupported) if the dispatch does not know the address;
    /// [`Inline`](super::Inline) never does.
    pub fn local_address(&self) -> io::Result<A> {
        match self.local_address {
            Some(find) => find(),
            None => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

impl<A: fmt::Debug> fmt::Debug for Ends<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ends")
            .field("client_address", self.client_address)
            .finish_non_exhaustive()
    }
}
