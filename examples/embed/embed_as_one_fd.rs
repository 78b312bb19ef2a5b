//! A whole server as one file descriptor, in a poller that does not know mio.
//!
//! GLib, libuv, Qt, an X11 client, your own `poll(2)`: any poller that waits for descriptors can wait
//! for this server. The descriptor is readable when the server has something to do. In this example a
//! second mio poll plays the foreign poller.
//!
//!     cargo run --release --example embed_as_one_fd -- 127.0.0.1:8000
//!
//! From another terminal:
//!
//!     curl http://127.0.0.1:8000/
//!
//! Ctrl-C stops it.

#[cfg(unix)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::io::ErrorKind;
    use std::os::fd::{AsFd, AsRawFd};

    use mio::unix::SourceFd;
    use mio::{Events, Interest, Poll, Token};
    use serve_forever::http::{HttpServer, Request, Response};
    use serve_forever::socketserver::Turn;

    const SERVER: Token = Token(0);

    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let hello = |_: &Request<'_>, response: Response<'_>| {
        response
            .send_response(200)
            .body("One descriptor says hello.\n")
    };
    let mut server = HttpServer::bind(address, hello)?;
    server.shutdown_on_signals()?;

    let mut foreign = Poll::new()?;
    let mut events = Events::with_capacity(8);
    // One epoll can watch the descriptor of another. Do not use the listener's descriptor: it only
    // shows that clients want to connect, and not what connected clients send.
    let descriptor = server.as_fd().as_raw_fd();
    let registry = foreign.registry();
    registry.register(&mut SourceFd(&descriptor), SERVER, Interest::READABLE)?;
    println!("Serving on http://{}/", server.server_address());

    loop {
        // The timeout covers what the descriptor cannot show: work that is left over (then it is
        // zero), and deadlines.
        match foreign.poll(&mut events, server.timeout()) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        // Always take a turn: if there is nothing to do, it costs very little.
        if server.turn()? == Turn::Shutdown {
            return Ok(());
        }
    }
}

#[cfg(not(unix))]
fn main() {
    eprintln!("Only on Unix a whole poll is one descriptor.");
}
