//! What a handshake has agreed on.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::{CommonState, ProtocolVersion};

/// What client and server have agreed on for one connection; Python's `SSLSocket.version()`,
/// `cipher()`, `selected_alpn_protocol()` and `getpeercert()`.
///
/// The handshake fills it. A protocol is told that it is connected when the handshake is complete, so
/// it always finds it filled. Clones share it.
#[derive(Clone, Default)]
pub struct TlsSession(Arc<Agreement>);

#[derive(Default)]
struct Agreement {
    /// The name that the client asked for. It is known before the rest.
    server_name: OnceLock<Box<str>>,
    /// The rest.
    terms: OnceLock<Terms>,
}

/// What is known when the handshake is complete.
struct Terms {
    /// As Python has it.
    version: &'static str,
    /// As IANA has it.
    cipher_suite: &'static str,
    /// The protocol inside, if the client has offered any.
    alpn_protocol: Option<Box<[u8]>>,
    /// The client's certificate and those that lead to its issuer, in DER.
    peer_certificates: Box<[Box<[u8]>]>,
}

impl TlsSession {
    /// Returns the version: `TLSv1.2` or `TLSv1.3`. It is empty until the handshake is complete.
    pub fn version(&self) -> &'static str {
        self.terms().map_or("", |terms| terms.version)
    }

    /// Returns the name of the cipher suite, such as `TLS13_AES_128_GCM_SHA256`. It is empty until the
    /// handshake is complete.
    pub fn cipher_suite(&self) -> &'static str {
        self.terms().map_or("", |terms| terms.cipher_suite)
    }

    /// Returns the host name that the client asked for (RFC 6066 section 3, "SNI"), in lower case.
    ///
    /// `None` if it named none: clients that connect to an address do not.
    pub fn server_name(&self) -> Option<&str> {
        self.0.server_name.get().map(|name| &**name)
    }

    /// Returns the protocol that both have agreed on (RFC 7301, "ALPN"), such as `http/1.1`.
    ///
    /// `None` if the client offers none, or the server's configuration has none.
    pub fn alpn_protocol(&self) -> Option<&[u8]> {
        self.terms()?.alpn_protocol.as_deref()
    }

    /// Returns the client's certificate and those that lead to its issuer, each in DER.
    ///
    /// There are none, unless the server's configuration asks for them with a client certificate
    /// verifier. That has checked them.
    pub fn peer_certificates(&self) -> impl Iterator<Item = &[u8]> {
        let certificates = self.terms().map(|terms| &terms.peer_certificates);
        certificates.into_iter().flatten().map(|der| &**der)
    }

    fn terms(&self) -> Option<&Terms> {
        self.0.terms.get()
    }

    /// Keeps the name that the client asks for. It keeps the first if there are several.
    pub(super) fn name(&self, server_name: &str) {
        let _ = self
            .0
            .server_name
            .set(server_name.to_ascii_lowercase().into());
    }

    /// Keeps what the handshake has agreed on.
    pub(super) fn agree(&self, state: &CommonState) {
        let suite = state.negotiated_cipher_suite();
        let chain = state.peer_certificates().unwrap_or_default();
        let terms = Terms {
            version: match state.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
                _ => "TLSv1.3",
            },
            cipher_suite: suite.and_then(|suite| suite.suite().as_str()).unwrap_or(""),
            alpn_protocol: state.alpn_protocol().map(Box::from),
            peer_certificates: chain.iter().map(|der| Box::from(&**der)).collect(),
        };
        let _ = self.0.terms.set(terms); // there is only one handshake
    }
}

impl fmt::Debug for TlsSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSession")
            .field("version", &self.version())
            .field("cipher_suite", &self.cipher_suite())
            .field("server_name", &self.server_name())
            .finish_non_exhaustive()
    }
}
