//! Bodies of requests that are too large for memory: `WsgiHandler::spool_input` (WSGI-30).
#![cfg(all(feature = "server", unix))]

mod support;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use serve_forever::http::HttpSettings;
use serve_forever::socketserver::Pool;
use serve_forever::wsgi::{AppResult, Application, Environ, WsgiHandler};
use support::wire::Wire;
use support::wsgi::{Starter, request, serve_with};

/// More than this many bytes go to a file.
const MEMORY: usize = 1000;

/// Counts the files that were made.
#[derive(Clone, Default)]
struct Files(Arc<AtomicUsize>);

impl Files {
    /// Makes a file that has no name.
    fn open(&self) -> io::Result<File> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        self.0.fetch_add(1, SeqCst);
        let (id, number) = (process::id(), NUMBER.fetch_add(1, SeqCst));
        let path = std::env::temp_dir().join(format!("spool-{id}-{number}"));
        let mut options = File::options();
        let file = options
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)?;
        fs::remove_file(path)?;
        Ok(file)
    }

    fn count(&self) -> usize {
        self.0.load(SeqCst)
    }
}

/// Responds with what the environ says about the body, and with the sum of its bytes.
fn summary(environ: &mut Environ<'_>, start_response: Starter<'_>) -> AppResult {
    let variable = |key| environ.get(key).unwrap_or("-".into()).into_owned();
    let keys = ["CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"];
    let keys = keys.map(variable).join(" ");
    let mut body = Vec::new();
    environ.input().read_to_end(&mut body)?;
    let sum: u64 = body.iter().map(|byte| u64::from(*byte)).sum();
    start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
    Ok(format!("{keys}: {} bytes, {sum}", body.len()).into())
}

fn handler<A: Application + 'static>(app: A, files: &Files) -> WsgiHandler<A> {
    let files = files.clone();
    WsgiHandler::new(app, None).spool_input(MEMORY, move || files.open())
}

/// Returns `length` bytes, and their sum.
fn content(length: usize) -> (Vec<u8>, u64) {
    let bytes: Vec<u8> = (b'a'..=b'z').cycle().take(length).collect();
    let sum = bytes.iter().map(|byte| u64::from(*byte)).sum();
    (bytes, sum)
}

/// Returns a request whose body is `bytes`, in chunks if `chunk` says how large.
fn put(bytes: &[u8], chunk: Option<usize>) -> Vec<u8> {
    let Some(chunk) = chunk else {
        let head = request(
            "PUT",
            "/",
            &format!("Content-Length: {}\r\n", bytes.len()),
            "",
        );
        return [head.as_bytes(), bytes].concat();
    };
    let mut request = request("PUT", "/", "Transfer-Encoding: chunked\r\n", "").into_bytes();
    for chunk in bytes.chunks(chunk) {
        request.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        request.extend_from_slice(chunk);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    request
}

/// Returns the last line of the response to the `pieces` of a request.
fn answer<'a>(files: &Files, pieces: impl Iterator<Item = &'a [u8]>) -> String {
    let mut wire = Wire::new(handler(summary, files));
    pieces.for_each(|piece| wire.receive(piece));
    let sent = String::from_utf8_lossy(&wire.sent).into_owned();
    assert!(sent.starts_with("HTTP/1.1 200 OK\r\n"), "{sent}");
    sent.rsplit("\r\n").next().unwrap_or_default().to_owned()
}

/// WSGI-30, ENV-11: the application sees the same body, wherever it was kept; whole, in pieces and byte by byte.
#[test]
fn the_body_is_the_same_wherever_it_was() {
    let cases = [
        (0, None, 0),
        (MEMORY, None, 0),
        (MEMORY + 1, None, 1),
        (5 * MEMORY, None, 1),
        (0, Some(7), 0),
        (MEMORY, Some(70), 0),
        (MEMORY + 1, Some(70), 1),
        (70 * 1024, Some(10 * 1024), 1),
    ];
    for (length, chunk, expected_files) in cases {
        let (bytes, sum) = content(length);
        let expected = format!("{length} -: {length} bytes, {sum}");
        let request = put(&bytes, chunk);
        for size in [request.len(), 4096, 1] {
            let files = Files::default();
            let found = answer(&files, request.chunks(size));
            assert_eq!(found, expected, "{length}, {chunk:?}, by {size}");
            // What arrives together with its head is whole then, unless chunks are to be decoded.
            let is_whole = size >= request.len() && chunk.is_none();
            let expected = if is_whole { 0 } else { expected_files };
            assert_eq!(files.count(), expected, "{length}, {chunk:?}, by {size}");
        }
    }
}

/// A request without a body needs no spool.
#[test]
fn no_body() {
    let files = Files::default();
    let found = answer(&files, [request("GET", "/", "", "").as_bytes()].into_iter());
    assert_eq!(found, " -: 0 bytes, 0");
    assert_eq!(files.count(), 0);
}

/// The next request of the connection is served after the body.
#[test]
fn keep_alive() {
    let files = Files::default();
    let mut wire = Wire::new(handler(summary, &files));
    let (bytes, _) = content(2 * MEMORY);
    for _ in 0..3 {
        let head = format!(
            "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
            bytes.len()
        );
        wire.receive(head);
        wire.receive(&bytes);
    }
    let sent = String::from_utf8_lossy(&wire.sent).into_owned();
    assert_eq!(sent.matches("2000 -: 2000 bytes").count(), 3, "{sent}");
    assert_eq!(files.count(), 3);
}

/// A body that is larger than an upload may be gets a 413 before any of it is read.
#[test]
fn the_limit_is_that_of_uploads() {
    let files = Files::default();
    let mut settings = HttpSettings::default();
    settings.limits.upload = 5000;
    let mut wire = Wire::with(settings, handler(summary, &files));
    wire.receive(request("PUT", "/", "Content-Length: 5001\r\n", ""));
    let sent = String::from_utf8_lossy(&wire.sent).into_owned();
    assert!(sent.starts_with("HTTP/1.1 413 "), "{sent}");
    assert_eq!(files.count(), 0);
}

/// WSGI-30: if no file can be made, the client gets a 500, and the application is not called.
#[test]
fn no_file() {
    let app = |_: &mut Environ<'_>, _: Starter<'_>| -> AppResult { panic!("it was called") };
    let handler = WsgiHandler::new(app, None)
        .spool_input(MEMORY, || Err(io::Error::other("the disk is full")));
    let mut wire = Wire::new(handler);
    wire.receive(request("PUT", "/", "Content-Length: 5000\r\n", ""));
    wire.receive([b'x'; 2000]);
    let sent = String::from_utf8_lossy(&wire.sent).into_owned();
    assert!(sent.starts_with("HTTP/1.1 500 "), "{sent}");
}

/// If the client leaves in the middle, the application is not called.
#[test]
fn the_client_leaves() {
    let files = Files::default();
    let app = |_: &mut Environ<'_>, _: Starter<'_>| -> AppResult { panic!("it was called") };
    let mut wire = Wire::new(handler(app, &files));
    wire.receive(request("PUT", "/", "Content-Length: 5000\r\n", ""));
    wire.receive([b'x'; 2000]);
    wire.connection_lost();
    assert_eq!((files.count(), wire.sent.len()), (1, 0));
}

/// The body can be taken, and read after the call.
#[test]
fn the_input_can_be_taken() {
    let app = |environ: &mut Environ<'_>, start_response: Starter<'_>| {
        start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
        let mut input = environ.take_input().expect("it was not replaced");
        assert_eq!(environ.input().read(&mut [0])?, 0);
        let mut body = String::new();
        input.read_to_string(&mut body)?;
        Ok(body.into())
    };
    let files = Files::default();
    let mut wire = Wire::new(handler(app, &files));
    wire.receive(request("PUT", "/", "Content-Length: 2000\r\n", ""));
    wire.receive([b'x'; 2000]);
    assert!(wire.sent.ends_with(&[b'x'; 2000]));
}

/// On workers the loop receives the body, and a worker calls the application. A client that waits to
/// be asked for the body is asked.
#[test]
fn on_workers() {
    let files = Files::default();
    let own = files.clone();
    let server = serve_with(summary, move |handler| {
        let handler = handler.spool_input(MEMORY, move || own.open());
        handler.workers(Pool::new().threads(1))
    });
    let (bytes, sum) = content(3_000_000);
    let fields = "Expect: 100-continue\r\nContent-Length: 3000000\r\n";
    let mut stream = server.connect();
    let head = request("PUT", "/", fields, "");
    stream.write_all(head.as_bytes()).expect("sent");
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).expect("an interim response");
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(&bytes).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an end");
    let expected = format!("3000000 -: 3000000 bytes, {sum}");
    assert!(answer.ends_with(&expected), "{answer}");
    assert_eq!(server.get("/").text(), " -: 0 bytes, 0");
    assert_eq!(files.count(), 1);
}
