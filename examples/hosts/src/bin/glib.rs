//! GLib's main loop, which is also the loop of GTK and of GStreamer.
//!
//! The server is a future on the thread of the main loop, so nothing needs a lock or a `RefCell`. In an
//! application, `MainContext::spawn_local` starts it.

use std::os::fd::{AsRawFd, RawFd};

use glib::{ControlFlow, IOCondition, MainContext, Priority, SourceFuture};
use hosts::{Outcome, Page};
use serve_forever::HttpServer;
use serve_forever::socketserver::Turn;

fn main() -> Outcome {
    MainContext::default().block_on(serve(hosts::bind()?))
}

async fn serve(mut server: HttpServer<Page>) -> Outcome {
    let descriptor = server.as_raw_fd();
    loop {
        // Ignore which of the two ends the wait.
        match server.timeout() {
            Some(timeout) => drop(glib::future_with_timeout(timeout, readable(descriptor)).await),
            None => readable(descriptor).await,
        }
        if server.turn()? == Turn::Shutdown {
            return Ok(());
        }
    }
}

/// Waits until the descriptor is readable.
async fn readable(descriptor: RawFd) {
    let readable = SourceFuture::new(move |ready| {
        let mut ready = Some(ready);
        let tell = move |_, _| {
            // Ignore the error: the wait is over already.
            let _ = ready.take().map(|ready| ready.send(()));
            ControlFlow::Break
        };
        glib::unix_fd_source_new(descriptor, IOCondition::IN, None, Priority::DEFAULT, tell)
    });
    readable.await
}
