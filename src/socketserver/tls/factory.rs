//! A factory around a factory: TLS around every conversation.

use std::time::Duration;

use super::config::TlsConfig;
use super::connection::TlsConnection;
use super::session::TlsSession;
use crate::socketserver::factory::{Ends, Factory};
use crate::socketserver::failure::Failure;
use crate::socketserver::protocol::Protocol;

/// How long a client may take for its handshake: 10 s, like for the head of a request. (nginx has 60 s,
/// HAProxy the time of the head.)
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Puts TLS around the protocols of another factory: of [`Http`](crate::http::Http),
/// [`ThreadedHttp`](crate::http::ThreadedHttp), or of your own ([TLS-1]).
///
/// The protocol inside does not change, and neither does the loop. It can be on TCP or on a Unix-domain
/// socket, in a server of its own or in your poll. An echo over TLS:
///
/// ```
/// use std::convert::Infallible;
/// use std::net::SocketAddr;
///
/// use serve_forever::reactor::Now;
/// use serve_forever::socketserver::{
///     Buffer, Evented, Next, Protocol, Server, Tcp, Tls, TlsConfig,
/// };
///
/// struct Echo;
///
/// impl Protocol for Echo {
///     type Message = Infallible;
///
///     fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, _now: &Now) -> Next {
///         output.extend_from_slice(&std::mem::take(input));
///         Next::Read
///     }
/// }
///
/// fn serve(config: TlsConfig) -> Result<(), Box<dyn std::error::Error>> {
///     let tcp = Tcp::new("127.0.0.1:0")?.bind_and_activate()?;
///     let tls = Tls::new(|_: &SocketAddr| Echo, config);
///     Server::new(tcp, Evented::new(tls))?.serve_forever()?;
///     Ok(())
/// }
/// # let _ = serve;
/// ```
///
/// For HTTP, [`HttpsServer`](crate::http::HttpsServer) does this. Records, keys and certificates are the
/// business of [`rustls`]. It has no cryptography of its own: your program chooses a provider, for example
/// the feature `ring` or `aws_lc_rs` of the crate `rustls`.
///
/// # The handshake
///
/// The protocol inside is told that it is [connected](Protocol::connection_made) when the handshake is
/// complete ([TLS-2]). [`Ends::tls`] has then what was agreed on. A handshake has 10 s ([TLS-3]). One that
/// fails is not a failure of a request: it is [counted](TlsConfig::stats), and logged at the level `debug`.
/// A client that speaks plain HTTP gets a 400 that says so ([TLS-5]).
///
/// A handshake is computed on the loop's thread: about 0.2 ms with a certificate of ECDSA, and four times
/// that with RSA of 2048 bits. A client that comes again needs only a part of it, because rustls keeps 256
/// sessions. For more clients, set
/// [`ServerConfig::session_storage`](rustls::ServerConfig::session_storage) or
/// [`ticketer`](rustls::ServerConfig::ticketer).
///
/// # The end
///
/// If the protocol inside closes, the client is told that it has everything (`close_notify`). If the
/// client closes without saying so, the protocol inside does not take what it has for the whole
/// ([TLS-4]): its [`input_closed`](Protocol::input_closed) is not called.
///
/// # Memory
///
/// An idle connection keeps no buffer, only its keys: about 4 KiB (measured, with the provider `ring`).
/// Output is encrypted as the client takes it, in pieces of 64 KiB.
///
/// [TLS-1]: crate::spec#tls-1
/// [TLS-2]: crate::spec#tls-2
/// [TLS-3]: crate::spec#tls-3
/// [TLS-4]: crate::spec#tls-4
/// [TLS-5]: crate::spec#tls-5
#[derive(Debug, Clone)]
pub struct Tls<F> {
    /// Makes the protocols inside.
    factory: F,
    /// The certificate and the rules.
    config: TlsConfig,
    /// How long a handshake may take.
    handshake_timeout: Duration,
}

impl<F> Tls<F> {
    /// Wraps `factory`. The connections get the certificate and the rules of `config`.
    pub fn new(factory: F, config: impl Into<TlsConfig>) -> Tls<F> {
        Tls {
            factory,
            config: config.into(),
            handshake_timeout: HANDSHAKE_TIMEOUT,
        }
    }

    /// Sets how long a client may take from its connection to the end of its handshake: 10 s by
    /// default. Then it is closed without a word.
    #[must_use]
    pub fn handshake_timeout(self, timeout: Duration) -> Tls<F> {
        Tls {
            handshake_timeout: timeout,
            ..self
        }
    }

    /// Returns the configuration, through which you can renew the certificate, and see how handshakes
    /// have ended.
    pub fn config(&self) -> &TlsConfig {
        &self.config
    }

    /// Returns the factory inside.
    pub fn factory(&self) -> &F {
        &self.factory
    }

    /// Like [`factory`](Self::factory), but you can change it. A change takes effect for connections
    /// made afterwards.
    pub fn factory_mut(&mut self) -> &mut F {
        &mut self.factory
    }
}

/// A client that is turned away hears nothing: what the inner factory would say is plaintext.
impl<A, F: Factory<A, Made: Protocol>> Factory<A> for Tls<F> {
    type Made = TlsConnection<F::Made>;

    fn make(&self, ends: &Ends<'_, A>) -> Result<TlsConnection<F::Made>, Failure> {
        let session = TlsSession::default();
        let inner = self.factory.make(&ends.over_tls(&session))?;
        let config = self.config.clone();
        Ok(TlsConnection::new(
            inner,
            session,
            config,
            self.handshake_timeout,
        ))
    }

    fn server_close(&mut self) -> bool {
        self.factory.server_close()
    }
}
