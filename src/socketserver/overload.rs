//! How many requests at once, and what becomes of the others (design law 7).

/// What becomes of a client for whom there is no room.
///
/// Neither is an error, and neither costs those who are served anything. A client that waits does
/// not know whether the server is slow or busy; one that is shed knows at once, and can try
/// another server or later.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Overload {
    /// It is left to the kernel, which keeps it in the listener's queue and, when that is full,
    /// lets it try again. As HAProxy (`maxconn`) and Apache (`MaxRequestWorkers`). For clients
    /// that would rather wait, which is most of them.
    #[default]
    Wait,
    /// It is accepted, closed at once without a word, and counted
    /// ([`Stats::shed`](super::Stats::shed)). As nginx (`worker_connections`). For servers behind
    /// a balancer that has others to ask, and where an answer that comes late is worth nothing.
    Shed,
}

/// The limit, and what happens at it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Admission {
    pub(crate) limit: usize,
    pub(crate) overload: Overload,
}

impl Default for Admission {
    /// As many as there are slots; the others wait.
    fn default() -> Admission {
        Admission {
            limit: usize::MAX,
            overload: Overload::Wait,
        }
    }
}
