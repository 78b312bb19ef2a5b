//! Handlers that ask another server on their own loop: `Outgoing`, as in the example `upstream`. The
//! upstreams here answer, fail, say nothing, or hold their answer until the test lets them go on.
#![cfg(feature = "server")]

mod support;

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serve_forever::http::{self, Deferred, Http, HttpSettings, Request, Response};
use serve_forever::reactor::{self, Now};
use serve_forever::socketserver::{
    Buffer, Evented, Mailbox, Next, Outgoing, Protocol, RunningServer, Server,
};
use support::client::connect;
use support::patience::{LONG, PATIENCE, spawn, wait_until};

/// The channel has a slot as well.
const OWN_SLOTS: usize = 1;

/// Sends the request's path to the upstream as a line, and the line that comes back to the client.
struct Ask {
    question: String,
    deadline: Instant,
    client: Option<Deferred>,
}

impl Ask {
    fn respond(&mut self, code: u16, line: &[u8]) {
        if let Some(client) = self.client.take() {
            // Ignore the error: the client has disconnected.
            let _ = client.respond(|response| response.send_response(code).body(line));
        }
    }
}

impl Protocol for Ask {
    type Message = Infallible;

    fn connection_made(&mut self, _: Mailbox<Infallible>, output: &mut Buffer, _: &Now) -> Next {
        output.extend_from_slice(self.question.as_bytes());
        Next::Read
    }

    fn receive(&mut self, input: &mut Buffer, _: &mut Buffer, _: &Now) -> Next {
        assert!(!input.starts_with(b"/panic"), "as it was asked to");
        if !input.ends_with(b"\n") {
            return Next::Read;
        }
        self.respond(200, input);
        Next::Close
    }

    fn deadline(&self) -> Option<Instant> {
        assert!(!self.question.starts_with("/when"), "as it was asked to");
        Some(self.deadline)
    }

    fn timed_out(&mut self, _: &mut Buffer, _: &Now) -> Next {
        self.respond(504, b"");
        Next::Close
    }

    fn connection_lost(&mut self, _: &Now) {
        assert!(!self.question.starts_with("/lost"), "as it was asked to");
        self.respond(502, b"");
    }
}

/// A server whose handler asks `upstream`.
fn serve(
    upstream: SocketAddr,
    (most, waiting): (usize, usize),
    patience: Duration,
) -> RunningServer<SocketAddr> {
    let (connect, requested) = reactor::channel(waiting);
    let page = move |request: &Request<'_>, response: Response<'_>| {
        let (client, reply) = response.defer();
        let ask = Ask {
            question: format!("{}\n", request.path()),
            deadline: Instant::now() + patience,
            client: Some(client),
        };
        if let Err((_, mut ask)) = connect.send((upstream, ask)) {
            ask.respond(503, b"");
        }
        Ok(reply)
    };
    let dispatch = Evented::new(Http::new(page, HttpSettings::default()));
    let (tcp, outgoing) = (http::listen("127.0.0.1:0"), Outgoing::new(requested, most));
    let server = Server::with_hooks(tcp.expect("a free port"), dispatch, outgoing);
    server.expect("a server").spawn().expect("a thread")
}

/// Listens, and gives each connection a thread with `converse`.
fn upstream(converse: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let converse = Arc::new(converse);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            stream.set_read_timeout(Some(PATIENCE)).expect("an option");
            let converse = Arc::clone(&converse);
            thread::spawn(move || converse(stream));
        }
    });
    address
}

/// Reads the line of a question.
fn question(stream: &TcpStream) -> String {
    let mut line = String::new();
    let read = BufReader::new(stream).read_line(&mut line);
    read.expect("a question");
    line
}

/// An upstream that says which questions have come, and echoes one for each unit that it gets.
fn held() -> (SocketAddr, Receiver<String>, Sender<()>) {
    let (told, questions) = channel();
    let (release, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let address = upstream(move |mut stream| {
        let line = question(&stream);
        let _ = told.send(line.clone());
        let released = gate.lock().expect("no panic").recv();
        if released.is_ok() {
            let _ = stream.write_all(line.as_bytes());
        }
    });
    (address, questions, release)
}

/// Sends a request, and returns the connection on which its response will come.
fn send(server: &RunningServer<SocketAddr>, path: &str) -> TcpStream {
    let mut client = connect(*server.server_address());
    let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    client.write_all(request.as_bytes()).expect("sent");
    client
}

/// Returns the status and the body of a response.
fn response(mut client: TcpStream) -> (u16, String) {
    let mut bytes = String::new();
    client.read_to_string(&mut bytes).expect("a response");
    let (head, body) = bytes.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).expect("a status line");
    (status.parse().expect("a number"), body.to_owned())
}

fn ask(server: &RunningServer<SocketAddr>, path: &str) -> (u16, String) {
    response(send(server, path))
}

fn rests(server: &RunningServer<SocketAddr>) {
    wait_until("at rest", || server.stats().slots == OWN_SLOTS);
}

/// RT-8, RT-15: many clients wait for an upstream at once, over a bounded number of connections, and the loop
/// serves others meanwhile.
#[test]
fn many_clients_wait_for_an_upstream() {
    let (address, questions, release) = held();
    let server = serve(address, (3, 100), LONG);
    let clients: Vec<_> = (0..20)
        .map(|number| (number, send(&server, &format!("/{number}"))))
        .collect();
    for _ in 0..3 {
        questions.recv_timeout(PATIENCE).expect("a question");
    }
    wait_until("connected", || server.stats().open == 20);
    wait_until("answered", || server.stats().slots >= OWN_SLOTS + 20 + 3);
    assert_eq!(server.stats().slots, OWN_SLOTS + 20 + 3);
    questions.try_recv().expect_err("three at a time");
    (0..20).for_each(|_| release.send(()).expect("the upstream runs"));
    for (number, client) in clients {
        assert_eq!(response(client), (200, format!("/{number}\n")));
    }
    rests(&server);
}

/// RT-15: an upstream that refuses, closes, resets or panics its client's protocol fails one request.
#[test]
fn an_upstream_that_fails() {
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = nobody.local_addr().expect("bound");
    drop(nobody);
    let server = serve(address, (3, 3), LONG);
    for path in ["/refused", "/again"] {
        assert_eq!(ask(&server, path), (502, String::new()));
    }
    for path in ["/lost", "/when"] {
        assert_eq!(ask(&server, path).0, 500, "a panic without a connection");
    }
    rests(&server);

    let address = upstream(|stream| match question(&stream).as_str() {
        "/closed\n" => {}
        "/part\n" => (&stream).write_all(b"/par").expect("sent"),
        line => (&stream).write_all(line.as_bytes()).expect("sent"),
    });
    let server = serve(address, (1, 3), LONG);
    for path in ["/closed", "/part"] {
        assert_eq!(ask(&server, path), (502, String::new()));
        assert_eq!(ask(&server, "/other"), (200, "/other\n".into()));
    }
    assert_eq!(ask(&server, "/panic").0, 500, "a panic in a conversation");
    assert_eq!(ask(&server, "/other"), (200, "/other\n".into()));
    rests(&server);
}

/// RT-12, RT-15: an upstream that says nothing, or does not even accept, keeps its client until the deadline.
#[test]
fn an_upstream_that_is_too_slow() {
    let patience = Duration::from_millis(20);
    let (address, questions, _release) = held();
    let server = serve(address, (3, 3), patience);
    assert_eq!(ask(&server, "/slow"), (504, String::new()));
    assert_eq!(questions.recv_timeout(PATIENCE), Ok("/slow\n".into()));
    rests(&server);
}

/// RT-12: the deadline counts while the connection is not made yet.
#[cfg(target_os = "linux")]
#[test]
fn an_upstream_that_does_not_accept() {
    use serve_forever::socketserver::{Tcp, Transport};

    let full = Tcp::new("127.0.0.1:0").expect("an address");
    let full = full.request_queue_size(0).bind_and_activate();
    let full = full.expect("a free port");
    let address = full.server_address();
    let _first = connect(address); // there is no room for a second one
    let server = serve(address, (3, 3), Duration::from_millis(20));
    for path in ["/one", "/two"] {
        assert_eq!(ask(&server, path), (504, String::new()));
    }
    rests(&server);
}

/// RT-15: a client that leaves does not disturb the others, and its connection to the upstream ends.
#[test]
fn a_client_that_leaves() {
    let (address, questions, release) = held();
    let server = serve(address, (2, 10), LONG);
    let leaver = send(&server, "/leaver");
    questions.recv_timeout(PATIENCE).expect("a question");
    drop(leaver);
    let other = send(&server, "/other");
    questions.recv_timeout(PATIENCE).expect("a question");
    (0..2).for_each(|_| release.send(()).expect("the upstream runs"));
    assert_eq!(response(other), (200, "/other\n".into()));
    rests(&server);
}

/// RT-15: a server that is dropped tells every conversation with an upstream, also those that wait.
#[test]
fn a_server_that_is_dropped_tells_its_conversations() {
    struct Told(Sender<u32>, u32);

    impl Protocol for Told {
        type Message = Infallible;

        fn receive(&mut self, _: &mut Buffer, _: &mut Buffer, _: &Now) -> Next {
            Next::Read
        }

        fn connection_lost(&mut self, _: &Now) {
            self.0.send(self.1).expect("the test runs");
        }
    }

    let (address, _questions, _release) = held();
    let (told, numbers) = channel();
    let (connect, requested) = reactor::channel(3);
    let page = |_: &Request<'_>, response: Response<'_>| response.send_response(200).body("");
    let dispatch = Evented::new(Http::new(page, HttpSettings::default()));
    let (tcp, outgoing) = (http::listen("127.0.0.1:0"), Outgoing::new(requested, 1));
    let server = Server::with_hooks(tcp.expect("a free port"), dispatch, outgoing);
    let server = server.expect("a server").spawn().expect("a thread");
    for number in 0..3 {
        let sent = connect.send((address, Told(told.clone(), number)));
        assert!(sent.is_ok());
    }
    wait_until("connected", || server.stats().slots == OWN_SLOTS + 1);
    drop(server);
    let mut numbers: Vec<_> = numbers.try_iter().collect();
    numbers.sort();
    assert_eq!(numbers, [0, 1, 2]);
    assert!(
        connect.send((address, Told(told, 3))).is_err(),
        "nobody is there"
    );
}

/// RT-15: what waits for an upstream is bounded, and a handler can say that it is busy.
#[test]
fn more_clients_than_may_wait() {
    let (address, questions, release) = held();
    let server = serve(address, (1, 1), LONG);
    let asked = send(&server, "/asked");
    questions.recv_timeout(PATIENCE).expect("a question");
    let (told, statuses) = channel();
    for path in ["/one", "/two", "/three"] {
        let (client, told) = (send(&server, path), told.clone());
        spawn(move || told.send(response(client).0).expect("the test runs"));
    }
    let next = || statuses.recv_timeout(PATIENCE);
    assert_eq!([next(), next()], [Ok(503), Ok(503)], "one waits");
    (0..2).for_each(|_| release.send(()).expect("the upstream runs"));
    assert_eq!(response(asked), (200, "/asked\n".into()));
    assert_eq!(next(), Ok(200));
    rests(&server);
}
