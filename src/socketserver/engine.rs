//! The server without its sleep: a passive engine that is fed events and given turns.

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Registry, Token, Waker};
#[cfg(unix)]
use signal_hook::consts::SIGHUP;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::budget::complain;
use super::dispatch::Refused;
use super::failure::contain;
use super::listener::{Accepted, Listener};
use super::overload::{Admission, Overload};
use super::shutdown::{Control, Drained, Running};
use super::signals::Signals;
use super::{Dispatch, Failure, Hooks, Request, ShutdownHandle, Stats, Transport};
use crate::reactor::{Now, Reactor};

/// The tokens that an engine keeps for itself, in front of those of its sources.
const LISTENER: usize = 0;
const STOPS: usize = 1;
#[cfg(unix)]
const HANGUPS: usize = 2;

/// How many tokens an engine keeps for itself; it takes one more for each connection.
pub const RESERVED_TOKENS: usize = 3;

/// Transport × dispatch × hooks, and the state of the loop around them.
///
/// An engine never sleeps and owns no poll. Whoever has one calls, over and over:
///
/// 1. [`timeout`](Self::timeout): how long the poll may sleep;
/// 2. [`feed`](Self::feed) for every event, which only records it;
/// 3. [`turn`](Self::turn), which does everything.
///
/// [`Server`](super::Server) is an engine with an [`EventLoop`](crate::reactor::EventLoop) of its
/// own; a program that has a mio poll already can [`attach`](Self::attach) an engine to that.
#[derive(Debug)]
pub struct Engine<T, D, H> {
    transport: T,
    dispatch: D,
    hooks: H,
    reactor: Reactor,
    listener: Listener,
    admission: Admission,
    control: Control,
    stops: Option<StopSignals>,
    #[cfg(unix)]
    hangups: Option<Signals>,
    /// A SIGHUP has come, and its hook has not run yet.
    hung_up: bool,
    now: Now,
    poll_interval: Option<Duration>,
    /// When `service_actions` is due, whatever happens until then (LOOP-13).
    actions_due: Option<Instant>,
    draining: Option<Draining>,
    /// How many requests were open after the last turn; a worker may end one at any time.
    open: usize,
    /// Counts; what can be asked for is not kept here.
    stats: Stats,
}

/// The signals that stop the server, and how.
#[derive(Debug)]
struct StopSignals {
    signals: Signals,
    /// The first one drains for so long, and another stops; `None`: the first one stops.
    patience: Option<Duration>,
}

/// A drain in progress.
#[derive(Debug, Clone, Copy)]
struct Draining {
    until: Instant,
    /// How many connections were open when it began.
    open: usize,
    /// How many of these had been upgraded.
    upgraded: usize,
}

/// What a turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Something was done, or `service_actions` was due: one iteration of Python's loop.
    Iteration,
    /// There was nothing to do: an early wake-up (RT-4).
    Idle,
    /// A shutdown was requested; nothing was done.
    Shutdown,
}

impl<T: Transport, D: Dispatch<T>, H: Hooks<T>> Engine<T, D, H> {
    /// Puts a server together as a guest in somebody's poll.
    ///
    /// Its sources are registered with `registry` under `tokens`, of which it needs
    /// [`RESERVED_TOKENS`] and one for each connection; `waker` is the poll's only one, and wakes
    /// it for a shutdown request or a message.
    ///
    /// # Errors
    ///
    /// If the transport is not activated or cannot be registered, or there are too few tokens.
    pub fn attach(
        transport: T,
        dispatch: D,
        hooks: H,
        registry: &Registry,
        waker: Arc<Waker>,
        tokens: Range<usize>,
    ) -> io::Result<Engine<T, D, H>> {
        if tokens.len() < RESERVED_TOKENS {
            return Err(ErrorKind::InvalidInput.into());
        }
        let first = tokens.start;
        let tokens = first + RESERVED_TOKENS..tokens.end;
        let reactor = Reactor::new(registry, Arc::clone(&waker), tokens)?;
        let mut engine = Engine {
            transport,
            dispatch,
            hooks,
            reactor,
            listener: Listener::new(Token(first + LISTENER)),
            admission: Admission::default(),
            control: Control::new(move || waker.wake()),
            stops: None,
            #[cfg(unix)]
            hangups: None,
            hung_up: false,
            now: Now::new(),
            poll_interval: None,
            actions_due: None,
            draining: None,
            open: 0,
            stats: Stats::default(),
        };
        let server_address = engine.transport.server_address();
        engine.dispatch.attach(&engine.reactor, server_address);
        engine
            .listener
            .watch(&mut engine.transport, engine.reactor.registry())?;
        engine.set_poll_interval(Some(super::POLL_INTERVAL));
        Ok(engine)
    }

    /// How often `service_actions` runs when nothing else happens; `None`: only when something
    /// does (LOOP-7, LOOP-13).
    pub fn set_poll_interval(&mut self, poll_interval: Option<Duration>) {
        self.poll_interval = poll_interval;
        self.restart_interval(Instant::now());
    }

    /// How many requests may be open at once, and what becomes of those that come when so many
    /// are (design law 7).
    ///
    /// Without this, as many as there are slots, and the others wait: see [`attach`](Self::attach)
    /// and [`MAX_CONNECTIONS`](super::MAX_CONNECTIONS), which no limit exceeds. A lower one keeps
    /// the connections, each with its buffers and what its handler holds, within what the machine
    /// can bear, and leaves descriptors to the rest of the program: set it below the descriptor
    /// limit, and there are no shortages. nginx has 512 by default, Apache 400, gunicorn 1000. At
    /// zero nobody is served, until it is changed again.
    ///
    /// Counts what the dispatch has open: an [`Inline`](super::Inline) one has nothing open when
    /// it takes the next request. Lowering the limit closes nothing.
    pub fn set_max_connections(&mut self, limit: usize, overload: Overload) {
        self.admission = Admission { limit, overload };
    }

    /// Whether the dispatch may be given another request.
    fn has_room(&self) -> bool {
        self.dispatch.open() < self.admission.limit && self.dispatch.has_room(&self.reactor)
    }

    fn restart_interval(&mut self, now: Instant) {
        self.actions_due = self
            .poll_interval
            .and_then(|interval| now.checked_add(interval));
    }

    /// Records what an event says; runs nothing. `false`: the token is not one of the engine's.
    pub fn feed(&mut self, event: &Event) -> bool {
        if event.token() == self.listener.token() {
            self.listener.expect_request();
            return true;
        }
        if event.token() == self.token(STOPS) {
            self.take_stops();
            return true;
        }
        #[cfg(unix)]
        if event.token() == self.token(HANGUPS) {
            let hangups = self.hangups.as_mut();
            self.hung_up |= hangups.is_some_and(|signals| signals.take() > 0);
            return true;
        }
        self.reactor.feed(event)
    }

    /// Turns the signals that have come into requests.
    fn take_stops(&mut self) {
        let stops = self.stops.as_mut();
        let (count, patience) =
            stops.map_or((0, None), |stops| (stops.signals.take(), stops.patience));
        let handle = self.control.handle();
        for _ in 0..count {
            match patience {
                Some(patience) if !self.is_draining() => handle.request_drain(patience),
                _ => handle.request(),
            }
        }
    }

    /// One of the tokens that the engine keeps for itself.
    fn token(&self, reserved: usize) -> Token {
        Token(self.listener.token().0 - LISTENER + reserved)
    }

    fn is_draining(&self) -> bool {
        self.draining.is_some() || self.control.drain_requested()
    }

    /// How long the poll may sleep: not at all while work waits, else until the next deadline.
    pub fn timeout(&self, now: Instant) -> Option<Duration> {
        if self.hung_up || self.control.drain_requested() {
            return Some(Duration::ZERO);
        }
        let until = |deadline: Instant| deadline.saturating_duration_since(now);
        let deadlines = [
            self.wait_for_work(now),
            self.actions_due.map(until),
            self.draining.map(|draining| until(draining.until)),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// How long until a request may be taken, or a connection wants its turn.
    pub(crate) fn wait_for_work(&self, now: Instant) -> Option<Duration> {
        let waits = [self.wait_to_accept(now), self.reactor.timeout(now)];
        waits.into_iter().flatten().min()
    }

    /// How long until a request may be taken; `None` if none is known to wait, or none has room.
    fn wait_to_accept(&self, now: Instant) -> Option<Duration> {
        let may = self.admission.overload == Overload::Shed || self.has_room();
        self.listener.wait(now).filter(|_| may)
    }

    /// Does what can be done, in Python's order: shutdown test, listener, connections,
    /// `service_actions` (LOOP-2, RT-6).
    ///
    /// # Errors
    ///
    /// [`Failure::Stop`] from a handler or hook, a failure of `service_actions`, or a listener
    /// that has become unusable (LOOP-12, LOOP-14).
    pub fn turn(&mut self, now: Instant) -> Result<Turn, Failure> {
        self.stats.turns += 1;
        if cfg!(not(unix)) {
            self.take_stops(); // no event tells of them
        }
        if self.shutdown_requested() {
            return Ok(Turn::Shutdown); // bpo-35017: what this wait reported stays queued (SHUT-3)
        }
        self.now.advance(now);
        if let Some(until) = self.control.take_drain() {
            self.begin_drain(until);
        }
        self.reactor.expire(now);
        let may_accept = self.wait_to_accept(now) == Some(Duration::ZERO);
        let accepted = may_accept && self.handle_request_noblock()?;
        let served = self.serve_ready()?;
        self.end_drain(now);
        if std::mem::take(&mut self.hung_up) {
            self.hooks.hangup(&mut self.reactor, &self.now)?;
        }
        let due = self.actions_due.is_some_and(|due| due <= now);
        if !(accepted || served || due) {
            return Ok(Turn::Idle);
        }
        self.restart_interval(now);
        self.hooks.service_actions(&mut self.reactor, &self.now)?;
        Ok(Turn::Iteration)
    }

    /// A turn of `handle_request`: connections, and the listener. Whether it took a request, or
    /// one that vanished (REQ-16).
    pub(crate) fn turn_for_request(&mut self, now: Instant) -> Result<bool, Failure> {
        self.stats.turns += 1;
        self.now.advance(now);
        self.reactor.expire(now);
        self.serve_ready()?;
        let may_accept = self.wait_to_accept(now) == Some(Duration::ZERO);
        Ok(may_accept && self.handle_request_noblock()?)
    }

    /// Takes one request and serves it, or begins to. `false`: there was none (RT-2).
    fn handle_request_noblock(&mut self) -> Result<bool, Failure> {
        let (transport, stats) = (&mut self.transport, &mut self.stats);
        let (request, client_address) = match self.listener.accept(transport, &self.now, stats)? {
            Accepted::Request(request, client_address) => (request, client_address),
            Accepted::Lost => return Ok(true),
            Accepted::Nothing => return Ok(false),
        };
        if !self.has_room() {
            self.stats.shed += 1;
            close(request);
            return Ok(true);
        }
        let verified = contain(|| self.hooks.verify_request(&request, &client_address));
        let refused = match verified {
            Ok(true) => {
                let (reactor, now) = (&mut self.reactor, &self.now);
                let address = client_address.clone();
                self.dispatch
                    .process_request(request, address, reactor, now)
                    .err()
            }
            Ok(false) => {
                self.stats.refused += 1;
                close(request);
                None
            }
            Err(failure) => Some(Refused { request, failure }),
        };
        if let Some(Refused { request, failure }) = refused {
            let reported = self.report(failure, &client_address);
            close(request); // after the report, and whatever came of it (REQ-7, REQ-9)
            reported?;
        }
        Ok(true)
    }

    /// Gives every source that is ready now one turn; those that become ready meanwhile have
    /// theirs in the next, so nobody starves the listener (RT-6).
    fn serve_ready(&mut self) -> Result<bool, Failure> {
        self.dispatch.collect(&mut self.reactor);
        let queued = self.reactor.queued();
        for _ in 0..queued {
            let Some(slot) = self.reactor.next_ready() else {
                break;
            };
            if !self.dispatch.ready(slot, &mut self.reactor, &self.now) {
                self.hooks.ready(slot, &mut self.reactor, &self.now)?;
            }
        }
        let open = self.dispatch.open();
        if open < std::mem::replace(&mut self.open, open) {
            self.listener.retry(&self.now);
        }
        while let Some((failure, client_address)) = self.dispatch.next_failure() {
            self.report(failure, &client_address)?;
        }
        Ok(queued > 0)
    }

    /// Reports a request's failure. `Err` only if the server shall stop (REQ-7 to REQ-9).
    fn report(&mut self, failure: Failure, client_address: &T::Address) -> Result<(), Failure> {
        let Failure::Request(error) = failure else {
            return Err(Failure::Stop);
        };
        self.stats.failed += 1;
        match contain(|| self.hooks.handle_error(&*error, client_address)) {
            Err(Failure::Request(second)) => complain("handle_error failed", &second),
            Err(Failure::Stop) => return Err(Failure::Stop),
            Ok(()) => {}
        }
        Ok(())
    }

    /// Closes the listener and what is idle, and asks the rest to finish (design law 11).
    fn begin_drain(&mut self, until: Instant) {
        if self.draining.is_none() {
            let open = self.dispatch.open();
            self.close_listener();
            let upgraded = self.dispatch.drain(&mut self.reactor, &self.now);
            self.draining = Some(Draining {
                until,
                open,
                upgraded,
            });
        }
    }

    /// Ends the drain when nothing is open any more, or the patience is over: it becomes a
    /// shutdown request.
    fn end_drain(&mut self, now: Instant) {
        let Some(draining) = self.draining else {
            return;
        };
        let aborted = self.dispatch.open();
        if aborted > 0 && now < draining.until {
            return;
        }
        self.dispatch.abort(&mut self.reactor);
        self.draining = None;
        self.control.drained(Drained {
            finished: draining.open.saturating_sub(aborted),
            aborted,
            upgraded: draining.upgraded,
        });
        self.control.handle().request();
    }

    /// SIGINT and SIGTERM request a shutdown from now on, and do nothing else. The signals arrive
    /// through a pipe that the loop watches. On Windows there is no such pipe: the loop looks for
    /// them once a turn, so with a poll interval of `None` it may be long until it does.
    ///
    /// Once the engine is dropped they have no effect at all: the handler that catches them can
    /// be emptied but not be taken away again, since others may have joined it meanwhile.
    ///
    /// # Errors
    ///
    /// What the system answers.
    pub fn shutdown_on_signals(&mut self) -> io::Result<()> {
        self.catch_stops(None)
    }

    /// As [`shutdown_on_signals`](Self::shutdown_on_signals), but the first signal only asks for
    /// a [drain](ShutdownHandle::drain) with that patience; another one stops at once.
    ///
    /// # Errors
    ///
    /// What the system answers.
    pub fn drain_on_signals(&mut self, patience: Duration) -> io::Result<()> {
        self.catch_stops(Some(patience))
    }

    fn catch_stops(&mut self, patience: Option<Duration>) -> io::Result<()> {
        let registry = self.reactor.registry();
        let signals = Signals::register(registry, self.token(STOPS), &[SIGINT, SIGTERM])?;
        self.stops = Some(StopSignals { signals, patience });
        Ok(())
    }

    /// SIGHUP calls [`Hooks::hangup`] from now on, and does nothing else.
    ///
    /// # Errors
    ///
    /// What the system answers.
    #[cfg(unix)]
    pub fn hook_hangup(&mut self) -> io::Result<()> {
        let registry = self.reactor.registry();
        self.hangups = Some(Signals::register(registry, self.token(HANGUPS), &[SIGHUP])?);
        Ok(())
    }

    /// What stops this server from elsewhere.
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.control.handle()
    }

    /// Whether a shutdown has been requested that no run has answered yet.
    pub fn shutdown_requested(&self) -> bool {
        self.control.shutdown_requested()
    }

    /// Takes back a shutdown request that was made while no loop was running (SHUT-6).
    pub fn clear_shutdown_request(&mut self) {
        self.control.clear();
    }

    /// A run of a loop begins.
    pub(crate) fn run(&mut self, poll_interval: Option<Duration>) -> io::Result<Running> {
        let running = self.control.run();
        self.transport.source()?; // a closed server cannot run (LOOP-15)
        self.expect_request();
        self.set_poll_interval(poll_interval);
        Ok(running)
    }

    /// A request may be waiting since before anybody looked (RT-2).
    pub(crate) fn expect_request(&mut self) {
        self.listener.expect_request();
    }

    /// Closes the listener, then everything that is open; again is no error (SRV-4).
    pub fn server_close(&mut self) {
        self.close_listener();
        self.dispatch.server_close(&mut self.reactor);
        while let Some((failure, client_address)) = self.dispatch.next_failure() {
            // What workers had to say since the last turn; the loop has ended, so none can stop it.
            let _ = self.report(failure, &client_address);
        }
    }

    fn close_listener(&mut self) {
        let registry = self.reactor.registry();
        self.listener.close(&mut self.transport, registry);
    }

    /// What has been counted, and what is open now.
    pub fn stats(&self) -> Stats {
        Stats {
            open: self.dispatch.open(),
            stalled: self.dispatch.stalled(),
            slots: self.reactor.open_slots(),
            timers: self.reactor.armed(),
            ..self.stats
        }
    }

    /// The listening socket.
    pub fn transport(&self) -> &T {
        &self.transport
    }

    /// What happens to requests.
    pub fn dispatch(&self) -> &D {
        &self.dispatch
    }

    /// As [`dispatch`](Self::dispatch), to be changed.
    pub fn dispatch_mut(&mut self) -> &mut D {
        &mut self.dispatch
    }

    /// The program's hooks.
    pub fn hooks(&self) -> &H {
        &self.hooks
    }

    /// As [`hooks`](Self::hooks), to be changed.
    pub fn hooks_mut(&mut self) -> &mut H {
        &mut self.hooks
    }

    /// The engine's sources; the place to open the program's own (see [`Hooks::ready`]).
    pub fn reactor_mut(&mut self) -> &mut Reactor {
        &mut self.reactor
    }
}

/// Python's `shutdown_request`, then `close_request`.
fn close(mut request: impl Request) {
    request.shutdown_request();
}
