//! Applications as CGI programs (RFC 3875). Python's `CGIHandler` and `IISCGIHandler`.

use std::collections::BTreeMap;
use std::env;
use std::io;

use super::application::Application;
use super::latin1::latin1;
use super::simple_handler::SimpleHandler;
use crate::socketserver::HandlerResult;

/// Runs an application as a CGI program: for the one request for which a web server has started
/// this process.
///
/// The request is in the environment and on standard input. The response goes to standard output,
/// failures to standard error ([WSGI-29]). `wsgi.run_once` and `wsgi.multiprocess` are true,
/// `wsgi.multithread` is false.
///
/// ```no_run
/// use serve_forever::wsgi::{CgiHandler, demo_app};
///
/// CgiHandler::new().run(&demo_app)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [WSGI-29]: crate::spec#wsgi-29
#[derive(Debug, Clone)]
pub struct CgiHandler {
    /// The variables of the request.
    environ: BTreeMap<String, String>,
}

impl CgiHandler {
    /// Returns a handler for the request in the environment of this process. Python's
    /// `CGIHandler`.
    pub fn new() -> CgiHandler {
        CgiHandler {
            environ: read_environ(),
        }
    }

    /// Like [`new`](CgiHandler::new), but for Microsoft's IIS, which by default repeats
    /// `SCRIPT_NAME` at the beginning of `PATH_INFO`. Python's `IISCGIHandler`.
    pub fn for_iis() -> CgiHandler {
        let mut environ = read_environ();
        strip_script_name(&mut environ);
        CgiHandler { environ }
    }

    /// Calls the application and writes its response.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`SimpleHandler::run`].
    pub fn run(self, application: &(impl Application + ?Sized)) -> HandlerResult {
        let (stdin, stdout) = (io::stdin().lock(), io::stdout());
        SimpleHandler::new(stdin, stdout, io::stderr(), self.environ)
            .origin_server(false)
            .multithread(false)
            .multiprocess(true)
            .run_once(true)
            .run(application)
    }
}

impl Default for CgiHandler {
    fn default() -> CgiHandler {
        CgiHandler::new()
    }
}

/// Returns the environment of this process as an environ. Python's `read_environ`.
///
/// The variables of the request are in Latin-1: each character stands for one byte (PEP 3333).
///
/// `HTTP_PROXY` is left out. A web server makes it from the client's `Proxy` field, and libraries
/// would send their requests to that address ([ENV-14]).
///
/// [ENV-14]: crate::spec#env-14
pub fn read_environ() -> BTreeMap<String, String> {
    env::vars_os()
        .map(|(key, value)| {
            let key = key.to_string_lossy().into_owned();
            let value = match is_of_request(&key) {
                true => latin1(value.as_encoded_bytes()).into_owned(),
                false => value.to_string_lossy().into_owned(),
            };
            (key, value)
        })
        .filter(|(key, _)| key != "HTTP_PROXY")
        .collect()
}

/// Returns whether the web server made this variable from the request.
fn is_of_request(key: &str) -> bool {
    const REQUEST: [&str; 10] = [
        "SCRIPT_NAME",
        "PATH_INFO",
        "QUERY_STRING",
        "REQUEST_METHOD",
        "AUTH_TYPE",
        "CONTENT_TYPE",
        "CONTENT_LENGTH",
        "HTTPS",
        "REMOTE_USER",
        "REMOTE_IDENT",
    ];
    // A redirect inside the web server puts this word before the variables of the first request.
    let key = key.trim_start_matches("REDIRECT_");
    REQUEST.contains(&key) || key.starts_with("HTTP_") || key.starts_with("SSL_")
}

/// Removes `SCRIPT_NAME` from the beginning of `PATH_INFO`, if a slash or the end follows it
/// ([WSGI-29]).
///
/// [WSGI-29]: crate::spec#wsgi-29
fn strip_script_name(environ: &mut BTreeMap<String, String>) {
    let variable = |key| environ.get(key).map_or("", String::as_str);
    let path = variable("PATH_INFO").strip_prefix(variable("SCRIPT_NAME"));
    if let Some(path) = path.filter(|path| path.is_empty() || path.starts_with('/')) {
        let path = path.to_owned();
        environ.insert("PATH_INFO".to_owned(), path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// WSGI-29: the prefix goes when a slash or the end follows it.
    #[test]
    fn script_names_of_iis() {
        let cases = [
            ("/my/app", "/my/app/path", "/path"),
            ("/my/app", "/my/app/", "/"),
            ("/my/app", "/my/app", ""),
            ("/my/app", "/my/apple", "/my/apple"),
            ("/my/app", "/path", "/path"),
            ("/my/app", "", ""),
            ("", "/path", "/path"),
            ("", "", ""),
        ];
        for (script_name, path_info, expected) in cases {
            let pairs = [("SCRIPT_NAME", script_name), ("PATH_INFO", path_info)];
            let mut environ = pairs
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into();
            strip_script_name(&mut environ);
            assert_eq!(
                environ["PATH_INFO"], expected,
                "{script_name:?} {path_info:?}"
            );
        }
    }

    /// WSGI-29: which variables are "bytes as text", as in Python's `_needs_transcode`.
    #[test]
    fn variables_of_the_request() {
        for key in [
            "PATH_INFO",
            "HTTP_X",
            "SSL_X",
            "REDIRECT_PATH_INFO",
            "REDIRECT_REDIRECT_SSL_X",
        ] {
            assert!(is_of_request(key), "{key}");
        }
        for key in [
            "PATH",
            "XHTTP_X",
            "REDIRECT_PATH",
            "SERVER_NAME",
            "path_info",
        ] {
            assert!(!is_of_request(key), "{key}");
        }
    }
}
