//! What a server counts.

/// What an [`Engine`](super::Engine) has counted since it was made, and what it holds now.
///
/// For a metrics page, and for tests: a server that is left alone does not come round, and one
/// that everybody has left holds nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Turns that were given: one a wake-up, whether or not there was anything to do.
    pub turns: u64,
    /// Requests that were taken from the listener, whatever became of them.
    pub accepted: u64,
    /// Of these, those that [`Hooks::verify_request`](super::Hooks::verify_request) did not want
    /// (REQ-5).
    pub refused: u64,
    /// Of these, those that were closed for lack of room (see [`Overload::Shed`](super::Overload)).
    pub shed: u64,
    /// Requests that vanished before they were taken (REQ-2).
    pub lost: u64,
    /// Attempts to take one that failed for lack of descriptors or memory, and paused (REQ-3).
    pub shortages: u64,
    /// Failures that were reported to [`Hooks::handle_error`](super::Hooks::handle_error)
    /// (REQ-7).
    pub failed: u64,
    /// Connections that were closed because their clients did not read, or too slowly
    /// ([`EventedSettings::write_stall`](super::EventedSettings::write_stall)).
    pub stalled: u64,
    /// Requests that have been taken over and are not finished, now.
    pub open: usize,
    /// Slots of the reactor in use, now: the connections', and those of the program's own sources.
    pub slots: usize,
    /// Slots with a deadline armed, now.
    pub timers: usize,
}
