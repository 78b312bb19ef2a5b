//! The numbers of a server.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// The counts of an [`Engine`](super::Engine) since it was made, and how much it holds now.
///
/// Use it for a metrics page, and in tests: an idle server has no turns, and without clients it
/// holds nothing. While the server runs, a [`ServerHandle`](super::ServerHandle) reads it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Turns: one for each wake-up, whether or not there was anything to do.
    pub turns: u64,
    /// Requests that were taken from the listener, including those that were refused or failed.
    pub accepted: u64,
    /// Of these, how many [`Hooks::verify_request`](super::Hooks::verify_request) refused
    /// ([REQ-5]).
    ///
    /// [REQ-5]: crate::spec#req-5
    pub refused: u64,
    /// Of these, how many were closed because there was no room (see
    /// [`Overload::Shed`](super::Overload)).
    pub shed: u64,
    /// Of these, how many were closed because their client had too many others open
    /// ([`set_max_connections_per_address`](super::Engine::set_max_connections_per_address)).
    pub crowded: u64,
    /// Requests that vanished before they were taken ([REQ-2]).
    ///
    /// [REQ-2]: crate::spec#req-2
    pub lost: u64,
    /// Attempts to take a request that failed because descriptors or memory were short ([REQ-3]).
    /// The `log` crate gets the error, once a second at most.
    ///
    /// [REQ-3]: crate::spec#req-3
    pub shortages: u64,
    /// Failures that were reported to [`Hooks::handle_error`](super::Hooks::handle_error)
    /// ([REQ-7]).
    ///
    /// [REQ-7]: crate::spec#req-7
    pub failed: u64,
    /// Connections that were closed because their clients did not read, or read too slowly
    /// ([`EventedSettings::write_stall`](super::EventedSettings::write_stall)).
    pub stalled: u64,
    /// Requests that the dispatch has taken and not finished, now.
    pub open: usize,
    /// Slots in use, now: those of connections, and those of your own sources. The two that the
    /// engine keeps for itself do not count.
    pub slots: usize,
    /// Slots with a deadline armed, now.
    pub timers: usize,
}

/// [`Stats`] that the loop writes and any thread reads. They may be of different turns, because
/// nothing locks them: a lock would delay the loop.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    turns: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
    shed: AtomicU64,
    crowded: AtomicU64,
    lost: AtomicU64,
    shortages: AtomicU64,
    failed: AtomicU64,
    stalled: AtomicU64,
    open: AtomicUsize,
    slots: AtomicUsize,
    timers: AtomicUsize,
}

impl Counters {
    /// Only the loop calls this, so a store is enough.
    pub(crate) fn write(&self, stats: Stats) {
        self.turns.store(stats.turns, Relaxed);
        self.accepted.store(stats.accepted, Relaxed);
        self.refused.store(stats.refused, Relaxed);
        self.shed.store(stats.shed, Relaxed);
        self.crowded.store(stats.crowded, Relaxed);
        self.lost.store(stats.lost, Relaxed);
        self.shortages.store(stats.shortages, Relaxed);
        self.failed.store(stats.failed, Relaxed);
        self.stalled.store(stats.stalled, Relaxed);
        self.open.store(stats.open, Relaxed);
        self.slots.store(stats.slots, Relaxed);
        self.timers.store(stats.timers, Relaxed);
    }

    pub(crate) fn read(&self) -> Stats {
        Stats {
            turns: self.turns.load(Relaxed),
            accepted: self.accepted.load(Relaxed),
            refused: self.refused.load(Relaxed),
            shed: self.shed.load(Relaxed),
            crowded: self.crowded.load(Relaxed),
            lost: self.lost.load(Relaxed),
            shortages: self.shortages.load(Relaxed),
            failed: self.failed.load(Relaxed),
            stalled: self.stalled.load(Relaxed),
            open: self.open.load(Relaxed),
            slots: self.slots.load(Relaxed),
            timers: self.timers.load(Relaxed),
        }
    }
}
