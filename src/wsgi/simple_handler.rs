//! Runs an application for one request, without a server. Python's `SimpleHandler`.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::sync::Arc;

use super::answer::{self, Answer};
use super::environ::{FALSE, FILE_WRAPPER, TRUE};
use super::start_response::Head;
use super::{Application, Environ};
use crate::http::ResponseError;
use crate::http::h1::{self, Sink};
use crate::reactor::Now;
use crate::socketserver::{Failure, HandlerResult};

/// Runs an application with three streams and an environ, whoever has made them; Python's
/// `SimpleHandler`, and with [`origin_server(false)`](Self::origin_server) its `BaseCGIHandler`.
///
/// The rules are those of [`WsgiHandler`](super::WsgiHandler); but each block is written before the
/// next one is asked for, and the caller waits.
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
    stdout: W,
    stderr: E,
    environ: BTreeMap<String, String>,
    origin_server: bool,
    server_software: Option<String>,
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
            stdout,
            stderr,
            environ: variables
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
            origin_server: true,
            server_software: None,
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
        self.origin_server = origin_server;
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
        self.server_software = Some(name.to_owned());
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
        let written = match self.call(application) {
            Ok((head, answer)) => self.finish_response(&head, answer),
            Err(failure) => self.fail(failure),
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
        if let (true, Some(software)) = (self.origin_server, &self.server_software) {
            environ.insert("SERVER_SOFTWARE", software);
        }
        for (key, value) in &self.environ {
            environ.insert(key, value);
        }
        environ.set_input(self.stdin.by_ref().take(length));
        environ.set_errors(&mut self.stderr);
        answer::run(application, &mut environ)
    }

    /// Writes the head with the first block, then the others. What is wrong is logged.
    fn finish_response(&mut self, head: &Head, mut answer: Answer) -> HandlerResult {
        let whole = answer.whole().map(|whole| whole.len() as u64);
        let mut left = head.content_length().or(whole);
        let mut output = self.head(head, left);
        if self.head_only() || !head.has_content() {
            self.write(&output)?;
            return answer.consume().or_else(|failure| self.log(failure));
        }
        loop {
            let block = match answer.next_block() {
                Ok(Some(block)) => block,
                Ok(None) => break,
                Err(failure) => return self.log(failure),
            };
            let room = left.map_or(usize::MAX, |left| {
                usize::try_from(left).unwrap_or(usize::MAX)
            });
            let (block, excess) = block.split_at(block.len().min(room));
            output.put(block);
            self.write(&output)?;
            output.clear();
            left = left.map(|left| left - block.len() as u64);
            if !excess.is_empty() {
                return self.log(ResponseError::TooLong.into());
            }
            if left == Some(0) {
                return Ok(());
            }
        }
        if !output.is_empty() {
            self.write(&output)?;
        }
        match left {
            None | Some(0) => Ok(()),
            Some(_) => self.log(ResponseError::TooShort.into()),
        }
    }

    /// Answers in the place of an application that failed before its head was written.
    fn fail(&mut self, failure: Failure) -> HandlerResult {
        let logged = self.log(failure);
        let answered = match self.error_output.clone() {
            Some(application) => self.call(&application),
            None => self.call(&answer::error_output),
        };
        let written = answered.and_then(|(head, answer)| self.finish_response(&head, answer));
        logged.and(written)
    }

    /// The head in Python's order (WSGI-15); empty for a client that knows none (WSGI-16).
    fn head(&self, head: &Head, length: Option<u64>) -> Vec<u8> {
        let mut output = Vec::new();
        let status = format!("{} {}", head.code, head.reason);
        if self.origin_server {
            if self
                .variable("SERVER_PROTOCOL")
                .eq_ignore_ascii_case("HTTP/0.9")
            {
                return output;
            }
            put_line(&mut output, "HTTP/1.0 ", status.as_bytes());
            if !head.sets("Date") {
                put_line(&mut output, "Date: ", Now::new().date());
            }
            if let (false, Some(software)) = (head.sets("Server"), &self.server_software) {
                put_line(&mut output, "Server: ", software.as_bytes());
            }
        } else {
            put_line(&mut output, "Status: ", status.as_bytes());
        }
        for (name, value) in &head.headers {
            if !name.eq_ignore_ascii_case("Content-Length") {
                put_line(&mut output, &format!("{name}: "), value);
            }
        }
        match (head.code, length) {
            // Nothing else says that 205 has no content (RFC 9110 §15.3.6).
            (205, _) => h1::content_length(&mut output, 0),
            (204 | 304, _) | (_, None) => {}
            (_, Some(length)) => h1::content_length(&mut output, length),
        }
        h1::end_of_fields(&mut output);
        output
    }

    /// Whether the client wants no body.
    fn head_only(&self) -> bool {
        self.variable("REQUEST_METHOD") == "HEAD"
    }

    fn variable(&self, key: &str) -> &str {
        self.environ.get(key).map_or("", String::as_str)
    }

    /// Writes all of `bytes`, in as many pieces as it takes (WSGI-23), and sees to it that they
    /// leave (WSGI-10).
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stdout.write_all(bytes)?;
        self.stdout.flush()
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
            .field("origin_server", &self.origin_server)
            .finish_non_exhaustive()
    }
}
