//! What the public probes read: the HTTP Garden's `tools/http1.py`, and the paths that Http11Probe's
//! `AGENTS.md` asks for.
#![cfg(feature = "server")]

#[path = "../examples/checks/public_probes/main.rs"]
#[allow(dead_code)] // its main
mod public_probes;

use public_probes::{Http11Probe, garden};
use serde_json::Value;
use serve_forever::http::testing::Client;

/// The five members, and nothing else; each text is base64. The Garden reads `HTTP/1.1` and `1.1` alike.
#[test]
fn the_garden_gets_each_part_in_base64() {
    let request = b"PUT /a%20b?c=\"d\" HTTP/1.1\r\nHost: h\r\nX-Bytes: \xff\xfe\r\nX-Empty:\r\nX-Bytes: 2\r\n\
        Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\n\0\xff\n\r\n1\r\n?\r\n0\r\n\r\n";
    let response = Client::new(garden).send(request);
    assert_eq!(response.code(), 200);
    let json: Value = serde_json::from_slice(response.body()).expect("JSON");
    let expected = serde_json::json!({
        "method": "UFVU",
        "uri": "L2ElMjBiP2M9ImQi",
        "version": "SFRUUC8xLjE=",
        "headers": [
            ["SG9zdA==", "aA=="],
            ["WC1CeXRlcw==", "//4="],
            ["WC1FbXB0eQ==", ""],
            ["WC1CeXRlcw==", "Mg=="],
            ["VHJhbnNmZXItRW5jb2Rpbmc=", "Y2h1bmtlZA=="],
            ["Q29ubmVjdGlvbg==", "Y2xvc2U="],
        ],
        "body": "AP8KPw==",
    });
    assert_eq!(json, expected);
}

#[test]
fn the_garden_gets_a_request_without_fields() {
    let response = Client::new(garden).send(b"GET / HTTP/1.0\r\n\r\n");
    let expected = "{\"headers\":[],\"body\":\"\",\"version\":\"SFRUUC8xLjA=\",\"uri\":\"Lw==\",\
        \"method\":\"R0VU\"}";
    assert_eq!(response.text(), expected);
}

#[test]
fn http11probe_gets_what_it_asks_for() {
    let client = Client::new(Http11Probe);
    let text = |method: &str, target: &str, body: &str| {
        let sent = client.request(method, target).body(body).send();
        (sent.code(), sent.text().into_owned())
    };
    assert_eq!(text("GET", "/", ""), (200, "OK".into()));
    assert_eq!(text("HEAD", "/", ""), (200, "".into()));
    assert_eq!(text("POST", "/", "hello"), (200, "hello".into()));
    assert_eq!(text("OPTIONS", "/", ""), (200, "".into()));
    for method in ["TRACE", "NONSENSE"] {
        assert_eq!(text(method, "/", "").0, 501, "{method}");
    }
    let options = client.request("OPTIONS", "/").send();
    assert_eq!(options.header("Allow"), Some("GET, HEAD, POST, OPTIONS"));
}

/// The names stay as they were sent: the probe looks for a server that rewrites them.
#[test]
fn http11probe_gets_the_fields_as_they_were_sent() {
    let request = b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nContent_Length: 99\r\n\
        tRaNsFeR_x: y z\r\n\r\ntest";
    let response = Client::new(Http11Probe).send(request);
    assert_eq!(
        response.text(),
        "Host: h\nContent-Length: 4\nContent_Length: 99\ntRaNsFeR_x: y z\n"
    );
}

#[test]
fn http11probe_gets_its_cookies() {
    let cases = [
        ("foo=bar; baz=qux", "foo=bar\nbaz=qux\n"),
        ("a=b=c;d=", "a=b=c\nd=\n"),
        ("nothing", ""),
    ];
    for (sent, lines) in cases {
        let request = Client::new(Http11Probe)
            .request("GET", "/cookie")
            .header("Cookie", sent)
            .send();
        assert_eq!(request.text(), lines, "{sent}");
    }
}
