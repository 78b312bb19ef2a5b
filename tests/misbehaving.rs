//! `testing::Misbehaving`: each fault as a client sees it, and what the server has received.
#![cfg(feature = "server")]

mod support;

use std::io::{ErrorKind, Read};
use std::time::Duration;

use serve_forever::http::testing::{Answer, Misbehaving};
use support::client::Client;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const MOMENT: Duration = Duration::from_millis(10);

fn serve(answers: impl IntoIterator<Item = Answer>) -> Misbehaving {
    Misbehaving::new(answers).expect("there is a free port")
}

fn connect(server: &Misbehaving) -> Client {
    Client::connect(server.address())
}

/// Sends a request and returns what arrives, and how it ends.
fn exchange(server: &Misbehaving) -> (String, Option<ErrorKind>) {
    let mut client = connect(server);
    client.send(GET);
    read_all(&mut client)
}

/// Reads up to the end. `None`: the end is orderly.
fn read_all(client: &mut Client) -> (String, Option<ErrorKind>) {
    let mut all = Vec::new();
    let end = client
        .0
        .read_to_end(&mut all)
        .err()
        .map(|error| error.kind());
    (String::from_utf8_lossy(&all).into_owned(), end)
}

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";

fn hello() -> Answer {
    Answer::new(200, "hello")
}

/// However an answer is cut off, the client gets the bytes before, and sees the kind of end.
#[test]
fn ends() {
    let whole = format!("{HEAD}hello");
    let reset = Some(ErrorKind::ConnectionReset);
    let silent = hello().head_len();
    for (answer, text, end) in [
        (hello().close_after(usize::MAX), whole.as_str(), None),
        (hello().close_after(10), &whole[..10], None),
        (hello().close_after(silent + 2), &whole[..silent + 2], None),
        (hello().reset_after(10), &whole[..10], reset),
        (hello().reset_after(usize::MAX), &whole, reset),
        (Answer::raw("").reset_after(0), "", reset),
        (Answer::raw("").close_after(0), "", None),
        (
            Answer::raw("HTTP/9 ?\n").close_after(99),
            "HTTP/9 ?\n",
            None,
        ),
        (
            hello().delay(MOMENT).trickle(7, MOMENT).close_after(20),
            &whole[..20],
            None,
        ),
    ] {
        let shown = format!("{answer:?}");
        let server = serve([answer]);
        assert_eq!(exchange(&server), (text.to_owned(), end), "{shown}");
    }
}

/// The client's own patience ends a silence, whether or not something came before.
#[test]
fn a_server_that_never_answers() {
    let silent = Some(ErrorKind::WouldBlock);
    for (answers, text) in [
        (vec![], ""),
        (vec![Answer::raw("").stall_after(0)], ""),
        (vec![hello().stall_after(8)], "HTTP/1.1"),
    ] {
        let server = serve(answers);
        let mut client = connect(&server);
        client.send(GET);
        client.expect(text);
        client.0.set_read_timeout(Some(MOMENT)).expect("an option");
        let end = client.0.read(&mut [0]).map_err(|error| error.kind()).err();
        assert!(end == silent || end == Some(ErrorKind::TimedOut), "{end:?}");
    }
}

/// Each request gets the next answer, on whatever connection. The last one is repeated.
#[test]
fn a_script_goes_on_over_connections() {
    let server = serve([
        hello().reset_after(0),
        Answer::new(503, "").header("Retry-After", "1"),
        hello(),
    ]);
    assert_eq!(exchange(&server).1, Some(ErrorKind::ConnectionReset));
    let mut client = connect(&server);
    for text in [
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
        &format!("{HEAD}hello"),
        &format!("{HEAD}hello"),
    ] {
        client.send(GET);
        client.expect(text);
    }
    // Two at once, too: each gets its own answer.
    client.send(GET.repeat(2));
    client.expect(format!("{HEAD}hello{HEAD}hello"));
    assert_eq!((server.requests().len(), server.connections()), (6, 2));
}

/// The server knows what the client has sent, and reads all of it before the answer.
#[test]
fn what_the_server_received() {
    let server = serve([hello()]);
    let mut client = connect(&server);
    let head =
        "POST /form HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    client.send(head.as_bytes());
    client.expect("HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(server.requests().len(), 0, "it is not whole");
    client.send(b"data");
    client.expect(format!("{HEAD}hello"));
    // A client that says so, or that speaks HTTP/1.0, sees the end. HEAD has no body.
    client.send(b"HEAD /?q HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(read_all(&mut client), (HEAD.to_owned(), None));
    let mut client = connect(&server);
    client.send(b"GET /old HTTP/1.0\r\n\r\n");
    assert_eq!(read_all(&mut client), (format!("{HEAD}hello"), None));
    let requests = server.requests();
    let seen: Vec<_> = requests
        .iter()
        .map(|request| {
            request.with(|request| {
                let body = String::from_utf8_lossy(request.body()).into_owned();
                (format!("{} {}", request.method(), request.target()), body)
            })
        })
        .collect();
    let expected = [("POST /form", "data"), ("HEAD /?q", ""), ("GET /old", "")];
    assert_eq!(seen, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
}

/// A client that does not speak HTTP gets a correct response, and uses up no answer.
#[test]
fn what_is_no_request() {
    let server = serve([hello()]);
    let mut client = connect(&server);
    client.send("nonsense\r\n\r\n");
    let (text, end) = read_all(&mut client);
    assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
    assert_eq!((end, server.requests().len()), (None, 0));
}

/// An answer that nobody asked for begins with the connection, or after the answer before it.
#[test]
fn answers_without_a_request() {
    let server = serve([
        Answer::raw("welcome").unasked(),
        hello(),
        Answer::raw("").close_after(0).unasked(),
        hello(),
    ]);
    let mut client = connect(&server);
    client.expect("welcome");
    client.send(GET);
    // The kept connection closes, although the client wants to use it again.
    assert_eq!(read_all(&mut client), (format!("{HEAD}hello"), None));
    let mut client = connect(&server);
    client.send(GET);
    client.expect(HEAD);

    // Repeated: each connection gets it once.
    let server = serve([Answer::raw("hi").unasked()]);
    for _ in 0..3 {
        connect(&server).expect("hi");
    }
    assert_eq!(server.connections(), 3);
}

/// A client that reads for as long as it likes gets more. The server stops all the same.
#[test]
fn without_end() {
    let server = serve([Answer::new(200, "").content_length(u64::MAX).endless("abc")]);
    let mut client = connect(&server);
    client.send(GET);
    let mut some = vec![0; 3_000_000];
    client.0.read_exact(&mut some).expect("the server sends");
    let tail = &some[some.len() - 4..];
    assert!(b"abcabcabc".windows(4).any(|window| window == tail));
    drop(server);
    let (_, end) = read_all(&mut client);
    assert!(
        matches!(end, None | Some(ErrorKind::ConnectionReset)),
        "{end:?}"
    );
}

/// A client that has half-closed its side waits for the answer like any other.
#[test]
fn a_half_closed_client() {
    let server = serve([hello().trickle(20, MOMENT).close_after(usize::MAX)]);
    let mut client = connect(&server);
    client.send(GET);
    client.shutdown_write();
    assert_eq!(read_all(&mut client), (format!("{HEAD}hello"), None));
}
