//! The HTTP server and its factory. Python's `HTTPServer`.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use mio::{Registry, Waker};

use super::connection::HttpConnection;
use super::handler::HttpRequestHandler;
use super::settings::HttpSettings;
use super::stats::HttpStats;
use super::turned_away::turned_away;
use crate::reactor::Now;
#[cfg(unix)]
use crate::socketserver::UnixAddress;
use crate::socketserver::{
    Defaults, Ends, Engine, Evented, Factory, Failure, Server, ServerAddress, Tcp,
};

/// An HTTP server on TCP with all its connections on the loop; Python's `HTTPServer`.
pub type HttpServer<H> = Server<Tcp, Evented<Tcp, Http<H>>>;

/// An [`HttpServer`] without its loop, for a program that has a mio poll: a guest there.
pub type HttpEngine<H> = Engine<Tcp, Evented<Tcp, Http<H>>>;

impl<H: HttpRequestHandler + Clone> HttpEngine<H> {
    /// Listens on `address`, as a guest in your poll. The arguments after `handler` are those of
    /// [`Engine::attach`], which also takes hooks and settings.
    ///
    /// Your poll is of the crate `mio`, so your program depends on it too, on the same major version
    /// as this crate: `mio = { version = "1.2", features = ["net", "os-poll"] }`.
    ///
    /// ```
    /// use std::io::ErrorKind;
    /// use std::sync::Arc;
    /// use std::time::Instant;
    ///
    /// use mio::{Events, Poll, Token, Waker};
    /// use serve_forever::http::{AllowedHosts, HttpEngine};
    /// use serve_forever::socketserver::Turn;
    /// use serve_forever::{Request, Response};
    ///
    /// let hello = |_: &Request<'_>, response: Response<'_>| response.send_response(200).body("hello");
    /// let hello = AllowedHosts::loopback(hello); // no page of another site can read it
    /// let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(64));
    /// let waker = Arc::new(Waker::new(poll.registry(), Token(0))?);
    /// let mut engine = HttpEngine::bind("127.0.0.1:0", hello, poll.registry(), waker, 1..1001)?;
    /// # engine.shutdown_handle().request();
    /// while engine.turn(Instant::now())? != Turn::Shutdown {
    ///     match poll.poll(&mut events, engine.timeout(Instant::now())) {
    ///         // A signal has ended the wait, or Ctrl-Z and `fg`. If it is one that the engine
    ///         // catches, the next wait has an event for it.
    ///         Err(error) if error.kind() == ErrorKind::Interrupted => continue,
    ///         polled => polled?,
    ///     }
    ///     for event in &events {
    ///         engine.feed(event); // false: it is one of yours
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the errors of [`listen`] and [`Engine::attach`].
    pub fn bind(
        address: impl ServerAddress,
        handler: H,
        registry: &Registry,
        waker: Arc<Waker>,
        tokens: Range<usize>,
    ) -> io::Result<HttpEngine<H>> {
        let dispatch = Evented::new(Http::new(handler, HttpSettings::default()));
        let hooks = Defaults::default();
        Engine::attach(listen(address)?, dispatch, hooks, registry, waker, tokens)
    }
}

/// How many connections the kernel completes before an HTTP server accepts them. In a burst of
/// browsers, each of which opens half a dozen, no client should have to send its SYN again
/// ([TCP-5]).
///
/// [TCP-5]: crate::spec#tcp-5
const REQUEST_QUEUE_SIZE: u32 = 1024;

impl<H: HttpRequestHandler + Clone> HttpServer<H> {
    /// Listens on `address`. Each connection gets a clone of `handler`, as Python makes a fresh
    /// handler for each.
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if the socket cannot be bound. It [names the
    /// address](ServerAddress).
    pub fn bind(address: impl ServerAddress, handler: H) -> io::Result<HttpServer<H>> {
        HttpServer::with_settings(address, handler, HttpSettings::default())
    }

    /// Like [`bind`](HttpServer::bind), but with your own limits and deadlines.
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if the socket cannot be bound. It [names the
    /// address](ServerAddress).
    pub fn with_settings(
        address: impl ServerAddress,
        handler: H,
        settings: HttpSettings,
    ) -> io::Result<HttpServer<H>> {
        Server::new(listen(address)?, Evented::new(Http::new(handler, settings)))
    }
}

/// Returns a TCP listener with the options that HTTP needs. The address can be bound again
/// immediately (`SO_REUSEADDR`, [HTTP-1]), responses are sent without delay (`TCP_NODELAY`), and
/// 1024 clients can wait to be accepted.
///
/// # Errors
///
/// Returns the operating system's error if the socket cannot be bound. It [names the
/// address](ServerAddress).
///
/// [HTTP-1]: crate::spec#http-1
pub fn listen(address: impl ServerAddress) -> io::Result<Tcp> {
    Tcp::new(address)?
        .allow_reuse_address(true)
        .disable_nagle_algorithm(true)
        .request_queue_size(REQUEST_QUEUE_SIZE)
        .bind_and_activate()
}

/// Makes an [`HttpConnection`] for each client, on TCP or on a Unix-domain socket.
///
/// ```
/// # #[cfg(unix)] {
/// use serve_forever::http::{Http, HttpResult, HttpSettings, Request, Response};
/// use serve_forever::socketserver::{Evented, Server, UnixStreams};
///
/// fn hello(_: &Request<'_>, response: Response<'_>) -> HttpResult {
///     response.send_response(200).body("Hello")
/// }
/// let path = std::env::temp_dir().join(format!("doc-{}.http", std::process::id()));
/// let unix = UnixStreams::new(path)?.unlink_on_close(true).bind_and_activate()?;
/// let server = Server::new(unix, Evented::new(Http::new(hello, HttpSettings::default())))?;
/// # let _ = server;
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Http<H> {
    /// Each connection gets a clone of this.
    handler: H,
    /// The limits and deadlines, shared by all connections.
    settings: Arc<HttpSettings>,
}

impl<H> Http<H> {
    /// Creates a factory. Each connection gets a clone of `handler`, and all share `settings`.
    pub fn new(handler: H, settings: HttpSettings) -> Http<H> {
        Http {
            handler,
            settings: Arc::new(settings),
        }
    }

    /// Returns how often clients have hit each limit and deadline.
    pub fn stats(&self) -> HttpStats {
        self.settings.stats()
    }

    /// Returns the handler that connections get clones of.
    pub fn handler(&self) -> &H {
        &self.handler
    }

    /// Like [`handler`](Self::handler), but you can change it. A change takes effect for
    /// connections made afterwards.
    pub fn handler_mut(&mut self) -> &mut H {
        &mut self.handler
    }
}

impl<H: HttpRequestHandler + Clone> Http<H> {
    /// Makes the connection for the client at `ends`, which may have an address.
    fn connection<A>(
        &self,
        ends: &Ends<'_, A>,
        client_address: Option<SocketAddr>,
        local_address: Option<SocketAddr>,
    ) -> HttpConnection<H> {
        let settings = Arc::clone(&self.settings);
        let connection = HttpConnection::new(self.handler.clone(), client_address, settings);
        let connection = connection.local_address(local_address);
        #[cfg(feature = "tls")]
        if let Some(session) = ends.tls() {
            return connection.over_tls(session.clone());
        }
        let _ = ends;
        connection
    }
}

impl<H: HttpRequestHandler + Clone> Factory<SocketAddr> for Http<H> {
    type Made = HttpConnection<H>;

    fn make(&self, ends: &Ends<'_, SocketAddr>) -> Result<HttpConnection<H>, Failure> {
        let client_address = *ends.client_address();
        Ok(self.connection(ends, Some(client_address), ends.local_address().ok()))
    }

    fn turned_away(&self, now: &Now) -> Vec<u8> {
        turned_away(&self.settings, now)
    }
}

/// On a Unix-domain socket a client has no host and port, so a request has no client address
/// ([UNIX-4]).
///
/// [UNIX-4]: crate::spec#unix-4
#[cfg(unix)]
impl<H: HttpRequestHandler + Clone> Factory<UnixAddress> for Http<H> {
    type Made = HttpConnection<H>;

    fn make(&self, ends: &Ends<'_, UnixAddress>) -> Result<HttpConnection<H>, Failure> {
        Ok(self.connection(ends, None, None))
    }

    fn turned_away(&self, now: &Now) -> Vec<u8> {
        turned_away(&self.settings, now)
    }
}
