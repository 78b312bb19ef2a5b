//! An evented engine in the test's own hands.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token, Waker};
use serve_forever::socketserver::{
    Engine, Evented, EventedSettings, Factory, Protocol, Stream, Tcp, Transport,
};

use super::client::{Client, take, text};
use super::patience::PATIENCE;
use super::server::{Report, Reports, listen};

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
        self.look(moment);
        for event in &self.events {
            self.engine.feed(event);
        }
        self.blind_turn();
    }

    /// Waits for events, and keeps them from the engine: so it does not know yet what has arrived.
    pub fn overlook(&mut self) {
        let began = Instant::now();
        self.events.clear();
        while self.events.is_empty() {
            assert!(began.elapsed() < PATIENCE, "nothing has arrived");
            self.look(MOMENT);
        }
    }

    fn look(&mut self, patience: Duration) {
        match self.poll.poll(&mut self.events, Some(patience)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => panic!("{error}"),
            _ => {}
        }
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

    /// Lets time pass, all at once, as if a handler had kept the loop so long. What arrived meanwhile
    /// is not reported yet, because a wait reports only so many events.
    pub fn come_late(&mut self, time: Duration) {
        self.overlook();
        self.pass(time);
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
