//! Runs an application for each HTTP request. Python's `ServerHandler`.
//!
//! The order is Python's ([WSGI-5]): environ, the application, its blocks, `close()`. But the
//! blocks are pulled. The first block that is not empty is sent together with the head. Each
//! further block is pulled when the client has taken those before. So a body may be endless and
//! costs the memory of one block, and a client that does not read stops only its own response.
//!
//! [WSGI-5]: crate::spec#wsgi-5

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;

use super::application::Application;
use super::base_environ::{BaseEnviron, python_bool, setup_environ};
use super::environ::Environ;
use super::output::{Output, error_output};
use super::spool::{Spool, Spooled, Spooling};
use super::start_response::{Start, StartResponse};
use super::writing::{Outgoing, send_headers};
use crate::http::{
    AccessLog, AllowedHosts, BodyPolicy, Handled, HttpRequestHandler, HttpResult, LogEntry,
    OwnedRequest, Refusal, Request, Response,
};
use crate::socketserver::{Block, Failure, Pool, complain};

/// Handles HTTP requests by calling an [`Application`].
///
/// [`make_server`](super::make_server) puts one into a server. You can also give it to any other
/// server that takes an [`HttpRequestHandler`]. Each connection gets a clone.
///
/// # On which thread
///
/// | where the handler is used | the application runs | call |
/// | --- | --- | --- |
/// | in an [`HttpServer`](crate::http::HttpServer) | on the loop's thread | |
/// | in an [`HttpServer`](crate::http::HttpServer) | on a pool, while the loop keeps every socket | [`workers`](Self::workers) |
/// | in a [`ThreadingHttpServer`](crate::http::ThreadingHttpServer) | on a thread of its pool | [`multithread`](Self::multithread) |
pub struct WsgiHandler<A> {
    /// Shared with the clones, until it is changed.
    gateway: Arc<Gateway<A>>,
    /// When the application last returned, if there is a log.
    handled: Handled,
}

/// The settings, which all connections share.
struct Gateway<A> {
    /// The application.
    application: Arc<A>,
    /// The variables that are the same for every request.
    base_environ: BaseEnviron,
    /// Where the application runs, if not on the loop's thread, and how it gets there.
    offload: Option<(Pool, Offload<A>)>,
    /// Whether the application is called before the body of the request is complete.
    stream_input: bool,
    /// Where a body goes that is too large for memory.
    spool: Option<(Spooling, Receive<A>)>,
    /// Responds in the place of an application that failed.
    error_output: Arc<dyn Application>,
    /// Writes a line for each request.
    access_log: Option<AccessLog<()>>,
    /// Refuses requests for other hosts.
    allowed_hosts: Option<AllowedHosts<()>>,
}

/// Hands a request to a worker. This is a pointer to [`offload`], which needs an `A` that is
/// `'static`; an application that runs on the loop's thread may borrow.
type Offload<A> = fn(&Arc<Gateway<A>>, &Pool, &Request<'_>, Response<'_>) -> HttpResult;

/// Receives the body of a request into a spool. This is a pointer to [`receive`], for the same
/// reason.
type Receive<A> = fn(&Arc<Gateway<A>>, &Spooling, &Request<'_>, Response<'_>) -> HttpResult;

impl<A> WsgiHandler<A> {
    /// Returns a handler for a server that listens on `server_address`.
    ///
    /// The address is a `SocketAddr`, or `None` if the server has no host and port, as on a
    /// Unix-domain socket. `SERVER_NAME` and `SERVER_PORT` are then `localhost` and `80`.
    pub fn new(application: A, server_address: impl Into<Option<SocketAddr>>) -> WsgiHandler<A> {
        WsgiHandler {
            gateway: Arc::new(Gateway {
                application: Arc::new(application),
                base_environ: setup_environ(server_address.into()),
                offload: None,
                stream_input: false,
                spool: None,
                error_output: Arc::new(error_output),
                access_log: None,
                allowed_hosts: None,
            }),
            handled: Handled::default(),
        }
    }

    /// Sets `wsgi.multithread`: whether several threads may call the application simultaneously
    /// ([ENV-18]).
    ///
    /// Set it to true for a handler in a
    /// [`ThreadingHttpServer`](crate::http::ThreadingHttpServer), or in several servers.
    /// [`workers`](Self::workers) sets it by itself.
    ///
    /// ```
    /// use serve_forever::http::{HttpSettings, ThreadedHttp, listen};
    /// use serve_forever::socketserver::{Evented, Pool, Server, Transport};
    /// use serve_forever::wsgi::{WsgiHandler, demo_app};
    ///
    /// let tcp = listen("127.0.0.1:0")?;
    /// let handler = WsgiHandler::new(demo_app, tcp.server_address()).multithread(true);
    /// let threads = ThreadedHttp::new(handler, HttpSettings::default(), Pool::new().threads(4));
    /// let server = Server::new(tcp, Evented::new(threads))?;
    /// # let _ = server;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// [ENV-18]: crate::spec#env-18
    #[must_use]
    pub fn multithread(mut self, multithread: bool) -> WsgiHandler<A> {
        let base_environ = self.base_environ_mut();
        base_environ.insert(
            "wsgi.multithread".to_owned(),
            python_bool(multithread).to_owned(),
        );
        self
    }

    /// Calls the application as soon as the head of the request has arrived. `wsgi.input` is then
    /// the body as it arrives.
    ///
    /// Use it for uploads that are larger than memory, up to
    /// [`Limits::upload`](crate::http::Limits::upload). It has an effect only on
    /// [`workers`](Self::workers).
    ///
    /// A client that sends faster than the application reads is held back. A client that waits for
    /// `100 Continue` gets it when the application first reads ([WSGI-4]). But a slow client now
    /// holds a worker, which waits for it in each read, up to
    /// [`Deadlines::body`](crate::http::Deadlines::body): an hour in all by default. If the
    /// application leaves a part of the body unread, the connection is closed after the response.
    ///
    /// [WSGI-4]: crate::spec#wsgi-4
    #[must_use]
    pub fn stream_input(mut self, stream_input: bool) -> WsgiHandler<A> {
        self.gateway_mut().stream_input = stream_input;
        self
    }

    /// Sets the application that responds if the main one fails before its head is sent. Python's
    /// method of that name.
    ///
    /// By default the client gets a 500 that tells it nothing ([WSGI-19], [WSGI-25]). `application`
    /// is called with the same environ. The first failure is reported to the server, and the
    /// connection is closed after the response. If `application` fails as well, its failure is the
    /// one that is reported, and the client gets the server's own error page ([WSGI-20]).
    ///
    /// ```
    /// use serve_forever::wsgi::{AppResult, Environ, StartResponse, demo_app, make_server};
    ///
    /// fn sorry(_: &mut Environ<'_>, start_response: &mut dyn StartResponse) -> AppResult {
    ///     start_response.call("503 Service Unavailable", &[("Content-Type", "text/html")])?;
    ///     Ok("<p>We are sorry, and have been told.".into())
    /// }
    ///
    /// let server = make_server("127.0.0.1:0", demo_app)?;
    /// let server = server.configure(|handler| handler.error_output(sorry));
    /// # let _ = server;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// [WSGI-19]: crate::spec#wsgi-19
    /// [WSGI-20]: crate::spec#wsgi-20
    /// [WSGI-25]: crate::spec#wsgi-25
    #[must_use]
    pub fn error_output(mut self, application: impl Application + 'static) -> WsgiHandler<A> {
        self.gateway_mut().error_output = Arc::new(application);
        self
    }

    /// Writes a line to `log` for each request, as `wsgiref` does by default.
    ///
    /// An [`AccessLog`] wraps any handler. This method lets a server with a log keep the type of one
    /// without, and so all its methods. The log itself wraps `()`.
    ///
    /// ```
    /// use std::io;
    /// use serve_forever::http::{AccessLog, LogFormat};
    /// use serve_forever::wsgi::{demo_app, make_server};
    ///
    /// let log = AccessLog::new((), LogFormat::Python, io::stderr()).utc_offset(60);
    /// let server = make_server("127.0.0.1:0", demo_app)?;
    /// let server = server.configure(|handler| handler.access_log(log));
    /// # let _ = server;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn access_log(mut self, log: AccessLog<()>) -> WsgiHandler<A> {
        self.gateway_mut().access_log = Some(log);
        self
    }

    /// Refuses requests for hosts that are not in a list, before the application is called
    /// ([GUARD-1]); Django's `ALLOWED_HOSTS`.
    ///
    /// [`AllowedHosts`] says why a server on the loopback interface needs this. It wraps any
    /// handler. This method lets a server with a list keep the type of one without. The list itself
    /// wraps `()`.
    ///
    /// ```
    /// use serve_forever::http::AllowedHosts;
    /// use serve_forever::wsgi::{demo_app, make_server};
    ///
    /// let hosts = AllowedHosts::loopback(()).same_origin(true);
    /// let server = make_server("127.0.0.1:0", demo_app)?;
    /// let server = server.configure(|handler| handler.allowed_hosts(hosts));
    /// # let _ = server;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// [GUARD-1]: crate::spec#guard-1
    #[must_use]
    pub fn allowed_hosts(mut self, hosts: AllowedHosts<()>) -> WsgiHandler<A> {
        self.gateway_mut().allowed_hosts = Some(hosts);
        self
    }

    /// Returns the application.
    pub fn application(&self) -> &A {
        &self.gateway.application
    }

    pub(super) fn set_application(&mut self, application: A) {
        self.gateway_mut().application = Arc::new(application);
    }

    /// Returns the variables that are the same for every request. A change takes effect for
    /// connections made afterwards.
    ///
    /// Use it to set another `SERVER_NAME`, or `HTTPS` behind a proxy that encrypts. Variables of
    /// the process are not there unless you insert them ([ENV-21]).
    ///
    /// [ENV-21]: crate::spec#env-21
    pub fn base_environ_mut(&mut self) -> &mut BTreeMap<String, String> {
        &mut self.gateway_mut().base_environ
    }

    /// Returns the gateway, no longer shared with the connections that are open.
    fn gateway_mut(&mut self) -> &mut Gateway<A> {
        Arc::make_mut(&mut self.gateway)
    }
}

impl<A: Application + 'static> WsgiHandler<A> {
    /// Runs the application on `workers`, while the loop keeps every socket. Sets
    /// `wsgi.multithread` to true ([ENV-18]).
    ///
    /// A slow client does not hold a worker. The application is called when the whole request has
    /// arrived. Its blocks are pulled up to a high-water mark, and again when the client has taken
    /// them. There are three exceptions. With [`stream_input`](Self::stream_input) a worker waits for
    /// the body of the request. [`write`](super::StartResponse::write) waits until the client has taken
    /// nearly all that was written. And a worker of a pool that does not
    /// [share its threads](Pool::share_threads) waits until the client has taken the body.
    ///
    /// If too many requests wait for a worker, further requests get a 503; see
    /// [`Pool::queue_length`].
    ///
    /// A response stays on one thread: the thread that calls the application also makes each block,
    /// and [closes](super::Iterable::close) the result, even if the client disconnects first
    /// ([THREAD-11]). To prepare the threads or to use your own, see [`Pool::thread_body`] and
    /// [`Pool::worker`].
    ///
    /// [ENV-18]: crate::spec#env-18
    /// [THREAD-11]: crate::spec#thread-11
    #[must_use]
    pub fn workers(mut self, workers: Pool) -> WsgiHandler<A> {
        self.gateway_mut().offload = Some((workers, offload));
        self.multithread(true)
    }

    /// Writes a body that is too large for memory to a file, and calls the application when the body
    /// has arrived whole ([WSGI-30]). `wsgi.input` then reads the file.
    ///
    /// A body of at most `memory` bytes stays in memory. It can have up to
    /// [`Limits::upload`](crate::http::Limits::upload) bytes in all. A body that does not announce
    /// its length stays in memory up to 64 KiB at most, because it does not count for
    /// [`Limits::bodies`](crate::http::Limits::bodies).
    ///
    /// `open` makes a file for one body. It is open for reading and writing, and nobody removes it
    /// but you: use an unnamed file, such as those of the crate `tempfile`. The loop's thread writes
    /// it, so it should be on a local disk.
    ///
    /// ```
    /// use std::fs::{self, File};
    /// use std::{env, io, process, thread};
    /// use serve_forever::wsgi::{demo_app, make_server};
    ///
    /// fn unnamed() -> io::Result<File> {
    ///     let name = format!("body-{}-{:?}", process::id(), thread::current().id());
    ///     let path = env::temp_dir().join(name);
    ///     let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    ///     fs::remove_file(path)?; // on Unix the file lives until it is closed
    ///     Ok(file)
    /// }
    ///
    /// let server = make_server("127.0.0.1:0", demo_app)?;
    /// let server = server.configure(|handler| handler.spool_input(1024 * 1024, unnamed));
    /// # let _ = server;
    /// # Ok::<(), io::Error>(())
    /// ```
    ///
    /// On [workers](Self::workers), [`stream_input`](Self::stream_input) comes first: then no body is
    /// spooled.
    ///
    /// [WSGI-30]: crate::spec#wsgi-30
    #[must_use]
    pub fn spool_input(
        mut self,
        memory: usize,
        open: impl Fn() -> io::Result<File> + Send + Sync + 'static,
    ) -> WsgiHandler<A> {
        self.gateway_mut().spool = Some((Spooling::new(memory, open), receive));
        self
    }
}

/// Receives the body, and then calls the application.
fn receive<A: Application + 'static>(
    gateway: &Arc<Gateway<A>>,
    spooling: &Spooling,
    request: &Request<'_>,
    response: Response<'_>,
) -> HttpResult {
    let gateway = Arc::clone(gateway);
    let workers = gateway.offload.as_ref().map(|(workers, _)| workers.clone());
    let kept = OwnedRequest::new(request);
    let finish = move |spooled, response: Response<'_>| {
        let respond = move |response: Response<'_>| {
            kept.with(|request| gateway.respond(request, response, Some(spooled)))
        };
        match workers {
            Some(workers) => response.offload(&workers, respond),
            None => respond(response),
        }
    };
    response.receive(Spool::new(spooling, request, finish))
}

/// Calls the application on a worker.
fn offload<A: Application + 'static>(
    gateway: &Arc<Gateway<A>>,
    workers: &Pool,
    request: &Request<'_>,
    response: Response<'_>,
) -> HttpResult {
    let gateway = Arc::clone(gateway);
    response.offload_request(workers, request, move |request, response| {
        gateway.respond(request, response, None)
    })
}

impl<A> Clone for WsgiHandler<A> {
    fn clone(&self) -> WsgiHandler<A> {
        WsgiHandler {
            gateway: Arc::clone(&self.gateway),
            handled: Handled::default(),
        }
    }
}

impl<A> Clone for Gateway<A> {
    fn clone(&self) -> Gateway<A> {
        Gateway {
            application: Arc::clone(&self.application),
            base_environ: self.base_environ.clone(),
            offload: self.offload.clone(),
            stream_input: self.stream_input,
            spool: self.spool.clone(),
            error_output: Arc::clone(&self.error_output),
            access_log: self.access_log.clone(),
            allowed_hosts: self.allowed_hosts.clone(),
        }
    }
}

impl<A> fmt::Debug for WsgiHandler<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let workers = self.gateway.offload.as_ref().map(|(workers, _)| workers);
        f.debug_struct("WsgiHandler")
            .field("base_environ", &self.gateway.base_environ)
            .field("workers", &workers)
            .finish_non_exhaustive()
    }
}

impl<A: Application> HttpRequestHandler for WsgiHandler<A> {
    /// Calls the application, whatever the method ([WSGI-3]).
    ///
    /// [WSGI-3]: crate::spec#wsgi-3
    fn handle(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        let gateway = &self.gateway;
        let result = match (gateway.refusal(request), gateway.spool(request)) {
            (Some(refusal), _) => refusal.send(response),
            // A short body may have arrived together with the head, and is whole then.
            (None, Some((spooling, receive))) if request.body().is_empty() => {
                receive(gateway, spooling, request, response)
            }
            (None, _) => match &gateway.offload {
                Some((workers, offload)) => offload(gateway, workers, request, response),
                None => gateway.respond(request, response, None),
            },
        };
        if self.gateway.access_log.is_some() {
            self.handled.note();
        }
        result
    }

    fn body_policy(&mut self, request: &Request<'_>) -> BodyPolicy {
        match (self.gateway.refusal(request), &self.gateway.spool) {
            (Some(_), _) => Refusal::body_policy(),
            (None, _) if self.gateway.streams_input() => BodyPolicy::streamed(),
            (None, Some((spooling, _))) => spooling.body_policy(request),
            (None, None) => BodyPolicy::whole(),
        }
    }

    fn log_request(&mut self, entry: &LogEntry<'_>) {
        if let Some(log) = &self.gateway.access_log {
            log.write_request(&self.handled.complete(entry));
        }
    }

    fn log_error(&mut self, entry: &LogEntry<'_>, message: &str) {
        if let Some(log) = &self.gateway.access_log {
            log.write_error(entry, message);
        }
    }
}

impl<A: Application> Gateway<A> {
    /// Returns why the application is not called, if it is not.
    fn refusal(&self, request: &Request<'_>) -> Option<Refusal> {
        self.allowed_hosts.as_ref()?.refusal(request)
    }

    /// Returns how the body is received if it may be too large for memory.
    fn spool(&self, request: &Request<'_>) -> Option<&(Spooling, Receive<A>)> {
        let spool = self.spool.as_ref().filter(|_| !self.streams_input());
        spool.filter(|(spooling, _)| spooling.takes(request))
    }

    /// Calls the application on this thread, and sends its result. The body of the request is in
    /// `spooled`, if it was too large for memory.
    fn respond(
        &self,
        request: &Request<'_>,
        mut response: Response<'_>,
        spooled: Option<Spooled>,
    ) -> HttpResult {
        let mut environ = Environ::of_request(request, &self.base_environ);
        if self.streams_input() {
            environ.read_input(response.body_reader(), None);
        } else if let Some(Spooled { length, input }) = spooled {
            environ.read_input(input, Some(length));
        }
        let head_only = request.method() == "HEAD";
        // On the loop's thread nothing can leave before the application returns (WSGI-10).
        let leaves = response.is_on_worker() && !head_only;
        let mut outgoing = Outgoing::Unsent(response);
        let write = |start: &mut Start, bytes: &[u8]| match leaves {
            true => outgoing.write(start, bytes),
            false => start.write(bytes),
        };
        let output = Output::of(&*self.application, &mut environ, write);
        match outgoing {
            Outgoing::Unsent(response) => {
                let (output, failure) = self.or_error_output(output, &mut environ)?;
                send(output, failure, response, head_only)
            }
            Outgoing::Begun(begun) => Ok(begun.finish(output)),
            // The client has disconnected, so there is nobody to tell (WSGI-20).
            Outgoing::Gone => Err(io::Error::from(ErrorKind::BrokenPipe).into()),
        }
    }

    /// Returns the output of the application. If it failed, returns that of
    /// [`error_output`](WsgiHandler::error_output), and the failure.
    fn or_error_output(
        &self,
        output: Result<Output, Failure>,
        environ: &mut Environ<'_>,
    ) -> Result<(Output, Option<Failure>), Failure> {
        let failure = match output {
            Ok(output) => return Ok((output, None)),
            Err(failure) => failure,
        };
        let second = Output::of(&*self.error_output, environ, Start::write);
        match (second, failure) {
            (Ok(output), failure) => Ok((output, Some(failure))),
            (Err(_), stop @ Failure::Stop(_)) => Err(stop),
            (Err(second), first) => {
                complain("an application failed", first);
                Err(second)
            }
        }
    }

    /// Returns whether the body of the request is read as it arrives. That waits, so it needs a
    /// worker.
    fn streams_input(&self) -> bool {
        self.stream_input && self.offload.is_some()
    }
}

/// Sends the head and the first block. The connection pulls the other blocks.
fn send(
    mut output: Output,
    failure: Option<Failure>,
    response: Response<'_>,
    head_only: bool,
) -> HttpResult {
    let has_content = !head_only && output.head().has_content();
    let mut sent = send_headers(output.head(), response);
    if let Some(failure) = failure {
        // The connection ends, as after every failure.
        sent = sent
            .send_header("Connection", "close")
            .with_failure(failure);
    }
    if let Some(whole) = output.take_whole() {
        return sent.body_block(whole);
    }
    if has_content {
        return sent.stream(output);
    }
    if let Err(failure) = output.consume() {
        sent = sent.with_failure(failure);
    }
    sent.stream(std::iter::empty::<Block>())
}
