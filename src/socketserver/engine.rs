//! The server without its sleep: a passive engine that is fed events and given turns.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Registry, Waker};

use super::budget::complain;
use super::dispatch::{Dispatch, Refused};
use super::draining::Draining;
use super::failure::{Failure, HandlerResult, catch, contain};
use super::hooks::{Defaults, Hooks};
use super::interrupts::Interrupts;
use super::interval::{Interval, POLL_INTERVAL};
use super::listener::{Attempt, Listener};
use super::overload::{Admission, Overload};
use super::serve_error::ServeError;
use super::server_handle::ServerHandle;
use super::shutdown::{Control, Run, ShutdownHandle};
use super::signals::StopSignals;
use super::stats::Stats;
use super::stderr::FlushOnDrop;
use super::transport::{Accepted, Transport};
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
    /// # Errors
    ///
    /// Returns `InvalidInput` if the transport is not activated, or if there are fewer than two
    /// tokens. Returns the operating system's error if the transport cannot be registered.
    pub fn attach(
        transport: T,
        dispatch: D,
        hooks: H,
        registry: &Registry,
        waker: Arc<Waker>,
        tokens: Range<usize>,
    ) -> io::Result<Engine<T, D, H>> {
        let mut reactor = Reactor::new(registry, waker, tokens)?;
        let mut own_slot = || reactor.open_unqueued().ok_or(ErrorKind::InvalidInput);
        let (listener, signals) = (own_slot()?, own_slot()?);
        let interrupts = Arc::new(Interrupts::default());
        let (alarm, waits) = (reactor.alarm(), Arc::clone(&interrupts));
        let control = Control::new(move || alarm.wake().and(waits.wake()));
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
        engine.hooks.attach(&engine.handle);
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
            self.interval.wait(now).filter(|_| self.needs_interval()),
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
    ///
    /// # Errors
    ///
    /// Returns [`ServeError::Stopped`] if a handler or a hook returns [`Failure::Stop`]. Returns
    /// any other failure of `service_actions` or of [`Hooks::ready`], and the operating system's
    /// error if the listener can never accept again ([LOOP-12], [LOOP-14]).
    ///
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

    /// A turn. `may_go_on` is asked after each source that was served; the others stay queued.
    #[inline]
    fn turn_while(&mut self, now: Instant, may_go_on: impl Fn() -> bool) -> Result<Turn, Failure> {
        self.begin_turn(now, true);
        if self.shutdown_requested() {
            return Ok(Turn::Shutdown); // bpo-35017: what this wait reported stays hinted (SHUT-3)
        }
        self.begin_drain();
        let accepted = self.listener_is_ready() && self.handle_request_noblock()?;
        self.close_drained_listener();
        let served = self.serve_ready(may_go_on)?;
        self.end_turn();
        if !(accepted || served || self.interval.is_over(now)) {
            return Ok(Turn::Idle);
        }
        self.service_actions()?;
        Ok(Turn::Iteration)
    }

    /// A turn of `handle_request`: connections, and the listener. Returns whether a request was
    /// served to its end, or was taken and has ended already, even if it vanished ([REQ-16]).
    ///
    /// [REQ-16]: crate::spec#req-16
    pub(crate) fn turn_for_request(&mut self, now: Instant) -> Result<bool, Failure> {
        self.begin_turn(now, false); // SHUT-11
        let completed = self.dispatch.completed();
        self.serve_ready(|| true)?;
        let open = self.dispatch.open();
        let accepted = self.listener_is_ready() && self.handle_request_noblock()?;
        self.close_drained_listener();
        // What if the dispatch goes on with what was accepted? Then nothing has ended yet.
        let goes_on = completed.is_some() && self.dispatch.open() > open;
        self.report_failures()?;
        self.publish();
        Ok(self.dispatch.completed() != completed || (accepted && !goes_on))
    }

    /// Returns whether an exchange has ended whose output is not all sent.
    pub(crate) fn owes_output(&self) -> bool {
        self.dispatch.owes_output()
    }

    /// Prepares a turn, before anything is tested or run: the clock, the signals, and the deadlines
    /// that have passed. `heeds_requests` is whether requests to stop are for this turn.
    fn begin_turn(&mut self, now: Instant, heeds_requests: bool) {
        self.handle.interrupts().set_heeded(heeds_requests);
        self.stats.turns += 1;
        self.control.attend(); // the engine may have moved to another thread since its last turn
        self.now.advance_after_wait(self.waited.take(), now);
        self.take_signals();
        self.reactor.expire(now);
    }

    /// Turns the signals that have come into requests.
    fn take_signals(&mut self) {
        let handle = self.control.handle();
        for _ in 0..self.signals.take(&mut self.reactor) {
            let is_draining = self.draining.is_some() || self.control.drain_requested();
            match self.signals.patience() {
                Some(patience) if !is_draining => handle.request_drain(patience),
                _ => handle.request(),
            }
        }
    }

    /// Returns whether a request may be waiting that may be taken now.
    fn listener_is_ready(&self) -> bool {
        let now = self.now.instant();
        let draining = self.draining.as_ref();
        draining.is_none_or(|draining| draining.takes_queued(now))
            && self.listener.is_ready(&self.reactor, now)
    }

    /// Returns whether a request would be taken, to be served or to be shed. If not, it waits in the
    /// listener's queue.
    fn takes_requests(&self) -> bool {
        self.has_room() || self.admission.overload == Overload::Shed
    }

    /// Returns whether the dispatch may be given another request.
    fn has_room(&self) -> bool {
        self.dispatch.open() < self.admission.limit && self.dispatch.has_room(&self.reactor)
    }

    /// Takes one request and serves it, or begins to. Returns `false` if there was none ([RT-2]),
    /// or if it has to wait for room.
    ///
    /// [RT-2]: crate::spec#rt-2
    fn handle_request_noblock(&mut self) -> Result<bool, Failure> {
        if !self.takes_requests() {
            return Ok(false);
        }
        let has_room = self.has_room();
        let accepted = self.accept()?;
        let (request, client_address) = match accepted {
            Attempt::Request(request, client_address) => (request, client_address),
            Attempt::Lost => return Ok(true),
            Attempt::Nothing => return Ok(false),
        };
        if !has_room {
            self.stats.shed += 1;
            close(request);
            return Ok(true);
        }
        if let Err(Refused { request, failure }) = self.process_request(request, &client_address) {
            let reported = self.report(failure, &client_address);
            close(request); // after the report, whatever its result (REQ-7, REQ-9)
            reported?;
        }
        Ok(true)
    }

    /// Accepts once. What if the listener fails in a drain? Then it is closed: the drain needs none to
    /// finish what has begun.
    fn accept(&mut self) -> Result<Attempt<T::Request, T::Address>, Failure> {
        let (transport, reactor) = (&mut self.transport, &mut self.reactor);
        let accepted = self
            .listener
            .accept(transport, reactor, &self.now, &mut self.stats);
        match (&mut self.draining, accepted) {
            (Some(draining), Ok(Attempt::Request(request, client_address))) => {
                draining.note_taken(&self.now);
                Ok(Attempt::Request(request, client_address))
            }
            (Some(_), Err(failure)) => {
                log::error!("the listener failed in a drain: {failure}");
                self.close_listener();
                Ok(Attempt::Nothing)
            }
            (_, accepted) => accepted,
        }
    }

    /// Asks the hook, and gives the request to the dispatch or closes it.
    fn process_request(
        &mut self,
        request: T::Request,
        client_address: &T::Address,
    ) -> Result<(), Refused<T::Request>> {
        match contain(|| self.hooks.verify_request(&request, client_address)) {
            Ok(true) => {
                let (address, reactor) = (client_address.clone(), &mut self.reactor);
                self.dispatch
                    .process_request(request, address, reactor, &self.now)
            }
            Ok(false) => {
                self.stats.refused += 1;
                close(request);
                Ok(())
            }
            Err(failure) => Err(Refused { request, failure }),
        }
    }

    /// Gives every source that is ready now one turn, as long as `may_go_on`. Returns whether there
    /// was any.
    #[inline]
    fn serve_ready(&mut self, may_go_on: impl Fn() -> bool) -> Result<bool, Failure> {
        self.dispatch.collect(&mut self.reactor);
        // What if a source is ready again after its turn? It is queued behind this number, so its
        // next turn comes after the listener's, and nobody starves (RT-6).
        let queued = self.reactor.queued();
        for _ in 0..queued {
            // What if an earlier turn has closed a source that is queued? The reactor passes over
            // it, so there may be fewer.
            let Some(slot) = self.reactor.next_ready() else {
                break;
            };
            if !self.dispatch.ready(slot, &mut self.reactor, &self.now) {
                self.hooks.ready(slot, &mut self.reactor, &self.now)?;
            }
            if !may_go_on() {
                break;
            }
        }
        self.listener.note_open(self.dispatch.open(), &self.now);
        self.report_failures()?;
        Ok(queued > 0)
    }

    /// Reports the failures of requests that the dispatch has taken over.
    fn report_failures(&mut self) -> HandlerResult {
        while let Some((failure, client_address)) = self.dispatch.next_failure() {
            self.report(failure, &client_address)?;
        }
        Ok(())
    }

    /// Reports a request's failure. Returns an error only if the server has to stop ([REQ-7] to
    /// [REQ-9]).
    ///
    /// [REQ-7]: crate::spec#req-7
    /// [REQ-9]: crate::spec#req-9
    fn report(&mut self, failure: Failure, client_address: &T::Address) -> HandlerResult {
        let error = match failure {
            Failure::Request(error) => error,
            stop => return Err(stop),
        };
        self.stats.failed += 1;
        let reported = contain(|| self.hooks.handle_error(&*error, client_address));
        if let Err(panic) = catch(|| drop(error)) {
            complain("an error panicked when it was dropped", panic);
        }
        match reported {
            Err(Failure::Request(second)) => complain("handle_error failed", second),
            Err(stop) => return Err(stop),
            Ok(()) => {}
        }
        Ok(())
    }

    /// Python's `service_actions`. The next interval begins here.
    fn service_actions(&mut self) -> HandlerResult {
        self.interval.restart(self.now.instant());
        self.hooks.service_actions(&mut self.reactor, &self.now)
    }

    /// If a drain was requested, closes what is idle, and asks the rest to finish. The listener stays
    /// open until its queue is empty ([design law 11], [SHUT-14]).
    ///
    /// [SHUT-14]: crate::spec#shut-14
    /// [design law 11]: crate::spec#law-11
    fn begin_drain(&mut self) {
        let Some(until) = self.control.take_drain() else {
            return;
        };
        if self.draining.is_none() {
            let (open, broken_off) = (self.dispatch.open(), self.dispatch.broken_off());
            let queued = self.transport.drain();
            let draining = Draining::new(until, queued, open, broken_off);
            let upgraded = self.dispatch.drain(&mut self.reactor, &self.now);
            self.draining = Some(draining.with_upgraded(upgraded));
            // The last look may be older than the last client.
            self.listener.expect_request(&mut self.reactor);
        }
    }

    /// Closes the listener of a server that drains, as soon as nobody more is taken from its queue.
    fn close_drained_listener(&mut self) {
        if self.draining.is_none() {
            return;
        }
        // `accept` clears the hint when the queue is empty.
        let may_hold_more = self.listener.expects_request(&self.reactor);
        // What if there is no room, and nothing is open that could make room? Then nobody waits.
        let may_have_room = self.takes_requests() || self.dispatch.open() > 0;
        let Some(draining) = &mut self.draining else {
            return;
        };
        if !(draining.takes_queued(self.now.instant()) && may_hold_more && may_have_room) {
            draining.note_closed();
            self.close_listener();
        }
    }

    /// Ends a turn, after the connections: if a drain is over, it becomes a shutdown request.
    fn end_turn(&mut self) {
        let now = self.now.instant();
        if self
            .draining
            .as_mut()
            .is_some_and(|draining| draining.settle(now))
        {
            self.dispatch.drain(&mut self.reactor, &self.now);
        }
        let (open, broken_off) = (self.dispatch.open(), self.dispatch.broken_off());
        let draining = self.draining.as_ref();
        let drained = draining.and_then(|draining| draining.end(open, broken_off, now));
        if let Some(drained) = drained {
            self.close_listener();
            self.dispatch.abort(&mut self.reactor);
            self.draining = None;
            self.control.drained(drained);
            self.control.handle().request();
        }
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

    /// Returns the engine's sources. Open your own ones there (see [`Hooks::ready`]).
    pub fn reactor_mut(&mut self) -> &mut Reactor {
        &mut self.reactor
    }
}

/// Python's `shutdown_request`, then `close_request`.
fn close(mut request: impl Accepted) {
    request.shutdown_request();
}
