//! `Incoming`: requests that threads of the program take and respond to.
#![cfg(feature = "server")]

mod support;

use std::io::Read;
use std::net::SocketAddr;
use std::sync::mpsc::{RecvError, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use serve_forever::http::testing;
use serve_forever::http::{BodyPolicy, Incoming, IncomingRequest};
use serve_forever::socketserver::{RunningServer, SendError};
use serve_forever::{HttpResult, HttpServer, Request, Response};
use support::client::{Client, read_through};
use support::patience::{PATIENCE, in_time, spawn, wait_until};

type Running = RunningServer<SocketAddr>;

fn serve(queue_length: usize, body_policy: BodyPolicy) -> (Running, Incoming) {
    let (handler, incoming) = Incoming::channel(queue_length, body_policy);
    let server = HttpServer::bind("127.0.0.1:0", handler).and_then(HttpServer::spawn);
    (server.expect("there is a free port"), incoming)
}

fn wait_for(incoming: &Incoming, count: usize) {
    let waiting = format!("Incoming({count} waiting)");
    wait_until(&waiting, || format!("{incoming:?}") == waiting);
}

/// A client that has sent a request.
fn ask(server: &Running, target: &str) -> Client {
    let mut client = Client::connect(*server.server_address());
    client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
    client
}

fn take(incoming: &Incoming) -> IncomingRequest {
    incoming.recv_timeout(PATIENCE).expect("a request arrives")
}

fn path(request: &IncomingRequest) -> String {
    request.request().with(|request| request.path().to_owned())
}

fn echo(request: &Request<'_>, response: Response<'_>) -> HttpResult {
    let text = format!("{} {}", request.method(), request.path());
    response.send_response(200).body(text)
}

/// The end of the next response's head, and its body.
fn answer(client: &mut Client) -> (String, String) {
    let head = read_through(&mut client.0, "\r\n\r\n");
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "));
    let length = length
        .and_then(|length| length.parse().ok())
        .expect("a length");
    let mut body = vec![0; length];
    client.0.read_exact(&mut body).expect("the body follows");
    let status = head.lines().next().unwrap_or_default().to_owned();
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// Requests come in their order, can be answered in another one, and on any thread.
#[test]
fn requests_are_taken_and_answered() {
    let (server, incoming) = serve(8, BodyPolicy::whole());
    let mut first = ask(&server, "/1");
    let one = take(&incoming);
    let mut second = ask(&server, "/2");
    let two = take(&incoming);
    assert_eq!((path(&one), path(&two)), ("/1".into(), "/2".into()));
    assert!(!one.is_gone());
    in_time(move || two.respond(echo)).expect("the client waits");
    assert_eq!(answer(&mut second).1, "GET /2");
    one.respond(echo).expect("the client waits");
    assert_eq!(
        answer(&mut first),
        ("HTTP/1.1 200 OK".into(), "GET /1".into())
    );
    // The connection is kept, and the body comes along.
    first.send("POST /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nspam");
    let shout = |request: &Request<'_>, response: Response<'_>| {
        response
            .send_response(200)
            .body(request.body().to_ascii_uppercase())
    };
    take(&incoming).respond(shout).expect("the client waits");
    assert_eq!(answer(&mut first).1, "SPAM");
}

/// Nobody waits in vain for a thread that forgets a request, fails or panics.
#[test]
fn what_is_not_answered_is_an_error() {
    let (server, incoming) = serve(8, BodyPolicy::whole());
    let mut client = ask(&server, "/");
    drop(take(&incoming));
    assert_eq!(answer(&mut client).0, "HTTP/1.1 500 Internal Server Error");
    for fault in ["fails", "panics"] {
        let mut client = ask(&server, "/");
        let responded = take(&incoming).respond(|_, _| match fault {
            "fails" => Err("no database".into()),
            _ => panic!("as the test wants it"),
        });
        assert_eq!(responded, Ok(()));
        assert_eq!(answer(&mut client).0, "HTTP/1.1 500 Internal Server Error");
    }
}

/// What does not fit into the queue is refused at once, and what is in it is served.
#[test]
fn a_full_queue_refuses() {
    let (server, incoming) = serve(2, BodyPolicy::whole());
    let mut queued = ["/1", "/2"].map(|target| {
        let client = ask(&server, target);
        wait_for(&incoming, usize::from(target == "/2") + 1);
        client
    });
    let mut refused = ask(&server, "/3");
    let head = read_through(&mut refused.0, "\r\n\r\n");
    assert!(
        head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"),
        "{head}"
    );
    assert!(head.contains("\r\nRetry-After: 1\r\n"), "{head}");
    wait_until("reported", || server.stats().failed == 1);
    for (index, client) in queued.iter_mut().enumerate() {
        take(&incoming).respond(echo).expect("the client waits");
        assert_eq!(answer(client).1, format!("GET /{}", index + 1));
    }
    // There is room again, on the refused connection, too. And when nobody takes any more:
    refused.send("GET /4 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(path(&take(&incoming)), "/4");
    drop(incoming);
    let mut client = ask(&server, "/5");
    assert_eq!(answer(&mut client).0, "HTTP/1.1 503 Service Unavailable");
}

/// The end of the server is the end of every wait, also of those that began before.
#[test]
fn the_end_of_the_server_ends_the_waits() {
    let (server, incoming) = serve(8, BodyPolicy::whole());
    assert!(matches!(incoming.try_recv(), Err(TryRecvError::Empty)));
    let moment = incoming.recv_timeout(Duration::from_millis(1));
    assert!(matches!(moment, Err(RecvTimeoutError::Timeout)));
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let incoming = incoming.clone();
            spawn(move || {
                let answered = incoming.map(|request| request.respond(echo));
                answered.filter(Result::is_ok).count()
            })
        })
        .collect();
    let mut client = ask(&server, "/");
    assert_eq!(answer(&mut client).1, "GET /");
    server.shutdown().expect("it ends well");
    let served: usize = waiting.into_iter().map(|job| job.join()).sum();
    assert_eq!(served, 1);
    assert!(matches!(incoming.recv(), Err(RecvError)));
    assert!(matches!(
        incoming.try_recv(),
        Err(TryRecvError::Disconnected)
    ));
    let moment = incoming.recv_timeout(PATIENCE);
    assert!(matches!(moment, Err(RecvTimeoutError::Disconnected)));
}

/// Runs of one's own end no wait, because another run may follow; nor does `server_close`. The drop does.
/// LOOP-5.
#[test]
fn the_drop_of_the_server_ends_the_waits() {
    let (handler, incoming) = Incoming::channel(8, BodyPolicy::whole());
    let mut server = HttpServer::bind("127.0.0.1:0", handler).expect("there is a free port");
    let (address, stop) = (server.server_address(), server.shutdown_handle());
    let waiting = spawn({
        let incoming = incoming.clone();
        move || {
            let answered = incoming.map(|request| request.respond(echo));
            answered.filter(Result::is_ok).count()
        }
    });
    for target in ["/1", "/2"] {
        let asking = spawn({
            let stop = stop.clone();
            move || {
                let mut client = Client::connect(address);
                client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
                let answered = answer(&mut client).1;
                stop.request();
                answered
            }
        });
        server.serve_forever().expect("it ends well");
        assert_eq!(asking.join(), format!("GET {target}"));
        assert!(matches!(incoming.try_recv(), Err(TryRecvError::Empty)));
    }
    server.server_close();
    assert!(matches!(incoming.try_recv(), Err(TryRecvError::Empty)));
    drop(server);
    assert_eq!(waiting.join(), 2);
    assert!(matches!(incoming.recv(), Err(RecvError)));
}

/// The arms of a match over the request may respond, each in its own way.
#[test]
fn arms_respond() {
    let (server, incoming) = serve(8, BodyPolicy::whole());
    let work = spawn(move || {
        for incoming in incoming.take(3) {
            let request = incoming.request().clone();
            let done = match (request.method(), request.path()) {
                ("GET", "/") => {
                    incoming.respond(|_, response| response.send_response(200).body("home"))
                }
                ("POST", "/shout") => {
                    let shout = request.body().to_ascii_uppercase();
                    incoming.respond(|_, response| response.send_response(200).body(shout))
                }
                _ => incoming.respond(|_, response| response.send_response(404).body("no")),
            };
            done.expect("the client waits");
        }
    });
    let mut client = ask(&server, "/?a=b");
    assert_eq!(answer(&mut client).1, "home");
    client.send("POST /shout HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nspam");
    assert_eq!(answer(&mut client).1, "SPAM");
    client.send("GET /shout HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(answer(&mut client).1, "no");
    work.join();
}

/// A drain waits for the requests in the queue and for those that a thread has.
#[test]
fn a_drain_finishes_what_is_queued() {
    let (server, incoming) = serve(8, BodyPolicy::whole());
    let mut first = ask(&server, "/1");
    wait_for(&incoming, 1);
    let mut second = ask(&server, "/2");
    wait_for(&incoming, 2);
    let one = take(&incoming);
    server.shutdown_handle().request_drain(PATIENCE);
    one.respond(echo).expect("the client waits");
    take(&incoming).respond(echo).expect("the client waits");
    assert_eq!(
        (answer(&mut first).1, answer(&mut second).1.len()),
        ("GET /1".into(), 6)
    );
    drop((first, second)); // otherwise their connections linger
    let handle = server.shutdown_handle().clone();
    in_time(move || server.join()).expect("it ends well");
    assert_eq!(handle.drained().map(|drained| drained.aborted), Some(0));
}

/// A request whose client has left is nobody's work.
#[test]
fn clients_that_left_are_passed_over() {
    let (server, incoming) = serve(8, BodyPolicy::whole());
    let queued = ask(&server, "/left");
    wait_for(&incoming, 1);
    wait_until("counted", || server.stats().open == 1); // otherwise it is not yet 0 again below
    queued.reset();
    wait_until("left", || server.stats().open == 0);
    let leaving = ask(&server, "/leaves");
    let taken = take(&incoming);
    assert_eq!(path(&taken), "/leaves");
    wait_until("counted", || server.stats().open == 1);
    leaving.reset();
    wait_until("left", || server.stats().open == 0);
    assert!(taken.is_gone());
    let responded = taken.respond(|_, _| panic!("it was called"));
    assert_eq!(responded, Err(SendError::Gone(())));
}

/// A streamed body is read on the thread that took the request, as it arrives.
#[test]
fn a_body_that_is_still_arriving() {
    let (server, incoming) = serve(8, BodyPolicy::streamed());
    let mut client = Client::connect(*server.server_address());
    let head =
        "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send(head);
    let request = take(&incoming);
    let work = spawn(move || {
        request.respond(|_, mut response| {
            let mut text = String::new();
            response.body_reader().read_to_string(&mut text)?;
            response.send_response(200).body(text.to_uppercase())
        })
    });
    client.expect("HTTP/1.1 100 Continue\r\n\r\n");
    client.send("4\r\nspam\r\n");
    client.send("5\r\n eggs\r\n0\r\n\r\n");
    assert_eq!(answer(&mut client).1, "SPAM EGGS");
    work.join().expect("the client waits");
}

/// The handler works wherever a handler does: here, without a socket.
#[test]
fn without_a_socket() {
    let (handler, incoming) = Incoming::channel(8, BodyPolicy::whole());
    let client = testing::Client::new(handler);
    let work = spawn(move || take(&incoming).respond(echo));
    assert_eq!(
        in_time(move || client.get("/a").text().into_owned()),
        "GET /a"
    );
    work.join().expect("the client waits");
}
