//! A turn of the engine, in Python's order: shutdown test, listener, connections, `service_actions`.

use std::time::Instant;

use super::{Engine, Turn};
use crate::socketserver::budget::complain;
use crate::socketserver::dispatch::{Dispatch, Refused};
use crate::socketserver::draining::Draining;
use crate::socketserver::failure::{Failure, HandlerResult, catch, contain};
use crate::socketserver::hooks::Hooks;
use crate::socketserver::listener::Attempt;
use crate::socketserver::overload::Overload;
use crate::socketserver::pool::held::HeldWakeUps;
use crate::socketserver::transport::{Accepted, Transport};

impl<T: Transport, D: Dispatch<T>, H: Hooks<T>> Engine<T, D, H> {
    /// A turn. `may_go_on` is asked after each source that was served; the others stay queued.
    #[inline]
    pub(super) fn turn_while(
        &mut self,
        now: Instant,
        may_go_on: impl Fn() -> bool,
    ) -> Result<Turn, Failure> {
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
        self.dispatch.settle(&mut self.reactor, &self.now);
        self.close_drained_listener();
        // What if the dispatch goes on with what was accepted? Then nothing has ended yet.
        let goes_on = completed.is_some() && self.dispatch.open() > open;
        self.report_failures()?;
        self.publish();
        Ok(self.dispatch.completed() != completed || (accepted && !goes_on))
    }

    /// Prepares a turn, before anything is tested or run: the clock, the signals, the deadlines that
    /// have passed, and what other threads have sent. `heeds_requests` is whether requests to stop are
    /// for this turn.
    fn begin_turn(&mut self, now: Instant, heeds_requests: bool) {
        self.handle.interrupts().set_heeded(heeds_requests);
        self.stats.turns += 1;
        if self.control.attend() {
            self.dispatch.attend();
        }
        self.now.advance_after_wait(self.waited.take(), now);
        self.take_signals();
        self.reactor.expire(now);
        // Also in a turn that only says that the server stops. The wake-up for these messages is used
        // up, so nothing else would tell the next run of them.
        self.dispatch.collect(&mut self.reactor);
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
    pub(super) fn takes_requests(&self) -> bool {
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
            self.dispatch.turn_away(request, &self.now);
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
        let held = HeldWakeUps::begin();
        let served = self.serve_queued(may_go_on);
        self.dispatch.settle(&mut self.reactor, &self.now);
        drop(held);
        // What if workers have finished jobs of this turn by now? Then there is no need to sleep.
        self.dispatch.collect(&mut self.reactor);
        self.listener.note_open(self.dispatch.open(), &self.now);
        let served = served?;
        self.report_failures()?;
        Ok(served)
    }

    /// Gives the sources in the run queue their turns.
    #[inline]
    fn serve_queued(&mut self, may_go_on: impl Fn() -> bool) -> Result<bool, Failure> {
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
    pub(super) fn report(
        &mut self,
        failure: Failure,
        client_address: &T::Address,
    ) -> HandlerResult {
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
}

/// Python's `shutdown_request`, then `close_request`.
fn close(mut request: impl Accepted) {
    request.shutdown_request();
}
