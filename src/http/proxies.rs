//! Which proxies are believed, and what they say about a request.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::str;
use std::sync::Arc;

use super::forwarded::{Element, Members, Node, element, node};
use super::h1::{self, Fields};

/// Which proxies in front of the server are believed when they say who the client is. By default
/// nobody is, and the fields `Forwarded` and `X-Forwarded-*` change nothing ([PROXY-3]).
///
/// Put a rule into [`HttpSettings::trusted_proxies`](super::HttpSettings::trusted_proxies):
///
/// ```
/// use serve_forever::http::{HttpServer, HttpSettings, Request, Response, TrustedProxies};
///
/// let hello = |request: &Request<'_>, response: Response<'_>| {
///     let client = request.client_address(); // as the proxy says
///     response.send_response(200).body(format!("Hello, {client:?}\n"))
/// };
/// let mut settings = HttpSettings::default();
/// settings.trusted_proxies = TrustedProxies::networks(["127.0.0.1", "10.0.0.0/8"])?.with_proto();
/// let server = HttpServer::with_settings("127.0.0.1:0", hello, settings)?;
/// # let _ = server;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Then [`Request::client_address`](super::Request::client_address), the access log and WSGI's
/// `REMOTE_ADDR` are the client's. [`Request::scheme`](super::Request::scheme), `wsgi.url_scheme` and
/// `HTTPS` are those of the client's connection to the proxy.
///
/// # How the client is found
///
/// Each proxy appends the address from which it has received the request. The server goes from the
/// right to the left ([PROXY-4]), beginning with the address of the socket. If that is a trusted proxy,
/// the last member of the field is believed. If this is the address of a trusted proxy as well, the
/// member before it is believed, and so on. The first address that is no trusted proxy is the client:
///
/// ```text
/// X-Forwarded-For: 1.2.3.4, 198.51.100.7, 10.0.0.3      the socket: 10.0.0.2
///                  ignored  the client    a trusted     a trusted
///                                         proxy         proxy
/// ```
///
/// A member that is malformed ends the walk: the last address that was believed is the client. If a
/// trusted proxy writes `unknown`, or a name such as `_hidden`, there is no client address.
///
/// # What a wrong rule does
///
/// - **If the rule trusts an address that is no proxy, its users can choose their address.** They send
///   the field themselves, and then pass for anybody: in the log, and wherever your program decides by
///   address. Never trust a network in which clients are.
/// - With [`hops`](Self::hops), **everybody who reaches the server past the proxy can do that.** Bind the
///   server to an address that only the proxy reaches.
/// - If the rule reads a field that the proxy does not set, clients can set it. So only one field
///   is read for the address, and `X-Forwarded-Proto` and `X-Forwarded-Host` only if you say so.
/// - If the rule misses a proxy, its address stands for all of its clients. A limit for each client
///   then hits all of them.
///
/// Even behind a good rule, an address does not prove who somebody is.
///
/// [PROXY-3]: crate::spec#proxy-3
/// [PROXY-4]: crate::spec#proxy-4
#[derive(Clone, Default)]
pub struct TrustedProxies {
    /// `None`: nobody is believed. Shared with the requests that outlive their connection.
    rule: Option<Arc<Rule>>,
}

/// What a program has said about its proxies.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    /// At most so many proxies are believed.
    hops: usize,
    /// The networks of the proxies. `None`: their addresses do not matter.
    networks: Option<Vec<Network>>,
    /// Whether `Forwarded` is read, and not `X-Forwarded-*`.
    forwarded: bool,
    /// Whether `X-Forwarded-Proto` is read.
    proto: bool,
    /// Whether `X-Forwarded-Host` is read.
    host: bool,
}

/// A network of proxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Network {
    /// All addresses that begin like this one, and how many bits of it count.
    Ip(IpAddr, u32),
    /// The clients of a Unix-domain socket.
    Unix,
}

impl TrustedProxies {
    /// Trusts the last `count` proxies, whatever their addresses are. `hops(1)` is right for a
    /// single proxy if nobody else can reach the server; a Unix-domain socket is such a place.
    pub fn hops(count: usize) -> TrustedProxies {
        TrustedProxies::new(count, None)
    }

    /// Trusts the proxies in these networks, such as `10.0.0.0/8`, `2001:db8::/32` or `127.0.0.1`.
    /// `unix` stands for everybody who connects to a Unix-domain socket.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidInput`](io::ErrorKind::InvalidInput) if a text is not a network. This
    /// includes a network whose address has bits behind its prefix, such as `10.1.2.3/8`.
    pub fn networks<N: AsRef<str>>(
        networks: impl IntoIterator<Item = N>,
    ) -> io::Result<TrustedProxies> {
        let networks = networks.into_iter().map(|text| {
            let text = text.as_ref();
            let invalid = || {
                io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!("{text:?} is no network"),
                )
            };
            Network::parse(text).ok_or_else(invalid)
        });
        let networks = networks.collect::<io::Result<Vec<Network>>>()?;
        Ok(TrustedProxies::new(usize::MAX, Some(networks)))
    }

    fn new(hops: usize, networks: Option<Vec<Network>>) -> TrustedProxies {
        TrustedProxies {
            rule: Some(Arc::new(Rule {
                hops,
                networks,
                forwarded: false,
                proto: false,
                host: false,
            })),
        }
    }

    /// Reads the field `Forwarded` (RFC 7239) instead of `X-Forwarded-For`. It has the scheme and the
    /// host as well, so [`with_proto`](Self::with_proto) and [`with_host`](Self::with_host) change
    /// nothing.
    #[must_use]
    pub fn forwarded(self) -> TrustedProxies {
        self.change(|rule| rule.forwarded = true)
    }

    /// Also reads `X-Forwarded-Proto`. Each trusted proxy has to set it or to append to it.
    #[must_use]
    pub fn with_proto(self) -> TrustedProxies {
        self.change(|rule| rule.proto = true)
    }

    /// Also reads `X-Forwarded-Host`, for a proxy that replaces `Host`. Each trusted proxy has to set it
    /// or to append to it. It becomes the [authority](super::Request::authority) and `HTTP_HOST`.
    #[must_use]
    pub fn with_host(self) -> TrustedProxies {
        self.change(|rule| rule.host = true)
    }

    fn change(mut self, change: impl FnOnce(&mut Rule)) -> TrustedProxies {
        if let Some(rule) = &mut self.rule {
            change(Arc::make_mut(rule));
        }
        self
    }

    /// Returns the rule, if anybody is believed.
    pub(super) fn rule(&self) -> Option<&Arc<Rule>> {
        self.rule.as_ref()
    }
}

impl fmt::Debug for TrustedProxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.rule {
            Some(rule) => rule.fmt(f),
            None => f.write_str("None"),
        }
    }
}

impl Rule {
    /// Returns the client's address. `peer` is the address of the socket.
    pub(super) fn client(
        &self,
        peer: Option<SocketAddr>,
        fields: Fields<'_>,
    ) -> Option<SocketAddr> {
        match self.walk(peer, fields).and_then(|walk| walk.last) {
            Some(element) => element.node.address(),
            None => peer,
        }
    }

    /// Returns the scheme of the client's request, if a proxy says it: `http` or `https`.
    pub(super) fn scheme(
        &self,
        peer: Option<SocketAddr>,
        fields: Fields<'_>,
    ) -> Option<&'static str> {
        let proto = self.said(peer, fields, self.proto, "X-Forwarded-Proto", |element| {
            element.proto
        })?;
        // Some proxies name the scheme of a WebSocket.
        let is = |names: [&str; 2]| {
            names
                .iter()
                .any(|name| proto.eq_ignore_ascii_case(name.as_bytes()))
        };
        match () {
            () if is(["https", "wss"]) => Some("https"),
            () if is(["http", "ws"]) => Some("http"),
            () => None,
        }
    }

    /// Returns the host of the client's request, if a proxy says it.
    pub(super) fn host<'a>(&self, peer: Option<SocketAddr>, fields: Fields<'a>) -> Option<&'a str> {
        let host = self.said(peer, fields, self.host, "X-Forwarded-Host", |element| {
            element.host
        })?;
        h1::host_and_port(host).filter(|(name, _)| !name.is_empty())?;
        str::from_utf8(host).ok()
    }

    /// Returns a parameter of `Forwarded`, or the field that stands for it if that is `believed`.
    ///
    /// The proxy next to the client counts. Either all trusted proxies have appended to the field, or
    /// it has fewer members because one of them has replaced what was there.
    fn said<'a>(
        &self,
        peer: Option<SocketAddr>,
        fields: Fields<'a>,
        believed: bool,
        name: &'static str,
        parameter: impl FnOnce(Element<'a>) -> Option<&'a [u8]>,
    ) -> Option<&'a [u8]> {
        if self.forwarded {
            return parameter(self.walk(peer, fields)?.last?);
        }
        if !believed {
            return None;
        }
        let depth = self.walk(peer, fields)?.depth.max(1);
        Members::new(fields, name).take(depth).last()
    }

    /// Goes from the socket to the client. `None`: the socket is not that of a trusted proxy.
    fn walk<'a>(&self, peer: Option<SocketAddr>, fields: Fields<'a>) -> Option<Walk<'a>> {
        if self.hops == 0 || !self.trusts(peer.map(|peer| peer.ip())) {
            return None;
        }
        let name = match self.forwarded {
            true => "Forwarded",
            false => "X-Forwarded-For",
        };
        let mut walk = Walk {
            last: None,
            depth: 0,
        };
        for member in Members::new(fields, name) {
            let read = match self.forwarded {
                true => element(member),
                false => node(member).map(|node| Element {
                    node,
                    proto: None,
                    host: None,
                }),
            };
            let Some(element) = read else {
                break;
            };
            walk.last = Some(element);
            walk.depth += 1;
            match element.node {
                Node::Address(address)
                    if walk.depth < self.hops && self.trusts(Some(address.ip())) => {}
                Node::Address(_) | Node::Hidden => break,
            }
        }
        Some(walk)
    }

    /// Returns whether an address is that of a trusted proxy. `None`: the client of a Unix-domain
    /// socket.
    fn trusts(&self, ip: Option<IpAddr>) -> bool {
        match &self.networks {
            Some(networks) => networks.iter().any(|network| network.contains(ip)),
            None => true,
        }
    }
}

/// How far the trusted proxies lead.
struct Walk<'a> {
    /// The last element that is believed.
    last: Option<Element<'a>>,
    /// How many are believed.
    depth: usize,
}

impl Network {
    /// Reads `unix`, an address, or an address with a slash and the length of the prefix.
    fn parse(text: &str) -> Option<Network> {
        if text == "unix" {
            return Some(Network::Unix);
        }
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let ip: IpAddr = address.parse().ok()?;
        let bits = if ip.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok()?,
            Some(_) => return None,
            None => bits,
        };
        let whole = prefix <= bits && masked(ip, prefix) == number(ip);
        // No client is compared with an IPv4 address in the form of IPv6, see `contains`.
        (whole && ip == ip.to_canonical()).then_some(Network::Ip(ip, prefix))
    }

    /// Returns whether an address is in the network. An IPv4 client of an IPv6 socket counts as IPv4.
    fn contains(self, ip: Option<IpAddr>) -> bool {
        match (self, ip.map(|ip| ip.to_canonical())) {
            (Network::Unix, None) => true,
            (Network::Ip(network, prefix), Some(ip)) => {
                network.is_ipv4() == ip.is_ipv4() && masked(ip, prefix) == number(network)
            }
            (Network::Unix, Some(_)) | (Network::Ip(..), None) => false,
        }
    }
}

/// Returns the bits of an address, at the upper end of the number.
fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()) << 96,
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// Returns the first bits of an address, and zeros behind them.
fn masked(ip: IpAddr, prefix: u32) -> u128 {
    number(ip) & !u128::MAX.checked_shr(prefix).unwrap_or(0)
}
