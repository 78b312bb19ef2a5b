//! A whole server as one file descriptor, in a poller that knows nothing of mio.
//!
//! GLib, libuv, Qt, an X11 client, a `poll(2)` of one's own: whatever waits for descriptors can
//! wait for this server. It is readable when the server has something to do. A second mio poll
//! stands for the foreign one here.
//!
//!     cargo run --release --example embed_as_one_fd -- 127.0.0.1:8000
//!     curl http://127.0.0.1:8000/

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
    // An epoll descriptor may be watched by another one. Not the listener's: that one says only
    // that clients are waiting, nothing of those who are connected.
    let descriptor = server.as_fd().as_raw_fd();
    let registry = foreign.registry();
    registry.register(&mut SourceFd(&descriptor), SERVER, Interest::READABLE)?;
    println!("Serving on http://{}/", server.server_address());

    loop {
        // What the descriptor cannot show: work that was put off (zero), and deadlines.
        match foreign.poll(&mut events, server.timeout()) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        // Ready or not: a turn without anything to do costs one look.
        if server.turn()? == Turn::Shutdown {
            return Ok(());
        }
    }
}

#[cfg(not(unix))]
fn main() {
    eprintln!("Only Unix has descriptors that a poll can be watched by.");
}
