//! The common part of TCP and UDP: addresses of hosts and ports, and how they are bound.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

use socket2::{SockAddr, Socket};

use super::bind_error::cannot;

/// The options that are set before a socket is bound. All are off by default ([TCP-1], [UDP-1],
/// [TCP-9]).
///
/// [TCP-1]: crate::spec#tcp-1
/// [TCP-9]: crate::spec#tcp-9
/// [UDP-1]: crate::spec#udp-1
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Options {
    /// `SO_REUSEADDR`.
    pub(super) allow_reuse_address: bool,
    /// `SO_REUSEPORT`, where the platform has it.
    pub(super) allow_reuse_port: bool,
    /// Whether an IPv6 address also serves IPv4 clients.
    pub(super) dual_stack: bool,
}

/// Binds in Python's order: options, bind, the actual address ([TCP-4]). Returns that address.
///
/// [TCP-4]: crate::spec#tcp-4
pub(super) fn bind(
    socket: &Socket,
    address: SocketAddr,
    options: Options,
) -> io::Result<SocketAddr> {
    bind_with(socket, address, options).map_err(cannot("bind", address))
}

fn bind_with(socket: &Socket, address: SocketAddr, options: Options) -> io::Result<SocketAddr> {
    if options.allow_reuse_address {
        socket.set_reuse_address(true)?;
    }
    #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos"))))]
    if options.allow_reuse_port {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        // Always set, because the default depends on the system and its administrator.
        socket.set_only_v6(!options.dual_stack)?;
    }
    socket.bind(&SockAddr::from(address))?;
    Ok(socket.local_addr()?.as_socket().unwrap_or(address))
}

/// The address of a server: a [`SocketAddr`], text such as `"127.0.0.1:8000"`, or a host and a
/// port.
///
/// It takes the usual kinds of [`ToSocketAddrs`], and in addition an empty host, as in `":8000"`
/// or `("", 8000)`, which means all IPv4 interfaces ([TCP-9]).
///
/// If a server cannot be bound, the error names the address: `cannot bind 127.0.0.1:80: Permission
/// denied (os error 13)`. Its [`kind`](io::Error::kind) is the operating system's, and its
/// [`source`](std::error::Error::source) is the operating system's error itself.
///
/// [TCP-9]: crate::spec#tcp-9
pub trait ServerAddress {
    /// Returns the one address to bind. If a name has several addresses, this is its first IPv4
    /// address, or else its first.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is not an address, if the name cannot be looked up, or if it
    /// has no address.
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
            host => choose(self).map_err(cannot(
                "look up",
                format_args!("{}:{}", host.escape_debug(), self.1),
            )),
        }
    }
}

impl ServerAddress for str {
    fn resolve(&self) -> io::Result<SocketAddr> {
        match self.strip_prefix(':').map(str::parse) {
            Some(Ok(port)) => ("", port).resolve(),
            _ => choose(&self).map_err(cannot("look up", self.escape_debug())),
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
