//! `environ`: what an application is told of a request.
//!
//! Python copies everything into a dictionary first. Here a lookup finds its value in the request
//! when it is asked for; only what an application inserts is kept beside it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead, Write};
use std::net::SocketAddr;

use percent_encoding::percent_decode_str;

use crate::http::Request;

/// The variables of the server, the same for every request (WSGI-2).
pub(super) type BaseEnviron = BTreeMap<String, String>;

/// What the server calls itself in `SERVER_SOFTWARE` (ENV-5).
const SERVER_SOFTWARE: &str = concat!("serve_forever/", env!("CARGO_PKG_VERSION"));

/// Sets up the base environ from the address that is known after `bind` (WSGI-2, ENV-1 to -5).
///
/// The name is the address: to look one up could stall the start (HTTP-1). Without an address it
/// is what the clients of a Unix-domain socket usually ask for, since both must not be empty
/// (PEP 3333).
pub(super) fn setup_environ(server_address: Option<SocketAddr>) -> BaseEnviron {
    let (name, port) = match server_address {
        Some(address) => (address.ip().to_string(), address.port().to_string()),
        None => ("localhost".to_owned(), "80".to_owned()),
    };
    [
        ("SERVER_NAME", name),
        ("SERVER_PORT", port),
        ("GATEWAY_INTERFACE", "CGI/1.1".to_owned()),
        ("SCRIPT_NAME", String::new()),
        ("REMOTE_HOST", String::new()),
        ("SERVER_SOFTWARE", SERVER_SOFTWARE.to_owned()),
        ("wsgi.file_wrapper", FILE_WRAPPER.to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// The variables that come from the request, apart from its other header fields.
const REQUEST_KEYS: [&str; 7] = [
    "CONTENT_LENGTH",
    "CONTENT_TYPE",
    "PATH_INFO",
    "QUERY_STRING",
    "REMOTE_ADDR",
    "REQUEST_METHOD",
    "SERVER_PROTOCOL",
];

/// The variables of the gateway itself. Those that are no text read as Python would print them.
const WSGI_KEYS: [&str; 7] = [
    "wsgi.errors",
    "wsgi.input",
    "wsgi.multiprocess",
    "wsgi.multithread",
    "wsgi.run_once",
    "wsgi.url_scheme",
    "wsgi.version",
];

/// `wsgi.file_wrapper`, which is [`FileWrapper`](super::FileWrapper) (ENV-20).
pub(super) const FILE_WRAPPER: &str = "<FileWrapper>";

/// Flags as Python prints them.
pub(super) const TRUE: &str = "True";
pub(super) const FALSE: &str = "False";

/// The request as an application sees it: CGI variables, header fields, the input.
///
/// Text is Latin-1, each character one byte of the request (PEP 3333, "bytes as text"). The
/// environment of the process is no part of it: it holds secrets, and stray variables would pass
/// for header fields (ENV-21).
///
/// | key | value |
/// | --- | --- |
/// | `REQUEST_METHOD`, `SERVER_PROTOCOL` | as in the request line |
/// | `PATH_INFO` | the path, percent-decoded; `SCRIPT_NAME` is empty |
/// | `QUERY_STRING` | what follows the first `?`, as it came, or empty |
/// | `CONTENT_TYPE`, `CONTENT_LENGTH` | the header field, or empty |
/// | `REMOTE_ADDR` | the client's address, empty on a Unix-domain socket; `REMOTE_HOST` is empty |
/// | `SERVER_NAME`, `SERVER_PORT` | where the server listens |
/// | `HTTP_HOST` | the `Host` field, or the authority of an absolute target |
/// | `HTTP_*` | the other header fields; repeated ones joined by `,`, cookies by `; ` |
/// | `wsgi.file_wrapper` | there unless it is removed from the [base environ](super::WsgiHandler::base_environ_mut): the server has a [`FileWrapper`](super::FileWrapper) |
/// | `wsgi.*` | see the methods |
///
/// A gateway that is no HTTP server, or a test, makes one of the variables it has:
///
/// ```
/// use serve_forever::wsgi::Environ;
///
/// let mut environ: Environ = [("REQUEST_METHOD", "POST"), ("PATH_INFO", "/")].into_iter().collect();
/// environ.set_input(&b"what was posted"[..]);
/// ```
pub struct Environ<'a> {
    /// Where the variables of an HTTP request are looked up.
    request: Option<Request<'a>>,
    base: &'a BaseEnviron,
    input: Input<'a>,
    errors: Errors<'a>,
    /// What was inserted, or removed (`None`).
    changes: BTreeMap<String, Option<String>>,
}

enum Input<'a> {
    Bytes(&'a [u8]),
    Given(Box<dyn BufRead + 'a>),
}

enum Errors<'a> {
    Stderr(io::Stderr),
    Given(Box<dyn Write + 'a>),
}

impl<'a> Environ<'a> {
    /// An environ without variables, but for those of the gateway itself (`wsgi.*`), and with an
    /// empty input.
    pub fn new() -> Environ<'a> {
        static NO_BASE: BaseEnviron = BaseEnviron::new();
        Environ {
            request: None,
            base: &NO_BASE,
            input: Input::Bytes(b""),
            errors: Errors::Stderr(io::stderr()),
            changes: BTreeMap::new(),
        }
    }

    pub(super) fn of_request(request: &Request<'a>, base: &'a BaseEnviron) -> Environ<'a> {
        Environ {
            request: Some(*request),
            base,
            input: Input::Bytes(request.body()),
            ..Environ::new()
        }
    }

    /// The value of a variable.
    pub fn get(&self, key: &str) -> Option<Cow<'_, str>> {
        if let Some(change) = self.changes.get(key) {
            return change.as_deref().map(Cow::Borrowed);
        }
        if let Some(field) = key.strip_prefix("HTTP_") {
            if let Some(value) = self.http_variable(field) {
                return Some(value);
            }
        }
        let base = || self.base.get(key).map(|value| value.as_str().into());
        if key.starts_with("wsgi.") {
            // What the server was told of itself is better than what is usual.
            base().or_else(|| self.wsgi_variable(key))
        } else {
            self.request_variable(key).or_else(base)
        }
    }

    /// Whether there is such a variable.
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Sets a variable, for this request only (ENV-23): how middleware talks to applications.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.changes.insert(key.into(), Some(value.into()));
    }

    /// Removes a variable, for this request only.
    pub fn remove(&mut self, key: &str) {
        self.changes.insert(key.to_owned(), None);
    }

    /// All variables and their values, in order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (String, String)> + use<> {
        self.to_map().into_iter()
    }

    /// A copy of all variables, to be kept beyond the request.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        let fixed = REQUEST_KEYS.iter().chain(&WSGI_KEYS).copied();
        let keys = fixed.chain(self.base.keys().map(String::as_str));
        let mut map = BTreeMap::new();
        let mut add = |key: String| {
            if let Some(value) = self.get(&key).map(Cow::into_owned) {
                map.insert(key, value);
            }
        };
        keys.map(str::to_owned).for_each(&mut add);
        self.changes.keys().cloned().for_each(&mut add);
        let fields = self.request.iter().flat_map(|request| request.headers());
        fields.map(|(name, _)| http_key(name)).for_each(&mut add);
        add("HTTP_HOST".to_owned()); // which may be in the target only
        map
    }

    /// The request body (`wsgi.input`), decoded; reading ends with it (WSGI-27). It has arrived
    /// whole, unless the server [streams](super::WsgiHandler::stream_input) it.
    ///
    /// | Python | here |
    /// | --- | --- |
    /// | `read()` | `read_to_end(&mut bytes)`, or `read_to_string` |
    /// | `read(n)` | `take(n).read_to_end(&mut bytes)` |
    /// | `readline()` | `read_until(b'\n', &mut line)`, or `read_line` |
    /// | `readline(n)` | `take(n).read_until(b'\n', &mut line)` |
    /// | `for line in input`, `readlines()` | `split(b'\n')`, or `lines()`, both without the line ends |
    pub fn input(&mut self) -> &mut dyn BufRead {
        match &mut self.input {
            Input::Bytes(bytes) => bytes,
            Input::Given(input) => input,
        }
    }

    /// Replaces the [`input`](Self::input): how middleware decodes it, or a gateway brings it.
    pub fn set_input(&mut self, input: impl BufRead + 'a) {
        self.input = Input::Given(Box::new(input));
    }

    /// Where an application may complain (`wsgi.errors`): standard error, unless a gateway has
    /// something better (ENV-17).
    pub fn errors(&mut self) -> &mut dyn Write {
        match &mut self.errors {
            Errors::Stderr(stderr) => stderr,
            Errors::Given(errors) => errors,
        }
    }

    /// Replaces the place for [`errors`](Self::errors).
    pub fn set_errors(&mut self, errors: impl Write + 'a) {
        self.errors = Errors::Given(Box::new(errors));
    }

    /// Whether errors go somewhere else than to standard error.
    pub(super) fn has_errors(&self) -> bool {
        matches!(self.errors, Errors::Given(_))
    }

    /// `wsgi.url_scheme`: what was inserted for it, else [`guess_scheme`] (ENV-16).
    pub fn url_scheme(&self) -> Cow<'_, str> {
        self.get("wsgi.url_scheme").unwrap_or("http".into())
    }

    /// `wsgi.version`: 1.0 (ENV-15).
    pub fn version(&self) -> (u8, u8) {
        (1, 0)
    }

    /// `wsgi.multithread`, whether the application may run on several threads at once: yes with
    /// [`threads`](super::WsgiServer::threads) and where a handler is told so
    /// ([`WsgiHandler::multithread`](super::WsgiHandler::multithread)), else no (ENV-18), unless
    /// `True` was inserted for it.
    pub fn multithread(&self) -> bool {
        self.flag("wsgi.multithread")
    }

    /// `wsgi.multiprocess`, whether other processes run the same application: not by this
    /// server's doing (ENV-19), unless `True` was inserted for it.
    pub fn multiprocess(&self) -> bool {
        self.flag("wsgi.multiprocess")
    }

    /// `wsgi.run_once`, whether the application is called for one request only: no (ENV-19),
    /// unless `True` was inserted for it.
    pub fn run_once(&self) -> bool {
        self.flag("wsgi.run_once")
    }

    fn flag(&self, key: &str) -> bool {
        self.get(key).as_deref() == Some(TRUE)
    }

    fn wsgi_variable(&self, key: &str) -> Option<Cow<'_, str>> {
        let value = match key {
            "wsgi.errors" if self.has_errors() => "<errors>",
            "wsgi.errors" => "<stderr>",
            "wsgi.input" => "<input>",
            "wsgi.multiprocess" | "wsgi.multithread" | "wsgi.run_once" => FALSE,
            "wsgi.url_scheme" => guess_scheme(self),
            "wsgi.version" => "(1, 0)",
            _ => return None,
        };
        Some(value.into())
    }

    fn request_variable(&self, key: &str) -> Option<Cow<'_, str>> {
        let request = self.request.as_ref()?;
        let header = |name| latin1(request.header(name).unwrap_or_default());
        Some(match key {
            "CONTENT_LENGTH" => header("Content-Length"),
            // Absent is absent: the mail parser's `text/plain` would be a guess (ENV-10).
            "CONTENT_TYPE" => header("Content-Type"),
            "PATH_INFO" => percent_decoded(request.path()),
            "QUERY_STRING" => request.query().unwrap_or_default().into(),
            "REMOTE_ADDR" => match request.client_address() {
                Some(address) => address.ip().to_string().into(),
                None => "".into(), // UNIX-4
            },
            "REQUEST_METHOD" => request.method().into(),
            "SERVER_PROTOCOL" => request.version().to_string().into(),
            _ => return None,
        })
    }

    /// The header field of a variable, whose `key` is without `HTTP_` (ENV-12).
    fn http_variable(&self, key: &str) -> Option<Cow<'_, str>> {
        if self.is_kept_out(key) {
            return None;
        }
        let request = self.request.as_ref()?;
        if key == "HOST" {
            // What an absolute target says counts, not the field (RFC 9112 section 3.2.2).
            return request.authority().map(Cow::from);
        }
        let fields = request.headers().iter();
        let mut values = fields
            .filter(|(name, _)| is_named(name, key))
            .map(|(_, value)| latin1(value));
        let mut joined = values.next()?;
        // A comma would be part of the cookie.
        let separator = if key == "COOKIE" { "; " } else { "," };
        for value in values {
            let joined = joined.to_mut();
            joined.push_str(separator);
            joined.push_str(&value);
        }
        Some(joined)
    }

    /// Whether a header field never becomes a variable: one that has a variable without `HTTP_`,
    /// or is called like one (ENV-13), and `Proxy`, since `HTTP_PROXY` would tell libraries and
    /// child processes where to send their requests (ENV-14, "httpoxy").
    fn is_kept_out(&self, key: &str) -> bool {
        key == "PROXY" || REQUEST_KEYS.contains(&key) || self.base.contains_key(key)
    }
}

impl Default for Environ<'_> {
    fn default() -> Self {
        Environ::new()
    }
}

/// Inserts each variable into [a new environ](Environ::new).
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

/// `https` if the environ has `HTTPS` as exactly `yes`, `on` or `1`, else `http` (UTIL-2).
pub fn guess_scheme(environ: &Environ<'_>) -> &'static str {
    match environ.get("HTTPS").as_deref() {
        Some("yes" | "on" | "1") => "https",
        _ => "http",
    }
}

/// Bytes as text: each is the character of its number.
pub(super) fn latin1(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => text.into(),
        _ => bytes.iter().copied().map(char::from).collect(),
    }
}

fn percent_decoded(path: &str) -> Cow<'_, str> {
    if path.contains('%') {
        percent_decode_str(path).map(char::from).collect()
    } else {
        path.into()
    }
}

/// `Accept-Language` is `HTTP_ACCEPT_LANGUAGE`.
fn http_key(name: &str) -> String {
    let name = name.chars().map(|character| match character {
        '-' => '_',
        other => other.to_ascii_uppercase(),
    });
    "HTTP_".chars().chain(name).collect()
}

/// Whether a field called `name` is the variable `key` (without `HTTP_`).
///
/// A name with an underscore is no variable at all: it would pass for the one with a hyphen,
/// which a proxy in front may have checked or set (ENV-14).
fn is_named(name: &str, key: &str) -> bool {
    let corresponds = |(byte, expected): (u8, u8)| match byte {
        b'_' => false,
        b'-' => expected == b'_',
        other => other.to_ascii_uppercase() == expected,
    };
    name.len() == key.len() && name.bytes().zip(key.bytes()).all(corresponds)
}
