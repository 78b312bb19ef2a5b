//! Applications as CGI programs (RFC 3875). Python's `CGIHandler` and `IISCGIHandler`.

use std::collections::BTreeMap;
use std::env;
use std::io;

use super::application::Application;
use super::environ::latin1;
use super::simple_handler::SimpleHandler;
use crate::socketserver::HandlerResult;

/// Runs an application for the one request that a web server has started this process for.
///
/// The request is in the environment and on standard input, the answer goes to standard output,
/// and what fails to standard error (WSGI-29). `wsgi.run_once` and `wsgi.multiprocess` are true,
/// `wsgi.multithread` is false.
///
/// ```no_run
/// use serve_forever::wsgi::{CgiHandler, demo_app};
///
/// CgiHandler::new().run(&demo_app)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct CgiHandler {
    environ: BTreeMap<String, String>,
}

impl CgiHandler {
    /// A handler for the request in the environment of this process: Python's `CGIHandler`.
    pub fn new() -> CgiHandler {
        CgiHandler {
            environ: read_environ(),
        }
    }

    /// As [`new`](CgiHandler::new), for Microsoft's IIS, which repeats `SCRIPT_NAME` at the
    /// beginning of `PATH_INFO` unless it is told not to: Python's `IISCGIHandler`.
    pub fn for_iis() -> CgiHandler {
        let mut environ = read_environ();
        strip_script_name(&mut environ);
        CgiHandler { environ }
    }

    /// Calls the application and writes its answer.
    ///
    /// # Errors
    ///
    /// As [`SimpleHandler::run`].
    pub fn run(self, application: &(impl Application + ?Sized)) -> HandlerResult {
        let (stdin, stdout) = (io::stdin().lock(), io::stdout().lock());
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

/// The environment of this process as an environ, request variables as Latin-1: each character
/// one byte (PEP 3333). Python's `read_environ`.
///
/// `HTTP_PROXY` is left out: a client's `Proxy` field becomes that, and libraries take it for the
/// proxy that they are to use (ENV-14).
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

/// Whether the web server has made this variable of the request.
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
    // A redirect, in the web server, puts one such word before the variables of the first request.
    let key = key.trim_start_matches("REDIRECT_");
    REQUEST.contains(&key) || key.starts_with("HTTP_") || key.starts_with("SSL_")
}

/// Takes `SCRIPT_NAME` off the beginning of `PATH_INFO`, if it ends there at a slash (WSGI-29).
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
