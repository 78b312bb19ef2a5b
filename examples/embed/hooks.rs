//! Your own sources on the server's loop: a socket, a timer, messages from another thread, and a
//! signal.
//!
//! `Hooks` has the methods that a subclass can override in Python. One of them, `ready`, is called
//! for a source that you have opened on the server's `Reactor`. So one loop serves a web page and all
//! the sources that the page shows.
//!
//!     cargo run --release --example hooks -- 127.0.0.1:8000
//!
//! From another terminal, with bash:
//!
//!     echo hello > /dev/udp/127.0.0.1/8000
//!     kill -HUP $(pidof hooks)
//!     curl http://127.0.0.1:8000/
//!
//! Ctrl-C stops it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use mio::Interest;
use mio::net::UdpSocket;
use serve_forever::http::{self, Http, HttpSettings, Request, Response};
use serve_forever::reactor::{Now, Reactor, Receiver, Slot, channel};
use serve_forever::socketserver::{
    Evented, HandlerResult, Hooks, Server, ServerHandle, Tcp, Transport,
};

const TICK: Duration = Duration::from_millis(100);

/// The values that the page shows.
#[derive(Debug, Default)]
struct Board {
    last_datagram: String,
    ticks: u64,
    measured: u64,
    #[cfg(unix)]
    hangups: u64,
    iterations: u64,
}

/// A source. Its slot identifies it in `ready`.
enum Source {
    /// A socket.
    Datagrams(UdpSocket),
    /// A timer; it has no socket.
    Ticker,
    /// A pipe into which SIGHUP writes.
    #[cfg(unix)]
    Hangups(mio::net::UnixStream),
}

struct Feeds {
    /// Where the datagrams arrive.
    address: SocketAddr,
    sources: HashMap<Slot, Source>,
    /// The messages of another thread. They have a slot of their own.
    measurements: Receiver<u64>,
    board: Rc<RefCell<Board>>,
}

impl Hooks<Tcp> for Feeds {
    /// Opens the sources. It is called once, before the loop starts.
    fn attach(&mut self, _server: &ServerHandle, reactor: &mut Reactor) -> io::Result<()> {
        let mut datagrams = UdpSocket::bind(self.address)?;
        let slot = reactor.watch(&mut datagrams, Interest::READABLE)?;
        self.sources.insert(slot, Source::Datagrams(datagrams));

        let slot = reactor.open()?;
        reactor.enqueue(slot); // its first tick is now
        self.sources.insert(slot, Source::Ticker);

        #[cfg(unix)]
        {
            let mut pipe = catch_hangups()?;
            let slot = reactor.watch(&mut pipe, Interest::READABLE)?;
            self.sources.insert(slot, Source::Hangups(pipe));
        }
        self.measurements.open(reactor)?;
        Ok(())
    }

    fn ready(&mut self, slot: Slot, reactor: &mut Reactor, now: &Now) -> HandlerResult {
        let mut board = self.board.borrow_mut();
        match self.sources.get_mut(&slot) {
            Some(Source::Datagrams(socket)) => {
                let mut bytes = [0; 128];
                match socket.recv(&mut bytes) {
                    Ok(count) => {
                        let text = String::from_utf8_lossy(&bytes[..count]);
                        board.last_datagram = text.trim_end().to_owned();
                        // There may be more datagrams, and the poll reports only new ones: queue the
                        // slot again. Take only one each turn, so that a flood of datagrams cannot
                        // delay the clients.
                        reactor.enqueue(slot);
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error.into()), // ends serve_forever
                }
            }
            Some(Source::Ticker) => {
                board.ticks += 1;
                reactor.arm(slot, now + TICK);
            }
            #[cfg(unix)]
            Some(Source::Hangups(pipe)) => {
                // Empty the pipe: several signals may have come. Do what they ask for once, for all
                // of them.
                let mut bytes = [0; 64];
                while io::Read::read(pipe, &mut bytes).is_ok_and(|count| count > 0) {}
                board.hangups += 1; // your server would read its settings again here
            }
            None => {
                // Several messages may come as one turn: take all of them.
                while let Some(measured) = self.measurements.receive() {
                    board.measured = measured;
                }
            }
        }
        Ok(())
    }

    /// Called once an iteration, after requests and sources, and every half second if nothing happens.
    fn service_actions(&mut self, _reactor: &mut Reactor, _now: &Now) -> HandlerResult {
        self.board.borrow_mut().iterations += 1;
        Ok(())
    }
}

/// Lets SIGHUP write into a pipe that the loop watches. Any other signal can be heard like this.
#[cfg(unix)]
fn catch_hangups() -> io::Result<mio::net::UnixStream> {
    let (reader, writer) = std::os::unix::net::UnixStream::pair()?;
    signal_hook::low_level::pipe::register(signal_hook::consts::SIGHUP, writer)?;
    reader.set_nonblocking(true)?;
    Ok(mio::net::UnixStream::from_std(reader))
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let tcp = http::listen(address)?;
    let (sender, measurements) = channel(16);
    let board = Rc::new(RefCell::new(Board::default()));
    let feeds = Feeds {
        address: tcp.server_address(),
        sources: HashMap::new(),
        measurements,
        board: Rc::clone(&board),
    };
    let page = move |_: &Request<'_>, response: Response<'_>| {
        response
            .send_response(200)
            .send_header("Content-Type", "text/plain; charset=utf-8")
            .body(format!("{:#?}\n", board.borrow()))
    };
    let dispatch = Evented::new(Http::new(page, HttpSettings::default()));
    let mut server = Server::with_hooks(tcp, dispatch, feeds)?;
    server.shutdown_on_signals()?;
    thread::spawn(move || {
        for measured in 1.. {
            thread::sleep(Duration::from_millis(70)); // a slow measurement
            // Ignore the error: the loop is behind, and misses this one.
            let _ = sender.send(measured);
        }
    });
    println!("Serving on http://{}/", server.server_address());
    Ok(server.serve_forever()?)
}
