//! UDP: Python's `UDPServer`.

use std::io;
use std::net::SocketAddr;

use mio::event::Source;
use mio::net::UdpSocket;
use socket2::{Domain, Type};

use super::datagram::{Datagram, DatagramSettings, SendTo};
use super::inet::{self, Options, ServerAddress};
use super::life::{self, Life};
use super::packets::Packets;
use super::traits::Transport;

/// A UDP socket and its settings.
///
/// There are no connections to accept: each datagram is a request, and its reply is one datagram.
///
/// ```
/// use serve_forever::socketserver::{Transport, Udp};
///
/// let udp = Udp::new("127.0.0.1:0")?.max_packet_size(512).bind_and_activate()?;
/// assert_ne!(udp.server_address().port(), 0);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// An event loop can keep a stream open, but not a datagram. An evented UDP server therefore does
/// not compile:
///
/// ```compile_fail,E0277
/// use serve_forever::http::{Http, HttpResult, HttpSettings, Request, Response};
/// use serve_forever::socketserver::{Evented, Udp};
///
/// fn hello(_: &Request<'_>, response: Response<'_>) -> HttpResult {
///     response.send_response(200).body("Hello")
/// }
/// let dispatch: Evented<Udp, _> = Evented::new(Http::new(hello, HttpSettings::default()));
/// ```
///
/// The same code with [`Tcp`](crate::socketserver::Tcp) compiles:
///
/// ```
/// use serve_forever::http::{Http, HttpResult, HttpSettings, Request, Response};
/// use serve_forever::socketserver::{Evented, Tcp};
///
/// fn hello(_: &Request<'_>, response: Response<'_>) -> HttpResult {
///     response.send_response(200).body("Hello")
/// }
/// let dispatch: Evented<Tcp, _> = Evented::new(Http::new(hello, HttpSettings::default()));
/// ```
#[derive(Debug)]
pub struct Udp {
    /// The requested address; the actual one once the socket is bound.
    address: SocketAddr,
    /// The options of the socket, set before it is bound.
    options: Options,
    /// Which bytes are received and which replies are sent. Each request gets a copy.
    settings: DatagramSettings,
    /// The socket itself.
    life: Life<UdpPackets>,
}

type UdpPackets = Packets<UdpSocket, std::net::UdpSocket>;

impl Udp {
    /// Creates a socket for `address` that is not bound yet. Names are looked up as by
    /// [`Tcp::new`](crate::socketserver::Tcp::new).
    ///
    /// # Errors
    ///
    /// Returns an error if the address cannot be used ([TCP-12]), and the operating system's error
    /// if the socket cannot be created. The first [names the address](ServerAddress).
    ///
    /// [TCP-12]: crate::spec#tcp-12
    pub fn new(address: impl ServerAddress) -> io::Result<Udp> {
        let address = address.resolve()?;
        let life = Life::new(Domain::for_address(address), Type::DGRAM)?;
        Ok(Udp::with_life(address, life))
    }

    /// Uses a socket that another program or another library has bound. It is active from the
    /// beginning.
    ///
    /// Like [`Tcp::from_listener`](crate::socketserver::Tcp::from_listener), but `max_packet_size`
    /// and the settings of replies still have an effect.
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if `socket` is not a UDP socket, cannot be made
    /// non-blocking, or cannot be duplicated.
    pub fn from_socket(socket: std::net::UdpSocket) -> io::Result<Udp> {
        let address = socket.local_addr()?;
        let packets = Packets::new(socket.into(), UdpSocket::from_std)?;
        Ok(Udp::with_life(address, Life::Active(packets)))
    }

    fn with_life(address: SocketAddr, life: Life<UdpPackets>) -> Udp {
        Udp {
            address,
            options: Options::default(),
            settings: DatagramSettings::default(),
            life,
        }
    }

    /// Sets how many bytes of a datagram are received; 8192 by default. The rest of a longer
    /// datagram is lost without an error ([UDP-2]).
    ///
    /// [UDP-2]: crate::spec#udp-2
    pub fn max_packet_size(mut self, size: usize) -> Udp {
        self.settings.max_packet_size = size;
        self
    }

    /// Sets whether the address can be bound although another socket has it, if that socket also
    /// allows it (`SO_REUSEADDR`); off by default. On Linux the socket that was bound last then
    /// receives all datagrams.
    pub fn allow_reuse_address(mut self, allow: bool) -> Udp {
        self.options.allow_reuse_address = allow;
        self
    }

    /// Sets whether several sockets can be bound to the address and share its datagrams
    /// (`SO_REUSEPORT`); off by default. It has no effect if the platform lacks this option.
    pub fn allow_reuse_port(mut self, allow: bool) -> Udp {
        self.options.allow_reuse_port = allow;
        self
    }

    /// Sets whether a socket on an IPv6 address also receives IPv4 datagrams, like
    /// [`Tcp::dual_stack`](crate::socketserver::Tcp::dual_stack); off by default.
    pub fn dual_stack(mut self, dual: bool) -> Udp {
        self.options.dual_stack = dual;
        self
    }

    /// Sets whether an empty datagram is sent if a handler wrote nothing; on by default, as in
    /// Python ([DGRAM-2]).
    ///
    /// [DGRAM-2]: crate::spec#dgram-2
    pub fn send_empty_replies(mut self, send: bool) -> Udp {
        self.settings.send_empty_replies = send;
        self
    }

    /// Sets whether the bytes that a handler wrote before it failed are sent; on by default, as
    /// in Python ([DGRAM-2]).
    ///
    /// [DGRAM-2]: crate::spec#dgram-2
    pub fn send_replies_after_failure(mut self, send: bool) -> Udp {
        self.settings.send_replies_after_failure = send;
        self
    }

    /// Binds the socket: Python's `bind_and_activate=True`.
    ///
    /// # Errors
    ///
    /// Returns the error of [`server_bind`](Transport::server_bind) or
    /// [`server_activate`](Transport::server_activate), which names the address. The socket is then
    /// closed ([TCP-2]).
    ///
    /// [TCP-2]: crate::spec#tcp-2
    pub fn bind_and_activate(self) -> io::Result<Udp> {
        life::bind_and_activate(self)
    }
}

impl Transport for Udp {
    type Request = Datagram<SocketAddr>;
    type Address = SocketAddr;

    fn server_bind(&mut self) -> io::Result<()> {
        self.address = inet::bind(self.life.created()?, self.address, self.options)?;
        Ok(())
    }

    /// A socket of datagrams does not listen ([UDP-1]).
    ///
    /// [UDP-1]: crate::spec#udp-1
    fn server_activate(&mut self) -> io::Result<()> {
        self.life
            .activate(|socket| Packets::new(socket, UdpSocket::from_std))
    }

    fn server_close(&mut self) {
        self.life = Life::Closed;
    }

    fn server_address(&self) -> SocketAddr {
        self.address
    }

    fn source(&mut self) -> io::Result<&mut dyn Source> {
        Ok(self.life.active()?.source())
    }

    fn get_request(&mut self) -> io::Result<(Datagram<SocketAddr>, SocketAddr)> {
        let packets = self.life.active()?;
        packets.get_request(self.settings, UdpSocket::recv_from)
    }
}

impl SendTo<SocketAddr> for std::net::UdpSocket {
    fn send_to(&self, bytes: &[u8], address: &SocketAddr) -> io::Result<usize> {
        std::net::UdpSocket::send_to(self, bytes, *address)
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for Udp {
    /// Returns the socket, for options that have no setting here.
    ///
    /// # Panics
    ///
    /// Panics if the server is closed, because there is no socket then.
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.life.as_fd()
    }
}
