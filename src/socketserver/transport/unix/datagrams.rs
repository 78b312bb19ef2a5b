//! Unix-domain datagrams: Python's `UnixDatagramServer`.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;

use mio::event::Source;
use socket2::Type;

use super::{BoundPath, UnixAddress, Unlink};
use crate::socketserver::transport::Transport;
use crate::socketserver::transport::datagram::{self, Datagram, MAX_PACKET_SIZE, Replies};
use crate::socketserver::transport::state::State;

/// A Unix-domain datagram socket and its settings.
///
/// ```
/// use serve_forever::socketserver::{Transport, UnixDatagrams};
///
/// let path = std::env::temp_dir().join(format!("doc-{}.dgram", std::process::id()));
/// let unix = UnixDatagrams::new(&path)?.unlink_on_close(true).bind_and_activate()?;
/// assert_eq!(unix.server_address(), path.into());
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// A client has to bind its socket to get an answer: that of one that did not is
/// [`UnixAddress::Unnamed`], and replying to it is a failure of the request (UNIX-3), unless
/// nothing was written and [`send_empty_replies`](Self::send_empty_replies) is off.
///
/// An answer takes room in the server's socket until its client has fetched it, and none is
/// waited for: a client that fetches none can cost others their answers, until it is gone. Clients
/// that do not trust each other better have streams.
#[derive(Debug)]
pub struct UnixDatagrams {
    address: UnixAddress,
    unlink: Unlink,
    max_packet_size: usize,
    replies: Replies,
    bound: Option<BoundPath>,
    state: State<Active>,
}

/// The socket twice: the loop needs one of its own to watch, requests share the other.
#[derive(Debug)]
struct Active {
    socket: mio::net::UnixDatagram,
    shared: Arc<UnixDatagram>,
    /// Where datagrams are received.
    packet: Vec<u8>,
}

impl UnixDatagrams {
    /// A socket for `address`, not bound yet.
    ///
    /// # Errors
    ///
    /// An empty or too long address, an abstract one where there is no such thing, or what the
    /// system answers.
    pub fn new(address: impl Into<UnixAddress>) -> io::Result<UnixDatagrams> {
        let address = address.into();
        address.to_std()?;
        let socket = super::socket(Type::DGRAM)?;
        Ok(UnixDatagrams::with_state(address, State::Created(socket)))
    }

    /// A socket that somebody else has bound; as
    /// [`Udp::from_socket`](crate::socketserver::Udp::from_socket). Its path is theirs, too, and
    /// never unlinked.
    ///
    /// # Errors
    ///
    /// If it is no Unix-domain socket, or what else the system answers.
    pub fn from_socket(socket: UnixDatagram) -> io::Result<UnixDatagrams> {
        let address = UnixAddress::from_std(&socket.local_addr()?);
        let active = State::Active(Active::new(socket)?);
        Ok(UnixDatagrams::with_state(address, active))
    }

    fn with_state(address: UnixAddress, state: State<Active>) -> UnixDatagrams {
        UnixDatagrams {
            address,
            unlink: Unlink::default(),
            max_packet_size: MAX_PACKET_SIZE,
            replies: Replies::default(),
            bound: None,
            state,
        }
    }

    /// How much of a datagram is received, 8192 bytes by default; as
    /// [`Udp::max_packet_size`](crate::socketserver::Udp::max_packet_size).
    pub fn max_packet_size(mut self, size: usize) -> UnixDatagrams {
        self.max_packet_size = size;
        self
    }

    /// Whether a path that is in the way is unlinked if it is a socket that nobody answers on;
    /// as [`UnixStreams::unlink_stale`](super::UnixStreams::unlink_stale).
    pub fn unlink_stale(mut self, unlink: bool) -> UnixDatagrams {
        self.unlink.stale = unlink;
        self
    }

    /// Whether the path is unlinked when the server is closed or dropped, if it is still this
    /// server's; off by default (UNIX-2).
    pub fn unlink_on_close(mut self, unlink: bool) -> UnixDatagrams {
        self.unlink.on_close = unlink;
        self
    }

    /// Whether a handler that wrote nothing is answered for by an empty datagram; on by default,
    /// as in Python (DGRAM-2).
    pub fn send_empty_replies(mut self, send: bool) -> UnixDatagrams {
        self.replies.empty = send;
        self
    }

    /// Whether what a handler wrote before it failed is sent all the same; on by default, as in
    /// Python (DGRAM-2).
    pub fn send_replies_after_failure(mut self, send: bool) -> UnixDatagrams {
        self.replies.after_failure = send;
        self
    }

    /// Binds the socket: Python's `bind_and_activate=True`.
    ///
    /// # Errors
    ///
    /// What [`server_bind`](Transport::server_bind) answers; the socket is closed (TCP-2).
    pub fn bind_and_activate(mut self) -> io::Result<UnixDatagrams> {
        self.server_bind()?;
        self.server_activate()?;
        Ok(self)
    }
}

impl Active {
    fn new(socket: UnixDatagram) -> io::Result<Active> {
        socket.set_nonblocking(true)?;
        Ok(Active {
            shared: Arc::new(socket.try_clone()?),
            socket: mio::net::UnixDatagram::from_std(socket),
            packet: Vec::new(),
        })
    }
}

impl Transport for UnixDatagrams {
    type Request = Datagram<UnixAddress>;
    type Address = UnixAddress;

    fn server_bind(&mut self) -> io::Result<()> {
        self.bound = super::bind(self.state.created()?, &self.address, self.unlink)?;
        Ok(())
    }

    /// Nothing listens (UDP-1).
    fn server_activate(&mut self) -> io::Result<()> {
        self.state.activate(|socket| Active::new(socket.into()))
    }

    fn server_close(&mut self) {
        self.bound = None;
        self.state = State::Closed;
    }

    fn server_address(&self) -> UnixAddress {
        self.address.clone()
    }

    fn source(&mut self) -> io::Result<&mut dyn Source> {
        Ok(&mut self.state.active()?.socket)
    }

    fn get_request(&mut self) -> io::Result<(Datagram<UnixAddress>, UnixAddress)> {
        let active = self.state.active()?;
        active.packet.resize(self.max_packet_size, 0);
        let (length, sender) = active.socket.recv_from(&mut active.packet)?;
        let bytes = active.packet[..length].to_vec();
        let sender = UnixAddress::from_std(&sender);
        let socket = Arc::clone(&active.shared);
        let request = Datagram::new(bytes, socket, sender.clone(), self.replies);
        Ok((request, sender))
    }
}

impl datagram::Socket<UnixAddress> for UnixDatagram {
    fn send_to(&self, bytes: &[u8], address: &UnixAddress) -> io::Result<usize> {
        self.send_to_addr(bytes, &address.to_std()?)
    }
}

impl std::os::fd::AsFd for UnixDatagrams {
    /// The socket, for options that have no setting here.
    ///
    /// # Panics
    ///
    /// If the server is closed: there is no socket.
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.state.as_fd()
    }
}

impl std::os::fd::AsFd for Active {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
