//! The server without its sleep: a passive engine that is fed events and given turns. `turn` has what
//! it does in a turn.

mod turn;

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Registry, Waker};

use super::dispatch::Dispatch;
use super::draining::Draining;
use super::failure::catch;
use super::hooks::{Defaults, Hooks};
use super::interrupts::Interrupts;
use super::interval::{Interval, POLL_INTERVAL};
use super::listener::Listener;
use super::overload::{Admission, Overload};
use super::serve_error::ServeError;
use super::server_handle::ServerHandle;
use super::shutdown::{Control, Run, ShutdownHandle};
use super::signals::StopSignals;
use super::stats::Stats;
use super::stderr::FlushOnDrop;
use super::transport::Transport;
use crate::reactor::{Now, Reactor};

/// How many slots an engine keeps for itself: the listener's, and that of the signals.
pub(crate) const OWN_SLOTS: usize = 2;

/// A server that never sleeps and owns no poll: transport × dispatch × hooks.
///
/// Use it if your program has a mio poll already: [`attach`](Self::attach) makes the engine a guest
/// there. Otherwise use a [`Server`](super::Server), which is an engine with its own
/// [`EventLoop`](crate::reactor::EventLoop). The owner of the poll calls, over and over:
///
/// 1. [`timeout`](Self::timeout), which says how long the poll may sleep;
/// 2. [`feed`](Self::feed) for every event, which only records it;
/// 3. [`turn`](Self::turn), which does everything else.
///
/// ```
/// use std::time::Instant;
///
/// use serve_forever::http::{self, Http, HttpSettings, Request, Response};
/// use serve_forever::reactor::EventLoop;
/// use serve_forever::socketserver::{Defaults, Engine, Evented, Turn};
///
/// let hello = |_: &Request<'_>, response: Response<'_>| response.send_response(200).body("hello");
/// let dispatch = Evented::new(Http::new(hello, HttpSettings::default()));
/// let (tcp, hooks) = (http::listen("127.0.0.1:0")?, Defaults::default());
///
/// let mut event_loop = EventLoop::new()?; // or your own mio poll
/// let (registry, waker) = (event_loop.registry(), event_loop.waker());
/// let mut engine = Engine::attach(tcp, dispatch, hooks, registry, waker, 0..102)?;
/// # engine.shutdown_handle().request();
/// while engine.turn(Instant::now())? != Turn::Shutdown {
///     event_loop.wait(engine.timeout(Instant::now()), |event| {
///         engine.feed(event);
///     })?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Engine<T, D, H = Defaults> {
    /// Where requests come from.
    transport: T,
    /// Serves them.
    dispatch: D,
    /// The program's hooks.
    hooks: H,
    /// The sources that may be ready: the listener, the signals, connections, and the program's
    /// own.
    reactor: Reactor,
    /// When the transport may be asked for a request.
    listener: Listener,
    /// How many requests may be open, and what happens to the others.
    admission: Admission,
    /// Where requests to stop or to drain arrive, and where waiters hear that the loop has ended.
    control: Control,
    /// The signals that become such requests.
    signals: StopSignals,
    /// When `service_actions` is due, whatever happens until then ([LOOP-13]).
    ///
    /// [LOOP-13]: crate::spec#loop-13
    interval: Interval,
    /// The drain in progress.
    draining: Option<Draining>,
    /// The time of this turn.
    now: Now,
    /// When the owner of the poll first asked for its timeout after the last turn. Then it waits.
    waited: Cell<Option<Instant>>,
    /// The counts that no other field keeps.
    stats: Stats,
    /// Reaches this engine from handlers and other threads.
    handle: ServerHandle,
    /// Comes last, because everything else may write to standard error when it is dropped.
    _flush: FlushOnDrop,
}

/// The result of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Turn {
    /// Something was done, or `service_actions` was due: one iteration of Python's loop.
    Iteration,
    /// There was nothing to do: an early wake-up ([RT-4]).
    ///
    /// [RT-4]: crate::spec#rt-4
    Idle,
    /// A shutdown was requested, and nothing was done.
    Shutdown,
}

impl<T: Transport, D: Dispatch<T>, H: Hooks<T>> Engine<T, D, H> {
    /// Puts a server together as a guest in your poll.
    ///
    /// The server registers its sources with `registry` under the given `tokens`. Two tokens are
    /// for the listener and the signals. Every connection needs one more, and so does every source
    /// that you open on [`reactor_mut`](Self::reactor_mut). So a range of 102 tokens has room for
    /// 100 connections. `waker` must be the poll's only one: it wakes the poll for a shutdown
    /// request or a message.
    ///
    /// Your program depends on `mio` too, on the same major version as this crate:
    /// `mio = { version = "1.2", features = ["net", "os-poll"] }`.
    ///
    /// Wait again if your `poll` returns an error of the kind
    /// [`Interrupted`](ErrorKind::Interrupted): a signal ends every wait, and so does a program that
    /// is stopped and continued (Ctrl-Z and `fg`). It is no failure.
    /// [`HttpEngine::bind`](crate::http::HttpEngine::bind) has such a loop.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` if the transport is not activated, or if there are fewer than two
    /// tokens. Returns the operating system's error if the transport cannot be registered, and the
    /// error of [`Hooks::attach`].
    pub fn attach(
        transport: T,
        dispatch: D,
        hooks: H,
        registry: &Registry,
        waker: Arc<Waker>,
        tokens: Range<usize>,
    ) -> io::Result<Engine<T, D, H>> {
        let mut reactor = Reactor::new(registry, waker, tokens)?;
        let few = |_| ErrorKind::InvalidInput;
        let mut own_slot = || reactor.open_unqueued().map_err(few);
        let (listener, signals) = (own_slot()?, own_slot()?);
        let interrupts = Arc::new(Interrupts::default());
        let (alarm, waits) = (reactor.alarm(), Arc::clone(&interrupts));
        let control = Control::new(Box::new(move || alarm.wake().and(waits.wake())));
        let handle = ServerHandle::new(control.handle(), interrupts);
        let mut engine = Engine {
            transport,
            dispatch,
            hooks,
            reactor,
            listener: Listener::new(listener),
            admission: Admission::default(),
            control,
            signals: StopSignals::new(signals),
            interval: Interval::new(Some(POLL_INTERVAL), Instant::now()),
            draining: None,
            now: Now::new(),
            waited: Cell::new(None),
            stats: Stats::default(),
            handle,
            _flush: FlushOnDrop,
        };
        let server_address = engine.transport.server_address();
        engine.hooks.attach(&engine.handle, &mut engine.reactor)?;
        engine
            .dispatch
            .attach(&engine.reactor, server_address, &engine.handle);
        let (transport, reactor) = (&mut engine.transport, &mut engine.reactor);
        engine.listener.watch(transport, reactor)?;
        Ok(engine)
    }

    /// Sets how often `service_actions` runs when nothing else happens. With `None` it runs only
    /// when something does ([LOOP-7], [LOOP-13]).
    ///
    /// The default is Python's, half a second ([`POLL_INTERVAL`]). The wait for anything else does
    /// not depend on it: a request, a deadline, a message and a shutdown each end it immediately.
    /// If the hooks have no [`service_actions`](Hooks::has_service_actions), an idle server does not
    /// wake at all.
    ///
    /// On Windows, signals also need the interval, because no event tells of them there. With
    /// `None`, an idle server notices Ctrl-C only when something else wakes it.
    ///
    /// [LOOP-7]: crate::spec#loop-7
    /// [LOOP-13]: crate::spec#loop-13
    pub fn set_poll_interval(&mut self, poll_interval: impl Into<Option<Duration>>) {
        self.interval = Interval::new(poll_interval.into(), Instant::now());
    }

    /// Sets how many requests may be open at the same time, and what happens to the others ([design
    /// law 7]).
    ///
    /// By default there may be as many as there are slots, and the others wait. See
    /// [`attach`](Self::attach) and [`MAX_CONNECTIONS`](super::MAX_CONNECTIONS), which no limit
    /// exceeds. Each connection has buffers, and whatever its handler holds: set a limit that the
    /// machine can bear. Set it below the descriptor limit as well, so that the rest of the program
    /// has descriptors left. (Defaults elsewhere: nginx 512, Apache 400, gunicorn 1000.) With a
    /// limit of zero nobody is served until you change it again.
    ///
    /// The limit is compared with the requests that the dispatch has open.
    /// [`Inline`](super::Inline) has none open when it takes the next. Lowering the limit closes
    /// nothing.
    ///
    /// [design law 7]: crate::spec#law-7
    pub fn set_max_connections(&mut self, limit: usize, overload: Overload) {
        self.admission = Admission { limit, overload };
    }

    /// Sets how many requests of one client address may be open at the same time. With `usize::MAX`,
    /// the default, an address may have all of them ([GUARD-4]).
    ///
    /// Use it for a server that anybody can reach, because otherwise one client can take all
    /// connections. All IPv6 addresses that begin with the same 64 bits count as one, and so do an
    /// IPv4 address and the IPv6 address that stands for it. A client beyond the limit cannot wait
    /// in the kernel's queue, because others wait behind it. So it is closed immediately; an HTTP
    /// client is first sent a 503 with `Retry-After`. [`Stats::crowded`] counts it.
    ///
    /// There is no default, because every number is wrong for some server. Behind a proxy all
    /// clients have the proxy's address, so leave it off, and limit the clients in the proxy. Many
    /// people can share an address, too. A browser opens six connections to a host. (nginx's
    /// `limit_conn` has no default either.)
    ///
    /// [`Evented`](super::Evented) and [`Threading`](super::Threading) keep the limit.
    /// [`Inline`](super::Inline) serves one request after the other, and has no use for it. Clients
    /// on Unix-domain sockets, and datagrams, are not counted. Lowering the limit closes nothing.
    ///
    /// [GUARD-4]: crate::spec#guard-4
    pub fn set_max_connections_per_address(&mut self, limit: usize) {
        self.dispatch.set_max_per_address(limit);
    }

    /// Records what an event says, and runs nothing.
    ///
    /// Returns `false` if the event's token is not one of the engine's.
    pub fn feed(&mut self, event: &Event) -> bool {
        self.reactor.feed(event)
    }

    /// Returns how long the poll may sleep: zero while work waits, else until the next deadline.
    ///
    /// Ask immediately before the poll waits. The first call after a turn shows how long the turn and
    /// your own work have kept the server from looking. That time is not the clients' ([RT-12]).
    ///
    /// While a shutdown is requested this is `None`: there is nothing to do until a run begins or
    /// the request is [taken back](Self::clear_shutdown_request). So a guest that has stopped does
    /// not keep its host awake ([RT-14]).
    ///
    /// [RT-12]: crate::spec#rt-12
    /// [RT-14]: crate::spec#rt-14
    pub fn timeout(&self, now: Instant) -> Option<Duration> {
        if self.shutdown_requested() {
            // What if no turn has said so yet? The request has woken the poll, so one will.
            return None;
        }
        if self.control.drain_requested() || self.signals.may_have_come(&self.reactor) {
            return Some(Duration::ZERO);
        }
        let waits = [
            self.wait_for_work(now),
            self.needs_interval()
                .then(|| self.interval.wait(now))
                .flatten(),
            self.draining.as_ref().map(|draining| draining.wait(now)),
        ];
        waits.into_iter().flatten().min()
    }

    /// Returns whether there is something that only the end of the poll interval brings about.
    fn needs_interval(&self) -> bool {
        self.hooks.has_service_actions() || self.signals.need_polling()
    }

    /// Returns how long until a request may be taken, or a connection wants its turn.
    pub(crate) fn wait_for_work(&self, now: Instant) -> Option<Duration> {
        self.waited.set(self.waited.get().or(Some(now)));
        // What if there is no room? The hint of the listener stays set, because nobody accepts. So
        // it does not count until there is room, or the loop would spin.
        let accept = self.listener.wait(&self.reactor, now);
        let accept = accept.filter(|_| self.takes_requests());
        let waits = [accept, self.reactor.timeout(now)];
        waits.into_iter().flatten().min()
    }

    /// Does what can be done, in Python's order: shutdown test, listener, connections,
    /// `service_actions` ([LOOP-2], [RT-6]).
    ///
    /// [`Server::serve_forever`](super::Server::serve_forever) shows it beside Python's loop.
    /// [`Server::turn`](super::Server::turn) says why a wake of your poll should have one turn.
    ///
    /// # Errors
    ///
    /// Returns [`ServeError::Stopped`] if a handler or a hook returns [`Failure::Stop`]. Returns
    /// any other failure of `service_actions` or of [`Hooks::ready`], and the operating system's
    /// error if the listener can never accept again ([LOOP-12], [LOOP-14]).
    ///
    /// [`Failure::Stop`]: super::Failure::Stop
    /// [LOOP-2]: crate::spec#loop-2
    /// [LOOP-12]: crate::spec#loop-12
    /// [LOOP-14]: crate::spec#loop-14
    /// [RT-6]: crate::spec#rt-6
    pub fn turn(&mut self, now: Instant) -> Result<Turn, ServeError> {
        let turn = self.turn_while(now, || true);
        self.publish();
        Ok(turn?)
    }

    /// Repeats turns while there is something to do, but no longer than until `deadline`. Returns the
    /// result of the last turn.
    ///
    /// Use it in a program that may give the server only so much time, such as a game between two
    /// frames. At the deadline it stops between two sources, and the others stay queued. Before
    /// that it always takes a request and gives one source its turn, even if the deadline is over:
    /// so nobody starves. It cannot interrupt a handler.
    ///
    /// [`turn`](Self::turn) reads no clock. This reads it after each source.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`turn`](Self::turn).
    pub fn turn_until(&mut self, deadline: Instant) -> Result<Turn, ServeError> {
        loop {
            let turn = self.turn_before(deadline)?;
            let now = Instant::now();
            let is_busy = self.timeout(now) == Some(Duration::ZERO);
            if turn == Turn::Shutdown || now >= deadline || !is_busy {
                return Ok(turn);
            }
        }
    }

    /// A turn that stops between two sources at `deadline`.
    pub(crate) fn turn_before(&mut self, deadline: Instant) -> Result<Turn, ServeError> {
        let turn = self.turn_while(Instant::now(), || Instant::now() < deadline);
        self.publish();
        Ok(turn?)
    }

    /// Returns whether an exchange has ended whose output is not all sent.
    pub(crate) fn owes_output(&self) -> bool {
        self.dispatch.owes_output()
    }

    /// Lets SIGINT and SIGTERM request a shutdown from now on, and do nothing else.
    ///
    /// The signals arrive through a pipe that the loop watches. On Windows there is no such pipe:
    /// the loop looks for signals in each turn, at the latest after a [poll
    /// interval](Self::set_poll_interval).
    ///
    /// When the last server that catches the signals is dropped, they end the process again, as they
    /// do by default ([SHUT-16]). If your program has its own handler for them, call
    /// [`keep_signals`](super::keep_signals). Until the drop, the signals are only requests, even if
    /// no loop runs. So drop the server before a long cleanup, if Ctrl-C is to end that.
    ///
    /// The loop notices a signal between two turns, and a blocking handler while it waits for its
    /// client ([SHUT-4]). Nothing ends a handler that computes or sleeps, however often the signal
    /// comes: SIGQUIT (`Ctrl-\`) and SIGKILL end such a process.
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if the signals cannot be caught, or if there are no
    /// descriptors left for the pipe.
    ///
    /// [SHUT-4]: crate::spec#shut-4
    /// [SHUT-16]: crate::spec#shut-16
    pub fn shutdown_on_signals(&mut self) -> io::Result<()> {
        self.catch_signals(None)
    }

    /// Lets the first SIGINT or SIGTERM ask for a [drain](ShutdownHandle::drain) with that
    /// patience, and the next one stop the server immediately.
    ///
    /// The rest is like [`shutdown_on_signals`](Self::shutdown_on_signals). If you call both, the
    /// last call counts.
    ///
    /// # Errors
    ///
    /// Like [`shutdown_on_signals`](Self::shutdown_on_signals).
    pub fn drain_on_signals(&mut self, patience: Duration) -> io::Result<()> {
        self.catch_signals(Some(patience))
    }

    fn catch_signals(&mut self, patience: Option<Duration>) -> io::Result<()> {
        let interrupts = self.handle.interrupts();
        self.signals.catch(patience, &mut self.reactor, interrupts)
    }

    /// Returns a handle that stops this server from elsewhere.
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.control.handle()
    }

    /// Returns a handle that reaches this server from elsewhere.
    pub fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }

    /// Returns whether a shutdown was requested and no run has ended because of it yet.
    pub fn shutdown_requested(&self) -> bool {
        self.control.shutdown_requested()
    }

    /// Takes back a shutdown request that was made while no loop was running ([SHUT-6]).
    ///
    /// [SHUT-6]: crate::spec#shut-6
    pub fn clear_shutdown_request(&mut self) {
        self.control.clear();
    }

    /// Begins a run of your loop, which lasts until the returned value is dropped.
    ///
    /// Hold it while your program calls [`turn`](Self::turn) over and over. Then
    /// [`shutdown`](ShutdownHandle::shutdown), [`drain`](ShutdownHandle::drain) and
    /// [`wait`](ShutdownHandle::wait) of other threads return when you drop it. Without a run they
    /// return [`NotRunning`](super::NotStopped::NotRunning) immediately. Dropping it also takes
    /// back the request that ended the run ([LOOP-4], [SHUT-15]).
    ///
    /// # Errors
    ///
    /// Returns an error if the server is closed, and `ResourceBusy` if a run has begun and not
    /// ended ([LOOP-15], [LOOP-16]).
    ///
    /// [LOOP-4]: crate::spec#loop-4
    /// [LOOP-15]: crate::spec#loop-15
    /// [LOOP-16]: crate::spec#loop-16
    /// [SHUT-15]: crate::spec#shut-15
    pub fn begin_run(&mut self) -> io::Result<Run> {
        if self.draining.is_some() {
            self.close_listener(); // a stop has ended the drain, and no run takes it up again
        }
        let run = self.control.begin_run()?;
        self.expect_request()?;
        self.interval.restart(Instant::now());
        Ok(run)
    }

    /// Begins a run that another thread will take over with [`begin_run`](Self::begin_run).
    pub(crate) fn announce_run(&mut self) -> io::Result<()> {
        self.transport.source()?; // LOOP-15, told to the caller and not to the thread
        self.control.announce_run()
    }

    /// Notes that a request may have been waiting since before the loop began ([RT-2]). Returns an
    /// error if none can come, because the server is closed ([LOOP-15]).
    ///
    /// [LOOP-15]: crate::spec#loop-15
    /// [RT-2]: crate::spec#rt-2
    pub(crate) fn expect_request(&mut self) -> io::Result<()> {
        self.transport.source()?;
        self.listener.expect_request(&mut self.reactor);
        Ok(())
    }

    /// Closes the listener, then everything that is open. Calling it again does nothing ([SRV-4]).
    ///
    /// [SRV-4]: crate::spec#srv-4
    pub fn server_close(&mut self) {
        self.close_listener();
        self.dispatch.server_close(&mut self.reactor);
        while let Some((failure, client_address)) = self.dispatch.next_failure() {
            // Report failures of workers since the last turn. Ignore `Stop`: the loop has ended.
            let stop = self.report(failure, &client_address);
            let _ = catch(|| drop(stop));
        }
        self.publish();
    }

    /// Lets other threads see the counts.
    fn publish(&self) {
        self.handle.publish(self.stats());
    }

    fn close_listener(&mut self) {
        let (transport, reactor) = (&mut self.transport, &mut self.reactor);
        self.listener.close(transport, reactor);
    }

    /// Returns the counts so far, and how much is open now.
    pub fn stats(&self) -> Stats {
        Stats {
            open: self.dispatch.open(),
            stalled: self.dispatch.stalled(),
            shed: self.stats.shed + self.dispatch.shed(),
            crowded: self.dispatch.crowded(),
            slots: self.reactor.open_slots(),
            timers: self.reactor.armed(),
            ..self.stats
        }
    }

    /// Returns where the server listens, with the actual port ([SRV-6]).
    ///
    /// [SRV-6]: crate::spec#srv-6
    pub fn server_address(&self) -> T::Address {
        self.transport.server_address()
    }

    /// Returns the transport, which has the listening socket.
    pub fn transport(&self) -> &T {
        &self.transport
    }

    /// Returns the dispatch, which serves requests.
    pub fn dispatch(&self) -> &D {
        &self.dispatch
    }

    /// Like [`dispatch`](Self::dispatch), but you can change it.
    pub fn dispatch_mut(&mut self) -> &mut D {
        &mut self.dispatch
    }

    /// Returns the program's hooks.
    pub fn hooks(&self) -> &H {
        &self.hooks
    }

    /// Like [`hooks`](Self::hooks), but you can change them.
    pub fn hooks_mut(&mut self) -> &mut H {
        &mut self.hooks
    }

    /// Returns the engine's sources. Your own ones are better opened in [`Hooks::attach`].
    pub fn reactor_mut(&mut self) -> &mut Reactor {
        &mut self.reactor
    }
}
