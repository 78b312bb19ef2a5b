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
use std::io::ErrorKind;
#[cfg(unix)]
use std::io::Read;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use mio::Interest;
use mio::net::UdpSocket;
use serve_forever::http::{self, Http, HttpSettings, Request, Response};
use serve_forever::reactor::{Now, Reactor, Slot};
use serve_forever::socketserver::{Defaults, Evented, HandlerResult, Hooks, Server, Tcp};

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

/// The source that has a slot.
enum Source {
    /// A socket.
    Datagrams(UdpSocket),
    /// A timer; it has no socket.
    Ticker,
    /// A channel. The other thread sends, and then rings the slot's doorbell.
    Measurements(Receiver<u64>),
    /// A pipe into which SIGHUP writes.
    #[cfg(unix)]
    Hangups(mio::net::UnixStream),
}

struct Feeds {
    sources: HashMap<Slot, Source>,
    board: Rc<RefCell<Board>>,
    defaults: Defaults,
}

impl Hooks<Tcp> for Feeds {
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
            Some(Source::Measurements(messages)) => {
                // Several rings may come as one: take all messages.
                if let Some(measured) = messages.try_iter().last() {
                    board.measured = measured;
                }
            }
            #[cfg(unix)]
            Some(Source::Hangups(pipe)) => {
                // Empty the pipe: several signals may have come. Do what they ask for once, for all
                // of them.
                let mut bytes = [0; 64];
                while pipe.read(&mut bytes).is_ok_and(|count| count > 0) {}
                board.hangups += 1; // your server would read its settings again here
            }
            None => {}
        }
        Ok(())
    }

    /// Called once an iteration, after requests and sources, and every half second if nothing happens.
    fn service_actions(&mut self, _reactor: &mut Reactor, _now: &Now) -> HandlerResult {
        self.board.borrow_mut().iterations += 1;
        Ok(())
    }

    fn handle_error(
        &mut self,
        error: &(dyn Error + Send + Sync + 'static),
        client_address: &SocketAddr,
    ) -> HandlerResult {
        // This is `super().handle_error()` in Python.
        Hooks::<Tcp>::handle_error(&mut self.defaults, error, client_address)
    }
}

/// Lets SIGHUP write into a pipe that the loop watches. Any other signal can be heard like this.
#[cfg(unix)]
fn catch_hangups(reactor: &mut Reactor) -> Result<(Slot, Source), Box<dyn Error>> {
    let (reader, writer) = std::os::unix::net::UnixStream::pair()?;
    signal_hook::low_level::pipe::register(signal_hook::consts::SIGHUP, writer)?;
    reader.set_nonblocking(true)?;
    let mut pipe = mio::net::UnixStream::from_std(reader);
    let slot = reactor.open().ok_or("every slot is taken")?;
    reactor.register(slot, &mut pipe, Interest::READABLE)?;
    Ok((slot, Source::Hangups(pipe)))
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let board = Rc::new(RefCell::new(Board::default()));
    let feeds = Feeds {
        sources: HashMap::new(),
        board: Rc::clone(&board),
        defaults: Defaults::default(),
    };
    let page = move |_: &Request<'_>, response: Response<'_>| {
        response
            .send_response(200)
            .send_header("Content-Type", "text/plain; charset=utf-8")
            .body(format!("{:#?}\n", board.borrow()))
    };
    let dispatch = Evented::new(Http::new(page, HttpSettings::default()));
    let mut server = Server::with_hooks(http::listen(address)?, dispatch, feeds)?;
    server.shutdown_on_signals()?;
    let address = server.server_address();

    // Each source has a slot. The slot identifies the source in `ready`.
    let reactor = server.engine_mut().reactor_mut();
    let open = |reactor: &mut Reactor| reactor.open().ok_or("every slot is taken");
    let mut datagrams = UdpSocket::bind(address)?;
    let datagrams_slot = open(reactor)?;
    reactor.register(datagrams_slot, &mut datagrams, Interest::READABLE)?;
    let ticker_slot = open(reactor)?;
    reactor.arm(ticker_slot, Instant::now() + TICK);
    let measurements_slot = open(reactor)?;
    let doorbell = reactor.doorbell(measurements_slot);
    #[cfg(unix)]
    let hangups = catch_hangups(reactor)?;

    let (sender, measurements) = channel();
    thread::spawn(move || {
        for measured in 1.. {
            thread::sleep(Duration::from_millis(70)); // a slow measurement
            if sender.send(measured).is_err() {
                return; // the server has ended
            }
            doorbell.ring();
        }
    });

    server.engine_mut().hooks_mut().sources = HashMap::from([
        (datagrams_slot, Source::Datagrams(datagrams)),
        (ticker_slot, Source::Ticker),
        (measurements_slot, Source::Measurements(measurements)),
    ]);
    #[cfg(unix)]
    server.engine_mut().hooks_mut().sources.extend([hangups]);
    println!("Serving on http://{address}/");
    Ok(server.serve_forever()?)
}
