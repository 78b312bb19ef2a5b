//! Unix-domain streams: Python's `UnixStreamServer`.

use std::io::{self, Write};

use mio::event::Source;
use mio::net::{UnixListener, UnixStream};
use socket2::{SockRef, Type};

use super::{BoundPath, UnixAddress, Unlink};
use crate::socketserver::HandlerResult;
use crate::socketserver::handler::Rfile;
use crate::socketserver::transport::state::State;
use crate::socketserver::transport::stream::{self, Connected};
use crate::socketserver::transport::{Request, Stream, Transport};

/// A Unix-domain listener and its settings.
///
/// ```
/// use serve_forever::socketserver::{Transport, UnixStreams};
///
/// let path = std::env::temp_dir().join(format!("doc-{}.sock", std::process::id()));
/// let unix = UnixStreams::new(&path)?.unlink_on_close(true).bind_and_activate()?;
/// assert_eq!(unix.server_address(), path.clone().into());
/// drop(unix);
/// assert!(!path.exists());
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// The address of a client that did not bind its socket is [`UnixAddress::Unnamed`] (UNIX-3).
#[derive(Debug)]
pub struct UnixStreams {
    address: UnixAddress,
    request_queue_size: i32,
    unlink: Unlink,
    bound: Option<BoundPath>,
    state: State<UnixListener>,
}

impl UnixStreams {
    /// A socket for `address`, not bound yet.
    ///
    /// # Errors
    ///
    /// An empty or too long address, an abstract one where there is no such thing, or what the
    /// system answers.
    pub fn new(address: impl Into<UnixAddress>) -> io::Result<UnixStreams> {
        let address = address.into();
        address.to_std()?;
        let socket = super::socket(Type::STREAM)?;
        Ok(UnixStreams::with_state(address, State::Created(socket)))
    }

    /// A listener that somebody else has made; as
    /// [`Tcp::from_listener`](crate::socketserver::Tcp::from_listener). Its path is theirs, too,
    /// and never unlinked.
    ///
    /// # Errors
    ///
    /// If it is no Unix-domain socket, or what else the system answers.
    pub fn from_listener(listener: std::os::unix::net::UnixListener) -> io::Result<UnixStreams> {
        let address = UnixAddress::from_std(&listener.local_addr()?);
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener);
        Ok(UnixStreams::with_state(address, State::Active(listener)))
    }

    fn with_state(address: UnixAddress, state: State<UnixListener>) -> UnixStreams {
        UnixStreams {
            address,
            request_queue_size: 5,
            unlink: Unlink::default(),
            bound: None,
            state,
        }
    }

    /// How many connections the kernel completes ahead of `get_request`; 5 by default, as for
    /// [`Tcp`](crate::socketserver::Tcp::request_queue_size). Clients beyond them wait, or are
    /// refused if they do not wait.
    pub fn request_queue_size(mut self, size: u32) -> UnixStreams {
        self.request_queue_size = i32::try_from(size).unwrap_or(i32::MAX);
        self
    }

    /// Whether a path that is in the way is unlinked if it is a socket that nobody answers on:
    /// one left behind; off by default (UNIX-2).
    ///
    /// The server that may be there is asked by connecting to it, of which it notices a client
    /// that goes at once. Of two servers that start at the same moment, the second may take the
    /// path from the first before that listens: whoever starts them must not.
    pub fn unlink_stale(mut self, unlink: bool) -> UnixStreams {
        self.unlink.stale = unlink;
        self
    }

    /// Whether the path is unlinked when the server is closed or dropped, if it is still this
    /// server's; off by default (UNIX-2).
    pub fn unlink_on_close(mut self, unlink: bool) -> UnixStreams {
        self.unlink.on_close = unlink;
        self
    }

    /// Binds and listens: Python's `bind_and_activate=True`.
    ///
    /// # Errors
    ///
    /// What [`server_bind`](Transport::server_bind) or
    /// [`server_activate`](Transport::server_activate) answers; the socket is closed (TCP-2).
    pub fn bind_and_activate(mut self) -> io::Result<UnixStreams> {
        self.server_bind()?;
        self.server_activate()?;
        Ok(self)
    }
}

impl Transport for UnixStreams {
    type Request = UnixStream;
    type Address = UnixAddress;

    fn server_bind(&mut self) -> io::Result<()> {
        self.bound = super::bind(self.state.created()?, &self.address, self.unlink)?;
        Ok(())
    }

    fn server_activate(&mut self) -> io::Result<()> {
        self.state.created()?.listen(self.request_queue_size)?;
        self.state
            .activate(|socket| Ok(UnixListener::from_std(socket.into())))
    }

    fn server_close(&mut self) {
        self.bound = None;
        self.state = State::Closed;
    }

    fn server_address(&self) -> UnixAddress {
        self.address.clone()
    }

    fn source(&mut self) -> io::Result<&mut dyn Source> {
        Ok(self.state.active()?)
    }

    fn get_request(&mut self) -> io::Result<(UnixStream, UnixAddress)> {
        let (stream, address) = self.state.active()?.accept()?;
        Ok((stream, UnixAddress::from_std(&address)))
    }
}

impl std::os::fd::AsFd for UnixStreams {
    /// The socket, for options that have no setting here.
    ///
    /// # Panics
    ///
    /// If the server is closed: there is no socket.
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.state.as_fd()
    }
}

impl Connected for UnixStream {
    fn socket(&self) -> SockRef<'_> {
        SockRef::from(self)
    }
}

impl Request for UnixStream {
    fn serve(
        &mut self,
        handle: impl FnOnce(&mut dyn Rfile, &mut dyn Write) -> HandlerResult,
    ) -> HandlerResult {
        stream::serve(&*self, handle)
    }

    fn shutdown_request(&mut self) {
        stream::shutdown_request(self);
    }
}

impl Stream for UnixStream {
    fn shutdown_write(&mut self) -> io::Result<()> {
        stream::shutdown_write(self)
    }
}
