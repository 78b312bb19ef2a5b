//! The HTTP handler: the crate's `WsgiHandler`, and an access log that Python may write.

use std::net::SocketAddr;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyString;
use serve_forever::http::{
    BodyPolicy, HttpRequestHandler, HttpResult, LogEntry, Request, Response,
};
use serve_forever::wsgi::WsgiHandler;

use crate::application::PyApplication;
use crate::hooks::address_of;
use crate::interruption::Interruption;
use crate::stderr::{Found, Stderr};

/// Handles the requests of one connection.
#[derive(Debug, Clone)]
pub struct Handler {
    /// Calls the application.
    pub wsgi: WsgiHandler<PyApplication>,
    /// Writes the log. `None`: there is none.
    pub log: Option<Arc<PyLog>>,
}

/// The log methods of a `WSGIRequestHandler`, or the log of the crate where that writes the same.
#[derive(Debug)]
pub struct PyLog {
    /// Tells whether the crate can write the log. `None`: it never can, because the program has its
    /// own log methods.
    pub stderr: Option<Arc<Stderr>>,
    /// Is called with the name of a method and its arguments.
    pub callbacks: Py<PyAny>,
    /// Takes exceptions that are meant for the program.
    pub interruption: Interruption,
}

impl HttpRequestHandler for Handler {
    fn handle(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        self.wsgi.handle(request, response)
    }

    fn body_policy(&mut self, request: &Request<'_>) -> BodyPolicy {
        self.wsgi.body_policy(request)
    }

    fn log_request(&mut self, entry: &LogEntry<'_>) {
        self.log(entry, None);
    }

    fn log_error(&mut self, entry: &LogEntry<'_>, message: &str) {
        // The application may not have been called since `sys.stderr` was replaced.
        if let Some(stderr) = self.log.as_ref().and_then(|log| log.stderr.as_ref()) {
            Python::attach(|py| stderr.look(py));
        }
        self.log(entry, Some(message));
    }
}

impl Handler {
    fn log(&mut self, entry: &LogEntry<'_>, message: Option<&str>) {
        let Some(log) = &self.log else {
            return;
        };
        let stderr = log.stderr.as_ref().map(|stderr| stderr.found());
        match (stderr, message) {
            (Some(Found::Nothing), _) => {}
            (Some(Found::Own), None) => self.wsgi.log_request(entry),
            (Some(Found::Own), Some(message)) => self.wsgi.log_error(entry, message),
            (None | Some(Found::Replaced), message) => log.write(entry, message),
        }
    }
}

impl PyLog {
    fn write(&self, entry: &LogEntry<'_>, message: Option<&str>) {
        Python::attach(|py| {
            if let Err(error) = self.call(py, entry, message) {
                let _ = self.interruption.sort(py, error); // it is printed, or raised later
            }
        });
    }

    fn call(&self, py: Python<'_>, entry: &LogEntry<'_>, message: Option<&str>) -> PyResult<()> {
        let line: String = entry
            .request_line()
            .iter()
            .copied()
            .map(char::from)
            .collect();
        let client = entry
            .client_address()
            .map(|it: SocketAddr| address_of(py, &it))
            .transpose()?;
        let code = entry.code().unwrap_or_default();
        let line = PyString::new(py, &line);
        let arguments = (client, line, code, entry.sent(), message);
        self.callbacks
            .bind(py)
            .call_method1(pyo3::intern!(py, "log"), arguments)?;
        Ok(())
    }
}
