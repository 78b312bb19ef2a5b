//! A status page in a program that has a mio poll and a TCP service of its own.

use std::cell::Cell;
use std::collections::HashMap;
use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use serve_forever::http::HttpEngine;
use serve_forever::socketserver::{ShutdownHandle, Turn};
use serve_forever::{Request, Response};

const WAKER: Token = Token(0);
const OURS: Token = Token(1);
const FIRST_CLIENT: usize = 2;
const GUEST: std::ops::Range<usize> = 1_000_000..1_001_000;

/// Tells `ready` the addresses of the page and of the service.
pub fn run(
    ready: impl FnOnce(SocketAddr, SocketAddr, ShutdownHandle),
) -> Result<(), Box<dyn Error>> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(256);
    let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);

    let echoed = Rc::new(Cell::new(0));
    let shown = Rc::clone(&echoed);
    let page = move |_: &Request<'_>, response: Response<'_>| {
        let text = format!("{} bytes echoed\n", shown.get());
        response.send_response(200).body(text)
    };
    let mut engine = HttpEngine::bind("127.0.0.1:0", page, poll.registry(), waker, GUEST)?;
    engine.shutdown_on_signals()?;

    let mut listener = TcpListener::bind("127.0.0.1:0".parse()?)?;
    poll.registry()
        .register(&mut listener, OURS, Interest::READABLE)?;
    ready(
        engine.server_address(),
        listener.local_addr()?,
        engine.shutdown_handle(),
    );
    let mut clients: HashMap<Token, TcpStream> = HashMap::new();
    let mut next = FIRST_CLIENT;

    loop {
        match poll.poll(&mut events, engine.timeout(Instant::now())) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        for event in &events {
            if engine.feed(event) {
                continue;
            }
            if event.token() == OURS {
                while let Ok((mut stream, _)) = listener.accept() {
                    let token = Token(next);
                    next += 1;
                    poll.registry()
                        .register(&mut stream, token, Interest::READABLE)?;
                    clients.insert(token, stream);
                }
            }
            if let Some(stream) = clients.get_mut(&event.token()) {
                let mut bytes = [0; 1024];
                while let Ok(count) = stream.read(&mut bytes) {
                    if count == 0 || stream.write_all(&bytes[..count]).is_err() {
                        clients.remove(&event.token());
                        break;
                    }
                    echoed.set(echoed.get() + count);
                }
            }
        }
        if engine.turn(Instant::now())? == Turn::Shutdown {
            return Ok(());
        }
    }
}

pub fn main() -> Result<(), Box<dyn Error>> {
    run(|page, echo, _| println!("status on http://{page}/, echo on {echo}"))
}
