//! A rolling restart: a successor serves on the same listening socket before its predecessor ends.
//!
//! What a client sends after the drain has begun may be lost (SHUT-14). So a drain here begins and ends
//! only while no client sends: each request is sent before, or is begun afterwards.
#![cfg(feature = "server")]

mod support;

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use serve_forever::http::{Http, HttpResult, HttpSettings, Request, Response, ThreadedHttp};
use serve_forever::socketserver::{Evented, Factory, Pool, Protocol, RunningServer, Server, Tcp};
use support::client::{Client, text};
use support::patience::{Job, PATIENCE, spawn};

const CLIENTS: usize = 4;
const GENERATIONS: usize = 12;

/// The answers that a generation must have given before the next one comes.
const ANSWERS: usize = 50;

/// Starts a server on a listener that others have, too.
fn start<F>(listener: &TcpListener, factory: F) -> RunningServer<SocketAddr>
where
    F: Factory<SocketAddr, Made: Protocol> + Send + 'static,
    F::Made: Send,
{
    let listener = listener.try_clone().expect("a descriptor");
    let tcp = Tcp::from_listener(listener).expect("a listener");
    let server = Server::new(tcp, Evented::new(factory)).expect("a server");
    server.spawn().expect("a thread")
}

/// What the test and its clients share.
#[derive(Default)]
struct World {
    /// Held by a client while it connects and sends, and by the test while a server drains.
    sending: RwLock<()>,
    /// The clients have asked enough.
    enough: AtomicBool,
}

/// Starts clients that ask without a pause, each request on a connection of its own. Returns them, and
/// where the numbers of the generations that answer arrive. A client that gets no answer, or a part of
/// one, panics.
fn clients(address: SocketAddr, world: &Arc<World>) -> (Vec<Job<()>>, Receiver<usize>) {
    let (sender, answers) = channel();
    let client = || {
        let (sender, world) = (sender.clone(), Arc::clone(world));
        spawn(move || {
            while !world.enough.load(Ordering::SeqCst) {
                let sending = world.sending.read().expect("no panic");
                let mut client = Client::connect(address);
                client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
                drop(sending);
                let answer = client.rest();
                let answer = text(&answer);
                assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
                let (_, number) = answer.split_once("generation ").expect("a body");
                let number = number.strip_suffix('.').expect("a whole body");
                sender
                    .send(number.parse().expect("a number"))
                    .expect("the test");
            }
        })
    };
    ((0..CLIENTS).map(|_| client()).collect(), answers)
}

/// Replaces a server again and again, while clients ask.
fn roll<F>(factory: impl Fn(usize) -> F)
where
    F: Factory<SocketAddr, Made: Protocol> + Send + 'static,
    F::Made: Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let world = Arc::new(World::default());
    let mut serving = start(&listener, factory(0));
    let (clients, answers) = clients(address, &world);
    let await_answers = |generation| {
        let mut left = ANSWERS;
        while left > 0 {
            let answered: usize = answers.recv_timeout(PATIENCE).expect("an answer");
            left -= usize::from(answered == generation);
        }
    };
    for generation in 1..=GENERATIONS {
        await_answers(generation - 1);
        let successor = start(&listener, factory(generation));
        let sent = world.sending.write().expect("no panic");
        let drained = serving.drain(Duration::MAX).expect("no failure");
        drop(sent);
        assert_eq!(drained.aborted, 0, "{drained:?}");
        serving = successor;
    }
    await_answers(GENERATIONS);
    world.enough.store(true, Ordering::SeqCst);
    for client in clients {
        client.join();
    }
    serving.shutdown().expect("no failure");
}

/// The handler of a generation.
fn page(generation: usize) -> impl Fn(&Request<'_>, Response<'_>) -> HttpResult + Clone + Send {
    move |_: &Request<'_>, response: Response<'_>| {
        let text = format!("generation {generation}.");
        response.send_response(200).body(text)
    }
}

/// SHUT-14: the queue of the listener belongs to both, so no request is refused, reset or forgotten while a
/// server takes over from another.
#[test]
fn a_successor_on_the_same_listener_loses_no_request() {
    roll(|generation| Http::new(page(generation), HttpSettings::default()));
}

/// SHUT-14, THREAD-13: the same with handlers on threads.
#[test]
fn a_successor_loses_no_request_that_a_worker_has() {
    roll(|generation| {
        let workers = Pool::new().threads(2).queue_length(usize::MAX);
        ThreadedHttp::new(page(generation), HttpSettings::default(), workers)
    });
}
