//! The factory that puts the PROXY protocol before another protocol.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::header::Source;
use super::proxied::{Maker, Proxied, Socket, Terms};
use crate::reactor::Now;
use crate::socketserver::factory::{Ends, Factory};
use crate::socketserver::failure::Failure;
use crate::socketserver::protocol::Protocol;
#[cfg(unix)]
use crate::socketserver::transport::UnixAddress;

/// Makes the protocols of another factory for clients that come through a proxy, such as HAProxy or
/// the load balancer of a cloud. The proxy sends a header with the client's address before the
/// client's first byte ([PROXY-1]). The inner factory is told the addresses of the header.
///
/// ```
/// use serve_forever::http::{Http, HttpSettings, Request, Response, listen};
/// use serve_forever::socketserver::{Evented, ProxyProtocol, Server};
///
/// fn hello(request: &Request<'_>, response: Response<'_>) -> serve_forever::HttpResult {
///     let client = request.client_address(); // not the proxy's
///     response.send_response(200).body(format!("Hello, {client:?}\n"))
/// }
///
/// let http = Http::new(hello, HttpSettings::default());
/// let server = Server::new(listen("127.0.0.1:0")?, Evented::new(ProxyProtocol::new(http)))?;
/// # let _ = server;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// In HAProxy, add `send-proxy` (version 1) or `send-proxy-v2` to the line of the server; in the `stream`
/// module of nginx, `proxy_protocol on`. Both versions are understood. `curl --haproxy-protocol` sends
/// a header, too.
///
/// # Who may connect
///
/// **Whoever reaches this listener can choose the client's address.** Let only the proxy reach it: bind
/// it to an address of an inner network, or to a Unix-domain socket with the right permissions.
///
/// A connection without a header is closed ([PROXY-2]). If the header were optional, a client could
/// choose its address by sending one through a proxy that sends none.
///
/// Do not use it behind a proxy that sends the requests of several clients over one connection. Such a
/// proxy has to send a field with each request; see
/// [`TrustedProxies`](crate::http::TrustedProxies).
///
/// # What becomes of the header
///
/// | the header | then |
/// | --- | --- |
/// | TCP or UDP over IPv4 or IPv6 | the inner factory gets its addresses |
/// | `UNKNOWN`, `LOCAL` or no family: a check of the proxy's own, for example | the inner factory gets those of the socket |
/// | a Unix-domain socket | on a Unix-domain socket, the inner factory gets the paths of the header; on TCP the addresses of the socket |
/// | wrong, too long or missing | the connection is closed, [`refused`](Self::refused) counts it, and nothing of it reaches the inner factory |
///
/// The further fields of version 2 are skipped, and its checksum is not verified. The inner factory is
/// cloned for each connection; the clone is dropped when the header has arrived. A failure that the
/// server [reports](crate::socketserver::Hooks::handle_error) has the address of the proxy.
///
/// # Together with other factories
///
/// On a Unix-domain socket, the inner factory has to be a factory for both kinds of address, as
/// [`Http`](crate::http::Http) is: most headers name an IP address, but others leave that of the socket.
///
/// A proxy that does not decrypt TLS sends its header before the TLS handshake. So the `ProxyProtocol`
/// is outside, and a factory of TLS is inside.
///
/// [PROXY-1]: crate::spec#proxy-1
/// [PROXY-2]: crate::spec#proxy-2
#[derive(Clone)]
pub struct ProxyProtocol<F> {
    /// Makes the protocols behind the header.
    factory: F,
    /// The deadline and the counter of the headers.
    terms: Terms,
}

impl<F> ProxyProtocol<F> {
    /// Creates a factory that expects a header and then makes a protocol of `factory`.
    pub fn new(factory: F) -> ProxyProtocol<F> {
        ProxyProtocol {
            factory,
            terms: Terms {
                timeout: Duration::from_secs(5),
                refused: Arc::default(),
            },
        }
    }

    /// Sets how long the header may take, counted from the connection: 5 s by default. A proxy sends it in
    /// its first packet, and a lost packet is sent again within 3 s. For comparison: nginx has 60 s.
    #[must_use]
    pub fn header_timeout(mut self, timeout: Duration) -> ProxyProtocol<F> {
        self.terms.timeout = timeout;
        self
    }

    /// Returns how many connections were closed because their header was wrong, or not whole in time. A
    /// client that connects and sends nothing before it closes is not counted. Clones count together.
    ///
    /// If all clients are refused, the proxy probably sends no header.
    pub fn refused(&self) -> u64 {
        self.terms.refused.load(Ordering::Relaxed)
    }

    /// Returns the inner factory.
    pub fn factory(&self) -> &F {
        &self.factory
    }

    /// Like [`factory`](Self::factory), but you can change it. A change takes effect for connections made
    /// afterwards.
    pub fn factory_mut(&mut self) -> &mut F {
        &mut self.factory
    }
}

impl<F: Factory<SocketAddr, Made: Protocol> + Clone> Factory<SocketAddr> for ProxyProtocol<F> {
    type Made = Proxied<SocketAddr, F>;

    fn make(&self, ends: &Ends<'_, SocketAddr>) -> Result<Self::Made, Failure> {
        let maker = Maker {
            factory: self.factory.clone(),
            make: |factory, socket, source| match source {
                Source::Inet { client, local } => socket.make_for(factory, &client, Some(&local)),
                Source::Socket | Source::Unix(_) => socket.make(factory),
            },
        };
        Ok(Proxied::new(maker, Socket::of(ends), self.terms.clone()))
    }

    fn turned_away(&self, now: &Now) -> Vec<u8> {
        self.factory.turned_away(now)
    }

    fn server_close(&mut self) -> bool {
        self.factory.server_close()
    }
}

#[cfg(unix)]
impl<F, P> Factory<UnixAddress> for ProxyProtocol<F>
where
    F: Factory<SocketAddr, Made = P> + Factory<UnixAddress, Made = P> + Clone,
    P: Protocol,
{
    type Made = Proxied<UnixAddress, F>;

    fn make(&self, ends: &Ends<'_, UnixAddress>) -> Result<Self::Made, Failure> {
        use std::ffi::OsString;
        use std::os::unix::ffi::OsStringExt;
        use std::path::PathBuf;

        let maker: Maker<UnixAddress, F> = Maker {
            factory: self.factory.clone(),
            make: |factory, socket, source| match source {
                Source::Inet { client, local } => socket.make_for(factory, &client, Some(&local)),
                Source::Socket => socket.make(factory),
                Source::Unix(ends) => {
                    let address =
                        |bytes| UnixAddress::from(PathBuf::from(OsString::from_vec(bytes)));
                    let (client, local) = (address(ends.client), address(ends.local));
                    socket.make_for(factory, &client, Some(&local))
                }
            },
        };
        Ok(Proxied::new(maker, Socket::of(ends), self.terms.clone()))
    }

    fn turned_away(&self, now: &Now) -> Vec<u8> {
        Factory::<UnixAddress>::turned_away(&self.factory, now)
    }

    fn server_close(&mut self) -> bool {
        Factory::<UnixAddress>::server_close(&mut self.factory)
    }
}

impl<F: fmt::Debug> fmt::Debug for ProxyProtocol<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyProtocol")
            .field("factory", &self.factory)
            .field("header_timeout", &self.terms.timeout)
            .field("refused", &self.refused())
            .finish_non_exhaustive()
    }
}
