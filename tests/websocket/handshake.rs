//! From HTTP to frames.

use serve_forever::http::{BodyPolicy, HttpRequestHandler, ThreadedHttp};
use serve_forever::socketserver::{Evented, Pool};

use super::support::server::serve;
use super::*;

fn echo(request: &Request<'_>, response: Response<'_>) -> HttpResult {
    let echo = |socket: &mut WebSocket<'_>, message: WebSocketMessage<'_>| {
        socket.send(message);
        Ok(())
    };
    WebSocket::accept(request, response, echo)
}

fn head(client: &mut Client) -> String {
    read_through(&mut client.0, "\r\n\r\n")
}

/// RFC 9110 §7.8: what follows the request in the same segment belongs to the new protocol. WS-1,
/// on the loop and on threads.
#[test]
fn a_frame_in_the_segment_of_the_handshake_is_answered() {
    let evented = serve(|| Evented::new(Http::new(echo, HttpSettings::default())));
    let threading = serve(|| {
        let workers = Pool::new().threads(2);
        Evented::new(ThreadedHttp::new(echo, HttpSettings::default(), workers))
    });
    for server in [&evented, &threading] {
        let mut client = server.connect();
        client.send([HANDSHAKE.as_bytes(), &frame(LAST | TEXT, "early")].concat());
        let head = head(&mut client);
        assert!(
            head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"),
            "{head}"
        );
        assert!(
            head.contains(ACCEPT) && head.contains("Upgrade: websocket\r\n"),
            "{head}"
        );
        assert!(!head.contains("Content-Length"), "{head}");
        assert!(!head.contains("Sec-WebSocket-Protocol"), "{head}");
        client.expect(sent(LAST | TEXT, "early"));
        client.send(frame(CLOSE, ""));
        client.expect(sent(CLOSE, ""));
        client.expect_end();
    }
}

/// WS-1, RFC 6455 section 4.2.1, point by point: the connection goes on or not, but never as frames.
#[test]
fn what_is_no_handshake_is_refused() {
    let cases = [
        ("GET /chat", "POST /chat", 405),
        ("HTTP/1.1", "HTTP/1.0", 426),
        ("Upgrade: websocket", "Upgrade: h2c", 426),
        ("Upgrade: websocket\r\n", "", 426),
        (", Upgrade", "", 426),
        ("Version: 13", "Version: 8", 426),
        (
            "Version: 13",
            "Version: 13\r\nSec-WebSocket-Version: 13",
            426,
        ),
        ("Sec-WebSocket-Version: 13\r\n", "", 426),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", 400),
        ("dGhl", "dGhlAAAA", 400),
        ("dGhl", "dG l", 400),
        (
            "ZQ==",
            "ZQ==\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            400,
        ),
        ("25jZQ==", "25jZQ=", 400),
        ("ZQ==\r\n\r\n", "ZQ==\r\nContent-Length: 2\r\n\r\nhi", 400),
        (
            "ZQ==\r\n\r\n",
            "ZQ==\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            400,
        ),
        ("ZQ==", "ZQ==\r\nOrigin: http://evil.test", 403),
        ("ZQ==", "ZQ==\r\nOrigin: null", 403),
        ("ZQ==", "ZQ==\r\nOrigin: http://h.test:8000", 403),
        (
            "ZQ==",
            "ZQ==\r\nOrigin: http://h.test\r\nOrigin: http://evil.test",
            403,
        ),
    ];
    let server = serve(|| Evented::new(Http::new(echo, HttpSettings::default())));
    for (part, instead, status) in cases {
        let request = HANDSHAKE.replacen(part, instead, 1);
        assert_ne!(request, HANDSHAKE, "{part:?} as {instead:?}");
        let mut client = server.connect();
        client.send(request);
        let head = head(&mut client);
        let line = format!("HTTP/1.1 {status} ");
        assert!(head.starts_with(&line), "{part:?} as {instead:?}: {head}");
        let asks = head.contains("Upgrade: websocket\r\n") && head.contains("Version: 13\r\n");
        assert_eq!(asks, status == 426, "{part:?} as {instead:?}: {head}");
    }
}

/// WS-2: pages of this server, and of the origins that are listed.
#[test]
fn pages_of_listed_origins_are_accepted() {
    let cases: [(&[&str], &str, bool); 7] = [
        (&[], "http://h.test", true),
        (&[], "https://H.TEST", true),
        (&["https://a.test"], "https://a.test", true),
        (&["https://a.test"], "http://h.test", true),
        (&["https://a.test"], "https://a.test.evil", false),
        (&["https://a.test"], "https://b.test", false),
        (&["*"], "null", true),
    ];
    for (origins, origin, accepted) in cases {
        let mut settings = WebSocketSettings::default();
        settings.origins = origins.iter().map(|&origin| origin.to_owned()).collect();
        let (mut driven, _seen) = driven(settings);
        let mut client = driven.connect();
        client.send(HANDSHAKE.replacen("Upgrade:", &format!("Origin: {origin}\r\nUpgrade:"), 1));
        driven.settle();
        let code = if accepted {
            "HTTP/1.1 101 "
        } else {
            "HTTP/1.1 403 "
        };
        let head = head(&mut client);
        assert!(head.starts_with(code), "{origins:?} {origin}: {head}");
    }
}

/// WS-1: the server's preference counts, and a client that offers nothing we speak gets none.
#[test]
fn the_best_subprotocol_of_both_is_spoken() {
    let cases = [
        ("a.test, b.test", Some("b.test")),
        ("a.test", Some("a.test")),
        ("A.test", None),
        ("c.test", None),
        (
            "c.test\r\nSec-WebSocket-Protocol: x, a.test",
            Some("a.test"),
        ),
    ];
    for (offer, spoken) in cases {
        let (names, heard) = channel();
        let names = Mutex::new(names);
        let site = move |request: &Request<'_>, response: Response<'_>| {
            let mut settings = WebSocketSettings::default();
            settings.protocols = vec!["b.test".into(), "a.test".into()];
            let names = names.lock().expect("no panic").clone();
            settings.accept(
                request,
                response,
                move |socket: &mut WebSocket<'_>, _: WebSocketMessage<'_>| {
                    names.send(socket.protocol().map(str::to_owned))?;
                    Ok(())
                },
            )
        };
        let http = http(Arc::new(Box::new(site)), HttpSettings::default());
        let mut driven = Driven::new(EventedSettings::default(), http);
        let mut client = driven.connect();
        let field = format!("Sec-WebSocket-Protocol: {offer}\r\nUpgrade:");
        client.send(HANDSHAKE.replacen("Upgrade:", &field, 1));
        client.send(frame(LAST | TEXT, ""));
        driven.settle();
        let head = head(&mut client);
        let field = spoken.map(|name| format!("\r\nSec-WebSocket-Protocol: {name}\r\n"));
        assert_eq!(head.contains("Protocol: "), spoken.is_some(), "{head}");
        assert!(head.contains(&field.unwrap_or_default()), "{offer}: {head}");
        let mut name = None;
        driven.until(|_| {
            name = heard.try_recv().ok();
            name.is_some()
        });
        assert_eq!(name, Some(spoken.map(str::to_owned)), "{offer}");
    }
}

/// WS-1: bytes that are still to come as content would be taken for frames.
#[test]
fn a_handshake_whose_content_is_still_arriving_is_refused() {
    #[derive(Clone)]
    struct Streaming;

    impl HttpRequestHandler for Streaming {
        fn handle(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
            echo(request, response)
        }

        fn body_policy(&mut self, _: &Request<'_>) -> BodyPolicy {
            BodyPolicy::streamed()
        }
    }

    let http = Http::new(Streaming, HttpSettings::default());
    let mut driven = Driven::new(EventedSettings::default(), http);
    let mut clients = [(); 2].map(|()| driven.connect());
    let fields = ["Content-Length: 20", "Transfer-Encoding: chunked"];
    for (client, field) in clients.iter_mut().zip(fields) {
        client.send(HANDSHAKE.replacen("Upgrade:", &format!("{field}\r\nUpgrade:"), 1));
        driven.settle();
        let head = head(client);
        assert!(head.starts_with("HTTP/1.1 400 "), "{field}: {head}");
    }
}
