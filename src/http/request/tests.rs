use super::*;
use crate::http::h1::{FieldStorage, HeadLimits};
use std::time::Duration;

type Pairs<'a> = &'a [(&'a str, &'a str)];

/// Calls `question` with the request that has this head.
fn ask<T>(head: &str, question: impl FnOnce(Request<'_>) -> T) -> T {
    let mut storage = FieldStorage::new();
    let parsed = Head::parse(head.as_bytes(), &mut storage, &HeadLimits::default());
    let parsed = parsed.unwrap_or_else(|error| panic!("{head:?}: {error}"));
    let addresses = Addresses::new(None, None);
    question(Request::new(
        &parsed,
        b"",
        b"",
        Fields::default(),
        &addresses,
    ))
}

/// Like [`ask`], but for a GET with these field lines.
fn ask_get<T>(fields: &str, question: impl FnOnce(Request<'_>) -> T) -> T {
    ask(
        &format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n"),
        question,
    )
}

#[test]
fn path_and_query_of_every_target_form() {
    let cases: [(&str, &str, &[u8], Option<&str>); 12] = [
        ("GET /a/b?x=1?y HTTP/1.1", "/a/b", b"/a/b", Some("x=1?y")),
        (
            "GET //evil.test/a//b HTTP/1.1",
            "/evil.test/a//b",
            b"/evil.test/a//b",
            None,
        ),
        ("GET /? HTTP/1.1", "/", b"/", Some("")),
        ("GET http://h.test HTTP/1.1", "", b"", None),
        ("GET http://h.test?q HTTP/1.1", "", b"", Some("q")),
        ("GET http://h.test:80/p?q HTTP/1.1", "/p", b"/p", Some("q")),
        ("OPTIONS * HTTP/1.1", "", b"", None),
        ("CONNECT h.test:443 HTTP/1.1", "", b"", None),
        (
            "GET /a%20b+c%2Fd%2525?%20 HTTP/1.1",
            "/a%20b+c%2Fd%2525",
            b"/a b+c/d%25",
            Some("%20"),
        ),
        (
            "GET /%ff%00%C3%A9 HTTP/1.1",
            "/%ff%00%C3%A9",
            b"/\xff\0\xc3\xa9",
            None,
        ),
        (
            "GET /%2e%2e/a/../%zz% HTTP/1.1",
            "/%2e%2e/a/../%zz%",
            b"/../a/../%zz%",
            None,
        ),
        // Leading slashes are joined only if they are not escaped (HTTP-15): a decoded path is
        // not a URL.
        (
            "GET /%2fevil.test HTTP/1.1",
            "/%2fevil.test",
            b"//evil.test",
            None,
        ),
    ];
    for (line, path, decoded, query) in cases {
        ask(&format!("{line}\r\nHost: h.test\r\n\r\n"), |request| {
            assert_eq!((request.path(), request.query()), (path, query), "{line}");
            assert_eq!(request.decoded_path(), decoded, "{line}");
        });
    }
}

/// PATH-1: an escaped slash does not split, and nothing is normalised.
#[test]
fn the_segments_of_a_path() {
    let cases: [(&str, &[&str]); 16] = [
        ("/", &[""]),
        ("/a", &["a"]),
        ("/a/", &["a", ""]),
        ("/a/b?c/d", &["a", "b"]),
        ("/a//b", &["a", "", "b"]),
        // HTTP-15
        ("//a//b", &["a", "", "b"]),
        ("/a%2Fb/c", &["a/b", "c"]),
        ("/%2f", &["/"]),
        ("/%2e%2e/../.", &["..", "..", "."]),
        ("/a+b%20c", &["a+b c"]),
        ("/%252F", &["%2F"]),
        ("/%zz%", &["%zz%"]),
        ("/%C3%A9%00", &["\u{e9}\0"]),
        ("http://h.test", &[]),
        ("http://h.test/?x", &[""]),
        ("http://h.test/a/%2e", &["a", "."]),
    ];
    for (target, expected) in cases {
        ask(
            &format!("GET {target} HTTP/1.1\r\nHost: h.test\r\n\r\n"),
            |request| {
                let found: Result<Vec<_>, _> = request.path_segments().collect();
                assert_eq!(
                    found.as_deref(),
                    Ok(&expected
                        .iter()
                        .map(|&s| s.into())
                        .collect::<Vec<Cow<'_, str>>>()[..]),
                    "{target}"
                );
            },
        );
    }
    let segments = |request: Request<'_>| request.path_segments().count();
    assert_eq!(ask("OPTIONS * HTTP/1.0\r\n\r\n", segments), 0);
    ask("GET /a/%ff%2f/b HTTP/1.0\r\n\r\n", |request| {
        let found: Vec<_> = request.path_segments().map(Result::ok).collect();
        assert_eq!(found, [Some("a".into()), None, Some("b".into())]);
        let copied = request.path_segments().next();
        assert!(matches!(copied, Some(Ok(Cow::Borrowed("a")))));
    });
}

/// FORM-2: only a form is read as one, and it has a bounded number of fields.
#[test]
fn a_form_that_was_posted() {
    let ask = |content_type: &str, body: &[u8]| {
        let head = format!("POST / HTTP/1.0\r\n{content_type}\r\n");
        let mut storage = FieldStorage::new();
        let head = Head::parse(head.as_bytes(), &mut storage, &HeadLimits::default());
        let (head, addresses) = (head.expect("a head"), Addresses::new(None, None));
        let request = Request::new(&head, b"", body, Fields::default(), &addresses);
        request.form().map(Iterator::count)
    };
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    assert_eq!(ask(form, b"a=1&b=2&&c"), Ok(3));
    assert_eq!(ask(form, b""), Ok(0));
    let odd = "content-type: Application/X-WWW-Form-URLencoded ; charset=utf-8\r\n";
    assert_eq!(ask(odd, b"a=1"), Ok(1));
    let others = [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/x-www-form-urlencoded2\r\n",
        "Content-Type: multipart/form-data; x=application/x-www-form-urlencoded\r\n",
    ];
    for other in others {
        assert_eq!(ask(other, b"a=1"), Err(FormError::MediaType), "{other}");
    }
    let many = "a=1&".repeat(999);
    assert_eq!(ask(form, many.as_bytes()), Ok(999));
    // Empty fields count, too: looking at them is work.
    let too_many = "&".repeat(1000);
    assert_eq!(
        ask(form, too_many.as_bytes()),
        Err(FormError::TooManyFields)
    );
    assert_eq!(FormError::TooManyFields.status(), 413);
    assert_eq!(FormError::MediaType.status(), 415);
}

/// FORM-1: as browsers write it, and as `parse_qsl` reads it.
#[test]
fn queries_and_forms() {
    let cases: [(&[u8], Pairs<'_>); 16] = [
        (b"", &[]),
        (b"&", &[]),
        (b"a=1&b=2", &[("a", "1"), ("b", "2")]),
        (b"a=1&a=2", &[("a", "1"), ("a", "2")]),
        (b"&&a=1&&", &[("a", "1")]),
        (b"a", &[("a", "")]),
        (b"a=", &[("a", "")]),
        (b"=", &[("", "")]),
        (b"=1", &[("", "1")]),
        (b"a=b=c", &[("a", "b=c")]),
        (b"a+b=c+d", &[("a b", "c d")]),
        (b"a%2Bb=%26%3D%25", &[("a+b", "&=%")]),
        (b"a=%2&b=%zz&c=%", &[("a", "%2"), ("b", "%zz"), ("c", "%")]),
        (b"a=%C3%A9+%ff", &[("a", "\u{e9} \u{fffd}")]),
        (b"a=\xc3\xa9\xff", &[("a", "\u{e9}\u{fffd}")]),
        // A semicolon is not a separator (bpo-42967).
        (b"a=1;b=2", &[("a", "1;b=2")]),
    ];
    for (query, expected) in cases {
        let found: Vec<_> = parse_qsl(query).collect();
        let found: Vec<(&str, &str)> = found.iter().map(|(k, v)| (&**k, &**v)).collect();
        assert_eq!(found, expected, "{}", query.escape_ascii());
    }
    let copied = |query| {
        let pair = parse_qsl(query).next();
        !matches!(pair, Some((Cow::Borrowed(_), Cow::Borrowed(_))))
    };
    assert!(!copied("plain=text") && copied("a+b=1"));
    let head = |target: &str| format!("GET {target} HTTP/1.0\r\n\r\n");
    for (target, expected) in [("/", 0), ("/?", 0), ("/?a&b=c", 2)] {
        let count = ask(&head(target), |request| request.query_pairs().count());
        assert_eq!(count, expected, "{target}");
    }
}

#[test]
fn typed_fields() {
    let fields = "Content-Type: Text/HTML; charset=x\r\nuser-agent: curl/8\r\nReferer: /r\r\n";
    ask_get(fields, |request| {
        assert_eq!(request.content_type(), Some("Text/HTML; charset=x"));
        assert_eq!(request.user_agent(), Some("curl/8"));
        assert_eq!(request.referer(), Some("/r"));
        assert_eq!(request.content_length(), None);
    });
    ask_get("", |request| {
        assert_eq!(request.content_type(), None);
        assert_eq!(request.user_agent(), None);
        assert_eq!(request.referer(), None);
    });
    let bytes = b"GET / HTTP/1.0\r\nUser-Agent: \xff\r\n\r\n";
    let mut storage = FieldStorage::new();
    let head = Head::parse(bytes, &mut storage, &HeadLimits::default()).expect("a head");
    let addresses = Addresses::new(None, None);
    let request = Request::new(&head, b"", b"", Fields::default(), &addresses);
    assert_eq!(
        (request.user_agent(), request.header("user-agent")),
        (None, Some(&b"\xff"[..]))
    );
}

/// RFC 9110 §8.6: the length that the framing has read.
#[test]
fn the_announced_length() {
    let cases = [
        ("Content-Length: 010\r\n", Some(10)),
        ("Content-Length: 0\r\n", Some(0)),
        ("Transfer-Encoding: chunked\r\n", None),
        ("", None),
    ];
    for (fields, expected) in cases {
        let found = ask_get(fields, |request| request.content_length());
        assert_eq!(found, expected, "{fields:?}");
    }
}

#[test]
fn cookies_in_order() {
    let cases: [(&str, Pairs<'_>); 7] = [
        ("", &[]),
        ("Cookie: a=1\r\n", &[("a", "1")]),
        ("Cookie: a=1; b=2\r\n", &[("a", "1"), ("b", "2")]),
        ("Cookie: a=1;b=2 ; ;c\r\n", &[("a", "1"), ("b", "2")]),
        (
            "Cookie: a=1\r\nX: y\r\ncookie: a=2\r\n",
            &[("a", "1"), ("a", "2")],
        ),
        (
            "Cookie: a=b=c; d=; =e\r\n",
            &[("a", "b=c"), ("d", ""), ("", "e")],
        ),
        (
            "Cookie: a=\"x, y\"; b=%20\r\n",
            &[("a", "\"x, y\""), ("b", "%20")],
        ),
    ];
    for (fields, expected) in cases {
        ask_get(fields, |request| {
            let found: Vec<_> = request.cookies().collect();
            assert_eq!(found, expected, "{fields:?}");
        });
    }
}

/// RFC 9110 §13.1.3 says when the field is ignored.
#[test]
fn if_modified_since_when_it_counts() {
    const FIELD: &str = "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    let time = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777));
    let cases = [
        ("GET", FIELD.to_owned(), time),
        ("HEAD", FIELD.to_owned(), time),
        ("POST", FIELD.to_owned(), None),
        ("get", FIELD.to_owned(), None),
        (
            "GET",
            "If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT\r\n".into(),
            time,
        ),
        (
            "GET",
            "If-Modified-Since: Sun Nov  6 08:49:37 1994\r\n".into(),
            time,
        ),
        ("GET", "If-Modified-Since: yesterday\r\n".into(), None),
        (
            "GET",
            "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 EST\r\n".into(),
            None,
        ),
        ("GET", "If-Modified-Since:\r\n".into(), None),
        ("GET", FIELD.repeat(2), None),
        ("GET", format!("{FIELD}If-None-Match: \"x\"\r\n"), None),
        ("GET", String::new(), None),
    ];
    for (method, fields, expected) in cases {
        let head = format!("{method} / HTTP/1.0\r\n{fields}\r\n");
        let found = ask(&head, |request| request.if_modified_since());
        assert_eq!(found, expected, "{head:?}");
    }
}

/// RFC 9110 §7.8: ignored in HTTP/1.0, and without the connection option.
#[test]
fn upgrades_that_are_meant() {
    let cases: [(&str, &str, Option<&[&str]>); 12] = [
        (
            "1.1",
            "Connection: upgrade\r\nUpgrade: websocket\r\n",
            Some(&["websocket"]),
        ),
        (
            "1.1",
            "Connection: Keep-Alive, UPGRADE\r\nUpgrade: x\r\n",
            Some(&["x"]),
        ),
        (
            "1.1",
            "Connection: close\r\nConnection: upgrade\r\nUpgrade: x\r\n",
            Some(&["x"]),
        ),
        (
            "1.1",
            "Connection: upgrade\r\nUpgrade: HTTP/2.0, ,SHTTP/1.3\r\nUpgrade: IRC/6.9\r\n",
            Some(&["HTTP/2.0", "SHTTP/1.3", "IRC/6.9"]),
        ),
        ("1.7", "Connection: upgrade\r\nUpgrade: x\r\n", Some(&["x"])),
        ("1.0", "Connection: upgrade\r\nUpgrade: x\r\n", None),
        ("1.1", "Upgrade: x\r\n", None),
        ("1.1", "Connection: keep-alive\r\nUpgrade: x\r\n", None),
        ("1.1", "Connection: upgrades\r\nUpgrade: x\r\n", None),
        ("1.1", "Connection: upgrade\r\n", None),
        ("1.1", "Connection: upgrade\r\nUpgrade: ,\r\n", None),
        ("1.1", "", None),
    ];
    for (version, fields, expected) in cases {
        let head = format!("GET / HTTP/{version}\r\nHost: h\r\n{fields}\r\n");
        let found = ask(&head, |request| {
            let protocols = request.upgrade()?;
            Some(protocols.map(str::to_owned).collect::<Vec<_>>())
        });
        let expected = expected.map(|expected| expected.to_vec());
        let found = found
            .as_ref()
            .map(|found| found.iter().map(|x| &**x).collect::<Vec<_>>());
        assert_eq!(found, expected, "{head:?}");
    }
}
