//! `Validator`: applications and servers that break PEP 3333, each in one way, and what is said
//! about it. Clauses that the types keep are in the module's own table.
#![cfg(feature = "server")]

mod support;

use std::env;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use serve_forever::http::Block;
use serve_forever::socketserver::{Failure, HandlerResult};
use serve_forever::wsgi::testing::Client;
use serve_forever::wsgi::{
    AppResult, Application, Body, Breach, Environ, Iterable, StartResponse, Validator,
    setup_testing_defaults,
};
use support::wsgi::{Made, Starter};

type App = fn(&mut Environ<'_>, Starter<'_>) -> AppResult;

const PLAIN: &[(&str, &str)] = &[("Content-Type", "text/plain")];

/// A server's `start_response` that takes note of what reaches it.
#[derive(Default)]
struct Noted(String);

impl StartResponse for Noted {
    fn call(&mut self, status: &str, headers: &[(&str, &str)]) -> HandlerResult {
        self.0.push_str(&format!("call {status} {headers:?}\n"));
        Ok(())
    }

    fn call_with_exc_info(
        &mut self,
        status: &str,
        headers: &[(&str, &str)],
        exc_info: Failure,
    ) -> HandlerResult {
        let line = format!("call {status} {headers:?} after {exc_info}\n");
        self.0.push_str(&line);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> HandlerResult {
        let line = format!("write {}\n", bytes.escape_ascii());
        self.0.push_str(&line);
        Ok(())
    }
}

/// What came of one call.
struct Outcome {
    /// Why it failed, if it did.
    breach: Option<Breach>,
    reports: Vec<Breach>,
    /// What the server was told.
    noted: String,
    blocks: Vec<String>,
}

/// Calls `app` under the validator as a server does, in an environ that `change` has changed.
fn validate(change: fn(&mut Environ<'_>), app: impl Application) -> Outcome {
    let (validator, reports) = watched(app);
    let mut noted = Noted::default();
    let mut blocks = Vec::new();
    let result = call(&validator, change, &mut noted).and_then(|mut body| {
        let ended = loop {
            match body.next_block(&mut noted) {
                Ok(Some(block)) => blocks.push(block.escape_ascii().to_string()),
                Ok(None) => break Ok(()),
                Err(failure) => break Err(failure),
            }
        };
        body.close().and(ended)
    });
    Outcome {
        breach: result.err().map(breach),
        reports: reports.try_iter().collect(),
        noted: noted.0,
        blocks,
    }
}

fn watched<A: Application>(app: A) -> (Validator<A>, Receiver<Breach>) {
    let (sender, reports) = channel();
    let sender = Mutex::new(sender);
    let validator = Validator::new(app).report_to(move |breach| {
        let sender = sender.lock().expect("no panic");
        sender.send(breach.clone()).expect("the test listens");
    });
    (validator, reports)
}

fn call(app: &impl Application, change: fn(&mut Environ<'_>), noted: &mut Noted) -> AppResult {
    let mut environ: Environ<'_> = [("QUERY_STRING", "")].into_iter().collect();
    setup_testing_defaults(&mut environ);
    change(&mut environ);
    Application::call(app, &mut environ, noted)
}

fn breach(failure: Failure) -> Breach {
    match failure {
        Failure::Request(error) => match error.downcast() {
            Ok(breach) => *breach,
            Err(error) => panic!("another failure: {error}"),
        },
        Failure::Stop(_) => panic!("a stop"),
    }
}

fn good(_: &mut Environ<'_>, start_response: Starter<'_>) -> AppResult {
    start_response.call("200 OK", PLAIN)?;
    Ok("good".into())
}

/// An application that says this.
fn saying(
    status: &'static str,
    headers: &'static [(&'static str, &'static str)],
) -> impl Application {
    move |_: &mut Environ<'_>, start_response: Starter<'_>| {
        start_response.call(status, headers)?;
        Ok("".into())
    }
}

/// VALID-2 to VALID-4, VALID-6, VALID-8 to VALID-10: environs that no server may make.
#[test]
fn environs() {
    type Change = fn(&mut Environ<'_>);
    let failures: [(Change, Breach); 28] = [
        (
            |e| e.remove("REQUEST_METHOD"),
            Breach::MissingKey("REQUEST_METHOD"),
        ),
        (
            |e| e.remove("SERVER_NAME"),
            Breach::MissingKey("SERVER_NAME"),
        ),
        (
            |e| e.remove("SERVER_PORT"),
            Breach::MissingKey("SERVER_PORT"),
        ),
        (
            |e| e.remove("wsgi.version"),
            Breach::MissingKey("wsgi.version"),
        ),
        (|e| e.remove("wsgi.input"), Breach::MissingKey("wsgi.input")),
        (
            |e| e.remove("wsgi.errors"),
            Breach::MissingKey("wsgi.errors"),
        ),
        (
            |e| e.remove("wsgi.multithread"),
            Breach::MissingKey("wsgi.multithread"),
        ),
        (
            |e| e.remove("wsgi.multiprocess"),
            Breach::MissingKey("wsgi.multiprocess"),
        ),
        (
            |e| e.remove("wsgi.run_once"),
            Breach::MissingKey("wsgi.run_once"),
        ),
        (
            |e| e.insert("HTTP_CONTENT_TYPE", "a/b"),
            Breach::ForbiddenKey("HTTP_CONTENT_TYPE"),
        ),
        (
            |e| e.insert("HTTP_CONTENT_LENGTH", ""),
            Breach::ForbiddenKey("HTTP_CONTENT_LENGTH"),
        ),
        (
            |e| e.remove("wsgi.url_scheme"),
            Breach::UrlScheme("".into()),
        ),
        (
            |e| e.insert("wsgi.url_scheme", "ftp"),
            Breach::UrlScheme("ftp".into()),
        ),
        (
            |e| e.insert("wsgi.url_scheme", "HTTP"),
            Breach::UrlScheme("HTTP".into()),
        ),
        (
            |e| e.insert("wsgi.url_scheme", ""),
            Breach::UrlScheme("".into()),
        ),
        (
            |e| e.insert("SCRIPT_NAME", "a"),
            Breach::ScriptName("a".into()),
        ),
        (
            |e| e.insert("SCRIPT_NAME", "/"),
            Breach::ScriptName("/".into()),
        ),
        (
            |e| e.insert("PATH_INFO", "a/"),
            Breach::PathInfo("a/".into()),
        ),
        (
            |e| e.insert("PATH_INFO", "http://h/"),
            Breach::PathInfo("http://h/".into()),
        ),
        (|e| e.remove("PATH_INFO"), Breach::NoPath),
        (
            |e| {
                e.remove("PATH_INFO");
                e.remove("SCRIPT_NAME");
            },
            Breach::NoPath,
        ),
        (
            |e| e.insert("CONTENT_LENGTH", "-1"),
            Breach::ContentLength("-1".into()),
        ),
        (
            |e| e.insert("CONTENT_LENGTH", "many"),
            Breach::ContentLength("many".into()),
        ),
        (
            |e| e.insert("CONTENT_LENGTH", "+5"),
            Breach::ContentLength("+5".into()),
        ),
        (
            |e| e.insert("CONTENT_LENGTH", " 5 "),
            Breach::ContentLength(" 5 ".into()),
        ),
        (
            |e| e.insert("CONTENT_LENGTH", "1_0"),
            Breach::ContentLength("1_0".into()),
        ),
        (
            |e| e.insert("CONTENT_LENGTH", "٥"),
            Breach::ContentLength("٥".into()),
        ),
        (
            |e| e.insert("CONTENT_LENGTH", "5,5"),
            Breach::ContentLength("5,5".into()),
        ),
    ];
    for (change, expected) in failures {
        let outcome = validate(change, good);
        assert_eq!(outcome.breach, Some(expected.clone()));
        assert_eq!(outcome.noted, "", "{expected}: the application was called");
        assert!(!expected.is_warning(), "{expected}");
    }

    let warnings: [(Change, Breach); 3] = [
        (|e| e.remove("QUERY_STRING"), Breach::NoQueryString),
        (
            |e| e.insert("REQUEST_METHOD", "get"),
            Breach::Method("get".into()),
        ),
        (
            |e| e.insert("REQUEST_METHOD", "BREW"),
            Breach::Method("BREW".into()),
        ),
    ];
    for (change, expected) in warnings {
        let outcome = validate(change, good);
        assert_eq!(outcome.breach, None, "{expected}");
        assert_eq!(outcome.blocks, ["good"], "{expected}");
        assert!(expected.is_warning(), "{expected}");
        assert_eq!(outcome.reports, [expected]);
    }

    let legal: [(&str, Change); 10] = [
        ("nothing", |_| {}),
        ("https", |e| e.insert("wsgi.url_scheme", "https")),
        ("no SCRIPT_NAME", |e| e.remove("SCRIPT_NAME")),
        ("both paths", |e| e.insert("SCRIPT_NAME", "/a")),
        ("an empty path", |e| e.insert("PATH_INFO", "")),
        ("no PATH_INFO", |e| {
            e.insert("SCRIPT_NAME", "/a");
            e.remove("PATH_INFO");
        }),
        ("an empty length", |e| e.insert("CONTENT_LENGTH", "")),
        ("a length", |e| e.insert("CONTENT_LENGTH", "0123456789")),
        ("TRACE", |e| e.insert("REQUEST_METHOD", "TRACE")),
        ("PATCH", |e| e.insert("REQUEST_METHOD", "PATCH")),
    ];
    for (what, change) in legal {
        let outcome = validate(change, good);
        assert_eq!(
            (outcome.breach, &*outcome.reports),
            (None, &[][..]),
            "{what}"
        );
    }
}

/// VALID-12, VALID-13, VALID-14: heads that no application may send.
#[test]
fn heads() {
    type Headers = &'static [(&'static str, &'static str)];
    let status = |status: &str| Breach::Status(status.into());
    let name = |name: &str| Breach::HeaderName(name.into());
    let value = |name: &str| Breach::HeaderValue(name.into());
    let failures: [(&str, Headers, Breach); 31] = [
        ("", PLAIN, status("")),
        ("99 OK", PLAIN, status("99 OK")),
        ("099 OK", PLAIN, status("099 OK")),
        ("1000 OK", PLAIN, status("1000 OK")),
        ("200OK", PLAIN, status("200OK")),
        ("2x0 OK", PLAIN, status("2x0 OK")),
        ("+20 OK", PLAIN, status("+20 OK")),
        ("٢٠٠ OK", PLAIN, status("٢٠٠ OK")),
        ("OK", PLAIN, status("OK")),
        ("200 OK", &[("Status", "200 OK")], Breach::StatusHeader),
        ("200 OK", &[("sTATUS", "x")], Breach::StatusHeader),
        ("200 OK", &[("X:Y", "x")], name("X:Y")),
        ("200 OK", &[("X\nY", "x")], name("X\nY")),
        ("200 OK", &[("X Y", "x")], name("X Y")),
        ("200 OK", &[("", "x")], name("")),
        ("200 OK", &[("1X", "x")], name("1X")),
        ("200 OK", &[("-X", "x")], name("-X")),
        ("200 OK", &[("_X", "x")], name("_X")),
        ("200 OK", &[("X-", "x")], name("X-")),
        ("200 OK", &[("X_", "x")], name("X_")),
        ("200 OK", &[("X.Y", "x")], name("X.Y")),
        ("200 OK", &[("\u{c4}", "x")], name("\u{c4}")),
        ("200 OK", &[("X", "a\r\nb")], value("X")),
        ("200 OK", &[("X", "a\tb")], value("X")),
        ("200 OK", &[("X", "\0")], value("X")),
        ("200 OK", &[("X", "\u{1f}")], value("X")),
        ("200 OK", &[], Breach::NoContentType),
        ("404 No", &[("Content-Length", "0")], Breach::NoContentType),
        ("100 Go on", &[], Breach::NoContentType),
        ("204 No", PLAIN, Breach::ContentType),
        ("304 No", &[("content-TYPE", "a/b")], Breach::ContentType),
    ];
    for (status, headers, expected) in failures {
        let outcome = validate(|_| {}, saying(status, headers));
        assert_eq!(
            outcome.breach,
            Some(expected.clone()),
            "{status:?} {headers:?}"
        );
        assert_eq!(
            outcome.noted, "",
            "{status:?} {headers:?}: it was forwarded"
        );
        assert!(!expected.is_warning(), "{expected}");
    }

    let warned = ["200", "200\tOK", " 200 OK", "200  OK"];
    for status in warned {
        let outcome = validate(|_| {}, saying(status, PLAIN));
        assert_eq!(outcome.breach, None, "{status:?}");
        assert_eq!(outcome.reports, [Breach::StatusSpace(status.into())]);
        assert!(
            outcome.noted.starts_with(&format!("call {status} [")),
            "{status:?}"
        );
        assert!(outcome.reports[0].is_warning(), "{status:?}");
    }

    let legal: [(&str, Headers); 7] = [
        ("200 OK", PLAIN),
        ("200 ", PLAIN),
        (
            "999 Odd",
            &[("x-y_Z1", "\u{7f}\u{e9} x"), ("CONTENT-TYPE", "")],
        ),
        ("204 No Content", &[]),
        ("304 Not Modified", &[("ETag", "\"x\"")]),
        ("100 Continue", PLAIN),
        (
            "200 OK",
            &[("Content-Type", "a/b"), ("Content-Type", "c/d")],
        ),
    ];
    for (status, headers) in legal {
        let outcome = validate(|_| {}, saying(status, headers));
        assert_eq!(
            (outcome.breach, &*outcome.reports),
            (None, &[][..]),
            "{status:?}"
        );
        assert_eq!(outcome.noted, format!("call {status} {headers:?}\n"));
    }
}

/// VALID-11: status, then headers, then the content type; what fails is not forwarded and does not
/// count as a start.
#[test]
fn the_order_of_checks() {
    let bad_status = Breach::Status("20".into());
    let outcome = validate(|_| {}, saying("20", &[("Status", "x")]));
    assert_eq!(outcome.breach, Some(bad_status.clone()));
    let outcome = validate(|_| {}, saying("200 OK", &[("Status", "x")]));
    assert_eq!(outcome.breach, Some(Breach::StatusHeader));

    let stubborn: App = |_, start_response| {
        assert!(start_response.call("20", PLAIN).is_err());
        let exc_info = std::io::Error::other("oops").into();
        assert!(
            start_response
                .call_with_exc_info("200 OK", &[], exc_info)
                .is_err()
        );
        Ok("x".into())
    };
    let outcome = validate(|_| {}, stubborn);
    assert_eq!(outcome.breach, Some(Breach::BlockBeforeStart));
    assert_eq!(outcome.noted, "");
}

/// VALID-12, VALID-18, VALID-19: bodies that begin or end before start_response, or call it badly.
#[test]
fn bodies() {
    let cases: [(Breach, App); 5] = [
        (Breach::BlockBeforeStart, |_, _| Ok("x".into())),
        (Breach::BlockBeforeStart, |_, _| Ok(Body::blocks(["", "x"]))),
        (Breach::EndBeforeStart, |_, _| Ok("".into())),
        (Breach::EndBeforeStart, |_, _| Ok(Body::blocks([""; 0]))),
        (Breach::Status("late".into()), |_, _| {
            Ok(Body::from_iterable(Made(|start_response: Starter<'_>| {
                start_response.call("late", PLAIN)?;
                Ok(None)
            })))
        }),
    ];
    for (expected, app) in cases {
        let outcome = validate(|_| {}, app);
        assert_eq!(outcome.breach, Some(expected.clone()));
        assert_eq!(outcome.blocks, [""; 0], "{expected}");
        assert_eq!(outcome.reports, [], "{expected}: it was closed");
    }
}

/// VALID-18, VALID-19: servers that go on after close(), or forget it.
#[test]
fn servers() {
    let (validator, reports) = watched(good);
    let mut noted = Noted::default();
    let mut body = call(&validator, |_| {}, &mut noted).expect("a body");
    assert!(body.close().is_ok());
    let again = body.next_block(&mut noted).map_err(breach);
    assert_eq!(again, Err(Breach::ReadAfterClose));
    drop(body);
    assert_eq!(reports.try_iter().collect::<Vec<_>>(), []);

    drop(call(&validator, |_| {}, &mut noted).expect("a body"));
    let found: Vec<Breach> = reports.try_iter().collect();
    assert_eq!(found, [Breach::NotClosed]);
    assert!(!found[0].is_warning());
}

/// VALID-4, VALID-8, VALID-12, VALID-19: reports go to standard error, with or without a logger,
/// and what they quote does not make lines of its own.
#[test]
fn reports_go_to_standard_error() {
    let this = env::current_exe().expect("a path");
    let child = Command::new(this)
        .args(["--exact", "--ignored", "--nocapture"])
        .arg("a_validator_that_has_something_to_report")
        .output()
        .expect("the test runs itself");
    let said = String::from_utf8(child.stderr).expect("UTF-8");
    assert!(child.status.success(), "{said}");
    let reports: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("WSGI: VALID-"))
        .collect();
    let expected = [
        "WSGI: VALID-4: the environ has no QUERY_STRING",
        r#"WSGI: VALID-8: REQUEST_METHOD is "A\nB""#,
        r#"WSGI: VALID-12: status "200  OK" is not like "200 OK""#,
        "WSGI: VALID-19: close() of the body was not called",
    ];
    assert_eq!(reports, expected, "{said}");
}

/// The validator of the test above, in a process of its own: for what it says to standard error.
#[test]
#[ignore = "run by reports_go_to_standard_error"]
fn a_validator_that_has_something_to_report() {
    let validator = Validator::new(saying("200  OK", PLAIN));
    let forgetful = |environ: &mut Environ<'_>, start_response: Starter<'_>| {
        environ.remove("QUERY_STRING");
        environ.insert("REQUEST_METHOD", "A\nB");
        drop(validator.call(environ, start_response)?);
        Err(std::io::Error::other("the body is gone").into())
    };
    assert_eq!(Client::new(forgetful).get("/").code(), 500);
}

/// A body that is late, writes, fails over, and tells when it is closed.
struct Lively(u8, Sender<&'static str>);

impl Iterable for Lively {
    fn next_block(&mut self, start_response: Starter<'_>) -> Result<Option<Block>, Failure> {
        self.0 += 1;
        match self.0 {
            1 => start_response.call("200 OK", PLAIN)?,
            2 => {
                let exc_info = std::io::Error::other("oops").into();
                start_response.call_with_exc_info("500 No", PLAIN, exc_info)?;
            }
            3 => start_response.write(b"written")?,
            4 => return Err(std::io::Error::other("the end").into()),
            _ => return Ok(None),
        }
        Ok(Some(vec![b'0' + self.0].into()))
    }

    fn block_count(&self) -> Option<usize> {
        Some(7)
    }

    fn close(&mut self) -> HandlerResult {
        self.1.send("closed")?;
        Err(std::io::Error::other("in close").into())
    }
}

/// VALID-18, VALID-19, VALID-22: whatever is legal passes through unchanged, also the number of
/// blocks, failures, and close().
#[test]
fn nothing_is_changed() {
    let (sender, closed) = channel();
    let sender = Mutex::new(sender);
    let (validator, reports) = watched(move |environ: &mut Environ<'_>, _: Starter<'_>| {
        environ.insert("seen", "1");
        let sender = sender.lock().expect("no panic").clone();
        Ok(Body::from_iterable(Lively(0, sender)))
    });
    let mut noted = Noted::default();
    let mut body = call(&validator, |_| {}, &mut noted).expect("a body");
    assert_eq!(body.block_count(), Some(7));
    for expected in ["1", "2", "3"] {
        let block = body.next_block(&mut noted).expect(expected);
        assert_eq!(block.as_deref(), Some(expected.as_bytes()));
    }
    let failed = body
        .next_block(&mut noted)
        .map_err(|failure| failure.to_string());
    assert_eq!(failed, Err("the end".to_owned()));
    let failed = body.close().map_err(|failure| failure.to_string());
    assert_eq!(failed, Err("in close".to_owned()));
    drop(body);
    assert_eq!(closed.try_iter().collect::<Vec<_>>(), ["closed"]);
    let plain = "[(\"Content-Type\", \"text/plain\")]";
    let expected = format!("call 200 OK {plain}\ncall 500 No {plain} after oops\nwrite written\n");
    assert_eq!(noted.0, expected);
    assert_eq!(reports.try_iter().collect::<Vec<_>>(), []);

    let failing: App = |_, _| Err(std::io::Error::other("its own").into());
    let failed = call(&watched(failing).0, |_| {}, &mut noted);
    assert_eq!(
        failed
            .map_err(|failure| failure.to_string())
            .err()
            .as_deref(),
        Some("its own")
    );
}

/// VALID-22: an answer keeps its Content-Length; a breach is a 500 and its text goes to the
/// server alone, with the clause in it.
#[test]
fn under_a_server() {
    let response = Client::new(Validator::new(good)).get("/");
    assert_eq!(response.header("Content-Length"), Some("4"));
    assert_eq!((response.code(), &*response.text()), (200, "good"));

    let app = Arc::new(Validator::new(saying("200 OK", &[])));
    let response = Client::new(app).get("/");
    assert_eq!(response.code(), 500);
    let failure = response.failure().expect("a failure").to_string();
    assert_eq!(failure, "VALID-14: no Content-Type");
    assert!(!response.text().contains("VALID"));
}

/// Every breach names its clause first, and then what it is about.
#[test]
fn messages() {
    let cases = [
        (Breach::MissingKey("K"), "VALID-2: the environ has no K"),
        (Breach::ForbiddenKey("K"), "VALID-3: the environ has K"),
        (
            Breach::NoQueryString,
            "VALID-4: the environ has no QUERY_STRING",
        ),
        (
            Breach::UrlScheme("x".into()),
            "VALID-6: wsgi.url_scheme is \"x\"",
        ),
        (
            Breach::Method("x".into()),
            "VALID-8: REQUEST_METHOD is \"x\"",
        ),
        (
            Breach::ScriptName("x".into()),
            "VALID-9: SCRIPT_NAME is \"x\"",
        ),
        (Breach::PathInfo("x".into()), "VALID-9: PATH_INFO is \"x\""),
        (
            Breach::NoPath,
            "VALID-9: the environ has no SCRIPT_NAME and no PATH_INFO",
        ),
        (
            Breach::ContentLength("x".into()),
            "VALID-10: CONTENT_LENGTH is \"x\"",
        ),
        (
            Breach::Status("x\n".into()),
            "VALID-12: status \"x\\n\" is not like \"200 OK\"",
        ),
        (
            Breach::StatusSpace("x".into()),
            "VALID-12: status \"x\" is not like \"200 OK\"",
        ),
        (Breach::StatusHeader, "VALID-13: a header is called Status"),
        (
            Breach::HeaderName("x".into()),
            "VALID-13: a header is called \"x\"",
        ),
        (
            Breach::HeaderValue("x".into()),
            "VALID-13: the value of \"x\" has a control character",
        ),
        (Breach::NoContentType, "VALID-14: no Content-Type"),
        (
            Breach::ContentType,
            "VALID-14: a Content-Type, but no content",
        ),
        (
            Breach::BlockBeforeStart,
            "VALID-18: a block came before start_response()",
        ),
        (
            Breach::ReadAfterClose,
            "VALID-18: a block was pulled after close()",
        ),
        (
            Breach::EndBeforeStart,
            "VALID-19: the body ended without start_response()",
        ),
        (
            Breach::NotClosed,
            "VALID-19: close() of the body was not called",
        ),
    ];
    for (breach, message) in cases {
        assert_eq!(breach.to_string(), message);
        assert!(
            message.starts_with(&format!("{}: ", breach.clause())),
            "{message}"
        );
    }
}
