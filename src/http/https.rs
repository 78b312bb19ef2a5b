//! The HTTP server over TLS. Python's `HTTPSServer`.

use std::io;

use super::handler::HttpRequestHandler;
use super::server::{Http, listen};
use super::settings::HttpSettings;
use crate::socketserver::{Evented, Server, ServerAddress, Tcp, Tls, TlsConfig};

/// An [`HttpServer`](super::HttpServer) over TLS; the `HTTPSServer` of Python 3.14. [`TlsConfig`] has the
/// line for `Cargo.toml`, and the command for a certificate.
///
/// ```
/// use serve_forever::http::{HttpResult, HttpsServer, Request, Response};
/// use serve_forever::socketserver::TlsConfig;
///
/// fn hello(request: &Request<'_>, response: Response<'_>) -> HttpResult {
///     let version = request.tls().map_or("no TLS", |tls| tls.version());
///     response.send_response(200).body(format!("Hello over {version}\n"))
/// }
///
/// fn serve() -> Result<(), Box<dyn std::error::Error>> {
///     let config = TlsConfig::from_pem_files("cert.pem", "key.pem")?;
///     HttpsServer::bind("127.0.0.1:4443", hello, config)?.serve_forever()?;
///     Ok(())
/// }
/// # let _ = serve;
/// ```
///
/// # Other servers
///
/// [`Tls`] is a factory around a factory. So every server of a protocol can have TLS, one with handlers
/// on threads like this:
///
/// ```
/// use serve_forever::http::{HttpSettings, Request, Response, ThreadedHttp, listen};
/// use serve_forever::socketserver::{Evented, Pool, Server, Tls, TlsConfig};
///
/// # fn serve(config: TlsConfig) -> std::io::Result<()> {
/// let slow = |_: &Request<'_>, response: Response<'_>| response.send_response(200).body("at last");
/// let http = ThreadedHttp::new(slow, HttpSettings::default(), Pool::new());
/// let config = config.alpn_protocols(["http/1.1"]);
/// let server = Server::new(listen("127.0.0.1:0")?, Evented::new(Tls::new(http, config)))?;
/// # let _ = server;
/// # Ok(())
/// # }
/// ```
pub type HttpsServer<H> = Server<Tcp, Evented<Tcp, Tls<Http<H>>>>;

impl<H: HttpRequestHandler + Clone> HttpsServer<H> {
    /// Listens on `address`. Each connection gets a clone of `handler`. `config` is a
    /// [`TlsConfig`], or a `ServerConfig` of rustls. If it names no protocols (ALPN), this server
    /// agrees on `http/1.1`.
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if the socket cannot be bound. It [names the
    /// address](ServerAddress).
    pub fn bind(
        address: impl ServerAddress,
        handler: H,
        config: impl Into<TlsConfig>,
    ) -> io::Result<HttpsServer<H>> {
        HttpsServer::with_settings(address, handler, HttpSettings::default(), config)
    }

    /// Like [`bind`](HttpsServer::bind), but with your own limits and deadlines.
    ///
    /// # Errors
    ///
    /// Like [`bind`](HttpsServer::bind).
    pub fn with_settings(
        address: impl ServerAddress,
        handler: H,
        settings: HttpSettings,
        config: impl Into<TlsConfig>,
    ) -> io::Result<HttpsServer<H>> {
        let config = config.into().alpn_protocols(["http/1.1"]);
        let tls = Tls::new(Http::new(handler, settings), config);
        Server::new(listen(address)?, Evented::new(tls))
    }
}
