//! The exercises of step 1 of the guide, solved. `tests/exercises.rs` tests this program.
//!
//!     diff -u examples/guide/1_select.rs examples/guide/solved/1_select.rs

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(0);

fn serve_forever(mut listener: TcpListener) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(64);
    let registry = poll.registry().try_clone()?;
    registry.register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut clients = HashMap::new();
    let mut tokens = (1..).map(Token);
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue, // sleep on
            result => result?,
        }
        for event in &events {
            if event.token() == LISTENER {
                // One edge can announce several clients.
                while let Some((mut client, _address)) = unless_empty(listener.accept())? {
                    let Some(token) = tokens.next() else {
                        break;
                    };
                    registry.register(&mut client, token, Interest::READABLE)?;
                    clients.insert(token, client);
                }
            } else if let Some(client) = clients.get_mut(&event.token()) {
                // One edge can announce more bytes than the buffer has room for.
                while let Some(count) = unless_empty(process_request(client))? {
                    if count == 0 {
                        clients.remove(&event.token());
                        break;
                    }
                }
            }
        }
    }
}

/// `WouldBlock` means: nothing is left, and there will be an edge when there is more.
fn unless_empty<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        result => result.map(Some),
    }
}

/// Reads once, and sends the same bytes back. Returns their number, which is 0 at the end.
fn process_request(client: &mut TcpStream) -> io::Result<usize> {
    let mut bytes = [0; 16]; // small, so that you see what happens when it is full
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
