//! Several requests at once, each on a thread that may block: Python's `ThreadingMixIn`.
//!
//! Python starts a thread for each request and sets no bound. Here a [`Pool`] runs them (THREAD-9).
//! Three things travel, and none of them borrows from the loop:
//!
//! ```text
//! loop ── request, client address, place ─────▶ one of the threads
//! loop ◀── (failure, client address) ────────── thread
//! loop ◀── the place, given back, and a wake ── thread
//! ```
//!
//! Only the loop takes places, so a place that it sees free stays free until it takes it.

use std::fmt;
use std::io;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::inline::finish_request;
use super::{Dispatch, Refused};
use crate::reactor::{Now, Reactor};
use crate::socketserver::budget::complain;
use crate::socketserver::factory::{Ends, Factory};
use crate::socketserver::failure::{Failure, contain};
use crate::socketserver::handler::RequestHandler;
use crate::socketserver::overload::Overload;
use crate::socketserver::pool::{Overloaded, Place, Pool};
use crate::socketserver::transport::{Accepted, Transport};

/// How many requests are queued unless told otherwise: one for each of 32 threads, so that a thread
/// finds its next request without waiting for the loop. More are better off in the kernel's queue.
const QUEUE_LENGTH: u16 = 32;

/// Serves each request on a thread of a [`Pool`]; the loop never waits for one (THREAD-2).
///
/// ```
/// use std::io::Write;
/// use std::net::SocketAddr;
/// use serve_forever::socketserver::{Overload, Rfile, Server, Tcp, Threading};
///
/// let dispatch = Threading::new(|_client_address: &SocketAddr| {
///     |rfile: &mut dyn Rfile, wfile: &mut dyn Write| {
///         let mut line = String::new();
///         rfile.read_line(&mut line)?;
///         wfile.write_all(line.as_bytes())?;
///         Ok(())
///     }
/// });
/// let dispatch = dispatch.threads(4).queue_length(0).overload(Overload::Shed);
/// let server = Server::new(Tcp::new("127.0.0.1:0")?.bind_and_activate()?, dispatch)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Threads
///
/// A thread starts when a request comes and every other thread is busy. So an idle server has no
/// threads, and a server that never had a request has none to join (THREAD-7). If the system
/// refuses the only thread there would be, the request fails, like Python's (THREAD-4). A thread
/// stays until [`server_close`](crate::socketserver::Server::server_close), and survives whatever a
/// handler does.
///
/// # Failures
///
/// They come home to the loop, and
/// [`Hooks::handle_error`](crate::socketserver::Hooks::handle_error) runs there. Python runs it on
/// the worker, before the request is closed. Here the worker closes the request immediately, so a
/// client may see the end before the report is written (THREAD-3, REQ-7). `Failure::Stop` stops the
/// server, where Python ignores a `SystemExit` of a thread.
///
/// # The end
///
/// [`shutdown`](crate::socketserver::ShutdownHandle::shutdown) ends the loop and waits for no worker
/// (SHUT-10), so a worker may call it (THREAD-10). `server_close` closes the listener and waits until
/// every accepted request is served. Dropping the server does the same. With
/// [`block_on_close(false)`](Self::block_on_close) or [`daemon_threads(true)`](Self::daemon_threads)
/// neither waits.
///
/// A [drain](crate::socketserver::ShutdownHandle::drain) serves what is queued, too. When its
/// patience is over, what is still queued is dropped. No thread can be killed, so busy threads are
/// left to themselves, and nothing waits for them afterwards.
pub struct Threading<T: Transport, F> {
    /// Makes the handlers, on the threads.
    factory: Arc<F>,
    /// Runs the requests.
    pool: Pool,
    /// What becomes of a client for whom the pool has no room.
    overload: Overload,
    /// What becomes of the threads when the server is closed.
    at_close: AtClose,
    /// How many clients were turned away because the pool had no room.
    shed: u64,
    /// Where the failures of requests come home.
    failures: Receiver<(Failure, T::Address)>,
    /// The threads' end of it.
    failed: Sender<(Failure, T::Address)>,
    /// What requests take along to their threads, once the server is put together.
    common: Option<Arc<Common<T::Address, F>>>,
}

/// What becomes of the threads when the server is closed (THREAD-5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AtClose {
    /// The server waits for them.
    Join,
    /// They end by themselves when they have served what is queued.
    Detach,
}

impl<T: Transport, F> Threading<T, F> {
    /// Serves each request with a handler that `factory` makes: at most 32 at once, and as many
    /// queued.
    pub fn new(factory: F) -> Threading<T, F> {
        // No more failures lie in it than requests can end between two turns.
        let (failed, failures) = unbounded();
        Threading {
            factory: Arc::new(factory),
            pool: Pool::new().queue_length(QUEUE_LENGTH.into()),
            overload: Overload::default(),
            at_close: AtClose::Join,
            shed: 0,
            failures,
            failed,
            common: None,
        }
    }

    /// Sets how many requests are served at once: 32 by default, and at least one.
    pub fn threads(mut self, threads: u16) -> Threading<T, F> {
        self.pool = self.pool.clone().threads(threads.into());
        self
    }

    /// Sets how many requests are accepted ahead of the threads: 32 by default. With none, each
    /// request that is accepted has a thread.
    pub fn queue_length(mut self, queue_length: u16) -> Threading<T, F> {
        self.pool = self.pool.clone().queue_length(queue_length.into());
        self
    }

    /// Sets what becomes of a client for whom the pool has no room: it waits by default.
    ///
    /// With [`Overload::Shed`] it is accepted and closed immediately, and
    /// [`Overloaded::Full`](crate::socketserver::Overloaded::Full) is reported to
    /// [`Hooks::handle_error`](crate::socketserver::Hooks::handle_error).
    pub fn overload(mut self, overload: Overload) -> Threading<T, F> {
        self.overload = overload;
        self
    }

    /// Sets whether `server_close` waits until every request is served: it does by default
    /// (THREAD-1, THREAD-5). If not, it returns immediately, and the threads end when they have
    /// served what was queued.
    ///
    /// This and [`daemon_threads`](Self::daemon_threads) decide the same thing under two of Python's
    /// names. The later call counts.
    pub fn block_on_close(mut self, block: bool) -> Threading<T, F> {
        self.at_close = if block {
            AtClose::Join
        } else {
            AtClose::Detach
        };
        self
    }

    /// Sets whether nothing ever waits for the threads: it is off by default (THREAD-1). If it is
    /// on, the process may end under a request (THREAD-8).
    pub fn daemon_threads(self, daemon: bool) -> Threading<T, F> {
        self.block_on_close(!daemon)
    }

    /// Sets how many bytes of stack each thread has, like Python's `threading.stack_size`. By
    /// default it is what the standard library gives a thread, 2 MiB.
    pub fn stack_size(mut self, bytes: usize) -> Threading<T, F> {
        self.pool = self.pool.clone().stack_size(bytes);
        self
    }

    /// Returns what makes the handlers.
    pub fn factory(&self) -> &F {
        &self.factory
    }

    /// Returns how many threads there are.
    pub fn live_threads(&self) -> usize {
        self.pool.live_threads()
    }

    /// Returns how many requests are running or queued.
    pub fn open_requests(&self) -> usize {
        self.pool.open()
    }

    /// Lets the threads go when they have nothing left to do, and waits for them if that is wanted.
    fn close(&mut self) {
        match self.at_close {
            // A handler that closes the server does not wait for its own thread (THREAD-10).
            AtClose::Join => drop(self.pool.join(None)),
            AtClose::Detach => self.pool.close(),
        }
    }
}

impl<T, F> Dispatch<T> for Threading<T, F>
where
    T: Transport,
    T::Address: Send + Sync + 'static,
    F: Factory<T::Address, Made: RequestHandler> + Send + Sync + 'static,
{
    fn attach(&mut self, reactor: &Reactor, server_address: T::Address) {
        self.common = Some(Arc::new(Common {
            factory: Arc::clone(&self.factory),
            server_address,
            failed: self.failed.clone(),
        }));
        self.pool.wake_when_free(reactor.waker());
    }

    fn has_room(&self, _reactor: &Reactor) -> bool {
        self.overload == Overload::Shed || !self.pool.is_full()
    }

    fn process_request(
        &mut self,
        request: T::Request,
        client_address: T::Address,
        _reactor: &mut Reactor,
        _now: &Now,
    ) -> Result<(), Refused<T::Request>> {
        let Some(common) = self.common.clone() else {
            let failure = io::Error::other("the pool is not attached to a loop").into();
            return Err(Refused { request, failure });
        };
        let submitted = self.pool.submit_with(request, move |request, place| {
            common.serve::<T>(request, client_address, place);
        });
        submitted.map_err(|(request, overloaded)| {
            self.shed += u64::from(matches!(overloaded, Overloaded::Full));
            let failure = overloaded.into();
            Refused { request, failure }
        })
    }

    fn next_failure(&mut self) -> Option<(Failure, T::Address)> {
        self.failures.try_recv().ok()
    }

    fn open(&self) -> usize {
        self.open_requests()
    }

    fn shed(&self) -> u64 {
        self.shed
    }

    fn abort(&mut self, _reactor: &mut Reactor) {
        self.pool.discard_waiting();
        if self.pool.open() > 0 {
            self.at_close = AtClose::Detach;
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
            .field("pool", &self.pool)
            .field("overload", &self.overload)
            .field("at_close", &self.at_close)
            .finish_non_exhaustive()
    }
}

/// What every request takes along to its thread.
struct Common<A, F> {
    factory: Arc<F>,
    /// Where the server listens.
    server_address: A,
    failed: Sender<(Failure, A)>,
}

impl<A, F: Factory<A, Made: RequestHandler>> Common<A, F> {
    /// Serves the request and closes it in any case; a failure goes home (THREAD-3).
    fn serve<T>(&self, mut request: T::Request, client_address: A, place: Place)
    where
        T: Transport<Address = A>,
    {
        let served = contain(|| {
            let local_address = || T::local_address(&request, &self.server_address);
            let ends = Ends::new(&client_address).with_local_address(&local_address);
            let handler = self.factory.make(&ends);
            finish_request(handler, &mut request)
        });
        let closed = contain(move || {
            request.shutdown_request();
            Ok(())
        });
        if let Err(failure) = served.and(closed) {
            if let Err(unsent) = self.failed.send((failure, client_address)) {
                let (failure, _) = unsent.into_inner();
                complain("a request failed after its server was gone", &failure);
            }
        }
        drop(place); // last, for this wakes the loop
    }
}
