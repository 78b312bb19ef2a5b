//! What the tests of protocols share: a server in a thread, a client with patience, a driven engine.

#![allow(dead_code)] // each test binary uses a part of it

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token, Waker};
use serve_forever::socketserver::{
    Dispatch, Engine, Evented, EventedSettings, Factory, HandlerResult, Hooks, Protocol, Server,
    ShutdownHandle, Stream, Tcp, Transport,
};

/// How long anything may take before the test has failed; never how long something takes.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Hooks that hand every failure to the test.
pub struct Report(Sender<(String, SocketAddr)>);

pub type Reports = Receiver<(String, SocketAddr)>;

impl Report {
    pub fn new() -> (Report, Reports) {
        let (sender, reports) = mpsc::channel();
        (Report(sender), reports)
    }
}

impl<T: Transport<Address = SocketAddr>> Hooks<T> for Report {
    fn handle_error(
        &mut self,
        error: &(dyn Error + Send + Sync),
        client_address: &SocketAddr,
    ) -> HandlerResult {
        self.0.send((error.to_string(), *client_address))?;
        Ok(())
    }
}

/// A server that serves in a thread of its own until it is dropped.
pub struct Serving {
    pub address: SocketAddr,
    pub reports: Reports,
    pub handle: ShutdownHandle,
    done: Receiver<Result<(), String>>,
}

/// Serves with what `make_dispatch` makes.
pub fn serve<D: Dispatch<Tcp>>(make_dispatch: impl FnOnce() -> D + Send + 'static) -> Serving {
    serve_on(listen(), make_dispatch)
}

/// As [`serve`], on a listener of the test's own.
pub fn serve_on<D: Dispatch<Tcp>>(
    tcp: Tcp,
    make_dispatch: impl FnOnce() -> D + Send + 'static,
) -> Serving {
    let (report, reports) = Report::new();
    let (started, starting) = mpsc::channel();
    let (ended, done) = mpsc::channel();
    thread::spawn(move || {
        let mut server =
            Server::with_hooks(tcp, make_dispatch(), report).expect("a poll can be had");
        let running = (server.server_address(), server.shutdown_handle());
        started.send(running).expect("the test waits");
        let result = server.serve_forever(None);
        // The test may be gone if it has failed.
        let _ = ended.send(result.map_err(|failure| failure.to_string()));
    });
    let (address, handle) = starting.recv_timeout(PATIENCE).expect("the server starts");
    Serving {
        address,
        reports,
        handle,
        done,
    }
}

impl Serving {
    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// The next failure that was reported.
    pub fn report(&self) -> (String, SocketAddr) {
        self.reports.recv_timeout(PATIENCE).expect("a report")
    }
}

impl Drop for Serving {
    /// Whatever a test did to it, the server must still be able to stop.
    fn drop(&mut self) {
        self.handle.request();
        if !thread::panicking() {
            let result = self.done.recv_timeout(PATIENCE);
            assert_eq!(result, Ok(Ok(())), "the server stops in good order");
        }
    }
}

pub fn listen() -> Tcp {
    let tcp = Tcp::new("127.0.0.1:0").expect("a socket");
    tcp.request_queue_size(1024)
        .disable_nagle_algorithm(true)
        .bind_and_activate()
        .expect("a free port")
}

/// A client that waits for what it expects, but not for ever.
pub struct Client(pub TcpStream);

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("an option");
        stream.set_write_timeout(Some(PATIENCE)).expect("an option");
        stream.set_nodelay(true).expect("an option");
        Client(stream)
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("it is connected")
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).expect("the server reads");
    }

    /// Reads as many bytes as are expected, and compares.
    pub fn expect(&mut self, expected: impl AsRef<[u8]>) {
        let expected = expected.as_ref();
        let mut bytes = vec![0; expected.len()];
        let mut end = 0;
        while end < bytes.len() && bytes[..end] == expected[..end] {
            match self.0.read(&mut bytes[end..]) {
                Ok(0) => break,
                Ok(count) => end += count,
                Err(error) => panic!("{error} after {:?}", text(&bytes[..end])),
            }
        }
        assert_eq!(text(&bytes[..end]), text(expected));
    }

    /// Everything up to the end of what the server sends.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).expect("the server closes");
        bytes
    }

    pub fn expect_end(&mut self) {
        assert_eq!(text(&self.rest()), "");
    }

    /// Waits until the server has closed, in good order or not.
    pub fn expect_gone(&mut self) {
        match self.0.read_to_end(&mut Vec::new()) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("still there: {error}"),
        }
    }

    pub fn shutdown_write(&mut self) {
        self.0.shutdown(Shutdown::Write).expect("still connected");
    }

    /// Closes so that the server sees "connection reset by peer".
    pub fn reset(self) {
        socket2::SockRef::from(&self.0)
            .set_linger(Some(Duration::ZERO))
            .expect("an option");
    }
}

/// Bytes for people; long ones as their length and their ends.
pub fn text(bytes: &[u8]) -> String {
    if bytes.len() <= 4096 {
        return bytes.escape_ascii().to_string();
    }
    let (start, end) = (&bytes[..64], &bytes[bytes.len() - 64..]);
    let (start, end) = (start.escape_ascii(), end.escape_ascii());
    let sum = bytes
        .iter()
        .fold(0_u64, |sum, &byte| sum.wrapping_mul(31) + u64::from(byte));
    format!("{} bytes {start} ... {end}, sum {sum}", bytes.len())
}

/// An evented engine in the test's own hands, which also says what time it is.
pub struct Driven<F, T = Tcp>
where
    F: Factory<SocketAddr, Made: Protocol>,
    T: Transport<Address = SocketAddr, Request: Stream>,
{
    pub engine: Engine<T, Evented<T, F>, Report>,
    pub reports: Reports,
    pub now: Instant,
    poll: Poll,
    events: Events,
}

impl<F: Factory<SocketAddr, Made: Protocol>> Driven<F> {
    pub fn new(settings: EventedSettings, factory: F) -> Driven<F> {
        Driven::on(listen(), settings, factory)
    }
}

impl<F, T> Driven<F, T>
where
    F: Factory<SocketAddr, Made: Protocol>,
    T: Transport<Address = SocketAddr, Request: Stream>,
{
    pub fn on(transport: T, settings: EventedSettings, factory: F) -> Driven<F, T> {
        let poll = Poll::new().expect("a poll");
        let waker = Waker::new(poll.registry(), Token(usize::MAX)).expect("a waker");
        let dispatch = Evented::with_settings(factory, settings);
        let (report, reports) = Report::new();
        let registry = poll.registry();
        let waker = Arc::new(waker);
        let engine = Engine::attach(transport, dispatch, report, registry, waker, 0..4096);
        let mut engine = engine.expect("registered");
        engine.set_poll_interval(None);
        Driven {
            engine,
            reports,
            now: Instant::now(),
            poll,
            events: Events::with_capacity(64),
        }
    }

    /// Connects, and turns until the server has the connection.
    pub fn connect(&mut self) -> Client {
        let open = self.open_connections();
        let client = Client::connect(self.engine.transport().server_address());
        self.until(|driven| driven.open_connections() == open + 1);
        client
    }

    pub fn open_connections(&self) -> usize {
        self.engine.dispatch().open_connections()
    }

    /// Looks for events for at most a moment, and gives the engine its turn.
    pub fn turn(&mut self) {
        let asked = self.engine.timeout(self.now);
        let moment = asked.map_or(MOMENT, |asked| asked.min(MOMENT));
        match self.poll.poll(&mut self.events, Some(moment)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => panic!("{error}"),
            _ => {}
        }
        for event in &self.events {
            self.engine.feed(event);
        }
        self.blind_turn();
    }

    /// A turn that no event is looked for: only time has passed.
    pub fn blind_turn(&mut self) {
        self.engine.turn(self.now).expect("no failure escapes");
    }

    /// Lets time pass, and gives the turns that are due because of it.
    pub fn pass(&mut self, time: Duration) {
        self.now += time;
        self.blind_turn();
    }

    /// Turns until something is so.
    pub fn until(&mut self, mut so: impl FnMut(&mut Self) -> bool) {
        let began = Instant::now();
        while !so(self) {
            assert!(began.elapsed() < PATIENCE, "it never was so");
            self.turn();
        }
    }

    /// Turns until nothing is left in the run queue.
    pub fn settle(&mut self) {
        self.turn();
        self.until(|driven| driven.engine.timeout(driven.now) != Some(Duration::ZERO));
    }

    /// Turns until the client has read what it expects.
    pub fn expect(&mut self, client: &mut Client, expected: impl AsRef<[u8]>) {
        let expected = expected.as_ref();
        let mut bytes = Vec::new();
        self.until(|_| {
            let before = bytes.len();
            let ended = take(client, expected.len() - before, &mut bytes);
            let differs = bytes[before..] != expected[before..bytes.len()];
            ended || differs || bytes.len() == expected.len()
        });
        assert_eq!(text(&bytes), text(expected));
    }

    /// Turns until the server has closed; what the client read meanwhile.
    pub fn rest(&mut self, client: &mut Client) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.until(|_| take(client, usize::MAX, &mut bytes));
        bytes
    }
}

const MOMENT: Duration = Duration::from_millis(5);

/// Reads what is there, `limit` at most; whether that was the end.
pub fn take(client: &mut Client, limit: usize, bytes: &mut Vec<u8>) -> bool {
    client.0.set_nonblocking(true).expect("an option");
    let mut left = limit;
    let mut scratch = [0; 16 * 1024];
    let ended = loop {
        let room = left.min(scratch.len());
        if room == 0 {
            break false;
        }
        match client.0.read(&mut scratch[..room]) {
            Ok(0) => break true,
            Ok(count) => {
                bytes.extend_from_slice(&scratch[..count]);
                left -= count;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break false,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break true,
            Err(error) => panic!("{error}"),
        }
    };
    client.0.set_nonblocking(false).expect("an option");
    ended
}
