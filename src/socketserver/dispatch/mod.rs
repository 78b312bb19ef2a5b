//! Axis 3: how many requests are served at the same time. Python's mix-ins.

mod evented;
mod inline;
mod threading;

pub use evented::Evented;
pub use inline::Inline;
pub use threading::Threading;

use super::failure::Failure;
use super::server_handle::ServerHandle;
use super::transport::{Accepted, Transport};
use crate::reactor::{Now, Reactor, Slot};

/// Serves requests that were accepted and verified.
pub trait Dispatch<T: Transport> {
    /// Called once, when the server is put together. `server_address` is where it listens, and
    /// `server` reaches it.
    fn attach(&mut self, reactor: &Reactor, server_address: T::Address, server: &ServerHandle) {
        let _ = (reactor, server_address, server);
    }

    /// Returns whether another request may be accepted now. If not, the kernel keeps it.
    fn has_room(&self, reactor: &Reactor) -> bool {
        let _ = reactor;
        true
    }

    /// Serves the request, or begins to.
    ///
    /// # Errors
    ///
    /// Returns the request together with the failure. The server reports the failure and then
    /// closes the request, in Python's order ([REQ-7]).
    ///
    /// [REQ-7]: crate::spec#req-7
    fn process_request(
        &mut self,
        request: T::Request,
        client_address: T::Address,
        reactor: &mut Reactor,
        now: &Now,
    ) -> Result<(), Refused<T::Request>>;

    /// Closes a request for which there is no room. By default its client is told nothing.
    fn turn_away(&mut self, mut request: T::Request, now: &Now) {
        let _ = now;
        request.shutdown_request();
    }

    /// Sets how many requests of one client may be open at the same time ([GUARD-4]). Those beyond
    /// it are [turned away](Self::turn_away), and count as [`crowded`](Self::crowded). By default
    /// this does nothing, and there is no limit.
    ///
    /// [GUARD-4]: crate::spec#guard-4
    fn set_max_per_address(&mut self, limit: usize) {
        let _ = limit;
    }

    /// Returns how many requests were turned away because their clients had too many.
    fn crowded(&self) -> u64 {
        0
    }

    /// Every source that was ready has had its turn: decides about a request that waited for that.
    fn settle(&mut self, reactor: &mut Reactor, now: &Now) {
        let _ = (reactor, now);
    }

    /// The turns of the engine are on this thread from now on. Called before the first turn of a run, and
    /// before a turn on another thread than the last.
    fn attend(&mut self) {}

    /// Receives what other threads have sent. A source that can go on because of it joins the run
    /// queue.
    fn collect(&mut self, reactor: &mut Reactor) {
        let _ = reactor;
    }

    /// Gives a source its turn. Returns `false` if the slot is not one of this dispatch.
    fn ready(&mut self, slot: Slot, reactor: &mut Reactor, now: &Now) -> bool {
        let _ = (slot, reactor, now);
        false
    }

    /// Returns the next failure of a request that was taken over before.
    fn next_failure(&mut self) -> Option<(Failure, T::Address)> {
        None
    }

    /// Returns how many requests have been taken over and are not finished.
    fn open(&self) -> usize {
        0
    }

    /// Returns how many requests were ended because their clients did not read in time.
    fn stalled(&self) -> u64 {
        0
    }

    /// Returns how many requests have ended before their clients had everything: the client has
    /// disconnected or does not read, or the protocol has reset the connection or panicked.
    fn broken_off(&self) -> u64 {
        0
    }

    /// Returns how many exchanges have ended so far, if a request that was taken over may go on
    /// with several.
    ///
    /// By default it returns `None`: each request counts as one, as soon as `process_request`
    /// returns. [`Server::handle_request`](super::Server::handle_request) returns when this number
    /// grows.
    fn completed(&self) -> Option<u64> {
        None
    }

    /// Returns whether an exchange has ended whose output is not all sent.
    /// [`Server::serve_until`](super::Server::serve_until) goes on until it is.
    fn owes_output(&self) -> bool {
        false
    }

    /// Returns how many requests were refused because there was no room for them.
    fn shed(&self) -> u64 {
        0
    }

    /// The server is stopping: handles what clients have sent, and asks everything that is open to
    /// finish what it has begun. Returns how many of these have been upgraded to another protocol.
    ///
    /// Further requests may follow, which were waiting in the listener's queue. Their clients may not
    /// have sent anything yet. If there were any, this is called again, a little later: then they have
    /// had their time ([SHUT-14]).
    ///
    /// [SHUT-14]: crate::spec#shut-14
    fn drain(&mut self, reactor: &mut Reactor, now: &Now) -> usize {
        let _ = (reactor, now);
        0
    }

    /// The patience is over: resets everything that is open, so that no client takes what it got
    /// for the whole.
    fn abort(&mut self, reactor: &mut Reactor) {
        let _ = reactor;
    }

    /// Closes everything that is open ([THREAD-5]); the listener is closed already ([SRV-4]).
    ///
    /// [SRV-4]: crate::spec#srv-4
    /// [THREAD-5]: crate::spec#thread-5
    fn server_close(&mut self, reactor: &mut Reactor) {
        let _ = reactor;
    }
}

/// A request that was not served, and why.
#[derive(Debug)]
pub struct Refused<R> {
    /// The request, still open.
    pub request: R,
    /// Why it was not served.
    pub failure: Failure,
}
