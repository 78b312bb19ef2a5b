//! Protocols: every call and every verdict, on the loop and driven without one (RT-8).
//!
//! One protocol obeys the lines that its client sends, and writes down how it was called. So a
//! test is a transcript, and what a client sees is compared between [`Evented`] and [`Driver`].
#![cfg(feature = "server")]

mod support;

use std::io::{self, Read, Write};
use std::mem;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serve_forever::reactor::Now;
use serve_forever::socketserver::{
    Buffer, Driver, Evented, EventedSettings, Failure, Files, MAILBOX_CAPACITY, Mailbox, Next,
    Protocol, SendError, Turn,
};
use support::client::{Client, text};
use support::driven::Driven;
use support::driving::Driving;
use support::patience::{PATIENCE, in_time};
use support::server::{Serving, serve};
use support::transport::throttled;

/// What `produce` adds at a time.
const BLOCK: [u8; 1000] = [b'b'; 1000];

/// What the conversations of one server share with the test.
#[derive(Default)]
struct World {
    greeting: &'static str,
    /// The call that panics.
    panic_in: &'static str,
    /// The calls, of `receive` only the first.
    calls: Mutex<Vec<&'static str>>,
    /// Blocks that were produced.
    produced: AtomicUsize,
    /// The most output there was when `produce` was called.
    fullest: AtomicUsize,
    /// Bytes that were received.
    received: AtomicUsize,
    mailboxes: Mutex<Option<Sender<Mailbox<String>>>>,
    lost: Mutex<Option<Sender<()>>>,
}

impl World {
    fn calls(&self) -> Vec<&'static str> {
        self.calls.lock().expect("no panic under the lock").clone()
    }

    fn count(&self, call: &str) -> usize {
        self.calls().iter().filter(|&&made| made == call).count()
    }

    /// Where the mailboxes of conversations yet to begin will arrive.
    fn mailboxes(&self) -> Receiver<Mailbox<String>> {
        let (sender, mailboxes) = mpsc::channel();
        *self.mailboxes.lock().expect("no panic under the lock") = Some(sender);
        mailboxes
    }

    /// Where it will be told how often a conversation was told of its end.
    fn losses(&self) -> Receiver<()> {
        let (sender, losses) = mpsc::channel();
        *self.lost.lock().expect("no panic under the lock") = Some(sender);
        losses
    }

    fn enter(&self, call: &'static str) {
        {
            let mut calls = self.calls.lock().expect("no panic under the lock");
            if call != "receive" || !calls.contains(&call) {
                calls.push(call);
            }
        }
        assert!(call != self.panic_in, "scripted panic in {call}");
    }
}

struct Scripted {
    world: Arc<World>,
    mailbox: Option<Mailbox<String>>,
    blocks: usize,
    deadline: Option<Instant>,
    /// A line has begun.
    begun: bool,
    input_closed: bool,
    draining: bool,
    failure: Option<Failure>,
}

impl Scripted {
    fn new(world: &Arc<World>) -> Scripted {
        Scripted {
            world: Arc::clone(world),
            mailbox: None,
            blocks: 0,
            deadline: None,
            begun: false,
            input_closed: false,
            draining: false,
            failure: None,
        }
    }

    /// Does what one line says.
    fn obey(&mut self, line: &str, output: &mut Buffer, now: &Now) -> Next<String> {
        let (command, argument) = line.split_once(' ').unwrap_or((line, ""));
        let number = || argument.parse::<usize>().expect("a number");
        match command {
            "echo" => output.extend_from_slice(format!("{argument}\n").as_bytes()),
            "blocks" => {
                self.blocks = number();
                return Next::Produce;
            }
            "wait" => return Next::Wait,
            "deadline" => self.deadline = Some(now + Duration::from_millis(number() as u64)),
            "blob" => {
                output.extend_from_slice(&vec![b'x'; number()]);
                return Next::Close;
            }
            "close" => {
                output.extend_from_slice(b"closing\n");
                return Next::Close;
            }
            "abort" => {
                output.extend_from_slice(b"never sent\n");
                return Next::Abort;
            }
            "linger" => {
                output.extend_from_slice(b"lingering\n");
                return Next::Linger;
            }
            "upgrade" => {
                output.extend_from_slice(b"switching\n");
                return Next::Upgrade(Box::new(Shout));
            }
            "fail" => {
                self.failure = Some(io::Error::other("scripted failure").into());
                output.extend_from_slice(b"failed\n");
            }
            "fail-and-upgrade" => {
                self.failure = Some(io::Error::other("last words").into());
                return Next::Upgrade(Box::new(Shout));
            }
            // To itself: the message is under way when the conversation ends.
            "orphan" => {
                let mailbox = self.mailbox.as_ref().expect("connection_made was called");
                mailbox.send("orphan".to_owned()).expect("there is room");
                return Next::Close;
            }
            _ => panic!("no such command: {line}"),
        }
        Next::Read
    }
}

impl Protocol for Scripted {
    type Message = String;

    fn connection_made(
        &mut self,
        mailbox: Mailbox<String>,
        output: &mut Buffer,
        _now: &Now,
    ) -> Next<String> {
        self.world.enter("connection_made");
        self.mailbox = Some(mailbox.clone());
        if let Some(mailboxes) = &*self.world.mailboxes.lock().expect("no panic") {
            mailboxes.send(mailbox).expect("the test is there");
        }
        output.extend_from_slice(self.world.greeting.as_bytes());
        Next::Read
    }

    fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, now: &Now) -> Next<String> {
        self.world.enter("receive");
        self.world.received.fetch_add(input.len(), Ordering::SeqCst);
        while let Some(end) = input.iter().position(|&byte| byte == b'\n') {
            let line = String::from_utf8_lossy(&input[..end]).into_owned();
            input.consume(end + 1);
            match self.obey(&line, output, now) {
                Next::Read => {}
                next => return next,
            }
        }
        self.begun = !input.is_empty();
        match self.draining && !self.begun {
            true => Next::Close,
            false => Next::Read,
        }
    }

    fn input_closed(&mut self, output: &mut Buffer, _now: &Now) -> Next<String> {
        self.world.enter("input_closed");
        assert!(!mem::replace(&mut self.input_closed, true), "called once");
        output.extend_from_slice(b"end of input\n");
        self.blocks = 2;
        Next::Produce
    }

    fn produce(&mut self, output: &mut Buffer, _now: &Now) -> Next<String> {
        self.world.enter("produce");
        self.world.fullest.fetch_max(output.len(), Ordering::SeqCst);
        if self.blocks == 0 {
            output.extend_from_slice(b"done\n");
            return Next::Read;
        }
        self.blocks -= 1;
        self.world.produced.fetch_add(1, Ordering::SeqCst);
        output.extend_from_slice(&BLOCK);
        Next::Produce
    }

    fn deliver(&mut self, message: String, output: &mut Buffer, _now: &Now) -> Next<String> {
        self.world.enter("deliver");
        output.extend_from_slice(format!("message {message}\n").as_bytes());
        match message.as_str() {
            "go on waiting" => Next::Wait,
            _ => Next::Read,
        }
    }

    fn timed_out(&mut self, output: &mut Buffer, _now: &Now) -> Next<String> {
        self.world.enter("timed_out");
        self.deadline = None;
        output.extend_from_slice(b"timed out\n");
        Next::Read
    }

    fn drain(&mut self, _: &mut Buffer, output: &mut Buffer, _now: &Now) -> Next<String> {
        self.world.enter("drain");
        output.extend_from_slice(b"draining\n");
        self.draining = true;
        match self.begun {
            true => Next::Read,
            false => Next::Close,
        }
    }

    fn connection_lost(&mut self, _now: &Now) {
        assert!(self.world.panic_in != "connection_lost", "scripted panic");
        if let Some(lost) = &*self.world.lost.lock().expect("no panic") {
            lost.send(()).expect("the test is there");
        }
    }

    fn deadline(&self) -> Option<Instant> {
        assert!(self.world.panic_in != "deadline", "scripted panic");
        self.deadline
    }

    fn take_failure(&mut self) -> Option<Failure> {
        assert!(self.world.panic_in != "take_failure", "scripted panic");
        self.failure.take()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        assert!(self.world.panic_in != "drop", "scripted panic");
    }
}

/// What a scripted conversation is upgraded to.
struct Shout;

impl Protocol for Shout {
    type Message = String;

    fn connection_made(
        &mut self,
        _mailbox: Mailbox<String>,
        output: &mut Buffer,
        _now: &Now,
    ) -> Next<String> {
        output.extend_from_slice(b"READY\n");
        Next::Read
    }

    fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, _now: &Now) -> Next<String> {
        output.extend_from_slice(&input.to_ascii_uppercase());
        input.clear();
        Next::Read
    }
}

fn blocking(world: &Arc<World>) -> Serving {
    let world = Arc::clone(world);
    serve(move || Driving::new(move |_: &SocketAddr| Scripted::new(&world)))
}

fn evented(world: &Arc<World>) -> Serving {
    let world = Arc::clone(world);
    serve(move || Evented::new(move |_: &SocketAddr| Scripted::new(&world)))
}

/// RT-8: the same script, in both ways, each in a world of its own.
fn both(greeting: &'static str, script: impl Fn(&Serving, &World)) {
    for (way, start) in [
        ("evented", evented as fn(&Arc<World>) -> Serving),
        ("blocking", blocking),
    ] {
        println!("{way}:");
        let world = Arc::new(World {
            greeting,
            ..World::default()
        });
        let server = start(&world);
        script(&server, &world);
    }
}

type Factory = Box<dyn Fn(&SocketAddr) -> Scripted>;

fn driven(settings: EventedSettings) -> (Driven<Factory>, Arc<World>) {
    let (factory, world) = scripted(World::default());
    (Driven::new(settings, factory), world)
}

fn scripted(world: World) -> (Factory, Arc<World>) {
    let world = Arc::new(world);
    let shared = Arc::clone(&world);
    let factory = move |_: &SocketAddr| Scripted::new(&shared);
    (Box::new(factory), world)
}

fn blocks(count: usize) -> Vec<u8> {
    BLOCK.repeat(count)
}

// Calls and verdicts, in both ways.

#[test]
fn the_server_may_speak_first() {
    both("hello\n", |server, world| {
        let mut client = server.connect();
        client.expect("hello\n");
        client.send("close\n");
        client.expect("closing\n");
        client.expect_end();
        assert_eq!(world.calls(), ["connection_made", "receive"]);
    });
}

#[test]
fn what_is_not_used_stands_before_what_arrives_later() {
    both("", |server, _| {
        let mut client = server.connect();
        client.send("echo one\necho tw");
        client.expect("one\n");
        for byte in b"o\necho three\necho" {
            client.send([*byte]);
        }
        client.expect("two\nthree\n");
        client.send(" four\nclose\nnever read");
        client.expect("four\nclosing\n");
        client.shutdown_write();
        client.expect_end();
    });
}

/// RT-10: half-close is not the end; `input_closed` comes once, and its output is complete.
#[test]
fn a_client_that_stops_sending_still_reads_everything() {
    both("hello\n", |server, world| {
        let mut client = server.connect();
        client.send("echo last\nincomplete");
        client.shutdown_write();
        let mut expected = b"hello\nlast\nend of input\n".to_vec();
        expected.extend(blocks(2));
        expected.extend(b"done\n");
        assert_eq!(text(&client.rest()), text(&expected));
        assert_eq!(world.count("input_closed"), 1);
    });
}

/// RT-10: also when what it asked for is still being produced.
#[test]
fn a_client_that_stops_sending_while_output_is_produced_reads_it() {
    both("", |server, world| {
        let mut client = server.connect();
        client.send("blocks 3000\necho after\n");
        client.shutdown_write();
        let mut expected = blocks(3000);
        expected.extend(b"done\nafter\nend of input\n");
        expected.extend(blocks(2));
        expected.extend(b"done\n");
        assert_eq!(text(&client.rest()), text(&expected));
        assert_eq!(world.count("input_closed"), 1);
    });
}

#[test]
fn a_body_larger_than_any_buffer_is_produced_as_it_is_read() {
    both("", |server, world| {
        let mut client = server.connect();
        client.send("blocks 20000\necho after\nclose\n");
        let mut expected = blocks(20_000);
        expected.extend(b"done\nafter\nclosing\n");
        assert_eq!(text(&client.rest()), text(&expected));
        assert_eq!(world.produced.load(Ordering::SeqCst), 20_000);
        let high_water = EventedSettings::default().high_water;
        assert!(world.fullest.load(Ordering::SeqCst) < high_water);
    });
}

#[test]
fn a_message_ends_the_wait_and_what_arrived_meanwhile_comes_after_it() {
    both("", |server, world| {
        let mailboxes = world.mailboxes();
        let mut client = server.connect();
        let mailbox = mailboxes.recv_timeout(PATIENCE).expect("it is made");
        client.send("echo before\nwait\necho after\n");
        client.expect("before\n");
        let sender = thread::spawn(move || {
            mailbox
                .send("go on waiting".to_owned())
                .expect("it is there");
            mailbox.send("last".to_owned()).expect("it is there");
            mailbox
        });
        client.expect("message go on waiting\nmessage last\nafter\n");
        let mailbox = sender.join().expect("no panic");
        client.send("close\n");
        client.expect("closing\n");
        client.expect_end();
        // The loop may take a moment longer than its client to know that it is over.
        let began = Instant::now();
        while !matches!(mailbox.send("late".to_owned()), Err(SendError::Gone(_))) {
            assert!(began.elapsed() < PATIENCE, "the conversation has ended");
            thread::yield_now();
        }
    });
}

#[test]
fn a_deadline_passes_while_nothing_arrives() {
    both("", |server, world| {
        let mut client = server.connect();
        client.send("deadline 5\n");
        client.expect("timed out\n");
        client.send("deadline 0\n");
        client.expect("timed out\n");
        client.send("close\n");
        client.expect("closing\n");
        client.expect_end();
        assert_eq!(world.count("timed_out"), 2);
    });
}

#[test]
fn a_deadline_passes_while_a_message_is_waited_for() {
    both("", |server, world| {
        let mut client = server.connect();
        client.send("deadline 5\nwait\necho after\n");
        client.expect("timed out\nafter\n");
        assert_eq!(world.count("timed_out"), 1);
    });
}

#[test]
fn everything_arrives_before_the_connection_closes() {
    both("", |server, _| {
        let mut client = server.connect();
        client.send("blob 5000000\n");
        let rest = client.rest();
        assert_eq!(rest.len(), 5_000_000);
        assert!(rest.iter().all(|&byte| byte == b'x'));
    });
}

/// TCP-8: unread input does not reset the connection under the answer.
#[test]
fn a_client_that_keeps_sending_reads_the_last_answer() {
    both("", |server, _| {
        let mut client = server.connect();
        client.send("linger\n");
        client.send(vec![b'u'; 2_000_000]);
        client.shutdown_write();
        client.expect("lingering\n");
        client.expect_end();
    });
}

#[test]
fn another_protocol_takes_over_with_the_bytes_that_were_left() {
    both("hello\n", |server, _| {
        let mut client = server.connect();
        client.send("echo one\nupgrade\nleft over");
        client.expect("hello\none\nswitching\nREADY\nLEFT OVER");
        client.send(", and more");
        client.expect(", AND MORE");
        client.shutdown_write();
        client.expect_end();
    });
}

#[test]
fn another_protocol_takes_over_when_nothing_is_left() {
    both("", |server, _| {
        let mut client = server.connect();
        client.send("upgrade\n");
        client.expect("switching\nREADY\n");
        client.send("later");
        client.expect("LATER");
    });
}

/// Design law 10: a panic ends its own conversation, is reported with the client, and is all.
#[test]
fn a_panic_closes_one_connection() {
    let calls = [
        ("connection_made", ""),
        ("receive", "echo x\n"),
        ("produce", "blocks 3\n"),
        ("deliver", "wait\n"),
        ("timed_out", "deadline 0\n"),
        ("deadline", "echo x\n"),
        ("take_failure", "echo x\n"),
        ("input_closed", "echo x\n"),
        ("connection_lost", "echo x\n"),
        ("drop", "echo x\n"),
    ];
    for (call, script) in calls {
        for start in [evented as fn(&Arc<World>) -> Serving, blocking] {
            let world = Arc::new(World {
                panic_in: call,
                ..World::default()
            });
            let mailboxes = world.mailboxes();
            let server = start(&world);
            for _ in 0..2 {
                let mut client = server.connect();
                let address = client.address();
                // It may be gone already.
                let _ = client.0.write_all(script.as_bytes());
                if call == "deliver" {
                    let mailbox = mailboxes.recv_timeout(PATIENCE).expect("it is made");
                    mailbox.send("message".to_owned()).expect("it is there");
                }
                if ["input_closed", "connection_lost", "drop"].contains(&call) {
                    client.expect("x\n");
                    client.shutdown_write();
                }
                let (error, reported) = server.report();
                assert!(error.contains("scripted panic"), "{call}: {error}");
                assert_eq!(reported, address, "{call}");
                client.expect_gone();
            }
        }
    }
}

/// However it ends, the conversation is told once; when another takes over, that one is.
#[test]
fn a_conversation_is_told_of_its_end() {
    // A blocked thread does not see its client go while it waits for a message.
    let without_a_loop = |line| line != "wait\n";
    type End = fn(Client);
    let endings: [(&str, End); 6] = [
        ("close\n", |mut client| client.expect("closing\n")),
        ("linger\n", |mut client| client.expect("lingering\n")),
        ("abort\n", |mut client| client.expect_gone()),
        ("echo x\n", |client| client.reset()),
        ("echo x\n", |mut client| client.shutdown_write()),
        ("wait\n", |client| client.reset()),
    ];
    for (line, end) in endings {
        let starts = [evented as fn(&Arc<World>) -> Serving, blocking];
        for start in &starts[..1 + usize::from(without_a_loop(line))] {
            let world = Arc::new(World::default());
            let losses = world.losses();
            let server = start(&world);
            let mut client = server.connect();
            client.send(line);
            if line == "echo x\n" {
                client.expect("x\n");
            }
            end(client);
            losses.recv_timeout(PATIENCE).expect("it is told");
            drop(server);
            assert!(losses.try_recv().is_err(), "{line}: only once");
        }
    }
    let world = Arc::new(World::default());
    let losses = world.losses();
    let server = evented(&world);
    let mut client = server.connect();
    client.send("upgrade\n");
    client.expect("switching\nREADY\n");
    drop(client);
    drop(server);
    assert!(losses.try_recv().is_err(), "another had taken over");
}

/// What is open when the server closes ends, too.
#[test]
fn a_conversation_is_told_when_the_server_closes() {
    let world = Arc::new(World::default());
    let losses = world.losses();
    let server = evented(&world);
    let mut client = server.connect();
    client.send("echo x\n");
    client.expect("x\n");
    drop(server);
    losses.recv_timeout(PATIENCE).expect("it is told");
}

/// The client of an aborted conversation cannot take what it got for the whole.
#[test]
fn an_abort_is_a_reset() {
    both("", |server, _| {
        let mut client = server.connect();
        client.send("echo one\n");
        client.expect("one\n");
        client.send("abort\n");
        let error = client
            .0
            .read(&mut [0; 64])
            .expect_err("no end in good order");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_failure_of_the_call_that_upgrades_is_reported() {
    both("", |server, _| {
        let mut client = server.connect();
        client.send("fail-and-upgrade\nleft over");
        client.expect("READY\nLEFT OVER");
        client.shutdown_write();
        assert_eq!(server.report().0, "last words");
    });
}

// On the loop.

/// Failures that a conversation answered by itself are reported with its client.
#[test]
fn a_failure_is_reported_with_the_clients_address() {
    let world = Arc::new(World::default());
    let server = evented(&world);
    let (mut first, mut second) = (server.connect(), server.connect());
    second.send("fail\n");
    second.expect("failed\n");
    let report = server.report();
    assert_eq!(report, ("scripted failure".to_owned(), second.address()));
    first.send("fail\nclose\n");
    first.expect("failed\nclosing\n");
    let report = server.report();
    assert_eq!(report, ("scripted failure".to_owned(), first.address()));
    second.send("echo still here\n");
    second.expect("still here\n");
}

#[test]
fn a_message_is_delivered_while_bytes_are_waited_for() {
    let world = Arc::new(World::default());
    let mailboxes = world.mailboxes();
    let server = evented(&world);
    let mut client = server.connect();
    let mailbox = mailboxes.recv_timeout(PATIENCE).expect("it is made");
    client.send("echo half a li");
    mailbox.send("push".to_owned()).expect("it is there");
    client.expect("message push\n");
    client.send("ne\n");
    client.expect("half a line\n");
}

/// Design: the queue of one conversation is bounded, and in order.
#[test]
fn a_mailbox_keeps_order_and_has_an_end() {
    let (mut driven, world) = driven(EventedSettings::default());
    let mailboxes = world.mailboxes();
    let mut client = driven.connect();
    let mut other = driven.connect();
    let mailbox = mailboxes.recv_timeout(PATIENCE).expect("it is made");
    let full = mailbox.clone();
    for round in 0..3 {
        let mut expected = String::new();
        for number in 0..MAILBOX_CAPACITY {
            let message = format!("{round}.{number}");
            expected.push_str(&format!("message {message}\n"));
            mailbox.send(message).expect("there is room");
        }
        let one_more = full.send("one more".to_owned());
        assert_eq!(one_more, Err(SendError::Full("one more".to_owned())));
        driven.expect(&mut client, expected);
    }
    assert!(!mailbox.is_gone());
    client.send("close\n");
    driven.expect(&mut client, "closing\n");
    driven.until(|driven| driven.open_connections() == 1);
    assert!(mailbox.is_gone());
    let late = mailbox.send("late".to_owned());
    assert_eq!(late, Err(SendError::Gone("late".to_owned())));
    other.send("echo untouched\n");
    driven.expect(&mut other, "untouched\n");
}

/// RT-5: messages share a wake-up. What if a turn uses it up, and only says that the server stops?
/// Then the next run has work, without being woken.
#[test]
fn what_is_sent_while_a_server_stops_is_for_its_next_run() {
    let (mut driven, world) = driven(EventedSettings::default());
    let mailboxes = world.mailboxes();
    let mut client = driven.connect();
    let mailbox = mailboxes.recv_timeout(PATIENCE).expect("it is made");
    driven.until(|driven| driven.engine.timeout(driven.now).is_none());
    mailbox.send("before".to_owned()).expect("there is room");
    driven.engine.shutdown_handle().request();
    let turn = driven.engine.turn(driven.now).expect("no failure");
    assert_eq!(turn, Turn::Shutdown);
    driven.engine.clear_shutdown_request();
    assert_eq!(driven.engine.timeout(driven.now), Some(Duration::ZERO));
    driven.expect(&mut client, "message before\n");
    mailbox.send("after".to_owned()).expect("there is room");
    driven.expect(&mut client, "message after\n");
}

/// RT-4 for messages: a slot's next owner never gets what was meant for the one before.
#[test]
fn a_message_for_a_conversation_that_is_gone_reaches_nobody() {
    let (mut driven, world) = driven(EventedSettings::default());
    let mailboxes = world.mailboxes();
    for round in 0..5 {
        let mut first = driven.connect();
        let old = mailboxes.recv_timeout(PATIENCE).expect("it is made");
        // It ends in the same turn in which the message is sent.
        first.send("orphan\n");
        driven.until(|driven| driven.open_connections() == 0);
        let mut second = driven.connect();
        let new = mailboxes.recv_timeout(PATIENCE).expect("it is made");
        assert!(old.is_gone() && !new.is_gone());
        assert!(matches!(
            old.send("old".to_owned()),
            Err(SendError::Gone(_))
        ));
        for number in 0..MAILBOX_CAPACITY {
            new.send(number.to_string())
                .expect("the orphan takes no room");
        }
        let expected: String = (0..MAILBOX_CAPACITY)
            .map(|number| format!("message {number}\n"))
            .collect();
        driven.expect(&mut second, expected);
        let (old, new) = (format!("{old:?}"), format!("{new:?}"));
        assert_ne!(old, new, "{round}");
        let index = |name: &str| name.split(", ").next().map(str::to_owned);
        assert_eq!(index(&old), index(&new), "the slot is used again");
        drop(second);
        driven.until(|driven| driven.open_connections() == 0);
    }
}

#[test]
fn a_deadline_that_is_moved_later_is_honoured() {
    let (mut driven, world) = driven(EventedSettings::default());
    let mut client = driven.connect();
    let seconds = Duration::from_secs;
    client.send("deadline 10000\necho armed\n");
    driven.expect(&mut client, "armed\n");
    for round in 1..=5 {
        driven.pass(seconds(6));
        // From the second round on, one that was armed earlier has fallen due.
        assert_eq!(world.count("timed_out"), 0, "round {round}");
        client.send("deadline 10000\necho again\n");
        driven.expect(&mut client, "again\n");
    }
    driven.pass(seconds(10) - Duration::from_millis(1));
    assert_eq!(world.count("timed_out"), 0);
    driven.pass(Duration::from_millis(1));
    assert_eq!(world.count("timed_out"), 1);
    driven.expect(&mut client, "timed out\n");
    // Earlier is honoured, too.
    client.send("deadline 60000\ndeadline 20\necho armed\n");
    driven.expect(&mut client, "armed\n");
    driven.pass(Duration::from_millis(20));
    assert_eq!(world.count("timed_out"), 2);
    driven.pass(seconds(100));
    assert_eq!(world.count("timed_out"), 2, "there is none any more");
}

/// Design law 8, and the contract of `drain`.
#[test]
fn draining_closes_the_idle_and_lets_the_busy_finish() {
    let (mut driven, world) = driven(EventedSettings::default());
    let mailboxes = world.mailboxes();
    let mut idle = driven.connect();
    let mut busy = driven.connect();
    let mut waiting = driven.connect();
    let mut producing = driven.connect();
    busy.send("echo half");
    waiting.send("wait\n");
    producing.send("blocks 20000\n");
    driven.until(|driven| {
        driven.settle();
        // That of `idle` has received nothing.
        world.received.load(Ordering::SeqCst) == "echo half".len() + "wait\n".len() + 13
    });
    let handle = driven.engine.shutdown_handle();
    handle.request_drain(Duration::from_secs(1_000_000));
    assert_eq!(text(&driven.rest(&mut idle)), "draining\\n");
    driven.expect(&mut busy, "draining\n");
    busy.send(" a line\n");
    assert_eq!(text(&driven.rest(&mut busy)), "half a line\\n");
    // These say Close: what they have written before is sent all the same.
    assert_eq!(text(&driven.rest(&mut waiting)), "draining\\n");
    let produced = driven.rest(&mut producing);
    assert!(produced.ends_with(b"bdraining\n"), "{}", text(&produced));
    driven.until(|driven| driven.open_connections() == 0);
    assert_eq!(world.count("drain"), 4);
    drop(mailboxes);
}

/// SHUT-14: by default a protocol answers what has arrived when a drain begins, although no event has
/// told of it, and then closes. So does one that has taken over by then: it also gets what came
/// together with the upgrade.
#[test]
fn what_has_arrived_when_a_drain_begins_is_answered() {
    /// Answers whole lines, and hands over at an empty one.
    struct Lines;
    impl Protocol for Lines {
        type Message = std::convert::Infallible;

        fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, _now: &Now) -> Next {
            while let Some(end) = input.iter().position(|&byte| byte == b'\n') {
                output.extend_from_slice(&input[..=end]);
                input.consume(end + 1);
                if end == 0 {
                    return Next::Upgrade(Box::new(Lines));
                }
            }
            Next::Read
        }
    }
    let mut driven = Driven::new(EventedSettings::default(), |_: &SocketAddr| Lines);
    let mut clients = ["one\ntwo\n", "one\ntw", "", "\nheir\n", "a\n\nb\n\nc\n"].map(|bytes| {
        let client = driven.connect();
        (client, bytes)
    });
    driven.settle();
    for (client, bytes) in &mut clients {
        client.send(*bytes);
        if !bytes.is_empty() {
            driven.overlook();
        }
    }
    let handle = driven.engine.shutdown_handle();
    handle.request_drain(Duration::from_secs(1_000_000));
    driven.blind_turn();
    assert_eq!(driven.open_connections(), 0);
    for (client, bytes) in &mut clients {
        let whole = bytes.rfind('\n').map_or("", |end| &bytes[..=end]);
        assert_eq!(text(&driven.rest(client)), text(whole.as_bytes()));
    }
}

/// A protocol that takes over after a drain has begun is told of it immediately, by whichever call
/// of its predecessor it takes over; and so is one that takes over from that one.
#[test]
fn a_protocol_that_takes_over_during_a_drain_is_told_of_it() {
    /// Finishes what its client has begun, then lets another take over.
    struct Busy;
    impl Protocol for Busy {
        type Message = std::convert::Infallible;

        fn receive(&mut self, input: &mut Buffer, _output: &mut Buffer, _now: &Now) -> Next {
            match input.ends_with(b".") {
                true => Next::Upgrade(Box::new(Heir(1))),
                false => Next::Read,
            }
        }

        fn drain(&mut self, _: &mut Buffer, output: &mut Buffer, _now: &Now) -> Next {
            output.extend_from_slice(b"drain\n");
            Next::Read
        }
    }
    /// Hands over as often as it says, then echoes to the end of a drain.
    struct Heir(u32);
    impl Protocol for Heir {
        type Message = std::convert::Infallible;

        fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, _now: &Now) -> Next {
            output.extend_from_slice(&mem::take(input));
            Next::Read
        }

        fn drain(&mut self, _: &mut Buffer, output: &mut Buffer, _now: &Now) -> Next {
            output.extend_from_slice(b"heir drain\n");
            match self.0.checked_sub(1) {
                Some(left) => Next::Upgrade(Box::new(Heir(left))),
                None => Next::Close,
            }
        }
    }
    let mut driven = Driven::new(EventedSettings::default(), |_: &SocketAddr| Busy);
    let mut before = driven.connect();
    let mut after = driven.connect();
    before.send("taken over before.");
    driven.expect(&mut before, "taken over before.");
    after.send("begun");
    driven.settle();
    let handle = driven.engine.shutdown_handle();
    handle.request_drain(Duration::from_secs(1_000_000));
    assert_eq!(
        text(&driven.rest(&mut before)),
        "heir drain\\nheir drain\\n"
    );
    driven.expect(&mut after, "drain\n");
    after.send(" and ended.");
    assert_eq!(text(&driven.rest(&mut after)), "heir drain\\nheir drain\\n");
    driven.until(|driven| driven.open_connections() == 0);
}

/// RT-9: the output is bounded; a client that does not read holds its own producer back.
#[test]
fn nothing_is_produced_above_the_high_water_mark() {
    let mut settings = EventedSettings::default();
    settings.high_water = 10_000;
    let (mut driven, world) = driven(settings);
    let mut client = driven.connect();
    // 64 MB: more than any socket buffers.
    client.send("blocks 64000\n");
    driven.until(|_| world.produced.load(Ordering::SeqCst) > 0);
    driven.settle();
    assert!(world.fullest.load(Ordering::SeqCst) < 10_000);
    let held_back = world.produced.load(Ordering::SeqCst);
    assert!(held_back < 32_000, "{held_back} blocks into the void");
    let mut expected = blocks(64_000);
    expected.extend(b"done\n");
    driven.expect(&mut client, expected);
    assert!(world.fullest.load(Ordering::SeqCst) < 10_000);
    assert_eq!(world.produced.load(Ordering::SeqCst), 64_000);
}

/// RT-9: reading is paused as well, else a client could fill the memory with what it asks for.
#[test]
fn nothing_is_read_above_the_high_water_mark() {
    let mut settings = EventedSettings::default();
    settings.high_water = 10_000;
    let (mut driven, world) = driven(settings);
    let mut client = driven.connect();
    let echo = format!("echo {}\n", "e".repeat(1000));
    // Fill both directions until the client cannot send any more.
    client.0.set_nonblocking(true).expect("an option");
    let batch = echo.repeat(10).into_bytes();
    let (mut sent, mut refused) = (0, 0);
    while refused < 10 && sent < 100_000_000 {
        let from = sent % batch.len();
        match client.0.write(&batch[from..]) {
            Ok(count) => (sent, refused) = (sent + count, 0),
            Err(_) => refused += 1,
        }
        driven.settle();
    }
    assert!(sent < 100_000_000, "nothing holds the client back");
    let received = world.received.load(Ordering::SeqCst);
    assert!(received < sent, "all {sent} bytes were taken in");
    let whole = sent / echo.len();
    driven.expect(&mut client, format!("{}\n", "e".repeat(1000)).repeat(whole));
}

/// Design law 8: a client that takes nothing is given up, by the clock that the loop is given.
#[test]
fn a_client_that_does_not_read_is_given_up() {
    let mut settings = EventedSettings::default();
    settings.write_stall = Duration::from_secs(30);
    let (factory, world) = scripted(World::default());
    // The system's buffers would take more at times that the test does not know.
    let (throttled, credit) = throttled();
    let mut driven = Driven::on(throttled, settings, factory);
    let mut client = driven.connect();
    credit.store(5000, Ordering::SeqCst);
    client.send("blocks 64000\n");
    driven.until(|_| credit.load(Ordering::SeqCst) == 0);
    driven.settle();
    driven.pass(Duration::from_millis(29_999));
    assert_eq!(driven.open_connections(), 1);
    driven.pass(Duration::from_millis(1));
    assert_eq!(driven.open_connections(), 0);
    assert_eq!(driven.engine.stats().stalled, 1);
    assert_eq!(world.count("timed_out"), 0, "not the protocol's business");
    client.expect_gone();
}

/// The stall begins anew whenever the client takes something, also while more is produced.
#[test]
#[cfg_attr(
    windows,
    ignore = "only Unix reports with its bytes that a socket can be written"
)]
fn a_client_that_reads_slowly_is_not_given_up() {
    let mut settings = EventedSettings::default();
    settings.write_stall = Duration::from_secs(30);
    settings.high_water = 10_000;
    let (factory, world) = scripted(World::default());
    let (throttled, credit) = throttled();
    let mut driven = Driven::on(throttled, settings, factory);
    let mut client = driven.connect();
    client.send("blocks 64000\n");
    for round in 1..=20 {
        credit.fetch_add(6000, Ordering::SeqCst);
        // A byte: the poll reports the socket, and with it that it can be written.
        client.send("-");
        driven.expect(&mut client, blocks(6));
        driven.settle();
        let produced = world.produced.load(Ordering::SeqCst);
        assert_eq!(produced, 10 + 6 * round, "up to the mark again");
        driven.pass(Duration::from_secs(20));
        assert_eq!(driven.open_connections(), 1, "round {round}");
    }
    driven.pass(Duration::from_secs(10));
    assert_eq!(driven.open_connections(), 0);
}

/// The same with the real clock: nobody has to wake the loop.
#[test]
fn a_stalled_client_is_given_up_without_being_asked() {
    let world = Arc::new(World::default());
    let shared = Arc::clone(&world);
    let mut settings = EventedSettings::default();
    settings.write_stall = Duration::from_millis(5);
    let factory = move |_: &SocketAddr| Scripted::new(&shared);
    let server = serve(move || Evented::with_settings(factory, settings));
    let mailboxes = world.mailboxes();
    let mut client = server.connect();
    client.send("blocks 64000\n");
    let mailbox = mailboxes.recv_timeout(PATIENCE).expect("it is made");
    let began = Instant::now();
    while !matches!(mailbox.send(String::new()), Err(SendError::Gone(_))) {
        assert!(began.elapsed() < PATIENCE, "it is given up");
        thread::yield_now();
    }
}

/// Design law 8: lingering is bounded, in time.
#[test]
fn a_lingering_client_is_cut_off_in_the_end() {
    let mut settings = EventedSettings::default();
    settings.linger = Duration::from_secs(2);
    let (mut driven, _) = driven(settings);
    let mut client = driven.connect();
    client.send("linger\n");
    // The answer and its end come at once, and the client may go on sending.
    assert_eq!(text(&driven.rest(&mut client)), "lingering\\n");
    for _ in 0..3 {
        driven.pass(Duration::from_millis(600));
        client.send("more");
        driven.settle();
        assert_eq!(driven.open_connections(), 1);
    }
    driven.pass(Duration::from_millis(200));
    assert_eq!(driven.open_connections(), 0);
}

/// Design law 7: and in size.
#[test]
fn a_lingering_client_cannot_send_for_ever() {
    let world = Arc::new(World::default());
    let mut settings = EventedSettings::default();
    settings.linger = Duration::from_secs(3600);
    let shared = Arc::clone(&world);
    let factory = move |_: &SocketAddr| Scripted::new(&shared);
    let server = serve(move || Evented::with_settings(factory, settings));
    let mut client = server.connect();
    client.send("linger\n");
    let piece = vec![b'm'; 100_000];
    let sent = (0..10_000)
        .take_while(|_| client.0.write_all(&piece).is_ok())
        .count();
    assert!(sent < 1000, "{sent} pieces were taken");
}

/// RT-6: work per connection and turn is bounded.
#[test]
fn a_client_that_streams_does_not_starve_another() {
    let world = Arc::new(World::default());
    let server = evented(&world);
    let mut reading = server.connect();
    let mut writing = server.connect();
    let reader = thread::spawn(move || {
        reading.send("blocks 1000000000\n");
        let mut taken = vec![0; 64 * 1024];
        while reading.0.read(&mut taken).is_ok_and(|count| count > 0) {}
    });
    let writer = thread::spawn(move || {
        let batch = "echo\n".repeat(1000);
        let mut echoes = vec![0; 1000];
        while writing.0.write_all(batch.as_bytes()).is_ok()
            && writing.0.read_exact(&mut echoes).is_ok()
        {}
    });
    let mut client = server.connect();
    for _ in 0..200 {
        client.send("echo me too\n");
        client.expect("me too\n");
    }
    // They end with the server, which closes their connections.
    drop(client);
    drop(server);
    reader.join().expect("no panic");
    writer.join().expect("no panic");
}

/// RT-4, RT-10, TCP-11: a reset in any phase gives the slot back.
#[test]
fn a_reset_leaves_nothing_open() {
    let scripts = [
        "",
        "echo answered\n",
        "half a line",
        "blocks 64000\n",
        "blob 10000000\n",
        "linger\nmore",
        "upgrade\n",
    ];
    for script in scripts {
        let (mut driven, world) = driven(EventedSettings::default());
        let mut client = driven.connect();
        client.send(script);
        let expected = script.len();
        driven.until(|_| expected == 0 || world.received.load(Ordering::SeqCst) > 0);
        driven.settle();
        client.reset();
        driven.until(|driven| driven.open_connections() == 0);
        let mut next = driven.connect();
        next.send("echo next\n");
        driven.expect(&mut next, "next\n");
        assert!(driven.reports.try_recv().is_err(), "{script}: no failure");
    }
}

/// A conversation that waits for a message reads nothing; a reset ends it all the same, without
/// any message, and what is sent to it later comes back.
#[test]
fn a_reset_while_a_message_is_waited_for_frees_the_slot() {
    let (mut driven, world) = driven(EventedSettings::default());
    let mailboxes = world.mailboxes();
    let mut client = driven.connect();
    let mailbox = mailboxes.recv_timeout(PATIENCE).expect("it is made");
    client.send("wait\n");
    driven.until(|_| world.received.load(Ordering::SeqCst) > 0);
    client.reset();
    driven.until(|driven| driven.open_connections() == 0);
    assert_eq!(driven.engine.reactor_mut().open_slots(), 0);
    let late = mailbox.send("late".to_owned());
    assert!(matches!(late, Err(SendError::Gone(_))));
    assert_eq!(world.count("deliver"), 0);
}

/// RT-10: one that only stops sending is still answered.
#[test]
fn a_half_close_while_a_message_is_waited_for_ends_nothing() {
    let (mut driven, world) = driven(EventedSettings::default());
    let mailboxes = world.mailboxes();
    let mut client = driven.connect();
    let mailbox = mailboxes.recv_timeout(PATIENCE).expect("it is made");
    client.send("wait\n");
    driven.until(|_| world.received.load(Ordering::SeqCst) > 0);
    client.shutdown_write();
    driven.settle();
    mailbox.send("go on waiting".to_owned()).expect("it waits");
    driven.expect(&mut client, "message go on waiting\n");
    mailbox.send("last".to_owned()).expect("it waits");
    driven.expect(&mut client, "message last\nend of input\n");
}

/// RT-10: the settings may say that such a client has left.
#[test]
fn a_half_close_may_end_everything() {
    let mut settings = EventedSettings::default();
    settings.half_close = false;
    for order in ["later", "with the request", "behind unread bytes"] {
        let (mut driven, world) = driven(settings.clone());
        let losses = world.losses();
        let mut client = driven.connect();
        client.send("echo one\nwait\n");
        if order == "with the request" {
            client.shutdown_write();
        }
        if order == "later" {
            driven.until(|_| world.received.load(Ordering::SeqCst) > 0);
            driven.settle();
            assert_eq!(driven.open_connections(), 1);
            client.shutdown_write();
        }
        if order == "behind unread bytes" {
            client.send("echo pipelined\n"); // what nobody reads does not hide the end
            client.shutdown_write();
        }
        driven.until(|driven| driven.open_connections() == 0);
        losses.try_recv().expect("it was told");
        drop(client);
    }
    // Nothing changes for a client that gets its response before anybody waits.
    let (mut driven, _) = driven(settings);
    let mut client = driven.connect();
    client.send("echo one\n");
    client.shutdown_write();
    let rest = driven.rest(&mut client);
    assert!(rest.starts_with(b"one\nend of input\n"), "{}", text(&rest));
}

/// The input buffer is lent: a protocol may take it whole without harm to anybody.
#[test]
fn a_protocol_may_take_the_buffer_with_the_bytes() {
    struct Taker;
    impl Protocol for Taker {
        type Message = std::convert::Infallible;

        fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, _now: &Now) -> Next {
            output.extend_from_slice(&mem::take(input));
            Next::Read
        }
    }
    let server = serve(|| Evented::new(|_: &SocketAddr| Taker));
    let (mut first, mut second) = (server.connect(), server.connect());
    for _ in 0..3 {
        for client in [&mut first, &mut second] {
            client.send("bytes");
            client.expect("bytes");
        }
    }
    let mut third = server.connect();
    third.send("bytes");
    third.expect("bytes");
}

/// Law 8: a limit that no clock will ever reach is none.
#[test]
fn the_longest_patience_is_no_deadline() {
    let mut settings = EventedSettings::default();
    (settings.write_stall, settings.linger) = (Duration::MAX, Duration::MAX);
    let (mut driven, _world) = driven(settings);
    let mut client = driven.connect();
    client.send("blocks 1000\nlinger\n");
    driven.settle();
    assert_eq!(driven.engine.timeout(driven.now), None);
    assert_eq!(driven.open_connections(), 1);
}

/// A mark of zero lets nothing be read or produced before everything is sent, but then it does.
#[test]
fn a_high_water_mark_of_zero_stops_nothing_for_good() {
    let mut settings = EventedSettings::default();
    settings.high_water = 0;
    let (mut driven, _world) = driven(settings);
    let mut client = driven.connect();
    for _ in 0..2 {
        client.send("echo x\n");
        driven.expect(&mut client, "x\n");
    }
}

/// Law 10: a message that nobody gets any more may do what it likes as it goes.
#[test]
fn a_message_that_comes_too_late_stops_nobody() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("scripted");
        }
    }
    #[derive(Default)]
    struct Late(Option<Mailbox<Bomb>>);
    impl Protocol for Late {
        type Message = Bomb;

        fn connection_made(
            &mut self,
            mailbox: Mailbox<Bomb>,
            _output: &mut Buffer,
            _now: &Now,
        ) -> Next<Bomb> {
            self.0 = Some(mailbox);
            Next::Read
        }

        fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, _now: &Now) -> Next<Bomb> {
            output.extend_from_slice(&mem::take(input));
            if let Some(mailbox) = &self.0 {
                // It arrives when the connection has ended.
                mailbox.send(Bomb).expect("it is connected");
            }
            Next::Close
        }
    }
    let server = serve(|| Evented::new(|_: &SocketAddr| Late::default()));
    for _ in 0..3 {
        let mut client = server.connect();
        client.send("bytes");
        assert_eq!(client.rest(), b"bytes");
    }
}

/// The output of a protocol that does not ask for anything else is one slice, whatever is
/// appended to it. So is that of a protocol that takes over from one that asks.
#[test]
fn only_a_protocol_that_allows_it_has_blocks_kept() {
    /// Appends a block and notes how much of the output its slice shows.
    struct Look {
        allows: bool,
        shown: Arc<Mutex<Vec<(usize, usize)>>>,
        then: Option<Box<Look>>,
    }
    impl Look {
        fn note(&self, output: &Buffer) {
            let shown = (output[..].len(), output.len());
            self.shown.lock().expect("no panic").push(shown);
        }
    }
    impl Protocol for Look {
        type Message = ();

        fn connection_made(&mut self, _: Mailbox<()>, output: &mut Buffer, _: &Now) -> Next<()> {
            self.note(output);
            output.extend_from_slice(b"<");
            output.append(vec![b'x'; 100_000]);
            output.extend_from_slice(b">");
            self.note(output);
            match self.then.take() {
                Some(then) => Next::Upgrade(then),
                None => Next::Close,
            }
        }

        fn receive(&mut self, _: &mut Buffer, _: &mut Buffer, _: &Now) -> Next<()> {
            Next::Close
        }

        fn keeps_blocks(&self) -> bool {
            self.allows
        }
    }
    const ONE: usize = 100_002;
    let cases = [
        (
            false,
            false,
            [(0, 0), (ONE, ONE), (ONE, ONE), (2 * ONE, 2 * ONE)],
        ),
        (
            true,
            false,
            [(0, 0), (2, ONE), (ONE, ONE), (2 * ONE, 2 * ONE)],
        ),
        (
            false,
            true,
            [(0, 0), (ONE, ONE), (ONE, ONE), (ONE + 2, 2 * ONE)],
        ),
        (true, true, [(0, 0), (2, ONE), (2, ONE), (4, 2 * ONE)]),
    ];
    for (first, second, expected) in cases {
        let shown = Arc::default();
        let look = |allows, then| Look {
            allows,
            shown: Arc::clone(&shown),
            then,
        };
        let look = look(first, Some(Box::new(look(second, None))));
        let mut wfile = Vec::new();
        let files = Files {
            rfile: io::empty(),
            wfile: &mut wfile,
        };
        Driver::new(look).drive(files).expect("it ends");
        let page = format!("<{}>", "x".repeat(100_000));
        assert!(wfile == page.repeat(2).as_bytes(), "{first} {second}");
        assert_eq!(
            *shown.lock().expect("no panic"),
            expected,
            "{first} {second}"
        );
    }
}

/// Law 10: the payload of a panic may panic as well, when it is dropped.
#[test]
fn a_payload_that_panics_stops_nobody() {
    struct Grenade;
    impl Drop for Grenade {
        fn drop(&mut self) {
            std::panic::panic_any(Grenade);
        }
    }
    #[derive(Default)]
    struct Mined;
    impl Protocol for Mined {
        type Message = ();

        fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, _now: &Now) -> Next<()> {
            match &input[..] {
                b"panic" => std::panic::panic_any(Grenade),
                _ => output.extend_from_slice(&mem::take(input)),
            }
            Next::Close
        }

        fn connection_lost(&mut self, _now: &Now) {
            std::panic::panic_any(Grenade);
        }
    }
    let server = serve(|| Evented::new(|_: &SocketAddr| Mined));
    for _ in 0..3 {
        let mut client = server.connect();
        client.send("panic");
        client.expect_gone();
        let mut client = server.connect();
        client.send("bytes");
        assert_eq!(client.rest(), b"bytes");
    }
}

/// A client that never sends, and a read that never waits long for it.
struct Mute;

impl Read for Mute {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::TimedOut.into())
    }
}

/// Design laws 7 and 8: without a loop, too, the owner of a connection has its limits.
#[test]
fn a_driver_waits_for_a_client_as_long_as_the_settings_say() {
    const FLOOD: usize = 10 * 1024 * 1024;
    /// Writes, and ends.
    struct Say(usize);
    impl Protocol for Say {
        type Message = ();

        fn connection_made(
            &mut self,
            _mailbox: Mailbox<()>,
            output: &mut Buffer,
            _now: &Now,
        ) -> Next<()> {
            output.extend_from_slice(&vec![b'x'; self.0]);
            Next::Linger
        }

        fn receive(&mut self, _: &mut Buffer, _: &mut Buffer, _: &Now) -> Next<()> {
            panic!("nothing is sent to it")
        }
    }
    /// A client that takes a byte at a time.
    #[derive(Default)]
    struct Sip(usize);
    impl Write for Sip {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(1);
            self.0 += taken;
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let converse = |length, settings| {
        let mut sip = Sip::default();
        let handled = Driver::with_settings(Say(length), settings).drive(Files {
            rfile: Mute,
            wfile: &mut sip,
        });
        handled.expect("a slow client is no failure");
        sip.0
    };

    let mut settings = EventedSettings::default();
    settings.linger = Duration::from_millis(1);
    assert_eq!(converse(1, settings.clone()), 1, "it lingers, and ends");

    settings.write_stall = Duration::from_millis(1);
    settings.write_rate = u32::MAX;
    let taken = converse(FLOOD, settings);
    assert!(taken < FLOOD, "a byte at a time it is given up");
}

/// Without a loop and without a server: a blocking socket, a message, a deadline, and a failure.
#[test]
fn a_driver_converses_over_a_blocking_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it has one");
    let world = Arc::new(World::default());
    let mailboxes = world.mailboxes();
    let shared = Arc::clone(&world);
    let driving = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client");
        stream
            .set_read_timeout(Some(Duration::from_millis(1)))
            .expect("a limit");
        let driven = Driver::new(Scripted::new(&shared)).drive(stream);
        driven.map_err(|failure| failure.to_string())
    });
    let mut client = Client::connect(address);
    let mailbox = mailboxes.recv_timeout(PATIENCE).expect("it is made");
    client.send("echo one\nwait\necho two\n");
    client.expect("one\n");
    mailbox.send("go on".to_owned()).expect("it waits");
    client.expect("message go on\ntwo\n");
    client.send("deadline 5\n");
    client.expect("timed out\n");
    // A message that comes while it reads is delivered after the read.
    mailbox.send("early".to_owned()).expect("it is there");
    client.send("fail\n");
    let mut got = [0; "failed\nmessage early\n".len()];
    client.0.read_exact(&mut got).expect("both, in any order");
    client.send("linger\nmore");
    client.expect("lingering\n");
    client.expect_end();
    client.shutdown_write();
    let driven = driving.join().expect("no panic");
    assert_eq!(driven, Err("scripted failure".to_owned()));
    assert!(matches!(
        mailbox.send("late".to_owned()),
        Err(SendError::Gone(_))
    ));
}

/// A panic in a conversation that is driven is its failure.
#[test]
fn a_driven_conversation_is_contained() {
    let world = Arc::new(World {
        panic_in: "produce",
        ..World::default()
    });
    let mut output = Vec::new();
    let driven = Driver::new(Scripted::new(&world)).drive(Files {
        rfile: &b"echo one\nblocks 1\n"[..],
        wfile: &mut output,
    });
    let failure = driven.expect_err("a panic").to_string();
    assert!(failure.contains("scripted panic in produce"), "{failure}");
    assert_eq!(output, b"one\n");
    assert!(world.calls().ends_with(&["receive", "produce"]));
}

/// A blocking stream is read only while the protocol reads. It must not be read for the sake of a
/// close, even if the last read has filled its buffer: the client may wait for the output.
#[test]
fn a_driver_does_not_read_before_it_closes() {
    /// A client that sends as much as it is asked for, once.
    struct Once(bool);
    impl Read for Once {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            assert!(!mem::replace(&mut self.0, true), "a read would hang");
            bytes.fill(b'\n');
            bytes[..5].copy_from_slice(b"close");
            Ok(bytes.len())
        }
    }
    let world = Arc::new(World::default());
    let mut output = Vec::new();
    let driven = Driver::new(Scripted::new(&world)).drive(Files {
        rfile: Once(false),
        wfile: &mut output,
    });
    driven.expect("no failure");
    assert_eq!(output, b"closing\n");
}

/// Design law 8: a deadline passes without a loop, too, even if each read brings another byte.
#[test]
fn a_driver_gives_up_a_client_that_trickles() {
    struct Hurry(Option<Instant>);
    impl Protocol for Hurry {
        type Message = ();

        fn connection_made(&mut self, _: Mailbox<()>, _: &mut Buffer, now: &Now) -> Next<()> {
            self.0 = Some(now + Duration::from_millis(1));
            Next::Read
        }

        fn receive(&mut self, input: &mut Buffer, _: &mut Buffer, _: &Now) -> Next<()> {
            input.clear();
            Next::Read
        }

        fn timed_out(&mut self, output: &mut Buffer, _: &Now) -> Next<()> {
            output.extend_from_slice(b"too late");
            Next::Close
        }

        fn deadline(&self) -> Option<Instant> {
            self.0
        }
    }
    struct Trickle;
    impl Read for Trickle {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            bytes[0] = b'x';
            Ok(1)
        }
    }
    let mut output = Vec::new();
    let driven = Driver::new(Hurry(None)).drive(Files {
        rfile: Trickle,
        wfile: &mut output,
    });
    driven.expect("no failure");
    assert_eq!(output, b"too late");
}

/// A protocol whose deadline passes, and stays. Its owner would wait for nothing, for ever.
struct Stuck(Option<Instant>);

impl Protocol for Stuck {
    type Message = String;

    fn connection_made(&mut self, _: Mailbox<String>, _: &mut Buffer, now: &Now) -> Next<String> {
        self.0 = Some(now.instant());
        Next::Read
    }

    fn receive(&mut self, _: &mut Buffer, _: &mut Buffer, _: &Now) -> Next<String> {
        Next::Read
    }

    fn timed_out(&mut self, _: &mut Buffer, _: &Now) -> Next<String> {
        Next::Read
    }

    fn deadline(&self) -> Option<Instant> {
        self.0
    }
}

#[test]
fn a_deadline_that_does_not_move_is_reported() {
    let mut driven = Driven::new(EventedSettings::default(), |_: &SocketAddr| Stuck(None));
    let mut client = Client::connect(driven.engine.server_address());
    assert_eq!(driven.rest(&mut client), b"");
    let (report, _) = driven.reports.recv_timeout(PATIENCE).expect("a report");
    assert_eq!(report, "the deadline has not moved in timed_out");

    let failure = in_time(|| {
        let driven = Driver::new(Stuck(None)).drive(Files {
            rfile: Mute,
            wfile: io::sink(),
        });
        driven.expect_err("a failure").to_string()
    });
    assert_eq!(failure, "the deadline has not moved in timed_out");
}

/// RT-12: a driver that was kept by its client's slow reading looks for input before it judges.
#[test]
fn a_driver_reads_before_it_judges() {
    /// A session that is to end after a millisecond, unless a line comes.
    struct Session(Option<Instant>);
    impl Protocol for Session {
        type Message = ();

        fn connection_made(&mut self, _: Mailbox<()>, output: &mut Buffer, now: &Now) -> Next<()> {
            self.0 = Some(now + Duration::from_millis(1));
            output.extend_from_slice(b"hello\n");
            Next::Read
        }

        fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, _: &Now) -> Next<()> {
            output.extend_from_slice(&mem::take(input));
            Next::Close
        }

        fn timed_out(&mut self, output: &mut Buffer, _: &Now) -> Next<()> {
            output.extend_from_slice(b"too late\n");
            Next::Close
        }

        fn deadline(&self) -> Option<Instant> {
            self.0
        }
    }
    /// Takes a byte at a time, and longer for each than the session has.
    struct Slow(Vec<u8>);
    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let began = Instant::now();
            while began.elapsed() < Duration::from_millis(2) {
                thread::yield_now();
            }
            self.0.push(bytes[0]);
            Ok(1)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut slow = Slow(Vec::new());
    let driven = Driver::new(Session(None)).drive(Files {
        rfile: &b"in time\n"[..],
        wfile: &mut slow,
    });
    driven.expect("no failure");
    assert_eq!(text(&slow.0), "hello\\nin time\\n");
}

/// RT-12, design law 8: a client that never stops sending has a deadline, too.
#[test]
fn a_client_that_floods_is_timed_out() {
    #[derive(Clone, Default)]
    struct Session {
        deadline: Option<Instant>,
        received: Arc<AtomicUsize>,
    }
    impl Protocol for Session {
        type Message = String;

        fn receive(&mut self, input: &mut Buffer, _: &mut Buffer, now: &Now) -> Next<String> {
            self.deadline.get_or_insert(now + Duration::from_secs(60));
            self.received.fetch_add(1, Ordering::SeqCst);
            input.consume(1); // and so there is always more
            Next::Produce
        }

        fn produce(&mut self, _: &mut Buffer, _: &Now) -> Next<String> {
            Next::Read
        }

        fn deadline(&self) -> Option<Instant> {
            self.deadline
        }
    }
    let session = Session::default();
    let received = Arc::clone(&session.received);
    let factory = move |_: &SocketAddr| session.clone();
    let mut driven = Driven::new(EventedSettings::default(), factory);
    let mut client = driven.connect();
    client.send([b'x'; 60_000]);
    driven.until(|_| received.load(Ordering::SeqCst) > 0);
    driven.pass(Duration::from_secs(60));
    assert!(received.load(Ordering::SeqCst) < 1000, "there is more");
    assert_eq!(driven.open_connections(), 0);
}

/// TCP-8: only over unread input a close has to linger, and there is none after the last byte,
/// even if the read that brought it could have left some.
#[test]
fn a_close_after_the_last_byte_is_a_close() {
    /// As much as one read returns.
    const CONTENT: usize = 64 * 1024;
    struct Swallow(usize);
    impl Protocol for Swallow {
        type Message = ();

        fn receive(&mut self, input: &mut Buffer, output: &mut Buffer, _now: &Now) -> Next<()> {
            self.0 += input.len();
            input.clear();
            if self.0 < CONTENT {
                return Next::Read;
            }
            output.extend_from_slice(b"done");
            Next::Close
        }
    }
    let swallow = |_: &SocketAddr| Swallow(0);
    let mut driven = Driven::new(EventedSettings::default(), swallow);
    let mut client = driven.connect();
    client.send(vec![b'x'; CONTENT]);
    driven.until(|driven| driven.open_connections() == 0);
    assert_eq!(client.rest(), b"done");
}
