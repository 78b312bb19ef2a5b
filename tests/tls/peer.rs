//! Certificates, and clients of rustls: in memory, where a test decides what arrives together, and on
//! sockets.

use std::fmt::Debug;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned,
    SupportedProtocolVersion,
};
use serve_forever::socketserver::Duplex;

use crate::support::client::connect;

pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// An authority, and the certificates that it has issued.
///
/// They were made once, with rcgen, and are valid from 1975 to 4096. Their keys protect nothing.
pub struct Authority {
    roots: Arc<RootCertStore>,
    issued: &'static [(&'static str, &'static str)],
}

const ONE: &[(&str, &str)] = &[
    ("site.test", include_str!("certificates/one_site.pem")),
    ("one.test", include_str!("certificates/one_one.pem")),
    ("client.test", include_str!("certificates/one_client.pem")),
];

const OTHER: &[(&str, &str)] = &[
    ("site.test", include_str!("certificates/other_site.pem")),
    ("two.test", include_str!("certificates/other_two.pem")),
];

/// A certificate and its key.
pub struct Identity {
    pub certificate: CertificateDer<'static>,
    pub key: PrivateKeyDer<'static>,
    pub pem: &'static str,
}

impl Authority {
    pub fn one() -> Authority {
        Authority::new(include_str!("certificates/one.pem"), ONE)
    }

    pub fn other() -> Authority {
        Authority::new(include_str!("certificates/other.pem"), OTHER)
    }

    fn new(root: &str, issued: &'static [(&'static str, &'static str)]) -> Authority {
        let root = CertificateDer::from_pem_slice(root.as_bytes()).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(root).expect("an authority");
        Authority {
            roots: Arc::new(roots),
            issued,
        }
    }

    /// The certificate that this authority has issued for `name`.
    pub fn identity(&self, name: &str) -> Identity {
        let found = self.issued.iter().find(|(issued, _)| *issued == name);
        let (_, pem) = found.expect("a certificate for this name");
        Identity {
            certificate: CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate"),
            key: PrivateKeyDer::from_pem_slice(pem.as_bytes()).expect("a key"),
            pem,
        }
    }

    /// A server with a certificate for `name`.
    pub fn server(&self, name: &str) -> ServerConfig {
        let identity = self.identity(name);
        ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![identity.certificate], identity.key)
            .expect("its key")
    }

    /// A server that wants certificates of this authority from its clients.
    pub fn strict_server(&self, name: &str) -> ServerConfig {
        let identity = self.identity(name);
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&self.roots), provider());
        ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(verifier.build().expect("roots"))
            .with_single_cert(vec![identity.certificate], identity.key)
            .expect("its key")
    }

    /// A client that trusts this authority.
    pub fn client(&self) -> ClientConfig {
        self.client_of(rustls::ALL_VERSIONS)
    }

    pub fn client_of(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        self.client_builder(versions).with_no_client_auth()
    }

    /// A client that has a certificate itself.
    pub fn client_with(&self, identity: Identity) -> ClientConfig {
        self.client_builder(rustls::ALL_VERSIONS)
            .with_client_auth_cert(vec![identity.certificate], identity.key)
            .expect("its key")
    }

    fn client_builder(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::clone(&self.roots), provider());
        ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .expect("versions")
            .with_webpki_verifier(verifier.build().expect("roots"))
    }
}

/// A client that has nothing to send yet.
pub fn client(config: impl Into<Arc<ClientConfig>>, name: &str) -> ClientConnection {
    let name = name.to_owned().try_into().expect("a name");
    ClientConnection::new(config.into(), name).expect("a client")
}

/// A client on a socket.
pub type TlsClient<S = std::net::TcpStream> = StreamOwned<ClientConnection, S>;

pub fn connect_tls(
    address: SocketAddr,
    config: impl Into<Arc<ClientConfig>>,
    name: &str,
) -> TlsClient {
    StreamOwned::new(client(config, name), connect(address))
}

/// What the client does when the server has nothing more to read.
#[derive(Debug, Clone)]
pub enum Act {
    /// Sends this, encrypted.
    Send(Vec<u8>),
    /// Says that it sends no more.
    CloseNotify,
    /// Sends this as it is.
    Raw(Vec<u8>),
}

/// Changes the byte at a place.
pub type Corrupt = Box<dyn Fn(usize, &mut u8)>;

/// The stream of a server whose client is in the same thread.
pub struct Peer {
    pub client: ClientConnection,
    script: std::vec::IntoIter<Act>,
    /// What the server has not read yet.
    wire: Vec<u8>,
    /// How many bytes the server has read.
    pub read: usize,
    /// The places in what the client sends at which a read ends.
    pub splits: Box<dyn Fn(usize) -> bool>,
    /// Changes what the client sends.
    pub corrupt: Corrupt,
    /// What the client has read.
    pub response: Vec<u8>,
    /// Whether the server said that it sends no more.
    pub ended_well: bool,
    /// Why the client gave up.
    pub error: Option<rustls::Error>,
    /// Bytes of the server that are no TLS.
    pub raw: Vec<u8>,
    pub was_reset: bool,
}

impl Peer {
    pub fn new(client: ClientConnection, script: impl Into<Vec<Act>>) -> Peer {
        Peer {
            client,
            script: script.into().into_iter(),
            wire: Vec::new(),
            read: 0,
            splits: Box::new(|_| false),
            corrupt: Box::new(|_, _| {}),
            response: Vec::new(),
            ended_well: false,
            error: None,
            raw: Vec::new(),
            was_reset: false,
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.response).into_owned()
    }

    fn flush(&mut self) {
        let before = self.wire.len();
        while self.client.wants_write() {
            self.client.write_tls(&mut self.wire).expect("memory");
        }
        for (index, byte) in self.wire[before..].iter_mut().enumerate() {
            (self.corrupt)(self.read + before + index, byte);
        }
    }
}

impl Read for Peer {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.flush();
        while self.wire.is_empty() {
            if self.client.is_handshaking() && self.error.is_none() && self.raw.is_empty() {
                return Err(ErrorKind::ConnectionReset.into()); // it would wait for ever
            }
            match self.script.next() {
                Some(Act::Send(bytes)) => self.client.writer().write_all(&bytes)?,
                Some(Act::CloseNotify) => self.client.send_close_notify(),
                Some(Act::Raw(bytes)) => self.wire.extend(bytes),
                None => return Ok(0),
            }
            self.flush();
        }
        let most = room.len().min(self.wire.len());
        let end = (1..most).find(|end| (self.splits)(self.read + end));
        let count = end.unwrap_or(most);
        room[..count].copy_from_slice(&self.wire[..count]);
        self.wire.drain(..count);
        self.read += count;
        Ok(count)
    }
}

impl Write for Peer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        while !rest.is_empty() && self.error.is_none() {
            self.client.read_tls(&mut rest)?;
            match self.client.process_new_packets() {
                Ok(_) => {}
                Err(error) => self.error = Some(error),
            }
            // The error means that it waits for more.
            let read = self.client.reader().read_to_end(&mut self.response);
            self.ended_well |= read.is_ok();
        }
        if self.error.is_some() {
            self.raw.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Duplex for &mut Peer {
    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn reset_on_close(&mut self) {
        self.was_reset = true;
    }
}

impl Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer")
            .field("response", &self.text())
            .field("ended_well", &self.ended_well)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}
