//! Runs an application for one request, without a server. Python's `SimpleHandler`.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::sync::Arc;

use super::application::Application;
use super::base_environ::{FILE_WRAPPER, python_bool};
use super::environ::Environ;
use super::output::{Output, error_output};
use super::response_writer::{Form, ResponseWriter, Room};
use crate::http::{BodySource, ResponseError, h1};
use crate::socketserver::{Failure, HandlerResult};

/// Runs an application for one request, on three streams and an environ that you supply. Python's
/// `SimpleHandler`.
///
/// With [`origin_server(false)`](Self::origin_server) it is Python's `BaseCGIHandler`. The rules
/// are those of [`WsgiHandler`](super::WsgiHandler), but the caller waits. Each block is written
/// before the next one is pulled, and [`write`](super::StartResponse::write) returns when its bytes
/// are written.
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
    /// The body of the request.
    stdin: R,
    /// `wsgi.errors`, and where failures are written.
    stderr: E,
    /// The variables of the request.
    environ: BTreeMap<String, String>,
    /// Writes the response to `stdout`.
    writer: ResponseWriter<W>,
    /// Responds in the place of an application that failed.
    error_output: Arc<dyn Application>,
}

impl<R: BufRead, W: Write + Send, E: Write> SimpleHandler<R, W, E> {
    /// Returns a handler for the request whose variables are in `environ`.
    ///
    /// `wsgi.input` reads `CONTENT_LENGTH` bytes from `stdin`, or nothing if there is no such
    /// variable ([WSGI-27]). `wsgi.errors` is `stderr`, where failures are written as well. Unless
    /// `environ` has them, `wsgi.multithread` is true, and `wsgi.multiprocess` and `wsgi.run_once`
    /// are false ([ENV-19]).
    ///
    /// [ENV-19]: crate::spec#env-19
    /// [WSGI-27]: crate::spec#wsgi-27
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
            writer: ResponseWriter::new(stdout),
            error_output: Arc::new(error_output),
        }
    }

    /// Sets `wsgi.multithread`: whether several threads may call the application simultaneously.
    #[must_use]
    pub fn multithread(self, multithread: bool) -> Self {
        self.flag("wsgi.multithread", multithread)
    }

    /// Sets `wsgi.multiprocess`: whether several processes may call the application simultaneously.
    #[must_use]
    pub fn multiprocess(self, multiprocess: bool) -> Self {
        self.flag("wsgi.multiprocess", multiprocess)
    }

    /// Sets `wsgi.run_once`: whether the application is called for this one request only.
    #[must_use]
    pub fn run_once(self, run_once: bool) -> Self {
        self.flag("wsgi.run_once", run_once)
    }

    /// Sets who reads the response. By default (true) it is an HTTP client: the response begins
    /// with a status line of HTTP/1.0 and has a `Date`.
    ///
    /// If false, it is a web server: the response has a `Status` field, as in CGI, and the web
    /// server adds the rest ([WSGI-29]).
    ///
    /// [WSGI-29]: crate::spec#wsgi-29
    #[must_use]
    pub fn origin_server(mut self, origin_server: bool) -> Self {
        self.writer.form = match origin_server {
            true => Form::Http,
            false => Form::Cgi,
        };
        self
    }

    /// Sets the `Server` field of an origin server, and `SERVER_SOFTWARE` unless the environ has it
    /// ([ENV-22]). By default there is none.
    ///
    /// # Errors
    ///
    /// Returns an error if `name` has a control character.
    ///
    /// [ENV-22]: crate::spec#env-22
    pub fn server_software(mut self, name: &str) -> Result<Self, h1::EncodeError> {
        h1::field(&mut Vec::new(), "Server", name.as_bytes())?;
        self.writer.server_software = Some(name.to_owned());
        Ok(self)
    }

    /// Sets the application that responds if the main one fails before its head is written. By
    /// default the client gets a 500 that tells it nothing ([WSGI-19], [WSGI-25]).
    ///
    /// [WSGI-19]: crate::spec#wsgi-19
    /// [WSGI-25]: crate::spec#wsgi-25
    #[must_use]
    pub fn error_output(mut self, application: impl Application + 'static) -> Self {
        self.error_output = Arc::new(application);
        self
    }

    /// Calls the application and writes its response.
    ///
    /// If the application fails, the response is a 500, or it breaks off if its head was written
    /// before. The failure is written to `stderr`, and this returns `Ok` ([WSGI-19]). It also
    /// returns `Ok` if the reader of the response has disconnected ([WSGI-20]).
    ///
    /// # Errors
    ///
    /// Returns the error of `stdout` if that fails in another way, and the failure of
    /// [`error_output`](Self::error_output) if that fails. Returns [`Failure::Stop`] if the
    /// application did.
    ///
    /// [WSGI-19]: crate::spec#wsgi-19
    /// [WSGI-20]: crate::spec#wsgi-20
    pub fn run(mut self, application: &(impl Application + ?Sized)) -> HandlerResult {
        self.writer.head_only = self.variable("REQUEST_METHOD") == "HEAD";
        let protocol = self.variable("SERVER_PROTOCOL");
        if self.writer.form == Form::Http && protocol.eq_ignore_ascii_case("HTTP/0.9") {
            self.writer.form = Form::BodyOnly;
        }
        let written = match self.call(application) {
            Ok(output) => self.finish_response(output),
            Err(failure) => self.fail(failure),
        };
        let written = match (self.writer.failure.take(), written) {
            // The failure counts, even if the application has ignored it.
            (Some(error), Ok(()) | Err(Failure::Request(_))) => Err(error.into()),
            (_, written) => written,
        };
        match written {
            Err(Failure::Request(error)) if is_gone(&*error) => Ok(()),
            written => written,
        }
    }

    fn flag(mut self, key: &str, value: bool) -> Self {
        self.environ
            .insert(key.to_owned(), python_bool(value).to_owned());
        self
    }

    fn call(&mut self, application: &(impl Application + ?Sized)) -> Result<Output, Failure> {
        let length = self.variable("CONTENT_LENGTH").parse().unwrap_or(0);
        let writer = &mut self.writer;
        let defaults = [
            ("wsgi.multithread", python_bool(true)),
            ("wsgi.file_wrapper", FILE_WRAPPER),
        ];
        let mut environ: Environ<'_> = defaults.into_iter().collect();
        if let (Form::Http | Form::BodyOnly, Some(software)) =
            (writer.form, &writer.server_software)
        {
            environ.insert("SERVER_SOFTWARE", software);
        }
        for (key, value) in &self.environ {
            environ.insert(key, value);
        }
        environ.set_input(self.stdin.by_ref().take(length));
        environ.set_errors(&mut self.stderr);
        let write = |start: &mut _, bytes: &_| writer.write_now(start, bytes);
        Output::of(application, &mut environ, write)
    }

    /// Writes the response and closes the result. Logs what fails.
    fn finish_response(&mut self, mut output: Output) -> HandlerResult {
        let written = self.write_response(&mut output);
        let closed = output.close().or_else(|failure| self.log(failure));
        written.and(closed)
    }

    /// Writes the head with the first block, then the other blocks.
    fn write_response(&mut self, output: &mut Output) -> HandlerResult {
        let whole = output.whole().map(|whole| whole.len() as u64);
        if self.writer.is_without_content(output.head()) {
            self.writer.write(output.head(), whole, b"")?;
            return output.consume().or_else(|failure| self.log(failure));
        }
        loop {
            match output.next_block() {
                Ok(Some(block)) => match self.writer.write(output.head(), whole, &block)? {
                    Room::Left => {}
                    Room::Filled => return Ok(()),
                    Room::Exceeded => return self.log(ResponseError::TooLong.into()),
                },
                Ok(None) => break,
                Err(failure) => return self.log(failure),
            }
        }
        // This writes the head, if there was no block at all.
        self.writer.write(output.head(), whole, b"")?;
        match self.writer.is_short() {
            true => self.log(ResponseError::TooShort.into()),
            false => Ok(()),
        }
    }

    /// Responds in the place of an application that failed, if no head was written before.
    fn fail(&mut self, failure: Failure) -> HandlerResult {
        let logged = match failure {
            // It was `stdout` that failed, not the application.
            Failure::Request(_) if self.writer.failure.is_some() => Ok(()),
            failure => self.log(failure),
        };
        if self.writer.has_begun() {
            return logged;
        }
        let error_output = Arc::clone(&self.error_output);
        let written = self
            .call(&error_output)
            .and_then(|output| self.finish_response(output));
        logged.and(written)
    }

    fn variable(&self, key: &str) -> &str {
        self.environ.get(key).map_or("", String::as_str)
    }

    /// Writes a failure to `stderr`. A stop is returned.
    fn log(&mut self, failure: Failure) -> HandlerResult {
        let error = match failure {
            Failure::Request(error) => error,
            stop => return Err(stop),
        };
        // Escape the text, which may come from a client: it must not add lines to a log.
        let text = error.to_string();
        // Ignore the error: there is no other place to report it.
        let _ = writeln!(self.stderr, "application failed: {}", text.escape_debug());
        Ok(())
    }
}

/// Returns whether the reader of the response has disconnected ([WSGI-20]).
///
/// [WSGI-20]: crate::spec#wsgi-20
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
            .field("form", &self.writer.form)
            .finish_non_exhaustive()
    }
}
