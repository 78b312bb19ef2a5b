//! The loop.

use std::io;
use std::time::{Duration, Instant};

use super::dispatch::Dispatch;
use super::engine::{Engine, OWN_SLOTS, Turn};
use super::hooks::{Defaults, Hooks};
use super::overload::Overload;
use super::running::RunningServer;
use super::serve_error::ServeError;
use super::server_handle::ServerHandle;
use super::shutdown::{Run, ShutdownHandle};
use super::stats::Stats;
use super::transport::Transport;
use super::until::Until;
use crate::reactor::EventLoop;

/// The most connections that a server holds at the same time. The kernel keeps the others waiting.
///
/// One thread can usefully serve about that many, and the limit bounds the memory ([design law 7]).
/// Set a lower limit with [`Server::set_max_connections`].
///
/// [design law 7]: crate::spec#law-7
pub const MAX_CONNECTIONS: usize = 10_000;

/// A server with its own loop: an [`Engine`] in an [`EventLoop`].
///
/// Dropping it closes the listener and every connection ([SRV-3]).
///
/// [SRV-3]: crate::spec#srv-3
#[derive(Debug)]
pub struct Server<T: Transport, D: Dispatch<T>, H: Hooks<T> = Defaults> {
    /// Where the server sleeps.
    event_loop: EventLoop,
    /// Does everything else.
    engine: Engine<T, D, H>,
}

impl<T: Transport, D: Dispatch<T>> Server<T, D> {
    /// Makes a server for a transport that is bound and activated, with the default hooks.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` if the transport is not activated. Returns the operating system's
    /// error if there are no descriptors left.
    pub fn new(transport: T, dispatch: D) -> io::Result<Server<T, D>> {
        Server::with_hooks(transport, dispatch, Defaults::default())
    }
}

impl<T: Transport, D: Dispatch<T>, H: Hooks<T>> Server<T, D, H> {
    /// Like [`new`](Server::new), but with your own hooks.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`new`](Server::new), and the error of [`Hooks::attach`].
    pub fn with_hooks(transport: T, dispatch: D, hooks: H) -> io::Result<Server<T, D, H>> {
        let event_loop = EventLoop::new()?;
        let (registry, waker) = (event_loop.registry(), event_loop.waker());
        let tokens = 0..OWN_SLOTS + MAX_CONNECTIONS;
        let engine = Engine::attach(transport, dispatch, hooks, registry, waker, tokens)?;
        Ok(Server { event_loop, engine })
    }

    /// Serves until a shutdown is requested; Python's `serve_forever`.
    ///
    /// A request, a deadline, a message and a shutdown each end the wait immediately. Python's
    /// argument `poll_interval` is a property of the server here. It says only how often
    /// `service_actions` runs when nothing happens: see
    /// [`set_poll_interval`](Self::set_poll_interval) ([LOOP-7]). You can call `serve_forever`
    /// again after it has returned ([LOOP-5]).
    ///
    /// This is Python's loop, line by line. Its body is [`Engine::turn`]:
    ///
    /// | `socketserver.py` | `serve_forever` |
    /// | --- | --- |
    /// | `self.__is_shut_down.clear()` | `let _run = engine.begin_run()?;` |
    /// | `while not self.__shutdown_request:` | `while !engine.shutdown_requested()` |
    /// | `ready = selector.select(poll_interval)` | `let timeout = engine.timeout(…);` `event_loop.wait(timeout, …)?;` `engine.turn(…)?;` |
    /// | `finally:` `self.__shutdown_request = False` | `_run` is dropped, |
    /// | `self.__is_shut_down.set()` | however the loop ends |
    ///
    /// | `socketserver.py` | `Engine::turn` |
    /// | --- | --- |
    /// | `if self.__shutdown_request: break` (bpo-35017) | `if self.shutdown_requested() { return Ok(Turn::Shutdown); }` |
    /// | `if ready: self._handle_request_noblock()` | `self.listener_is_ready() && self.handle_request_noblock()?` |
    /// | | `self.serve_ready(may_go_on)?` |
    /// | `self.service_actions()` | `self.service_actions()?` |
    ///
    /// Python has no `serve_ready`: there the loop waits for the handler, or a thread serves the
    /// connection. Here it gives each connection that is ready its turn.
    ///
    /// A turn takes one request from the listener, like Python. So between any two requests there
    /// is a shutdown test, and a turn for everybody else ([LOOP-10], [RT-6]).
    ///
    /// # Errors
    ///
    /// Returns [`ServeError::Stopped`] if a handler or a hook returns
    /// [`Failure::Stop`](super::Failure::Stop), and any other failure of `service_actions` or
    /// [`Hooks::ready`] ([LOOP-12]). Returns the operating system's error if the
    /// poll or the listener fails, or the server is closed. However the loop ends, callers that
    /// wait in [`ShutdownHandle::shutdown`] are released ([LOOP-4]).
    ///
    /// [LOOP-4]: crate::spec#loop-4
    /// [LOOP-5]: crate::spec#loop-5
    /// [LOOP-7]: crate::spec#loop-7
    /// [LOOP-10]: crate::spec#loop-10
    /// [LOOP-12]: crate::spec#loop-12
    /// [RT-6]: crate::spec#rt-6
    pub fn serve_forever(&mut self) -> Result<(), ServeError> {
        let Server { event_loop, engine } = self;
        // is_shut_down.clear(). Dropped on every way out, even by a panic: shutdown_request =
        // false, is_shut_down.set().
        let _run = engine.begin_run()?;
        while !engine.shutdown_requested() {
            let timeout = engine.timeout(Instant::now());
            event_loop.wait(timeout, |event| {
                engine.feed(event);
            })?;
            engine.turn(Instant::now())?;
        }
        Ok(())
    }

    /// Waits for one request, serves it, and returns; Python's `handle_request`.
    ///
    /// After `timeout` without a request it calls [`Hooks::handle_timeout`] and returns. `None`
    /// waits without limit, and zero only looks ([REQ-13] to [REQ-15]). It does not run
    /// `service_actions`, and it does not notice shutdown requests ([REQ-12], [SHUT-11]).
    ///
    /// An [`Evented`](super::Evented) server serves its connections while it waits or looks. They
    /// rest between two calls. There, `handle_request` returns when one of these has happened:
    ///
    /// - An exchange has ended, and its output is with the operating system. In HTTP an exchange is
    ///   a request and its response, on a new connection or on one that was kept alive. A
    ///   response that is deferred or streamed counts at its end, and an upgraded connection when
    ///   it closes.
    /// - A connection has ended without an exchange. The client may have left without a word, or
    ///   the protocol may have [no exchanges](super::Protocol::take_completed).
    /// - A request was refused, was shed, or has vanished ([REQ-16]).
    ///
    /// If two of these happen in one turn, both are served before it returns: two requests that a
    /// client pipelines, or those of two clients. To serve until something is the case, use
    /// [`serve_until`](Self::serve_until).
    ///
    /// # Errors
    ///
    /// Returns the errors of [`serve_forever`](Self::serve_forever), and a failure of
    /// `handle_timeout`.
    ///
    /// [REQ-12]: crate::spec#req-12
    /// [REQ-13]: crate::spec#req-13
    /// [REQ-15]: crate::spec#req-15
    /// [REQ-16]: crate::spec#req-16
    /// [SHUT-11]: crate::spec#shut-11
    pub fn handle_request(
        &mut self,
        timeout: impl Into<Option<Duration>>,
    ) -> Result<(), ServeError> {
        let Server { event_loop, engine } = self;
        let deadline = deadline(timeout);
        engine.expect_request()?;
        let mut wait = Some(Duration::ZERO); // look at least once, and serve connections
        loop {
            event_loop.wait(wait, |event| {
                engine.feed(event);
            })?;
            let now = Instant::now();
            let is_over = deadline.is_some_and(|deadline| deadline <= now);
            if is_over {
                engine.expect_request()?; // one more look, whatever the last wait reported (RT-12)
            }
            if engine.turn_for_request(now)? {
                return Ok(());
            }
            if is_over {
                return Ok(engine.hooks_mut().handle_timeout()?);
            }
            let now = Instant::now();
            let left = deadline.map(|deadline| deadline.saturating_duration_since(now));
            let waits = [left, engine.wait_for_work(now)];
            wait = waits.into_iter().flatten().min();
        }
    }

    /// Serves until `condition` is true, or until `timeout` is over. Returns which of them has ended it.
    /// `None` waits without limit.
    ///
    /// Apart from that, it is a run like [`serve_forever`](Self::serve_forever): it runs
    /// `service_actions`, and a shutdown request ends it. The condition is asked at the beginning
    /// and after each turn. It is usually about something that a handler has set. If another thread
    /// sets it, nothing wakes the server to ask.
    ///
    /// ```
    /// use std::cell::OnceCell;
    /// use std::rc::Rc;
    /// use std::time::Duration;
    /// use serve_forever::http::AllowedHosts;
    /// use serve_forever::socketserver::Until;
    /// use serve_forever::{HttpServer, Request, Response};
    ///
    /// let code = Rc::new(OnceCell::new());
    /// let received = Rc::clone(&code);
    /// let page = move |request: &Request<'_>, response: Response<'_>| {
    ///     let Some((_, value)) = request.query_pairs().find(|pair| pair.0 == "code") else {
    ///         return response.send_error(404);
    ///     };
    ///     let _ = received.set(value.into_owned()); // an error: it is the second one
    ///     let head = response.send_response(200).send_header("Connection", "close");
    ///     head.body("You can close this window.")
    /// };
    /// let mut server = HttpServer::bind("127.0.0.1:0", AllowedHosts::loopback(page))?;
    /// server.shutdown_on_signals()?;
    /// # server.shutdown_handle().request();
    /// match server.serve_until(Duration::from_secs(60), || code.get().is_some())? {
    ///     Until::Holds => println!("the code: {:?}", code.get()),
    ///     Until::TimedOut => println!("nobody came"),
    ///     Until::Shutdown => println!("cancelled"),
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # The last response
    ///
    /// While the output of a response that has ended is not all sent, this goes on although the
    /// condition is true. So the last page is with the operating system when it returns, unless the
    /// time is over first. A response that a handler has deferred, or still streams, is not waited
    /// for: let the condition become true when it ends.
    ///
    /// Open connections stay open, and go on with the next call. If you drop the server instead,
    /// they are closed. So send `Connection: close` with the last page: then the client does not
    /// send another request on this connection, and none can be cut off. If several clients may
    /// be in the middle of something, [drain](ShutdownHandle::drain) the server.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`serve_forever`](Self::serve_forever).
    pub fn serve_until(
        &mut self,
        timeout: impl Into<Option<Duration>>,
        mut condition: impl FnMut() -> bool,
    ) -> Result<Until, ServeError> {
        let deadline = deadline(timeout);
        let Server { event_loop, engine } = self;
        let _run = engine.begin_run()?;
        let mut is_over = false;
        loop {
            let holds = condition();
            let is_done = holds && !engine.owes_output();
            let is_shutdown = engine.shutdown_requested();
            if is_done || is_over || is_shutdown {
                return Ok(match holds {
                    true => Until::Holds,
                    false if is_shutdown => Until::Shutdown,
                    false => Until::TimedOut,
                });
            }
            let now = Instant::now();
            let left = deadline.map(|deadline| deadline.saturating_duration_since(now));
            is_over = left.is_some_and(|left| left.is_zero()); // look once more
            let waits = [engine.timeout(now), left];
            event_loop.wait(waits.into_iter().flatten().min(), |event| {
                engine.feed(event);
            })?;
            engine.turn(Instant::now())?;
        }
    }

    /// Looks for events without waiting, and does what can be done; see [`Engine::turn`].
    ///
    /// Use it in a program that has its own loop and polls this server's descriptor there. Call it
    /// once each time your poller wakes, whatever has woken it, and then wait again for
    /// [`timeout`](Self::timeout) at most. If something is left to do, the timeout is zero. So your
    /// other sources have their turns in between.
    ///
    /// Do not repeat turns until the server is idle: with busy clients it never is, and the rest of
    /// your program waits. In a tokio runtime with one thread and 32 busy clients, a task that ticks
    /// every millisecond was 0.9 ms late with one turn a wake, and 54 ms with 64 turns (median; 99 % of
    /// the ticks: 4 ms and 72 ms). A loop with frames has [`serve_frame`](Self::serve_frame).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`serve_forever`](Self::serve_forever).
    pub fn turn(&mut self) -> Result<Turn, ServeError> {
        let Server { event_loop, engine } = self;
        event_loop.wait(Some(Duration::ZERO), |event| {
            engine.feed(event);
        })?;
        engine.turn(Instant::now())
    }

    /// Like [`turn`](Self::turn), but repeats turns while there is something to do, until
    /// `deadline`. Returns the result of the last turn; see [`Engine::turn_until`].
    ///
    /// A turn accepts one client. So if your program gives the server a turn only now and then, many
    /// clients are accepted sooner with this. If nothing is left to do before the deadline, it
    /// returns. A program that has nothing else to do until then calls
    /// [`serve_frame`](Self::serve_frame).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`serve_forever`](Self::serve_forever).
    pub fn turn_until(&mut self, deadline: Instant) -> Result<Turn, ServeError> {
        loop {
            let Server { event_loop, engine } = self;
            event_loop.wait(Some(Duration::ZERO), |event| {
                engine.feed(event);
            })?;
            let turn = engine.turn_before(deadline)?;
            let is_over = Instant::now() >= deadline;
            let is_busy = turn == Turn::Iteration || self.timeout() == Some(Duration::ZERO);
            if turn == Turn::Shutdown || is_over || !is_busy {
                return Ok(turn);
            }
        }
    }

    /// Returns how long the program may sleep on this server's descriptor before the next
    /// [`turn`](Self::turn).
    ///
    /// Always ask: work that is queued, and deadlines, do not make the descriptor readable. `None`
    /// sets no limit.
    ///
    /// It is a whole number of milliseconds, because many pollers count in them: `poll(2)`, GLib and
    /// libuv for example. It is rounded up. If it were rounded down, the program would spin during the
    /// last millisecond before a deadline ([RT-14]).
    ///
    /// [RT-14]: crate::spec#rt-14
    pub fn timeout(&self) -> Option<Duration> {
        if self.event_loop.may_have_more() {
            return Some(Duration::ZERO);
        }
        self.engine.timeout(Instant::now()).map(whole_milliseconds)
    }

    /// Serves until `deadline`, and sleeps while there is nothing to do. Returns the result of the last
    /// turn.
    ///
    /// Use it in a loop with frames that waits for nothing but its own clock and this server. Clients do
    /// not wait for the next frame, and they delay it by no more than one handler. At the deadline it
    /// stops between two sources, like [`turn_until`](Self::turn_until). There is at least one turn, even
    /// if the frame is over already.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use serve_forever::{HttpServer, Request, Response};
    /// use serve_forever::socketserver::Turn;
    ///
    /// let hello = |_: &Request<'_>, response: Response<'_>| response.send_response(200).body("hello");
    /// let mut server = HttpServer::bind("127.0.0.1:0", hello)?;
    /// # server.shutdown_handle().request();
    /// let mut next_frame = Instant::now();
    /// loop {
    ///     // Draw a frame here.
    ///     next_frame += Duration::from_micros(16_667);
    ///     if server.serve_frame(next_frame)? == Turn::Shutdown {
    ///         break;
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`serve_forever`](Self::serve_forever).
    pub fn serve_frame(&mut self, deadline: Instant) -> Result<Turn, ServeError> {
        let Server { event_loop, engine } = self;
        loop {
            let now = Instant::now();
            let rest = deadline.saturating_duration_since(now);
            let wait = engine
                .timeout(now)
                .map_or(rest, |timeout| timeout.min(rest));
            event_loop.wait(Some(wait), |event| {
                engine.feed(event);
            })?;
            let turn = engine.turn_before(deadline)?;
            if turn == Turn::Shutdown || Instant::now() >= deadline {
                return Ok(turn);
            }
        }
    }

    /// Sets how often `service_actions` runs when nothing else happens: half a second by default,
    /// like Python. See [`Engine::set_poll_interval`].
    pub fn set_poll_interval(&mut self, poll_interval: impl Into<Option<Duration>>) {
        self.engine.set_poll_interval(poll_interval);
    }

    /// Serves on a new thread, beside the rest of your program, until the [`RunningServer`] is
    /// stopped or dropped.
    ///
    /// The server is running when this returns: whatever stops it from now on waits for its end.
    ///
    /// Should Ctrl-C stop the server? Then call
    /// [`shutdown_on_signals`](Self::shutdown_on_signals) or
    /// [`drain_on_signals`](Self::drain_on_signals) before this. A signal then no longer ends your
    /// program: its other work goes on until it [sees](RunningServer::is_finished) that the server has
    /// ended. [`RunningServer`] has an example.
    ///
    /// Everything in the server has to be `Send`. If your handler is not, for example because it
    /// has an `Rc`, make the server on the thread that runs it, and call
    /// [`serve_forever`](Self::serve_forever) there.
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if it cannot start a thread. Returns an error if the
    /// server is closed ([LOOP-15]), or if a run goes on already ([LOOP-16]).
    ///
    /// [LOOP-15]: crate::spec#loop-15
    /// [LOOP-16]: crate::spec#loop-16
    pub fn spawn(mut self) -> io::Result<RunningServer<T::Address>>
    where
        Server<T, D, H>: Send + 'static,
    {
        self.engine.announce_run()?;
        let (server_address, handle) = (self.server_address(), self.handle());
        RunningServer::start(server_address, handle, move || self.serve_forever())
    }

    /// Returns a handle that reaches this server from a handler, a hook or another thread: its
    /// numbers, and how to stop it.
    pub fn handle(&self) -> ServerHandle {
        self.engine.handle()
    }

    /// Begins a run of your own loop around [`turn`](Self::turn); see [`Engine::begin_run`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Engine::begin_run`].
    pub fn begin_run(&mut self) -> io::Result<Run> {
        self.engine.begin_run()
    }

    /// Returns a handle that stops this server: from another thread, from a handler, or before it
    /// starts.
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.engine.shutdown_handle()
    }

    /// Lets SIGINT and SIGTERM request a shutdown; see [`Engine::shutdown_on_signals`].
    ///
    /// This lasts until the server is dropped. Between the end of `serve_forever` and the drop, Ctrl-C
    /// is only a request to this server, and does not end the process. So drop the server before you
    /// wait for anything else, such as threads of your own.
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if the signals cannot be caught.
    pub fn shutdown_on_signals(&mut self) -> io::Result<()> {
        self.engine.shutdown_on_signals()
    }

    /// Lets SIGINT and SIGTERM ask for a drain; see [`Engine::drain_on_signals`].
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if the signals cannot be caught.
    pub fn drain_on_signals(&mut self, patience: Duration) -> io::Result<()> {
        self.engine.drain_on_signals(patience)
    }

    /// Sets how many requests may be open at the same time, [`MAX_CONNECTIONS`] at most, and what
    /// happens to the others; see [`Engine::set_max_connections`].
    pub fn set_max_connections(&mut self, limit: usize, overload: Overload) {
        self.engine.set_max_connections(limit, overload);
    }

    /// Sets how many requests of one client address may be open at the same time; see
    /// [`Engine::set_max_connections_per_address`].
    pub fn set_max_connections_per_address(&mut self, limit: usize) {
        self.engine.set_max_connections_per_address(limit);
    }

    /// Returns the counts so far, and how much is open now.
    pub fn stats(&self) -> Stats {
        self.engine.stats()
    }

    /// Returns where the server listens, with the actual port ([SRV-6]).
    ///
    /// [SRV-6]: crate::spec#srv-6
    pub fn server_address(&self) -> T::Address {
        self.engine.transport().server_address()
    }

    /// Closes the listener and every connection. Calling it again does nothing ([SRV-4]).
    ///
    /// [SRV-4]: crate::spec#srv-4
    pub fn server_close(&mut self) {
        self.engine.server_close();
    }

    /// Returns the server without its loop.
    pub fn engine(&self) -> &Engine<T, D, H> {
        &self.engine
    }

    /// Like [`engine`](Self::engine), but you can change it.
    pub fn engine_mut(&mut self) -> &mut Engine<T, D, H> {
        &mut self.engine
    }
}

/// Returns when `timeout` is over. A time beyond the clock's range is no deadline.
fn deadline(timeout: impl Into<Option<Duration>>) -> Option<Instant> {
    timeout
        .into()
        .and_then(|timeout| Instant::now().checked_add(timeout))
}

/// Rounds up to a whole number of milliseconds.
fn whole_milliseconds(timeout: Duration) -> Duration {
    const MILLISECOND: u32 = 1_000_000;
    match timeout.subsec_nanos() % MILLISECOND {
        0 => timeout,
        part => timeout.saturating_add(Duration::from_nanos((MILLISECOND - part).into())),
    }
}

impl<T: Transport, D: Dispatch<T>, H: Hooks<T>> Drop for Server<T, D, H> {
    fn drop(&mut self) {
        self.engine.server_close();
    }
}

#[cfg(unix)]
impl<T: Transport, D: Dispatch<T>, H: Hooks<T>> std::os::fd::AsFd for Server<T, D, H> {
    /// Returns the poll's descriptor, which is readable when there is something to do. So the whole
    /// server is one descriptor in another poller. The listener alone is the transport's `AsFd`
    /// ([SRV-5]).
    ///
    /// Watch it for reading, by level or by edge. A poller that borrows the server prevents
    /// [`turn`](Server::turn), which borrows it mutably. There are two ways out:
    ///
    /// - Let the poller own the server, if it lends it out mutably: `tokio`'s `AsyncFd` does.
    /// - Give the poller a duplicate of the descriptor: `server.as_fd().try_clone_to_owned()`. It
    ///   costs one descriptor. Take it out of the poller, and drop it, before the server.
    ///
    /// [SRV-5]: crate::spec#srv-5
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.event_loop.registry().as_fd()
    }
}

#[cfg(unix)]
impl<T: Transport, D: Dispatch<T>, H: Hooks<T>> std::os::fd::AsRawFd for Server<T, D, H> {
    /// Like [`as_fd`](std::os::fd::AsFd::as_fd), for pollers that take a number.
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        std::os::fd::AsFd::as_fd(self).as_raw_fd()
    }
}
