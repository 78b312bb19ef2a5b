//! Unix-domain datagrams: Python's `UnixDatagramServer`.

use std::io;

use mio::event::Source;
use mio::net::UnixDatagram;
use socket2::{Domain, Type};

use super::address::UnixAddress;
use super::binding::{Bound, Unlink};
use crate::socketserver::transport::bind_error::cannot;
use crate::socketserver::transport::datagram::{Datagram, DatagramSettings, SendTo};
use crate::socketserver::transport::life::{self, Life};
use crate::socketserver::transport::packets::Packets;
use crate::socketserver::transport::traits::Transport;

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
/// A client has to bind its socket to get a reply. The address of a client that did not is
/// [`UnixAddress::Unnamed`], and replying to it is a failure of the request ([UNIX-3]). The
/// exception is a handler that wrote nothing while
/// [`send_empty_replies`](Self::send_empty_replies) is off.
///
/// A reply occupies space in the server's socket until its client has fetched it, and sending
/// never waits for space. A client that fetches no replies can therefore cost other clients
/// theirs, until it disconnects. If your clients do not trust each other, use streams.
///
/// [UNIX-3]: crate::spec#unix-3
#[derive(Debug)]
pub struct UnixDatagrams {
    /// Where the socket is bound, or is to be bound.
    address: UnixAddress,
    /// When the path is unlinked.
    unlink: Unlink,
    /// The permissions of the path, if not those of a new file.
    mode: Option<u32>,
    /// Which bytes are received and which replies are sent. Each request gets a copy.
    settings: DatagramSettings,
    /// The path to unlink on close. It comes before the socket, because it has to be dropped first.
    bound: Bound,
    /// The socket itself.
    life: Life<UnixPackets>,
}

type UnixPackets = Packets<UnixDatagram, std::os::unix::net::UnixDatagram>;

impl UnixDatagrams {
    /// Creates a socket for `address` that is not bound yet.
    ///
    /// # Errors
    ///
    /// Returns an error if the address is empty or too long, or if it is an abstract name and the
    /// platform has none. Returns the operating system's error if the socket cannot be created.
    pub fn new(address: impl Into<UnixAddress>) -> io::Result<UnixDatagrams> {
        let address = address.into();
        address.to_std().map_err(cannot("bind", &address))?;
        let life = Life::new(Domain::UNIX, Type::DGRAM)?;
        Ok(UnixDatagrams::with_life(address, life))
    }

    /// Uses a socket that another program or another library has bound, like
    /// [`Udp::from_socket`](crate::socketserver::Udp::from_socket). Its path is never unlinked
    /// here, because it belongs to the code that bound the socket.
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if `socket` is not a Unix-domain socket, cannot be
    /// made non-blocking, or cannot be duplicated.
    pub fn from_socket(socket: std::os::unix::net::UnixDatagram) -> io::Result<UnixDatagrams> {
        let address = UnixAddress::from_std(&socket.local_addr()?);
        let packets = Packets::new(socket.into(), UnixDatagram::from_std)?;
        Ok(UnixDatagrams::with_life(address, Life::Active(packets)))
    }

    fn with_life(address: UnixAddress, life: Life<UnixPackets>) -> UnixDatagrams {
        UnixDatagrams {
            address,
            unlink: Unlink::default(),
            mode: None,
            settings: DatagramSettings::default(),
            bound: Bound::default(),
            life,
        }
    }

    /// Sets how many bytes of a datagram are received; 8192 by default, like
    /// [`Udp::max_packet_size`](crate::socketserver::Udp::max_packet_size).
    pub fn max_packet_size(mut self, size: usize) -> UnixDatagrams {
        self.settings.max_packet_size = size;
        self
    }

    /// Sets whether an existing path is unlinked if it is a socket that an earlier server has left
    /// behind, like [`UnixStreams::unlink_stale`](crate::socketserver::UnixStreams::unlink_stale);
    /// off by default.
    pub fn unlink_stale(mut self, unlink: bool) -> UnixDatagrams {
        self.unlink.stale = unlink;
        self
    }

    /// Sets whether the path is unlinked when the server is closed or dropped, provided that it
    /// still belongs to this server; off by default ([UNIX-2]).
    ///
    /// [UNIX-2]: crate::spec#unix-2
    pub fn unlink_on_close(mut self, unlink: bool) -> UnixDatagrams {
        self.unlink.on_close = unlink;
        self
    }

    /// Sets the permissions of the path, such as `0o660`: who may send besides the owner. The default
    /// is those of a new file, which the `umask` of the process decides ([UNIX-5]).
    ///
    /// A socket of datagrams can be sent to as soon as it is bound. On Linux the path has no more
    /// than these permissions from its first moment on. On other systems it has those of a new file
    /// for a moment; if that matters there, put it into a folder that only your users can enter. To
    /// set the group, give the path `0o600`, [bind](Transport::server_bind) it, and change first the
    /// group and then the permissions, with [`chown`](std::os::unix::fs::chown) and
    /// [`set_permissions`](std::fs::set_permissions).
    ///
    /// An abstract name has no permissions. With this setting it cannot be bound.
    ///
    /// [UNIX-5]: crate::spec#unix-5
    pub fn mode(mut self, mode: u32) -> UnixDatagrams {
        self.mode = Some(mode);
        self
    }

    /// Sets whether an empty datagram is sent if a handler wrote nothing; on by default, as in
    /// Python ([DGRAM-2]).
    ///
    /// [DGRAM-2]: crate::spec#dgram-2
    pub fn send_empty_replies(mut self, send: bool) -> UnixDatagrams {
        self.settings.send_empty_replies = send;
        self
    }

    /// Sets whether the bytes that a handler wrote before it failed are sent; on by default, as
    /// in Python ([DGRAM-2]).
    ///
    /// [DGRAM-2]: crate::spec#dgram-2
    pub fn send_replies_after_failure(mut self, send: bool) -> UnixDatagrams {
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
    pub fn bind_and_activate(self) -> io::Result<UnixDatagrams> {
        life::bind_and_activate(self)
    }
}

impl Transport for UnixDatagrams {
    type Request = Datagram<UnixAddress>;
    type Address = UnixAddress;

    fn server_bind(&mut self) -> io::Result<()> {
        let socket = self.life.created()?;
        self.bound = Bound::bind(socket, &self.address, self.unlink, self.mode)
            .map_err(cannot("bind", &self.address))?;
        Ok(())
    }

    /// A socket of datagrams does not listen ([UDP-1]).
    ///
    /// [UDP-1]: crate::spec#udp-1
    fn server_activate(&mut self) -> io::Result<()> {
        self.bound.is_active();
        self.life
            .activate(|socket| Packets::new(socket, UnixDatagram::from_std))
    }

    fn server_close(&mut self) {
        self.bound = Bound::default();
        self.life = Life::Closed;
    }

    fn server_address(&self) -> UnixAddress {
        self.address.clone()
    }

    fn source(&mut self) -> io::Result<&mut dyn Source> {
        Ok(self.life.active()?.source())
    }

    fn get_request(&mut self) -> io::Result<(Datagram<UnixAddress>, UnixAddress)> {
        let packets = self.life.active()?;
        packets.get_request(self.settings, |socket, bytes| {
            let (length, sender) = socket.recv_from(bytes)?;
            Ok((length, UnixAddress::from_std(&sender)))
        })
    }
}

impl SendTo<UnixAddress> for std::os::unix::net::UnixDatagram {
    fn send_to(&self, bytes: &[u8], address: &UnixAddress) -> io::Result<usize> {
        self.send_to_addr(bytes, &address.to_std()?)
    }
}

impl std::os::fd::AsFd for UnixDatagrams {
    /// Returns the socket, for options that have no setting here.
    ///
    /// # Panics
    ///
    /// Panics if the server is closed, because there is no socket then.
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.life.as_fd()
    }
}
