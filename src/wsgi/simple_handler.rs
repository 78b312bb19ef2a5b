//! Runs an application for one request, without a server. Python's `SimpleHandler`.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::sync::Arc;

use super::answer::{self, Answer};
use super::application::Application;
use super::environ::{Environ, FALSE, FILE_WRAPPER, TRUE};
use super::start_response::{Head, Start, StartResponse};
use crate::http::h1::{self, Sink};
use crate::http::{BodySource, ResponseError};
use crate::reactor::Now;
use crate::socketserver::{Failure, HandlerResult};

/// Runs an application with three streams and an environ, whoever has made them; Python's
/// `SimpleHandler`, and with [`origin_server(false)`](Self::origin_server) its `BaseCGIHandler`.
///
/// The rules are those of [`WsgiHandler`](super::WsgiHandler); but each block is written before the
/// next one is asked for, what the application [writes](StartResponse::write) before that returns,
/// and the caller waits.
///
/// ```
/// use serve_forever::wsgi::{AppResult, Environ, SimpleHandler, StartResponse};
///
/// fn app(environ: &mut Environ<'_>, start_response: &mut dyn StartResponse) -> AppResult {
///     let path = environ.get("PATH_INFO").unwrap_or_default().into_owned();
///     start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
///     Ok(format!("You asked for {path}\n").into())
/// }
///
/// let environ = [("REQUEST_METHOD", "GET"), ("PATH_INFO", "/x")];
/// let mut stdout = Vec::new();
/// SimpleHandler::new(std::io::empty(), &mut stdout, std::io::stderr(), environ)
///     .origin_server(false)
///     .run(&app)?;
/// let expected = "Status: 200 OK\r\n\
///     Content-Type: text/plain\r\nContent-Length: 17\r\n\r\nYou asked for /x\n";
/// assert_eq!(String::from_utf8(stdout)?, expected);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SimpleHandler<R, W, E> {
    stdin: R,
    stderr: E,
    environ: BTreeMap<String, String>,
    output: Output<W>,
    error_output: Option<Arc<dyn Application>>,
}

impl<R: BufRead, W: Write, E: Write> SimpleHandler<R, W, E> {
    /// A handler for one request.
    ///
    /// The environ has the variables of the request. `wsgi.input` is as much of `stdin` as
    /// `CONTENT_LENGTH` says, nothing without one (WSGI-27); `wsgi.errors` is `stderr`, where
    /// failures are written, too. `wsgi.multithread` is true, `wsgi.multiprocess` and
    /// `wsgi.run_once` are false (ENV-19), unless the environ has them.
    pub fn new<K, V>(
        stdin: R,
        stdout: W,
        stderr: E,
        environ: impl IntoIterator<Item = (K, V)>,
    ) -> SimpleHandler<R, W, E>
    where
        K: Into<String>,
        V: Into<String>,
    {
        let variables = environ.into_iter();
        SimpleHandler {
            stdin,
            stderr,
            environ: variables
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
            output: Output::new(stdout),
            error_output: None,
        }
    }

    /// Whether several threads may call the application at once.
    #[must_use]
    pub fn multithread(self, multithread: bool) -> Self {
        self.flag("wsgi.multithread", multithread)
    }

    /// Whether several processes may call the application at once.
    #[must_use]
    pub fn multiprocess(self, multiprocess: bool) -> Self {
        self.flag("wsgi.multiprocess", multiprocess)
    }

    /// Whether the application is called for this one request only.
    #[must_use]
    pub fn run_once(self, run_once: bool) -> Self {
        self.flag("wsgi.run_once", run_once)
    }

    /// Whether a client reads what is written: the answer begins with a status line of HTTP/1.0
    /// and has a `Date`. If not, a web server reads it: there is a `Status` field, as in CGI, and
    /// the web server adds the rest (WSGI-29).
    #[must_use]
    pub fn origin_server(mut self, origin_server: bool) -> Self {
        self.output.origin_server = origin_server;
        self
    }

    /// What an origin server calls itself: the `Server` field, and `SERVER_SOFTWARE` unless the
    /// environ has it (ENV-22). Nothing by default.
    ///
    /// # Errors
    ///
    /// If it holds a control character.
    pub fn server_software(mut self, name: &str) -> Result<Self, h1::EncodeError> {
        h1::field(&mut Vec::new(), "Server", name.as_bytes())?;
        self.output.server_software = Some(name.to_owned());
        Ok(self)
    }

    /// Answers with `application` in the place of one that has failed before its head was written;
    /// by default a 500 that tells nothing (WSGI-19, WSGI-25).
    #[must_use]
    pub fn error_output(mut self, application: impl Application + 'static) -> Self {
        self.error_output = Some(Arc::new(application));
        self
    }

    /// Calls the application and writes its answer.
    ///
    /// An application that fails is answered for with 500, or, once its head is written, breaks
    /// off; either is written to `stderr` and is no error here (WSGI-19). Nor is it one if the
    /// reader of the answer is gone (WSGI-20).
    ///
    /// # Errors
    ///
    /// If `stdout` fails otherwise, or the [`error_output`](Self::error_output) does;
    /// [`Failure::Stop`] if the application did.
    pub fn run(mut self, application: &(impl Application + ?Sized)) -> HandlerResult {
        self.output.head_only = self.variable("REQUEST_METHOD") == "HEAD";
        let protocol = self.variable("SERVER_PROTOCOL");
        self.output.body_only = protocol.eq_ignore_ascii_case("HTTP/0.9");
        let written = match self.call(application) {
            Ok((head, answer)) => self.finish_response(&head, answer),
            Err(failure) => self.fail(failure),
        };
        let written = match (self.output.failure.take(), written) {
            // Whatever the application made of it.
            (Some(error), Ok(()) | Err(Failure::Request(_))) => Err(error.into()),
            (_, written) => written,
        };
        match written {
            Err(Failure::Request(error)) if is_gone(&*error) => Ok(()),
            written => written,
        }
    }

    fn flag(mut self, key: &str, value: bool) -> Self {
        let value = if value { TRUE } else { FALSE };
        self.environ.insert(key.to_owned(), value.to_owned());
        self
    }

    fn call(
        &mut self,
        application: &(impl Application + ?Sized),
    ) -> Result<(Head, Answer), Failure> {
        let length = self.variable("CONTENT_LENGTH").parse().unwrap_or(0);
        let defaults = [
            ("wsgi.multithread", TRUE),
            ("wsgi.file_wrapper", FILE_WRAPPER),
        ];
        let mut environ: Environ<'_> = defaults.into_iter().collect();
        if let (true, Some(software)) = (self.output.origin_server, &self.output.server_software) {
            environ.insert("SERVER_SOFTWARE", software);
        }
        for (key, value) in &self.environ {
            environ.insert(key, value);
        }
        environ.set_input(self.stdin.by_ref().take(length));
        environ.set_errors(&mut self.stderr);
        let output = &mut self.output;
        answer::run_with(|start| application.call(&mut environ, &mut Writing { start, output }))
    }

    /// Writes the answer and closes the result. What is wrong is logged.
    fn finish_response(&mut self, head: &Head, mut answer: Answer) -> HandlerResult {
        let written = self.write_answer(head, &mut answer);
        let closed = answer.close().or_else(|failure| self.log(failure));
        written.and(closed)
    }

    /// Writes the head with the first block, then the others.
    fn write_answer(&mut self, head: &Head, answer: &mut Answer) -> HandlerResult {
        let whole = answer.whole().map(|whole| whole.len() as u64);
        if self.output.is_without_content(head) {
            self.output.write(head, whole, b"")?;
            return answer.consume().or_else(|failure| self.log(failure));
        }
        loop {
            match answer.next_block() {
                Ok(Some(block)) => match self.output.write(head, whole, &block)? {
                    Room::Left => {}
                    Room::Filled => return Ok(()),
                    Room::Exceeded => return self.log(ResponseError::TooLong.into()),
                },
                Ok(None) => break,
                Err(failure) => return self.log(failure),
            }
        }
        match self.output.write(head, whole, b"")? {
            Room::Left if self.output.left().is_some() => self.log(ResponseError::TooShort.into()),
            _ => Ok(()),
        }
    }

    /// Answers in the place of an application that failed before its head was written.
    fn fail(&mut self, failure: Failure) -> HandlerResult {
        let logged = match (&self.output.failure, failure) {
            (Some(_), Failure::Request(_)) => Ok(()), // it is not the application that failed
            (_, failure) => self.log(failure),
        };
        if self.output.has_begun() {
            return logged;
        }
        let answered = match self.error_output.clone() {
            Some(application) => self.call(&application),
            None => self.call(&answer::error_output),
        };
        let written = answered.and_then(|(head, answer)| self.finish_response(&head, answer));
        logged.and(written)
    }

    fn variable(&self, key: &str) -> &str {
        self.environ.get(key).map_or("", String::as_str)
    }

    /// Says what failed; a stop is handed on.
    fn log(&mut self, failure: Failure) -> HandlerResult {
        let Failure::Request(error) = failure else {
            return Err(Failure::Stop);
        };
        // A web server's log has lines, and the text may be the client's.
        let text = error.to_string();
        // Nobody is left to be told of a log that fails.
        let _ = writeln!(self.stderr, "application failed: {}", text.escape_debug());
        Ok(())
    }
}

/// The answer on its way out.
struct Output<W> {
    stdout: W,
    origin_server: bool,
    server_software: Option<String>,
    /// The client wants no body.
    head_only: bool,
    /// The client knows no head (WSGI-16).
    body_only: bool,
    stage: Stage,
    /// Why `stdout` takes no more.
    failure: Option<io::Error>,
}

/// How far the answer has come.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Unsent,
    /// The head is written; what is left of the body, if its length is known.
    Begun(Option<u64>),
}

/// What is left of the length of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    /// Some, or the length is not known.
    Left,
    Filled,
    /// There was less than was to be written.
    Exceeded,
}

impl<W: Write> Output<W> {
    fn new(stdout: W) -> Output<W> {
        Output {
            stdout,
            origin_server: true,
            server_software: None,
            head_only: false,
            body_only: false,
            stage: Stage::Unsent,
            failure: None,
        }
    }

    fn has_begun(&self) -> bool {
        matches!(self.stage, Stage::Begun(_))
    }

    /// What is left of the body, if its length is known.
    fn left(&self) -> Option<u64> {
        match self.stage {
            Stage::Unsent => None,
            Stage::Begun(left) => left,
        }
    }

    fn is_without_content(&self, head: &Head) -> bool {
        self.head_only || !head.has_content()
    }

    /// Writes as much of `block` as there is room for, the head before the first one, in as many
    /// pieces as it takes (WSGI-23), and sees to it that they leave (WSGI-10). The length is that
    /// of the application, or `whole`.
    fn write(&mut self, head: &Head, whole: Option<u64>, block: &[u8]) -> io::Result<Room> {
        let mut bytes = Vec::new();
        if !self.has_begun() {
            let length = head.content_length().or(whole);
            self.put_head(&mut bytes, head, length);
            self.stage = Stage::Begun(length);
        }
        if self.is_without_content(head) {
            self.send(&bytes)?;
            return Ok(Room::Left);
        }
        let left = self.left();
        let room = left.map_or(usize::MAX, |left| {
            usize::try_from(left).unwrap_or(usize::MAX)
        });
        let (block, excess) = block.split_at(block.len().min(room));
        let left = left.map(|left| left - block.len() as u64);
        self.stage = Stage::Begun(left);
        bytes.put(block);
        self.send(&bytes)?;
        Ok(match (excess, left) {
            ([], Some(0)) => Room::Filled,
            ([], _) => Room::Left,
            _ => Room::Exceeded,
        })
    }

    /// Sends all of `bytes`, unless something before them was lost.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(error) = &self.failure {
            return Err(error.kind().into());
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let sent = self.stdout.write_all(bytes);
        sent.and_then(|()| self.stdout.flush()).map_err(|error| {
            let kind = error.kind();
            self.failure = Some(error);
            kind.into()
        })
    }

    /// The head in Python's order (WSGI-15); nothing for a client that knows none (WSGI-16).
    fn put_head(&self, output: &mut Vec<u8>, head: &Head, length: Option<u64>) {
        let status = format!("{} {}", head.code, head.reason);
        if self.origin_server {
            if self.body_only {
                return;
            }
            put_line(output, "HTTP/1.0 ", status.as_bytes());
            if !head.sets("Date") {
                put_line(output, "Date: ", Now::new().date());
            }
            if let (false, Some(software)) = (head.sets("Server"), &self.server_software) {
                put_line(output, "Server: ", software.as_bytes());
            }
        } else {
            put_line(output, "Status: ", status.as_bytes());
        }
        for (name, value) in &head.headers {
            if !name.eq_ignore_ascii_case("Content-Length") {
                put_line(output, &format!("{name}: "), value);
            }
        }
        match (head.code, length) {
            // Nothing else says that 205 has no content (RFC 9110 §15.3.6).
            (205, _) => h1::content_length(output, 0),
            (204 | 304, _) | (_, None) => {}
            (_, Some(length)) => h1::content_length(output, length),
        }
        h1::end_of_fields(output);
    }
}

/// The application's `start_response`: what it writes leaves at once (WSGI-10).
struct Writing<'a, W> {
    start: &'a mut Start,
    output: &'a mut Output<W>,
}

impl<W: Write> StartResponse for Writing<'_, W> {
    fn call(&mut self, status: &str, headers: &[(&str, &str)]) -> HandlerResult {
        self.start.call(status, headers)
    }

    fn call_with_exc_info(
        &mut self,
        status: &str,
        headers: &[(&str, &str)],
        exc_info: Failure,
    ) -> HandlerResult {
        self.start.call_with_exc_info(status, headers, exc_info)
    }

    fn write(&mut self, bytes: &[u8]) -> HandlerResult {
        // The head counts as sent, and is.
        self.start.write(b"")?;
        let Some(head) = self.start.head() else {
            return Ok(());
        };
        match self.output.write(head, None, bytes) {
            Ok(Room::Exceeded) => Err(ResponseError::TooLong.into()),
            Ok(Room::Left | Room::Filled) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// A line of the head. What applications say was checked when they said it.
fn put_line(output: &mut Vec<u8>, begin: &str, rest: &[u8]) {
    output.put(begin.as_bytes());
    output.put(rest);
    output.put(b"\r\n");
}

/// Whether who should read the answer is gone (WSGI-20).
fn is_gone(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| {
        matches!(
            error.kind(),
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted
        )
    })
}

impl<R, W, E> fmt::Debug for SimpleHandler<R, W, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimpleHandler")
            .field("environ", &self.environ)
            .field("origin_server", &self.output.origin_server)
            .finish_non_exhaustive()
    }
}
