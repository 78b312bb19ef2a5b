//! WSGI over real sockets: what applications say, and what clients get. Clause ids are those of
//! the behaviour specification.
#![cfg(feature = "server")]

pub(crate) mod support;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, process};

use serve_forever::http::{
    self, AccessLog, Block, Http, HttpConnection, HttpRequestHandler, HttpResult, HttpSettings,
    LogEntry, LogFormat,
};
use serve_forever::reactor::Now;
use serve_forever::socketserver::{
    Buffer, Driver, Evented, Failure, Files, HandlerResult, Hooks, Pool, Protocol, Server, Tcp,
    Transport,
};
use serve_forever::wsgi::{
    AppResult, Application, Body, Environ, Iterable, StartResponse, Validator, WsgiHandler,
    demo_app, make_server, make_server_with_hooks,
};
use support::patience::PATIENCE;
use support::wsgi::{
    Made, Response, Running, Starter, on_workers, request, serve, serve_illegal, serve_with,
};

const TYPE: (&str, &str) = ("Content-Type", "text/plain");
const PLAIN: &[(&str, &str)] = &[TYPE];

/// The article's application.
fn hello(_: &mut Environ<'_>, start_response: Starter<'_>) -> AppResult {
    start_response.call("200 OK", PLAIN)?;
    Ok("Hello, world!\n".into())
}

/// An application that answers with `body()`.
fn answering(
    status: &'static str,
    fields: &'static [(&'static str, &'static str)],
    body: impl Fn() -> Body + Send + Sync + 'static,
) -> impl Application {
    move |_: &mut Environ<'_>, start_response: Starter<'_>| {
        start_response.call(status, fields)?;
        Ok(body())
    }
}

/// WSGI-13: a body that is lent is a body of one block, like any other, and so are its kinds as
/// blocks of an iterator.
#[test]
fn a_body_that_is_lent() {
    let page: Arc<[u8]> = vec![b'x'; 1_000_000].into();
    let lent = Arc::clone(&page);
    let server = serve(
        move |environ: &mut Environ<'_>, start_response: Starter<'_>| {
            start_response.call("200 OK", PLAIN)?;
            let lent = Arc::clone(&lent);
            Ok(match environ.get("PATH_INFO").as_deref() {
                Some("/whole") => lent.into(),
                Some("/block") => http::Block::lend(lent).into(),
                Some("/one") => Body::blocks([lent]),
                _ => Body::blocks([
                    lent.clone().into(),
                    http::Block::from("-"),
                    lent.to_vec().into(),
                ]),
            })
        },
    );
    for path in ["/whole", "/block", "/one"] {
        let response = server.get(path);
        assert_eq!(response.field("Content-Length"), Some("1000000"), "{path}");
        assert!(response.text().as_bytes() == &*page, "{path}");
    }
    let response = server.get("/several");
    assert_eq!(response.field("Content-Length"), None);
    let page = "x".repeat(1_000_000);
    let expected = format!("f4240\r\n{page}\r\n1\r\n-\r\nf4240\r\n{page}\r\n0\r\n\r\n");
    assert!(response.text() == expected);
    assert!(server.stop());
}

// ---- the server

/// WSGI-1: bound and listening on return; get_app and set_app.
#[test]
fn make_server_get_app_and_set_app() {
    let first: Arc<dyn Application> = Arc::new(Validator::new(hello));
    let mut server = make_server("127.0.0.1:0", Arc::clone(&first)).expect("a server");
    assert!(Arc::ptr_eq(server.get_app(), &first));
    let mut client = TcpStream::connect(server.server_address()).expect("it listens");
    client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    server.set_app(Arc::new(answering("200 OK", PLAIN, || "second".into())));
    let shutdown = server.shutdown_handle();
    let thread = thread::spawn(move || server.serve_forever().is_ok());
    let request = request("GET", "/", "", "");
    client.write_all(request.as_bytes()).expect("sent");
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).expect("an end");
    assert_eq!(Response::parse(&bytes).text(), "second");
    shutdown.request();
    assert!(thread.join().expect("no panic"));
}

/// WSGI-5, WSGI-13, WSGI-15: status line, Date, Server, the application's fields in order; the
/// length.
#[test]
fn the_articles_application() {
    let server = serve(hello);
    let response = server.get("/");
    assert_eq!(response.status, "HTTP/1.1 200 OK");
    let names: Vec<&str> = response.fields.iter().map(|(name, _)| &**name).collect();
    let expected = [
        "Date",
        "Server",
        "Content-Type",
        "Content-Length",
        "Connection",
    ];
    assert_eq!(names, expected);
    assert_eq!(response.field("Content-Length"), Some("14"));
    assert_eq!(response.text(), "Hello, world!\n");
    assert!(server.stop());
}

/// WSGI-15: Date and Server only if the application did not set them, whatever the case. What it sets
/// twice is sent twice.
#[test]
fn date_and_server_of_the_application() {
    let fields = &[
        ("X-B", "1"),
        ("dAte", "now"),
        ("sErver", "mine"),
        ("X-A", "2"),
        ("Date", "then"),
        ("Content-Type", "text/plain"),
    ];
    let server = serve(answering("200 Fine", fields, || "x".into()));
    let response = server.get("/");
    assert_eq!(response.status, "HTTP/1.1 200 Fine");
    let found: Vec<(&str, &str)> = response.fields[..6]
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    assert_eq!(found, *fields);
    assert_eq!(response.fields.len(), 8);
}

/// WSGI-3: every method reaches the application, on a connection that persists.
#[test]
fn two_requests_on_one_connection() {
    let server = serve(|environ: &mut Environ<'_>, start_response: Starter<'_>| {
        start_response.call("200 OK", PLAIN)?;
        Ok(Body::from(
            environ
                .get("REQUEST_METHOD")
                .unwrap_or_default()
                .into_owned(),
        ))
    });
    let mut stream = server.connect();
    let first = "GET / HTTP/1.1\r\nHost: h.test\r\n\r\n";
    stream.write_all(first.as_bytes()).expect("sent");
    let mut reader = BufReader::new(stream.try_clone().expect("a clone"));
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        assert_ne!(reader.read_line(&mut line).expect("a head"), 0);
    }
    let mut body = [0; 3];
    reader.read_exact(&mut body).expect("a body");
    assert_eq!(&body, b"GET");
    let second = request("BREW", "/", "", "");
    stream.write_all(second.as_bytes()).expect("sent");
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).expect("an end");
    assert_eq!(Response::parse(&rest).text(), "BREW");
}

/// WSGI-2, ENV-16, ENV-19, ENV-21: what is set for the server reaches every request; the process's
/// variables do not.
#[test]
fn the_base_environ() {
    let app = |environ: &mut Environ<'_>, start_response: Starter<'_>| {
        assert_eq!(environ.get("PATH"), None);
        start_response.call("200 OK", PLAIN)?;
        let name = environ.get("SERVER_NAME").unwrap_or_default();
        let multiprocess = environ.multiprocess();
        let method = environ.get("REQUEST_METHOD").unwrap_or_default();
        Ok(format!("{}://{name} {multiprocess} {method}", environ.url_scheme()).into())
    };
    let mut server = make_server("127.0.0.1:0", Validator::new(app)).expect("a server");
    let address = server.server_address();
    let base = server.base_environ_mut();
    assert_eq!(base["SERVER_PORT"], address.port().to_string());
    base.insert("SERVER_NAME".into(), "example.org".into());
    base.insert("HTTPS".into(), "on".into());
    base.insert("wsgi.multiprocess".into(), "True".into());
    // What the request says of itself counts more.
    base.insert("REQUEST_METHOD".into(), "PUT".into());
    let shutdown = server.shutdown_handle();
    let thread = thread::spawn(move || server.serve_forever().is_ok());
    let mut client = TcpStream::connect(address).expect("it listens");
    client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let request = request("GET", "/", "Https: off\r\n", "");
    client.write_all(request.as_bytes()).expect("sent");
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).expect("an end");
    let text = "https://example.org true GET";
    assert_eq!(Response::parse(&bytes).text(), text);
    shutdown.request();
    assert!(thread.join().expect("no panic"));
}

// ---- the body

/// WSGI-10, WSGI-13, WSGI-17: Content-Length for one block or none, else chunked.
#[test]
fn how_the_body_ends() {
    type Case = (fn() -> Body, Option<&'static str>, &'static str);
    let cases: [Case; 9] = [
        (|| "abc".into(), Some("3"), "abc"),
        (|| String::from("abc").into(), Some("3"), "abc"),
        (|| b"abc".into(), Some("3"), "abc"),
        (|| "".into(), Some("0"), ""),
        (|| Body::blocks(["abc"]), Some("3"), "abc"),
        (|| Body::blocks([""; 0]), Some("0"), ""),
        (|| Body::blocks(["", ""]), Some("0"), ""),
        (
            || Body::blocks(["abc", "", "d"]),
            None,
            "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n",
        ),
        (|| Body::blocks(["", "abc"]), None, "3\r\nabc\r\n0\r\n\r\n"),
    ];
    for (index, (body, length, wire)) in cases.into_iter().enumerate() {
        let server = serve(answering("200 OK", PLAIN, body));
        let response = server.get("/");
        assert_eq!(response.field("Content-Length"), length, "case {index}");
        let chunked = length.is_none().then_some("chunked");
        assert_eq!(response.field("Transfer-Encoding"), chunked, "case {index}");
        assert_eq!(response.text(), wire, "case {index}");
    }
}

/// WSGI-13: for HTTP/1.0 a body of unknown length ends with the connection.
#[test]
fn http_1_0_gets_no_chunks() {
    let server = serve(answering("200 OK", PLAIN, || Body::blocks(["ab", "c"])));
    let response = server.exchange("GET / HTTP/1.0\r\nHost: h.test\r\n\r\n");
    assert_eq!(response.field("Transfer-Encoding"), None);
    assert_eq!(response.field("Content-Length"), None);
    assert_eq!(response.text(), "abc");
}

/// WSGI-17: the application's Content-Length is kept to, and a wrong one is reported.
#[test]
fn wrong_lengths() {
    let length_of_two = &[("content-length", "2"), TYPE];
    let server = serve(answering("200 OK", length_of_two, || "abcdef".into()));
    let response = server.get("/");
    assert_eq!(
        (response.field("Content-Length"), response.text()),
        (Some("2"), "ab")
    );
    assert!(server.failure().contains("longer"));

    let server = serve(answering("200 OK", length_of_two, || {
        Body::blocks(["a", "bc", "d"])
    }));
    assert_eq!(server.get("/").text(), "ab");
    assert!(server.failure().contains("longer"));

    let length_of_nine = &[("Content-Length", "9"), TYPE];
    let server = serve(answering("200 OK", length_of_nine, || {
        Body::blocks(["ab", "c"])
    }));
    // Without `Connection: close`: that the server closes is how the client learns of it.
    let response = server.exchange("GET / HTTP/1.1\r\nHost: h.test\r\n\r\n");
    assert_eq!(
        (response.field("Content-Length"), response.text()),
        (Some("9"), "abc")
    );
    assert!(server.failure().contains("shorter"));
}

/// WSGI-13, WSGI-14: no content for HEAD, 204, 205 and 304; the fields of HEAD are those of GET, and the
/// body is consumed all the same.
#[test]
fn answers_without_content() {
    let (sender, log) = channel();
    let sender = Mutex::new(sender);
    let server = serve(
        move |environ: &mut Environ<'_>, start_response: Starter<'_>| {
            let path = environ.get("PATH_INFO").unwrap_or_default();
            let status = match &*path {
                "/204" => "204 No Content",
                "/205" => "205 Reset Content",
                "/304" => "304 Not Modified",
                _ => "200 OK",
            };
            let fields: &[_] = match &*path {
                "/length" => &[("Content-Length", "12345"), TYPE],
                "/204" | "/304" => &[],
                _ => PLAIN,
            };
            start_response.call(status, fields)?;
            Ok(match &*path {
                "/one" => "abc".into(),
                "/length" => "".into(),
                "/empty" => "".into(),
                "/none" => Body::blocks(Vec::<Vec<u8>>::new()),
                _ => {
                    let sender = sender.lock().expect("no panic").clone();
                    Body::from_iterable(Watched::new(["ab", "c"], sender))
                }
            })
        },
    );
    let cases = [
        ("HEAD", "/one", Some("3"), None),
        ("HEAD", "/length", Some("12345"), None),
        // RFC 9110 §8.6: a GET may have a body.
        ("HEAD", "/empty", None, None),
        ("HEAD", "/none", None, None),
        ("GET", "/empty", Some("0"), None),
        ("GET", "/none", Some("0"), None),
        ("HEAD", "/two", None, Some("chunked")),
        ("GET", "/204", None, None),
        ("GET", "/205", None, None),
        ("GET", "/304", None, None),
    ];
    for (method, path, length, coding) in cases {
        let response = server.exchange(&request(method, path, "", ""));
        assert_eq!(response.field("Content-Length"), length, "{method} {path}");
        assert_eq!(
            response.field("Transfer-Encoding"),
            coding,
            "{method} {path}"
        );
        assert_eq!(response.body, b"", "{method} {path}");
    }
    for _ in 0..4 {
        assert_eq!(log.recv_timeout(PATIENCE), Ok("ab, c, end, close"));
    }
}

/// WSGI-14 within bounds: a HEAD request cannot make the loop run through an endless body.
#[test]
fn head_of_an_endless_body() {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    for (size, most) in [(1, 1024), (16 * 1024, 5)] {
        let endless = move || {
            Body::blocks(std::iter::repeat_with(move || {
                MADE.fetch_add(1, Ordering::Relaxed);
                vec![b'x'; size]
            }))
        };
        let server = serve(answering("200 OK", PLAIN, endless));
        let response = server.exchange(&request("HEAD", "/", "", ""));
        assert_eq!(response.status, "HTTP/1.1 200 OK");
        assert_eq!(response.body, b"");
        let made = MADE.swap(0, Ordering::Relaxed);
        assert!(made <= most, "{made} blocks of {size} bytes");
    }
}

/// WSGI-14, WSGI-19: what fails in a body that HEAD does not get is reported all the same.
#[test]
fn head_of_a_body_that_fails() {
    let (sender, log) = channel();
    let sender = Mutex::new(sender);
    let server = serve(move |_: &mut Environ<'_>, start_response: Starter<'_>| {
        start_response.call("200 OK", PLAIN)?;
        let sender = sender.lock().expect("no panic").clone();
        Ok(Body::from_iterable(Watched::new(["ab", "error"], sender)))
    });
    let response = server.exchange(&request("HEAD", "/", "", ""));
    assert_eq!(response.status, "HTTP/1.1 200 OK");
    assert_eq!(server.failure(), "no more");
    assert_eq!(log.recv_timeout(PATIENCE), Ok("ab, error, close"));
}

/// WSGI-5, WSGI-15: a block is sent, together with the head if it is the first, before the next one
/// is asked for.
#[test]
fn a_block_leaves_before_the_next_is_made() {
    let (go_on, wait) = channel();
    let wait = Arc::new(Mutex::new(wait));
    let server = serve(move |_: &mut Environ<'_>, start_response: Starter<'_>| {
        start_response.call("200 OK", PLAIN)?;
        let wait = Arc::clone(&wait);
        Ok(Body::blocks((1..=3).map(move |number: u8| {
            if number > 1 {
                let received = wait.lock().expect("no panic").recv_timeout(PATIENCE);
                received.expect("the client has the block before");
            }
            format!("block {number}")
        })))
    });
    let mut stream = server.connect();
    let request = request("GET", "/", "", "");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut bytes = vec![0; 4096];
    let count = stream.read(&mut bytes).expect("head and block");
    assert!(bytes[..count].ends_with(b"\r\n\r\n7\r\nblock 1\r\n"));
    go_on.send(()).expect("the body waits");
    let count = stream.read(&mut bytes).expect("a block");
    assert_eq!(&bytes[..count], b"7\r\nblock 2\r\n");
    go_on.send(()).expect("the body waits");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("an end");
    assert_eq!(rest, b"7\r\nblock 3\r\n0\r\n\r\n");
}

/// A file of that content, which has no name any more, read from its beginning.
fn file(content: &[u8]) -> File {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!(
        "wsgi-{}-{}",
        process::id(),
        COUNT.fetch_add(1, Ordering::SeqCst)
    );
    let path = env::temp_dir().join(name);
    fs::write(&path, content).expect("a file");
    let file = File::open(&path).expect("the file");
    fs::remove_file(&path).expect("the file");
    file
}

/// WSGI-24, ENV-20: a file is a body, in blocks; only the application can know its length, and a
/// file that is longer is cut.
#[test]
fn files_as_bodies() {
    let content: Vec<u8> = (0..20_000_u32).map(|number| (number % 251) as u8).collect();
    let chunked = [
        b"2000\r\n",
        &content[..8192],
        b"\r\n2000\r\n",
        &content[8192..16384],
        b"\r\ne20\r\n",
        &content[16384..],
        b"\r\n0\r\n\r\n",
    ]
    .concat();
    let wrapped = content.clone();
    let server = serve(
        move |environ: &mut Environ<'_>, start_response: Starter<'_>| {
            assert!(environ.contains_key("wsgi.file_wrapper"));
            let path = environ.get("PATH_INFO").unwrap_or_default().into_owned();
            let (start, length) = path[1..].split_once('/').expect("two parts");
            let fields = [TYPE, ("Content-Length", length)];
            let fields = if length.is_empty() {
                &fields[..1]
            } else {
                &fields
            };
            start_response.call("200 OK", fields)?;
            let mut file = file(&wrapped);
            file.seek(SeekFrom::Start(start.parse()?))?;
            Ok(file.into())
        },
    );
    let whole = server.get("/0/");
    assert_eq!(whole.field("Transfer-Encoding"), Some("chunked"));
    assert!(whole.body == chunked, "blocks of 8 KiB");
    for (start, length) in [(0, 20_000), (19_999, 1), (7, 10_000)] {
        let response = server.get(&format!("/{start}/{length}"));
        let expected = length.to_string();
        assert_eq!(response.field("Content-Length"), Some(&*expected));
        assert!(
            response.body == content[start..start + length],
            "{start} {length}"
        );
    }
    assert!(server.failure().contains("longer"));
    let head = server.exchange(&request("HEAD", "/0/20000", "", ""));
    assert_eq!(
        (head.field("Content-Length"), &*head.body),
        (Some("20000"), &b""[..])
    );

    // Without a way of its own for files the server says so.
    let app = |environ: &mut Environ<'_>, start_response: Starter<'_>| {
        assert!(!environ.contains_key("wsgi.file_wrapper"));
        start_response.call("200 OK", PLAIN)?;
        Ok(Body::from(
            Box::new(Body::from(file(b"boxed"))) as Box<dyn Iterable>
        ))
    };
    let server = serve_with(Validator::new(app), |mut handler| {
        handler.base_environ_mut().remove("wsgi.file_wrapper");
        handler
    });
    assert_eq!(server.get("/").text(), "5\r\nboxed\r\n0\r\n\r\n");
}

/// WSGI-24: the server chooses how much of a file it reads at a time, unless middleware takes the blocks,
/// as the validator does above.
#[test]
fn a_file_is_read_in_large_blocks() {
    let content: Vec<u8> = (0..100_000_u32)
        .map(|number| (number % 251) as u8)
        .collect();
    let (longer, given) = (content.clone(), content.clone());
    let app = move |environ: &mut Environ<'_>, start_response: Starter<'_>| {
        start_response.call("200 OK", PLAIN)?;
        Ok(match environ.get("PATH_INFO").as_deref() {
            Some("/empty") => file(b"").into(),
            Some("/boxed") => (Box::new(Body::from(file(&given))) as Box<dyn Iterable>).into(),
            _ => file(&given).into(),
        })
    };
    let server = serve_with(app, |handler| handler);
    for path in ["/file", "/boxed"] {
        let body = server.get(path).body;
        let first = [b"10000\r\n", &longer[..65_536], b"\r\n"].concat();
        assert!(body.starts_with(&first), "{path}");
        // How much follows at a time depends on how much the client has taken.
        let (mut content, mut rest) = (longer[..65_536].to_vec(), &body[first.len()..]);
        while let Some(end) = rest.windows(2).position(|it| it == b"\r\n") {
            let size = std::str::from_utf8(&rest[..end]).expect("text");
            let size = usize::from_str_radix(size, 16).expect("a size");
            content.extend_from_slice(&rest[end + 2..end + 2 + size]);
            rest = &rest[end + 2 + size + 2..];
        }
        assert!(content == longer, "{path}");
    }
    let empty = server.get("/empty");
    assert_eq!(empty.field("Content-Length"), Some("0"));
    let workers = serve_with(
        move |_: &mut Environ<'_>, start_response: Starter<'_>| {
            let length = content.len().to_string();
            start_response.call("200 OK", &[TYPE, ("Content-Length", &length)])?;
            start_response.write(&content[..7])?;
            let mut rest = file(&content);
            rest.seek(SeekFrom::Start(7))?;
            Ok(rest.into())
        },
        |handler| handler.workers(Pool::new().threads(1)),
    );
    assert!(workers.get("/").body == longer);
}

// ---- start_response

/// WSGI-11: start_response as late as during the first iteration.
#[test]
fn a_late_start_response() {
    let server = serve(|_: &mut Environ<'_>, _: Starter<'_>| {
        let mut blocks = ["late", "r"].into_iter();
        Ok(Body::from_iterable(Made(
            move |start_response: Starter<'_>| {
                let block = blocks.next();
                if block == Some("late") {
                    start_response.call("202 Accepted", PLAIN)?;
                }
                Ok(block.map(Into::into))
            },
        )))
    });
    let response = server.get("/");
    assert_eq!(response.status, "HTTP/1.1 202 Accepted");
    assert_eq!(response.text(), "4\r\nlate\r\n1\r\nr\r\n0\r\n\r\n");
}

/// WSGI-7, WSGI-9, WSGI-10, WSGI-11, WSGI-19, WSGI-22: what an application must not do is answered
/// with 500, reported, and
/// no detail of it reaches the client.
#[test]
fn what_is_forbidden() {
    type App = fn(&mut Environ<'_>, Starter<'_>) -> AppResult;
    let cases: [(&str, App); 14] = [
        ("headers already set", |_, start_response| {
            start_response.call("200 OK", PLAIN)?;
            start_response.call("200 OK", PLAIN)?;
            Ok("".into())
        }),
        ("headers already set", |_, start_response| {
            assert!(start_response.call("nonsense", PLAIN).is_err());
            start_response.call("200 OK", PLAIN)?;
            Ok("".into())
        }),
        ("failed start_response", |_, start_response| {
            assert!(start_response.call("nonsense", PLAIN).is_err());
            Ok("body".into())
        }),
        ("status", |_, start_response| {
            start_response.call("20x OK", PLAIN)?;
            Ok("".into())
        }),
        ("hop-by-hop", |_, start_response| {
            start_response.call("200 OK", &[("Connection", "close")])?;
            Ok("".into())
        }),
        ("X-Split", |_, start_response| {
            start_response.call("200 OK", &[("X-Split", "a\r\nX-B: c")])?;
            Ok("".into())
        }),
        ("X-Euro", |_, start_response| {
            start_response.call("200 OK", &[("X-First", "1"), ("X-Euro", "\u{20ac}")])?;
            Ok("".into())
        }),
        ("Content-Length", |_, start_response| {
            start_response.call("200 OK", &[("Content-Length", "many")])?;
            Ok("".into())
        }),
        ("write() before", |_, start_response| {
            start_response.write(b"x")?;
            Ok("".into())
        }),
        ("before start_response", |_, _| Ok("x".into())),
        ("before start_response", |_, _| Ok(Body::blocks(["", "x"]))),
        ("before start_response", |_, _| Ok(Body::blocks([""; 0]))),
        // An empty block is a block.
        ("before start_response", |_, _| {
            let mut first = true;
            Ok(Body::from_iterable(Made(
                move |start_response: Starter<'_>| {
                    if std::mem::replace(&mut first, false) {
                        return Ok(Some(Vec::new()));
                    }
                    start_response.call("200 OK", PLAIN)?;
                    Ok(None)
                },
            )))
        }),
        ("late nonsense", |_, _| {
            Ok(Body::from_iterable(Made(|start_response: Starter<'_>| {
                start_response.call("late nonsense", PLAIN)?;
                Ok(None)
            })))
        }),
    ];
    for (report, app) in cases {
        let server = serve_illegal(app);
        server.get("/").assert_is_500();
        let failure = server.failure();
        assert!(failure.contains(report), "{failure:?} is not of {report:?}");
    }
}

/// WSGI-6, WSGI-8: exc_info replaces what start_response was told before, as nothing was sent yet.
#[test]
fn exc_info_before_the_head_is_sent() {
    let server = serve(|_: &mut Environ<'_>, start_response: Starter<'_>| {
        start_response.call("200 OK", &[("X-First", "1"), TYPE])?;
        let exc_info = std::io::Error::other("oops").into();
        start_response.call_with_exc_info("503 Oops", &[("X-Second", "2"), TYPE], exc_info)?;
        Ok("page".into())
    });
    let response = server.get("/");
    assert_eq!(response.status, "HTTP/1.1 503 Oops");
    assert_eq!(response.field("X-First"), None);
    assert_eq!(response.field("X-Second"), Some("2"));
    assert_eq!(response.text(), "page");
}

/// WSGI-8, WSGI-19: once the head is sent the failure comes back, and the answer breaks off.
#[test]
fn exc_info_after_the_head_is_sent() {
    let server = serve(|_: &mut Environ<'_>, start_response: Starter<'_>| {
        start_response.call("200 OK", PLAIN)?;
        let mut begun = false;
        Ok(Body::from_iterable(Made(
            move |start_response: Starter<'_>| {
                if !std::mem::replace(&mut begun, true) {
                    return Ok(Some(b"part".to_vec()));
                }
                let exc_info = std::io::Error::other("oops").into();
                start_response.call_with_exc_info("500 Oops", PLAIN, exc_info)?;
                Ok(Some(b"never".to_vec()))
            },
        )))
    });
    let response = server.get("/");
    assert_eq!(response.status, "HTTP/1.1 200 OK");
    assert_eq!(response.text(), "4\r\npart\r\n");
    assert_eq!(server.failure(), "oops");
}

/// WSGI-10, WSGI-13: what is written goes out before the blocks, and no length is added.
#[test]
fn write_and_then_blocks() {
    let server = serve(|_: &mut Environ<'_>, start_response: Starter<'_>| {
        start_response.call("200 OK", PLAIN)?;
        start_response.write(b"written, ")?;
        start_response.write(b"twice")?;
        let mut blocks = ["a", "b"].into_iter();
        let mut ended = false;
        Ok(Body::from_iterable(Made(
            move |start_response: Starter<'_>| {
                let block = blocks.next();
                match block {
                    Some("b") => start_response.write(b"before ")?,
                    None if !std::mem::replace(&mut ended, true) => start_response.write(b"end")?,
                    _ => {}
                }
                Ok(block.map(Into::into))
            },
        )))
    });
    let response = server.get("/");
    assert_eq!(response.field("Content-Length"), None);
    let written = match on_workers() {
        true => "9\r\nwritten, \r\n5\r\ntwice\r\n",
        false => "e\r\nwritten, twice\r\n",
    };
    let rest = "1\r\na\r\n8\r\nbefore b\r\n3\r\nend\r\n0\r\n\r\n";
    assert_eq!(response.text(), format!("{written}{rest}"));

    let server = serve(|_: &mut Environ<'_>, start_response: Starter<'_>| {
        start_response.call("200 OK", PLAIN)?;
        start_response.write(b"")?;
        Ok("x".into())
    });
    let response = server.get("/");
    assert_eq!(response.field("Content-Length"), None);
    assert_eq!(response.text(), "1\r\nx\r\n0\r\n\r\n");
}

/// WSGI-5: a body that has ended is not asked again, also when nothing has come of it.
#[test]
fn the_end_of_a_body_is_the_end() {
    let server = serve(|_: &mut Environ<'_>, start_response: Starter<'_>| {
        start_response.call("200 OK", PLAIN)?;
        start_response.write(b"")?;
        let mut ended = false;
        Ok(Body::from_iterable(Made(move |_: Starter<'_>| {
            assert!(!std::mem::replace(&mut ended, true), "asked again");
            Ok(None)
        })))
    });
    let response = server.get("/");
    assert_eq!(response.status, "HTTP/1.1 200 OK");
    assert_eq!(response.text(), "0\r\n\r\n");
}

/// WSGI-8, WSGI-10: after write() the head counts as sent. On the loop a failure is still answered
/// with 500, since nothing has reached the client; from a worker something has.
#[test]
fn write_and_then_a_failure() {
    let server = serve(|_: &mut Environ<'_>, start_response: Starter<'_>| {
        start_response.call("200 OK", PLAIN)?;
        start_response.write(b"lost")?;
        let exc_info = std::io::Error::other("oops").into();
        start_response.call_with_exc_info("503 Oops", PLAIN, exc_info)?;
        Ok("".into())
    });
    let response = server.get("/");
    match on_workers() {
        true => assert_eq!(response.text(), "4\r\nlost\r\n", "and no end"),
        false => response.assert_is_500(),
    }
    assert_eq!(server.failure(), "oops");
}

// ---- failures

/// WSGI-19: an error or a panic before the head is sent is a 500; the server goes on.
#[test]
fn an_application_that_fails() {
    let server = serve(|environ: &mut Environ<'_>, start_response: Starter<'_>| {
        start_response.call("200 OK", PLAIN)?;
        match environ.get("PATH_INFO").as_deref() {
            Some("/error") => Err(std::io::Error::other("secret").into()),
            Some("/panic") => panic!("secret"),
            _ => Ok("fine".into()),
        }
    });
    server.get("/error").assert_is_500();
    assert_eq!(server.failure(), "secret");
    server.get("/panic").assert_is_500();
    assert_eq!(server.failure(), "panicked: secret");
    // A connection ends with the failure, even if it could have gone on.
    let response = server.exchange("GET /error HTTP/1.1\r\nHost: h.test\r\n\r\n");
    response.assert_is_500();
    assert_eq!(response.field("Connection"), Some("close"));
    assert_eq!(server.get("/").text(), "fine");
}

/// WSGI-19 *Better*: a failure that stops the server stops it, after the client had its answer.
#[test]
fn an_application_that_stops_the_server() {
    let mut server = serve(|_: &mut Environ<'_>, _: Starter<'_>| Err(Failure::stop()));
    server.get("/").assert_is_500();
    assert!(!server.join());
}

/// WSGI-20, WSGI-25: an application of the program's own answers for one that failed; if it
/// fails, too, the server does.
#[test]
fn an_error_output_of_ones_own() {
    fn app(environ: &mut Environ<'_>, _: Starter<'_>) -> AppResult {
        environ.insert("my.key", "inserted");
        if environ.get("PATH_INFO").as_deref() == Some("/stops") {
            return Err(Failure::stop());
        }
        Err(std::io::Error::other("first").into())
    }
    let sorry = |environ: &mut Environ<'_>, start_response: Starter<'_>| {
        let path = environ.get("PATH_INFO").unwrap_or_default().into_owned();
        assert_ne!(path, "/panics");
        start_response.call("503 Sorry", &[("X-Mine", "1"), TYPE])?;
        let key = environ.get("my.key").unwrap_or_default().into_owned();
        match &*path {
            "/fails" | "/stops" => Err(std::io::Error::other("second").into()),
            "/blocks" => Ok(Body::blocks(["a", "b"])),
            _ => Ok(format!("sorry, {key}").into()),
        }
    };
    let mut server = serve_with(app, |handler| {
        let handler = handler.error_output(sorry);
        match on_workers() {
            true => handler.workers(Pool::new().threads(1)),
            false => handler,
        }
    });
    let keep_alive = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: h.test\r\n\r\n");
    let response = server.exchange(&keep_alive("/"));
    assert_eq!(response.status, "HTTP/1.1 503 Sorry");
    assert_eq!(response.field("X-Mine"), Some("1"));
    assert_eq!(response.field("Connection"), Some("close"));
    assert_eq!(response.text(), "sorry, inserted");
    assert_eq!(server.failure(), "first");

    let response = server.exchange(&keep_alive("/blocks"));
    assert_eq!(response.text(), "1\r\na\r\n1\r\nb\r\n0\r\n\r\n");
    assert_eq!(server.failure(), "first");

    for (path, failure) in [("/fails", "second"), ("/panics", "panicked: ")] {
        let response = server.exchange(&keep_alive(path));
        assert_eq!(
            response.status, "HTTP/1.1 500 Internal Server Error",
            "{path}"
        );
        assert_eq!(response.field("X-Mine"), None, "{path}");
        assert!(server.failure().starts_with(failure), "{path}");
    }

    // A stop is not forgotten over a second failure.
    let response = server.exchange(&keep_alive("/stops"));
    assert_eq!(response.status, "HTTP/1.1 500 Internal Server Error");
    assert!(!server.join());
}

/// A handler that logs what it served.
#[derive(Clone)]
struct Logged<H>(H, Sender<String>);

impl<H: HttpRequestHandler> HttpRequestHandler for Logged<H> {
    fn handle(&mut self, request: &http::Request<'_>, response: http::Response<'_>) -> HttpResult {
        self.0.handle(request, response)
    }

    fn log_request(&mut self, entry: &LogEntry<'_>) {
        let line = String::from_utf8_lossy(entry.request_line());
        let code = entry.code().map_or("-".to_owned(), |code| code.to_string());
        let whole = if entry.is_complete() { "" } else { " broken" };
        // Err: the test has failed.
        let _ = self
            .1
            .send(format!("{line:?} {code} {}{whole}", entry.sent()));
    }
}

/// WSGI-21 *Better*: always one line, with the bytes of the body.
#[test]
fn one_line_in_the_log() {
    let app = |environ: &mut Environ<'_>, start_response: Starter<'_>| {
        start_response.call("200 OK", PLAIN)?;
        Ok(match environ.get("PATH_INFO").as_deref() {
            Some("/fails") => return Err(std::io::Error::other("scripted").into()),
            Some("/breaks") => {
                let (sender, _) = channel();
                Body::from_iterable(Watched::new(["abc", "error"], sender))
            }
            Some("/endless") => Body::blocks(std::iter::repeat_with(|| vec![b'x'; 16 * 1024])),
            _ => "abcde".into(),
        })
    };
    let tcp = http::listen("127.0.0.1:0").expect("a free port");
    let address = tcp.server_address();
    let mut handler = WsgiHandler::new(Validator::new(app), address);
    if on_workers() {
        handler = handler.workers(Pool::new().threads(1));
    }
    let (sender, log) = channel();
    let factory = Http::new(Logged(handler, sender), HttpSettings::default());
    let mut server = Server::new(tcp, Evented::new(factory)).expect("a server");
    let shutdown = server.shutdown_handle();
    let thread = thread::spawn(move || server.serve_forever().is_ok());
    let connect = |path: &str| {
        let mut stream = TcpStream::connect(address).expect("connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let request = request("GET", path, "", "");
        stream.write_all(request.as_bytes()).expect("sent");
        stream
    };
    for (path, line) in [
        ("/", r#""GET / HTTP/1.1" 200 5"#),
        ("/fails", r#""GET /fails HTTP/1.1" 500 59"#),
        ("/breaks", r#""GET /breaks HTTP/1.1" 200 3 broken"#),
    ] {
        connect(path).read_to_end(&mut Vec::new()).expect("an end");
        assert_eq!(log.recv_timeout(PATIENCE).as_deref(), Ok(line));
    }
    let mut stream = connect("/endless");
    stream.read_exact(&mut [0; 1024]).expect("a beginning");
    drop(stream);
    let line = log.recv_timeout(PATIENCE).expect("a line");
    assert!(
        line.starts_with(r#""GET /endless HTTP/1.1" 200 "#),
        "{line}"
    );
    assert!(line.ends_with(" broken"), "{line}");
    shutdown.request();
    assert!(thread.join().expect("no panic"));
    assert!(log.try_recv().is_err(), "one line each");
}

// ---- close()

/// A body that reports what is asked of it, in one line, when it is gone.
struct Watched<const N: usize> {
    blocks: std::array::IntoIter<&'static str, N>,
    count: Option<usize>,
    log: String,
    sender: Sender<&'static str>,
}

impl<const N: usize> Watched<N> {
    fn new(blocks: [&'static str; N], sender: Sender<&'static str>) -> Watched<N> {
        Watched {
            blocks: blocks.into_iter(),
            count: None,
            log: String::new(),
            sender,
        }
    }
}

impl<const N: usize> Iterable for Watched<N> {
    fn next_block(&mut self, _: Starter<'_>) -> Result<Option<Block>, Failure> {
        let block = self.blocks.next();
        self.log.push_str(block.unwrap_or("end"));
        self.log.push_str(", ");
        match block {
            Some("error") => Err(std::io::Error::other("no more").into()),
            Some("panic") => panic!("no more"),
            block => Ok(block.map(Into::into)),
        }
    }

    fn block_count(&self) -> Option<usize> {
        self.count
    }

    fn close(&mut self) -> HandlerResult {
        self.log.push_str("close");
        match self.blocks.as_slice() {
            ["fails in close"] => Err(std::io::Error::other("close").into()),
            ["panics in close"] => panic!("close"),
            _ => Ok(()),
        }
    }
}

impl<const N: usize> Drop for Watched<N> {
    fn drop(&mut self) {
        // Leaked: a test's line of text.
        let _ = self.sender.send(self.log.clone().leak());
    }
}

/// Serves a watched body once; what the client got and what the body saw.
fn watch<const N: usize>(
    fields: &'static [(&'static str, &'static str)],
    blocks: [&'static str; N],
    count: Option<usize>,
) -> (Response, &'static str, Running) {
    let (sender, log) = channel();
    let sender = Mutex::new(sender);
    let server = serve(move |_: &mut Environ<'_>, start_response: Starter<'_>| {
        start_response.call("200 OK", fields)?;
        let sender = sender.lock().expect("no panic").clone();
        let mut body = Watched::new(blocks, sender);
        body.count = count;
        Ok(Body::from_iterable(body))
    });
    let response = server.get("/");
    let seen = log.recv_timeout(PATIENCE).expect("the body is dropped");
    (response, seen, server)
}

/// WSGI-18: after completion, of whatever kind.
#[test]
fn close_after_the_end() {
    let (response, seen, _server) = watch(PLAIN, ["a", "b"], None);
    assert_eq!(response.text(), "1\r\na\r\n1\r\nb\r\n0\r\n\r\n");
    assert_eq!(seen, "a, b, end, close");

    let (response, seen, _server) = watch(PLAIN, [], None);
    assert_eq!((response.text(), seen), ("", "end, close"));

    let (response, seen, _server) = watch(PLAIN, ["a"], Some(1));
    assert_eq!(response.field("Content-Length"), Some("1"));
    assert_eq!((response.text(), seen), ("a", "a, close"));

    let (response, seen, _server) = watch(&[("Content-Length", "2"), TYPE], ["a", "bc", "d"], None);
    assert_eq!((response.text(), seen), ("ab", "a, bc, close"));
}

/// WSGI-18: after a failure while iterating, before the head and behind it.
#[test]
fn close_after_a_failure() {
    let (response, seen, server) = watch(PLAIN, ["", "error"], None);
    response.assert_is_500();
    assert_eq!((seen, &*server.failure()), (", error, close", "no more"));

    let (response, seen, server) = watch(PLAIN, ["panic"], None);
    response.assert_is_500();
    assert_eq!(
        (seen, &*server.failure()),
        ("panic, close", "panicked: no more")
    );

    let (response, seen, server) = watch(PLAIN, ["a", "error"], None);
    assert_eq!((response.text(), seen), ("1\r\na\r\n", "a, error, close"));
    assert_eq!(server.failure(), "no more");

    let (response, seen, server) = watch(PLAIN, ["a", "panic"], None);
    assert_eq!((response.text(), seen), ("1\r\na\r\n", "a, panic, close"));
    assert_eq!(server.failure(), "panicked: no more");
}

/// WSGI-18: when start_response never came, the body is closed as well.
#[test]
fn close_without_a_head() {
    let (sender, log) = channel();
    let sender = Mutex::new(sender);
    let server = serve_illegal(move |_: &mut Environ<'_>, _: Starter<'_>| {
        let sender = sender.lock().expect("no panic").clone();
        Ok(Body::from_iterable(Watched::new(["a"], sender)))
    });
    server.get("/").assert_is_500();
    assert_eq!(log.recv_timeout(PATIENCE), Ok("a, close"));
}

/// WSGI-18 *Better*: of a close() that fails the client notices nothing.
#[test]
fn a_close_that_fails() {
    for last in ["fails in close", "panics in close"] {
        let (response, seen, server) = watch(&[("Content-Length", "1"), TYPE], ["a", last], None);
        assert_eq!(response.status, "HTTP/1.1 200 OK");
        assert_eq!((response.text(), seen), ("a", "a, close"));
        assert_eq!(server.get("/").text(), "a");
        let failure = server.failures.recv_timeout(Duration::ZERO);
        assert_eq!(failure, Err(RecvTimeoutError::Timeout));
    }
}

/// WSGI-18 *Better*: nor of an iterator that panics when it is dropped, which is its close().
#[test]
fn a_drop_that_panics() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("scripted");
        }
    }
    let body = || {
        let panics = Panics;
        Body::blocks(["a", "b"].map(Vec::from).into_iter().inspect(move |_| {
            let _ = &panics;
        }))
    };
    let server = serve(answering("200 OK", PLAIN, body));
    for (method, text) in [("GET", "1\r\na\r\n1\r\nb\r\n0\r\n\r\n"), ("HEAD", "")] {
        let response = server.exchange(&request(method, "/", "", ""));
        assert_eq!(response.status, "HTTP/1.1 200 OK", "{method}");
        assert_eq!(response.text(), text, "{method}");
    }
    let failure = server.failures.recv_timeout(Duration::ZERO);
    assert_eq!(failure, Err(RecvTimeoutError::Timeout));
}

/// An endless body that tells when it is closed.
struct Endless(Sender<&'static str>);

impl Iterable for Endless {
    fn next_block(&mut self, _: Starter<'_>) -> Result<Option<Block>, Failure> {
        Ok(Some(vec![b'x'; 16 * 1024].into()))
    }

    fn close(&mut self) -> HandlerResult {
        Ok(self.0.send("close")?)
    }
}

/// WSGI-18, WSGI-20: when the client is gone, and when the server ends.
#[test]
fn close_of_an_answer_that_nobody_takes() {
    let (sender, log) = channel();
    let sender = Mutex::new(sender);
    let server = serve(move |_: &mut Environ<'_>, start_response: Starter<'_>| {
        start_response.call("200 OK", PLAIN)?;
        let sender = sender.lock().expect("no panic").clone();
        Ok(Body::from_iterable(Endless(sender)))
    });
    let request = request("GET", "/", "", "");
    let mut some = [0; 1024];

    let mut stream = server.connect();
    stream.write_all(request.as_bytes()).expect("sent");
    stream.read_exact(&mut some).expect("a beginning");
    drop(stream);
    assert_eq!(log.recv_timeout(PATIENCE), Ok("close"));

    let mut stream = server.connect();
    stream.write_all(request.as_bytes()).expect("sent");
    stream.read_exact(&mut some).expect("a beginning");
    let failure = server.failures.recv_timeout(Duration::ZERO);
    assert_eq!(failure, Err(RecvTimeoutError::Timeout), "nobody's failure");
    assert!(server.stop());
    assert_eq!(log.recv_timeout(PATIENCE), Ok("close"));
    // The application is gone, and with it every sender: there was no third close.
    assert_eq!(
        log.recv_timeout(PATIENCE),
        Err(RecvTimeoutError::Disconnected)
    );
}

// ---- environ

/// Serves one request; the environ that the application got.
fn environ_of(request: &str) -> BTreeMap<String, String> {
    let (sender, environs) = channel();
    let sender = Mutex::new(sender);
    let server = serve(
        move |environ: &mut Environ<'_>, start_response: Starter<'_>| {
            let mut map = environ.to_map();
            for (key, value) in &map {
                assert_eq!(environ.get(key).as_deref(), Some(&**value), "{key}");
                assert!(environ.contains_key(key), "{key}");
            }
            let flags = [
                environ.multithread(),
                environ.multiprocess(),
                environ.run_once(),
            ];
            assert_eq!(flags, [on_workers(), false, false]);
            assert_eq!(environ.version(), (1, 0));
            assert_eq!(environ.url_scheme(), "http");
            map.insert(
                "PORT".into(),
                environ.get("SERVER_PORT").unwrap_or_default().into(),
            );
            sender.lock().expect("no panic").send(map)?;
            hello(environ, start_response)
        },
    );
    let port = server.address.port().to_string();
    let mut stream = server.connect();
    let bytes: Vec<u8> = request
        .chars()
        .map(|c| u8::try_from(c).expect("Latin-1"))
        .collect();
    stream.write_all(&bytes).expect("sent");
    let environ = environs.recv_timeout(PATIENCE);
    let mut environ = environ.unwrap_or_else(|_| panic!("not served: {request}"));
    assert_eq!(environ.remove("PORT"), Some(port.clone()));
    assert_eq!(environ.remove("SERVER_PORT"), Some(port));
    let client = stream.local_addr().expect("connected").port().to_string();
    assert_eq!(environ.remove("REMOTE_PORT"), Some(client), "ENV-9");
    environ
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| ((*key).into(), (*value).into()))
        .collect()
}

/// WSGI-2, ENV-1 to ENV-12, ENV-15 to ENV-19, ENV-21: all variables of a request, and no other.
#[test]
fn the_environ_table() {
    let fields = "Content-Type: text/x-a; b=c\r\nContent-Length: 3\r\nX-Some-Thing:  a b \r\n";
    let software = concat!("serve_forever/", env!("CARGO_PKG_VERSION"));
    let expected = map(&[
        ("CONTENT_LENGTH", "3"),
        ("CONTENT_TYPE", "text/x-a; b=c"),
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("HTTP_CONNECTION", "close"),
        ("HTTP_HOST", "h.test"),
        ("HTTP_X_SOME_THING", "a b"),
        ("PATH_INFO", "/some/path"),
        ("QUERY_STRING", "a=%20b?c"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("REMOTE_HOST", ""),
        ("REQUEST_METHOD", "Post"),
        ("REQUEST_URI", "/some/path?a=%20b?c"),
        ("SCRIPT_NAME", ""),
        ("SERVER_NAME", "127.0.0.1"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SERVER_SOFTWARE", software),
        ("wsgi.errors", "<stderr>"),
        ("wsgi.file_wrapper", "<FileWrapper>"),
        ("wsgi.input", "<input>"),
        ("wsgi.input_terminated", "True"),
        ("wsgi.multiprocess", "False"),
        (
            "wsgi.multithread",
            if on_workers() { "True" } else { "False" },
        ),
        ("wsgi.run_once", "False"),
        ("wsgi.url_scheme", "http"),
        ("wsgi.version", "(1, 0)"),
    ]);
    let environ = environ_of(&request("Post", "/some/path?a=%20b?c", fields, "abc"));
    assert_eq!(environ, expected);

    let environ = environ_of("GET / HTTP/1.0\r\n\r\n");
    for (key, value) in [
        ("CONTENT_LENGTH", ""),
        ("CONTENT_TYPE", ""),
        ("QUERY_STRING", ""),
        ("SERVER_PROTOCOL", "HTTP/1.0"),
    ] {
        assert_eq!(environ.get(key).map(|value| &**value), Some(value), "{key}");
    }
}

/// ENV-7, ENV-8: the path is decoded to bytes, each a character; the query is left alone.
#[test]
fn paths() {
    let cases = [
        ("GET", "/p%61th/", "/path/", ""),
        ("GET", "/%80%ff%C3%a9", "/\u{80}\u{ff}\u{c3}\u{a9}", ""),
        ("GET", "/a%2Fb%3fc%00%zz%", "/a/b?c\0%zz%", ""),
        ("GET", "/a+b;c=d?%41?", "/a+b;c=d", "%41?"),
        ("GET", "http://h.test/abs%20olute?q", "/abs olute", "q"),
        ("OPTIONS", "*", "", ""),
    ];
    for (method, target, path, query) in cases {
        let environ = environ_of(&request(method, target, "", ""));
        assert_eq!(environ["PATH_INFO"], path, "{target}");
        assert_eq!(environ["QUERY_STRING"], query, "{target}");
        assert_eq!(environ["REQUEST_URI"], target);
    }
}

/// ENV-11: what frameworks go by. The length of a chunked body is known when it is whole, and its
/// coding is gone.
#[test]
fn the_length_of_a_body() {
    let chunked = "Transfer-Encoding: chunked\r\n";
    let cases = [
        ("", "", ""),
        ("Content-Length: 0\r\n", "", "0"),
        ("Content-Length: 03\r\n", "abc", "03"),
        (chunked, "4\r\nWiki\r\n5;x=y\r\npedia\r\n0\r\n\r\n", "9"),
        (chunked, "1\r\na\r\n0\r\nX-T: trailer\r\n\r\n", "1"),
        (chunked, "0\r\n\r\n", "0"),
    ];
    for (fields, body, length) in cases {
        let environ = environ_of(&request("POST", "/", fields, body));
        assert_eq!(environ["CONTENT_LENGTH"], length, "{fields}{body}");
        assert_eq!(environ["wsgi.input_terminated"], "True");
        for absent in ["HTTP_CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"] {
            assert_eq!(environ.get(absent), None, "{fields}{body}");
        }
    }
}

/// ENV-1: an IPv6 address has brackets, and a server on all interfaces has the address that the
/// client reached.
#[test]
fn the_name_of_the_server() {
    let cases = [
        (Some("127.0.0.1:80"), Some("127.0.0.1:80"), "127.0.0.1"),
        (Some("[::1]:80"), Some("[::1]:80"), "[::1]"),
        (Some("0.0.0.0:80"), Some("192.0.2.1:80"), "192.0.2.1"),
        (Some("[::]:80"), Some("[2001:db8::1]:80"), "[2001:db8::1]"),
        (Some("[::]:80"), Some("[::ffff:192.0.2.1]:80"), "192.0.2.1"),
        (Some("0.0.0.0:80"), None, "localhost"),
        (None, None, "localhost"),
    ];
    for (bound, reached, expected) in cases {
        let parse = |address: &str| address.parse::<SocketAddr>().expect("an address");
        let app = |environ: &mut Environ<'_>, start_response: Starter<'_>| {
            let name = environ.get("SERVER_NAME").unwrap_or_default().into_owned();
            assert_eq!(environ.to_map().get("SERVER_NAME"), Some(&name));
            start_response.call("200 OK", PLAIN)?;
            Ok(name.into())
        };
        let handler = WsgiHandler::new(app, bound.map(parse));
        let client = reached.map(|reached| SocketAddr::new(parse(reached).ip(), 9));
        let settings = Arc::new(HttpSettings::default());
        let mut connection =
            HttpConnection::new(handler, client, settings).local_address(reached.map(parse));
        let (mut input, mut output) = (Buffer::new(), Buffer::new());
        input.extend_from_slice(b"GET / HTTP/1.0\r\n\r\n");
        connection.receive(&mut input, &mut output, &Now::new());
        let response = String::from_utf8_lossy(&output).into_owned();
        let name = response.split("\r\n\r\n").nth(1);
        assert_eq!(name, Some(expected), "{bound:?} {reached:?}");
    }
}

/// ENV-7: the authority of a target is the host, whatever the field says (RFC 9112 section 3.2.2).
#[test]
fn hosts() {
    let cases = [
        ("GET / HTTP/1.1", "Host: h.test:8\r\n", Some("h.test:8")),
        (
            "GET http://a.test:8/ HTTP/1.1",
            "Host: h.test\r\n",
            Some("a.test:8"),
        ),
        ("GET http://a.test/ HTTP/1.0", "", Some("a.test")),
        ("GET / HTTP/1.0", "", None),
    ];
    for (line, fields, host) in cases {
        let environ = environ_of(&format!("{line}\r\n{fields}\r\n"));
        let found = environ.get("HTTP_HOST").map(String::as_str);
        assert_eq!(found, host, "{line}");
    }
}

/// ENV-12, ENV-13, ENV-14: fields are joined; some never become variables.
#[test]
fn header_fields_as_variables() {
    let fields = "Accept: a\r\nX-Latin: caf\u{e9}\r\naccept:  b \r\nACCEPT: c,d\r\n\
                  Cookie: e=f\r\ncookie: g=h\r\n\
                  X_A: dropped\r\nX-A: kept\r\nX_B: dropped\r\n\
                  Proxy: http://evil.test\r\n\
                  Server-Name: x\r\nScript-Name: x\r\nRemote-Addr: x\r\nPath-Info: x\r\n";
    let environ = environ_of(&request("GET", "/", fields, ""));
    let found: Vec<(&str, &str)> = environ
        .iter()
        .filter(|(key, _)| key.starts_with("HTTP_"))
        .map(|(key, value)| (&**key, &**value))
        .collect();
    let expected = [
        ("HTTP_ACCEPT", "a,b,c,d"),
        ("HTTP_CONNECTION", "close"),
        ("HTTP_COOKIE", "e=f; g=h"),
        ("HTTP_HOST", "h.test"),
        ("HTTP_X_A", "kept"),
        ("HTTP_X_LATIN", "caf\u{e9}"),
    ];
    assert_eq!(found, expected);
    assert_eq!(environ["SERVER_NAME"], "127.0.0.1");
    assert_eq!(environ["PATH_INFO"], "/");
}

/// ENV-16, ENV-23: what an application inserts is its own, and gone with the request.
#[test]
fn insertions_are_isolated() {
    let server = serve(|environ: &mut Environ<'_>, start_response: Starter<'_>| {
        let before = environ.contains_key("my.key");
        environ.insert("my.key", "1");
        environ.insert("SERVER_NAME", "another");
        environ.insert("HTTPS", "on");
        environ.remove("HTTP_HOST");
        let page = format!(
            "{before} {:?} {:?} {:?} {}",
            environ.get("my.key"),
            environ.get("SERVER_NAME"),
            environ.get("HTTP_HOST"),
            environ.url_scheme(),
        );
        assert!(!environ.to_map().contains_key("HTTP_HOST"));
        assert_eq!(
            environ.to_map().get("my.key").map(String::as_str),
            Some("1")
        );
        start_response.call("200 OK", PLAIN)?;
        Ok(page.into())
    });
    let expected = "false Some(\"1\") Some(\"another\") None https";
    for _ in 0..2 {
        assert_eq!(server.get("/").text(), expected);
    }
    let pair = "GET / HTTP/1.1\r\nHost: h.test\r\n\r\n".to_owned() + &request("GET", "/", "", "");
    let both = server.exchange(&pair);
    assert_eq!(both.text().matches(expected).count(), 2);
}

/// WSGI-27: the input ends with the body, however it came and is read.
#[test]
fn the_input() {
    let server = serve(|environ: &mut Environ<'_>, start_response: Starter<'_>| {
        let lines = environ.get("PATH_INFO").as_deref() == Some("/lines");
        let input = environ.input();
        let mut text = String::new();
        if lines {
            input.read_line(&mut text)?;
            text.push('|');
            let mut some = [0; 2];
            input.read_exact(&mut some)?;
            text.push_str(std::str::from_utf8(&some)?);
            text.push('|');
        }
        input.read_to_string(&mut text)?;
        assert_eq!(environ.input().read(&mut [0; 9])?, 0);
        start_response.call("200 OK", PLAIN)?;
        Ok(text.into())
    });
    let cases = [
        ("/", "", "", ""),
        ("/", "Content-Length: 5\r\n", "a\nbcd", "a\nbcd"),
        ("/lines", "Content-Length: 6\r\n", "a\nbcde", "a\n|bc|de"),
        (
            "/",
            "Transfer-Encoding: chunked\r\n",
            "2\r\na\n\r\n3;x=y\r\nbcd\r\n0\r\nT: u\r\n\r\n",
            "a\nbcd",
        ),
    ];
    for (path, fields, body, read) in cases {
        let response = server.exchange(&request("PUT", path, fields, body));
        assert_eq!(response.text(), read, "{path} {fields:?}");
    }
}

/// WSGI-27: what Python's methods do, by those of `Read` and `BufRead`; at the end there is nothing.
#[test]
fn the_methods_of_the_input() {
    let server = serve(|environ: &mut Environ<'_>, start_response: Starter<'_>| {
        let input = environ.input();
        let mut read = Vec::new();
        let mut part = |bytes: Vec<u8>| read.push(String::from_utf8_lossy(&bytes).into_owned());
        let mut bytes = Vec::new();
        input.take(2).read_to_end(&mut bytes)?;
        part(std::mem::take(&mut bytes));
        input.take(3).read_until(b'\n', &mut bytes)?;
        part(std::mem::take(&mut bytes));
        input.take(9).read_until(b'\n', &mut bytes)?;
        part(std::mem::take(&mut bytes));
        input.read_until(b'\n', &mut bytes)?;
        part(std::mem::take(&mut bytes));
        for line in input.split(b'\n') {
            part(line?);
        }
        assert_eq!(environ.input().take(5).read_to_end(&mut bytes)?, 0);
        assert_eq!(environ.input().read_until(b'\n', &mut bytes)?, 0);
        assert_eq!(environ.input().lines().count(), 0);
        start_response.call("200 OK", PLAIN)?;
        Ok(read.join("|").into())
    });
    let text = "abcdefg\nhi\njk\n\nl";
    let length = format!("Content-Length: {}\r\n", text.len());
    let (some, rest) = text.split_at(5);
    let chunks = format!("5\r\n{some}\r\n{:x}\r\n{rest}\r\n0\r\n\r\n", rest.len());
    for (fields, body) in [
        (length.as_str(), text),
        ("Transfer-Encoding: chunked\r\n", chunks.as_str()),
    ] {
        let response = server.exchange(&request("PUT", "/", fields, body));
        assert_eq!(response.text(), "ab|cde|fg\n|hi\n|jk||l", "{fields}");
    }
}

/// WSGI-4: a client that waits to be asked for its content is asked, and the application has it
/// whole.
#[test]
fn a_client_that_expects_100() {
    let server = serve(|environ: &mut Environ<'_>, start_response: Starter<'_>| {
        let mut text = String::new();
        environ.input().read_to_string(&mut text)?;
        start_response.call("200 OK", PLAIN)?;
        Ok(text.into())
    });
    let mut stream = server.connect();
    let fields = "Expect: 100-continue\r\nContent-Length: 4\r\n";
    let head = request("PUT", "/", fields, "");
    stream.write_all(head.as_bytes()).expect("sent");
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).expect("an interim response");
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"abcd").expect("sent");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an end");
    let response = Response::parse(&bytes);
    assert_eq!(
        (&*response.status, response.text()),
        ("HTTP/1.1 200 OK", "abcd")
    );
}

/// WSGI-28: a greeting, an empty line, the environ sorted by key.
#[test]
fn the_demo_application() {
    let server = serve(demo_app);
    let fields = "X-Quote: it's\r\n";
    let response = server.exchange(&request("GET", "/%0Ax", fields, ""));
    let content_type = Some("text/plain; charset=utf-8");
    assert_eq!(response.field("Content-Type"), content_type);
    let rest = response.text().strip_prefix("Hello world!\n\n");
    let lines: Vec<&str> = rest.expect("the greeting").lines().collect();
    let mut sorted = lines.clone();
    sorted.sort_unstable();
    assert_eq!(lines, sorted);
    for line in [
        "REQUEST_METHOD = 'GET'",
        "PATH_INFO = '/\\nx'",
        "HTTP_X_QUOTE = 'it\\'s'",
    ] {
        assert!(lines.contains(&line), "{line}");
    }
}

/// Middleware is an application that calls another, and sees what it said.
#[test]
fn middleware() {
    let outer = |environ: &mut Environ<'_>, start_response: Starter<'_>| {
        struct Stamped<'a>(Starter<'a>);

        impl StartResponse for Stamped<'_> {
            fn call(&mut self, status: &str, headers: &[(&str, &str)]) -> HandlerResult {
                let mut headers = headers.to_vec();
                headers.push(("X-Stamp", "1"));
                self.0.call(status, &headers)
            }

            fn call_with_exc_info(
                &mut self,
                status: &str,
                headers: &[(&str, &str)],
                exc_info: Failure,
            ) -> HandlerResult {
                self.0.call_with_exc_info(status, headers, exc_info)
            }

            fn write(&mut self, bytes: &[u8]) -> HandlerResult {
                self.0.write(bytes)
            }
        }

        Application::call(&hello, environ, &mut Stamped(start_response))
    };
    let response = serve(outer).get("/");
    assert_eq!(response.field("X-Stamp"), Some("1"));
    assert_eq!(response.text(), "Hello, world!\n");
}

/// ENV-12, ENV-13: each variable is lent once, with the value that a lookup finds, whatever has been
/// inserted or removed, and the base environ has.
#[test]
fn every_variable_is_lent_once() {
    let app = |environ: &mut Environ<'_>, start_response: Starter<'_>| {
        environ.insert("REMOTE_USER", "guido");
        environ.insert("HTTP_X_B", "inserted");
        environ.remove("HTTP_X_C");
        environ.remove("SERVER_NAME");
        let mut keys = Vec::new();
        environ.for_each(|key, value| {
            assert_eq!(environ.get(key).as_deref(), Some(value), "{key}");
            keys.push(key.to_owned());
        });
        keys.sort();
        let request = environ.request().expect("a request");
        assert_eq!(request.header("X-C"), Some(&b"5"[..]));
        start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
        Ok(keys.join(" ").into())
    };
    let client = serve_forever::wsgi::testing::Client::new(app);
    let request = client
        .request("GET", "/?a")
        .header("X-A", "1")
        .header("x-a", "2");
    let request = request
        .header("X-B", "3")
        .header("X_D", "4")
        .header("X-C", "5");
    let response = request.header("Proxy", "p").header("Cookie", "a=b").send();
    assert!(response.failure().is_none(), "{response:?}");
    let expected = "CONTENT_LENGTH CONTENT_TYPE GATEWAY_INTERFACE HTTP_COOKIE HTTP_HOST HTTP_X_A \
        HTTP_X_B PATH_INFO QUERY_STRING REMOTE_ADDR REMOTE_HOST REMOTE_PORT REMOTE_USER REQUEST_METHOD \
        REQUEST_URI SCRIPT_NAME SERVER_PORT SERVER_PROTOCOL SERVER_SOFTWARE wsgi.errors \
        wsgi.file_wrapper wsgi.input wsgi.input_terminated wsgi.multiprocess wsgi.multithread wsgi.run_once wsgi.url_scheme wsgi.version";
    assert_eq!(response.text(), expected);
}

/// ENV-9, WSGI-2: what `get` returns for a key of the server is also listed, if the request has no
/// such variable: a client of a Unix-domain socket has no port.
#[test]
fn all_variables_that_can_be_looked_up_are_listed() {
    let app = |environ: &mut Environ<'_>, start_response: Starter<'_>| {
        start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
        assert_eq!(environ.get("REMOTE_PORT").as_deref(), Some("7"));
        assert_eq!(environ.get("REMOTE_ADDR").as_deref(), Some(""));
        let listed = environ.to_map();
        let port = listed
            .get("REMOTE_PORT")
            .map_or("not listed", String::as_str);
        Ok(format!("{port} {:?}", listed["REMOTE_ADDR"]).into())
    };
    let mut handler = WsgiHandler::new(app, None);
    for key in ["REMOTE_ADDR", "REMOTE_PORT"] {
        handler.base_environ_mut().insert(key.into(), "7".into());
    }
    let connection = HttpConnection::new(handler, None, Arc::default());
    let mut response = Vec::new();
    let stream = Files {
        rfile: &b"GET / HTTP/1.0\r\n\r\n"[..],
        wfile: &mut response,
    };
    Driver::new(connection).drive(stream).expect("it ends");
    let response = String::from_utf8(response).expect("text");
    assert!(response.ends_with("\r\n\r\n7 \"\""), "{response}");
}

/// WSGI-27: an application may read its input after its call, and nobody else can then.
#[test]
fn the_input_can_be_taken() {
    let app = |environ: &mut Environ<'_>, start_response: Starter<'_>| {
        start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
        let input = environ.take_input().expect("it was not replaced");
        assert_eq!(environ.input().read(&mut [0])?, 0);
        environ.set_input(&b"replaced"[..]);
        assert!(environ.take_input().is_none());
        Ok(Body::blocks(input.split(b' ').map_while(Result::ok)))
    };
    let client = serve_forever::wsgi::testing::Client::new(app);
    let response = client.post("/", "one two three");
    assert_eq!(response.text(), "onetwothree", "{response:?}");
}

/// LOG-5: what an application takes counts, though the loop looks at the clock once a turn. The log
/// has all the settings of any other.
#[test]
fn a_slow_application_is_logged_as_one() {
    let app = |_: &mut Environ<'_>, start_response: Starter<'_>| {
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(2) {}
        start_response.call("404 Not Found", PLAIN)?;
        Ok("".into())
    };
    let (sender, lines) = channel();
    let sink = move |line: &str| sender.send(line.to_owned()).expect("the test listens");
    let log = AccessLog::new((), LogFormat::Json, sink);
    let log = log.errors(false).utc_offset(90);
    let handler = WsgiHandler::new(app, None).access_log(log);
    let connection = HttpConnection::new(handler, None, Arc::default());
    let get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let requests = [get, get, "BAD\r\n\r\n"].concat();
    let stream = Files {
        rfile: requests.as_bytes(),
        wfile: std::io::sink(),
    };
    Driver::new(connection).drive(stream).expect("it ends");
    let duration = |line: &str| {
        let (_, rest) = line.split_once("\"duration_us\":").expect("a line");
        let digits = rest.split(',').next().expect("a number");
        digits.parse::<u64>().expect("a number")
    };
    for _ in 0..2 {
        let slow = lines.recv().expect("a line");
        assert!(duration(&slow) >= 2000, "{slow}");
        assert!(slow.contains("+01:30\""), "{slow}");
    }
    let refused = lines.recv().expect("a line");
    assert!(
        duration(&refused) < 2000,
        "not that of the request before: {refused}"
    );
}

/// LOG-1: the server logs as `wsgiref` does, and keeps all its methods; so does one with hooks.
#[test]
fn a_server_that_logs() {
    struct Quiet(std::sync::mpsc::Sender<String>);

    impl Hooks<Tcp> for Quiet {
        fn handle_error(
            &mut self,
            error: &(dyn std::error::Error + Send + Sync + 'static),
            _: &std::net::SocketAddr,
        ) -> HandlerResult {
            Ok(self.0.send(error.to_string())?)
        }
    }

    let app = |environ: &mut Environ<'_>, start_response: Starter<'_>| {
        if environ.get("PATH_INFO").as_deref() == Some("/fails") {
            return Err("on purpose".into());
        }
        start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
        Ok("hello".into())
    };
    let (failed, failures) = std::sync::mpsc::channel();
    let (logged, lines) = std::sync::mpsc::channel();
    let settings = serve_forever::http::HttpSettings::default();
    let server = make_server_with_hooks("127.0.0.1:0", app, settings, Quiet(failed));
    let sink = move |line: &str| logged.send(line.to_owned()).expect("the test listens");
    let server = server.expect("a port").threads(2);
    let server =
        server.configure(|handler| handler.access_log(AccessLog::new((), LogFormat::Python, sink)));
    let server = server.spawn().expect("a thread");
    for path in ["/", "/fails"] {
        let mut client = TcpStream::connect(server.server_address()).expect("it listens");
        client.set_read_timeout(Some(PATIENCE)).expect("an option");
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        client.write_all(request.as_bytes()).expect("it is sent");
        client.read_to_end(&mut Vec::new()).expect("a response");
    }
    let line = || lines.recv_timeout(PATIENCE).expect("a line");
    assert!(line().ends_with("\"GET / HTTP/1.0\" 200 5\n"));
    let error = line();
    assert!(error.contains("\"GET /fails HTTP/1.0\" 500"), "{error}");
    let failure = failures.recv_timeout(PATIENCE).expect("a report");
    assert_eq!(failure, "on purpose");
    assert!(server.shutdown().is_ok());
}
