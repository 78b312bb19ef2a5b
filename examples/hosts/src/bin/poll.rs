//! Your own `poll(2)`.
//!
//! The loop borrows the server only while it waits, so the server itself is what it watches.

use hosts::Outcome;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serve_forever::socketserver::Turn;

fn main() -> Outcome {
    let mut server = hosts::bind()?;
    loop {
        let timeout = server.timeout().map(Timespec::try_from).transpose()?;
        // Your own descriptors go here as well.
        let mut watched = [PollFd::new(&server, PollFlags::IN)];
        match poll(&mut watched, timeout.as_ref()) {
            Err(Errno::INTR) => continue,
            polled => polled?,
        };
        if server.turn()? == Turn::Shutdown {
            return Ok(());
        }
    }
}
