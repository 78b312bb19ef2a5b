//! A server that serves on a thread of its own.

use std::fmt;
use std::io;
use std::panic;
use std::thread::{self, Builder, JoinHandle};
use std::time::Duration;

use super::failure::catch;
use super::pool::shared::wait_for_thread;
use super::serve_error::ServeError;
use super::server_handle::ServerHandle;
use super::shutdown::{Drained, NotStopped, ShutdownHandle};
use super::stats::Stats;

/// A server that serves on a thread of its own, beside the rest of your program. Made by
/// [`Server::spawn`](super::Server::spawn).
///
/// Dropping it stops the server and waits until its thread has ended. Connections that are open are
/// then closed, even in the middle of a response. [`drain`](Self::drain) lets them finish first.
///
/// A handler may end its own server, and so may a hook. On the loop's thread this does not wait. A
/// handler that runs on a [`Pool`](super::Pool) waits for the end of the loop, and the server then
/// waits for the other handlers only ([THREAD-10]).
///
/// By default Ctrl-C ends the whole program at once. Here it ends the server, so that the program
/// can end its work, too:
///
/// ```
/// use serve_forever::http::AllowedHosts;
/// use serve_forever::{HttpServer, Request, Response};
///
/// let hello = |_: &Request<'_>, response: Response<'_>| response.send_response(200).body("hello");
/// let hello = AllowedHosts::loopback(hello); // no page of another site can read it
/// let mut server = HttpServer::bind("127.0.0.1:0", hello)?;
/// server.shutdown_on_signals()?; // before `spawn`, which takes the server to its thread
/// let server = server.spawn()?;
/// println!("http://{}/", server.server_address());
/// while !server.is_finished() {
///     // ... some of the work of your program ...
/// #   break;
/// }
/// server.shutdown()?; // also returns why a server has ended that failed
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [THREAD-10]: crate::spec#thread-10
#[must_use = "dropping it stops the server"]
pub struct RunningServer<A> {
    /// Where the server listens.
    server_address: A,
    /// Reaches the server.
    handle: ServerHandle,
    /// The thread that serves; `None` once it was waited for.
    thread: Option<JoinHandle<Result<(), ServeError>>>,
}

impl<A> RunningServer<A> {
    /// Runs `serve` on a new thread.
    pub(super) fn start(
        server_address: A,
        handle: ServerHandle,
        serve: impl FnOnce() -> Result<(), ServeError> + Send + 'static,
    ) -> io::Result<RunningServer<A>> {
        let thread = Builder::new()
            .name("serve_forever".to_owned())
            .spawn(serve)?;
        Ok(RunningServer {
            server_address,
            handle,
            thread: Some(thread),
        })
    }

    /// Returns where the server listens, with the actual port ([SRV-6]).
    ///
    /// [SRV-6]: crate::spec#srv-6
    pub fn server_address(&self) -> &A {
        &self.server_address
    }

    /// Returns the counts as they were at the end of the last turn.
    pub fn stats(&self) -> Stats {
        self.handle.stats()
    }

    /// Returns a handle that reaches the server from elsewhere.
    pub fn handle(&self) -> &ServerHandle {
        &self.handle
    }

    /// Returns the handle that stops the server, for another thread.
    pub fn shutdown_handle(&self) -> &ShutdownHandle {
        self.handle.shutdown_handle()
    }

    /// Returns whether the server has ended by itself: because of a signal, a failure, or another
    /// handle.
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits until the server ends by itself: because of a signal, a failure, or another handle.
    ///
    /// # Errors
    ///
    /// Like [`shutdown`](Self::shutdown).
    ///
    /// # Panics
    ///
    /// Panics if the server's thread has panicked, which a handler cannot cause.
    pub fn join(mut self) -> Result<(), ServeError> {
        self.wait()
    }

    /// Stops the server and waits until it has ended. Output that is not sent yet is lost; see
    /// [`drain`](Self::drain).
    ///
    /// # Errors
    ///
    /// Returns what [`serve_forever`](super::Server::serve_forever) returned. Returns
    /// [`NotStopped::OnLoopThread`] if a handler or a hook on the loop's own thread calls it; the
    /// server stops nevertheless.
    ///
    /// # Panics
    ///
    /// Panics if the server's thread has panicked, which a handler cannot cause.
    pub fn shutdown(mut self) -> Result<(), ServeError> {
        self.shutdown_handle().request();
        self.wait()
    }

    /// Lets the server finish the requests that have begun, for `patience` at most, and waits until
    /// it has ended; see [`ShutdownHandle::drain`].
    ///
    /// The request of a handler that calls this has begun as well, and does not finish meanwhile. So
    /// such a call takes as long as `patience`.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`shutdown`](Self::shutdown), and [`NotStopped::NotDrained`] if the
    /// server ended before the drain was over.
    ///
    /// # Panics
    ///
    /// Panics if the server's thread has panicked, which a handler cannot cause.
    pub fn drain(mut self, patience: Duration) -> Result<Drained, ServeError> {
        let drained = self.shutdown_handle().drain(patience);
        self.wait()?;
        let drained = drained.or_else(|error| match error {
            // It ended before the request, perhaps by a drain that another asked for.
            NotStopped::NotRunning => {
                let earlier = self.shutdown_handle().drained();
                earlier.ok_or(NotStopped::NotDrained)
            }
            error => Err(error),
        });
        drained.map_err(failed)
    }

    /// Waits until the thread has ended, and returns what it returned.
    fn wait(&mut self) -> Result<(), ServeError> {
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        if thread.thread().id() == thread::current().id() {
            return Err(failed(NotStopped::OnLoopThread)); // it would wait for itself
        }
        match wait_for_end(thread) {
            Ok(served) => served,
            Err(payload) => panic::resume_unwind(payload),
        }
    }
}

/// Waits for the server's thread. When it closes the server, it may wait for the handlers in turn,
/// and not for the handler that calls this ([THREAD-10]).
///
/// [THREAD-10]: crate::spec#thread-10
fn wait_for_end(
    thread: JoinHandle<Result<(), ServeError>>,
) -> thread::Result<Result<(), ServeError>> {
    wait_for_thread(thread.thread().id(), || thread.join())
}

fn failed(error: NotStopped) -> ServeError {
    ServeError::Failed(error.into())
}

impl<A> Drop for RunningServer<A> {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        self.handle.shutdown_handle().request();
        if thread.thread().id() != thread::current().id() {
            // Ignore the result: a program that needs it calls `shutdown`. Dropping it may panic.
            let _ = catch(|| drop(wait_for_end(thread)));
        }
    }
}

impl<A: fmt::Debug> fmt::Debug for RunningServer<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningServer")
            .field("server_address", &self.server_address)
            .finish_non_exhaustive()
    }
}
