//! Several requests at once, each on a thread that may block: Python's `ThreadingMixIn`.
//!
//! Python starts a thread for each request and sets no bound. Here a fixed number of workers take
//! requests from a channel (THREAD-9), and three things travel, none of which borrows from the
//! loop:
//!
//! ```text
//! loop ── Job: request, client address, place ──▶ one of the workers
//! loop ◀── (failure, client address) ──────────── worker
//! loop ◀── the place, given back, and a wake ──── worker
//! ```
//!
//! A *place* is the right to be open: one for each request that runs or is queued. Only the loop
//! takes places, so what it sees free stays free until it takes it.

use std::error::Error;
use std::fmt;
use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use mio::Waker;

use super::drainable::Drainable;
use super::inline::finish_request;
use super::{Dispatch, Refused};
use crate::reactor::{Now, Reactor};
use crate::socketserver::budget::complain;
use crate::socketserver::failure::contain;
use crate::socketserver::{Failure, Request, RequestHandler, Transport};

/// How many threads a pool has unless told otherwise: 32, the most that Python's
/// `ThreadPoolExecutor` starts by default. Handlers that block mostly wait, so it is more than
/// there are processors (waitress 4, Tomcat 200); the stacks of idle ones cost address space only.
const THREADS: u16 = 32;

/// How many requests are queued unless told otherwise: one for each thread, so that a worker finds
/// its next without waiting for the loop. More are better off in the kernel's queue.
const QUEUE_LENGTH: u16 = THREADS;

/// What becomes of a request for which the pool has neither a thread nor a place in the queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// It stays in the kernel's queue until there is room: nothing is accepted meanwhile, and the
    /// loop goes on. The default, for a client that waits is better served than one that is told
    /// to come back.
    #[default]
    Wait,
    /// It is accepted and closed at once, and [`QueueFull`] is reported: its client, or the load
    /// balancer in front, tries elsewhere.
    Refuse,
}

/// Why a request was refused: every thread is busy, and the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueFull;

impl fmt::Display for QueueFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("every thread is busy and the queue is full")
    }
}

impl Error for QueueFull {}

/// Makes a handler for each client, on any thread; Python's `RequestHandlerClass`.
///
/// Any closure from a client's address to a [`RequestHandler`] is one. What it makes need not be
/// `Send`: a handler never leaves the worker that made it.
pub trait HandlerFactory<A> {
    /// What it makes.
    type Handler: RequestHandler;

    /// The handler for one client.
    fn make_handler(&self, client_address: &A) -> Self::Handler;

    /// As [`make_handler`](Self::make_handler), which it calls by default, for a handler that is
    /// told at which address its client has reached the server, too.
    ///
    /// `local_address` finds it out: see [`Transport::local_address`].
    fn make_handler_at(
        &self,
        client_address: &A,
        local_address: impl FnOnce() -> io::Result<A>,
    ) -> Self::Handler {
        let _ = local_address;
        self.make_handler(client_address)
    }
}

impl<A, H: RequestHandler, F: Fn(&A) -> H> HandlerFactory<A> for F {
    type Handler = H;

    fn make_handler(&self, client_address: &A) -> H {
        self(client_address)
    }
}

/// Serves each request on a worker of a bounded pool; the loop never waits for one (THREAD-2).
///
/// ```
/// use std::io::Write;
/// use std::net::SocketAddr;
/// use serve_forever::socketserver::{Rfile, Server, Tcp, Threading, WhenFull};
///
/// let dispatch = Threading::new(|_client_address: &SocketAddr| {
///     |rfile: &mut dyn Rfile, wfile: &mut dyn Write| {
///         let mut line = String::new();
///         rfile.read_line(&mut line)?;
///         wfile.write_all(line.as_bytes())?;
///         Ok(())
///     }
/// });
/// let dispatch = dispatch.threads(4).queue_length(0).when_full(WhenFull::Refuse);
/// let server = Server::new(Tcp::new("127.0.0.1:0")?.bind_and_activate()?, dispatch)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Threads
///
/// A thread is started when a request comes and all others have one, not before: a server that is
/// idle has none, one that was never asked has nothing to join (THREAD-7), and a thread that the
/// system refuses is the failure of a request that Python has too (THREAD-4). Once started, it
/// stays until [`server_close`](crate::socketserver::Server::server_close), and survives whatever a
/// handler does.
///
/// # Failures
///
/// They come home to the loop, and [`Hooks::handle_error`](crate::socketserver::Hooks::handle_error) runs
/// there. Python runs it on the worker and before the request is closed; here the worker closes
/// the request at once, so a client may see the end before the report is written (THREAD-3,
/// REQ-7). `Failure::Stop` stops the server, where Python's ignores a `SystemExit` of a thread.
///
/// # The end
///
/// [`shutdown`](crate::socketserver::ShutdownHandle::shutdown) ends the loop and waits for no worker
/// (SHUT-10), so a worker may call it (THREAD-10). `server_close`, and dropping the server, closes
/// the listener and waits until every request that was accepted is served, unless
/// [`block_on_close`](Self::block_on_close) or [`daemon_threads`](Self::daemon_threads) says
/// otherwise. A [drain](crate::socketserver::ShutdownHandle::drain) serves what is queued, too; when its
/// patience is over, what is still queued is dropped, and as no thread can be killed, those that
/// are still busy are left to themselves: nothing waits for them afterwards.
pub struct Threading<T: Transport, F> {
    factory: Arc<F>,
    threads: u16,
    queue_length: u16,
    when_full: WhenFull,
    block_on_close: bool,
    daemon_threads: bool,
    stack_size: Option<usize>,
    /// There is one as soon as the server is put together.
    pool: Option<Pool<T::Request, T::Address>>,
}

impl<T: Transport, F> Threading<T, F> {
    /// Workers whose handlers `factory` makes: at most 32, and as many requests queued.
    pub fn new(factory: F) -> Threading<T, F> {
        Threading {
            factory: Arc::new(factory),
            threads: THREADS,
            queue_length: QUEUE_LENGTH,
            when_full: WhenFull::default(),
            block_on_close: true,
            daemon_threads: false,
            stack_size: None,
            pool: None,
        }
    }

    /// How many requests are served at once; 32 by default, and at least one.
    pub fn threads(mut self, threads: u16) -> Threading<T, F> {
        self.threads = threads.max(1);
        self
    }

    /// How many requests are accepted ahead of the workers; 32 by default. With none, each
    /// request that is accepted has a thread.
    pub fn queue_length(mut self, queue_length: u16) -> Threading<T, F> {
        self.queue_length = queue_length;
        self
    }

    /// What becomes of a request for which there is no room; it waits by default.
    pub fn when_full(mut self, when_full: WhenFull) -> Threading<T, F> {
        self.when_full = when_full;
        self
    }

    /// Whether `server_close` waits until every request is served; yes by default (THREAD-1,
    /// THREAD-5). If not, it returns at once, and the threads end when they have served what was
    /// queued.
    pub fn block_on_close(mut self, block: bool) -> Threading<T, F> {
        self.block_on_close = block;
        self
    }

    /// Whether the threads are never waited for; no by default (THREAD-1). The process may then
    /// end under a request (THREAD-8).
    pub fn daemon_threads(mut self, daemon: bool) -> Threading<T, F> {
        self.daemon_threads = daemon;
        self
    }

    /// How many bytes of stack each thread has, as Python's `threading.stack_size`; by default
    /// what the standard library gives a thread, 2 MiB.
    pub fn stack_size(mut self, bytes: usize) -> Threading<T, F> {
        self.stack_size = Some(bytes);
        self
    }

    /// What makes the handlers.
    pub fn factory(&self) -> &F {
        &self.factory
    }

    /// How many threads the pool has; none once it is closed.
    pub fn live_threads(&self) -> usize {
        let workers = self.pool.iter().flat_map(|pool| &pool.workers);
        workers.filter(|worker| !worker.is_finished()).count()
    }

    /// How many requests are running or queued.
    pub fn open_requests(&self) -> usize {
        self.pool.as_ref().map_or(0, |pool| pool.places.taken())
    }

    /// Lets the workers go when they have nothing left to do, and waits for them if that is
    /// wanted.
    fn close(&mut self) {
        let Some(pool) = &mut self.pool else {
            return;
        };
        pool.jobs = None; // a worker ends when the queue is empty and nobody can fill it
        let workers = mem::take(&mut pool.workers);
        if !self.block_on_close || self.daemon_threads || pool.aborted {
            return;
        }
        let own = thread::current().id();
        for worker in workers {
            // Closed by a handler of its own, the server would wait for itself (THREAD-10).
            if worker.thread().id() != own && worker.join().is_err() {
                log::error!("a worker had panicked outside of any request");
            }
        }
    }
}

impl<T, F> Dispatch<T> for Threading<T, F>
where
    T: Transport,
    T::Address: Send + 'static,
    F: HandlerFactory<T::Address> + Send + Sync + 'static,
{
    fn attach(&mut self, reactor: &Reactor, server_address: T::Address) {
        let room = usize::from(self.threads) + usize::from(self.queue_length);
        self.pool = Some(Pool::new(room, reactor.waker(), server_address));
    }

    fn has_room(&self, _reactor: &Reactor) -> bool {
        let full = self.pool.as_ref().is_some_and(Pool::is_full);
        self.when_full == WhenFull::Refuse || !full
    }

    fn process_request(
        &mut self,
        request: T::Request,
        client_address: T::Address,
        _reactor: &mut Reactor,
        _now: &Now,
    ) -> Result<(), Refused<T::Request>> {
        let refuse = |request, failure| Err(Refused { request, failure });
        let Some(pool) = &mut self.pool else {
            let failure = io::Error::other("the pool is not attached to a loop").into();
            return refuse(request, failure);
        };
        if pool.is_full() {
            return refuse(request, QueueFull.into());
        }
        if pool.needs_worker(usize::from(self.threads)) {
            let worker = pool.start_worker::<T, F>(Arc::clone(&self.factory), self.stack_size);
            if let Err(error) = pool.started(worker) {
                return refuse(request, error.into());
            }
        }
        match pool.hand_over(request, client_address) {
            Ok(()) => Ok(()),
            Err(request) => refuse(request, io::Error::other("the pool is closed").into()),
        }
    }

    fn next_failure(&mut self) -> Option<(Failure, T::Address)> {
        self.pool.as_ref()?.failures.try_recv().ok()
    }

    fn open(&self) -> usize {
        self.open_requests()
    }

    fn drain(&mut self, _reactor: &mut Reactor, _now: &Now) -> usize {
        if let Some(pool) = &self.pool {
            pool.draining.store(true, Ordering::Release);
        }
        0 // what a conversation was upgraded to is its worker's business
    }

    fn abort(&mut self, _reactor: &mut Reactor) {
        if let Some(pool) = &mut self.pool {
            pool.queue.try_iter().for_each(drop);
            pool.aborted = pool.places.taken() > 0;
        }
    }

    fn server_close(&mut self, _reactor: &mut Reactor) {
        self.close();
    }
}

impl<T: Transport, F> Drop for Threading<T, F> {
    fn drop(&mut self) {
        self.close(); // THREAD-8: the end of a process waits for no thread by itself
    }
}

impl<T: Transport, F> fmt::Debug for Threading<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threading")
            .field("threads", &self.threads)
            .field("queue_length", &self.queue_length)
            .field("when_full", &self.when_full)
            .field("block_on_close", &self.block_on_close)
            .field("daemon_threads", &self.daemon_threads)
            .field("live_threads", &self.live_threads())
            .field("open_requests", &self.open_requests())
            .finish_non_exhaustive()
    }
}

/// The loop's end of everything.
struct Pool<R, A> {
    /// `None` once the server is closed.
    jobs: Option<Sender<Job<R, A>>>,
    /// The workers' end of the queue, for those to come.
    queue: Receiver<Job<R, A>>,
    failures: Receiver<(Failure, A)>,
    /// The workers' end, for those to come.
    failed: Sender<(Failure, A)>,
    places: Arc<Places>,
    /// Where the server listens.
    server_address: A,
    /// What handlers look at while they block.
    draining: Arc<AtomicBool>,
    workers: Vec<JoinHandle<()>>,
    /// The system has refused a thread, and has not given one since.
    short_of_threads: bool,
    /// Somebody's patience is over: the workers are not waited for any more.
    aborted: bool,
}

impl<R, A> Pool<R, A> {
    fn new(room: usize, waker: Arc<Waker>, server_address: A) -> Pool<R, A> {
        let (jobs, queue) = bounded(room);
        // No more lie in it than requests can end between two turns.
        let (failed, failures) = unbounded();
        Pool {
            jobs: Some(jobs),
            queue,
            failures,
            failed,
            places: Arc::new(Places {
                room,
                taken: AtomicUsize::new(0),
                waker,
            }),
            server_address,
            draining: Arc::default(),
            workers: Vec::new(),
            short_of_threads: false,
            aborted: false,
        }
    }

    fn is_full(&self) -> bool {
        self.places.taken() >= self.places.room
    }

    /// Whether the next request would find every worker busy, and there may be one more.
    fn needs_worker(&mut self, most: usize) -> bool {
        // No handler ends a worker, but if one is gone it does not count (THREAD-6).
        self.workers.retain(|worker| !worker.is_finished());
        self.workers.len() <= self.places.taken() && self.workers.len() < most
    }

    /// Notes a new worker. One that could not be started is a failure only if there is no other.
    fn started(&mut self, worker: io::Result<JoinHandle<()>>) -> io::Result<()> {
        let was_short = mem::replace(&mut self.short_of_threads, worker.is_err());
        match worker {
            Ok(worker) => self.workers.push(worker),
            Err(error) if self.workers.is_empty() => return Err(error),
            Err(error) if !was_short => {
                let count = self.workers.len();
                log::error!("no thread beyond {count}: requests wait for these: {error}");
            }
            Err(_) => {}
        }
        Ok(())
    }

    /// Puts a request into the queue, or gives it back if the pool is closed.
    fn hand_over(&mut self, request: R, client_address: A) -> Result<(), R> {
        let Some(jobs) = &self.jobs else {
            return Err(request);
        };
        let job = Job {
            request,
            client_address,
            place: Places::take(&self.places),
        };
        // As many fit as there are places, so this never waits.
        jobs.try_send(job)
            .map_err(|unsent| unsent.into_inner().request)
    }
}

impl<R: Request, A: Clone + Send + 'static> Pool<R, A> {
    /// A thread that serves what is queued until nobody can queue any more.
    fn start_worker<T, F>(
        &self,
        factory: Arc<F>,
        stack_size: Option<usize>,
    ) -> io::Result<JoinHandle<()>>
    where
        T: Transport<Request = R, Address = A>,
        F: HandlerFactory<A> + Send + Sync + 'static,
    {
        let name = format!("worker-{}", self.workers.len() + 1);
        let mut thread = thread::Builder::new().name(name);
        if let Some(bytes) = stack_size {
            thread = thread.stack_size(bytes);
        }
        let (jobs, failed) = (self.queue.clone(), self.failed.clone());
        let draining = Arc::clone(&self.draining);
        let server_address = self.server_address.clone();
        thread.spawn(move || {
            for job in jobs {
                job.run::<T, F>(&*factory, &server_address, &failed, &draining);
            }
        })
    }
}

/// A request on its way to a worker.
struct Job<R, A> {
    request: R,
    client_address: A,
    place: Place,
}

impl<R: Request, A> Job<R, A> {
    /// Serves the request and closes it in any case; a failure goes home (THREAD-3).
    fn run<T, F>(
        self,
        factory: &F,
        server_address: &A,
        failed: &Sender<(Failure, A)>,
        draining: &AtomicBool,
    ) where
        T: Transport<Request = R, Address = A>,
        F: HandlerFactory<A>,
    {
        let Job {
            mut request,
            client_address,
            place,
        } = self;
        let make_handler = |request: &R, client_address: &A| {
            let local_address = || T::local_address(request, server_address);
            Drainable {
                handler: factory.make_handler_at(client_address, local_address),
                draining,
            }
        };
        let served = contain(|| finish_request(make_handler, &mut request, &client_address));
        let closed = contain(move || {
            request.shutdown_request();
            Ok(())
        });
        if let Err(failure) = served.and(closed) {
            if let Err(unsent) = failed.send((failure, client_address)) {
                let (failure, _) = unsent.into_inner();
                complain("a request failed after its server was gone", &failure);
            }
        }
        drop(place); // last, for this wakes the loop
    }
}

/// How many requests may be open, and how many are.
struct Places {
    room: usize,
    taken: AtomicUsize,
    waker: Arc<Waker>,
}

impl Places {
    fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }

    fn take(places: &Arc<Places>) -> Place {
        places.taken.fetch_add(1, Ordering::AcqRel);
        let places = Arc::clone(places);
        Place { places }
    }
}

/// One request's place, given back when this is dropped, whatever became of the request.
struct Place {
    places: Arc<Places>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken.fetch_sub(1, Ordering::AcqRel);
        // There is room again, in the pool or below the server's own limit; a descriptor is free;
        // or nothing is left to drain: the loop may be waiting for any of these.
        if let Err(error) = self.places.waker.wake() {
            log::error!("cannot wake the loop for a worker: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::EventLoop;

    /// THREAD-4: a shortage of threads fails a request only if no thread could ever serve it.
    #[test]
    fn a_shortage_of_threads_leaves_the_others_at_work() {
        let event_loop = EventLoop::new().expect("a poll");
        let mut pool = Pool::<(), ()>::new(2, event_loop.waker(), ());
        let shortage = || Err(io::ErrorKind::WouldBlock.into());
        assert!(pool.started(shortage()).is_err());
        let jobs = pool.queue.clone();
        let worker = thread::spawn(move || jobs.iter().for_each(drop));
        assert!(pool.started(Ok(worker)).is_ok());
        assert!(!pool.short_of_threads && pool.started(shortage()).is_ok());
        assert!(pool.short_of_threads && !pool.needs_worker(1));
    }
}
