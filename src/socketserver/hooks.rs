//! The methods that a program may override, with Python's names.

use std::error::Error;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::budget::{Budget, Spend};
use super::failure::{Failure, HandlerResult};
use super::server_handle::ServerHandle;
use super::stderr::report;
use super::transport::Transport;
use crate::reactor::{Now, Reactor, Slot};

/// The server's hooks. All of them run on the loop thread, and their defaults are Python's
/// ([SRV-2]).
///
/// Implement only those that you need.
///
/// | the request | hooks that run |
/// | --- | --- |
/// | it is served | `verify_request`, then the handler |
/// | `verify_request` returns `Ok(false)` | nothing more |
/// | `verify_request` or the handler fails | `handle_error` |
/// | there is no room, and it is [shed](super::Overload::Shed) | nothing |
/// | its client has [too many others](super::Engine::set_max_connections_per_address) | `verify_request`, then nothing more |
///
/// In every case the request is closed, and `service_actions` runs at the end of the turn.
///
/// ```
/// use std::net::SocketAddr;
///
/// use mio::net::TcpStream;
/// use serve_forever::socketserver::{Failure, Hooks, Tcp};
///
/// /// Serves clients on this computer only.
/// struct Local;
///
/// impl Hooks<Tcp> for Local {
///     fn verify_request(&mut self, _: &TcpStream, client: &SocketAddr) -> Result<bool, Failure> {
///         Ok(client.ip().is_loopback())
///     }
/// }
/// ```
///
/// [SRV-2]: crate::spec#srv-2
pub trait Hooks<T: Transport> {
    /// Runs once, when the server is put together. Keep a clone of `server` if a hook has to read
    /// the server's numbers or to stop it. Open your own sources in `reactor` (see
    /// [`ready`](Self::ready)).
    ///
    /// # Errors
    ///
    /// A failure is an error of whatever puts the server together: there is no server then.
    fn attach(&mut self, server: &ServerHandle, reactor: &mut Reactor) -> io::Result<()> {
        let _ = (server, reactor);
        Ok(())
    }

    /// Decides whether to serve this request. `Ok(false)` closes it without a word ([REQ-5]).
    ///
    /// # Errors
    ///
    /// A failure counts as the request's: it is reported, the request is closed, and the loop goes
    /// on ([REQ-6]).
    ///
    /// [REQ-5]: crate::spec#req-5
    /// [REQ-6]: crate::spec#req-6
    fn verify_request(
        &mut self,
        request: &T::Request,
        client_address: &T::Address,
    ) -> Result<bool, Failure> {
        let _ = (request, client_address);
        Ok(true)
    }

    /// Runs once in each iteration, after the requests, and at least every `poll_interval`
    /// ([LOOP-13]).
    ///
    /// Under load that is after every batch of events. While it runs nobody is served, so keep it
    /// short. For work that has to run at certain times, arm your own source
    /// ([`ready`](Self::ready)).
    ///
    /// # Errors
    ///
    /// A failure ends the loop: `serve_forever` returns it ([LOOP-12]).
    ///
    /// [LOOP-12]: crate::spec#loop-12
    /// [LOOP-13]: crate::spec#loop-13
    fn service_actions(&mut self, reactor: &mut Reactor, now: &Now) -> HandlerResult {
        let _ = (reactor, now);
        Ok(())
    }

    /// Returns whether there are `service_actions`, so that an idle server has to wake for them.
    ///
    /// By default it returns `true`. [`Defaults`] returns `false`. Return `false` as well if you do
    /// not implement [`service_actions`](Self::service_actions): then an idle server sleeps until
    /// something happens.
    fn has_service_actions(&self) -> bool {
        true
    }

    /// Reports that a request failed. By default it writes an entry to standard error, like Python
    /// ([REQ-11]). If standard error blocks, it does not wait; see [`LogQueue`](super::LogQueue). You
    /// can downcast the error to find out what failed. To call the default in your own method, as
    /// Python's `super()` does, call the method of [`Defaults`].
    ///
    /// The request is closed afterwards, whatever this returns ([REQ-9]).
    ///
    /// # Errors
    ///
    /// [`Failure::Stop`] stops the server. Any other failure is logged.
    ///
    /// [REQ-9]: crate::spec#req-9
    /// [REQ-11]: crate::spec#req-11
    fn handle_error(
        &mut self,
        error: &(dyn Error + Send + Sync + 'static),
        client_address: &T::Address,
    ) -> HandlerResult {
        report_failure(error, client_address);
        Ok(())
    }

    /// Runs when [`Server::handle_request`](super::Server::handle_request) has waited in vain
    /// ([REQ-14]).
    ///
    /// # Errors
    ///
    /// `handle_request` returns the failure.
    ///
    /// [REQ-14]: crate::spec#req-14
    fn handle_timeout(&mut self) -> HandlerResult {
        Ok(())
    }

    /// Runs when one of your own sources is ready or timed out, or its
    /// [doorbell](Reactor::doorbell) was rung.
    ///
    /// Your sources may be sockets, timers, messages of other threads, or a pipe into which a
    /// signal such as SIGHUP writes. The example `hooks` has one of each. Open them in
    /// [`attach`](Self::attach), or in any other hook that is given the reactor. Messages of other
    /// threads, and of handlers, come through a [`channel`](crate::reactor::channel). For connections
    /// to other servers, use [`Outgoing`](super::Outgoing).
    ///
    /// The poll reports only what is new. So use the source until it returns `WouldBlock`. Or
    /// [enqueue](Reactor::enqueue) it for another turn, so that clients have theirs in between.
    ///
    /// # Errors
    ///
    /// A failure ends the loop: `serve_forever` returns it.
    fn ready(&mut self, slot: Slot, reactor: &mut Reactor, now: &Now) -> HandlerResult {
        let _ = (slot, reactor, now);
        Ok(())
    }
}

/// The hooks of a server that was given none.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Defaults {}

impl<T: Transport> Hooks<T> for Defaults {
    fn has_service_actions(&self) -> bool {
        false
    }
}

/// Writes an entry to standard error, unless the process has written too many in this second
/// ([REQ-11]).
///
/// [REQ-11]: crate::spec#req-11
fn report_failure(error: &dyn Error, client_address: &dyn std::fmt::Debug) {
    static BUDGET: Mutex<Budget> = Mutex::new(Budget::new());
    // The lock is released before anything is written: the error's text comes from the program.
    let spend = BUDGET
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .spend(Instant::now());
    if let Spend::Granted { denied_before } = spend {
        print_error(error, client_address, denied_before);
    }
}

/// Writes the client, and the failure with what caused it, between two lines of forty dashes
/// ([REQ-11]).
///
/// [REQ-11]: crate::spec#req-11
fn print_error(error: &dyn Error, client_address: &dyn std::fmt::Debug, denied_before: u64) {
    let rule = "-".repeat(40);
    let mut text = format!("{rule}\nException occurred during processing of request from ");
    text.push_str(&format!("{client_address:?}\n"));
    let mut cause = Some(error);
    while let Some(error) = cause {
        // A message may quote what a client sent. Escape it, so that it cannot control a terminal.
        text.push_str(&format!("{}\n", error.to_string().escape_debug()));
        cause = error.source();
    }
    if denied_before > 0 {
        text.push_str(&format!("({denied_before} more not shown)\n"));
    }
    text.push_str(&format!("{rule}\n"));
    report(&text);
}
