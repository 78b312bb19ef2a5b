//! tokio: the server is a task of the runtime, on any of its threads.
//!
//! `AsyncFd` owns the server and lends it out for its turns. If your handler has an `Rc`, the server is
//! not `Send`: put the task into a `LocalSet`.

use std::io;
use std::time::Duration;

use hosts::{Outcome, Page};
use serve_forever::HttpServer;
use serve_forever::socketserver::Turn;
use tokio::io::{Interest, unix::AsyncFd};
use tokio::time::timeout;

#[tokio::main]
async fn main() -> Outcome {
    tokio::spawn(serve(hosts::bind()?)).await?
}

async fn serve(server: HttpServer<Page>) -> Outcome {
    // SAFETY: a server keeps its descriptor until it is dropped.
    let server = unsafe { AsyncFd::register_with_interest(server, Interest::READABLE) };
    let mut server = server.map_err(io::Error::from)?;
    loop {
        let longest = server.get_ref().timeout().unwrap_or(Duration::MAX);
        if let Ok(ready) = timeout(longest, server.readable_mut()).await {
            ready?.clear_ready(); // before the turn: what comes during it is reported again
        }
        if server.get_mut().turn()? == Turn::Shutdown {
            return Ok(());
        }
    }
}
