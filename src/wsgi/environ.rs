//! `environ`: the request as an application sees it.
//!
//! Python first copies everything into a dictionary. Here a lookup finds its value in the request,
//! and only the variables that somebody inserts are stored.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, Cursor, Write};
use std::mem;

use super::base_environ::{BaseEnviron, python_bool};
use super::request_variables::RequestVariables;
use crate::http::Request;
use crate::socketserver::QueuedStderr;

/// The variables of the gateway itself. A value that is not text in Python is given as Python
/// prints it.
const WSGI_KEYS: [&str; 8] = [
    "wsgi.errors",
    "wsgi.input",
    "wsgi.input_terminated",
    "wsgi.multiprocess",
    "wsgi.multithread",
    "wsgi.run_once",
    "wsgi.url_scheme",
    "wsgi.version",
];

/// The request as an application sees it: CGI variables, header fields, the body.
///
/// Text is Latin-1: each character stands for one byte of the request (PEP 3333, "bytes as text").
/// The environment of the process is not part of it. That may hold secrets, and a variable called
/// `HTTP_*` would look like a header field ([ENV-21]).
///
/// | key | value |
/// | --- | --- |
/// | `REQUEST_METHOD`, `SERVER_PROTOCOL` | as in the request line |
/// | `PATH_INFO` | the path, percent-decoded; `SCRIPT_NAME` is empty |
/// | `QUERY_STRING` | what follows the first `?`, as the client sent it, or empty |
/// | `REQUEST_URI` | the whole target, as the client sent it |
/// | `CONTENT_TYPE` | the header field, or empty |
/// | `CONTENT_LENGTH` | the length of the body; empty if there is none, or if its length is not known |
/// | `REMOTE_ADDR`, `REMOTE_PORT` | the client's address and port; on a Unix-domain socket the first is empty and there is no second. `REMOTE_HOST` is empty |
/// | `SERVER_NAME`, `SERVER_PORT` | where the server listens |
/// | `HTTPS` | `on` if the request came by TLS, else it does not exist |
/// | `HTTP_HOST` | the `Host` field, or the authority of an absolute target |
/// | `HTTP_*` | the other header fields; repeated ones joined by `,`, cookies by `; ` |
/// | `wsgi.file_wrapper` | present: the server has a [`FileWrapper`](super::FileWrapper). You can remove it from the [base environ](super::WsgiHandler::base_environ_mut) |
/// | `wsgi.input_terminated` | `True`: a read at the end of the body returns nothing |
/// | `wsgi.*` | see the methods |
///
/// # Other servers
///
/// Frameworks rely on details in which servers differ. These were measured with CPython 3.11,
/// gunicorn 27 and waitress 3. "–" means that the variable does not exist.
///
/// | | here | wsgiref | gunicorn | waitress | why |
/// | --- | --- | --- | --- | --- | --- |
/// | `CONTENT_LENGTH` of a chunked body | its length; empty if the [input is streamed](super::WsgiHandler::stream_input) | empty | – | its length | Django reads no more than it says (ENV-11) |
/// | `HTTP_TRANSFER_ENCODING` of a chunked body | – if the length is known | `chunked` | `chunked` | – | Werkzeug ignores the length if it is there (ENV-11) |
/// | `CONTENT_LENGTH` without a body | empty | empty | – | – | PEP 3333 allows both |
/// | `CONTENT_TYPE` without the field | empty | `text/plain` | – | – | a guess is worse than nothing (ENV-10) |
/// | `Content-Type` twice | the first | the first | 400 | joined by `, ` | the same as [`Request::header`] |
/// | `wsgi.input_terminated` | `True` | – | `True` | `True` | it does end there (WSGI-27) |
/// | repeated fields | joined by `,` | `,` | `,` | `, ` | ENV-12 |
/// | repeated `Cookie` | joined by `; ` | `,` | `,` | `, ` | a comma is a part of the cookie (ENV-12) |
/// | fields with `_`; `Proxy` | – | exist | –; exists | –; exists | they could pass for another variable (ENV-14) |
/// | `HTTP_HOST` for an absolute target | its authority | the field | the field | the field | RFC 9112 section 3.2.2 |
/// | `PATH_INFO` for `*` | empty | `*` | `*` | `*` | it is no path; see `REQUEST_URI` |
/// | `PATH_INFO` for `//a//b` | `/a//b` | `/a//b` | `//a//b` | `/a//b` | nobody may read it as an authority |
/// | the target, undecoded | `REQUEST_URI` | – | `RAW_URI` | `REQUEST_URI` | tells `%2F` from `/` (ENV-8) |
/// | `REMOTE_PORT` | exists | – | exists | exists | ENV-9 |
/// | `REMOTE_HOST` | empty | empty | – | the address | no name is looked up (ENV-3) |
/// | `SERVER_NAME` on `::1` | `[::1]` | the name of the host | `::1` | `waitress.invalid` | RFC 3875 section 4.1.14 (ENV-1) |
/// | `SERVER_NAME` on `0.0.0.0` | the address that the client reached | the name of the host | `0.0.0.0` | `waitress.invalid` | a URL made from it has to lead back (ENV-1) |
/// | `SERVER_NAME` and `SERVER_PORT` on a Unix-domain socket | `localhost`, `80` | – | from `Host`, or the path and empty | `waitress.invalid`, the path | ENV-1 |
/// | `X-Forwarded-Proto: https` | changes nothing, unless it comes from a [trusted proxy](crate::http::TrustedProxies::with_proto) | changes nothing | `wsgi.url_scheme` is `https` for a local client | is dropped | a client could set it (PROXY-5) |
///
/// # Without a server
///
/// A gateway that is not an HTTP server, or a test, makes an environ from its own variables:
///
/// ```
/// use serve_forever::wsgi::Environ;
///
/// let mut environ: Environ = [("REQUEST_METHOD", "POST"), ("PATH_INFO", "/")].into_iter().collect();
/// environ.set_input(&b"what was posted"[..]);
/// ```
///
/// [ENV-21]: crate::spec#env-21
pub struct Environ<'a> {
    /// The HTTP request in which variables are looked up, if there is one.
    request: Option<RequestVariables<'a>>,
    /// `wsgi.input`.
    input: Input<'a>,
    /// `wsgi.errors`.
    errors: Errors<'a>,
    /// The variables that were inserted, and those that were removed (`None`).
    changes: BTreeMap<String, Option<String>>,
}

enum Input<'a> {
    /// The whole body of the request.
    Bytes(&'a [u8]),
    /// The body of the request, as it arrives, or from a file.
    Reader(Box<dyn BufRead + Send>),
    /// The input that [`Environ::set_input`] was given.
    Given(Box<dyn BufRead + 'a>),
}

enum Errors<'a> {
    /// Standard error, by default.
    Stderr(QueuedStderr),
    /// The stream that [`Environ::set_errors`] was given.
    Given(Box<dyn Write + 'a>),
}

impl<'a> Environ<'a> {
    /// Makes an environ that has no variables but those of the gateway itself (`wsgi.*`). Its
    /// input is empty.
    pub fn new() -> Environ<'a> {
        Environ {
            request: None,
            input: Input::Bytes(b""),
            errors: Errors::Stderr(QueuedStderr),
            changes: BTreeMap::new(),
        }
    }

    pub(super) fn of_request(request: &Request<'a>, base: &'a BaseEnviron) -> Environ<'a> {
        Environ {
            request: Some(RequestVariables {
                request: *request,
                base,
                body_length: Some(u64::try_from(request.body().len()).unwrap_or(u64::MAX)),
            }),
            input: Input::Bytes(request.body()),
            ..Environ::new()
        }
    }

    /// Returns the value of a variable.
    pub fn get(&self, key: &str) -> Option<Cow<'_, str>> {
        if let Some(change) = self.changes.get(key) {
            return change.as_deref().map(Cow::Borrowed);
        }
        if key.starts_with("wsgi.") {
            // A value that the base environ has replaces the usual one.
            return self.base_variable(key).or_else(|| self.wsgi_variable(key));
        }
        let request = self.request.as_ref();
        let variable = request.and_then(|request| request.get(key));
        variable.or_else(|| self.base_variable(key))
    }

    /// Returns whether the variable exists.
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Sets a variable, for this request only ([ENV-23]). Middleware uses it to tell the
    /// application something.
    ///
    /// [ENV-23]: crate::spec#env-23
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.changes.insert(key.into(), Some(value.into()));
    }

    /// Removes a variable, for this request only.
    pub fn remove(&mut self, key: &str) {
        self.changes.insert(key.to_owned(), None);
    }

    /// Returns all variables and their values, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (String, String)> + use<> {
        self.to_map().into_iter()
    }

    /// Returns a copy of all variables, which you can keep after the request.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        let mut map = BTreeMap::new();
        self.for_each(|key, value| {
            map.insert(key.to_owned(), value.to_owned());
        });
        map
    }

    /// Lends each variable to `visit`, in no particular order.
    ///
    /// It makes few strings: one for the keys of the header fields, and one for each value that has
    /// to be formatted, such as `REMOTE_ADDR`, decoded or joined.
    ///
    /// Use it to hand all variables to another language or another process.
    ///
    /// ```
    /// use serve_forever::wsgi::Environ;
    ///
    /// let environ: Environ = [("REQUEST_METHOD", "GET")].into_iter().collect();
    /// environ.for_each(|key, value| println!("{key}={value}"));
    /// ```
    pub fn for_each(&self, mut visit: impl FnMut(&str, &str)) {
        for key in WSGI_KEYS {
            let usual = !self.changes.contains_key(key) && self.base_variable(key).is_none();
            if let Some(value) = self.wsgi_variable(key).filter(|_| usual) {
                visit(key, &value);
            }
        }
        self.for_each_besides_wsgi(visit);
    }

    /// Like [`for_each`](Self::for_each), but without `wsgi.input`, `wsgi.errors` and the like, unless
    /// somebody has set them. A host of another language makes objects of its own for these.
    pub fn for_each_besides_wsgi(&self, mut visit: impl FnMut(&str, &str)) {
        for (key, change) in &self.changes {
            if let Some(value) = change {
                visit(key, value);
            }
        }
        let mut visit = |key: &str, value: Cow<'_, str>| {
            if self.changes.is_empty() || !self.changes.contains_key(key) {
                visit(key, &value);
            }
        };
        if let Some(request) = &self.request {
            for (key, value) in request.base {
                if request.get(key).is_none() {
                    visit(key, value.into());
                }
            }
            request.for_each(visit);
        }
    }

    /// Returns the HTTP request that this environ is a view of. `None` if a gateway or a test has
    /// made the environ from its own variables.
    ///
    /// Variables that were [inserted](Self::insert) are not in the request.
    pub fn request(&self) -> Option<&Request<'a>> {
        self.request.as_ref().map(|variables| &variables.request)
    }

    /// Returns the body of the request, decoded: `wsgi.input`. A read at its end returns nothing
    /// ([WSGI-27]).
    ///
    /// The whole body has arrived, unless the server [streams the
    /// input](super::WsgiHandler::stream_input). It is in memory, or in a file if the server [spools
    /// the input](super::WsgiHandler::spool_input) and the body is large.
    ///
    /// | Python | here |
    /// | --- | --- |
    /// | `read()` | `read_to_end(&mut bytes)`, or `read_to_string` |
    /// | `read(n)` | `take(n).read_to_end(&mut bytes)` |
    /// | `readline()` | `read_until(b'\n', &mut line)`, or `read_line` |
    /// | `readline(n)` | `take(n).read_until(b'\n', &mut line)` |
    /// | `for line in input`, `readlines()` | `split(b'\n')`, or `lines()`, both without the line ends |
    ///
    /// [WSGI-27]: crate::spec#wsgi-27
    pub fn input(&mut self) -> &mut dyn BufRead {
        match &mut self.input {
            Input::Bytes(bytes) => bytes,
            Input::Reader(reader) => reader,
            Input::Given(input) => input,
        }
    }

    /// Takes the [`input`](Self::input), for an application that reads it after its call, for example
    /// in an [`Iterable`](super::Iterable). What remains is empty.
    ///
    /// A body that has arrived whole is copied. Returns `None` if the input was
    /// [replaced](Self::set_input), because that stream may borrow from the call.
    pub fn take_input(&mut self) -> Option<Box<dyn BufRead + Send>> {
        match mem::replace(&mut self.input, Input::Bytes(b"")) {
            Input::Bytes(bytes) => Some(Box::new(Cursor::new(bytes.to_vec()))),
            Input::Reader(reader) => Some(reader),
            given @ Input::Given(_) => {
                self.input = given;
                None
            }
        }
    }

    /// Makes `reader` the input, which reads the body of the request. Its length is not known while
    /// it arrives.
    pub(super) fn read_input(
        &mut self,
        reader: impl BufRead + Send + 'static,
        body_length: Option<u64>,
    ) {
        self.input = Input::Reader(Box::new(reader));
        if let Some(request) = &mut self.request {
            request.body_length = body_length;
        }
    }

    /// Replaces the [`input`](Self::input). Use it in middleware that decodes the body, and in a
    /// gateway that supplies it.
    ///
    /// `input` has to end where the body ends. If it cannot,
    /// [remove](Self::remove) `wsgi.input_terminated`.
    pub fn set_input(&mut self, input: impl BufRead + 'a) {
        self.input = Input::Given(Box::new(input));
    }

    /// Returns the stream for the application's error messages: `wsgi.errors`. It is standard
    /// error, unless the gateway has [replaced](Self::set_errors) it ([ENV-17]).
    ///
    /// [ENV-17]: crate::spec#env-17
    pub fn errors(&mut self) -> &mut dyn Write {
        match &mut self.errors {
            Errors::Stderr(stderr) => stderr,
            Errors::Given(errors) => errors,
        }
    }

    /// Replaces the stream for [`errors`](Self::errors).
    pub fn set_errors(&mut self, errors: impl Write + 'a) {
        self.errors = Errors::Given(Box::new(errors));
    }

    /// Returns whether errors go to another stream than standard error.
    pub(super) fn has_errors(&self) -> bool {
        matches!(self.errors, Errors::Given(_))
    }

    /// Returns `wsgi.url_scheme`: the value that was inserted for it, or else that of
    /// [`guess_scheme`] ([ENV-16]).
    ///
    /// [ENV-16]: crate::spec#env-16
    pub fn url_scheme(&self) -> Cow<'_, str> {
        self.get("wsgi.url_scheme").unwrap_or("http".into())
    }

    /// Returns `wsgi.version`: 1.0 ([ENV-15]).
    ///
    /// [ENV-15]: crate::spec#env-15
    pub fn version(&self) -> (u8, u8) {
        (1, 0)
    }

    /// Returns `wsgi.multithread`: whether several threads may run the application simultaneously.
    ///
    /// This is true with [`threads`](super::WsgiServer::threads), with
    /// [`WsgiHandler::multithread`](super::WsgiHandler::multithread), and if `True` was inserted
    /// for it ([ENV-18]).
    ///
    /// [ENV-18]: crate::spec#env-18
    pub fn multithread(&self) -> bool {
        self.flag("wsgi.multithread")
    }

    /// Returns `wsgi.multiprocess`: whether other processes run the same application. This is
    /// false, unless `True` was inserted for it, because the server starts no processes ([ENV-19]).
    ///
    /// [ENV-19]: crate::spec#env-19
    pub fn multiprocess(&self) -> bool {
        self.flag("wsgi.multiprocess")
    }

    /// Returns `wsgi.run_once`: whether the application is called for one request only. This is
    /// false, unless `True` was inserted for it ([ENV-19]).
    ///
    /// [ENV-19]: crate::spec#env-19
    pub fn run_once(&self) -> bool {
        self.flag("wsgi.run_once")
    }

    fn flag(&self, key: &str) -> bool {
        self.get(key).as_deref() == Some(python_bool(true))
    }

    fn base_variable(&self, key: &str) -> Option<Cow<'_, str>> {
        let value = self.request.as_ref()?.base.get(key)?;
        Some(value.into())
    }

    fn wsgi_variable(&self, key: &str) -> Option<Cow<'_, str>> {
        let value = match key {
            "wsgi.errors" if self.has_errors() => "<errors>",
            "wsgi.errors" => "<stderr>",
            "wsgi.input" => "<input>",
            "wsgi.input_terminated" => python_bool(true), // WSGI-27
            "wsgi.multiprocess" | "wsgi.multithread" | "wsgi.run_once" => python_bool(false),
            "wsgi.url_scheme" => guess_scheme(self),
            "wsgi.version" => "(1, 0)",
            _ => return None,
        };
        Some(value.into())
    }
}

impl Default for Environ<'_> {
    fn default() -> Self {
        Environ::new()
    }
}

/// Makes [a new environ](Environ::new) and inserts each variable.
impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environ<'_> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        let mut environ = Environ::new();
        for (key, value) in variables {
            environ.insert(key, value);
        }
        environ
    }
}

impl fmt::Debug for Environ<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Returns `https` if the variable `HTTPS` is exactly `yes`, `on` or `1`, and `http` otherwise
/// ([UTIL-2]).
///
/// [UTIL-2]: crate::spec#util-2
pub fn guess_scheme(environ: &Environ<'_>) -> &'static str {
    match environ.get("HTTPS").as_deref() {
        Some("yes" | "on" | "1") => "https",
        _ => "http",
    }
}
