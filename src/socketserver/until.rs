//! Why a server that was to serve until something is the case has stopped serving.

/// Why [`Server::serve_until`](super::Server::serve_until) has returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "only `Holds` says that the condition is true"]
// Exhaustive: a program has something to do in each case.
pub enum Until {
    /// The condition is true. This comes first: the time may be over as well, or a shutdown requested.
    Holds,
    /// The time is over, and the condition is not true.
    TimedOut,
    /// A shutdown was requested, by a signal for example, and the condition is not true.
    Shutdown,
}
