//! Handlers that block, on threads, while the loop keeps every socket.
//!
//! A worker is given a request and writes its answer into memory; the bytes come home as a
//! message. Content that is pulled goes back and forth: a worker pulls up to the high-water mark,
//! block by block, the loop sends, and only when the client has taken that a worker pulls again. So
//! a slow client never holds a worker, in neither direction.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::body::{BodySource, Streaming};
use super::deferred::{Home, News, Pulled};
use super::gauge::{Gauge, HIGH_WATER, LEAST};
use super::intake::Intake;
use super::owned::OwnedRequest;
use super::reader::BodyReader;
use super::response::{self, Content, Context, Extras, Terms};
use super::{HttpRequestHandler, HttpResult, HttpSettings, LogEntry, Request, Response};
use crate::reactor::Now;
use crate::socketserver::{Buffer, QueueFull, complain, contain};

/// How many requests wait for a worker unless told otherwise. More wait longer than a client does:
/// with a handler of 100 ms and four threads this is a second and a half.
const QUEUE_LENGTH: usize = 64;

/// Threads for handlers that block; see [`Response::offload`] and [`Pooled`].
///
/// A handle: its clones share the threads, which end when the last one is gone and the queue
/// empty. Nobody waits for them, so a handler that never returns keeps no server from stopping.
///
/// # The queue
///
/// As many requests wait for a thread as [`queue_length`](Self::queue_length) says; for others
/// [`Response::offload`] answers 503 at once (RFC 9110 §15.6.4), which serves the clients better
/// than an answer after they have left. The time in the queue counts as the answer's
/// ([`Deadlines::answer`](super::Deadlines::answer)).
///
/// Content that is [streamed](super::ResponseHead::stream) has no place in this queue: its next
/// blocks are pulled when a thread is free, and never refused.
#[derive(Clone)]
pub struct Workers {
    pool: Arc<Pool>,
    queue_length: usize,
}

struct Pool {
    jobs: Sender<Job>,
    /// Requests that have a thread, or wait for one.
    open: Arc<AtomicUsize>,
    threads: usize,
}

/// A request's place among those.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

type Job = Box<dyn FnOnce() + Send>;

impl Workers {
    /// Starts `threads` threads, at least one.
    ///
    /// # Errors
    ///
    /// If the system has no more threads.
    pub fn new(threads: usize) -> io::Result<Workers> {
        let (jobs, queue) = unbounded();
        let threads = threads.max(1);
        for number in 0..threads {
            let queue: Receiver<Job> = queue.clone();
            thread::Builder::new()
                .name(format!("http-worker-{number}"))
                .spawn(move || work(&queue))?;
        }
        let pool = Arc::new(Pool {
            jobs,
            open: Arc::default(),
            threads,
        });
        Ok(Workers {
            pool,
            queue_length: QUEUE_LENGTH,
        })
    }

    /// Sets how many requests may wait for a thread, through this handle and its clones: 64 by
    /// default. `usize::MAX` refuses none: there are never more than connections.
    #[must_use]
    pub fn queue_length(mut self, queue_length: usize) -> Workers {
        self.queue_length = queue_length;
        self
    }

    /// How many requests wait for a thread, now.
    pub fn waiting(&self) -> usize {
        let open = self.pool.open.load(Ordering::SeqCst);
        open.saturating_sub(self.pool.threads)
    }

    /// Queues a request, unless too many wait. The job gives up its place when it has the answer,
    /// which may bring the client's next request.
    fn submit(&self, job: impl FnOnce(Place) + Send + 'static) -> Result<(), QueueFull> {
        let room = self.pool.threads.saturating_add(self.queue_length);
        let place = Place(Arc::clone(&self.pool.open));
        if self.pool.open.fetch_add(1, Ordering::SeqCst) >= room {
            return Err(QueueFull);
        }
        self.push(Box::new(move || job(place)));
        Ok(())
    }

    fn push(&self, job: Job) {
        // Err: the threads are gone, which they are not while there is a handle.
        let _ = self.pool.jobs.send(job);
    }

    /// Has a worker pull the next blocks.
    ///
    /// Each goes home by itself, for the next may be long in coming (PEP 3333: no block is held
    /// back while the next is made).
    pub(super) fn pull(self, home: Home, mut streaming: Box<Streaming>) {
        let pool = self.clone();
        pool.push(Box::new(move || {
            let mut room = HIGH_WATER;
            loop {
                let mut output = Buffer::new();
                let pulled = contain(|| streaming.pull(&mut output));
                room = room.saturating_sub(output.len().max(LEAST));
                let pulled = match pulled {
                    Ok(None) if room == 0 => {
                        streaming.workers = Some(self);
                        let more = Ok(Pulled::More(streaming));
                        // Err: the client has left.
                        return drop(home.tell(News::Pulled(output, more)));
                    }
                    Ok(None) => Ok(Pulled::Part(streaming.framer.sent())),
                    Ok(Some(ending)) => Ok(Pulled::End(ending)),
                    Err(failure) => Err(failure),
                };
                let goes_on = matches!(pulled, Ok(Pulled::Part(_)));
                // First the news, then the source is dropped, which may take its time, or panic.
                if home.tell(News::Pulled(output, pulled)).is_err() || !goes_on {
                    return;
                }
            }
        }));
    }

    /// Has a worker drop a source.
    pub(super) fn end(&self, source: Box<dyn BodySource>) {
        self.push(Box::new(move || drop(source)));
    }
}

/// Does what is queued until nobody can queue any more.
fn work(queue: &Receiver<Job>) {
    for job in queue {
        // Jobs contain the panics of handlers; what is left is a panic in a drop.
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            complain("a job of an HTTP worker panicked", &"in a drop");
        }
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers")
            .field("threads", &self.pool.threads)
            .field("queue_length", &self.queue_length)
            .finish_non_exhaustive()
    }
}

/// A request on its way to a worker: all that an answer is written with.
pub(super) struct Errand {
    pub(super) settings: Arc<HttpSettings>,
    pub(super) terms: Terms,
    pub(super) home: Home,
    pub(super) reader: BodyReader,
    /// What knows whether all of the content has arrived, if it was not there at once.
    pub(super) arriving: Option<Arc<Gauge>>,
}

impl Errand {
    /// Has `job` answer on one of the workers.
    pub(super) fn submit(
        self,
        workers: &Workers,
        job: impl FnOnce(Response<'_>) -> HttpResult + Send + 'static,
    ) -> Result<(), QueueFull> {
        let pullers = workers.clone();
        workers.submit(move |place| {
            let (mut output, now) = (Buffer::new(), Now::new());
            let context = Context {
                settings: &self.settings,
                now: &now,
                terms: self.terms,
                home: Some(self.home.parts()),
                content: match &self.arriving {
                    Some(gauge) => Content::Arriving(gauge),
                    None => Content::Elsewhere,
                },
                workers: Some(&pullers),
            };
            let extras = Box::new(Extras {
                reader: Some(self.reader),
                ..Extras::default()
            });
            let worked = response::answer_with(&mut output, &context, Some(extras), job);
            drop(place);
            // Err: the client has left.
            let _ = self.home.tell(News::Worked(output, worked.map(Box::new)));
        })
    }
}

/// A handler that runs on [`Workers`], each request with a clone of it.
///
/// ```
/// use serve_forever::http::{HttpResult, HttpServer, Pooled, Request, Response, Workers};
///
/// fn slow(request: &Request<'_>, response: Response<'_>) -> HttpResult {
///     // May block: query a database, read a file, compute.
///     response.send_response(200).body(request.path())
/// }
///
/// let server = HttpServer::bind("127.0.0.1:0", Pooled::new(slow, Workers::new(4)?))?;
/// # let _ = server;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// [`intake`](HttpRequestHandler::intake) and the log hooks run on the loop. Content that is
/// [streamed](Intake::streamed) is read through
/// [`Response::body_reader`](super::Response::body_reader), for which the worker does wait.
#[derive(Debug, Clone)]
pub struct Pooled<H> {
    handler: H,
    workers: Workers,
}

impl<H> Pooled<H> {
    /// Runs `handler` on `workers`.
    pub fn new(handler: H, workers: Workers) -> Pooled<H> {
        Pooled { handler, workers }
    }
}

impl<H: HttpRequestHandler + Clone + Send + 'static> HttpRequestHandler for Pooled<H> {
    fn handle(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        let (request, mut handler) = (OwnedRequest::new(request), self.handler.clone());
        response.offload(&self.workers, move |response| {
            request.with(|request| handler.handle(request, response))
        })
    }

    fn intake(&mut self, request: &Request<'_>) -> Intake {
        self.handler.intake(request)
    }

    fn log_request(&mut self, entry: &LogEntry<'_>) {
        self.handler.log_request(entry);
    }

    fn log_error(&mut self, entry: &LogEntry<'_>, message: &str) {
        self.handler.log_error(entry, message);
    }
}
