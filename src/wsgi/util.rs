//! Small functions for servers, applications and middleware. Python's `wsgiref.util`.

use std::time::SystemTime;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::base_environ::python_bool;
use super::environ::{Environ, guess_scheme};
use super::latin1::latin1_bytes;
use crate::http;

/// Returns the URI of the application: that of the request without `PATH_INFO` and the query
/// ([UTIL-3]).
///
/// ```
/// use serve_forever::wsgi::{Environ, application_uri, request_uri};
///
/// let environ: Environ = [
///     ("HTTP_HOST", "example.org"),
///     ("SCRIPT_NAME", "/shop"),
///     ("PATH_INFO", "/list"),
///     ("QUERY_STRING", "page=2"),
/// ].into_iter().collect();
/// assert_eq!(application_uri(&environ), "http://example.org/shop");
/// assert_eq!(request_uri(&environ, true), "http://example.org/shop/list?page=2");
/// ```
///
/// [UTIL-3]: crate::spec#util-3
pub fn application_uri(environ: &Environ<'_>) -> String {
    origin(environ) + &script_name(environ)
}

/// Returns scheme and host, as in `http://example.org`.
fn origin(environ: &Environ<'_>) -> String {
    let scheme = environ.url_scheme();
    let host = environ.get("HTTP_HOST").filter(|host| !host.is_empty());
    let host = match host {
        Some(host) => host.into_owned(),
        None => server(environ, &scheme),
    };
    format!("{scheme}://{host}")
}

/// `SCRIPT_NAME`, percent-encoded, or `/` if it is empty.
fn script_name(environ: &Environ<'_>) -> String {
    let script_name = environ.get("SCRIPT_NAME").unwrap_or_default();
    match &*script_name {
        "" => "/".to_owned(),
        script_name => quote(script_name, SAFE),
    }
}

/// `SERVER_NAME`, and the port unless it is the usual one for the scheme.
fn server(environ: &Environ<'_>, scheme: &str) -> String {
    let mut server = environ.get("SERVER_NAME").unwrap_or_default().into_owned();
    if server.contains(':') && !server.starts_with('[') {
        server = format!("[{server}]"); // an IPv6 address (RFC 3986 section 3.2.2)
    }
    let port = environ.get("SERVER_PORT").unwrap_or_default();
    let usual = if scheme == "https" { "443" } else { "80" };
    if port != usual && !port.is_empty() {
        server.push(':');
        server.push_str(&port);
    }
    server
}

/// Returns the URI of the request, with or without its query ([UTIL-4]).
///
/// [UTIL-4]: crate::spec#util-4
pub fn request_uri(environ: &Environ<'_>, include_query: bool) -> String {
    origin(environ) + &path_and_query(environ, include_query)
}

/// Returns the part of [`request_uri`] that follows the host.
pub(super) fn path_and_query(environ: &Environ<'_>, include_query: bool) -> String {
    let mut uri = script_name(environ);
    let path_info = quote(&environ.get("PATH_INFO").unwrap_or_default(), SAFE_IN_PATH);
    let mut path_info = path_info.as_str();
    if environ.get("SCRIPT_NAME").unwrap_or_default().is_empty() {
        // The URI ends with a slash already. Python drops the first character, whatever it is.
        path_info = path_info.strip_prefix('/').unwrap_or(path_info);
    }
    uri.push_str(path_info);
    let query = environ.get("QUERY_STRING").unwrap_or_default();
    if include_query && !query.is_empty() {
        uri.push('?');
        uri.push_str(&query);
    }
    uri
}

/// The bytes that `urllib.parse.quote` encodes: all but these.
const SAFE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'_')
    .remove(b'.')
    .remove(b'-')
    .remove(b'~')
    .remove(b'/');

/// Fewer bytes are encoded in `PATH_INFO` ([UTIL-4]).
///
/// [UTIL-4]: crate::spec#util-4
const SAFE_IN_PATH: &AsciiSet = &SAFE.remove(b';').remove(b'=').remove(b',');

/// Percent-encodes the bytes that the characters stand for. Text of a request is Latin-1; other
/// text is encoded in UTF-8.
fn quote(text: &str, set: &'static AsciiSet) -> String {
    let bytes = latin1_bytes(text).unwrap_or_else(|| text.as_bytes().into());
    percent_encode(&bytes, set).to_string()
}

/// Moves one segment from `PATH_INFO` to `SCRIPT_NAME` and returns it. Returns `None` if there is
/// none ([UTIL-5]).
///
/// A router finds its application with it:
///
/// ```
/// use serve_forever::wsgi::{AppResult, Application, Environ, StartResponse, shift_path_info};
///
/// struct Site<A, B> {
///     blog: A,
///     shop: B,
/// }
///
/// impl<A: Application, B: Application> Application for Site<A, B> {
///     fn call(&self, environ: &mut Environ<'_>, start_response: &mut dyn StartResponse) -> AppResult {
///         match shift_path_info(environ).as_deref() {
///             Some("blog") => self.blog.call(environ, start_response),
///             Some("shop") => self.shop.call(environ, start_response),
///             _ => {
///                 start_response.call("404 Not Found", &[("Content-Type", "text/plain")])?;
///                 Ok("Nothing here.\n".into())
///             }
///         }
///     }
/// }
/// # fn assert_application<A: Application, B: Application>(site: &Site<A, B>) -> &dyn Application { site }
/// ```
///
/// Empty segments and `.` between other segments are dropped, and `..` shortens `SCRIPT_NAME`. If
/// the path is only `/`, the segment is empty and `SCRIPT_NAME` ends with a slash, so that an
/// application can distinguish `/x` from `/x/`.
///
/// [UTIL-5]: crate::spec#util-5
pub fn shift_path_info(environ: &mut Environ<'_>) -> Option<String> {
    let path_info = environ.get("PATH_INFO")?.into_owned();
    if path_info.is_empty() {
        return None;
    }
    // Python fails if the slash is missing.
    let path = path_info.strip_prefix('/').unwrap_or(&path_info);
    let (between, last) = path.rsplit_once('/').unwrap_or(("", path));
    let mut segments = between
        .split('/')
        .filter(|segment| !segment.is_empty() && *segment != ".")
        .chain([last]);
    let name = segments.next().unwrap_or_default().to_owned();
    let rest: String = segments.map(|segment| format!("/{segment}")).collect();
    let script_name = join(&environ.get("SCRIPT_NAME").unwrap_or_default(), &name);
    environ.insert("SCRIPT_NAME", script_name);
    environ.insert("PATH_INFO", rest);
    (name != ".").then_some(name)
}

/// Adds a segment to `script_name`, and resolves `.` and `..`.
fn join(script_name: &str, name: &str) -> String {
    let mut segments = Vec::new();
    for segment in script_name.split('/').chain([name]) {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    if name.is_empty() {
        segments.push(""); // the slash at the end
    }
    segments
        .iter()
        .map(|segment| format!("/{segment}"))
        .collect()
}

/// Fills an environ for a test: adds the variables that are missing for a GET request for `/`
/// ([UTIL-6]).
///
/// Variables that are there already stay. `wsgi.errors` becomes a buffer in memory, unless it was
/// replaced already. The values are made up, so a server must not use them.
///
/// ```
/// use serve_forever::wsgi::{Environ, setup_testing_defaults};
///
/// let mut environ = Environ::new();
/// environ.insert("HTTPS", "on");
/// setup_testing_defaults(&mut environ);
/// assert_eq!(environ.get("REQUEST_METHOD").as_deref(), Some("GET"));
/// assert_eq!(environ.get("SERVER_PORT").as_deref(), Some("443"));
/// ```
///
/// [UTIL-6]: crate::spec#util-6
pub fn setup_testing_defaults(environ: &mut Environ<'_>) {
    setdefault(environ, "SERVER_NAME", "127.0.0.1");
    setdefault(environ, "SERVER_PROTOCOL", "HTTP/1.0");
    let host = environ.get("SERVER_NAME").unwrap_or_default().into_owned();
    setdefault(environ, "HTTP_HOST", &host);
    setdefault(environ, "REQUEST_METHOD", "GET");
    if !environ.contains_key("SCRIPT_NAME") && !environ.contains_key("PATH_INFO") {
        environ.insert("SCRIPT_NAME", "");
        environ.insert("PATH_INFO", "/");
    }
    if !environ.has_errors() {
        environ.set_errors(Vec::new());
    }
    setdefault(environ, "wsgi.version", "(1, 0)");
    setdefault(environ, "wsgi.run_once", python_bool(false));
    setdefault(environ, "wsgi.multithread", python_bool(false));
    setdefault(environ, "wsgi.multiprocess", python_bool(false));
    setdefault(environ, "wsgi.input", "<input>");
    setdefault(environ, "wsgi.errors", "<errors>");
    let scheme = guess_scheme(environ);
    setdefault(environ, "wsgi.url_scheme", scheme);
    let scheme = environ.url_scheme().into_owned();
    match scheme.as_str() {
        "http" => setdefault(environ, "SERVER_PORT", "80"),
        "https" => setdefault(environ, "SERVER_PORT", "443"),
        _ => {}
    }
}

fn setdefault(environ: &mut Environ<'_>, key: &str, value: &str) {
    if !environ.contains_key(key) {
        environ.insert(key, value);
    }
}

/// Formats a time for an HTTP field: `Sun, 06 Nov 1994 08:49:37 GMT` ([UTIL-7], [HTTP-33]).
///
/// Fractions of a second are cut off. A time before 1970 becomes the first second of 1970, and a
/// time after 9999 the last second of 9999.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
///
/// let time = UNIX_EPOCH + Duration::from_secs(784_111_777);
/// assert_eq!(serve_forever::wsgi::format_date_time(time), "Sun, 06 Nov 1994 08:49:37 GMT");
/// ```
///
/// [HTTP-33]: crate::spec#http-33
/// [UTIL-7]: crate::spec#util-7
pub fn format_date_time(time: SystemTime) -> String {
    http::format_date_time(time)
}
