//! A server as a guest in your own mio poll: no thread, no second loop.
//!
//! The host is a program with a mio poll; this one counts datagrams. The guest is a web server that
//! shows the count.
//!
//!     cargo run --release --example embed_in_your_poll -- 127.0.0.1:8000
//!
//! From another terminal, with bash:
//!
//!     echo hello > /dev/udp/127.0.0.1/8000
//!     curl http://127.0.0.1:8000/
//!
//! It needs `mio = { version = "1.2", features = ["net", "os-poll"] }` beside `serve_forever`, the same
//! major version as that of `serve_forever`. Ctrl-C stops it.
//!
//! It is safe: it listens on loopback, and refuses requests for other hosts (`AllowedHosts`).

use std::cell::Cell;
use std::error::Error;
use std::io::ErrorKind;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};
use serve_forever::http::{AllowedHosts, HttpEngine};
use serve_forever::socketserver::Turn;
use serve_forever::{Request, Response};

// The host chooses the tokens of its own sources, and gives the guest a separate range. The guest
// needs a few tokens for itself, and one for each connection.
const WAKER: Token = Token(0);
const DATAGRAMS: Token = Token(1);
const GUEST: std::ops::Range<usize> = 100..1100;

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(256);
    // A poll can have only one waker, so host and guest share it.
    let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);

    // Host and guest run on one thread, so what they share needs no lock.
    let count = Rc::new(Cell::new(0_u64));
    let shown = Rc::clone(&count);
    let page = move |_: &Request<'_>, response: Response<'_>| {
        response
            .send_response(200)
            .send_header("Content-Type", "text/plain")
            .body(format!("{} datagrams so far\n", shown.get()))
    };
    let page = AllowedHosts::loopback(page);
    let mut engine = HttpEngine::bind(address, page, poll.registry(), waker, GUEST)?;
    engine.shutdown_on_signals()?;

    // TCP and UDP have separate ports, so the same number can be used for both.
    let mut datagrams = UdpSocket::bind(engine.server_address())?;
    let registry = poll.registry();
    registry.register(&mut datagrams, DATAGRAMS, Interest::READABLE)?;
    println!("Serving on http://{}/", engine.server_address());

    loop {
        // Always ask the guest for its timeout: the poll does not know its unfinished work and its
        // deadlines.
        match poll.poll(&mut events, engine.timeout(Instant::now())) {
            // A signal has ended the wait, or Ctrl-Z and `fg`. If it is one that the guest catches,
            // the next wait has an event for it.
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        for event in &events {
            // The guest records the events of its own tokens, and does not run anything yet.
            if !engine.feed(event) && event.token() == DATAGRAMS {
                while datagrams.recv(&mut [0; 512]).is_ok() {
                    count.set(count.get() + 1);
                }
            }
        }
        // Now the guest accepts, reads and responds, as far as it can without waiting.
        if engine.turn(Instant::now())? == Turn::Shutdown {
            return Ok(());
        }
    }
}
