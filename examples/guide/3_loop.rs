//! Step 3 of the guide: the loop. The page `guide::step_3_loop` explains it.
//!
//!     cargo run --example guide_3_loop

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use mio::Interest;
use mio::net::{TcpListener, TcpStream};
use serve_forever::reactor::{EventLoop, Reactor};

fn serve_forever(mut listener: TcpListener, poll_interval: Duration) -> io::Result<()> {
    let mut event_loop = EventLoop::new()?;
    let mut reactor = Reactor::new(event_loop.registry(), event_loop.waker(), 0..1000)?;
    let listening = reactor.open()?;
    reactor.register(listening, &mut listener, Interest::READABLE)?;
    let mut clients = HashMap::new();
    let mut known = 0;
    loop {
        let timeout = reactor.timeout(Instant::now()).unwrap_or(poll_interval);
        event_loop.wait(Some(timeout), |event| _ = reactor.feed(event))?;
        for _ in 0..reactor.queued() {
            let Some(slot) = reactor.next_ready() else {
                break;
            };
            if slot == listening {
                // Python: except OSError: return
                if let Ok((mut client, _address)) = listener.accept() {
                    reactor.enqueue(listening); // another client may be waiting
                    if let Ok(slot) = reactor.open() {
                        reactor.register(slot, &mut client, Interest::READABLE)?;
                        clients.insert(slot, client);
                    }
                }
            } else if let Some(client) = clients.get_mut(&slot) {
                match process_request(client) {
                    Ok(1..) => reactor.enqueue(slot), // more bytes may be waiting
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    result => {
                        if let Err(error) = result {
                            handle_error(&error);
                        }
                        reactor.close(slot, client);
                        clients.remove(&slot);
                    }
                }
            }
        }
        service_actions(&mut known, clients.len());
    }
}

/// Reads once, and sends the same bytes back. Returns their number, which is 0 at the end.
fn process_request(client: &mut TcpStream) -> io::Result<usize> {
    let mut bytes = [0; 4096];
    let count = client.read(&mut bytes)?;
    client.write_all(&bytes[..count])?;
    Ok(count)
}

/// One client has failed. The others must not notice.
fn handle_error(error: &io::Error) {
    println!("A client has failed: {error}");
}

/// Runs after every wait. It says how many clients there are, if that has changed.
fn service_actions(known: &mut usize, clients: usize) {
    if *known != clients {
        println!("Clients: {clients}");
        *known = clients;
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let listener = TcpListener::bind(address.parse()?)?;
    println!("Serving on {}", listener.local_addr()?);
    Ok(serve_forever(listener, Duration::from_millis(500))?)
}
