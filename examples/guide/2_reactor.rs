//! Step 2 of the guide: level out of edges. The page `guide::step_2_reactor` explains it.
//!
//!     cargo run --example guide_2_reactor

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::time::Instant;

use mio::Interest;
use mio::net::{TcpListener, TcpStream};
use serve_forever::reactor::{EventLoop, Reactor};

fn serve_forever(mut listener: TcpListener) -> io::Result<()> {
    let mut event_loop = EventLoop::new()?;
    let mut reactor = Reactor::new(event_loop.registry(), event_loop.waker(), 0..1000)?;
    let listening = reactor.open()?;
    reactor.register(listening, &mut listener, Interest::READABLE)?;
    let mut clients = HashMap::new();
    loop {
        let timeout = reactor.timeout(Instant::now()); // zero while the queue is not empty
        event_loop.wait(timeout, |event| _ = reactor.feed(event))?; // only notes the event
        for _ in 0..reactor.queued() {
            let Some(slot) = reactor.next_ready() else {
                break;
            };
            if slot == listening {
                match listener.accept() {
                    Ok((mut client, _address)) => {
                        reactor.enqueue(listening); // another client may be waiting
                        if let Ok(slot) = reactor.open() {
                            reactor.register(slot, &mut client, Interest::READABLE)?;
                            clients.insert(slot, client);
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            } else if let Some(client) = clients.get_mut(&slot) {
                match process_request(client) {
                    Ok(0) => {
                        reactor.close(slot, client);
                        clients.remove(&slot);
                    }
                    Ok(_) => reactor.enqueue(slot), // more bytes may be waiting
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
}

/// Reads once, and sends the same bytes back. Returns their number, which is 0 at the end.
fn process_request(client: &mut TcpStream) -> io::Result<usize> {
    let mut bytes = [0; 16];
    let count = client.read(&mut bytes)?;
    client.write_all(&bytes[..count])?;
    Ok(count)
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let listener = TcpListener::bind(address.parse()?)?;
    println!("Serving on {}", listener.local_addr()?);
    Ok(serve_forever(listener)?)
}
