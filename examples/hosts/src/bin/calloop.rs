//! calloop: the server is an event source of your loop, as in a Wayland compositor.
//!
//! The source has two parts: the server's descriptor, and a timer for its timeout. Whichever is ready,
//! the server gets a turn.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use calloop::generic::Generic;
use calloop::timer::Timer;
use calloop::{EventLoop, EventSource, Interest, LoopSignal, Mode};
use calloop::{Poll, PostAction, Readiness, Token, TokenFactory};
use hosts::{Outcome, Page};
use serve_forever::HttpServer;
use serve_forever::socketserver::{ServeError, Turn};

struct ServerSource {
    descriptor: Generic<OwnedFd>,
    timer: Timer,
    server: HttpServer<Page>,
}

impl EventSource for ServerSource {
    type Event = ();
    type Metadata = ();
    type Ret = ();
    type Error = ServeError;

    /// Gives the server its turn. The callback is told that it was the last one.
    fn process_events<F: FnMut((), &mut ())>(
        &mut self,
        _: Readiness,
        _: Token,
        mut callback: F,
    ) -> Result<PostAction, ServeError> {
        if self.server.turn()? == Turn::Shutdown {
            callback((), &mut ());
            return Ok(PostAction::Remove);
        }
        let timeout = self.server.timeout().unwrap_or(Duration::MAX);
        self.timer.set_duration(timeout);
        Ok(PostAction::Reregister)
    }

    fn register(&mut self, poll: &mut Poll, tokens: &mut TokenFactory) -> calloop::Result<()> {
        self.descriptor.register(poll, tokens)?;
        self.timer.register(poll, tokens)
    }

    /// Starts the timer again. The descriptor keeps its registration, and its token.
    fn reregister(&mut self, poll: &mut Poll, tokens: &mut TokenFactory) -> calloop::Result<()> {
        let _descriptors = tokens.token();
        self.timer.reregister(poll, tokens)
    }

    fn unregister(&mut self, poll: &mut Poll) -> calloop::Result<()> {
        self.descriptor.unregister(poll)?;
        self.timer.unregister(poll)
    }
}

fn main() -> Outcome {
    let server = hosts::bind()?;
    let descriptor = server.as_fd().try_clone_to_owned()?;
    let source = ServerSource {
        descriptor: Generic::new(descriptor, Interest::READ, Mode::Level),
        timer: Timer::immediate(),
        server,
    };
    let mut event_loop = EventLoop::<LoopSignal>::try_new()?;
    let mut stop = event_loop.get_signal();
    let inserted = event_loop
        .handle()
        .insert_source(source, |(), (), stop| stop.stop());
    inserted.map_err(|failed| failed.error)?;
    Ok(event_loop.run(None, &mut stop, |_| ())?)
}
