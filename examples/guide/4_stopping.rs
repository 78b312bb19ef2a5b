//! Step 4 of the guide: stopping. The page `guide::step_4_stopping` explains it.
//!
//!     cargo run --example guide_4_stopping

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Waker};
use serve_forever::reactor::{EventLoop, Reactor};

/// Stops the loop from any thread: where requests go, what wakes the loop, what tells of its end.
struct ShutdownHandle(Sender<()>, Arc<Waker>, Receiver<()>);

impl ShutdownHandle {
    /// Asks the loop to end. Does not wait.
    fn request(&self) -> io::Result<()> {
        _ = self.0.try_send(()); // it is full if somebody has asked before
        self.1.wake()
    }

    /// Asks the loop to end, and waits until it has ended.
    fn shutdown(&self) -> io::Result<()> {
        self.request()?;
        _ = self.2.recv();
        Ok(())
    }
}

fn serve_forever(
    mut listener: TcpListener,
    mut event_loop: EventLoop,
    asked: &Receiver<()>,
    stop: &ShutdownHandle,
) -> io::Result<()> {
    let mut reactor = Reactor::new(event_loop.registry(), event_loop.waker(), 0..1000)?;
    let listening = reactor.open()?;
    reactor.register(listening, &mut listener, Interest::READABLE)?;
    let mut clients = HashMap::new();
    while asked.try_recv().is_err() {
        let timeout = reactor.timeout(Instant::now());
        event_loop.wait(timeout, |event| _ = reactor.feed(event))?;
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
                match process_request(client, stop) {
                    Ok(1..) => reactor.enqueue(slot), // more bytes may be waiting
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    _ => {
                        reactor.close(slot, client);
                        clients.remove(&slot);
                    }
                }
            }
        }
    }
    Ok(())
}

/// Reads once, and sends the same bytes back. Returns their number, which is 0 at the end.
fn process_request(client: &mut TcpStream, stop: &ShutdownHandle) -> io::Result<usize> {
    let mut bytes = [0; 4096];
    let count = client.read(&mut bytes)?;
    match &bytes[..count] {
        b"stop\n" => stop.request()?,
        b"shutdown\n" => stop.shutdown()?,
        bytes => client.write_all(bytes)?,
    }
    Ok(count)
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let listener = TcpListener::bind(address.parse()?)?;
    println!("Serving on {}", listener.local_addr()?);
    let event_loop = EventLoop::new()?;
    let (requests, asked) = bounded(1); // a request waits here until the loop takes it
    let (running, is_shut_down) = bounded(0); // nothing is sent; it tells that `running` is gone
    let stop = ShutdownHandle(requests, event_loop.waker(), is_shut_down.clone());
    let serving = thread::spawn(move || {
        let _running = running; // dropped when the loop ends, however it ends
        serve_forever(listener, event_loop, &asked, &stop)
    });
    _ = is_shut_down.recv();
    println!("The loop has ended");
    Ok(serving.join().map_err(|_| "the loop has panicked")??)
}
