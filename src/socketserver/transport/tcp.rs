//! TCP: `server_bind`, `server_activate`, `get_request`, as Python's `TCPServer`.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use mio::event::Source;
use mio::net::{TcpListener, TcpStream};
use socket2::{Protocol, SockRef, Type};

use super::inet::{self, ServerAddress, Sharing};
use super::state::State;
use super::stream::{self, Connected};
use super::{Request, Stream, Transport};
use crate::socketserver::HandlerResult;
use crate::socketserver::handler::Rfile;

/// A TCP listener and its settings.
///
/// The socket exists from the beginning, so options can be set on it before it is bound (TCP-3).
///
/// ```
/// use serve_forever::socketserver::{Tcp, Transport};
///
/// let tcp = Tcp::new("127.0.0.1:0")?.request_queue_size(128).bind_and_activate()?;
/// assert_ne!(tcp.server_address().port(), 0);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Tcp {
    address: SocketAddr,
    request_queue_size: i32,
    sharing: Sharing,
    disable_nagle_algorithm: bool,
    state: State<TcpListener>,
}

impl Tcp {
    /// A socket for `address`, not bound yet.
    ///
    /// A name that has several addresses stands for its first IPv4 one, else its first: Python's
    /// `address_family` is IPv4 unless said otherwise (TCP-1). An empty host is all IPv4
    /// interfaces (TCP-9).
    ///
    /// # Errors
    ///
    /// An address that cannot be used (TCP-12), or what the system answers.
    pub fn new(address: impl ServerAddress) -> io::Result<Tcp> {
        let address = address.resolve()?;
        let socket = inet::socket(address, Type::STREAM, Protocol::TCP)?;
        Ok(Tcp {
            address,
            request_queue_size: 5,
            sharing: Sharing::default(),
            disable_nagle_algorithm: false,
            state: State::Created(socket),
        })
    }

    /// How many connections the kernel completes ahead of `get_request`; 5 by default, as in
    /// Python. A server that expects bursts wants some hundreds (TCP-5).
    pub fn request_queue_size(mut self, size: u32) -> Tcp {
        self.request_queue_size = i32::try_from(size).unwrap_or(i32::MAX);
        self
    }

    /// Whether the address may be bound while connections of an earlier server linger in
    /// TIME_WAIT (TCP-10); off by default.
    pub fn allow_reuse_address(mut self, allow: bool) -> Tcp {
        self.sharing.allow_reuse_address = allow;
        self
    }

    /// Whether several sockets may listen on the address and share its connections; off by
    /// default, without effect where the platform has no `SO_REUSEPORT`.
    pub fn allow_reuse_port(mut self, allow: bool) -> Tcp {
        self.sharing.allow_reuse_port = allow;
        self
    }

    /// Whether small writes are sent at once (`TCP_NODELAY`); off by default.
    pub fn disable_nagle_algorithm(mut self, disable: bool) -> Tcp {
        self.disable_nagle_algorithm = disable;
        self
    }

    /// Binds and listens: Python's `bind_and_activate=True`.
    ///
    /// # Errors
    ///
    /// What [`server_bind`](Transport::server_bind) or
    /// [`server_activate`](Transport::server_activate) answers; the socket is closed (TCP-2).
    pub fn bind_and_activate(mut self) -> io::Result<Tcp> {
        self.server_bind()?;
        self.server_activate()?;
        Ok(self)
    }
}

impl Transport for Tcp {
    type Request = TcpStream;
    type Address = SocketAddr;

    fn server_bind(&mut self) -> io::Result<()> {
        self.address = inet::bind(self.state.created()?, self.address, self.sharing)?;
        Ok(())
    }

    fn server_activate(&mut self) -> io::Result<()> {
        let socket = self.state.created()?;
        // Linux hands this on to the sockets it accepts: one system call instead of one each.
        socket.set_tcp_nodelay(self.disable_nagle_algorithm)?;
        socket.listen(self.request_queue_size)?;
        self.state
            .activate(|socket| Ok(TcpListener::from_std(socket.into())))
    }

    fn server_close(&mut self) {
        self.state = State::Closed;
    }

    fn server_address(&self) -> SocketAddr {
        self.address
    }

    fn source(&mut self) -> io::Result<&mut dyn Source> {
        Ok(self.state.active()?)
    }

    fn get_request(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, address) = self.state.active()?.accept()?;
        if cfg!(not(target_os = "linux")) && self.disable_nagle_algorithm {
            stream.set_nodelay(true)?;
        }
        Ok((stream, address))
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for Tcp {
    /// The socket, for options that have no setting here.
    ///
    /// # Panics
    ///
    /// If the server is closed: there is no socket.
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.state.as_fd()
    }
}

impl Connected for TcpStream {
    fn socket(&self) -> SockRef<'_> {
        SockRef::from(self)
    }
}

impl Request for TcpStream {
    fn serve(
        &mut self,
        handle: impl FnOnce(&mut dyn Rfile, &mut dyn Write) -> HandlerResult,
    ) -> HandlerResult {
        stream::serve(&*self, handle)
    }

    fn shutdown_request(&mut self) {
        if self.shutdown(Shutdown::Write).is_ok() {
            stream::discard(self); // else the client is gone already (TCP-7)
        }
    }
}

impl Stream for TcpStream {
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn reset_on_close(&mut self) {
        // Failing that, it is closed as usual.
        let _ = SockRef::from(&*self).set_linger(Some(Duration::ZERO));
    }
}
