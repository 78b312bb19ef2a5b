//! UDP: Python's `UDPServer`.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use mio::event::Source;
use socket2::{Protocol, Type};

use super::Transport;
use super::datagram::{self, Datagram, MAX_PACKET_SIZE, Replies};
use super::inet::{self, Options, ServerAddress};
use super::state::State;

/// A UDP socket and its settings.
///
/// There is nothing to accept: each datagram is a request, and its answer is one datagram.
///
/// ```
/// use serve_forever::socketserver::{Transport, Udp};
///
/// let udp = Udp::new("127.0.0.1:0")?.max_packet_size(512).bind_and_activate()?;
/// assert_ne!(udp.server_address().port(), 0);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// A loop can keep a stream open, but not a datagram, so an evented UDP server does not compile:
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
/// The same with a [`Tcp`](super::Tcp) does:
///
/// ```
/// # use serve_forever::http::{Http, HttpResult, HttpSettings, Request, Response};
/// # use serve_forever::socketserver::{Evented, Tcp};
/// #
/// # fn hello(_: &Request<'_>, response: Response<'_>) -> HttpResult {
/// #     response.send_response(200).body("Hello")
/// # }
/// let dispatch: Evented<Tcp, _> = Evented::new(Http::new(hello, HttpSettings::default()));
/// ```
#[derive(Debug)]
pub struct Udp {
    address: SocketAddr,
    options: Options,
    max_packet_size: usize,
    replies: Replies,
    state: State<Active>,
}

/// The socket twice: the loop needs one of its own to watch, requests share the other.
#[derive(Debug)]
struct Active {
    socket: mio::net::UdpSocket,
    shared: Arc<UdpSocket>,
    /// Where datagrams are received.
    packet: Vec<u8>,
}

impl Udp {
    /// A socket for `address`, not bound yet; names as for [`Tcp`](super::Tcp::new).
    ///
    /// # Errors
    ///
    /// An address that cannot be used (TCP-12), or what the system answers.
    pub fn new(address: impl ServerAddress) -> io::Result<Udp> {
        let address = address.resolve()?;
        let socket = inet::socket(address, Type::DGRAM, Protocol::UDP)?;
        Ok(Udp::with_state(address, State::Created(socket)))
    }

    /// A socket that somebody else has bound, active from the beginning; as
    /// [`Tcp::from_listener`](super::Tcp::from_listener), with `max_packet_size` and the reply
    /// settings still to be made.
    ///
    /// # Errors
    ///
    /// If it is no UDP socket, or what else the system answers.
    pub fn from_socket(socket: UdpSocket) -> io::Result<Udp> {
        let address = socket.local_addr()?;
        Ok(Udp::with_state(
            address,
            State::Active(Active::new(socket)?),
        ))
    }

    fn with_state(address: SocketAddr, state: State<Active>) -> Udp {
        Udp {
            address,
            options: Options::default(),
            max_packet_size: MAX_PACKET_SIZE,
            replies: Replies::default(),
            state,
        }
    }

    /// How much of a datagram is received, 8192 bytes by default; the rest of a longer one is cut
    /// off silently (UDP-2).
    pub fn max_packet_size(mut self, size: usize) -> Udp {
        self.max_packet_size = size;
        self
    }

    /// Whether the address may be bound although another socket has it, if that one allows it,
    /// too; off by default. On Linux the last one bound then takes all datagrams.
    pub fn allow_reuse_address(mut self, allow: bool) -> Udp {
        self.options.allow_reuse_address = allow;
        self
    }

    /// Whether several sockets may be bound to the address and share its datagrams; off by
    /// default, without effect where the platform has no `SO_REUSEPORT`.
    pub fn allow_reuse_port(mut self, allow: bool) -> Udp {
        self.options.allow_reuse_port = allow;
        self
    }

    /// Whether an IPv6 address takes IPv4 datagrams, too; as
    /// [`Tcp::dual_stack`](super::Tcp::dual_stack).
    pub fn dual_stack(mut self, dual: bool) -> Udp {
        self.options.dual_stack = dual;
        self
    }

    /// Whether a handler that wrote nothing is answered for by an empty datagram; on by default,
    /// as in Python (DGRAM-2).
    pub fn send_empty_replies(mut self, send: bool) -> Udp {
        self.replies.empty = send;
        self
    }

    /// Whether what a handler wrote before it failed is sent all the same; on by default, as in
    /// Python (DGRAM-2).
    pub fn send_replies_after_failure(mut self, send: bool) -> Udp {
        self.replies.after_failure = send;
        self
    }

    /// Binds the socket: Python's `bind_and_activate=True`.
    ///
    /// # Errors
    ///
    /// What [`server_bind`](Transport::server_bind) answers; the socket is closed (TCP-2).
    pub fn bind_and_activate(mut self) -> io::Result<Udp> {
        self.server_bind()?;
        self.server_activate()?;
        Ok(self)
    }
}

impl Active {
    fn new(socket: UdpSocket) -> io::Result<Active> {
        socket.set_nonblocking(true)?;
        Ok(Active {
            shared: Arc::new(socket.try_clone()?),
            socket: mio::net::UdpSocket::from_std(socket),
            packet: Vec::new(),
        })
    }
}

impl Transport for Udp {
    type Request = Datagram<SocketAddr>;
    type Address = SocketAddr;

    fn server_bind(&mut self) -> io::Result<()> {
        self.address = inet::bind(self.state.created()?, self.address, self.options)?;
        Ok(())
    }

    /// Nothing listens (UDP-1).
    fn server_activate(&mut self) -> io::Result<()> {
        self.state.activate(|socket| Active::new(socket.into()))
    }

    fn server_close(&mut self) {
        self.state = State::Closed;
    }

    fn server_address(&self) -> SocketAddr {
        self.address
    }

    fn source(&mut self) -> io::Result<&mut dyn Source> {
        Ok(&mut self.state.active()?.socket)
    }

    fn get_request(&mut self) -> io::Result<(Datagram<SocketAddr>, SocketAddr)> {
        let active = self.state.active()?;
        active.packet.resize(self.max_packet_size, 0);
        let (length, sender) = active.socket.recv_from(&mut active.packet)?;
        let bytes = active.packet[..length].to_vec();
        let socket = Arc::clone(&active.shared);
        Ok((Datagram::new(bytes, socket, sender, self.replies), sender))
    }
}

impl datagram::Socket<SocketAddr> for UdpSocket {
    fn send_to(&self, bytes: &[u8], address: &SocketAddr) -> io::Result<usize> {
        UdpSocket::send_to(self, bytes, *address)
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for Udp {
    /// The socket, for options that have no setting here.
    ///
    /// # Panics
    ///
    /// If the server is closed: there is no socket.
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.state.as_fd()
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for Active {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
