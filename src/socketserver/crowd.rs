//! How many requests of one client address are open ([GUARD-4]).
//!
//! [GUARD-4]: crate::spec#guard-4

use std::collections::HashMap;
use std::net::IpAddr;

/// Counts the open requests of each client, and knows how many it may have.
#[derive(Debug)]
pub(crate) struct Crowd {
    /// How many requests a client may have open.
    limit: usize,
    /// How many it has, if any. A client cannot make this larger than what is open, and cannot
    /// choose the hash.
    open: HashMap<Neighbours, usize>,
}

/// The addresses that count as one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Neighbours {
    /// One IPv4 address.
    V4([u8; 4]),
    /// The first 64 bits of an IPv6 address: one host can have all addresses that begin with them
    /// (RFC 4291 section 2.5.4).
    V6([u8; 8]),
}

impl Neighbours {
    fn of(address: IpAddr) -> Neighbours {
        match address.to_canonical() {
            IpAddr::V4(address) => Neighbours::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Neighbours::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

impl Crowd {
    /// Begins to count.
    pub(crate) fn new(limit: usize) -> Crowd {
        Crowd {
            limit,
            open: HashMap::new(),
        }
    }

    /// Changes the limit, and goes on counting.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Returns whether the client may open another request. A client without an IP address always
    /// may.
    pub(crate) fn admits(&self, client: Option<IpAddr>) -> bool {
        let open = client.and_then(|client| self.open.get(&Neighbours::of(client)));
        client.is_none() || open.copied().unwrap_or_default() < self.limit
    }

    /// A request of the client was opened.
    pub(crate) fn enter(&mut self, client: Option<IpAddr>) {
        if let Some(client) = client {
            *self.open.entry(Neighbours::of(client)).or_default() += 1;
        }
    }

    /// A request of the client was closed.
    pub(crate) fn leave(&mut self, client: Option<IpAddr>) {
        let Some(client) = client.map(Neighbours::of) else {
            return;
        };
        if let Some(open) = self.open.get_mut(&client) {
            *open -= 1;
            if *open == 0 {
                self.open.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    /// GUARD-4: which addresses count as one client.
    #[test]
    fn a_client_is_an_address_or_a_network_of_64_bits() {
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.2", false),
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true),
            ("2001:db8:0:1::1", "2001:db8:0:2::1", false),
        ] {
            let mut crowd = Crowd::new(1);
            crowd.enter(ip(one));
            assert_eq!(crowd.admits(ip(other)), !same, "{one} {other}");
            crowd.leave(ip(one));
            assert!(crowd.admits(ip(other)));
        }
    }

    /// GUARD-4: nobody is forgotten, and nothing is kept of a client that has left.
    #[test]
    fn what_is_open_is_counted() {
        let mut crowd = Crowd::new(2);
        crowd.enter(None);
        assert!(crowd.admits(None) && crowd.open.is_empty());
        for _ in 0..2 {
            assert!(crowd.admits(ip("::1")));
            crowd.enter(ip("::1"));
        }
        assert!(!crowd.admits(ip("::1")) && crowd.admits(ip("127.0.0.1")));
        crowd.leave(ip("::1"));
        assert!(crowd.admits(ip("::1")));
        crowd.leave(ip("::1"));
        assert!(crowd.open.is_empty());
        crowd.leave(ip("::1"));
        assert!(!Crowd::new(0).admits(ip("::1")));
    }
}
