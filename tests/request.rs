//! What a request says of its body and of the connection that it came on, over real sockets.
#![cfg(feature = "server")]

mod support;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serve_forever::http::{
    Http, HttpResult, HttpSettings, OwnedRequest, Request, Response, ThreadedHttp, listen, testing,
};
use serve_forever::socketserver::{Evented, Pool, Tcp};
use support::client::{Client, text};
use support::missing::has_ipv6;
use support::patience::spawn;
use support::server::{listen as listener, serve_on};

/// Answers with the addresses of both ends, which a copy of the request has, too.
fn ends(request: &Request<'_>, response: Response<'_>) -> HttpResult {
    let ends = |request: &Request<'_>| (request.client_address(), request.local_address());
    let (copied, ends) = (OwnedRequest::new(request).with(ends), ends(request));
    assert_eq!(copied, ends);
    response
        .send_response_only(200, "OK")
        .body(format!("{ends:?}"))
}

fn http() -> Http<fn(&Request<'_>, Response<'_>) -> HttpResult> {
    Http::new(ends, HttpSettings::default())
}

fn threaded() -> ThreadedHttp<fn(&Request<'_>, Response<'_>) -> HttpResult> {
    let workers = Pool::new().threads(2);
    ThreadedHttp::new(ends, HttpSettings::default(), workers)
}

/// Asks twice on one connection: what the server found out when it began stays true.
#[track_caller]
fn check(mut client: Client, expected: (Option<SocketAddr>, Option<SocketAddr>)) {
    let body = format!("{expected:?}");
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        client.expect(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
    }
}

/// Binds to `bind`, with handlers on the loop and on threads, and connects to `reach` with the port that was free.
#[track_caller]
fn check_tcp(tcp: impl Fn() -> Tcp, reach: IpAddr) {
    let evented = serve_on(tcp(), || Evented::new(http()));
    let threading = serve_on(tcp(), || Evented::new(threaded()));
    for server in [&evented, &threading] {
        let reach = SocketAddr::new(reach, server.address.port());
        let client = Client::connect(reach);
        let peer = client.address();
        assert_eq!(client.0.peer_addr().ok(), Some(reach), "{reach}");
        check(client, (Some(peer), Some(reach)));
    }
}

/// An address of this host that is not the usual one, where there is such.
const REACH: Ipv4Addr = if cfg!(target_os = "linux") {
    Ipv4Addr::new(127, 0, 0, 2)
} else {
    Ipv4Addr::LOCALHOST
};

#[test]
fn of_a_server_on_one_address_it_is_that() {
    check_tcp(
        || listen((IpAddr::V4(REACH), 0)).expect("a free port"),
        REACH.into(),
    );
}

#[test]
fn of_a_server_on_all_interfaces_it_is_the_one_that_was_reached() {
    check_tcp(|| listen(":0").expect("a free port"), REACH.into());
}

#[test]
fn of_a_server_on_ipv6_too() {
    if !has_ipv6("of_a_server_on_ipv6_too") {
        return;
    }
    for bind in [Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED] {
        let listen = || listen((IpAddr::V6(bind), 0)).expect("a free port");
        check_tcp(listen, Ipv6Addr::LOCALHOST.into());
    }
}

/// UNIX-4: neither end has a host and a port.
#[cfg(unix)]
#[test]
fn of_a_server_on_a_path_there_is_none() {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::thread;

    use serve_forever::socketserver::{Dispatch, Server, UnixStreams};

    fn check_unix(name: &str, dispatch: impl Dispatch<UnixStreams> + Send + 'static) {
        let path = format!("{name}-{}.socket", std::process::id());
        let path = std::env::temp_dir().join(path);
        let unix = UnixStreams::new(&path).expect("a path that fits");
        let unix = unix.unlink_stale(true).unlink_on_close(true);
        let unix = unix.bind_and_activate().expect("a free path");
        let mut server = Server::new(unix, dispatch).expect("a poll");
        let handle = server.shutdown_handle();
        let serving = thread::spawn(move || {
            let result = server.serve_forever();
            result.map_err(|failure| failure.to_string())
        });
        let mut client = UnixStream::connect(&path).expect("the server listens");
        client
            .set_read_timeout(Some(support::patience::PATIENCE))
            .expect("an option");
        let request = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
        client.write_all(request).expect("the server reads");
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).expect("an answer");
        assert!(
            answer.ends_with(b"(None, None)"),
            "{name}: {}",
            support::client::text(&answer)
        );
        handle.request();
        assert_eq!(serving.join().expect("no panic"), Ok(()), "{name}");
    }

    check_unix("evented", Evented::new(http()));
    check_unix("threading", Evented::new(threaded()));
}

/// A copy says the same as the request, whatever its head looks like.
#[test]
fn a_copy_says_the_same() {
    fn same(request: &Request<'_>, response: Response<'_>) -> HttpResult {
        let copy = OwnedRequest::new(request);
        assert_eq!(copy.method(), request.method());
        assert_eq!(copy.target(), request.target());
        assert_eq!(copy.path(), request.path());
        for name in ["HOST", "x-odd", "absent"] {
            assert_eq!(copy.header(name), request.header(name), "{name}");
        }
        assert_eq!(copy.body(), request.body());
        let odd = String::from_utf8_lossy(copy.header("X-Odd").unwrap_or(b"none")).into_owned();
        let body = String::from_utf8_lossy(copy.body()).into_owned();
        let told = format!("{} {} {odd} {body}", copy.method(), copy.path());
        response.send_response(200).body(told)
    }
    let many = "X-Odd: 1\r\n".repeat(90); // the default limit is 100
    let cases = [
        ("GET /a//b?c HTTP/1.1\r\nHost: h\r\n\r\n", "GET /a//b none "),
        (
            "\r\nM-SEARCH //a HTTP/1.1\r\nHost: h\r\nX-ODD: \t a b \r\n\r\n",
            "M-SEARCH /a a b ",
        ),
        (
            "GET http://h/p?q HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET /p none ",
        ),
        (
            "OPTIONS http://h HTTP/1.1\r\nHost: h\r\n\r\n",
            "OPTIONS  none ",
        ),
        ("GET /old HTTP/1.0\r\nX-Odd:\r\n\r\n", "GET /old  "),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nspam\r\n0\r\nX-Odd: late\r\n\r\n",
            "POST / none spam",
        ),
        (
            &format!("GET /many HTTP/1.1\r\nHost: h\r\n{many}\r\n"),
            "GET /many 1 ",
        ),
    ];
    for (bytes, expected) in cases {
        let response = testing::Client::new(same).send(bytes.as_bytes());
        assert_eq!(response.text(), expected, "{bytes}");
    }
}

/// Responds with what it found in the body, which it reads in the way that the target names.
fn sum(request: &Request<'_>, mut response: Response<'_>) -> HttpResult {
    let found = |body: &[u8], request: &Request<'_>| {
        let sum: u64 = body.iter().map(|&byte| u64::from(byte)).sum();
        let trailer = request.trailers().get("Check").unwrap_or_default();
        format!("{} {sum} {}\n", body.len(), text(trailer))
    };
    let answer = match request.target() {
        "/body" => found(request.body(), request),
        "/copy" => OwnedRequest::new(request).with(|copy| found(copy.body(), copy)),
        _ => {
            let mut body = Vec::new();
            response.body_reader().read_to_end(&mut body)?;
            found(&body, request)
        }
    };
    response.send_response_only(200, "OK").body(answer)
}

/// HTTP-18, design law 12: a body of any size, in one piece or in chunks, is the same for a handler on the loop,
/// for a copy and for a worker. The request behind it is the next one.
#[test]
fn a_body_of_any_size_is_whole_and_ends_where_it_ends() {
    let handler: fn(&Request<'_>, Response<'_>) -> HttpResult = sum;
    let settings = HttpSettings::default;
    let evented = serve_on(listener(), move || {
        Evented::new(Http::new(handler, settings()))
    });
    let threading = serve_on(listener(), move || {
        let workers = Pool::new().threads(2).queue_length(usize::MAX);
        Evented::new(ThreadedHttp::new(handler, settings(), workers))
    });
    for server in [&evented, &threading] {
        let mut client = server.connect();
        let (mut sent, mut expected) = (Vec::new(), String::new());
        for length in [1, 10_000, 65_535, 65_536, 65_537, 300_000, 0, 131_072] {
            for target in ["/body", "/copy", "/reader"] {
                let body: Vec<u8> = (0..length).map(|place| (place % 251) as u8).collect();
                let sum: u64 = body.iter().map(|&byte| u64::from(byte)).sum();
                let mut answer = |check: &str| {
                    let content = format!("{length} {sum} {check}\n");
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}", content.len());
                    expected.push_str(&format!("{head}\r\n\r\n{content}"));
                };
                let head = format!("\r\nPOST {target} HTTP/1.1\r\nHost: h\r\n");
                answer("");
                sent.extend_from_slice(head.as_bytes());
                sent.extend_from_slice(format!("Content-Length: {length}\r\n\r\n").as_bytes());
                sent.extend_from_slice(&body);
                answer("yes");
                sent.extend_from_slice(head.as_bytes());
                sent.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                for chunk in body.chunks(50_000) {
                    sent.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    sent.extend_from_slice(chunk);
                    sent.extend_from_slice(b"\r\n");
                }
                sent.extend_from_slice(b"0\r\nCheck: yes\r\n\r\n");
            }
        }
        let mut sender = client.0.try_clone().expect("a descriptor");
        let sending = spawn(move || sender.write_all(&sent).expect("the server reads"));
        client.expect(expected);
        sending.join();
    }
}
