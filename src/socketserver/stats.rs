//! The numbers of a server.

/// The counts of an [`Engine`](super::Engine) since it was made, and how much it holds now.
///
/// Use it for a metrics page, and in tests: an idle server has no turns, and without clients it
/// holds nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Turns: one for each wake-up, whether or not there was anything to do.
    pub turns: u64,
    /// Requests that were taken from the listener, including those that were refused or failed.
    pub accepted: u64,
    /// Of these, how many [`Hooks::verify_request`](super::Hooks::verify_request) refused (REQ-5).
    pub refused: u64,
    /// Of these, how many were closed because there was no room (see
    /// [`Overload::Shed`](super::Overload)).
    pub shed: u64,
    /// Requests that vanished before they were taken (REQ-2).
    pub lost: u64,
    /// Attempts to take a request that failed because descriptors or memory were short (REQ-3). The
    /// `log` crate gets the error, once a second at most.
    pub shortages: u64,
    /// Failures that were reported to [`Hooks::handle_error`](super::Hooks::handle_error)
    /// (REQ-7).
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
