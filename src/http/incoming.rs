//! Requests in a queue, for threads of the program: `recv` and `respond`.

use std::fmt;
use std::sync::mpsc::{RecvError, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use crossbeam_channel::{self as channel, Receiver, Sender, TrySendError};

use super::body_policy::BodyPolicy;
use super::deferred::Deferred;
use super::handler::HttpRequestHandler;
use super::kept_request::KeptRequest;
use super::owned::OwnedRequest;
use super::request::Request;
use super::response::{HttpResult, Response};
use super::written::{Outcome, Thread};
use crate::reactor::Now;
use crate::socketserver::{Overloaded, SendError};

/// Requests that threads of your own take when they like, as from the `Receiver` of a channel.
///
/// The loop keeps every socket, reads the requests, and sends the responses. Your threads may block.
/// [`channel`](Incoming::channel) makes the two ends: a handler for any HTTP server, and this. Clone
/// it for further threads.
///
/// ```
/// use std::thread;
/// use serve_forever::http::{BodyPolicy, HttpResult, HttpServer, Incoming, Request, Response};
///
/// fn respond(request: &Request<'_>, response: Response<'_>) -> HttpResult {
///     // May block: query a database, read a file, compute.
///     response.send_response(200).body(format!("{}\n", request.path()))
/// }
///
/// let (handler, incoming) = Incoming::channel(64, BodyPolicy::whole());
/// let server = HttpServer::bind("127.0.0.1:0", handler)?.spawn()?;
/// let workers: Vec<_> = (0..4)
///     .map(|_| {
///         let incoming = incoming.clone();
///         thread::spawn(move || {
///             for request in incoming {
///                 let _ = request.respond(respond); // an error: the client has disconnected
///             }
///         })
///     })
///     .collect();
/// // ... the work of your program ...
/// server.shutdown()?; // ends the loops over `incoming`
/// for worker in workers {
///     worker.join().expect("a worker does not panic");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Requests whose clients have left are not returned.
///
/// # The end
///
/// Each thread that waits gets an error when the server is dropped, because then nothing more can
/// arrive. [`RunningServer::shutdown`](crate::socketserver::RunningServer::shutdown) and
/// [`join`](crate::socketserver::RunningServer::join) drop it. If you call `serve_forever` yourself,
/// drop the server before you join your threads. The waits go on when `serve_forever` returns, because
/// it may be called again ([LOOP-5]), and after `server_close` as well.
///
/// ```no_run
/// use std::thread;
/// use serve_forever::http::{BodyPolicy, HttpServer, Incoming};
///
/// let (handler, incoming) = Incoming::channel(64, BodyPolicy::whole());
/// let worker = thread::spawn(move || {
///     for request in incoming {
///         let _ = request.respond(|_, response| response.send_response(200).body("hello\n"));
///     }
/// });
/// let mut server = HttpServer::bind("127.0.0.1:8000", handler)?;
/// server.shutdown_on_signals()?;
/// let served = server.serve_forever();
/// drop(server); // ends the loop over `incoming`; without it, `join` waits without limit
/// worker.join().expect("the worker does not panic");
/// served?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A [`Pool`](crate::socketserver::Pool) does the same with threads of the crate:
/// [`Pooled`](super::Pooled) and [`Response::offload`](super::Response::offload) need no loop around
/// `recv`. If you come from `tiny_http`, see [the guide](crate::guide::tiny_http).
///
/// [LOOP-5]: crate::spec#loop-5
#[derive(Clone)]
pub struct Incoming(Receiver<IncomingRequest>);

impl Incoming {
    /// Makes a handler, and the other end, from which your threads take the requests.
    ///
    /// At most `queue_length` requests wait. Further ones get a 503 with `Retry-After` immediately, and
    /// an [`Overloaded`] is reported. All requests get it when every clone of the `Incoming` is dropped. With a length of 0, a
    /// request is taken only if a thread waits for one.
    ///
    /// `body_policy` says how bodies reach your threads. With [`BodyPolicy::whole`] a request is
    /// queued when its body has arrived. With [`BodyPolicy::streamed`] it is queued when its head is
    /// there, and your thread reads the body with [`Response::body_reader`].
    ///
    /// A response that takes longer than [`Deadlines::response`](super::Deadlines::response), with
    /// the time in the queue, comes too late: the client has already got a 503.
    pub fn channel(
        queue_length: usize,
        body_policy: BodyPolicy,
    ) -> (
        impl HttpRequestHandler + Clone + Send + Sync + 'static,
        Incoming,
    ) {
        let (queue, incoming) = channel::bounded(queue_length);
        (Intake { queue, body_policy }, Incoming(incoming))
    }

    /// Waits for a request.
    ///
    /// # Errors
    ///
    /// Returns an error if no more requests can arrive, because the server has been dropped ([The
    /// end](Self#the-end)). The end of `serve_forever` alone is no error, and this waits on.
    pub fn recv(&self) -> Result<IncomingRequest, RecvError> {
        loop {
            let request = self.0.recv().map_err(|_| RecvError)?;
            if !request.is_gone() {
                return Ok(request);
            }
        }
    }

    /// Waits for a request, for `timeout` at most.
    ///
    /// # Errors
    ///
    /// Returns [`RecvTimeoutError::Timeout`] if the time is over, and
    /// [`RecvTimeoutError::Disconnected`] if no more requests can arrive, because the server has been
    /// dropped ([The end](Self#the-end)).
    pub fn recv_timeout(&self, timeout: Duration) -> Result<IncomingRequest, RecvTimeoutError> {
        let Some(deadline) = Now::new().instant().checked_add(timeout) else {
            return self.recv().map_err(|_| RecvTimeoutError::Disconnected);
        };
        loop {
            match self.0.recv_deadline(deadline) {
                Ok(request) if request.is_gone() => {}
                Ok(request) => return Ok(request),
                Err(channel::RecvTimeoutError::Timeout) => return Err(RecvTimeoutError::Timeout),
                Err(channel::RecvTimeoutError::Disconnected) => {
                    return Err(RecvTimeoutError::Disconnected);
                }
            }
        }
    }

    /// Returns a request if one has arrived, without waiting.
    ///
    /// # Errors
    ///
    /// Returns [`TryRecvError::Empty`] if there is none, and [`TryRecvError::Disconnected`] if no
    /// more requests can arrive, because the server has been dropped ([The end](Self#the-end)).
    pub fn try_recv(&self) -> Result<IncomingRequest, TryRecvError> {
        loop {
            match self.0.try_recv() {
                Ok(request) if request.is_gone() => {}
                Ok(request) => return Ok(request),
                Err(channel::TryRecvError::Empty) => return Err(TryRecvError::Empty),
                Err(channel::TryRecvError::Disconnected) => {
                    return Err(TryRecvError::Disconnected);
                }
            }
        }
    }
}

/// Each step waits for a request. It ends when the server is dropped.
impl Iterator for Incoming {
    type Item = IncomingRequest;

    fn next(&mut self) -> Option<IncomingRequest> {
        self.recv().ok()
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Incoming({} waiting)", self.0.len())
    }
}

/// A request that a thread has taken from [`Incoming`], and has to respond to.
///
/// If it is dropped without a response, the client gets a 500.
///
/// The arms of a match may respond, each in its own way:
///
/// ```
/// use serve_forever::http::IncomingRequest;
/// use serve_forever::socketserver::SendError;
///
/// fn answer(incoming: IncomingRequest) -> Result<(), SendError<()>> {
///     let request = incoming.request().clone(); // shares the bytes
///     match (request.method(), request.path()) {
///         ("GET", "/") => incoming.respond(|_, response| response.send_response(200).body("home\n")),
///         ("POST", "/shout") => {
///             let shout = request.body().to_ascii_uppercase(); // may block: nobody waits for this thread
///             incoming.respond(|_, response| response.send_response(200).body(shout))
///         }
///         _ => incoming.respond(|_, response| response.send_error(404)),
///     }
/// }
/// # let _ = answer;
/// ```
#[derive(Debug)]
#[must_use = "a request needs a response"]
pub struct IncomingRequest {
    /// The request.
    kept: KeptRequest,
    /// The duty to respond.
    deferred: Deferred,
}

impl IncomingRequest {
    /// Returns the request itself: its [method](OwnedRequest::method), [path](OwnedRequest::path),
    /// [fields](OwnedRequest::header), [body](OwnedRequest::body), and all the rest
    /// [with](OwnedRequest::with) a function.
    pub fn request(&self) -> &OwnedRequest {
        self.kept.request()
    }

    /// Lets `respond` write the response, on this thread, and wakes the loop to send it. Any
    /// function that is a [handler](HttpRequestHandler) fits.
    ///
    /// If `respond` fails or panics, the client gets a 500, and the server reports the failure. A
    /// body that is [streamed](super::ResponseHead::stream) is pulled on the loop. To make it here,
    /// block by block, take a [`Deferred`] with [`Response::defer`], and use [`Deferred::stream`]
    /// when `respond` has returned.
    ///
    /// # Errors
    ///
    /// Returns [`SendError::Gone`] if the client has disconnected; `respond` may not have been
    /// called then.
    pub fn respond(
        self,
        respond: impl FnOnce(&Request<'_>, Response<'_>) -> HttpResult,
    ) -> Result<(), SendError<()>> {
        let IncomingRequest { kept, deferred } = self;
        deferred.fulfil(|reply_to| {
            let news = kept.write(reply_to, Thread::Other, respond);
            reply_to.tell(news)
        })?
    }

    /// Returns whether the client is known to have disconnected, so that nobody waits for the
    /// response.
    pub fn is_gone(&self) -> bool {
        self.deferred.is_gone()
    }
}

/// The handler that puts requests into the queue.
#[derive(Debug, Clone)]
struct Intake {
    /// Where the requests go.
    queue: Sender<IncomingRequest>,
    /// How their bodies arrive.
    body_policy: BodyPolicy,
}

impl HttpRequestHandler for Intake {
    fn handle(&mut self, request: &Request<'_>, mut response: Response<'_>) -> HttpResult {
        let Some(kept) = response.keep(request) else {
            return response.shed();
        };
        let deferred = Deferred::new(response.context.reply_to());
        match self.queue.try_send(IncomingRequest { kept, deferred }) {
            Ok(()) => Ok(response.leave(Outcome::Deferred)),
            Err(refused) => {
                let failure = match &refused {
                    TrySendError::Full(_) => Overloaded::Full.into(),
                    TrySendError::Disconnected(_) => "nobody takes requests any more".into(),
                };
                refused.into_inner().deferred.relieve();
                let head = response.send_response(503).with_failure(failure);
                head.send_retry_after().body("")
            }
        }
    }

    fn body_policy(&mut self, _: &Request<'_>) -> BodyPolicy {
        self.body_policy.clone()
    }
}
