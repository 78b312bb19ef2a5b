//! Step 1 of the guide: `select` by hand. The page `guide::step_1_select` explains it.
//!
//!     cargo run --example guide_1_select

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, Read, Write};

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
        poll.poll(&mut events, None)?; // sleep until a socket is ready
        for event in &events {
            if event.token() == LISTENER {
                let (mut client, _address) = listener.accept()?;
                if let Some(token) = tokens.next() {
                    registry.register(&mut client, token, Interest::READABLE)?;
                    clients.insert(token, client);
                }
            } else if let Some(client) = clients.get_mut(&event.token()) {
                if process_request(client)? == 0 {
                    clients.remove(&event.token()); // drops the client, which closes it
                }
            }
        }
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
