//! The loop.

use std::io;
use std::time::{Duration, Instant};

use super::engine::RESERVED_TOKENS;
use super::{
    Defaults, Dispatch, Engine, Failure, Hooks, Overload, ShutdownHandle, Stats, Transport, Turn,
};
use crate::reactor::EventLoop;

/// Python's default for `serve_forever`: half a second (LOOP-1).
pub const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// How many connections a server holds at once; the kernel keeps the rest waiting. Enough for
/// what one thread can usefully serve, and a bound on its memory (design law 7). For fewer see
/// [`Server::set_max_connections`].
pub const MAX_CONNECTIONS: usize = 10_000;

/// A server: an [`Engine`] in an [`EventLoop`] of its own.
///
/// Dropping it closes the listener and every connection (SRV-3).
#[derive(Debug)]
pub struct Server<T: Transport, D: Dispatch<T>, H: Hooks<T> = Defaults> {
    event_loop: EventLoop,
    engine: Engine<T, D, H>,
}

impl<T: Transport, D: Dispatch<T>> Server<T, D> {
    /// A server for a transport that is bound and activated, with the default hooks.
    ///
    /// # Errors
    ///
    /// If the transport is not activated, or the system is out of descriptors.
    pub fn new(transport: T, dispatch: D) -> io::Result<Server<T, D>> {
        Server::with_hooks(transport, dispatch, Defaults::default())
    }
}

impl<T: Transport, D: Dispatch<T>, H: Hooks<T>> Server<T, D, H> {
    /// As [`new`](Server::new), with the program's own hooks.
    ///
    /// # Errors
    ///
    /// As [`new`](Server::new).
    pub fn with_hooks(transport: T, dispatch: D, hooks: H) -> io::Result<Server<T, D, H>> {
        let event_loop = EventLoop::new()?;
        let (registry, waker) = (event_loop.registry(), event_loop.waker());
        let tokens = 0..RESERVED_TOKENS + MAX_CONNECTIONS;
        let engine = Engine::attach(transport, dispatch, hooks, registry, waker, tokens)?;
        Ok(Server { event_loop, engine })
    }

    /// Serves until a shutdown is requested; Python's `serve_forever(poll_interval=0.5)`.
    ///
    /// Nothing is polled for: a request, a deadline, a message and a shutdown each end the wait
    /// at once. `poll_interval` is only how often `service_actions` runs when nothing happens,
    /// and `None` is never (LOOP-7). It may be called again after it has returned (LOOP-5).
    ///
    /// # Errors
    ///
    /// [`Failure::Stop`] from a handler or hook, or a failure of the poll, the listener or
    /// `service_actions` (LOOP-12). However it ends, those who wait in
    /// [`ShutdownHandle::shutdown`] are released (LOOP-4).
    pub fn serve_forever(
        &mut self,
        poll_interval: impl Into<Option<Duration>>,
    ) -> Result<(), Failure> {
        let Server { event_loop, engine } = self;
        // is_shut_down.clear(); dropped on every way out: shutdown_request = false, is_shut_down.set()
        let _running = engine.run(poll_interval.into())?;
        while !engine.shutdown_requested() {
            let timeout = engine.timeout(Instant::now());
            event_loop.wait(timeout, |event| {
                engine.feed(event);
            })?;
            // The shutdown test again, handle_request_noblock, each ready connection,
            // service_actions.
            engine.turn(Instant::now())?;
        }
        Ok(())
    }

    /// Waits for one request, serves it, and returns; Python's `handle_request`.
    ///
    /// After `timeout` without a request it calls [`Hooks::handle_timeout`] and returns; `None`
    /// waits without limit, and zero only looks (REQ-13 to REQ-15). It runs no `service_actions`
    /// and does not see shutdown requests (REQ-12, SHUT-11). Connections of an evented server go
    /// on while it waits or looks, and rest between two calls.
    ///
    /// # Errors
    ///
    /// As [`serve_forever`](Self::serve_forever), and a failure of `handle_timeout`.
    pub fn handle_request(&mut self, timeout: impl Into<Option<Duration>>) -> Result<(), Failure> {
        let Server { event_loop, engine } = self;
        let deadline = timeout
            .into()
            .and_then(|timeout| Instant::now().checked_add(timeout));
        engine.expect_request();
        let mut wait = Some(Duration::ZERO); // a look at least, for the connections' sake
        loop {
            event_loop.wait(wait, |event| {
                engine.feed(event);
            })?;
            let now = Instant::now();
            if engine.turn_for_request(now)? {
                return Ok(());
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(now));
            if left.is_some_and(|left| left.is_zero()) {
                return engine.hooks_mut().handle_timeout();
            }
            let waits = [left, engine.wait_for_work(now)];
            wait = waits.into_iter().flatten().min();
        }
    }

    /// Looks for events without waiting and does what can be done; see [`Engine::turn`].
    ///
    /// For a program that has a loop of its own and polls this server's descriptor in it.
    ///
    /// # Errors
    ///
    /// As [`serve_forever`](Self::serve_forever).
    pub fn turn(&mut self) -> Result<Turn, Failure> {
        let Server { event_loop, engine } = self;
        event_loop.wait(Some(Duration::ZERO), |event| {
            engine.feed(event);
        })?;
        engine.turn(Instant::now())
    }

    /// How long the program may sleep on this server's descriptor before the next
    /// [`turn`](Self::turn): what is queued, and deadlines, do not show there.
    pub fn timeout(&self) -> Option<Duration> {
        if self.event_loop.may_have_more() {
            return Some(Duration::ZERO);
        }
        self.engine.timeout(Instant::now())
    }

    /// What stops this server: from another thread, a handler, or before it starts.
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.engine.shutdown_handle()
    }

    /// SIGINT and SIGTERM request a shutdown; see [`Engine::shutdown_on_signals`].
    ///
    /// # Errors
    ///
    /// What the system answers.
    pub fn shutdown_on_signals(&mut self) -> io::Result<()> {
        self.engine.shutdown_on_signals()
    }

    /// SIGINT and SIGTERM ask for a drain; see [`Engine::drain_on_signals`].
    ///
    /// # Errors
    ///
    /// What the system answers.
    pub fn drain_on_signals(&mut self, patience: Duration) -> io::Result<()> {
        self.engine.drain_on_signals(patience)
    }

    /// How many requests may be open at once, [`MAX_CONNECTIONS`] at most, and what becomes of the
    /// others; see [`Engine::set_max_connections`].
    pub fn set_max_connections(&mut self, limit: usize, overload: Overload) {
        self.engine.set_max_connections(limit, overload);
    }

    /// What has been counted, and what is open now.
    pub fn stats(&self) -> Stats {
        self.engine.stats()
    }

    /// Where it listens, with the actual port (SRV-6).
    pub fn server_address(&self) -> T::Address {
        self.engine.transport().server_address()
    }

    /// Closes the listener and every connection; again is no error (SRV-4).
    pub fn server_close(&mut self) {
        self.engine.server_close();
    }

    /// The server without its loop.
    pub fn engine(&self) -> &Engine<T, D, H> {
        &self.engine
    }

    /// As [`engine`](Self::engine), to be changed.
    pub fn engine_mut(&mut self) -> &mut Engine<T, D, H> {
        &mut self.engine
    }
}

impl<T: Transport, D: Dispatch<T>, H: Hooks<T>> Drop for Server<T, D, H> {
    fn drop(&mut self) {
        self.engine.server_close();
    }
}

#[cfg(unix)]
impl<T: Transport, D: Dispatch<T>, H: Hooks<T>> std::os::fd::AsFd for Server<T, D, H> {
    /// The poll's descriptor: readable when there is something to do, so the whole server is one
    /// descriptor in a foreign poller (SRV-5 for the listener alone is the transport's `AsFd`).
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.event_loop.registry().as_fd()
    }
}
