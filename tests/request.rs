//! What a request says of the connection that it came on, over real sockets.
#![cfg(feature = "server")]

mod support;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serve_forever::http::{
    Http, HttpResult, HttpSettings, OwnedRequest, Request, Response, ThreadedHttp, listen,
};
use serve_forever::socketserver::{Evented, Pool, Tcp};
use support::client::Client;
use support::missing::has_ipv6;
use support::server::serve_on;

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
