//! Counts handshakes, and how they failed.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};

/// How the handshakes with a [`TlsConfig`](super::TlsConfig) have ended. A port that is open to the world sees
/// failures all the time: scanners, clients without a common version, clients that do not trust the
/// certificate. So they are counted, and logged at the level `debug` only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsStats {
    /// Handshakes that were completed.
    pub handshakes: u64,
    /// Handshakes that failed: either end refused the other, or the client left.
    pub failed: u64,
    /// Handshakes that took too long.
    pub timeouts: u64,
    /// Clients that spoke plain HTTP.
    pub plain_http: u64,
    /// Connections that were broken off after the handshake, because what the client sent was not what
    /// its keys encrypt.
    pub broken: u64,
}

/// The counters behind [`TlsStats`].
#[derive(Debug, Default)]
pub(super) struct Counters([AtomicU64; 5]);

/// Names one counter, in the order of the fields of [`TlsStats`].
#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    /// [`TlsStats::handshakes`].
    Handshake,
    /// [`TlsStats::failed`].
    Failed,
    /// [`TlsStats::timeouts`].
    Timeout,
    /// [`TlsStats::plain_http`].
    PlainHttp,
    /// [`TlsStats::broken`].
    Broken,
}

impl Counters {
    /// Adds one.
    pub(super) fn count(&self, event: Event) {
        self.0[event as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Adds one, and says why to those who look for it.
    pub(super) fn explain(&self, event: Event, error: &dyn Error) {
        self.count(event);
        match event {
            Event::Broken => log::debug!("a TLS connection is broken: {error}"),
            _ => log::debug!("a TLS handshake failed: {error}"),
        }
    }

    /// Reads all counters. Others may count meanwhile.
    pub(super) fn snapshot(&self) -> TlsStats {
        let count = |event: Event| self.0[event as usize].load(Ordering::Relaxed);
        TlsStats {
            handshakes: count(Event::Handshake),
            failed: count(Event::Failed),
            timeouts: count(Event::Timeout),
            plain_http: count(Event::PlainHttp),
            broken: count(Event::Broken),
        }
    }
}
