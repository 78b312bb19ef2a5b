//! Handlers that block: they run on workers, while the loop keeps every socket.
//!
//! A worker gets a request and writes its response into memory. The bytes reach the loop as a
//! message. A body that is pulled goes back and forth. A worker pulls blocks up to the high-water
//! mark, and the loop sends them. When the client has taken them, a worker pulls again. So a slow
//! client never holds a worker, whether it sends or receives.

use super::access::LogEntry;
use super::body_policy::BodyPolicy;
use super::deferred::Deferred;
use super::handler::HttpRequestHandler;
use super::message::{News, ReplyTo, Then};
use super::off_loop;
use super::owned::OwnedRequest;
use super::request::Request;
use super::response::{HttpResult, Response};
use super::response_body::Streaming;
use super::window::{HIGH_WATER, LEAST};
use super::written::{Content, Outcome, Reading};
use crate::socketserver::{Buffer, Pool, contain};

impl Response<'_> {
    /// Lets one of the `workers`, the threads of a [`Pool`], write the response. There `job` may
    /// block; the connection waits for it.
    ///
    /// If too many requests wait for a worker, the response is a 503, and an
    /// [`Overloaded`](crate::socketserver::Overloaded) is reported. If the client disconnects
    /// before a worker is free, `job` is dropped without being run. If the pool drops `job`,
    /// because it is closed or its queue is [discarded](Pool::discard_waiting), the response is a
    /// 500.
    ///
    /// Move into `job` whatever the response needs of the request. A body that is still to come is
    /// read with [`body_reader`](Self::body_reader). A body that you
    /// [stream](super::ResponseHead::stream) is also pulled on a worker.
    ///
    /// ```
    /// use serve_forever::http::{HttpResult, Request, Response};
    /// use serve_forever::socketserver::Pool;
    ///
    /// fn report(workers: &Pool, request: &Request<'_>, response: Response<'_>) -> HttpResult {
    ///     let query = request.query().unwrap_or_default().to_owned();
    ///     response.offload(workers, move |response| {
    ///         let rows = std::fs::read(query)?; // slow
    ///         response.send_response(200).body(rows)
    ///     })
    /// }
    /// # let _ = report;
    /// ```
    ///
    /// # Errors
    ///
    /// None. Return the result from your handler.
    pub fn offload(
        mut self,
        workers: &Pool,
        job: impl FnOnce(Response<'_>) -> HttpResult + Send + 'static,
    ) -> HttpResult {
        if self.context.address.is_none() {
            return job(self); // No message could reach the connection, so run it here (in a test).
        }
        let reading = Box::new(Reading::Reader(self.body_reader()));
        self.submit(workers, move |reply_to, workers| {
            let content = Content::Elsewhere;
            off_loop::write(reply_to, content, Some(reading), Some(workers), job)
        })
    }

    /// Like [`offload`](Self::offload), but `job` also gets a copy of the whole request.
    pub(crate) fn offload_request(
        mut self,
        workers: &Pool,
        request: &Request<'_>,
        job: impl FnOnce(&Request<'_>, Response<'_>) -> HttpResult + Send + 'static,
    ) -> HttpResult {
        if self.context.address.is_none() {
            return job(request, self);
        }
        let reading = match self.context.content {
            Content::Whole(..) | Content::Owned(_) => None, // it goes along with the request
            _ => Some(Box::new(Reading::Reader(self.body_reader()))),
        };
        let request = OwnedRequest::new(request);
        self.submit(workers, move |reply_to, workers| {
            let content = match reading {
                Some(_) => Content::Elsewhere,
                None => Content::Owned(&request),
            };
            off_loop::write(reply_to, content, reading, Some(workers), |response| {
                request.with(|request| job(request, response))
            })
        })
    }

    /// Has a worker write the response.
    fn submit(
        self,
        workers: &Pool,
        write: impl FnOnce(&ReplyTo, &Pool) -> News + Send + 'static,
    ) -> HttpResult {
        let pullers = workers.clone();
        let deferred = Deferred::new(self.context.reply_to());
        let submitted = workers.submit_with(deferred, move |deferred, place| {
            // Ignore the error: the client has disconnected, perhaps while the job was queued.
            let _ = deferred.fulfil(|reply_to| {
                let news = write(reply_to, &pullers);
                // Free the place before the response leaves: the client may send its next request
                // as soon as it has the response.
                drop(place);
                reply_to.tell(news)
            });
        });
        match submitted {
            Ok(()) => Ok(self.leave(Outcome::Deferred)),
            Err((mut deferred, overloaded)) => {
                deferred.relieve();
                let head = self.send_response(503).with_failure(overloaded.into());
                head.send_header("Retry-After", "1").body("")
            }
        }
    }
}

/// Has one of the `workers` pull the next blocks.
///
/// Each block is sent to the loop by itself, because the next block may take long to make. PEP
/// 3333: no block is held back while the next is made.
pub(super) fn pull(workers: Pool, reply_to: ReplyTo, streaming: Box<Streaming>) {
    let pool = workers.clone();
    // What if the pool is closed? Then the job is dropped, and the response breaks off.
    let deferred = Deferred::new(Some(reply_to));
    pool.push(move || {
        // Ignore the error: the client has disconnected.
        let _ = deferred.fulfil(|reply_to| pull_blocks(workers, reply_to, streaming));
    });
}

/// Pulls up to the high-water mark.
fn pull_blocks(workers: Pool, reply_to: &ReplyTo, mut streaming: Box<Streaming>) {
    let mut room = HIGH_WATER;
    loop {
        let mut bytes = Buffer::new();
        let pulled = contain(|| streaming.pull(&mut bytes));
        room = room.saturating_sub(bytes.len().max(LEAST));
        let then = match pulled {
            Ok(None) if room == 0 => {
                streaming.workers = Some(workers);
                let news = News::of(Then::Pull(streaming)).with_bytes(bytes);
                // Ignore the error: the client has disconnected.
                let _ = reply_to.tell(news);
                return;
            }
            Ok(None) => Then::GoOn {
                sent: streaming.framer.sent(),
            },
            Ok(Some(ending)) => Then::End(ending),
            Err(failure) => Then::Fail(failure),
        };
        let goes_on = matches!(then, Then::GoOn { .. });
        let told = reply_to.tell(News::of(then).with_bytes(bytes));
        // The news leaves before the source is dropped, because dropping it may block or panic.
        if told.is_err() || !goes_on {
            return;
        }
    }
}

/// A handler that runs on a [`Pool`]. Each request gets its own clone of it.
///
/// ```
/// use serve_forever::http::{HttpResult, HttpServer, Pooled, Request, Response};
/// use serve_forever::socketserver::Pool;
///
/// fn slow(request: &Request<'_>, response: Response<'_>) -> HttpResult {
///     // May block: query a database, read a file, compute.
///     response.send_response(200).body(request.path())
/// }
///
/// let server = HttpServer::bind("127.0.0.1:0", Pooled::new(slow, Pool::new().threads(4)))?;
/// # let _ = server;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// [`body_policy`](HttpRequestHandler::body_policy) and the log hooks run on the loop. A body that
/// is [streamed](BodyPolicy::streamed) is read with [`Response::body_reader`]; the worker waits for
/// it.
#[derive(Debug, Clone)]
pub struct Pooled<H> {
    /// Each request gets a clone of this.
    handler: H,
    /// Where the clones run.
    workers: Pool,
}

impl<H> Pooled<H> {
    /// Runs `handler` on `workers`.
    pub fn new(handler: H, workers: Pool) -> Pooled<H> {
        Pooled { handler, workers }
    }
}

impl<H: HttpRequestHandler + Clone + Send + 'static> HttpRequestHandler for Pooled<H> {
    fn handle(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        let mut handler = self.handler.clone();
        response.offload_request(&self.workers, request, move |request, response| {
            handler.handle(request, response)
        })
    }

    fn body_policy(&mut self, request: &Request<'_>) -> BodyPolicy {
        self.handler.body_policy(request)
    }

    fn log_request(&mut self, entry: &LogEntry<'_>) {
        self.handler.log_request(entry);
    }

    fn log_error(&mut self, entry: &LogEntry<'_>, message: &str) {
        self.handler.log_error(entry, message);
    }
}
