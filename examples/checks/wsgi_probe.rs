//! The application that `tests/against_cpython.py` uses to compare this server with CPython's.
//!
//! The same application in Python, and the meaning of its paths, is in
//! `tests/against_cpython/wsgi.py`.
//!
//!     cargo run --release --example wsgi_probe -- 127.0.0.1:8000
//!
//! From another terminal:
//!
//!     curl -i 'http://127.0.0.1:8000/environ?a=b'
//!
//! Ctrl-C stops it.

use std::error::Error;
use std::io::{self, BufRead, Read};
use std::sync::atomic::{AtomicUsize, Ordering};

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use serve_forever::http::Block;
use serve_forever::socketserver::{Failure, HandlerResult};
use serve_forever::wsgi::{
    AppResult, Body, Environ, FileWrapper, Iterable, StartResponse, make_server,
};

const TYPE: (&str, &str) = ("Content-Type", "text/plain");
const PLAIN: &[(&str, &str)] = &[TYPE];

type Starter<'a> = &'a mut dyn StartResponse;

/// How often `close()` was called.
static CLOSED: AtomicUsize = AtomicUsize::new(0);

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1);
    let address = address.unwrap_or_else(|| "127.0.0.1:8000".to_owned());
    let mut server = make_server(address, application)?;
    server.shutdown_on_signals()?;
    println!("Serving on http://{}/", server.server_address());
    Ok(server.serve_forever()?)
}

fn application(environ: &mut Environ, start_response: Starter) -> AppResult {
    let variable = |key| environ.get(key).unwrap_or_default().into_owned();
    let (path, query) = (variable("PATH_INFO"), variable("QUERY_STRING"));
    let query: String = percent_decode_str(&query).map(char::from).collect();
    let (left, right) = query.split_once('=').unwrap_or((&query, ""));
    let mut start =
        |status, more: &[(&str, &str)]| start_response.call(status, &[PLAIN, more].concat());
    match &*path {
        path if path.starts_with("/environ") => {
            let variables = variables(environ);
            let fields = variables.iter().map(|(key, value)| (&**key, &**value));
            start("200 OK", &fields.collect::<Vec<_>>())?;
            Ok("".into())
        }
        "/status" => {
            start(&query, &[])?;
            Ok("body".into())
        }
        "/bare" => {
            start_response.call(&query, &[])?;
            Ok("body".into())
        }
        "/header" => {
            start("200 OK", &[(left, right)])?;
            Ok("body".into())
        }
        "/echo" | "/all" | "/unread" | "/lines" => reads(&path, environ, start_response),
        "/wrong" => wrong(&query, start_response),
        _ => sends(&path, &query, start_response),
    }
}

/// The paths whose application reads the body of the request, or does not.
fn reads(path: &str, environ: &mut Environ, start_response: Starter) -> AppResult {
    let mut start = || start_response.call("200 OK", PLAIN);
    match path {
        "/unread" => {
            start()?;
            Ok("unread".into())
        }
        "/lines" => {
            let lines: io::Result<Vec<String>> = environ.input().lines().collect();
            start()?;
            Ok(lines?.join("|").into())
        }
        _ => {
            start()?;
            let mut content = Vec::new();
            environ.input().read_to_end(&mut content)?;
            Ok(content.into())
        }
    }
}

/// The paths whose application sends a body of some kind.
fn sends(path: &str, query: &str, start_response: Starter) -> AppResult {
    let (left, right) = query.split_once('=').unwrap_or((query, ""));
    let status = match path {
        "/list" | "/none" | "/blocks" | "/length" | "/write" | "/closing" | "/closed" | "/file" => {
            "200 OK"
        }
        _ => "404 Not Found",
    };
    let length = [TYPE, ("Content-Length", left)];
    let fields = match path {
        "/length" => &length[..],
        "/file" if !query.is_empty() => &length[..],
        _ => PLAIN,
    };
    start_response.call(status, fields)?;
    Ok(match path {
        "/list" => Body::blocks(blocks(query)),
        "/none" => Body::blocks(Vec::<Vec<u8>>::new()),
        "/blocks" => Body::from_iterable(Generator(blocks(query).into_iter())),
        "/length" => Body::from_iterable(Generator(blocks(right).into_iter())),
        "/write" => {
            for block in blocks(left) {
                start_response.write(&block)?;
            }
            Body::blocks(blocks(right))
        }
        "/closing" => Body::from_iterable(Closing(blocks(query).into_iter())),
        "/closed" => CLOSED.swap(0, Ordering::SeqCst).to_string().into(),
        "/file" => FileWrapper::new(io::repeat(b'f').take(20_000)).into(),
        _ => "not found".into(),
    })
}

/// The parts of `text` between commas.
fn blocks(text: &str) -> Vec<Vec<u8>> {
    let blocks = text.split(',');
    blocks
        .map(|block| block.chars().map(|character| character as u8).collect())
        .collect()
}

/// Sends every variable as a header field, so that each difference has a name.
fn variables(environ: &Environ) -> Vec<(String, String)> {
    let variables = environ.iter().map(|(key, value)| {
        let value = match &*key {
            "SERVER_PORT" if value.parse::<u16>().is_ok() => "a port".to_owned(),
            "wsgi.input" | "wsgi.errors" | "wsgi.file_wrapper" => "there".to_owned(),
            _ => value,
        };
        let bytes: Vec<u8> = value.chars().map(|character| character as u8).collect();
        (format!("X-{key}"), format!("={}", quote(&bytes)))
    });
    variables.collect()
}

/// Python's `quote(…, safe="")`.
fn quote(bytes: &[u8]) -> String {
    const SET: &percent_encoding::AsciiSet = &NON_ALPHANUMERIC
        .remove(b'_')
        .remove(b'.')
        .remove(b'-')
        .remove(b'~');
    percent_encode(bytes, SET).to_string()
}

/// An iterable whose length is not known.
struct Generator(std::vec::IntoIter<Vec<u8>>);

impl Iterable for Generator {
    fn next_block(&mut self, _: Starter) -> Result<Option<Block>, Failure> {
        Ok(self.0.next().map(Block::from))
    }
}

/// A body that counts calls of `close()`, and fails at an exclamation mark.
struct Closing(std::vec::IntoIter<Vec<u8>>);

impl Iterable for Closing {
    fn next_block(&mut self, _: Starter) -> Result<Option<Block>, Failure> {
        match self.0.next() {
            Some(block) if block == b"!" => Err(scripted()),
            block => Ok(block.map(Block::from)),
        }
    }

    fn close(&mut self) -> HandlerResult {
        CLOSED.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

fn scripted() -> Failure {
    io::Error::other("scripted").into()
}

/// An application that breaks the rules.
fn wrong(what: &str, start_response: Starter) -> AppResult {
    match what {
        "raises" => Err(scripted()),
        "exits" => panic!("scripted"),
        "starts, raises" => {
            start_response.call("200 OK", PLAIN)?;
            Err(scripted())
        }
        "no start" => Ok("body".into()),
        "no start, no block" => Ok(Body::blocks(Vec::<Vec<u8>>::new())),
        "starts late" | "starts too late" | "replaces too late" => {
            if what == "replaces too late" {
                start_response.call("200 OK", PLAIN)?;
            }
            Ok(Body::from_iterable(Late {
                kind: what.to_owned(),
                blocks: 0,
            }))
        }
        "starts twice" => {
            start_response.call("200 OK", PLAIN)?;
            start_response.call("200 OK", PLAIN)?;
            Ok("body".into())
        }
        "starts again" => {
            // Like Python's application, go on after the first call has failed.
            let _refused = start_response.call("nonsense", PLAIN);
            start_response.call("200 OK", PLAIN)?;
            Ok("body".into())
        }
        "replaces" => {
            start_response.call("200 OK", &[TYPE, ("X-First", "1")])?;
            let fields = &[TYPE, ("X-Second", "2")];
            start_response.call_with_exc_info("503 Sorry", fields, scripted())?;
            Ok("sorry".into())
        }
        "replaces after write" => {
            start_response.call("200 OK", PLAIN)?;
            start_response.write(b"written")?;
            start_response.call_with_exc_info("503 Sorry", PLAIN, scripted())?;
            Ok("sorry".into())
        }
        "lengths" => {
            let length = ("Content-Length", "4");
            start_response.call("200 OK", &[TYPE, length, length])?;
            Ok("body".into())
        }
        "own date" => {
            start_response.call("200 OK", &[TYPE, ("dAte", "now"), ("sErver", "mine")])?;
            Ok("body".into())
        }
        _ => {
            start_response.call("404 Not Found", PLAIN)?;
            Ok("not found".into())
        }
    }
}

/// A body whose blocks call `start_response`.
struct Late {
    kind: String,
    blocks: u8,
}

impl Iterable for Late {
    fn next_block(&mut self, start_response: Starter) -> Result<Option<Block>, Failure> {
        self.blocks += 1;
        let block: &'static [u8] = match (&*self.kind, self.blocks) {
            ("starts late", 1) => {
                start_response.call("202 Late", PLAIN)?;
                b"late"
            }
            ("starts too late", 1) => b"body",
            ("starts too late", 2) => {
                start_response.call("202 Late", PLAIN)?;
                return Ok(None);
            }
            ("replaces too late", 1) => b"sent",
            ("replaces too late", 2) => {
                start_response.call_with_exc_info("503 Sorry", PLAIN, scripted())?;
                b"sorry"
            }
            _ => return Ok(None),
        };
        Ok(Some(block.into()))
    }
}
