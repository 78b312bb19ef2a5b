//! Reaches a running server from elsewhere: its numbers, and how to stop it.

use std::sync::Arc;

use super::interrupts::Interrupts;
use super::shutdown::ShutdownHandle;
use super::stats::{Counters, Stats};

/// Reaches a running server from a handler, a hook or another thread. Python's `self.server`.
///
/// Get it from [`Server::handle`](super::Server::handle). A handler of HTTP gets it from its request
/// ([`Request::server`](crate::http::Request::server)), a [`Protocol`](super::Protocol) from its
/// [`Mailbox`](super::Mailbox::server), a [`Factory`](super::Factory) from the
/// [`Ends`](super::Ends::server) of a connection, and hooks in [`attach`](super::Hooks::attach).
///
/// ```
/// use serve_forever::{HttpServer, Request, Response};
///
/// let metrics = |request: &Request<'_>, response: Response<'_>| {
///     let Some(server) = request.server() else { return response.send_error(503) };
///     let accepted = server.stats().accepted;
///     response.send_response(200).body(format!("connections_total {accepted}\n"))
/// };
/// let server = HttpServer::bind("127.0.0.1:0", metrics)?;
/// # let _ = server;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Clones reach the same server. A handle stays valid when the server is gone, and keeps none of its
/// descriptors open.
#[derive(Debug, Clone)]
pub struct ServerHandle {
    /// Stops the server.
    shutdown_handle: ShutdownHandle,
    /// The numbers of the server, written by the loop alone.
    counters: Arc<Counters>,
    /// Ends the waits of blocking handlers.
    interrupts: Arc<Interrupts>,
}

impl ServerHandle {
    pub(crate) fn new(
        shutdown_handle: ShutdownHandle,
        interrupts: Arc<Interrupts>,
    ) -> ServerHandle {
        ServerHandle {
            shutdown_handle,
            counters: Arc::default(),
            interrupts,
        }
    }

    /// Returns what ends the waits of blocking handlers.
    pub(super) fn interrupts(&self) -> &Interrupts {
        &self.interrupts
    }

    /// Returns the counts as they were at the end of the last turn. This takes no lock, so it never
    /// delays the loop.
    pub fn stats(&self) -> Stats {
        self.counters.read()
    }

    /// Returns the handle that stops the server.
    pub fn shutdown_handle(&self) -> &ShutdownHandle {
        &self.shutdown_handle
    }

    /// Lets others read these counts from now on.
    pub(crate) fn publish(&self, stats: Stats) {
        self.counters.write(stats);
    }
}
