//! What makes a handler or a protocol for each client, and what it is told.

use std::fmt;
use std::io;

/// Makes something for each client: a [`RequestHandler`](super::RequestHandler) for
/// [`Inline`](super::Inline) and [`Threading`](super::Threading), a [`Protocol`](super::Protocol)
/// for [`Evented`](super::Evented).
///
/// Any closure from a client's address is one. Implement it yourself for a factory that has to know
/// at which address the client has reached the server, or that has a name:
///
/// ```
/// use std::net::SocketAddr;
/// use serve_forever::socketserver::{Ends, Factory};
///
/// struct Greetings;
///
/// impl Factory<SocketAddr> for Greetings {
///     type Made = String;
///
///     fn make(&self, ends: &Ends<'_, SocketAddr>) -> String {
///         format!("Hello {}", ends.client_address())
///     }
/// }
/// ```
///
/// What a factory for `Threading` makes need not be `Send`: it is made on the thread that runs it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` makes nothing for a client at `{A}`",
    label = "this is no factory for such clients",
    note = "a closure is a factory if it takes a reference to any client's address",
    note = "write the type of its argument: `|client_address: &SocketAddr| ...` or `|_: &_| ...`"
)]
pub trait Factory<A> {
    /// What it makes.
    type Made;

    /// Makes one, for the conversation with these two ends.
    fn make(&self, ends: &Ends<'_, A>) -> Self::Made;

    /// Called when an [`Evented`](super::Evented) is about to close its connections. Wait here for
    /// threads that work for them.
    ///
    /// Return `true` if these may have sent something. Then each protocol is told to
    /// [drain](super::Protocol::drain), and gets its messages, and this is called again as long as
    /// some protocol takes any: it may have asked a thread for more. By default this waits for
    /// nothing.
    fn server_close(&mut self) -> bool {
        false
    }
}

impl<A, M, F: Fn(&A) -> M> Factory<A> for F {
    type Made = M;

    fn make(&self, ends: &Ends<'_, A>) -> M {
        self(ends.client_address())
    }
}

/// The addresses of a conversation's two ends.
pub struct Ends<'a, A> {
    client_address: &'a A,
    /// Finds out the other one, if somebody can.
    local_address: Option<&'a dyn Fn() -> io::Result<A>>,
}

impl<'a, A> Ends<'a, A> {
    /// Returns the ends of a conversation with a client at this address, without the other address:
    /// for tests, and for a [`Dispatch`](super::Dispatch) of your own.
    pub fn new(client_address: &'a A) -> Ends<'a, A> {
        Ends {
            client_address,
            local_address: None,
        }
    }

    /// Adds how to find out the local address.
    #[must_use]
    pub fn with_local_address(self, find: &'a dyn Fn() -> io::Result<A>) -> Ends<'a, A> {
        Ends {
            local_address: Some(find),
            ..self
        }
    }

    /// Returns the address of the client.
    pub fn client_address(&self) -> &'a A {
        self.client_address
    }

    /// Finds out at which address the client has reached the server: see
    /// [`Transport::local_address`](super::Transport::local_address). This may ask the operating
    /// system, so call it only if you need the address.
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if the client has disconnected, and
    /// [`Unsupported`](io::ErrorKind::Unsupported) if nobody can find out: with
    /// [`Inline`](super::Inline) a handler has no local address.
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
