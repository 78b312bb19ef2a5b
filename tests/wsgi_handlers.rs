//! Applications without a server: `SimpleHandler`, and CGI. What is written is compared byte for
//! byte; the applications run under the validator.
#![cfg(feature = "server")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;
use std::{env, fs};

use serve_forever::http::Block;
use serve_forever::socketserver::{Failure, HandlerResult};
use serve_forever::wsgi::{
    AppResult, Application, Body, Environ, Iterable, SimpleHandler, StartResponse, Validator,
    read_environ, setup_testing_defaults,
};

/// Longer than anything here takes, a build included, and an end for what hangs.
const PATIENCE: Duration = Duration::from_secs(120);

type Starter<'a> = &'a mut dyn StartResponse;

type App = fn(&mut Environ<'_>, Starter<'_>) -> AppResult;

type Pairs = &'static [(&'static str, &'static str)];

const TYPE: (&str, &str) = ("Content-Type", "text/plain");

const PLAIN: &[(&str, &str)] = &[TYPE];

/// With a date of its own, since ours is always another.
const DATED: &[(&str, &str)] = &[("Date", "now"), TYPE];

const ERROR_BODY: &str = "A server error occurred.  Please contact the administrator.";

/// What a gateway knows of a request, and `more`.
fn variables(more: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mut environ: Environ<'_> = more.iter().copied().collect();
    environ.insert("QUERY_STRING", "");
    setup_testing_defaults(&mut environ);
    let mut variables = environ.to_map();
    variables.retain(|key, _| !key.starts_with("wsgi."));
    variables.extend(
        more.iter()
            .map(|(key, value)| ((*key).into(), (*value).into())),
    );
    variables
}

/// Where the answer goes: an origin's client, or a web server.
#[derive(Debug, Clone, Copy, PartialEq)]
enum To {
    Client,
    Gateway,
}

/// Runs `app`; whether it went well, what was written, and what was logged.
fn run(to: To, more: &[(&str, &str)], app: impl Application) -> (HandlerResult, String, String) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let handler = SimpleHandler::new(io::empty(), &mut stdout, &mut stderr, variables(more));
    let result = handler.origin_server(to == To::Client).run(&app);
    (result, text(&stdout), text(&stderr))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// WSGI-29, and WSGI-4, WSGI-13, WSGI-14, WSGI-15, WSGI-17: the bytes of an answer, for a client
/// and for a web server, and what is logged about it.
#[test]
fn answers() {
    let full: Pairs = &[
        ("Date", "now"),
        TYPE,
        ("Server", "mine"),
        ("content-length", "3"),
    ];
    type Case = (
        &'static str,
        &'static str,
        Pairs,
        fn() -> Body,
        &'static str,
        &'static str,
    );
    let cases: [Case; 20] = [
        (
            "GET",
            "205 Reset",
            DATED,
            || "abc".into(),
            "Content-Length: 0\r\n\r\n",
            "",
        ),
        (
            "GET",
            "205 Reset",
            DATED,
            || Body::blocks(["a", "b"]),
            "Content-Length: 0\r\n\r\n",
            "",
        ),
        (
            "GET",
            "200 OK",
            DATED,
            || "abc".into(),
            "Content-Length: 3\r\n\r\nabc",
            "",
        ),
        (
            "GET",
            "299 ",
            DATED,
            || "".into(),
            "Content-Length: 0\r\n\r\n",
            "",
        ),
        (
            "GET",
            "200 OK",
            DATED,
            || Body::blocks(["abc"]),
            "Content-Length: 3\r\n\r\nabc",
            "",
        ),
        (
            "GET",
            "200 OK",
            DATED,
            || Body::blocks([""; 0]),
            "Content-Length: 0\r\n\r\n",
            "",
        ),
        // Nothing says how long it is but its end.
        (
            "GET",
            "200 OK",
            DATED,
            || Body::blocks(["ab", "", "c"]),
            "\r\nabc",
            "",
        ),
        (
            "GET",
            "200 OK",
            full,
            || Body::blocks(["ab", "c"]),
            "Server: mine\r\nContent-Length: 3\r\n\r\nabc",
            "",
        ),
        (
            "GET",
            "200 OK",
            full,
            || Body::blocks(["ab", "cd", "e"]),
            "Server: mine\r\nContent-Length: 3\r\n\r\nabc",
            "longer",
        ),
        (
            "GET",
            "200 OK",
            full,
            || "abcd".into(),
            "Server: mine\r\nContent-Length: 3\r\n\r\nabc",
            "longer",
        ),
        // What comes after the length is not asked for.
        (
            "GET",
            "200 OK",
            full,
            || Body::blocks(["ab", "c", "d"]),
            "Server: mine\r\nContent-Length: 3\r\n\r\nabc",
            "",
        ),
        (
            "GET",
            "200 OK",
            full,
            || Body::blocks(["a", "b"]),
            "Server: mine\r\nContent-Length: 3\r\n\r\nab",
            "shorter",
        ),
        (
            "GET",
            "200 OK",
            full,
            || "".into(),
            "Server: mine\r\nContent-Length: 3\r\n\r\n",
            "shorter",
        ),
        (
            "HEAD",
            "200 OK",
            DATED,
            || "abc".into(),
            "Content-Length: 3\r\n\r\n",
            "",
        ),
        // RFC 9110 §8.6: a GET may have a body.
        ("HEAD", "200 OK", DATED, || "".into(), "\r\n", ""),
        (
            "HEAD",
            "200 OK",
            full,
            || "".into(),
            "Server: mine\r\nContent-Length: 3\r\n\r\n",
            "",
        ),
        (
            "HEAD",
            "200 OK",
            DATED,
            || Body::blocks(["ab", "c"]),
            "\r\n",
            "",
        ),
        // As many as nobody wants to wait for.
        (
            "HEAD",
            "200 OK",
            DATED,
            || Body::blocks(std::iter::repeat("x")),
            "\r\n",
            "",
        ),
        (
            "GET",
            "204 No",
            &[("Date", "now")],
            || "abc".into(),
            "\r\n",
            "",
        ),
        (
            "GET",
            "304 No",
            &[("Date", "now"), ("Content-Length", "3")],
            || "".into(),
            "\r\n",
            "",
        ),
    ];
    for (index, (method, status, fields, body, rest, logged)) in cases.into_iter().enumerate() {
        let app = move |_: &mut Environ<'_>, start_response: Starter<'_>| {
            start_response.call(status, fields)?;
            Ok(body())
        };
        let app = Arc::new(Validator::new(app));
        let content_type = match fields.contains(&TYPE) {
            true => "Content-Type: text/plain\r\n",
            false => "",
        };
        for (to, begin) in [(To::Client, "HTTP/1.0"), (To::Gateway, "Status:")] {
            let method = [("REQUEST_METHOD", method)];
            let (result, written, log) = run(to, &method, Arc::clone(&app));
            let expected = format!("{begin} {status}\r\nDate: now\r\n{content_type}{rest}");
            assert_eq!(written, expected, "case {index}");
            assert!(result.is_ok(), "case {index}");
            assert_eq!(log.is_empty(), logged.is_empty(), "case {index}: {log:?}");
            assert!(log.contains(logged), "case {index}: {log:?}");
        }
    }
}

/// WSGI-15: an origin server adds Date, and Server if it has a name; a gateway adds neither.
#[test]
fn date_and_server() {
    let plain: App = |_, start_response| {
        start_response.call("200 OK", &[TYPE])?;
        Ok("".into())
    };
    let run = |app: App, origin_server: bool| {
        let mut stdout = Vec::new();
        SimpleHandler::new(io::empty(), &mut stdout, io::sink(), variables(&[]))
            .server_software("mine/1")
            .expect("a name")
            .origin_server(origin_server)
            .run(&app)
            .expect("it runs");
        let head = text(&stdout);
        let names = head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "));
        names
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect::<Vec<_>>()
    };
    let fields = run(plain, true);
    let names: Vec<&str> = fields.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["Date", "Server", "Content-Type", "Content-Length"]);
    assert!(fields[0].1.ends_with(" GMT"), "{fields:?}");
    assert_eq!(fields[1].1, "mine/1");
    let fields = run(plain, false);
    let names: Vec<&str> = fields.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["Content-Type", "Content-Length"]);
    // Those of the application are better.
    let own: App = |_, start_response| {
        start_response.call("200 OK", &[("server", "own"), ("date", "now"), TYPE])?;
        Ok("".into())
    };
    let fields = run(own, true);
    let names: Vec<&str> = fields.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["server", "date", "Content-Type", "Content-Length"]);

    let handler = SimpleHandler::new(io::empty(), io::sink(), io::sink(), variables(&[]));
    assert!(handler.server_software("a\r\nb: c").is_err());
}

/// WSGI-16, WSGI-29: a client of HTTP/0.9 gets the body alone; a web server gets a head always.
#[test]
fn http_0_9() {
    let app: App = |_, start_response| {
        start_response.call("200 OK", DATED)?;
        Ok("abc".into())
    };
    let old = [("SERVER_PROTOCOL", "http/0.9")];
    assert_eq!(run(To::Client, &old, app).1, "abc");
    assert!(
        run(To::Gateway, &old, app)
            .1
            .starts_with("Status: 200 OK\r\n")
    );
    let failing: App = |_, _| Err(io::Error::other("oops").into());
    assert_eq!(run(To::Client, &old, failing).1, ERROR_BODY);
}

/// WSGI-19: what fails before the head is a 500, after it the end; the log tells why, in one line.
#[test]
fn failures() {
    type Case = (App, &'static str, &'static str);
    let error = "500 Internal Server Error";
    let cases: [Case; 7] = [
        (
            |_, _| Err(io::Error::other("no\nway").into()),
            error,
            "no\\nway",
        ),
        (|_, _| panic!("oops"), error, "panicked: oops"),
        (|_, _| Ok("abc".into()), error, "before start_response"),
        (
            |_, start_response| {
                start_response.call("nonsense", DATED)?;
                Ok("abc".into())
            },
            error,
            "nonsense",
        ),
        (
            |_, start_response| {
                start_response.call("200 OK", &[("X-A", "a\r\nB: c")])?;
                Ok("abc".into())
            },
            error,
            "X-A",
        ),
        (
            |_, start_response| {
                start_response.call("200 OK", DATED)?;
                Ok(Body::from_iterable(Failing(vec!["no more"])))
            },
            error,
            "no more",
        ),
        (
            |_, start_response| {
                start_response.call("200 OK", DATED)?;
                Ok(Body::from_iterable(Failing(vec!["no more", "b", "a"])))
            },
            "200 OK\r\nDate: now\r\nContent-Type: text/plain\r\n\r\nab",
            "no more",
        ),
    ];
    for (app, expected, why) in cases {
        let (result, written, log) = run(To::Gateway, &[], app);
        assert!(result.is_ok(), "{why}");
        let expected = match expected == error {
            true => format!(
                "Status: {error}\r\nContent-Type: text/plain\r\nContent-Length: 59\r\n\r\n{ERROR_BODY}"
            ),
            false => format!("Status: {expected}"),
        };
        assert_eq!(written, expected, "{why}");
        assert!(
            log.starts_with("application failed: ") && log.ends_with('\n'),
            "{log:?}"
        );
        assert!(log.contains(why) && log.lines().count() == 1, "{log:?}");
    }
    let (_, written, _) = run(To::Client, &[], cases[0].0);
    let (begin, end) = written.split_once("Date: ").expect("a date");
    assert_eq!(begin, "HTTP/1.0 500 Internal Server Error\r\n");
    assert!(end.ends_with(ERROR_BODY), "{end}");
    let (_, written, _) = run(To::Gateway, &[("REQUEST_METHOD", "HEAD")], cases[0].0);
    assert!(written.ends_with("Content-Length: 59\r\n\r\n"), "{written}");
}

/// WSGI-19 *Better*: a failure that stops is handed on, after the answer.
#[test]
fn stops() {
    let app: App = |_, _| Err(Failure::stop());
    let (result, written, log) = run(To::Gateway, &[], app);
    assert!(matches!(result, Err(Failure::Stop(_))), "{result:?}");
    assert!(written.starts_with("Status: 500 "), "{written}");
    assert_eq!(log, "");
}

/// Blocks in reverse order, of which the first in the list is a failure.
struct Failing(Vec<&'static str>);

impl Iterable for Failing {
    fn next_block(&mut self, _: Starter<'_>) -> Result<Option<Block>, Failure> {
        match (self.0.len(), self.0.pop()) {
            (1, Some(why)) => Err(io::Error::other(why).into()),
            (_, block) => Ok(block.map(Into::into)),
        }
    }
}

/// What the application, its body and the output do, in order.
#[derive(Clone)]
struct Trace(Sender<String>);

impl Trace {
    fn add(&self, what: &str) {
        let _ = self.0.send(what.to_owned());
    }
}

/// Three blocks.
struct Traced(u8, Trace);

impl Iterable for Traced {
    fn next_block(&mut self, start_response: Starter<'_>) -> Result<Option<Block>, Failure> {
        self.0 += 1;
        self.1.add(&format!("block {}", self.0));
        match self.0 {
            1 => start_response.call("200 OK", DATED)?,
            2 => start_response.write(b"written ")?,
            4 => return Ok(None),
            _ => {}
        }
        Ok(Some(vec![b'0' + self.0].into()))
    }

    fn close(&mut self) -> HandlerResult {
        self.1.add("close");
        Ok(())
    }
}

/// An output that takes `piece` bytes at a time, and after `limit` bytes fails.
struct Traces {
    trace: Trace,
    piece: usize,
    limit: usize,
    failure: ErrorKind,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Write for Traces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = self.written.lock().expect("no panic");
        let room = self.limit - written.len();
        if room == 0 && !bytes.is_empty() {
            return Err(self.failure.into());
        }
        let count = bytes.len().min(self.piece).min(room);
        written.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        let written = self.written.lock().expect("no panic");
        self.trace.add(&format!("flush at {}", written.len()));
        Ok(())
    }
}

/// Runs the traced body into such an output; the result, what was written, and the trace.
fn trace(piece: usize, limit: usize, failure: ErrorKind) -> (HandlerResult, String, Vec<String>) {
    let (sender, trace) = channel();
    let sender = Trace(sender);
    let app = {
        let sender = Mutex::new(sender.clone());
        move |_: &mut Environ<'_>, _: Starter<'_>| {
            let sender = sender.lock().expect("no panic").clone();
            Ok(Body::from_iterable(Traced(0, sender)))
        }
    };
    let written = Arc::new(Mutex::new(Vec::new()));
    let stdout = Traces {
        trace: sender,
        piece,
        limit,
        failure,
        written: Arc::clone(&written),
    };
    let mut stderr = Vec::new();
    let handler = SimpleHandler::new(io::empty(), stdout, &mut stderr, variables(&[]));
    let result = handler.origin_server(false).run(&Validator::new(app));
    assert_eq!(text(&stderr), "");
    let written = text(&written.lock().expect("no panic"));
    (result, written, trace.try_iter().collect())
}

/// What the traced body becomes.
const TRACED: &str = "Status: 200 OK\r\nDate: now\r\nContent-Type: text/plain\r\n\r\n1written 23";

/// WSGI-5, WSGI-10, WSGI-11, WSGI-18: head and first block leave together, each block before the
/// next one is made; close() once, at the end.
#[test]
fn a_block_leaves_before_the_next_is_made() {
    let (result, written, trace) = trace(usize::MAX, usize::MAX, ErrorKind::Other);
    assert!(result.is_ok());
    assert_eq!(written, TRACED);
    let end = TRACED.len();
    let expected = [
        "block 1".to_owned(),
        format!("flush at {}", end - 10),
        "block 2".to_owned(),
        format!("flush at {}", end - 1),
        "block 3".to_owned(),
        format!("flush at {end}"),
        "block 4".to_owned(),
        "close".to_owned(),
    ];
    assert_eq!(trace, expected);
}

/// WSGI-10, WSGI-13: what is written has left when `write` returns, the head with the first of it,
/// even if that is nothing; its length is not known.
#[test]
fn what_is_written_leaves_at_once() {
    const HEAD: &str = "Status: 200 OK\r\nDate: now\r\nContent-Type: text/plain\r\n\r\n";
    let (sender, flushes) = channel();
    let written = Arc::new(Mutex::new(Vec::new()));
    let stdout = Traces {
        trace: Trace(sender),
        piece: 1,
        limit: usize::MAX,
        failure: ErrorKind::Other,
        written: Arc::clone(&written),
    };
    let app = |_: &mut Environ<'_>, start_response: Starter<'_>| {
        let seen = || text(&written.lock().expect("no panic"));
        assert!(start_response.write(b"early").is_err());
        start_response.call("200 OK", DATED)?;
        assert_eq!(seen(), "", "start_response sends nothing");
        for (block, so_far) in [("", ""), ("a", "a"), ("", "a"), ("bc", "abc")] {
            start_response.write(block.as_bytes())?;
            assert_eq!(seen(), format!("{HEAD}{so_far}"), "after {block:?}");
        }
        Ok("d".into())
    };
    let mut stderr = Vec::new();
    let handler = SimpleHandler::new(io::empty(), stdout, &mut stderr, variables(&[]));
    let result = handler.origin_server(false).run(&Validator::new(app));
    assert_eq!(text(&stderr), "");
    assert!(result.is_ok());
    assert_eq!(
        text(&written.lock().expect("no panic")),
        format!("{HEAD}abcd")
    );
    let end = HEAD.len();
    let expected = [0, 1, 3, 4].map(|count| format!("flush at {}", end + count));
    assert_eq!(flushes.try_iter().collect::<Vec<_>>(), expected);
}

/// WSGI-8, WSGI-14, WSGI-16, WSGI-17, WSGI-19: after a `write` the answer cannot be another, and is
/// no longer than it says.
#[test]
fn what_is_written_stays() {
    let oops = || Failure::from(io::Error::other("oops"));
    let lengths: [Pairs; 2] = [DATED, &[("Content-Length", "3"), ("Date", "now"), TYPE]];
    type End = fn(Starter<'_>, Failure) -> AppResult;
    let cases: [(&str, usize, &str, End, &str, &str); 14] = [
        ("GET", 1, "ab", |_, _| Ok("c".into()), "abc", ""),
        ("GET", 1, "abc", |_, _| Ok("".into()), "abc", ""),
        ("GET", 1, "ab", |_, _| Ok("".into()), "ab", "shorter"),
        ("GET", 1, "ab", |_, _| Ok("cd".into()), "abc", "longer"),
        ("GET", 1, "abc", |_, _| Ok("d".into()), "abc", "longer"),
        ("GET", 1, "abcd", |_, _| Ok("".into()), "abc", "longer"),
        ("GET", 0, "ab", |_, oops| Err(oops), "ab", "oops"),
        ("GET", 0, "", |_, oops| Err(oops), "", "oops"),
        ("GET", 0, "ab", |_, _| panic!("oops"), "ab", "oops"),
        (
            "GET",
            0,
            "ab",
            |start_response, oops| {
                start_response.call_with_exc_info("500 Late", DATED, oops)?;
                Ok("late".into())
            },
            "ab",
            "oops",
        ),
        (
            "GET",
            0,
            "ab",
            |_, _| Ok(Body::from_iterable(Failing(vec!["oops", "c"]))),
            "abc",
            "oops",
        ),
        ("HEAD", 1, "ab", |_, _| Ok("".into()), "", ""),
        (
            "HEAD",
            0,
            "ab",
            |_, _| Ok(Body::from_iterable(Failing(vec!["oops", "c"]))),
            "",
            "oops",
        ),
        ("HEAD", 0, "ab", |_, oops| Err(oops), "", "oops"),
    ];
    for (number, (method, length, written, end, body, why)) in cases.into_iter().enumerate() {
        let app = |_: &mut Environ<'_>, start_response: Starter<'_>| {
            start_response.call("200 OK", lengths[length])?;
            start_response.write(written.as_bytes())?;
            end(start_response, oops())
        };
        let of_three = if length == 1 {
            "Content-Length: 3\r\n"
        } else {
            ""
        };
        let head = format!("Date: now\r\nContent-Type: text/plain\r\n{of_three}\r\n");
        let method = [("REQUEST_METHOD", method)];
        let (result, answer, log) = run(To::Gateway, &method, app);
        assert!(result.is_ok(), "case {number}");
        assert_eq!(
            answer,
            format!("Status: 200 OK\r\n{head}{body}"),
            "case {number}"
        );
        assert_eq!(
            log.lines().count(),
            usize::from(!why.is_empty()),
            "case {number}: {log}"
        );
        assert!(log.contains(why), "case {number}: {log}");
        let old = [method[0], ("SERVER_PROTOCOL", "HTTP/0.9")];
        assert_eq!(run(To::Client, &old, app).1, body, "case {number}");
    }
}

/// WSGI-20: a `write` that fails tells the application; what it makes of that does not matter.
#[test]
fn a_write_that_fails() {
    type End = fn(HandlerResult) -> AppResult;
    let ends: [(&str, End); 4] = [
        ("hands it on", |failed| failed.map(|()| "".into())),
        ("goes on", |failed| {
            assert!(failed.is_err());
            Ok("more".into())
        }),
        ("fails otherwise", |_| Err(io::Error::other("oops").into())),
        ("stops", |_| Err(Failure::stop())),
    ];
    for (what, end) in ends {
        for (failure, fine) in [
            (ErrorKind::BrokenPipe, true),
            (ErrorKind::StorageFull, false),
        ] {
            let (sender, _trace) = channel();
            let written = Arc::new(Mutex::new(Vec::new()));
            let stdout = Traces {
                trace: Trace(sender),
                piece: 10,
                limit: 10,
                failure,
                written: Arc::clone(&written),
            };
            let app = |_: &mut Environ<'_>, start_response: Starter<'_>| {
                start_response.call("200 OK", DATED)?;
                end(start_response.write(b"written"))
            };
            let mut stderr = Vec::new();
            let handler = SimpleHandler::new(io::empty(), stdout, &mut stderr, variables(&[]));
            let result = handler.run(&app);
            match (what, result) {
                ("stops", Err(Failure::Stop(_))) => {}
                ("stops", result) => panic!("{what}, {failure}: {result:?}"),
                (_, result) => assert_eq!(result.is_ok(), fine, "{what}, {failure}"),
            }
            assert_eq!(
                text(&written.lock().expect("no panic")),
                "HTTP/1.0 2",
                "{what}"
            );
            assert_eq!(text(&stderr), "", "{what}, {failure}");
        }
    }
}

/// An output that fails once.
struct FailsOnce {
    written: Arc<Mutex<Vec<u8>>>,
    failed: bool,
}

impl Write for FailsOnce {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !std::mem::replace(&mut self.failed, true) {
            return Err(ErrorKind::StorageFull.into());
        }
        self.written.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// WSGI-20: what comes after a hole is no answer, and is not written.
#[test]
fn after_a_write_that_failed() {
    let written = Arc::new(Mutex::new(Vec::new()));
    let stdout = FailsOnce {
        written: Arc::clone(&written),
        failed: false,
    };
    let app: App = |_, start_response| {
        start_response.call("200 OK", DATED)?;
        assert!(start_response.write(b"lost").is_err());
        assert!(start_response.write(b"late").is_err());
        Ok("rest".into())
    };
    let mut stderr = Vec::new();
    let handler = SimpleHandler::new(io::empty(), stdout, &mut stderr, variables(&[]));
    let Err(Failure::Request(error)) = handler.run(&app) else {
        panic!("that the output failed is the caller's business");
    };
    assert_eq!(
        error.to_string(),
        io::Error::from(ErrorKind::StorageFull).to_string()
    );
    assert_eq!(text(&written.lock().expect("no panic")), "");
    assert_eq!(text(&stderr), "");
}

/// One block, and a close() that fails.
struct Unclosable(Option<&'static str>, fn() -> HandlerResult);

impl Iterable for Unclosable {
    fn next_block(&mut self, _: Starter<'_>) -> Result<Option<Block>, Failure> {
        Ok(self.0.take().map(Into::into))
    }

    fn close(&mut self) -> HandlerResult {
        (self.1)()
    }
}

/// WSGI-18 *Better*: a close() that fails is logged, and nothing more is written.
#[test]
fn a_close_that_fails() {
    type Close = fn() -> HandlerResult;
    let cases: [(Close, &str, bool); 3] = [
        (
            || Err(io::Error::other("oops").into()),
            "application failed: oops\n",
            true,
        ),
        (
            || panic!("oops"),
            "application failed: panicked: oops\n",
            true,
        ),
        (|| Err(Failure::stop()), "", false),
    ];
    for (close, logged, fine) in cases {
        for (method, body) in [("GET", "abc"), ("HEAD", "")] {
            let app = move |_: &mut Environ<'_>, start_response: Starter<'_>| {
                start_response.call("200 OK", DATED)?;
                Ok(Body::from_iterable(Unclosable(Some("abc"), close)))
            };
            let (result, written, log) = run(To::Gateway, &[("REQUEST_METHOD", method)], app);
            assert_eq!(result.is_ok(), fine, "{method}, {logged:?}");
            let head = "Status: 200 OK\r\nDate: now\r\nContent-Type: text/plain\r\n\r\n";
            assert_eq!(written, format!("{head}{body}"), "{method}, {logged:?}");
            assert_eq!(log, logged, "{method}");
        }
    }
}

/// WSGI-23: an output that takes a little at a time gets everything.
#[test]
fn short_writes() {
    for piece in [1, 2, 7] {
        let (result, written, _) = trace(piece, usize::MAX, ErrorKind::Other);
        assert!(result.is_ok(), "{piece}");
        assert_eq!(written, TRACED, "{piece}");
    }
}

/// WSGI-18, WSGI-20: a reader who is gone is nobody's failure, any other failure of the output is
/// the caller's; close() is called in any case. After every byte of the answer.
#[test]
fn outputs_that_fail() {
    for limit in 0..TRACED.len() {
        for (failure, fine) in [
            (ErrorKind::BrokenPipe, true),
            (ErrorKind::ConnectionReset, true),
            (ErrorKind::ConnectionAborted, true),
            (ErrorKind::StorageFull, false),
        ] {
            let (result, written, trace) = trace(usize::MAX, limit, failure);
            assert_eq!(result.is_ok(), fine, "{failure} after {limit}");
            assert_eq!(written, TRACED[..limit], "{failure} after {limit}");
            assert_eq!(
                trace.last().map(String::as_str),
                Some("close"),
                "{failure} after {limit}"
            );
            let closes = trace.iter().filter(|what| *what == "close").count();
            assert_eq!(closes, 1, "{failure} after {limit}");
        }
    }
}

/// WSGI-20: that the 500 cannot be written is the caller's business as well.
#[test]
fn an_error_answer_that_fails() {
    let app: App = |_, _| Err(io::Error::other("oops").into());
    for (failure, fine) in [
        (ErrorKind::BrokenPipe, true),
        (ErrorKind::StorageFull, false),
    ] {
        let (sender, _trace) = channel();
        let stdout = Traces {
            trace: Trace(sender),
            piece: 10,
            limit: 10,
            failure,
            written: Arc::default(),
        };
        let mut stderr = Vec::new();
        let handler = SimpleHandler::new(io::empty(), stdout, &mut stderr, variables(&[]));
        assert_eq!(handler.run(&app).is_ok(), fine, "{failure}");
        assert_eq!(text(&stderr), "application failed: oops\n", "{failure}");
    }
}

/// WSGI-27: the input is as long as CONTENT_LENGTH says, and nothing more is taken from it.
#[test]
fn the_input() {
    let app = |environ: &mut Environ<'_>, start_response: Starter<'_>| {
        let mut input = Vec::new();
        environ.input().read_to_end(&mut input)?;
        start_response.call("200 OK", DATED)?;
        Ok(input.into())
    };
    let cases: [(Pairs, &str, &str); 6] = [
        (&[("CONTENT_LENGTH", "3")], "abcdef", "abc"),
        (&[("CONTENT_LENGTH", "9")], "abc", "abc"),
        (&[("CONTENT_LENGTH", "0")], "abc", ""),
        (&[("CONTENT_LENGTH", "")], "abc", ""),
        (&[], "abc", ""),
        (&[("CONTENT_LENGTH", "many")], "abc", ""),
    ];
    for (variables, input, read) in cases {
        let mut stdin = input.as_bytes();
        let mut stdout = Vec::new();
        SimpleHandler::new(
            &mut stdin,
            &mut stdout,
            io::sink(),
            variables.iter().copied(),
        )
        .run(&app)
        .expect("it runs");
        assert!(
            text(&stdout).ends_with(&format!("\r\n\r\n{read}")),
            "{variables:?}"
        );
        assert_eq!(stdin, &input.as_bytes()[read.len()..], "{variables:?}");
    }
}

/// ENV-17: what an application complains about goes to the stream that was given.
#[test]
fn the_errors() {
    let app: App = |environ, start_response| {
        environ.errors().write_all(b"hm\n")?;
        start_response.call("200 OK", DATED)?;
        Ok("".into())
    };
    assert_eq!(run(To::Client, &[], Validator::new(app)).2, "hm\n");
}

/// ENV-19, ENV-21, ENV-22, ENV-23: the flags, the name of the software, and nothing of the process.
#[test]
fn the_environ() {
    type Handler = SimpleHandler<io::Empty, io::Sink, io::Sink>;
    type Settings = fn(Handler) -> Handler;
    let named: Settings = |handler| handler.server_software("mine").expect("a name");
    let cases: [(Pairs, Settings, [bool; 3], Option<&str>); 7] = [
        (&[], |handler| handler, [true, false, false], None),
        (
            &[],
            |handler| handler.multithread(false),
            [false, false, false],
            None,
        ),
        (
            &[],
            |handler| handler.multiprocess(true).run_once(true),
            [true, true, true],
            None,
        ),
        (
            &[("wsgi.multithread", "False")],
            |handler| handler,
            [false; 3],
            None,
        ),
        (&[], named, [true, false, false], Some("mine")),
        (
            &[("SERVER_SOFTWARE", "its")],
            named,
            [true, false, false],
            Some("its"),
        ),
        (
            &[],
            |handler| {
                handler
                    .origin_server(false)
                    .server_software("mine")
                    .expect("a name")
            },
            [true, false, false],
            None,
        ),
    ];
    for (index, (more, settings, flags, software)) in cases.into_iter().enumerate() {
        let (sender, environs) = channel();
        let sender = Mutex::new(sender);
        let app = move |environ: &mut Environ<'_>, start_response: Starter<'_>| {
            let found = [
                environ.multithread(),
                environ.multiprocess(),
                environ.run_once(),
            ];
            let sender = sender.lock().expect("no panic");
            sender.send((found, environ.to_map()))?;
            start_response.call("200 OK", DATED)?;
            Ok("".into())
        };
        let given = variables(more);
        let handler = SimpleHandler::new(io::empty(), io::sink(), io::sink(), given.clone());
        settings(handler)
            .run(&Validator::new(app))
            .expect("it runs");
        let (found, mut environ) = environs.recv().expect("it was called");
        assert_eq!(found, flags, "case {index}");
        let found = environ.remove("SERVER_SOFTWARE");
        assert_eq!(found.as_deref(), software, "case {index}");
        environ.retain(|key, _| !key.starts_with("wsgi."));
        let mut expected = given;
        expected.retain(|key, _| !key.starts_with("wsgi.") && key != "SERVER_SOFTWARE");
        assert_eq!(environ, expected, "case {index}");
    }
}

// ---- CGI

/// The example `cgi_app`, built as this program was.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let here = env::current_exe().expect("a path");
        let profile = here.ancestors().nth(2).expect("its profile's folder");
        let folder = profile.parent().expect("the target folder");
        // With `--target` there is a folder of that name below the target folder, which has this file.
        let is_target = |folder: &Path| folder.join(".rustc_info.json").is_file();
        let above = folder
            .parent()
            .filter(|above| is_target(above) && !is_target(folder));
        let target = above.unwrap_or(folder);
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--offline", "--example", "cgi_app"]);
        build.args((!cfg!(debug_assertions)).then_some("--release"));
        if let (Some(_), Some(platform)) = (above, folder.file_name()) {
            build.arg("--target").arg(platform);
        }
        build.current_dir(env!("CARGO_MANIFEST_DIR"));
        let built = build.arg("--target-dir").arg(target).output();
        let built = built.expect("cargo runs");
        assert!(built.status.success(), "{}", text(&built.stderr));
        let program = profile.join("examples/cgi_app");
        fs::canonicalize(program.with_extension(env::consts::EXE_EXTENSION)).expect("it is there")
    })
}

/// Runs the program as a web server does, with nothing in its environment but this.
fn cgi(arguments: &[&str], variables: Vec<(&str, OsString)>, input: &'static str) -> Output {
    let mut command = Command::new(program());
    command.args(arguments).env_clear().envs(variables);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let (sender, ended) = channel();
    thread::spawn(move || {
        // A program that does not read may be gone already.
        let _ = child
            .stdin
            .take()
            .expect("a pipe")
            .write_all(input.as_bytes());
        let _ = sender.send(child.wait_with_output());
    });
    ended
        .recv_timeout(PATIENCE)
        .expect("an end")
        .expect("output")
}

/// The variables of a request that RFC 3875 demands, and `more`.
fn cgi_variables<'a>(more: &[(&'a str, &str)]) -> Vec<(&'a str, OsString)> {
    let always = [
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SERVER_SOFTWARE", "test/1"),
        ("SERVER_NAME", "h.test"),
        ("SERVER_PORT", "80"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("QUERY_STRING", ""),
    ];
    let all = always.iter().chain(more);
    all.map(|(key, value)| (*key, OsString::from(value)))
        .collect()
}

/// WSGI-29, ENV-19: the same application as a CGI program: variables and input in, bytes out.
#[test]
fn a_cgi_program() {
    let request: &[(&str, &str)] = &[
        ("REQUEST_METHOD", "POST"),
        ("SCRIPT_NAME", "/app"),
        ("PATH_INFO", "/count"),
        ("CONTENT_LENGTH", "4"),
    ];
    let output = cgi(&[], cgi_variables(request), "abcdef");
    assert!(output.status.success());
    let expected = "Status: 200 OK\r\n\
                    Content-Type: text/plain\r\n\
                    Content-Length: 42\r\n\r\n\
                    /app /count: 4 bytes, [false, true, true]\n";
    assert_eq!(text(&output.stdout), expected);
    assert_eq!(text(&output.stderr), "");

    let head: &[(&str, &str)] = &[("REQUEST_METHOD", "HEAD"), ("SERVER_PROTOCOL", "HTTP/0.9")];
    let output = cgi(&[], cgi_variables(head), "");
    let expected = "Status: 200 OK\r\n\
                    Content-Type: text/plain\r\n\
                    Content-Length: 32\r\n\r\n";
    assert_eq!(text(&output.stdout), expected);
}

/// WSGI-29: IIS repeats SCRIPT_NAME in PATH_INFO; only who asks for it has that undone.
#[test]
fn a_cgi_program_under_iis() {
    for (arguments, path, expected) in [
        (&["--iis"][..], "/app/count", "/app /count: "),
        (&["--iis"][..], "/app", "/app : "),
        (&["--iis"][..], "/apple", "/app /apple: "),
        (&[][..], "/app/count", "/app /app/count: "),
    ] {
        let request = [
            ("SCRIPT_NAME", "/app"),
            ("PATH_INFO", path),
            ("REQUEST_METHOD", "GET"),
        ];
        let output = cgi(arguments, cgi_variables(&request), "");
        let output = text(&output.stdout);
        let (_, body) = output.split_once("\r\n\r\n").expect("a head");
        assert!(body.starts_with(expected), "{path}: {body}");
    }
}

/// WSGI-29: a path arrives and leaves as the bytes that it is, of whatever encoding.
#[cfg(unix)]
#[test]
fn a_cgi_program_and_a_path_of_bytes() {
    use std::os::unix::ffi::OsStringExt;

    let mut variables = cgi_variables(&[("REQUEST_METHOD", "GET")]);
    variables.push((
        "PATH_INFO",
        OsString::from_vec(b"/\xe9\xc3\xa9\xff".to_vec()),
    ));
    let output = cgi(&[], variables, "");
    let body = b" /\xe9\xc3\xa9\xff: 0 bytes, [false, true, true]\n";
    assert!(
        output.stdout.ends_with(body),
        "{}",
        output.stdout.escape_ascii()
    );
}

/// Set in the process that [`read_environ`] is asked in.
const ASKED: &str = "SERVE_FOREVER_TEST_ENVIRON";

/// WSGI-29, ENV-14: what `read_environ` makes of the environment; this test again, in a process
/// that has one.
#[test]
fn the_environ_of_the_process() {
    if env::var_os(ASKED).is_some() {
        let environ = read_environ();
        let found = |key| environ.get(key).map(String::as_str);
        assert_eq!(
            found("QUERY_STRING"),
            Some("\u{c3}\u{a9}"),
            "each byte a character"
        );
        assert_eq!(found("HTTP_X"), Some("\u{c3}\u{a9}"));
        assert_eq!(found("REDIRECT_HTTP_X"), Some("\u{c3}\u{a9}"));
        assert_eq!(
            found("OTHER"),
            Some("\u{e9}"),
            "what is not of the request is text"
        );
        assert_eq!(found("HTTP_PROXY"), None);
        return;
    }
    let name = "the_environ_of_the_process";
    let mut command = Command::new(env::current_exe().expect("a path"));
    command
        .args(["--exact", name, "--nocapture"])
        .env(ASKED, "1");
    for key in [
        "QUERY_STRING",
        "HTTP_X",
        "REDIRECT_HTTP_X",
        "OTHER",
        "HTTP_PROXY",
    ] {
        command.env(key, "\u{e9}");
    }
    let output = command.output().expect("it runs");
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

/// WSGI-20, WSGI-25: an application of the program's own answers for one that failed; if it fails,
/// too, the caller hears of it, but not instead of a stop.
#[test]
fn an_error_output_of_ones_own() {
    let sorry = |environ: &mut Environ<'_>, start_response: Starter<'_>| {
        assert!(environ.contains_key("wsgi.file_wrapper"));
        start_response.call("503 Sorry", PLAIN)?;
        match environ.get("PATH_INFO").as_deref() {
            Some("/fails") => Err(io::Error::other("second").into()),
            _ => Ok("sorry".into()),
        }
    };
    let run = |path, app: App| {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let environ = variables(&[("PATH_INFO", path), ("SCRIPT_NAME", "")]);
        let result = SimpleHandler::new(io::empty(), &mut stdout, &mut stderr, environ)
            .origin_server(false)
            .error_output(Validator::new(sorry))
            .run(&app);
        (
            result.map_err(|failure| failure.to_string()),
            text(&stdout),
            text(&stderr),
        )
    };
    let (fails, stops): (App, App) = (
        |_, _| Err(io::Error::other("first").into()),
        |_, _| Err(Failure::stop()),
    );
    let answer = "Status: 503 Sorry\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nsorry";
    let logged = "application failed: first\n";
    let stop = Failure::stop().to_string();
    assert_eq!(run("/", fails), (Ok(()), answer.into(), logged.into()));
    assert_eq!(
        run("/fails", fails),
        (Err("second".into()), String::new(), logged.into())
    );
    assert_eq!(
        run("/", stops),
        (Err(stop.clone()), answer.into(), String::new())
    );
    assert_eq!(
        run("/fails", stops),
        (Err(stop), String::new(), String::new())
    );
}
