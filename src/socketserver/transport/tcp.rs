//! TCP: `server_bind`, `server_activate`, `get_request`, as Python's `TCPServer`.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use mio::event::Source;
use mio::net::{TcpListener, TcpStream};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

use super::{Request, Stream, Transport};
use crate::socketserver::HandlerResult;
use crate::socketserver::handler::Rfile;

/// How much input an inline request reads away before it closes, so that closing does not reset
/// the connection under an answer still on its way (TCP-8). As much as a socket buffer holds.
const DISCARD: usize = 256 * 1024;

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
    allow_reuse_address: bool,
    allow_reuse_port: bool,
    disable_nagle_algorithm: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    Created(Socket),
    Listening(TcpListener),
    Closed,
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
        let domain = Domain::for_address(address);
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        Ok(Tcp {
            address,
            request_queue_size: 5,
            allow_reuse_address: false,
            allow_reuse_port: false,
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
        self.allow_reuse_address = allow;
        self
    }

    /// Whether several sockets may listen on the address and share its connections; off by
    /// default, without effect where the platform has no `SO_REUSEPORT`.
    pub fn allow_reuse_port(mut self, allow: bool) -> Tcp {
        self.allow_reuse_port = allow;
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
        let State::Created(socket) = &self.state else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        if self.allow_reuse_address {
            socket.set_reuse_address(true)?;
        }
        #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos"))))]
        if self.allow_reuse_port {
            socket.set_reuse_port(true)?;
        }
        socket.bind(&SockAddr::from(self.address))?;
        if let Some(bound) = socket.local_addr()?.as_socket() {
            self.address = bound;
        }
        Ok(())
    }

    fn server_activate(&mut self) -> io::Result<()> {
        let State::Created(socket) = &self.state else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        // Linux hands this on to the sockets it accepts: one system call instead of one each.
        socket.set_tcp_nodelay(self.disable_nagle_algorithm)?;
        socket.listen(self.request_queue_size)?;
        if let State::Created(socket) = std::mem::replace(&mut self.state, State::Closed) {
            self.state = State::Listening(TcpListener::from_std(socket.into()));
        }
        Ok(())
    }

    fn server_close(&mut self) {
        self.state = State::Closed;
    }

    fn server_address(&self) -> SocketAddr {
        self.address
    }

    fn source(&mut self) -> io::Result<&mut dyn Source> {
        Ok(listener(&mut self.state)?)
    }

    fn get_request(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, address) = listener(&mut self.state)?.accept()?;
        if cfg!(not(target_os = "linux")) && self.disable_nagle_algorithm {
            stream.set_nodelay(true)?;
        }
        Ok((stream, address))
    }
}

fn listener(state: &mut State) -> io::Result<&mut TcpListener> {
    match state {
        State::Listening(listener) => Ok(listener),
        State::Created(_) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the server is not activated",
        )),
        State::Closed => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the server is closed",
        )),
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
        match &self.state {
            State::Created(socket) => socket.as_fd(),
            State::Listening(listener) => listener.as_fd(),
            // reason: AsFd cannot answer an error, and a made-up descriptor would be worse.
            State::Closed => panic!("the server is closed"),
        }
    }
}

impl Request for TcpStream {
    fn serve(
        &mut self,
        handle: impl FnOnce(&mut dyn Rfile, &mut dyn Write) -> HandlerResult,
    ) -> HandlerResult {
        SockRef::from(&*self).set_nonblocking(false)?;
        let stream = &*self;
        handle(&mut Reader(BufReader::new(stream)), &mut Writer(stream))
    }

    fn shutdown_request(&mut self) {
        if self.shutdown(Shutdown::Write).is_err() {
            return; // the client is gone already (TCP-7)
        }
        if SockRef::from(&*self).set_nonblocking(true).is_ok() {
            discard(self, DISCARD);
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

/// Reads away what has arrived, at most `limit` bytes.
fn discard(stream: &mut TcpStream, limit: usize) {
    let mut scratch = [0; 4096];
    let mut left = limit;
    while left > 0 {
        match stream.read(&mut scratch) {
            Ok(0) | Err(_) => return,
            Ok(count) => left = left.saturating_sub(count),
        }
    }
}

/// A buffered reader that can set its socket's patience.
struct Reader<'a>(BufReader<&'a TcpStream>);

impl Read for Reader<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

impl BufRead for Reader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.0.consume(count);
    }
}

impl Rfile for Reader<'_> {
    fn set_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let socket = SockRef::from(*self.0.get_ref());
        // The system reads zero as "no limit".
        let timeout = timeout.map(|timeout| timeout.max(Duration::from_millis(1)));
        socket.set_read_timeout(timeout)?;
        socket.set_write_timeout(timeout)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.0.get_ref().shutdown(Shutdown::Write)
    }
}

/// An unbuffered writer whose `write` sends everything (STREAM-3).
struct Writer<'a>(&'a TcpStream);

impl Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Where a server shall listen: anything [`ToSocketAddrs`] of the usual kinds, and the empty host.
pub trait ServerAddress {
    /// The one address to bind.
    ///
    /// # Errors
    ///
    /// If the text is no address, or the name has none.
    fn resolve(&self) -> io::Result<SocketAddr>;
}

impl ServerAddress for SocketAddr {
    fn resolve(&self) -> io::Result<SocketAddr> {
        Ok(*self)
    }
}

impl ServerAddress for (IpAddr, u16) {
    fn resolve(&self) -> io::Result<SocketAddr> {
        Ok(SocketAddr::from(*self))
    }
}

impl ServerAddress for (&str, u16) {
    fn resolve(&self) -> io::Result<SocketAddr> {
        match self.0 {
            "" => Ok(SocketAddr::from((Ipv4Addr::UNSPECIFIED, self.1))),
            _ => choose(self),
        }
    }
}

impl ServerAddress for str {
    fn resolve(&self) -> io::Result<SocketAddr> {
        match self.strip_prefix(':').map(str::parse) {
            Some(Ok(port)) => ("", port).resolve(),
            _ => choose(&self),
        }
    }
}

impl ServerAddress for String {
    fn resolve(&self) -> io::Result<SocketAddr> {
        self.as_str().resolve()
    }
}

impl<A: ServerAddress + ?Sized> ServerAddress for &A {
    fn resolve(&self) -> io::Result<SocketAddr> {
        (**self).resolve()
    }
}

fn choose(address: &impl ToSocketAddrs) -> io::Result<SocketAddr> {
    let found: Vec<SocketAddr> = address.to_socket_addrs()?.collect();
    let chosen = found
        .iter()
        .find(|address| address.is_ipv4())
        .or(found.first());
    chosen
        .copied()
        .ok_or_else(|| io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address"))
}
