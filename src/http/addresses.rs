//! The addresses of the two ends of a connection, and the TLS between them.

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

#[cfg(feature = "tls")]
use crate::socketserver::TlsSession;

/// Two socket addresses in half the space of one, because an idle connection is small ([design law
/// 6]).
///
/// [design law 6]: crate::spec#law-6
#[derive(Debug, Clone)]
pub(super) struct Addresses(Repr);

/// The usual pairs, each in its smallest form.
#[derive(Debug, Clone)]
enum Repr {
    /// The client has no host and port, as on a Unix-domain socket ([UNIX-4]).
    ///
    /// [UNIX-4]: crate::spec#unix-4
    Unnamed,
    /// Two addresses of IPv4, or only the client's.
    V4 {
        /// The client's address.
        client: SocketAddrV4,
        /// The address that the client has reached, if it is known.
        local: Option<SocketAddrV4>,
    },
    /// Two addresses of IPv6, without the parts that are equal or zero in both.
    V6 {
        /// The client's port.
        client_port: u16,
        /// The port that the client has reached.
        local_port: u16,
        /// The two addresses without their ports.
        hosts: Box<Hosts>,
    },
    /// Any other pair; it hardly ever occurs.
    Other(Box<(Option<SocketAddr>, Option<SocketAddr>)>),
    /// Any pair, with TLS between its ends. So a connection without TLS is as small as it was.
    #[cfg(feature = "tls")]
    Tls(Box<(Addresses, TlsSession)>),
}

/// Two addresses of IPv6 without their ports. They have no flow information and the same scope,
/// because both are reached over the same link.
#[derive(Debug, Clone)]
struct Hosts {
    /// The client's address.
    client: Ipv6Addr,
    /// The server's address.
    local: Ipv6Addr,
    /// The scope of both.
    scope_id: u32,
}

impl Addresses {
    /// Stores a pair in its smallest form.
    pub(super) fn new(client: Option<SocketAddr>, local: Option<SocketAddr>) -> Addresses {
        let repr = match (client, local) {
            (None, None) => Some(Repr::Unnamed),
            (Some(SocketAddr::V4(client)), None) => Some(Repr::V4 {
                client,
                local: None,
            }),
            (Some(SocketAddr::V4(client)), Some(SocketAddr::V4(local))) => Some(Repr::V4 {
                client,
                local: Some(local),
            }),
            (Some(SocketAddr::V6(client)), Some(SocketAddr::V6(local))) => v6(client, local),
            _ => None,
        };
        Addresses(repr.unwrap_or_else(|| Repr::Other(Box::new((client, local)))))
    }

    /// Returns the client's address.
    pub(super) fn client(&self) -> Option<SocketAddr> {
        match &self.0 {
            Repr::Unnamed => None,
            Repr::V4 { client, .. } => Some(SocketAddr::V4(*client)),
            Repr::V6 {
                client_port, hosts, ..
            } => Some(hosts.address(hosts.client, *client_port)),
            Repr::Other(pair) => pair.0,
            #[cfg(feature = "tls")]
            Repr::Tls(inside) => inside.0.client(),
        }
    }

    /// Returns the server's address that the client connected to.
    pub(super) fn local(&self) -> Option<SocketAddr> {
        match &self.0 {
            Repr::Unnamed => None,
            Repr::V4 { local, .. } => local.map(SocketAddr::V4),
            Repr::V6 {
                local_port, hosts, ..
            } => Some(hosts.address(hosts.local, *local_port)),
            Repr::Other(pair) => pair.1,
            #[cfg(feature = "tls")]
            Repr::Tls(inside) => inside.0.local(),
        }
    }

    /// Adds TLS between the two ends.
    #[cfg(feature = "tls")]
    pub(super) fn over_tls(self, session: TlsSession) -> Addresses {
        Addresses(Repr::Tls(Box::new((self, session))))
    }

    /// Returns the TLS between the two ends, if there is any.
    #[cfg(feature = "tls")]
    pub(super) fn tls(&self) -> Option<&TlsSession> {
        match &self.0 {
            Repr::Tls(inside) => Some(&inside.1),
            _ => None,
        }
    }

    /// Returns the scheme of URLs that lead here (RFC 9110 section 4.2).
    pub(super) fn scheme(&self) -> &'static str {
        match &self.0 {
            #[cfg(feature = "tls")]
            Repr::Tls(_) => "https",
            _ => "http",
        }
    }
}

impl Hosts {
    fn address(&self, host: Ipv6Addr, port: u16) -> SocketAddr {
        SocketAddrV6::new(host, port, 0, self.scope_id).into()
    }
}

/// Returns the form for two addresses of IPv6, if they fit into it.
fn v6(client: SocketAddrV6, local: SocketAddrV6) -> Option<Repr> {
    let usual = client.scope_id() == local.scope_id() && client.flowinfo() | local.flowinfo() == 0;
    usual.then(|| Repr::V6 {
        client_port: client.port(),
        local_port: local.port(),
        hosts: Box::new(Hosts {
            client: *client.ip(),
            local: *local.ip(),
            scope_id: client.scope_id(),
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_comes_back() {
        let v6 = |port, flow, scope| SocketAddrV6::new(Ipv6Addr::LOCALHOST, port, flow, scope);
        let ends = [
            None,
            Some(SocketAddr::from(([192, 0, 2, 1], 80))),
            Some(SocketAddr::from(([192, 0, 2, 2], 8000))),
            Some(v6(443, 0, 0).into()),
            Some(v6(8443, 0, 0).into()),
            Some(v6(1, 0, 3).into()),
            Some(v6(2, 0, 3).into()),
            Some(v6(3, 7, 0).into()),
        ];
        for client in ends {
            for local in ends {
                let pair = Addresses::new(client, local);
                assert_eq!((pair.client(), pair.local()), (client, local));
            }
        }
    }

    /// Design law 6: an idle connection has 300 bytes, and these are a part of them.
    #[test]
    fn the_usual_pairs_are_small() {
        assert!(
            size_of::<Addresses>() <= 16,
            "{} bytes",
            size_of::<Addresses>()
        );
        assert!(size_of::<Hosts>() <= 36, "{} bytes", size_of::<Hosts>());
        let v4 = |last| Some(SocketAddr::from(([127, 0, 0, last], 80)));
        let v6 = |port| Some(SocketAddr::from((Ipv6Addr::LOCALHOST, port)));
        assert!(matches!(Addresses::new(v4(1), v4(2)).0, Repr::V4 { .. }));
        assert!(matches!(Addresses::new(v6(1), v6(2)).0, Repr::V6 { .. }));
    }
}
