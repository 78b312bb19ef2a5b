//! HTTP/1.1 on the loop. Python's `http.server`.
//!
//! Three layers, each usable without the one above:
//!
//! * [`h1`]: the codec. Bytes in, heads, framing and errors out; no I/O at all.
//! * [`HttpConnection`]: one connection as a [`Protocol`](crate::socketserver::Protocol).
//! * [`HttpServer`]: a [`Server`] that runs one on each connection, and a
//!   [`HttpRequestHandler`] that answers its requests. In a [`ThreadingHttpServer`] handlers run on
//!   threads, so they may block.
//!
//! ```
//! use serve_forever::http::{HttpResult, HttpServer, Request, Response};
//!
//! fn hello(request: &Request<'_>, response: Response<'_>) -> HttpResult {
//!     response
//!         .send_response(200)
//!         .send_header("Content-Type", "text/plain")
//!         .body(format!("You asked for {}\n", request.path()))
//! }
//!
//! let server = HttpServer::bind("127.0.0.1:0", hello)?;
//! # server.shutdown_handle().request();
//! # let mut server = server;
//! server.serve_forever(None)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Who knows `http.server` finds what is different here, and why, in [`differences`].
//!
//! # Content, in and out
//!
//! A request with content is handled when it has arrived whole, unless the handler's
//! [`intake`](HttpRequestHandler::intake) decides otherwise from its head:
//!
//! | the content of a request is | by |
//! | --- | --- |
//! | kept, and there when the handler is called | [`Intake::whole`], with a limit |
//! | taken on the loop as it arrives | [`Intake::streamed`] and [`Response::receive`] or [`receive_into`](Response::receive_into) |
//! | read on another thread as it arrives | [`Intake::streamed`] and [`Response::body_reader`] |
//! | refused unread | [`Intake::refused`], or an answer at once |
//!
//! | the content of an answer is | by |
//! | --- | --- |
//! | there | [`ResponseHead::body`] |
//! | pulled, block by block as the client reads | [`ResponseHead::stream`] with an iterator, [`FromRead`] or a [`BodySource`] |
//! | pushed as it comes into being, from any thread | [`Response::defer`] and [`Deferred::stream`] |
//!
//! And the handler itself runs on the loop, which it must not keep waiting, or elsewhere:
//! [`Response::defer`] leaves the answer to any thread, [`Response::offload`] to a
//! [`Pool`](crate::socketserver::Pool), and [`Pooled`] runs all of a handler there. In every case the loop keeps the
//! socket, a slow client holds back its own producer and nobody else, and no memory grows with
//! what a client announces.

mod access;
mod addresses;
mod away;
mod body;
mod connection;
mod content;
mod date;
mod deferred;
pub mod differences;
mod error_page;
pub mod h1;
mod handler;
mod incoming;
mod intake;
mod message;
mod offload;
mod owned;
mod path;
mod reader;
mod request;
mod response;
mod response_error;
mod settings;
mod static_files;
mod stats;
mod status;
mod terms;
mod threading;
mod window;
mod written;

pub use access::{AccessLog, LogEntry, LogFormat, LogSink};
pub use body::{BodySource, FromRead};
pub use connection::HttpConnection;
pub use content::BodySink;
pub(crate) use date::format_date_time;
pub use deferred::{Deferred, ResponseStream};
pub use handler::HttpRequestHandler;
pub use intake::{Intake, Uptake};
pub use message::{Late, Message};
pub use offload::Pooled;
pub use owned::OwnedRequest;
pub use path::{TranslatedPath, translate_path};
pub use reader::BodyReader;
pub use request::{Request, parse_qsl};
pub use response::{HttpResult, Reply, Response, ResponseHead};
pub use response_error::ResponseError;
pub use settings::{BodyDeadlines, Deadlines, HttpSettings, Limits};
pub use static_files::SimpleHttpRequestHandler;
pub use stats::HttpStats;
pub use status::{explanation, phrase};
pub use threading::{ThreadedHttp, ThreadingHttpServer};

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

#[cfg(unix)]
use crate::socketserver::UnixAddress;
use crate::socketserver::{Ends, Evented, Factory, Server, ServerAddress, Tcp};

/// An HTTP server on TCP, all connections on the loop; Python's `HTTPServer`.
pub type HttpServer<H> = Server<Tcp, Evented<Tcp, Http<H>>>;

/// How many connections the kernel completes ahead of an HTTP server: a burst of browsers, each
/// with half a dozen, must not wait for their SYN to be sent again (TCP-5).
pub(crate) const REQUEST_QUEUE_SIZE: u32 = 1024;

impl<H: HttpRequestHandler + Clone> HttpServer<H> {
    /// Listens on `address` and answers with `handler`, of which each connection gets a clone:
    /// Python, too, makes a fresh handler for each.
    ///
    /// # Errors
    ///
    /// What [`Tcp::bind_and_activate`] answers.
    pub fn bind(address: impl ServerAddress, handler: H) -> io::Result<HttpServer<H>> {
        HttpServer::with_settings(address, handler, HttpSettings::default())
    }

    /// As [`bind`](HttpServer::bind), with limits and deadlines of one's own.
    ///
    /// # Errors
    ///
    /// As [`bind`](HttpServer::bind).
    pub fn with_settings(
        address: impl ServerAddress,
        handler: H,
        settings: HttpSettings,
    ) -> io::Result<HttpServer<H>> {
        Server::new(listen(address)?, Evented::new(Http::new(handler, settings)))
    }
}

/// A listener as HTTP wants it: the address can be bound again at once (HTTP-1), answers are not
/// held back for more, bursts are queued.
pub fn listen(address: impl ServerAddress) -> io::Result<Tcp> {
    Tcp::new(address)?
        .allow_reuse_address(true)
        .disable_nagle_algorithm(true)
        .request_queue_size(REQUEST_QUEUE_SIZE)
        .bind_and_activate()
}

/// Makes an [`HttpConnection`] for each client, on TCP or on a Unix-domain socket:
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
    handler: H,
    settings: Arc<HttpSettings>,
}

impl<H> Http<H> {
    /// Connections that are answered by clones of `handler`.
    pub fn new(handler: H, settings: HttpSettings) -> Http<H> {
        Http {
            handler,
            settings: Arc::new(settings),
        }
    }

    /// How often clients have met each limit and deadline.
    pub fn stats(&self) -> HttpStats {
        self.settings.stats()
    }

    /// The handler that connections get clones of.
    pub fn handler(&self) -> &H {
        &self.handler
    }

    /// As [`handler`](Self::handler), to be changed for connections to come.
    pub fn handler_mut(&mut self) -> &mut H {
        &mut self.handler
    }
}

impl<H: HttpRequestHandler + Clone> Http<H> {
    fn connection(&self, client_address: Option<SocketAddr>) -> HttpConnection<H> {
        let settings = Arc::clone(&self.settings);
        HttpConnection::new(self.handler.clone(), client_address, settings)
    }
}

impl<H: HttpRequestHandler + Clone> Factory<SocketAddr> for Http<H> {
    type Made = HttpConnection<H>;

    fn make(&self, ends: &Ends<'_, SocketAddr>) -> HttpConnection<H> {
        let connection = self.connection(Some(*ends.client_address()));
        connection.local_address(ends.local_address().ok())
    }
}

/// HTTP over a Unix-domain socket: a client has no address that HTTP could name (UNIX-4).
#[cfg(unix)]
impl<H: HttpRequestHandler + Clone> Factory<UnixAddress> for Http<H> {
    type Made = HttpConnection<H>;

    fn make(&self, _ends: &Ends<'_, UnixAddress>) -> HttpConnection<H> {
        self.connection(None)
    }
}
