//! TCP: `server_bind`, `server_activate`, `get_request`, as in Python's `TCPServer`.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use mio::event::Source;
use mio::net::{TcpListener, TcpStream};
use socket2::{Domain, SockRef, TcpKeepalive, Type};

use super::bind_error::cannot;
use super::inet::{self, Options, ServerAddress};
use super::life::{self, Life};
use super::stream::{self, REQUEST_QUEUE_SIZE};
use super::traits::{Accepted, Duplex, MOST_WAITING, Transport};
use crate::socketserver::failure::HandlerResult;
use crate::socketserver::handler::Rfile;
use crate::socketserver::waiter::Waiter;

/// Whether the system copies the options of a listener to the connections that it accepts.
const STREAMS_INHERIT: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// After how much silence the system asks whether the client is still there.
const SILENCE: Duration = Duration::from_secs(30);

/// How long the system waits for each answer. After three without an answer the client is gone.
#[cfg(any(
    target_vendor = "apple",
    target_os = "linux",
    target_os = "android",
    windows
))]
const ANSWER: Duration = Duration::from_secs(10);

/// How many bytes the kernel takes and does not send yet.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT: u32 = 128 * 1024;

/// A TCP listener and its settings.
///
/// The socket exists from the beginning, so you can set options on it before it is bound ([TCP-3]).
///
/// ```
/// use serve_forever::socketserver::{Tcp, Transport};
///
/// let tcp = Tcp::new("127.0.0.1:0")?.request_queue_size(128).bind_and_activate()?;
/// assert_ne!(tcp.server_address().port(), 0);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # How clients are noticed
///
/// Two options of the socket tell a server what its clients do ([RT-13]). Both are set on the
/// listener, before the first client. On Linux its connections inherit them. Other values can be
/// set there through `AsFd`, once the server listens.
///
/// - `SO_KEEPALIVE`: after 30 s of silence, the system asks whether the client is still there. So a
///   client that has vanished is noticed after about a minute, even if nothing is ever sent to it.
///   If something was sent after it had vanished, the system first repeats that, on Linux for up to a
///   quarter of an hour. A client that has closed its connection in good order is noticed within two
///   minutes, if nothing notices it earlier.
/// - `TCP_NOTSENT_LOWAT` (Linux, Android): the kernel holds at most about 128 KiB that it has not sent.
///   Otherwise it would take megabytes, and could take more only when a third of them is sent. A
///   client that reads slowly would look like one that does not read. Before the first output of more
///   than 128 KiB, for example a body of 1 MiB that lies in memory, 1 MiB may be unsent: then one system
///   call sends it. A client that has taken 2, 4 or 8 MiB has proved that it reads: then half of that may
///   be unsent.
///
/// [RT-13]: crate::spec#rt-13
/// [TCP-3]: crate::spec#tcp-3
#[derive(Debug)]
pub struct Tcp {
    /// The requested address; the actual one once the socket is bound.
    address: SocketAddr,
    /// The backlog of `listen`.
    request_queue_size: u32,
    /// The options of the socket, set before it is bound.
    options: Options,
    /// Whether `TCP_NODELAY` is set on each connection.
    disable_nagle_algorithm: bool,
    /// Whether the listener has the same `TCP_NODELAY` as its connections have to have.
    listener_has_nodelay: bool,
    /// Whether others have made the listener, and may share it.
    is_inherited: bool,
    /// The socket itself.
    life: Life<TcpListener>,
}

impl Tcp {
    /// Creates a socket for `address` that is not bound yet.
    ///
    /// If a name has several addresses, the first IPv4 one is used, or else the first, because
    /// Python's `address_family` is IPv4 by default ([TCP-1]). An empty host means all IPv4
    /// interfaces ([TCP-9]).
    ///
    /// # Errors
    ///
    /// Returns an error if the address cannot be used ([TCP-12]), and the operating system's error
    /// if the socket cannot be created. The first [names the address](ServerAddress).
    ///
    /// [TCP-1]: crate::spec#tcp-1
    /// [TCP-9]: crate::spec#tcp-9
    /// [TCP-12]: crate::spec#tcp-12
    pub fn new(address: impl ServerAddress) -> io::Result<Tcp> {
        let address = address.resolve()?;
        let life = Life::new(Domain::for_address(address), Type::STREAM)?;
        Ok(Tcp::with_life(address, life))
    }

    /// Uses a listener that another program or another library has made, for example an inherited
    /// one, or one with options that have no setting here. It is active from the beginning.
    ///
    /// The listener is bound and listens already. Of the settings here, only
    /// [`disable_nagle_algorithm`](Self::disable_nagle_algorithm) therefore still has an effect.
    /// The listener becomes non-blocking, also for other processes that share it. It gets the options
    /// by which a server [notices its clients](Self#how-clients-are-noticed), if it has not got them
    /// yet. Its port stays open until the last process has closed it.
    ///
    /// A listener can be inherited as standard input, where inetd (`wait`) and systemd
    /// (`StandardInput=socket`) pass it; see the example `inherited`. Otherwise systemd passes
    /// sockets by the numbers of their descriptors (`LISTEN_FDS`). In Rust it is unsafe to own a
    /// descriptor by its number, and the crate `listenfd` does it for you; see the example
    /// `activated`.
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if `listener` is not a TCP socket, or cannot be made
    /// non-blocking.
    pub fn from_listener(listener: std::net::TcpListener) -> io::Result<Tcp> {
        // Asked first, so that a descriptor that is not a TCP socket is left as it is.
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        watch_clients(&SockRef::from(&listener));
        let life = Life::Active(TcpListener::from_std(listener));
        Ok(Tcp {
            is_inherited: true,
            ..Tcp::with_life(address, life)
        })
    }

    fn with_life(address: SocketAddr, life: Life<TcpListener>) -> Tcp {
        Tcp {
            address,
            request_queue_size: REQUEST_QUEUE_SIZE,
            options: Options::default(),
            disable_nagle_algorithm: false,
            listener_has_nodelay: false,
            is_inherited: false,
            life,
        }
    }

    /// Sets how many connections the kernel completes before `get_request` takes them; 5 by
    /// default, as in Python. A server that expects bursts needs some hundreds ([TCP-5]).
    ///
    /// [TCP-5]: crate::spec#tcp-5
    pub fn request_queue_size(mut self, size: u32) -> Tcp {
        self.request_queue_size = size;
        self
    }

    /// Sets whether the address can be bound while connections of an earlier server are still in
    /// TIME_WAIT (`SO_REUSEADDR`, [TCP-10]); off by default.
    ///
    /// It has no effect on Windows, where such an address can always be bound. There the option would
    /// let another program take the address while this server uses it.
    ///
    /// [TCP-10]: crate::spec#tcp-10
    pub fn allow_reuse_address(mut self, allow: bool) -> Tcp {
        self.options.allow_reuse_address = allow && cfg!(not(windows));
        self
    }

    /// Sets whether several sockets can listen on the address and share its connections
    /// (`SO_REUSEPORT`); off by default. It has no effect if the platform lacks this option.
    pub fn allow_reuse_port(mut self, allow: bool) -> Tcp {
        self.options.allow_reuse_port = allow;
        self
    }

    /// Sets whether a listener on an IPv6 address also accepts IPv4 clients; off by default. It
    /// has no effect on an IPv4 address ([TCP-9]).
    ///
    /// If it is on, `[::]:8000` is one listener for all interfaces of both families. The address
    /// of an IPv4 client is then a mapped one, `::ffff:192.0.2.1`. Before you compare it with a
    /// list of allowed addresses, turn it into `192.0.2.1` with
    /// [`IpAddr::to_canonical`](std::net::IpAddr::to_canonical). If it is off, an IPv4 server can
    /// use the same port, on every system.
    ///
    /// [TCP-9]: crate::spec#tcp-9
    pub fn dual_stack(mut self, dual: bool) -> Tcp {
        self.options.dual_stack = dual;
        self
    }

    /// Sets whether small writes are sent immediately (`TCP_NODELAY`, [STREAM-1]); off by default.
    ///
    /// [STREAM-1]: crate::spec#stream-1
    pub fn disable_nagle_algorithm(mut self, disable: bool) -> Tcp {
        self.disable_nagle_algorithm = disable;
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
    pub fn bind_and_activate(self) -> io::Result<Tcp> {
        life::bind_and_activate(self)
    }
}

impl Transport for Tcp {
    type Request = TcpStream;
    type Address = SocketAddr;

    fn server_bind(&mut self) -> io::Result<()> {
        self.address = inet::bind(self.life.created()?, self.address, self.options)?;
        Ok(())
    }

    fn server_activate(&mut self) -> io::Result<()> {
        let socket = self.life.created()?;
        // Set on the listener, which saves system calls for each client.
        socket.set_tcp_nodelay(self.disable_nagle_algorithm)?;
        self.listener_has_nodelay = true;
        watch_clients(&SockRef::from(socket));
        stream::listen(socket, self.request_queue_size)
            .map_err(cannot("listen on", self.address))?;
        self.life
            .activate(|socket| Ok(TcpListener::from_std(socket.into())))
    }

    fn server_close(&mut self) {
        self.life = Life::Closed;
    }

    fn server_address(&self) -> SocketAddr {
        self.address
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

    fn get_request(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, address) = self.life.active()?.accept()?;
        if self.disable_nagle_algorithm && !(STREAMS_INHERIT && self.listener_has_nodelay) {
            // Ignore the error: on some systems it means that the client has disconnected already.
            let _ = stream.set_nodelay(true);
        }
        if !STREAMS_INHERIT {
            watch_clients(&SockRef::from(&stream));
        }
        Ok((stream, address))
    }

    /// Makes a system call only if the server listens on all interfaces.
    fn ip_address(client_address: &SocketAddr) -> Option<IpAddr> {
        Some(client_address.ip())
    }

    fn local_address(stream: &TcpStream, server_address: &SocketAddr) -> io::Result<SocketAddr> {
        match server_address.ip().is_unspecified() {
            true => stream.local_addr(),
            false => Ok(*server_address),
        }
    }
}

/// Lets the system notice a client that is gone although nothing is sent, and one that reads slowly
/// ([RT-13]). What is set already stays.
///
/// Ignores errors: a system without these options notices the client later.
///
/// [RT-13]: crate::spec#rt-13
fn watch_clients(socket: &SockRef<'_>) {
    if matches!(socket.keepalive(), Ok(false)) {
        let keepalive = TcpKeepalive::new().with_time(SILENCE);
        #[cfg(any(
            target_vendor = "apple",
            target_os = "linux",
            target_os = "android",
            windows
        ))]
        let keepalive = keepalive.with_interval(ANSWER).with_retries(3);
        let _ = socket.set_tcp_keepalive(&keepalive);
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if matches!(socket.tcp_notsent_lowat(), Ok(0)) {
        let _ = socket.set_tcp_notsent_lowat(UNSENT);
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for Tcp {
    /// Returns the socket, for options that have no setting here.
    ///
    /// # Panics
    ///
    /// Panics if the server is closed, because there is no socket then.
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.life.as_fd()
    }
}

impl Accepted for TcpStream {
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

impl Duplex for TcpStream {
    fn shutdown_write(&mut self) -> io::Result<()> {
        stream::shutdown_write(self)
    }

    fn reset_on_close(&mut self) {
        stream::reset_on_close(self);
    }

    fn allow_unsent(&mut self, bytes: u32) {
        allow_unsent(&SockRef::from(&*self), bytes);
    }
}

/// Raises the limit that [`watch_clients`], or an earlier call, has set. One that the program has set
/// stays.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn allow_unsent(socket: &SockRef<'_>, bytes: u32) {
    // Half of it, or a quarter if the client has taken so much in one go that a step was left out.
    let is_ours = |now| [UNSENT, bytes / 2, bytes / 4].contains(&now);
    if matches!(socket.tcp_notsent_lowat(), Ok(now) if is_ours(now)) {
        // Ignore the error: the limit is lower then, which costs more system calls.
        let _ = socket.set_tcp_notsent_lowat(bytes);
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn allow_unsent(_: &SockRef<'_>, _: u32) {}

/// A blocking socket, for a [`Driver`](crate::socketserver::Driver).
impl Duplex for std::net::TcpStream {
    fn shutdown_write(&mut self) -> io::Result<()> {
        stream::shutdown_write(self)
    }

    fn reset_on_close(&mut self) {
        stream::reset_on_close(self);
    }
}
