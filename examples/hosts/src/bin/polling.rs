//! The crate `polling`, which is the poller of `smol`, `async-io` and `calloop`.
//!
//! It wants its descriptors to outlive it, and says so with `unsafe`. So it gets a duplicate.

use std::os::fd::AsFd;

use hosts::Outcome;
use polling::{Event, Events, PollMode, Poller};
use serve_forever::socketserver::Turn;

const SERVER: usize = 0;

fn main() -> Outcome {
    let mut server = hosts::bind()?;
    let descriptor = server.as_fd().try_clone_to_owned()?;
    let poller = Poller::new()?;
    // SAFETY: the poller is dropped before the descriptor, because it was made after it.
    unsafe { poller.add_with_mode(&descriptor, Event::readable(SERVER), PollMode::Level)? };
    let mut events = Events::new();
    loop {
        events.clear();
        // A signal does not end this wait with an error.
        poller.wait(&mut events, server.timeout())?;
        if server.turn()? == Turn::Shutdown {
            return Ok(());
        }
    }
}
