//! When there is not enough for everybody: shortages, REQ-3, and design laws 7 and 10.
//!
//! The engine is in the test's own hands, which also says what time it is. What a system that has
//! really run out of descriptors does is in `exhaustion.rs`.

mod common;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{Client, Driven, listen};
use mio::event::Source;
use mio::net::TcpStream;
use serve_forever::reactor::Now;
use serve_forever::socketserver::{Buffer, EventedSettings, Next, Protocol, Tcp, Transport};

/// Answers each line.
struct Echo;

impl Protocol for Echo {
    type Message = Infallible;

    fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, _now: &Now) -> Next {
        if let Some(end) = input.iter().rposition(|&byte| byte == b'\n') {
            output.extend_from_slice(&input[..=end]);
            input.consume(end + 1);
        }
        Next::Read
    }
}

/// TCP on a system that has no descriptor left while the test says so.
struct Scarce {
    tcp: Tcp,
    short: Arc<AtomicBool>,
}

impl Transport for Scarce {
    type Request = TcpStream;
    type Address = SocketAddr;

    fn server_bind(&mut self) -> io::Result<()> {
        self.tcp.server_bind()
    }

    fn server_activate(&mut self) -> io::Result<()> {
        self.tcp.server_activate()
    }

    fn server_close(&mut self) {
        self.tcp.server_close();
    }

    fn server_address(&self) -> SocketAddr {
        self.tcp.server_address()
    }

    fn source(&mut self) -> io::Result<&mut dyn Source> {
        self.tcp.source()
    }

    fn get_request(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        const EMFILE: i32 = 24;
        if self.short.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(EMFILE));
        }
        self.tcp.get_request()
    }
}

type Echoes<T = Tcp> = Driven<fn(&SocketAddr) -> Echo, T>;

fn scarce() -> (Echoes<Scarce>, Arc<AtomicBool>) {
    let short = Arc::new(AtomicBool::new(false));
    let transport = Scarce {
        tcp: listen(),
        short: Arc::clone(&short),
    };
    let driven = Driven::on(transport, EventedSettings::default(), echo as fn(&_) -> _);
    (driven, short)
}

fn echo(_client_address: &SocketAddr) -> Echo {
    Echo
}

fn exchange<T>(driven: &mut Echoes<T>, client: &mut Client, line: &str)
where
    T: Transport<Address = SocketAddr, Request = TcpStream>,
{
    client.send(line);
    driven.expect(client, line);
}

/// REQ-3, design law 10: when something of ours is closed, accepting goes on at once, whatever is
/// left of the pause. Until then it is waited out, and those who are connected are served.
#[test]
fn a_connection_that_closes_ends_a_shortage() {
    let (mut driven, short) = scarce();
    let mut first = driven.connect();
    exchange(&mut driven, &mut first, "one\n");
    short.store(true, Ordering::SeqCst);
    let mut second = Client::connect(driven.engine.transport().server_address());
    let pause = Duration::from_millis(5);
    driven.until(|driven| driven.engine.timeout(driven.now) == Some(pause));

    // The shortage is over, but nothing tells so.
    short.store(false, Ordering::SeqCst);
    exchange(&mut driven, &mut first, "two\n");
    assert_eq!(driven.engine.timeout(driven.now), Some(pause));
    assert_eq!(driven.open_connections(), 1);

    drop(first);
    second.send("three\n");
    driven.expect(&mut second, "three\n");
    driven.settle();
    assert_eq!(driven.engine.timeout(driven.now), None);
}

/// REQ-3: a retry that fails, too, waits twice as long, not anew.
#[test]
fn a_retry_in_vain_makes_the_pause_longer() {
    let (mut driven, short) = scarce();
    let mut others = [(); 3].map(|()| driven.connect());
    for client in &mut others {
        exchange(&mut driven, client, "here\n");
    }
    short.store(true, Ordering::SeqCst);
    let mut waiting = Client::connect(driven.engine.transport().server_address());
    let mut pause = Duration::from_millis(5);
    driven.until(|driven| driven.engine.timeout(driven.now) == Some(pause));
    for client in others {
        drop(client);
        pause *= 2;
        driven.until(|driven| driven.engine.timeout(driven.now) == Some(pause));
    }
    short.store(false, Ordering::SeqCst);
    driven.pass(pause);
    waiting.send("at last\n");
    driven.expect(&mut waiting, "at last\n");
}
