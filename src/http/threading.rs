//! Handlers on threads, sockets on the loop: Python's `ThreadingHTTPServer`.

use std::io;
use std::time::{Duration, Instant};

use super::handler::HttpRequestHandler;
use super::offload::Pooled;
use super::server::{Http, listen};
use super::settings::HttpSettings;
use super::stats::HttpStats;
use crate::reactor::Now;
use crate::socketserver::{Ends, Evented, Factory, Failure, Pool, Server, ServerAddress, Tcp};

/// An HTTP server on TCP whose handlers run on threads; Python's `ThreadingHTTPServer`.
///
/// Use it if your handler blocks: it queries a database, reads files, computes. A handler delays
/// no request but its own. The loop keeps the sockets, so a client that is slow, or idle between
/// two requests, holds no thread. If handlers do not block, an [`HttpServer`](super::HttpServer)
/// costs less.
///
/// ```
/// use serve_forever::http::{HttpResult, Request, Response, ThreadingHttpServer};
///
/// fn slow(_request: &Request<'_>, response: Response<'_>) -> HttpResult {
///     response.send_response(200).body("at last")
/// }
///
/// let server = ThreadingHttpServer::bind("127.0.0.1:0", slow)?;
/// # let _ = server;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # What is different from Python
///
/// * There are 32 threads, instead of one for each connection. While all of them are busy, further
///   requests wait; none is refused, as long as there is room for their bodies
///   ([`Limits::bodies`](super::Limits::bodies)).
/// * Each request gets its own clone of the handler.
///   [`body_policy`](HttpRequestHandler::body_policy) and the log hooks run on the loop's thread.
/// * When the server closes, it waits for no thread ([HTTP-2]), and the loop closes the sockets. So
///   the clients of handlers that still run get no response. A
///   [drain](crate::socketserver::ShutdownHandle::drain) lets these handlers finish; see also
///   [`ThreadedHttp::block_on_close`].
///
/// A response may take as long as it likes, unless
/// [`Deadlines::response`](super::Deadlines::response) is set.
///
/// For another number of threads, put the server together yourself: see [`ThreadedHttp`].
///
/// [HTTP-2]: crate::spec#http-2
pub type ThreadingHttpServer<H> = Server<Tcp, Evented<Tcp, ThreadedHttp<H>>>;

impl<H: HttpRequestHandler + Clone + Send + 'static> ThreadingHttpServer<H> {
    /// Listens on `address` and serves each request by a clone of `handler`, on a thread.
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if the socket cannot be bound. It [names the
    /// address](ServerAddress).
    pub fn bind(address: impl ServerAddress, handler: H) -> io::Result<ThreadingHttpServer<H>> {
        ThreadingHttpServer::with_settings(address, handler, HttpSettings::default())
    }

    /// Like [`bind`](ThreadingHttpServer::bind), but with your own limits and deadlines.
    ///
    /// # Errors
    ///
    /// Like [`bind`](ThreadingHttpServer::bind).
    pub fn with_settings(
        address: impl ServerAddress,
        handler: H,
        settings: HttpSettings,
    ) -> io::Result<ThreadingHttpServer<H>> {
        let workers = Pool::new().queue_length(usize::MAX);
        let http = ThreadedHttp::new(handler, settings, workers);
        Server::new(listen(address)?, Evented::new(http))
    }
}

/// Makes the connections of a [`ThreadingHttpServer`].
///
/// Use it for another number of threads, for a Unix-domain socket, or for a server that waits for
/// its handlers when it closes:
///
/// ```
/// use std::time::Duration;
/// use serve_forever::http::{
///     HttpResult, HttpSettings, Request, Response, ThreadedHttp, listen,
/// };
/// use serve_forever::socketserver::{Evented, Pool, Server};
///
/// fn slow(_request: &Request<'_>, response: Response<'_>) -> HttpResult {
///     response.send_response(200).body("at last")
/// }
///
/// let workers = Pool::new().threads(100).queue_length(1000);
/// let http = ThreadedHttp::new(slow, HttpSettings::default(), workers);
/// let http = http.block_on_close(Duration::from_secs(10));
/// let server = Server::new(listen("127.0.0.1:0")?, Evented::new(http))?;
/// # let _ = server;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ThreadedHttp<H> {
    /// The connections and their handlers.
    http: Http<Pooled<H>>,
    /// The threads.
    workers: Pool,
    /// Whether to wait for them on close.
    join: Join,
}

/// Whether a server that closes waits for the workers.
#[derive(Debug, Clone, Copy)]
enum Join {
    /// It does not.
    Never,
    /// It waits as long as this.
    For(Duration),
    /// It has begun to wait, until this time; `None`: without end.
    Until(Option<Instant>),
}

impl<H> ThreadedHttp<H> {
    /// Creates a factory of connections. Clones of `handler` serve their requests on `workers`.
    ///
    /// A response may take as long as it likes, unless
    /// [`Deadlines::response`](super::Deadlines::response) is set.
    pub fn new(handler: H, mut settings: HttpSettings, workers: Pool) -> ThreadedHttp<H> {
        settings.deadlines.response.get_or_insert(Duration::MAX);
        ThreadedHttp {
            http: Http::new(Pooled::new(handler, workers.clone()), settings),
            workers,
            join: Join::Never,
        }
    }

    /// Makes the server wait for its handlers when it closes, up to `patience` ([THREAD-5]);
    /// Python's `block_on_close`, without `daemon_threads`.
    ///
    /// Their responses are sent then, as far as the clients take them without delay. So a handler
    /// may ask for a shutdown and respond after that. The patience is for all waits together, and
    /// the server does not wait at all if a [drain](crate::socketserver::ShutdownHandle::drain) has
    /// used up its patience before.
    ///
    /// [THREAD-5]: crate::spec#thread-5
    #[must_use]
    pub fn block_on_close(mut self, patience: Duration) -> ThreadedHttp<H> {
        self.join = Join::For(patience);
        self
    }

    /// Returns how often clients have hit each limit and deadline.
    pub fn stats(&self) -> HttpStats {
        self.http.stats()
    }

    /// Returns the threads that run the handlers.
    pub fn workers(&self) -> &Pool {
        &self.workers
    }

    /// If [`block_on_close`](Self::block_on_close) is set, waits until the workers have finished
    /// the jobs that were queued before. Returns whether it waited.
    fn join(&mut self) -> bool {
        let now = Now::new().instant();
        let until = match self.join {
            Join::Never => return false,
            Join::For(patience) => now.checked_add(patience),
            Join::Until(until) => until,
        };
        self.join = Join::Until(until);
        let left = until.map(|until| until.saturating_duration_since(now));
        self.workers.wait_until_idle(left);
        left != Some(Duration::ZERO)
    }
}

impl<A, H> Factory<A> for ThreadedHttp<H>
where
    Http<Pooled<H>>: Factory<A>,
{
    type Made = <Http<Pooled<H>> as Factory<A>>::Made;

    fn make(&self, ends: &Ends<'_, A>) -> Result<Self::Made, Failure> {
        self.http.make(ends)
    }

    fn turned_away(&self, now: &Now) -> Vec<u8> {
        self.http.turned_away(now)
    }

    fn server_close(&mut self) -> bool {
        self.join()
    }
}
