//! Reports to the programmer. They go where Python writes its own: to `sys.stderr`, which a program
//! may replace at any time, and to `logging`.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;

use log::{Level, LevelFilter, Metadata, Record};
use pyo3::exceptions::{
    PyAssertionError, PyException, PyKeyboardInterrupt, PyOSError, PyRuntimeError,
};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serve_forever::wsgi::AppError;

use crate::hooks::address_of;
use crate::lock::lock;

/// Prints an exception to `sys.stderr`, with its traceback, as wsgiref does.
///
/// To print runs Python code, and a signal may arrive meanwhile. So this returns a second exception
/// that is meant for the program, such as `KeyboardInterrupt`.
#[must_use]
pub fn print_exception(py: Python<'_>, error: &PyErr) -> Option<PyErr> {
    let second = try_print(py, error).err()?;
    if !second.is_instance_of::<PyException>(py) {
        return Some(second);
    }
    second.write_unraisable(py, None);
    None
}

fn try_print(py: Python<'_>, error: &PyErr) -> PyResult<()> {
    let stderr = py
        .import(intern!(py, "sys"))?
        .getattr(intern!(py, "stderr"))?;
    if stderr.is_none() {
        return Ok(()); // `traceback` would take standard output
    }
    let arguments = PyDict::new(py);
    arguments.set_item(intern!(py, "file"), stderr)?;
    let traceback = py.import(intern!(py, "traceback"))?;
    let print_exception = traceback.getattr(intern!(py, "print_exception"))?;
    print_exception.call((error.value(py),), Some(&arguments))?;
    Ok(())
}

/// Reports that a request has failed. A mistake of the application is printed like its exceptions.
/// For all else, `callbacks` does what `socketserver.BaseServer.handle_error` does. The error is an
/// exception that was raised meanwhile.
pub fn report_failure(
    py: Python<'_>,
    callbacks: &Bound<'_, PyAny>,
    error: &(dyn Error + Send + Sync + 'static),
    client_address: &SocketAddr,
) -> PyResult<()> {
    if error.is::<AppError>() {
        let second = print_exception(py, &PyAssertionError::new_err(error.to_string()));
        return second.map_or(Ok(()), Err);
    }
    let error = match error.downcast_ref::<PyErr>() {
        Some(error) => error.clone_ref(py),
        None if error.is::<io::Error>() => PyOSError::new_err(with_causes(error)),
        None => PyRuntimeError::new_err(with_causes(error)),
    };
    let arguments = (error.value(py), address_of(py, client_address)?);
    callbacks.call_method1(intern!(py, "handle_error"), arguments)?;
    Ok(())
}

/// Returns the text of an error and of what has caused it. It may quote a client, so what could
/// control a terminal is escaped.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text.escape_debug().to_string()
}

/// Looks at `sys.stderr` for the access log. If that is the process's standard error, the crate can
/// write there by itself, which costs less.
#[derive(Debug)]
pub struct Stderr {
    /// The variables of `sys`.
    sys: Py<PyDict>,
    /// What the last look has found.
    found: Mutex<Found>,
}

/// What `sys.stderr` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The file that the interpreter has made for the process's standard error.
    Own,
    /// Something else: the program has replaced it.
    Replaced,
    /// `None`: the process has no standard error. Then another file may have that descriptor, so
    /// nothing is written.
    Nothing,
}

impl Stderr {
    /// Takes a first look.
    pub fn new(py: Python<'_>) -> PyResult<Stderr> {
        let stderr = Stderr {
            sys: py.import("sys")?.dict().unbind(),
            found: Mutex::new(Found::Nothing),
        };
        stderr.look(py);
        Ok(stderr)
    }

    /// Looks at `sys.stderr`.
    pub fn look(&self, py: Python<'_>) {
        let sys = self.sys.bind(py);
        let variable = |name| sys.get_item(name).ok().flatten();
        let found = match variable(intern!(py, "stderr")) {
            None => Found::Nothing,
            Some(now) if now.is_none() => Found::Nothing,
            Some(now) => match variable(intern!(py, "__stderr__")) {
                Some(own) if own.is(&now) => Found::Own,
                _ => Found::Replaced,
            },
        };
        *lock(&self.found) = found;
    }

    /// Returns what the last look has found.
    pub fn found(&self) -> Found {
        *lock(&self.found)
    }
}

/// Passes on to `logging` what the crate logs: errors that concern no request, such as a client that
/// cannot be accepted. The logger is `serve_forever`. If a program does not set up `logging`, that
/// writes to `sys.stderr`.
struct Logger;

impl log::Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = match record.level() {
            Level::Error => 40, // logging.ERROR
            _ => 30,            // logging.WARNING
        };
        let message = record.args().to_string();
        // `None`: the interpreter ends.
        Python::try_attach(|py| {
            let logged = log_in_python(py, level, &message).or_else(|error| {
                match error.is_instance_of::<PyKeyboardInterrupt>(py) {
                    true => interrupt_main(py),
                    false => Err(error),
                }
            });
            if let Err(error) = logged {
                error.write_unraisable(py, None);
            }
        });
    }

    fn flush(&self) {}
}

fn log_in_python(py: Python<'_>, level: u8, message: &str) -> PyResult<()> {
    let logging = py.import(intern!(py, "logging"))?;
    let logger = logging.call_method1(intern!(py, "getLogger"), ("serve_forever",))?;
    logger.call_method1(intern!(py, "log"), (level, "%s", message))?;
    Ok(())
}

/// Lets the signal of Ctrl-C arrive again. The crate's log has no way to return an exception.
fn interrupt_main(py: Python<'_>) -> PyResult<()> {
    let thread = py.import(intern!(py, "_thread"))?;
    thread.call_method0(intern!(py, "interrupt_main"))?;
    Ok(())
}

/// Passes on to `logging` what the crate logs from now on.
pub fn log_to_python() {
    // Ignore the error: it is set already.
    let _ = log::set_logger(&Logger);
    log::set_max_level(LevelFilter::Warn);
}
