//! What a program may hook into, by Python's names.

use std::error::Error;
use std::io::{self, Write};
use std::time::Instant;

use super::budget::{Budget, Spend};
use super::{HandlerResult, Transport, failure::Failure};
use crate::reactor::{Now, Reactor, Slot};

/// The server's hooks. All run on the loop thread, and each default is Python's (SRV-2).
pub trait Hooks<T: Transport> {
    /// Whether to serve this request at all; `Ok(false)` closes it without a word (REQ-5).
    ///
    /// # Errors
    ///
    /// A failure is that of the request: reported, closed, and the loop goes on (REQ-6).
    fn verify_request(
        &mut self,
        request: &T::Request,
        client_address: &T::Address,
    ) -> Result<bool, Failure> {
        let _ = (request, client_address);
        Ok(true)
    }

    /// Runs once an iteration, after the requests, and at least every `poll_interval` (LOOP-13).
    ///
    /// # Errors
    ///
    /// A failure leaves `serve_forever` (LOOP-12).
    fn service_actions(&mut self, reactor: &mut Reactor, now: &Now) -> HandlerResult {
        let _ = (reactor, now);
        Ok(())
    }

    /// A SIGHUP has come, after [`Engine::hook_hangup`](super::Engine::hook_hangup): the moment
    /// to read settings again.
    ///
    /// # Errors
    ///
    /// A failure leaves `serve_forever`.
    fn hangup(&mut self, reactor: &mut Reactor, now: &Now) -> HandlerResult {
        let _ = (reactor, now);
        Ok(())
    }

    /// A request failed. By default one entry on standard error, as Python's (REQ-11).
    ///
    /// The request is closed afterwards, whatever this returns (REQ-9).
    ///
    /// # Errors
    ///
    /// [`Failure::Stop`] stops the server; any other failure is logged.
    fn handle_error(
        &mut self,
        error: &(dyn Error + Send + Sync),
        client_address: &T::Address,
    ) -> HandlerResult;

    /// [`Server::handle_request`](super::Server::handle_request) has waited in vain (REQ-14).
    ///
    /// # Errors
    ///
    /// A failure leaves `handle_request`.
    fn handle_timeout(&mut self) -> HandlerResult {
        Ok(())
    }

    /// A source of the program's own, opened on the [`Reactor`], is ready or timed out, or its
    /// [doorbell](Reactor::doorbell) was rung.
    ///
    /// It is opened before the loop starts through
    /// [`Engine::reactor_mut`](super::Engine::reactor_mut), or by any hook that is given the
    /// reactor. The poll reports only what is new: use the source until it answers `WouldBlock`,
    /// or [enqueue](Reactor::enqueue) it for another turn, which lets clients have theirs between.
    ///
    /// # Errors
    ///
    /// A failure leaves `serve_forever`.
    fn ready(&mut self, slot: Slot, reactor: &mut Reactor, now: &Now) -> HandlerResult {
        let _ = (slot, reactor, now);
        Ok(())
    }
}

/// The hooks of a server that was given none.
#[derive(Debug, Default)]
pub struct Defaults {
    budget: Budget,
}

impl<T: Transport> Hooks<T> for Defaults {
    fn handle_error(
        &mut self,
        error: &(dyn Error + Send + Sync),
        client_address: &T::Address,
    ) -> HandlerResult {
        match self.budget.spend(Instant::now()) {
            Spend::Denied => {}
            Spend::Granted { denied_before } => {
                // Nobody may be reading standard error; the server has better things to do.
                let _ = print_error(error, client_address, denied_before);
            }
        }
        Ok(())
    }
}

/// Forty dashes above and below, the client, and the failure with what caused it (REQ-11).
fn print_error(
    error: &dyn Error,
    client_address: &dyn std::fmt::Debug,
    denied_before: u64,
) -> io::Result<()> {
    let rule = "-".repeat(40);
    let mut text = format!("{rule}\nException occurred during processing of request from ");
    text.push_str(&format!("{client_address:?}\n"));
    let mut cause = Some(error);
    while let Some(error) = cause {
        // A message may quote what a client sent: nothing of that reaches a terminal raw.
        text.push_str(&format!("{}\n", error.to_string().escape_debug()));
        cause = error.source();
    }
    if denied_before > 0 {
        text.push_str(&format!("({denied_before} more not shown)\n"));
    }
    text.push_str(&format!("{rule}\n"));
    io::stderr().lock().write_all(text.as_bytes())
}
