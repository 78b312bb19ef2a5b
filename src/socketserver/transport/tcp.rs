//! TCP: `server_bind`, `server_activate`, `get_request`, as Python's `TCPServer`.

use std::io::{self, Write};
use std::net::SocketAddr;

use mio::event::Source;
use mio::net::{TcpListener, TcpStream};
use socket2::{Protocol, SockRef, Type};

use super::inet::{self, Options, ServerAddress};
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
    options: Options,
    disable_nagle_algorithm: bool,
    /// The system hands the listener's `TCP_NODELAY` on to what it accepts.
    streams_inherit_options: bool,
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
            options: Options::default(),
            disable_nagle_algorithm: false,
            streams_inherit_options: false,
            state: State::Created(socket),
        })
    }

    /// A listener that somebody else has made: inherited, or with options that have no setting
    /// here. It is active from the beginning.
    ///
    /// Whoever made it has bound it and listens: of the settings here, only
    /// [`disable_nagle_algorithm`](Self::disable_nagle_algorithm) still has an effect. It becomes
    /// non-blocking, also for other processes that share it; a port stays open as long as any of
    /// them has it.
    ///
    /// The safe way to inherit one is standard input, which is what inetd (`wait`) and systemd
    /// (`StandardInput=socket`) hand over; see the example `inherited`. systemd's `LISTEN_FDS`
    /// names descriptors by their number, and to own a descriptor by its number is unsafe in
    /// Rust.
    ///
    /// # Errors
    ///
    /// If it is no TCP socket, or what else the system answers.
    pub fn from_listener(listener: std::net::TcpListener) -> io::Result<Tcp> {
        let address = listener.local_addr()?; // before what is no socket is changed
        listener.set_nonblocking(true)?;
        Ok(Tcp {
            address,
            request_queue_size: 5,
            options: Options::default(),
            disable_nagle_algorithm: false,
            streams_inherit_options: false,
            state: State::Active(TcpListener::from_std(listener)),
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
        self.options.allow_reuse_address = allow;
        self
    }

    /// Whether several sockets may listen on the address and share its connections; off by
    /// default, without effect where the platform has no `SO_REUSEPORT`.
    pub fn allow_reuse_port(mut self, allow: bool) -> Tcp {
        self.options.allow_reuse_port = allow;
        self
    }

    /// Whether an IPv6 address takes IPv4 clients, too; off by default, and without effect on an
    /// IPv4 address (TCP-9).
    ///
    /// With it, `[::]:8000` is one listener for all interfaces of both families. An IPv4 client's
    /// address is then a mapped one, `::ffff:192.0.2.1`:
    /// [`IpAddr::to_canonical`](std::net::IpAddr::to_canonical) makes it `192.0.2.1` again, which
    /// a list of allowed addresses has to be compared with. Without it, the same port is free for
    /// an IPv4 server beside it, on every system.
    pub fn dual_stack(mut self, dual: bool) -> Tcp {
        self.options.dual_stack = dual;
        self
    }

    /// Whether small writes are sent at once (`TCP_NODELAY`, STREAM-1); off by default.
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
        self.address = inet::bind(self.state.created()?, self.address, self.options)?;
        Ok(())
    }

    fn server_activate(&mut self) -> io::Result<()> {
        let socket = self.state.created()?;
        // Set once instead of once for each client.
        socket.set_tcp_nodelay(self.disable_nagle_algorithm)?;
        self.streams_inherit_options = cfg!(target_os = "linux");
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
        if self.disable_nagle_algorithm && !self.streams_inherit_options {
            stream.set_nodelay(true)?;
        }
        Ok((stream, address))
    }

    /// A system call only if the server listens on all interfaces.
    fn local_address(stream: &TcpStream, server_address: &SocketAddr) -> io::Result<SocketAddr> {
        match server_address.ip().is_unspecified() {
            true => stream.local_addr(),
            false => Ok(*server_address),
        }
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
        stream::shutdown_request(self);
    }
}

impl Stream for TcpStream {
    fn shutdown_write(&mut self) -> io::Result<()> {
        stream::shutdown_write(self)
    }

    fn reset_on_close(&mut self) {
        stream::reset_on_close(self);
    }
}
