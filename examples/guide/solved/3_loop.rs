//! The exercises of step 3 of the guide, solved. `tests/exercises.rs` tests this program.
//!
//!     diff -u examples/guide/3_loop.rs examples/guide/solved/3_loop.rs

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use mio::Interest;
use mio::net::{TcpListener, TcpStream};
use serve_forever::reactor::{EventLoop, Reactor, Slot};

/// How long a client may send nothing.
const IDLE: Duration = Duration::from_secs(1);

struct Client {
    stream: TcpStream,
    /// What has been read, and is not written yet.
    output: Vec<u8>,
    /// When it was last heard of.
    heard: Instant,
}

fn serve_forever(mut listener: TcpListener, poll_interval: Duration) -> io::Result<()> {
    let mut event_loop = EventLoop::new()?;
    let mut reactor = Reactor::new(event_loop.registry(), event_loop.waker(), 0..1000)?;
    let listening = reactor.open()?;
    reactor.register(listening, &mut listener, Interest::READABLE)?;
    let mut clients: HashMap<Slot, Client> = HashMap::new();
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
                if let Ok((mut stream, _address)) = listener.accept() {
                    reactor.enqueue(listening); // another client may be waiting
                    if let Ok(slot) = reactor.open() {
                        let both = Interest::READABLE | Interest::WRITABLE;
                        reactor.register(slot, &mut stream, both)?;
                        let (output, heard) = (Vec::new(), Instant::now());
                        let client = Client {
                            stream,
                            output,
                            heard,
                        };
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
                        reactor.close(slot, &mut client.stream);
                        clients.remove(&slot);
                    }
                }
            }
        }
        service_actions(&mut known, clients.len());
        clients.retain(|&slot, client| {
            // While we cannot write to a client, we do not read from it either.
            let stays = !client.output.is_empty() || client.heard.elapsed() < IDLE;
            if !stays {
                reactor.close(slot, &mut client.stream);
            }
            stays
        });
    }
}

/// Reads once, and sends the same bytes back. Returns their number, which is 0 at the end.
///
/// `WouldBlock` means that there is nothing to read, or no room to write. There will be an edge in both
/// cases. Nothing is read before all is written, so a client that does not read costs little memory.
fn process_request(client: &mut Client) -> io::Result<usize> {
    flush(client)?;
    let mut bytes = [0; 4096];
    let count = client.stream.read(&mut bytes)?;
    client.output.extend_from_slice(&bytes[..count]);
    client.heard = Instant::now();
    flush(client)?;
    Ok(count)
}

/// Writes what waits for the client.
fn flush(client: &mut Client) -> io::Result<()> {
    while !client.output.is_empty() {
        let count = client.stream.write(&client.output)?;
        client.output.drain(..count);
    }
    Ok(())
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
