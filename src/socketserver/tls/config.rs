//! The configuration of a TLS server, which can be replaced while the server runs.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
#[cfg(feature = "tls-ring")]
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::session::TlsSession;
use super::stats::{Counters, TlsStats};

/// The certificate and the rules of a TLS server: a [`ServerConfig`] of rustls that you can replace
/// while the server runs.
///
/// Clones share the configuration. Keep one, and [`set`](Self::set) a new certificate through it,
/// from any thread. Connections that are open keep theirs; those that are made afterwards get the new one.
///
/// With the feature `tls-ring` the cryptography is that of the crate `ring`:
///
/// ```toml
/// serve_forever = { path = "../serve_forever", features = ["tls-ring"] }
/// ```
///
/// A program can choose another [provider](CryptoProvider), and calls `install_default` of it first. If
/// it takes the feature `tls` instead, `ring` is not built.
///
/// This makes a certificate for a test, for the name `localhost` and the address 127.0.0.1:
///
/// ```sh
/// openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost \
///     -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout key.pem -out cert.pem
/// ```
///
/// ```
/// use serve_forever::socketserver::TlsConfig;
///
/// fn load() -> std::io::Result<TlsConfig> {
///     let config = TlsConfig::from_pem_files("cert.pem", "key.pem")?;
///     let renewed = config.clone();
///     std::thread::spawn(move || renewed.load_pem_files("cert.pem", "key.pem"));
///     Ok(config)
/// }
/// # let _ = load;
/// ```
#[derive(Clone)]
pub struct TlsConfig(Arc<Shared>);

struct Shared {
    /// How handshakes have ended.
    counters: Counters,
    /// The configuration of the next connection.
    current: Mutex<Arc<ServerConfig>>,
    /// The protocols that a configuration without any gets.
    alpn_protocols: Mutex<Vec<Vec<u8>>>,
}

impl TlsConfig {
    /// Wraps a configuration of rustls.
    ///
    /// Two of its settings are changed. Early data is never taken, because whoever has seen it can send
    /// it again (RFC 8446 section 8). A configuration without
    /// [ALPN protocols](Self::alpn_protocols) gets those that the server speaks.
    pub fn new(config: impl Into<Arc<ServerConfig>>) -> TlsConfig {
        TlsConfig(Arc::new(Shared {
            counters: Counters::default(),
            current: Mutex::new(config.into()),
            alpn_protocols: Mutex::default(),
        }))
    }

    /// Reads a certificate, with those that lead to its issuer, and its private key: two files of PEM;
    /// Python's `certfile` and `keyfile`. They may be the same file.
    ///
    /// Clients are asked for no certificate. The versions are TLS 1.2 and 1.3.
    ///
    /// # Errors
    ///
    /// Returns an error that names the file if a file cannot be read, or has no certificate or no
    /// private key. Returns `InvalidData` if the key is not that of the certificate. Returns
    /// `NotFound` if there is no cryptography: without the feature `tls-ring`, call `install_default` of a
    /// [provider](CryptoProvider) first.
    pub fn from_pem_files(
        certfile: impl AsRef<Path>,
        keyfile: impl AsRef<Path>,
    ) -> io::Result<TlsConfig> {
        read_pem_files(certfile.as_ref(), keyfile.as_ref()).map(TlsConfig::new)
    }

    /// Replaces the configuration, for connections made afterwards.
    pub fn set(&self, config: impl Into<Arc<ServerConfig>>) {
        *lock(&self.0.current) = config.into();
    }

    /// Replaces the configuration by that of two PEM files, for connections made afterwards; see
    /// [`from_pem_files`](Self::from_pem_files). Call it when the certificate was renewed.
    ///
    /// # Errors
    ///
    /// Like [`from_pem_files`](Self::from_pem_files). The configuration then stays as it was.
    pub fn load_pem_files(
        &self,
        certfile: impl AsRef<Path>,
        keyfile: impl AsRef<Path>,
    ) -> io::Result<()> {
        self.set(read_pem_files(certfile.as_ref(), keyfile.as_ref())?);
        Ok(())
    }

    /// Sets the protocols that are agreed on if the configuration names none (RFC 7301, "ALPN"), also
    /// for configurations that are [`set`](Self::set) later. A client that offers only others is
    /// refused. By default there are none, and nothing is agreed on.
    #[must_use]
    pub fn alpn_protocols<N: AsRef<[u8]>>(
        self,
        protocols: impl IntoIterator<Item = N>,
    ) -> TlsConfig {
        let protocols = protocols.into_iter().map(|name| name.as_ref().to_vec());
        *lock(&self.0.alpn_protocols) = protocols.collect();
        self
    }

    /// Returns how many handshakes were completed with this configuration and those that have replaced
    /// it, and how others failed.
    pub fn stats(&self) -> TlsStats {
        self.0.counters.snapshot()
    }

    /// Returns the counters behind [`stats`](Self::stats).
    pub(super) fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// Returns the configuration of one connection. Its handshake fills `session`.
    pub(super) fn of_connection(&self, session: &TlsSession) -> Arc<ServerConfig> {
        let mut config = ServerConfig::clone(&*lock(&self.0.current));
        config.max_early_data_size = 0;
        if config.alpn_protocols.is_empty() {
            config
                .alpn_protocols
                .clone_from(&*lock(&self.0.alpn_protocols));
        }
        config.cert_resolver = Arc::new(Resolver {
            resolver: config.cert_resolver,
            session: session.clone(),
        });
        Arc::new(config)
    }
}

impl From<ServerConfig> for TlsConfig {
    fn from(config: ServerConfig) -> TlsConfig {
        TlsConfig::new(config)
    }
}

impl From<Arc<ServerConfig>> for TlsConfig {
    fn from(config: Arc<ServerConfig>) -> TlsConfig {
        TlsConfig::new(config)
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig").finish_non_exhaustive()
    }
}

/// Chooses the certificate as another resolver does, and keeps the name that the client asks for:
/// nothing else of rustls without buffers tells it.
#[derive(Debug)]
struct Resolver {
    resolver: Arc<dyn ResolvesServerCert>,
    session: TlsSession,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let Some(name) = client_hello.server_name() {
            self.session.name(name);
        }
        self.resolver.resolve(client_hello)
    }

    fn only_raw_public_keys(&self) -> bool {
        self.resolver.only_raw_public_keys()
    }
}

/// A holder of the lock only copies, so it leaves nothing half done when it panics.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read_pem_files(certfile: &Path, keyfile: &Path) -> io::Result<ServerConfig> {
    let provider = provider().ok_or_else(|| {
        let message = "no cryptography is installed: turn on the feature tls-ring, or see rustls::crypto::CryptoProvider";
        io::Error::new(io::ErrorKind::NotFound, message)
    })?;
    let chain = read_chain(certfile).map_err(|error| named(certfile, error))?;
    let key = PrivateKeyDer::from_pem_file(keyfile).map_err(|error| named(keyfile, error))?;
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Returns the provider that the program has installed, or else the one of the feature `tls-ring`.
fn provider() -> Option<Arc<CryptoProvider>> {
    let installed = CryptoProvider::get_default().map(Arc::clone);
    #[cfg(feature = "tls-ring")]
    let installed = installed.or_else(|| Some(Arc::new(ring::default_provider())));
    installed
}

fn read_chain(certfile: &Path) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    let chain = CertificateDer::pem_file_iter(certfile)?.collect::<Result<Vec<_>, _>>()?;
    match chain.is_empty() {
        true => Err(pem::Error::NoItemsFound),
        false => Ok(chain),
    }
}

/// Adds the file's name to its error.
fn named(file: &Path, error: pem::Error) -> io::Error {
    let kind = match &error {
        pem::Error::Io(error) => error.kind(),
        _ => io::ErrorKind::InvalidData,
    };
    io::Error::new(kind, format!("{}: {error}", file.display()))
}

#[cfg(all(test, not(feature = "tls-ring")))]
mod tests {
    use super::*;

    #[test]
    fn a_program_without_cryptography_is_told_so() {
        let error = TlsConfig::from_pem_files("cert.pem", "key.pem").expect_err("no cryptography");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("tls-ring"), "{error}");
    }
}
