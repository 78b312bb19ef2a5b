//! What a proxy says about its client counts if the proxy is trusted, and only then (PROXY-3 to PROXY-5).
#![cfg(feature = "server")]

mod support;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serve_forever::http::{
    AccessLog, HttpConnection, HttpRequestHandler, HttpSettings, LogFormat, OwnedRequest, Request,
    Response, TrustedProxies,
};
use serve_forever::socketserver::{Driver, Files};
use serve_forever::wsgi::{Environ, StartResponse, WsgiHandler};

/// The answer of `handler` to a request from `peer`, without its head.
fn ask(
    rule: &TrustedProxies,
    peer: Option<&str>,
    fields: &str,
    handler: impl HttpRequestHandler,
) -> String {
    let mut settings = HttpSettings::default();
    settings.trusted_proxies = rule.clone();
    let peer = peer.map(|peer| peer.parse::<SocketAddr>().expect("an address"));
    let connection = HttpConnection::new(handler, peer, Arc::new(settings));
    let fields = fields.replace('\n', "\r\n");
    let request = format!("GET / HTTP/1.1\r\nHost: own\r\n{fields}\r\nConnection: close\r\n\r\n");
    let mut sent = Vec::new();
    let files = Files {
        rfile: request.as_bytes(),
        wfile: &mut sent,
    };
    Driver::new(connection).drive(files).expect("answered");
    let sent = String::from_utf8(sent).expect("UTF-8");
    let (_, body) = sent.split_once("\r\n\r\n").expect("a response");
    body.to_owned()
}

/// Answers with what a request, and a copy of it, say about the client.
fn client(request: &Request<'_>, response: Response<'_>) -> serve_forever::HttpResult {
    let shown = |request: &Request<'_>| {
        let address = request.client_address();
        let address = address.map_or("-".to_owned(), |address| address.to_string());
        let authority = request.authority().unwrap_or("-");
        format!("{address} {} {authority}", request.scheme())
    };
    let (own, copied) = (shown(request), OwnedRequest::new(request).with(shown));
    assert_eq!(own, copied);
    response.send_response(200).body(own)
}

#[track_caller]
fn check(rule: &TrustedProxies, peer: &str, fields: &str, expected: &str) {
    let peer = Some(peer).filter(|peer| !peer.is_empty());
    assert_eq!(ask(rule, peer, fields, client), expected, "{fields}");
}

fn networks(networks: &[&str]) -> TrustedProxies {
    TrustedProxies::networks(networks).expect("networks")
}

const PROXY: &str = "10.0.0.2:40000";
const STRANGER: &str = "198.51.100.1:40000";
const EVERYTHING: &str = "X-Forwarded-For: 192.0.2.1\nX-Forwarded-Proto: https\n\
                          X-Forwarded-Host: other\nForwarded: for=192.0.2.2;proto=https;host=other";

/// PROXY-3.
#[test]
fn nobody_is_trusted_by_default() {
    let nobody = TrustedProxies::default();
    check(&nobody, PROXY, EVERYTHING, "10.0.0.2:40000 http own");
    check(&nobody, "127.0.0.1:1", EVERYTHING, "127.0.0.1:1 http own");
    let none = TrustedProxies::hops(0).with_proto().with_host();
    check(&none, PROXY, EVERYTHING, "10.0.0.2:40000 http own");
    check(&networks(&[]), PROXY, EVERYTHING, "10.0.0.2:40000 http own");
}

/// PROXY-3: what comes from elsewhere is ignored.
#[test]
fn a_stranger_is_not_believed() {
    let rule = networks(&["10.0.0.0/8"]).with_proto().with_host();
    let own = "198.51.100.1:40000 http own";
    check(&rule, STRANGER, EVERYTHING, own);
    check(&rule.forwarded(), STRANGER, EVERYTHING, own);
}

/// PROXY-4: beginning at the socket, each address is that of a proxy, or the client's.
#[test]
fn the_client_is_the_first_that_is_no_proxy() {
    let rule = networks(&["10.0.0.0/8", "2001:db8::/32"]);
    let check =
        |fields: &str, client: &str| check(&rule, PROXY, fields, &format!("{client} http own"));
    check("X: y", PROXY); // a check of the proxy's own
    check("X-Forwarded-For: 192.0.2.1", "192.0.2.1:0");
    check("x-FORWARDED-for: 192.0.2.1:4711", "192.0.2.1:4711");
    check("X-Forwarded-For: 2001:db9::1", "[2001:db9::1]:0");
    check("X-Forwarded-For: [2001:db9::1]:4711", "[2001:db9::1]:4711");
    check("X-Forwarded-For: 192.0.2.9, 192.0.2.1", "192.0.2.1:0");
    check(
        "X-Forwarded-For: 192.0.2.9, 192.0.2.1, 10.9.9.9",
        "192.0.2.1:0",
    );
    check(
        "X-Forwarded-For: 192.0.2.1\nX: y\nX-Forwarded-For: 10.9.9.9,2001:db8::7",
        "192.0.2.1:0",
    );
    check("X-Forwarded-For: 192.0.2.1,, ,10.9.9.9,", "192.0.2.1:0");
    check("X-Forwarded-For: 10.9.9.8, 10.9.9.9", "10.9.9.8:0"); // a client inside
    check("X-Forwarded-For: ::ffff:10.9.9.9", "[::ffff:10.9.9.9]:0"); // is trusted, and the last
    check("X-Forwarded-For: 192.0.2.1, ::ffff:10.9.9.9", "192.0.2.1:0");
    // Another field is not read.
    check("Forwarded: for=192.0.2.1", PROXY);
}

/// PROXY-4: a malformed member ends the walk, and what stands to the left of it does not count.
#[test]
fn a_malformed_member_ends_the_walk() {
    let rule = networks(&["10.0.0.0/8"]);
    let xff = |members: &str, client: &str| {
        let field = format!("X-Forwarded-For: {members}");
        check(&rule, PROXY, &field, &format!("{client} http own"));
    };
    xff("192.0.2.1, junk", PROXY);
    xff("192.0.2.1, junk, 10.9.9.9", "10.9.9.9:0");
    xff("192.0.2.1, 192.0.2.300", PROXY);
    xff("unknown, 192.0.2.1", "192.0.2.1:0");
    // The proxy says that it does not tell.
    xff("unknown", "-");
    xff("192.0.2.1, unknown", "-");
    xff("192.0.2.1, unknown, 10.9.9.9", "-");
    xff("_hidden", "-");

    let rule = rule.forwarded();
    let forwarded = |members: &str, expected: &str| {
        check(&rule, PROXY, &format!("Forwarded: {members}"), expected);
    };
    forwarded(
        "for=192.0.2.1, for=junk;proto=https",
        "10.0.0.2:40000 http own",
    );
    forwarded("for=192.0.2.1, proto=https", "- https own");
    forwarded("for=\"", "10.0.0.2:40000 http own");
    // A client cannot hide what the proxy appends.
    forwarded("for=\", for=192.0.2.1;proto=https", "192.0.2.1:0 https own");
    forwarded(
        "for=192.0.2.9;x=\"\\, for=192.0.2.1",
        "192.0.2.1:0 http own",
    );
}

/// PROXY-4, RFC 7239.
#[test]
fn forwarded_names_client_scheme_and_host() {
    let rule = networks(&["10.0.0.0/8"]).forwarded();
    let check = |field: &str, expected: &str| check(&rule, PROXY, field, expected);
    check("X-Forwarded-For: 192.0.2.1", "10.0.0.2:40000 http own");
    check("Forwarded: for=192.0.2.1", "192.0.2.1:0 http own");
    check(
        "Forwarded: For=\"[2001:db8::1]:4711\";Proto=https;by=_x;host=\"example.org:80\"",
        "[2001:db8::1]:4711 https example.org:80",
    );
    // The proxy next to the client has seen its scheme and its host.
    check(
        "Forwarded: for=192.0.2.9;proto=ftp, for=192.0.2.1;proto=https;host=a, for=10.1.1.1;proto=http;host=b",
        "192.0.2.1:0 https a",
    );
    check(
        "Forwarded: for=192.0.2.1\nForwarded: for=10.1.1.1;proto=https",
        "192.0.2.1:0 http own",
    );
    check("Forwarded: for=\"_a.b-c\";proto=HTTPS", "- https own");
    check(
        "Forwarded: for=192.0.2.1;proto=gopher;host=\"a b\"",
        "192.0.2.1:0 http own",
    );
    check("Forwarded: for=192.0.2.1;host=\"\"", "192.0.2.1:0 http own");
}

/// PROXY-4: a number of proxies, whose addresses nobody knows.
#[test]
fn a_number_of_hops_is_trusted() {
    let hops = TrustedProxies::hops;
    let list = "X-Forwarded-For: 192.0.2.1, 192.0.2.2, 192.0.2.3";
    check(&hops(1), STRANGER, list, "192.0.2.3:0 http own");
    check(&hops(2), STRANGER, list, "192.0.2.2:0 http own");
    check(&hops(3), STRANGER, list, "192.0.2.1:0 http own");
    check(&hops(9), STRANGER, list, "192.0.2.1:0 http own");
    check(&hops(1), "", list, "192.0.2.3:0 http own"); // a Unix-domain socket
    check(&hops(1), "", "X: y", "- http own");
    check(
        &hops(2),
        STRANGER,
        "X-Forwarded-For: 192.0.2.1, x",
        "198.51.100.1:40000 http own",
    );
    let forwarded = "Forwarded: for=192.0.2.1;proto=http, for=192.0.2.2;proto=https";
    check(
        &hops(1).forwarded(),
        STRANGER,
        forwarded,
        "192.0.2.2:0 https own",
    );
    check(
        &hops(2).forwarded(),
        STRANGER,
        forwarded,
        "192.0.2.1:0 http own",
    );
}

/// PROXY-5: a field that the proxy may not set counts only if the program says that it does.
#[test]
fn scheme_and_host_are_believed_if_the_rule_says_so() {
    let rule = TrustedProxies::hops(1);
    let both = rule.clone().with_proto().with_host();
    let host = rule.clone().with_host();
    let fields = "X-Forwarded-For: 192.0.2.1\nX-Forwarded-Proto: https\nX-Forwarded-Host: a:80";
    check(&rule, PROXY, fields, "192.0.2.1:0 http own");
    check(&host, PROXY, fields, "192.0.2.1:0 http a:80");
    check(&both, PROXY, fields, "192.0.2.1:0 https a:80");
    for (proto, scheme) in [
        ("https", "https"),
        ("HTTPS", "https"),
        ("wss", "https"),
        ("http", "http"),
        ("ws", "http"),
        ("https, http", "http"),
        ("http, https", "https"),
        ("http,https,", "https"),
        ("https\nX-Forwarded-Proto: http", "http"),
        ("on", "http"),
        ("", "http"),
    ] {
        // Without X-Forwarded-For, too.
        let field = format!("X-Forwarded-Proto: {proto}");
        check(
            &both,
            PROXY,
            &field,
            &format!("10.0.0.2:40000 {scheme} own"),
        );
    }
    // Two proxies: both append, or one replaces, or the inner one passes on.
    let two = TrustedProxies::hops(2).with_proto();
    for (proto, scheme) in [
        ("https, http", "https"),
        ("http, https, http", "https"),
        ("https", "https"),
    ] {
        let fields = format!("X-Forwarded-For: 192.0.2.1, 10.1.1.1\nX-Forwarded-Proto: {proto}");
        check(&two, PROXY, &fields, &format!("192.0.2.1:0 {scheme} own"));
    }
    for bad in ["a b", "a/b", ":80", "a:b", "[::1", "\u{e9}", ""] {
        let field = format!("X-Forwarded-Host: {bad}");
        check(&both, PROXY, &field, "10.0.0.2:40000 http own");
    }
}

#[test]
fn networks_are_read_strictly() {
    for (network, inside, outside) in [
        ("10.0.0.0/8", "10.255.0.1:1", "11.0.0.0:1"),
        ("10.0.0.0/8", "[::ffff:10.0.0.1]:1", "[::a00:1]:1"),
        ("192.0.2.128/25", "192.0.2.128:1", "192.0.2.127:1"),
        ("192.0.2.1", "192.0.2.1:1", "192.0.2.0:1"),
        ("192.0.2.1/32", "192.0.2.1:1", "192.0.2.3:1"),
        ("0.0.0.0/0", "192.0.2.1:1", "[2001:db8::1]:1"),
        ("2001:db8::/32", "[2001:db8:ffff::1]:1", "[2001:db9::]:1"),
        ("::1", "[::1]:1", "127.0.0.1:1"),
        ("::/0", "[2001:db8::1]:1", "192.0.2.1:1"),
        ("unix", "", "127.0.0.1:1"),
        ("127.0.0.1", "127.0.0.1:1", ""),
    ] {
        let rule = networks(&[network]);
        check(
            &rule,
            inside,
            "X-Forwarded-For: 203.0.113.1",
            "203.0.113.1:0 http own",
        );
        let own = if outside.is_empty() { "-" } else { outside };
        check(
            &rule,
            outside,
            "X-Forwarded-For: 203.0.113.1",
            &format!("{own} http own"),
        );
    }
    for wrong in [
        "",
        "10",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/+8",
        "10.1.0.0/8",
        "::/129",
        "2001:db8::1/32",
        "localhost",
        "10.0.0.0/8 ",
        "::ffff:10.0.0.0/104",
        "10.0.0.0/8/8",
    ] {
        let error = TrustedProxies::networks(["127.0.0.1", wrong]).expect_err(wrong);
        assert_eq!(error.to_string(), format!("{wrong:?} is no network"));
    }
}

/// PROXY-4: the line of a request has the client's address, when the response comes at once and later.
#[test]
fn the_access_log_has_the_client() {
    let rule = networks(&["10.0.0.0/8"]);
    let whole = |request: &Request<'_>, response: Response<'_>| {
        assert_eq!(request.peer_address(), PROXY.parse().ok());
        response.send_response(200).body("")
    };
    let pulled = |_: &Request<'_>, response: Response<'_>| {
        response.send_response(200).stream(["a", "b"].into_iter())
    };
    let log = |handler: &dyn Fn(&Request<'_>, Response<'_>) -> serve_forever::HttpResult| {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        let sink = move |line: &str| kept.lock().expect("no panic").push(line.to_owned());
        let log = AccessLog::new(
            |request: &Request<'_>, response: Response<'_>| handler(request, response),
            LogFormat::Common,
            sink,
        );
        ask(&rule, Some(PROXY), "X-Forwarded-For: 192.0.2.1", log);
        let lines = lines.lock().expect("no panic").join("\n");
        lines.split(' ').next().unwrap_or_default().to_owned()
    };
    assert_eq!(log(&whole), "192.0.2.1");
    assert_eq!(log(&pulled), "192.0.2.1");
}

/// PROXY-5, ENV-9, UTIL-2: the variables of WSGI follow.
#[test]
fn wsgi_has_the_client() {
    fn app(
        environ: &mut Environ<'_>,
        start_response: &mut dyn StartResponse,
    ) -> serve_forever::AppResult {
        start_response.call("200 OK", &[("Content-type", "text/plain")])?;
        let keys = [
            "REMOTE_ADDR",
            "REMOTE_PORT",
            "wsgi.url_scheme",
            "HTTPS",
            "HTTP_HOST",
        ];
        let values = keys.map(|key| {
            environ
                .get(key)
                .map_or("-".into(), |value| value.into_owned())
        });
        let mut listed = 0;
        environ.for_each(|key, _| listed += usize::from(keys.contains(&key)));
        assert_eq!(listed, values.iter().filter(|value| *value != "-").count());
        Ok(values.join(" ").into())
    }
    let ask = |rule: &TrustedProxies, fields: &str| {
        ask(rule, Some(PROXY), fields, WsgiHandler::new(app, None))
    };
    let rule = TrustedProxies::hops(1).with_proto().with_host();
    let fields = "X-Forwarded-For: 192.0.2.1\nX-Forwarded-Proto: https\nX-Forwarded-Host: a";
    assert_eq!(ask(&rule, fields), "192.0.2.1 - https on a");
    let http = fields.replace("https", "http").replace(".1", ".1:4711");
    assert_eq!(
        ask(&rule, &http),
        "192.0.2.1:4711".replace(':', " ") + " http - a"
    );
    assert_eq!(ask(&rule, "X-Forwarded-For: unknown"), " - http - own");
    let nobody = TrustedProxies::default();
    assert_eq!(ask(&nobody, fields), "10.0.0.2 40000 http - own");
    // A client cannot set the variable by a field of its own.
    assert_eq!(ask(&nobody, "HTTPS: on"), "10.0.0.2 40000 http - own");
}
