//! Handlers that block: they run on workers, while the loop keeps every socket.
//!
//! A worker gets a request and writes its response into memory. The bytes reach the loop as
//! messages. The worker pulls a body up to the high-water mark; then it parks the rest and takes
//! other jobs. When the client has taken what was pulled, the loop lets the same worker go on
//! ([THREAD-11]). So a slow client holds no worker, whether it sends or receives. If the pool
//! does not [share its threads](Pool::share_threads), the worker waits for the client instead.
//!
//! [THREAD-11]: crate::spec#thread-11

use std::mem;

use super::access::LogEntry;
use super::body_policy::BodyPolicy;
use super::deferred::Deferred;
use super::handler::HttpRequestHandler;
use super::message::{News, ReplyTo, Then};
use super::off_loop;
use super::request::Request;
use super::response::{HttpResult, Response};
use super::response_body::Streaming;
use super::stats::Hit;
use super::status::{explanation, phrase};
use super::window::{HIGH_WATER, LEAST};
use super::written::{Content, Outcome, Reading, Thread};
use crate::socketserver::{Buffer, Place, Pool, Seat, contain};

impl Response<'_> {
    /// Lets one of the `workers`, the threads of a [`Pool`], write the response. There `job` may
    /// block; the connection waits for it.
    ///
    /// If too many requests wait for a worker, the response is a 503, and an
    /// [`Overloaded`](crate::socketserver::Overloaded) is reported. The response is also a 503 if too many
    /// bodies are kept already ([`Limits::bodies`](super::Limits::bodies)). If the client disconnects
    /// before a worker is free, `job` is dropped without being run. If the pool drops `job`,
    /// because it is closed or its queue is [discarded](Pool::discard_waiting), the response is a
    /// 500.
    ///
    /// The job begins when the loop's turn ends, or before that if a worker is awake ([THREAD-13]). So
    /// do not wait for it in the handler.
    ///
    /// Move into `job` whatever the response needs of the request. A body that is still to come is
    /// read with [`body_reader`](Self::body_reader). A body that you
    /// [stream](super::ResponseHead::stream) is pulled and dropped on the thread on which `job` ran
    /// ([THREAD-11]).
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
    ///
    /// [THREAD-11]: crate::spec#thread-11
    /// [THREAD-13]: crate::spec#thread-13
    pub fn offload(
        mut self,
        workers: &Pool,
        job: impl FnOnce(Response<'_>) -> HttpResult + Send + 'static,
    ) -> HttpResult {
        if self.context.address.is_none() {
            return job(self); // No message could reach the connection, so run it here (in a test).
        }
        if !self.keep_body() {
            return self.shed();
        }
        let reading = Box::new(Reading::Reader(self.body_reader()));
        self.submit(workers, move |reply_to| {
            let content = Content::Elsewhere;
            off_loop::write(reply_to, content, Some(reading), Thread::Worker, job)
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
        let Some(kept) = self.keep(request) else {
            return self.shed();
        };
        self.submit(workers, move |reply_to| {
            kept.write(reply_to, Thread::Worker, job)
        })
    }

    /// Responds to a request for whose body there is no room beside those of other clients. As on the
    /// loop, the connection closes.
    #[cold]
    pub(super) fn shed(self) -> HttpResult {
        let settings = self.context.settings;
        settings.counters.count(Hit::BodyShed);
        let (name, value) = settings.retry_after_field();
        let more = &[(name, &*value), ("Connection", "close")];
        self.send_error_page(503, phrase(503), explanation(503), more)
    }

    /// Has a worker write the response.
    fn submit(
        self,
        workers: &Pool,
        write: impl FnOnce(&ReplyTo) -> News + Send + 'static,
    ) -> HttpResult {
        let pool = workers.clone();
        let deferred = Deferred::new(self.context.reply_to());
        let submitted = workers.submit_seated(deferred, move |deferred, place, seat| {
            // What if the client has disconnected while the job was queued? Then it is not run.
            if let Some(reply_to) = deferred.reply_to() {
                let news = write(reply_to);
                send(news, deferred, pool, place, seat);
            }
        });
        match submitted {
            Ok(()) => Ok(self.leave(Outcome::Deferred)),
            Err((mut deferred, overloaded)) => {
                deferred.relieve();
                let head = self.send_response(503).with_failure(overloaded.into());
                head.send_retry_after().body("")
            }
        }
    }
}

/// Sends what a worker has written, and pulls the rest of it.
fn send(mut news: News, mut deferred: Deferred, pool: Pool, place: Place, seat: &mut Seat) {
    match mem::replace(&mut news.then, Then::Await) {
        Then::Pull(mut streaming) => {
            news.then = streaming.ended.take().map_or(Then::Await, Then::End);
            let pulling = Pulling {
                deferred,
                streaming,
                pool,
                place: Some(place),
            };
            pulling.go_on(Some(news), seat);
        }
        then => {
            news.then = then;
            // Free the place before the response leaves: the client may send its next request as
            // soon as it has the response.
            drop(place);
            if let Some(reply_to) = deferred.reply_to() {
                // Ignore the error: the client has disconnected.
                let _ = reply_to.tell(news);
            }
            deferred.relieve();
        }
    }
}

/// A body that a worker pulls.
struct Pulling {
    /// The request. What if the pool drops this? Then the response breaks off.
    deferred: Deferred,
    /// The body.
    streaming: Box<Streaming>,
    /// The pool of the worker.
    pool: Pool,
    /// Held while this is a job that was submitted.
    place: Option<Place>,
}

impl Pulling {
    /// Sends `first`, if there is such news, and pulls up to the high-water mark. Then it waits for the
    /// client, here or parked.
    ///
    /// Each block is sent to the loop by itself, because the next block may take long to make. PEP
    /// 3333: no block is held back while the next is made.
    fn go_on(mut self, first: Option<News>, seat: &mut Seat) {
        let mut room = HIGH_WATER;
        let mut news = first.unwrap_or_else(|| self.pull(room));
        loop {
            if !matches!(news.then, Then::Await) {
                return self.end(news);
            }
            room = room.saturating_sub(news.bytes.len().max(LEAST));
            let sent = match room {
                0 if self.pool.shares_threads() => return self.park(news, seat),
                0 => {
                    room = HIGH_WATER;
                    self.wait(news)
                }
                _ => self.send(news),
            };
            if !sent {
                return; // the source is dropped, here
            }
            news = self.pull(room);
        }
    }

    /// Sends `news` of a block. Returns whether the client is still there.
    fn send(&self, mut news: News) -> bool {
        news.then = Then::GoOn {
            sent: self.streaming.framer.sent(),
        };
        let reply_to = self.deferred.reply_to();
        reply_to.is_some_and(|reply_to| reply_to.tell(news).is_ok())
    }

    /// Sends `news`, and waits on this thread until the client has taken what was pulled. Returns
    /// whether it has: it may also have disconnected, or the pool was closed.
    fn wait(&self, mut news: News) -> bool {
        let Some(reply_to) = self.deferred.reply_to().cloned() else {
            return false;
        };
        let (halted, pause) = self.pool.pause();
        let sent = self.streaming.framer.sent();
        news.then = Then::Halt { halted, sent };
        // Ignore the error: the client has disconnected. The message is dropped, which ends the wait.
        let _ = reply_to.tell(news);
        pause.wait(move || reply_to.is_here())
    }

    /// Pulls a block. Returns the news of it: [`Then::Await`], unless it is the last. `room` is how much
    /// may still be pulled.
    fn pull(&mut self, room: usize) -> News {
        let mut bytes = Buffer::new();
        bytes.keep_blocks(true);
        let then = match contain(|| self.streaming.pull(room, &mut bytes)) {
            Ok(None) => Then::Await,
            Ok(Some(ending)) => Then::End(ending),
            Err(failure) => Then::Fail(failure),
        };
        News::of(then).with_bytes(bytes)
    }

    /// Sends `news`, and leaves the rest to a later job on this thread.
    fn park(mut self, mut news: News, seat: &mut Seat) {
        self.place = None; // the client may not read for a long time
        let Some(reply_to) = self.deferred.reply_to().cloned() else {
            return;
        };
        let sent = self.streaming.framer.sent();
        let pool = self.pool.clone();
        let halted = pool.park(seat, move |seat| self.go_on(None, seat));
        news.then = Then::Halt { halted, sent };
        // Ignore the error: the client has disconnected. The message is dropped, and then the rest.
        let _ = reply_to.tell(news);
    }

    /// Sends the last news.
    fn end(mut self, news: News) {
        self.place = None; // first, as in `send`
        if let Some(reply_to) = self.deferred.reply_to() {
            // Ignore the error: the client has disconnected.
            let _ = reply_to.tell(news);
        }
        // The news leaves before the source is dropped, because dropping it may block or panic.
        self.deferred.relieve();
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
/// it, up to [`Deadlines::body`](super::Deadlines::body). A body that the handler
/// [streams](super::ResponseHead::stream) stays on the worker's thread ([THREAD-11]).
///
/// [THREAD-11]: crate::spec#thread-11
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
