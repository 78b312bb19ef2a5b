//! Middleware that finds breaches of PEP 3333. Python's `wsgiref.validate`.
//!
//! A [`Validator`] stands between a server and an application and checks what each passes to the
//! other. It changes nothing. A body keeps even its number of blocks; Python's validator hides that
//! number, so that a validated response gets no `Content-Length` ([VALID-22]).
//!
//! A mistake is a [`Breach`], which names its clause. It becomes a failure of the application, or a
//! report if nothing can fail any more.
//!
//! | clause | what is checked | a breach is |
//! | --- | --- | --- |
//! | VALID-1, -7, -15, -16, -17, -21 | arguments, streams, `exc_info`, `write`, the result | a type error |
//! | VALID-2, -3 | which keys the environ has, and must not have | a failure |
//! | VALID-4, -8 | `QUERY_STRING` is missing, a method that is not common | reported |
//! | VALID-5 | every value is text | a type error |
//! | VALID-6 | `wsgi.url_scheme` is `http` or `https`; the version is a pair | a failure; a type error |
//! | VALID-9, -10 | `SCRIPT_NAME` and `PATH_INFO`, `CONTENT_LENGTH` | a failure |
//! | VALID-11 | the order: status, headers, content type; only then is it forwarded | |
//! | VALID-12 | the status; without exactly one space after three digits | a failure; reported |
//! | VALID-13, -14 | header names and values, `Content-Type` | a failure |
//! | VALID-18 | blocks come after `start_response` and before `close()` | a failure |
//! | VALID-19 | there is a `start_response` before the end; `close()` was called | a failure; reported |
//! | VALID-20 | reads have a size, and the input stays open | a type error |
//!
//! In Python it is also a failure to read without a size. Here
//! [`read_to_end`](std::io::Read::read_to_end) is allowed: it consists of reads with a size, and
//! the input has an end ([WSGI-27]).
//!
//! [VALID-22]: crate::spec#valid-22
//! [WSGI-27]: crate::spec#wsgi-27

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::application::{AppResult, Application, Body, Iterable};
use super::environ::Environ;
use super::start_response::StartResponse;
use crate::socketserver::{Block, Failure, HandlerResult, print};

/// An application that is checked for breaches of PEP 3333, its own and those of its server.
///
/// Put it around an application in tests, or while you develop.
///
/// ```
/// use serve_forever::wsgi::testing::Client;
/// use serve_forever::wsgi::{AppResult, Environ, StartResponse, Validator};
///
/// fn app(_: &mut Environ<'_>, start_response: &mut dyn StartResponse) -> AppResult {
///     start_response.call("200 OK", &[])?;
///     Ok("What am I?".into())
/// }
///
/// let response = Client::new(Validator::new(app)).get("/");
/// assert_eq!(response.code(), 500);
/// let breach = response.failure().expect("it has failed").to_string();
/// assert_eq!(breach, "VALID-14: no Content-Type");
/// ```
pub struct Validator<A> {
    /// The application that is checked.
    application: A,
    /// Gets the breaches that do not become failures.
    reports: Reports,
}

/// A function that gets the breaches that cannot be failures.
type Reports = Arc<dyn Fn(&Breach) + Send + Sync>;

impl<A> Validator<A> {
    /// Checks `application`. Reports go to standard error ([VALID-19]), at most ten a second,
    /// because clients can cause them.
    ///
    /// [VALID-19]: crate::spec#valid-19
    pub fn new(application: A) -> Validator<A> {
        Validator {
            application,
            reports: Arc::new(|breach| print("WSGI", breach)),
        }
    }

    /// Calls `reports` for each report, instead of printing it. Use it in a test.
    ///
    /// The reports are breaches that do no harm ([`is_warning`](Breach::is_warning)), and
    /// [`Breach::NotClosed`], which is found when the request is over.
    #[must_use]
    pub fn report_to(mut self, reports: impl Fn(&Breach) + Send + Sync + 'static) -> Validator<A> {
        self.reports = Arc::new(reports);
        self
    }
}

impl<A: Application> Application for Validator<A> {
    fn call(&self, environ: &mut Environ<'_>, start_response: &mut dyn StartResponse) -> AppResult {
        check_environ(environ, &self.reports)?;
        let mut started = false;
        let mut watched = Watched {
            start_response,
            started: &mut started,
            reports: &self.reports,
        };
        let body = self.application.call(environ, &mut watched)?;
        Ok(Body::from_iterable(WatchedBody {
            body,
            started,
            closed: false,
            reports: Arc::clone(&self.reports),
        }))
    }
}

impl<A> fmt::Debug for Validator<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Validator")
    }
}

/// A mistake of an application or a server that PEP 3333 forbids.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Breach {
    /// The environ lacks this key ([VALID-2]).
    ///
    /// [VALID-2]: crate::spec#valid-2
    MissingKey(&'static str),
    /// The environ has this key, which must not begin with `HTTP_` ([VALID-3]).
    ///
    /// [VALID-3]: crate::spec#valid-3
    ForbiddenKey(&'static str),
    /// The environ lacks `QUERY_STRING`; only a warning ([VALID-4]).
    ///
    /// [VALID-4]: crate::spec#valid-4
    NoQueryString,
    /// `wsgi.url_scheme` is missing, or is neither `http` nor `https` ([VALID-6]).
    ///
    /// [VALID-6]: crate::spec#valid-6
    UrlScheme(String),
    /// The `REQUEST_METHOD` is not a common one; only a warning ([VALID-8]).
    ///
    /// [VALID-8]: crate::spec#valid-8
    Method(String),
    /// `SCRIPT_NAME` is `/`, or does not begin with `/` ([VALID-9]).
    ///
    /// [VALID-9]: crate::spec#valid-9
    ScriptName(String),
    /// `PATH_INFO` does not begin with `/` ([VALID-9]).
    ///
    /// [VALID-9]: crate::spec#valid-9
    PathInfo(String),
    /// There is neither `SCRIPT_NAME` nor `PATH_INFO` ([VALID-9]).
    ///
    /// [VALID-9]: crate::spec#valid-9
    NoPath,
    /// `CONTENT_LENGTH` does not consist of digits ([VALID-10]).
    ///
    /// [VALID-10]: crate::spec#valid-10
    ContentLength(String),
    /// The status does not begin with a number of three digits from 100 on ([VALID-12]).
    ///
    /// [VALID-12]: crate::spec#valid-12
    Status(String),
    /// The status does not have exactly one space after its number; only a warning ([VALID-12]).
    ///
    /// [VALID-12]: crate::spec#valid-12
    StatusSpace(String),
    /// A header is called `Status`, which has a meaning in CGI ([VALID-13]).
    ///
    /// [VALID-13]: crate::spec#valid-13
    StatusHeader,
    /// The name of a header is not a letter followed by letters, digits, `-` and `_`, or it ends
    /// with `-` or `_` ([VALID-13]).
    ///
    /// [VALID-13]: crate::spec#valid-13
    HeaderName(String),
    /// The value of this header has a control character ([VALID-13]).
    ///
    /// [VALID-13]: crate::spec#valid-13
    HeaderValue(String),
    /// There is no `Content-Type` ([VALID-14]).
    ///
    /// [VALID-14]: crate::spec#valid-14
    NoContentType,
    /// There is a `Content-Type`, but the status allows no content ([VALID-14]).
    ///
    /// [VALID-14]: crate::spec#valid-14
    ContentType,
    /// A block came before `start_response` ([VALID-18]).
    ///
    /// [VALID-18]: crate::spec#valid-18
    BlockBeforeStart,
    /// A block was pulled after `close()` ([VALID-18]).
    ///
    /// [VALID-18]: crate::spec#valid-18
    ReadAfterClose,
    /// The body ended before `start_response` was called ([VALID-19]).
    ///
    /// [VALID-19]: crate::spec#valid-19
    EndBeforeStart,
    /// The body was dropped before `close()` was called ([VALID-19]).
    ///
    /// [VALID-19]: crate::spec#valid-19
    NotClosed,
}

impl Breach {
    /// Returns the number of the clause that was broken, such as `VALID-14`.
    pub fn clause(&self) -> &'static str {
        match self {
            Breach::MissingKey(_) => "VALID-2",
            Breach::ForbiddenKey(_) => "VALID-3",
            Breach::NoQueryString => "VALID-4",
            Breach::UrlScheme(_) => "VALID-6",
            Breach::Method(_) => "VALID-8",
            Breach::ScriptName(_) | Breach::PathInfo(_) | Breach::NoPath => "VALID-9",
            Breach::ContentLength(_) => "VALID-10",
            Breach::Status(_) | Breach::StatusSpace(_) => "VALID-12",
            Breach::StatusHeader | Breach::HeaderName(_) | Breach::HeaderValue(_) => "VALID-13",
            Breach::NoContentType | Breach::ContentType => "VALID-14",
            Breach::BlockBeforeStart | Breach::ReadAfterClose => "VALID-18",
            Breach::EndBeforeStart | Breach::NotClosed => "VALID-19",
        }
    }

    /// Returns whether the breach does no harm. It is then reported, and the request goes on.
    pub fn is_warning(&self) -> bool {
        matches!(
            self,
            Breach::NoQueryString | Breach::Method(_) | Breach::StatusSpace(_)
        )
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.clause())?;
        match self {
            Breach::MissingKey(key) => write!(f, "the environ has no {key}"),
            Breach::ForbiddenKey(key) => write!(f, "the environ has {key}"),
            Breach::NoQueryString => f.write_str("the environ has no QUERY_STRING"),
            Breach::UrlScheme(scheme) => write!(f, "wsgi.url_scheme is {scheme:?}"),
            Breach::Method(method) => write!(f, "REQUEST_METHOD is {method:?}"),
            Breach::ScriptName(name) => write!(f, "SCRIPT_NAME is {name:?}"),
            Breach::PathInfo(path) => write!(f, "PATH_INFO is {path:?}"),
            Breach::NoPath => f.write_str("the environ has no SCRIPT_NAME and no PATH_INFO"),
            Breach::ContentLength(length) => write!(f, "CONTENT_LENGTH is {length:?}"),
            Breach::Status(status) | Breach::StatusSpace(status) => {
                write!(f, "status {status:?} is not like \"200 OK\"")
            }
            Breach::StatusHeader => f.write_str("a header is called Status"),
            Breach::HeaderName(name) => write!(f, "a header is called {name:?}"),
            Breach::HeaderValue(name) => {
                write!(f, "the value of {name:?} has a control character")
            }
            Breach::NoContentType => f.write_str("no Content-Type"),
            Breach::ContentType => f.write_str("a Content-Type, but no content"),
            Breach::BlockBeforeStart => f.write_str("a block came before start_response()"),
            Breach::ReadAfterClose => f.write_str("a block was pulled after close()"),
            Breach::EndBeforeStart => f.write_str("the body ended without start_response()"),
            Breach::NotClosed => f.write_str("close() of the body was not called"),
        }
    }
}

impl Error for Breach {}

fn check_environ(environ: &Environ<'_>, reports: &Reports) -> Result<(), Breach> {
    const REQUIRED: [&str; 9] = [
        "REQUEST_METHOD",
        "SERVER_NAME",
        "SERVER_PORT",
        "wsgi.version",
        "wsgi.input",
        "wsgi.errors",
        "wsgi.multithread",
        "wsgi.multiprocess",
        "wsgi.run_once",
    ];
    const FORBIDDEN: [&str; 2] = ["HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"];
    const METHODS: [&str; 8] = [
        "GET", "HEAD", "POST", "OPTIONS", "PATCH", "PUT", "DELETE", "TRACE",
    ];
    if let Some(key) = REQUIRED.into_iter().find(|key| !environ.contains_key(key)) {
        return Err(Breach::MissingKey(key));
    }
    if let Some(key) = FORBIDDEN.into_iter().find(|key| environ.contains_key(key)) {
        return Err(Breach::ForbiddenKey(key));
    }
    if !environ.contains_key("QUERY_STRING") {
        reports(&Breach::NoQueryString);
    }
    let variable = |key| environ.get(key).unwrap_or_default();
    let scheme = variable("wsgi.url_scheme");
    if !matches!(&*scheme, "http" | "https") {
        return Err(Breach::UrlScheme(scheme.into_owned()));
    }
    let method = variable("REQUEST_METHOD");
    if !METHODS.contains(&&*method) {
        reports(&Breach::Method(method.into_owned()));
    }
    check_paths(environ)?;
    let length = variable("CONTENT_LENGTH");
    if !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Breach::ContentLength(length.into_owned()));
    }
    Ok(())
}

/// Checks `SCRIPT_NAME` and `PATH_INFO` ([VALID-9]).
///
/// [VALID-9]: crate::spec#valid-9
fn check_paths(environ: &Environ<'_>) -> Result<(), Breach> {
    let is_path = |text: &str| text.is_empty() || text.starts_with('/');
    let script_name = environ.get("SCRIPT_NAME").unwrap_or_default();
    if !is_path(&script_name) || script_name == "/" {
        return Err(Breach::ScriptName(script_name.into_owned()));
    }
    match environ.get("PATH_INFO") {
        Some(path) if !is_path(&path) => Err(Breach::PathInfo(path.into_owned())),
        None if script_name.is_empty() => Err(Breach::NoPath),
        _ => Ok(()),
    }
}

/// A `start_response` that checks its arguments ([VALID-11]).
///
/// [VALID-11]: crate::spec#valid-11
struct Watched<'a> {
    /// The server's own.
    start_response: &'a mut dyn StartResponse,
    /// Becomes true when it is called with good arguments.
    started: &'a mut bool,
    /// Gets the breaches that do not become failures.
    reports: &'a Reports,
}

impl Watched<'_> {
    fn check(&mut self, status: &str, headers: &[(&str, &str)]) -> Result<(), Breach> {
        let code = check_status(status, self.reports)?;
        headers
            .iter()
            .try_for_each(|header| check_header(*header))?;
        check_content_type(code, headers)?;
        *self.started = true;
        Ok(())
    }
}

impl StartResponse for Watched<'_> {
    fn call(&mut self, status: &str, headers: &[(&str, &str)]) -> HandlerResult {
        self.check(status, headers)?;
        self.start_response.call(status, headers)
    }

    fn call_with_exc_info(
        &mut self,
        status: &str,
        headers: &[(&str, &str)],
        exc_info: Failure,
    ) -> HandlerResult {
        self.check(status, headers)?;
        self.start_response
            .call_with_exc_info(status, headers, exc_info)
    }

    fn write(&mut self, bytes: &[u8]) -> HandlerResult {
        self.start_response.write(bytes)
    }
}

/// Checks the status, and returns its code ([VALID-12]).
///
/// [VALID-12]: crate::spec#valid-12
fn check_status<'a>(status: &'a str, reports: &Reports) -> Result<&'a str, Breach> {
    let code = status.split_whitespace().next().unwrap_or_default();
    let digits = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || code < "100" {
        return Err(Breach::Status(status.to_owned()));
    }
    // Python looks only at the fourth character. Two spaces are as wrong as none.
    let rest = status.strip_prefix(code);
    let reason = rest.and_then(|rest| rest.strip_prefix(' '));
    if reason.is_none_or(|reason| reason.starts_with(' ')) {
        reports(&Breach::StatusSpace(status.to_owned()));
    }
    Ok(code)
}

/// Checks the name and the value of a header ([VALID-13]).
///
/// [VALID-13]: crate::spec#valid-13
fn check_header((name, value): (&str, &str)) -> Result<(), Breach> {
    if name.eq_ignore_ascii_case("Status") {
        return Err(Breach::StatusHeader);
    }
    let begins = name.starts_with(|first: char| first.is_ascii_alphabetic());
    let within = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !begins || !name.bytes().all(within) || name.ends_with(['-', '_']) {
        return Err(Breach::HeaderName(name.to_owned()));
    }
    if value.contains(|character: char| character < ' ') {
        return Err(Breach::HeaderValue(name.to_owned()));
    }
    Ok(())
}

/// Checks that there is a `Content-Type` exactly if there may be content ([VALID-14]).
///
/// [VALID-14]: crate::spec#valid-14
fn check_content_type(code: &str, headers: &[(&str, &str)]) -> Result<(), Breach> {
    let mut names = headers.iter().map(|(name, _)| name);
    let typed = names.any(|name| name.eq_ignore_ascii_case("Content-Type"));
    match (typed, matches!(code, "204" | "304")) {
        (false, false) => Err(Breach::NoContentType),
        (true, true) => Err(Breach::ContentType),
        _ => Ok(()),
    }
}

/// A body that checks the order in which it is used ([VALID-18], [VALID-19]).
///
/// [VALID-18]: crate::spec#valid-18
/// [VALID-19]: crate::spec#valid-19
struct WatchedBody {
    /// The application's body.
    body: Body,
    /// Whether `start_response` was called.
    started: bool,
    /// Whether `close` was called.
    closed: bool,
    /// Gets the breaches that do not become failures.
    reports: Reports,
}

impl Iterable for WatchedBody {
    fn next_block(
        &mut self,
        start_response: &mut dyn StartResponse,
    ) -> Result<Option<Block>, Failure> {
        if self.closed {
            return Err(Breach::ReadAfterClose.into());
        }
        let mut watched = Watched {
            start_response,
            started: &mut self.started,
            reports: &self.reports,
        };
        let block = self.body.next_block(&mut watched)?;
        match block {
            Some(_) if !self.started => Err(Breach::BlockBeforeStart.into()),
            None if !self.started => Err(Breach::EndBeforeStart.into()),
            block => Ok(block),
        }
    }

    /// Returns the same number as without the validator ([VALID-22] *Better*).
    ///
    /// [VALID-22]: crate::spec#valid-22
    fn block_count(&self) -> Option<usize> {
        self.body.block_count()
    }

    fn close(&mut self) -> HandlerResult {
        self.closed = true;
        self.body.close()
    }
}

impl Drop for WatchedBody {
    fn drop(&mut self) {
        if !self.closed {
            (self.reports)(&Breach::NotClosed);
        }
    }
}
