//! Serves several requests concurrently, each on a thread that may block, like Python's
//! `ThreadingMixIn`.
//!
//! Python starts a thread for each request, without a limit. Here a [`Pool`] of threads serves the
//! requests ([THREAD-9]). Loop and threads exchange three things. All of them are owned, so nothing
//! borrows from the loop:
//!
//! ```text
//! loop ── request, client address, place ─────▶ one of the threads
//! loop ◀── (failure, client address) ────────── thread
//! loop ◀── the place, given back, and a wake ── thread
//! ```
//!
//! Only the loop takes places. So if it sees that a place is free, the place is still free when the
//! loop takes it.
//!
//! [THREAD-9]: crate::spec#thread-9

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::inline::finish_request;
use super::{Dispatch, Refused};
use crate::reactor::{Now, Reactor};
use crate::socketserver::budget::complain;
use crate::socketserver::crowd::Crowd;
use crate::socketserver::factory::{Ends, Factory};
use crate::socketserver::failure::{Failure, contain};
use crate::socketserver::handler::RequestHandler;
use crate::socketserver::overload::Overload;
use crate::socketserver::pool::Pool;
use crate::socketserver::pool::overloaded::Overloaded;
use crate::socketserver::pool::place::Place;
use crate::socketserver::server_handle::ServerHandle;
use crate::socketserver::transport::{Accepted, Transport};
use crate::socketserver::waiter::Waiter;

/// How many requests may be queued by default: one for each of 32 threads, so that a thread finds
/// its next request without waiting for the loop. Further clients wait in the kernel's backlog.
const QUEUE_LENGTH: u16 = 32;

/// Serves each request on a thread of a [`Pool`], so that the loop never waits for a handler
/// ([THREAD-2]).
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
/// threads, and a server that never had a request has nothing to join ([THREAD-7]). If there is no
/// thread and the system cannot start any, the request fails, as in Python ([THREAD-4]). A thread
/// stays until [`server_close`](crate::socketserver::Server::server_close), even if a handler
/// panics. For each request that is served at the same time as others, the server keeps two
/// descriptors until then, with which the handler waits for its client.
///
/// # Failures
///
/// The threads send failures to the loop, and
/// [`Hooks::handle_error`](crate::socketserver::Hooks::handle_error) runs there. Python runs it on
/// the thread of the request, before the request is closed. Here the thread closes the request
/// immediately. So a client may see the end before the report is written ([THREAD-3], [REQ-7]).
/// `Failure::Stop` stops the server, while Python ignores a `SystemExit` on a thread.
///
/// # The end
///
/// [`shutdown`](crate::socketserver::ShutdownHandle::shutdown) ends the loop and waits for no
/// thread ([SHUT-10]), so a handler may call it ([THREAD-10]). `server_close` closes the listener
/// and waits until every accepted request is served. It does not wait for clients: a handler that waits
/// for its client gets an error ([THREAD-5]). Dropping the server does the same. With
/// [`block_on_close(false)`](Self::block_on_close) or
/// [`daemon_threads(true)`](Self::daemon_threads) neither waits.
///
/// A [drain](crate::socketserver::ShutdownHandle::drain) also serves the queued requests. When its
/// patience is over, it drops the requests that are still queued, and ends the waits for clients. It
/// cannot kill a busy thread. The thread goes on, but nothing waits for it.
///
/// [REQ-7]: crate::spec#req-7
/// [SHUT-10]: crate::spec#shut-10
/// [THREAD-2]: crate::spec#thread-2
/// [THREAD-3]: crate::spec#thread-3
/// [THREAD-4]: crate::spec#thread-4
/// [THREAD-5]: crate::spec#thread-5
/// [THREAD-7]: crate::spec#thread-7
/// [THREAD-10]: crate::spec#thread-10
pub struct Threading<T: Transport, F> {
    /// Makes the handlers, on the threads.
    factory: Arc<F>,
    /// Runs the requests.
    pool: Pool,
    /// Decides about a client for whom the pool has no room.
    overload: Overload,
    /// Decides about the threads when the server is closed.
    at_close: AtClose,
    /// How many clients were closed unserved because the pool had no room.
    shed: u64,
    /// Receives the failures of requests, on the loop.
    failures: Receiver<(Failure, T::Address)>,
    /// Sends the failures of requests, on the threads.
    failed: Sender<(Failure, T::Address)>,
    /// The values that each request needs on its thread. `None` until the server is put together.
    common: Option<Arc<Common<T::Address, F>>>,
    /// How many requests each client has, if that is limited.
    crowd: Option<Crowd>,
    /// How many clients were turned away because they had too many.
    crowded: u64,
    /// Receives the addresses whose requests have ended, on the loop.
    departures: Receiver<T::Address>,
    /// Sends them, on the threads.
    departed: Sender<T::Address>,
}

/// Says whether the server waits for its threads when it is closed ([THREAD-5]).
///
/// [THREAD-5]: crate::spec#thread-5
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AtClose {
    /// The server waits for the threads.
    Join,
    /// The threads end by themselves when they have served the queued requests.
    Detach,
}

impl<T: Transport, F> Threading<T, F> {
    /// Returns a dispatch that serves each request with a handler of `factory`, on at most 32
    /// threads. Another 32 requests may be queued.
    pub fn new(factory: F) -> Threading<T, F> {
        // Unbounded, but it holds at most the failures of the requests between two turns.
        let (failed, failures) = unbounded();
        let (departed, departures) = unbounded(); // the same
        Threading {
            factory: Arc::new(factory),
            pool: Pool::new().queue_length(QUEUE_LENGTH.into()),
            overload: Overload::default(),
            at_close: AtClose::Join,
            shed: 0,
            failures,
            failed,
            common: None,
            crowd: None,
            crowded: 0,
            departures,
            departed,
        }
    }

    /// Sets the most threads, and so the most requests that are served at the same time: 32 by
    /// default, and at least one.
    pub fn threads(mut self, threads: u16) -> Threading<T, F> {
        self.pool = self.pool.clone().threads(threads.max(1).into());
        self
    }

    /// Sets how many accepted requests may wait for a thread: 32 by default. With 0, no
    /// accepted request waits for a thread.
    pub fn queue_length(mut self, queue_length: u16) -> Threading<T, F> {
        self.pool = self.pool.clone().queue_length(queue_length.into());
        self
    }

    /// Sets whether a client waits or is closed if the pool has no room: it waits by default.
    ///
    /// With [`Overload::Shed`], the server accepts the client, closes it immediately, and reports
    /// [`Overloaded::Full`](crate::socketserver::Overloaded::Full) to
    /// [`Hooks::handle_error`](crate::socketserver::Hooks::handle_error).
    pub fn overload(mut self, overload: Overload) -> Threading<T, F> {
        self.overload = overload;
        self
    }

    /// Sets whether `server_close` waits until every request is served: it does by default
    /// ([THREAD-1], [THREAD-5]). If not, it returns immediately, and the threads end when they have
    /// served the queued requests.
    ///
    /// This and [`daemon_threads`](Self::daemon_threads) decide the same thing under two of
    /// Python's names. The later call counts.
    ///
    /// [THREAD-1]: crate::spec#thread-1
    /// [THREAD-5]: crate::spec#thread-5
    pub fn block_on_close(mut self, block: bool) -> Threading<T, F> {
        self.at_close = if block {
            AtClose::Join
        } else {
            AtClose::Detach
        };
        self
    }

    /// Like [`block_on_close`](Self::block_on_close), but with the opposite meaning: with `true`,
    /// nothing waits for the threads. It is `false` by default ([THREAD-1]). With `true`, the
    /// process may end while a request is being served ([THREAD-8]).
    ///
    /// [THREAD-1]: crate::spec#thread-1
    /// [THREAD-8]: crate::spec#thread-8
    pub fn daemon_threads(self, daemon: bool) -> Threading<T, F> {
        self.block_on_close(!daemon)
    }

    /// Sets how many bytes of stack each thread has, like Python's `threading.stack_size`. The
    /// default is that of the standard library, 2 MiB.
    pub fn stack_size(mut self, bytes: usize) -> Threading<T, F> {
        self.pool = self.pool.clone().stack_size(bytes);
        self
    }

    /// Returns the factory, which makes the handlers.
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

    /// Returns whether the client has as many requests as it may have.
    fn is_crowded(&mut self, client_address: &T::Address) -> bool {
        let Some(crowd) = &mut self.crowd else {
            return false;
        };
        while let Ok(departed) = self.departures.try_recv() {
            crowd.leave(T::ip_address(&departed));
        }
        !crowd.admits(T::ip_address(client_address))
    }

    /// Counts a request of the client, until what this returns is dropped.
    fn enter(&mut self, client_address: &T::Address) -> Option<Departure<T::Address>> {
        self.crowd.as_mut()?.enter(T::ip_address(client_address));
        Some(Departure {
            address: Some(client_address.clone()),
            departed: self.departed.clone(),
        })
    }

    /// Ends the waits of handlers for their clients, now and from now on.
    fn end_waits(&self) {
        if let Some(common) = &self.common {
            common.server.interrupts().close();
        }
    }

    /// Ends the threads when no request is left. Waits for them unless they are detached.
    fn close(&mut self) {
        match self.at_close {
            // A handler that closes the server does not wait for its own thread (THREAD-10).
            AtClose::Join => {
                self.end_waits();
                self.pool.join(None);
            }
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
    fn attach(&mut self, reactor: &Reactor, server_address: T::Address, server: &ServerHandle) {
        self.common = Some(Arc::new(Common {
            factory: Arc::clone(&self.factory),
            server_address,
            server: server.clone(),
            failed: self.failed.clone(),
            waiters: Mutex::default(),
        }));
        self.pool.wake_when_free(reactor.alarm());
    }

    fn has_room(&self, _reactor: &Reactor) -> bool {
        self.overload == Overload::Shed || !self.pool.is_full()
    }

    fn process_request(
        &mut self,
        request: T::Request,
        client_address: T::Address,
        _reactor: &mut Reactor,
        now: &Now,
    ) -> Result<(), Refused<T::Request>> {
        if self.is_crowded(&client_address) {
            self.crowded += 1;
            self.turn_away(request, now);
            return Ok(());
        }
        let Some(common) = self.common.clone() else {
            let failure = io::Error::other("the pool is not attached to a loop").into();
            return Err(Refused { request, failure });
        };
        let departure = self.enter(&client_address);
        let submitted = self.pool.submit_with(request, move |request, place| {
            common.serve::<T>(request, client_address, departure, place);
        });
        submitted.map_err(|(request, overloaded)| {
            self.shed += u64::from(matches!(overloaded, Overloaded::Full));
            let failure = overloaded.into();
            Refused { request, failure }
        })
    }

    fn set_max_per_address(&mut self, limit: usize) {
        match &mut self.crowd {
            Some(crowd) => crowd.set_limit(limit),
            None if limit == usize::MAX => {}
            // Requests that are open already are not counted.
            None => self.crowd = Some(Crowd::new(limit)),
        }
    }

    fn crowded(&self) -> u64 {
        self.crowded
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
            self.end_waits();
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

/// Tells the loop that a request of this address has ended, when it is dropped: also if the request
/// was never served.
struct Departure<A> {
    /// The address of the client.
    address: Option<A>,
    /// Leads to the loop.
    departed: Sender<A>,
}

impl<A> Drop for Departure<A> {
    fn drop(&mut self) {
        if let Some(address) = self.address.take() {
            // Ignore the error: the server is gone, and nobody counts any more.
            let _ = self.departed.send(address);
        }
    }
}

/// The values that each request needs on its thread.
struct Common<A, F> {
    /// Makes the handler.
    factory: Arc<F>,
    /// The address on which the server listens.
    server_address: A,
    /// Reaches the server.
    server: ServerHandle,
    /// Sends a failure to the loop.
    failed: Sender<(Failure, A)>,
    /// Where handlers wait for their clients: one for each request that is served. They are kept for
    /// later requests, because each has descriptors.
    waiters: Mutex<Vec<Waiter>>,
}

impl<A, F: Factory<A, Made: RequestHandler>> Common<A, F> {
    fn waiters(&self) -> MutexGuard<'_, Vec<Waiter>> {
        // A poisoned lock is fine: nothing panics while it is held.
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves the request, closes it in any case, and sends a failure to the loop ([THREAD-3]).
    ///
    /// [THREAD-3]: crate::spec#thread-3
    fn serve<T>(
        &self,
        mut request: T::Request,
        client_address: A,
        departure: Option<Departure<A>>,
        place: Place,
    ) where
        T: Transport<Address = A>,
    {
        let kept = self.waiters().pop();
        let waiter = kept.unwrap_or_else(|| Waiter::on_thread(&self.server));
        let served = contain(|| {
            let local_address = || T::local_address(&request, &self.server_address);
            let ends = Ends::new(&client_address)
                .with_local_address(&local_address)
                .with_server(Some(&self.server));
            let handler = self.factory.make(&ends)?;
            finish_request(handler, &mut request, &waiter)
        });
        self.waiters().push(waiter);
        // First, because the client may connect again as soon as it sees the end.
        drop(departure);
        let closed = contain(move || {
            request.shutdown_request();
            Ok(())
        });
        if let Err(failure) = served.and(closed) {
            if let Err(unsent) = self.failed.send((failure, client_address)) {
                let (failure, _) = unsent.into_inner();
                complain("a request failed after its server was gone", failure);
            }
        }
        drop(place); // last, because this wakes the loop
    }
}
