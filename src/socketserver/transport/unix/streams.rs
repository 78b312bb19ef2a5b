//! Unix-domain streams: Python's `UnixStreamServer`.

use std::io::{self, Write};

use mio::event::Source;
use mio::net::{UnixListener, UnixStream};
use socket2::{Domain, Type};

use super::address::UnixAddress;
use super::binding::{Bound, Unlink};
use crate::socketserver::failure::HandlerResult;
use crate::socketserver::handler::Rfile;
use crate::socketserver::transport::bind_error::cannot;
use crate::socketserver::transport::life::{self, Life};
use crate::socketserver::transport::stream::{self, REQUEST_QUEUE_SIZE};
use crate::socketserver::transport::traits::{Accepted, Duplex, MOST_WAITING, Transport};
use crate::socketserver::waiter::Waiter;

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
/// The address of a client that did not bind its socket is [`UnixAddress::Unnamed`] ([UNIX-3]).
///
/// [UNIX-3]: crate::spec#unix-3
#[derive(Debug)]
pub struct UnixStreams {
    /// Where the socket is bound, or is to be bound.
    address: UnixAddress,
    /// The backlog of `listen`.
    request_queue_size: u32,
    /// When the path is unlinked.
    unlink: Unlink,
    /// The permissions of the path, if not those of a new file.
    mode: Option<u32>,
    /// The path to unlink on close. It comes before the socket, because it has to be dropped first.
    bound: Bound,
    /// Whether others have made the listener, and may share it.
    is_inherited: bool,
    /// The socket itself.
    life: Life<UnixListener>,
}

impl UnixStreams {
    /// Creates a socket for `address` that is not bound yet.
    ///
    /// # Errors
    ///
    /// Returns an error if the address is empty or too long, or if it is an abstract name and the
    /// platform has none. Returns the operating system's error if the socket cannot be created.
    pub fn new(address: impl Into<UnixAddress>) -> io::Result<UnixStreams> {
        let address = address.into();
        address.to_std().map_err(cannot("bind", &address))?;
        let life = Life::new(Domain::UNIX, Type::STREAM)?;
        Ok(UnixStreams::with_life(address, life))
    }

    /// Uses a listener that another program or another library has made, like
    /// [`Tcp::from_listener`](crate::socketserver::Tcp::from_listener). Its path is never unlinked
    /// here, because it belongs to the code that made the listener.
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if `listener` is not a Unix-domain socket, or cannot
    /// be made non-blocking.
    pub fn from_listener(listener: std::os::unix::net::UnixListener) -> io::Result<UnixStreams> {
        let address = UnixAddress::from_std(&listener.local_addr()?);
        listener.set_nonblocking(true)?;
        let life = Life::Active(UnixListener::from_std(listener));
        Ok(UnixStreams {
            is_inherited: true,
            ..UnixStreams::with_life(address, life)
        })
    }

    fn with_life(address: UnixAddress, life: Life<UnixListener>) -> UnixStreams {
        UnixStreams {
            address,
            request_queue_size: REQUEST_QUEUE_SIZE,
            unlink: Unlink::default(),
            mode: None,
            bound: Bound::default(),
            is_inherited: false,
            life,
        }
    }

    /// Sets how many connections the kernel completes before `get_request` takes them; 5 by
    /// default, like [`Tcp::request_queue_size`](crate::socketserver::Tcp::request_queue_size).
    /// Further clients wait, or are refused if their sockets are non-blocking.
    pub fn request_queue_size(mut self, size: u32) -> UnixStreams {
        self.request_queue_size = size;
        self
    }

    /// Sets whether a stale path is unlinked: a socket that an earlier server has left behind, to
    /// which nobody listens. Off by default ([UNIX-2]).
    ///
    /// The check connects to the socket. If a server is there, it sees a client that disconnects
    /// immediately. If two servers with this setting start at the same moment, one of them gets the
    /// path and the other `AddrInUse`. For that, a socket with `.lock` after its name is beside the
    /// path until the server listens. A path that leaves no room for these five bytes is not
    /// protected. Neither is a server without this setting, between its bind and its listen.
    ///
    /// [UNIX-2]: crate::spec#unix-2
    pub fn unlink_stale(mut self, unlink: bool) -> UnixStreams {
        self.unlink.stale = unlink;
        self
    }

    /// Sets whether the path is unlinked when the server is closed or dropped, provided that it
    /// still belongs to this server; off by default ([UNIX-2]).
    ///
    /// [UNIX-2]: crate::spec#unix-2
    pub fn unlink_on_close(mut self, unlink: bool) -> UnixStreams {
        self.unlink.on_close = unlink;
        self
    }

    /// Sets the permissions of the path, such as `0o660`: who may connect besides the owner. The
    /// default is those of a new file, which the `umask` of the process decides ([UNIX-5]).
    ///
    /// To connect, a client needs the permission to write to the socket, and to pass through the
    /// folders above it. There is no moment at which the path has other permissions and somebody
    /// can connect. Set the owner or the group between [`server_bind`](Transport::server_bind) and
    /// [`server_activate`](Transport::server_activate), because nobody can connect before the
    /// server listens:
    ///
    /// ```
    /// use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    /// use serve_forever::socketserver::{Transport, UnixStreams};
    ///
    /// let path = std::env::temp_dir().join(format!("doc-{}.group", std::process::id()));
    /// let mut unix = UnixStreams::new(&path)?.mode(0o660).unlink_on_close(true);
    /// unix.server_bind()?;
    /// let group = std::fs::metadata(&path)?.gid(); // or that of your users
    /// chown(&path, None, Some(group))?;
    /// unix.server_activate()?;
    /// assert_eq!(std::fs::metadata(&path)?.permissions().mode() & 0o777, 0o660);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// An abstract name has no permissions. With this setting it cannot be bound.
    ///
    /// [UNIX-5]: crate::spec#unix-5
    pub fn mode(mut self, mode: u32) -> UnixStreams {
        self.mode = Some(mode);
        self
    }

    /// Binds and listens: Python's `bind_and_activate=True`.
    ///
    /// # Errors
    ///
    /// Returns the error of [`server_bind`](Transport::server_bind) or
    /// [`server_activate`](Transport::server_activate), which names the address. The socket is then
    /// closed ([TCP-2]).
    ///
    /// [TCP-2]: crate::spec#tcp-2
    pub fn bind_and_activate(self) -> io::Result<UnixStreams> {
        life::bind_and_activate(self)
    }
}

impl Transport for UnixStreams {
    type Request = UnixStream;
    type Address = UnixAddress;

    fn server_bind(&mut self) -> io::Result<()> {
        let socket = self.life.created()?;
        self.bound = Bound::bind(socket, &self.address, self.unlink, self.mode)
            .map_err(cannot("bind", &self.address))?;
        Ok(())
    }

    fn server_activate(&mut self) -> io::Result<()> {
        stream::listen(self.life.created()?, self.request_queue_size)
            .map_err(cannot("listen on", &self.address))?;
        self.bound.is_active();
        self.life
            .activate(|socket| Ok(UnixListener::from_std(socket.into())))
    }

    fn server_close(&mut self) {
        self.bound = Bound::default();
        self.life = Life::Closed;
    }

    fn server_address(&self) -> UnixAddress {
        self.address.clone()
    }

    fn source(&mut self) -> io::Result<&mut dyn Source> {
        Ok(self.life.active()?)
    }

    fn drain(&mut self) -> usize {
        match &self.life {
            Life::Active(listener) if !self.is_inherited => {
                stream::drain(listener, self.request_queue_size)
            }
            // What if it is inherited? Then others may go on with it.
            _ => MOST_WAITING,
        }
    }

    fn get_request(&mut self) -> io::Result<(UnixStream, UnixAddress)> {
        let (stream, address) = self.life.active()?.accept()?;
        Ok((stream, UnixAddress::from_std(&address)))
    }
}

impl std::os::fd::AsFd for UnixStreams {
    /// Returns the socket, for options that have no setting here.
    ///
    /// # Panics
    ///
    /// Panics if the server is closed, because there is no socket then.
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.life.as_fd()
    }
}

impl Accepted for UnixStream {
    fn serve(
        &mut self,
        waiter: &Waiter,
        handle: impl FnOnce(&mut dyn Rfile, &mut dyn Write) -> HandlerResult,
    ) -> HandlerResult {
        stream::serve(self, waiter, handle)
    }

    fn shutdown_request(&mut self) {
        stream::shutdown_request(self);
    }
}

impl Duplex for UnixStream {
    fn shutdown_write(&mut self) -> io::Result<()> {
        stream::shutdown_write(self)
    }
}
