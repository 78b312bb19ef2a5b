//! A guest in a poll that you have already: no thread, no second loop.
//!
//! The host is a program with a mio poll, here one that counts datagrams. The guest is a web
//! server that shows the count.
//!
//!     cargo run --release --example embed_in_your_poll -- 127.0.0.1:8000
//!     echo hello > /dev/udp/127.0.0.1/8000        # in bash
//!     curl http://127.0.0.1:8000/

use std::cell::Cell;
use std::error::Error;
use std::io::ErrorKind;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};
use serve_forever::http::{self, Http, HttpSettings, Request, Response};
use serve_forever::socketserver::{Defaults, Engine, Evented, Transport, Turn};

// The host numbers its own sources as it likes, and gives the guest a range of its own: some for
// the guest's bookkeeping, and one for each connection that it may hold.
const WAKER: Token = Token(0);
const DATAGRAMS: Token = Token(1);
const GUEST: std::ops::Range<usize> = 100..1100;

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(256);
    // A poll can have one waker. The guest is lent it: a shutdown from another thread wakes both.
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
    let dispatch = Evented::new(Http::new(page, HttpSettings::default()));
    let (tcp, hooks) = (http::listen(address)?, Defaults::default());
    let mut engine = Engine::attach(tcp, dispatch, hooks, poll.registry(), waker, GUEST)?;
    engine.shutdown_on_signals()?;

    // TCP and UDP have each their own ports, so the number is free.
    let mut datagrams = UdpSocket::bind(engine.transport().server_address())?;
    let registry = poll.registry();
    registry.register(&mut datagrams, DATAGRAMS, Interest::READABLE)?;
    println!("Serving on http://{}/", engine.transport().server_address());

    loop {
        // Work that the guest has put off, and its deadlines, do not show in the poll: always ask.
        match poll.poll(&mut events, engine.timeout(Instant::now())) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        for event in &events {
            // The guest takes note of what is its own, and runs nothing yet.
            if !engine.feed(event) && event.token() == DATAGRAMS {
                while datagrams.recv(&mut [0; 512]).is_ok() {
                    count.set(count.get() + 1);
                }
            }
        }
        // Now the guest does what it can: accepts, reads, answers. It never waits.
        if engine.turn(Instant::now())? == Turn::Shutdown {
            return Ok(());
        }
    }
}
