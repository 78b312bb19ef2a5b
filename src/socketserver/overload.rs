//! How many requests are served at the same time, and what happens to the others ([design law 7]).
//!
//! [design law 7]: crate::spec#law-7

/// The choices for a client for whom there is no room.
///
/// Set it for a whole server with [`set_max_connections`](super::Server::set_max_connections), and
/// for a pool of threads with [`Threading::overload`](super::Threading::overload). Neither choice
/// affects the clients that are being served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Overload {
    /// The client waits in the kernel's queue, and nothing is accepted until there is room. When
    /// that queue is full, the client's system tries again. HAProxy (`maxconn`) and Apache
    /// (`MaxRequestWorkers`) do the same.
    ///
    /// Most clients prefer this. But a client that waits does not know whether the server is slow
    /// or busy.
    #[default]
    Wait,
    /// The client is accepted and closed immediately, and [`Stats::shed`](super::Stats::shed) counts
    /// it. nginx (`worker_connections`) does the same. An HTTP client is sent a 503 with
    /// `Retry-After` first; your own protocols can have [`Factory::turned_away`] say something, and
    /// otherwise nothing is said.
    ///
    /// Use it behind a balancer that has other servers to ask, or if a late response is worth
    /// nothing.
    ///
    /// [`Factory::turned_away`]: super::Factory::turned_away
    Shed,
}

/// A limit on open requests, and what happens at the limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Admission {
    /// How many may be open.
    pub(crate) limit: usize,
    /// The choice for the others.
    pub(crate) overload: Overload,
}

impl Default for Admission {
    /// Allows as many as there are slots; the others wait.
    fn default() -> Admission {
        Admission {
            limit: usize::MAX,
            overload: Overload::Wait,
        }
    }
}
