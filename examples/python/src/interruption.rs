//! Exceptions that are meant for the program and not for a request: `KeyboardInterrupt`,
//! `SystemExit`.

use std::sync::{Arc, Mutex, OnceLock};

use pyo3::exceptions::{
    PyBrokenPipeError, PyConnectionAbortedError, PyConnectionResetError, PyException,
};
use pyo3::prelude::*;
use serve_forever::socketserver::{Failure, ShutdownHandle};

use crate::lock::lock;
use crate::report::print_exception;

/// Takes the first exception that is meant for the program, and stops the loop, which raises it.
///
/// It may come from any call into Python, on any thread. Some of these calls cannot fail as far as
/// the crate is concerned, such as `close()`. So exceptions do not travel through it.
#[derive(Debug, Clone, Default)]
pub struct Interruption(Arc<Pending>);

#[derive(Debug, Default)]
struct Pending {
    /// The exception to be raised.
    error: Mutex<Option<PyErr>>,
    /// Stops the loop.
    shutdown: OnceLock<ShutdownHandle>,
}

impl Interruption {
    /// Sets what stops the loop.
    pub fn stop_by(&self, shutdown: ShutdownHandle) {
        // Ignore the error: it is set once.
        let _ = self.0.shutdown.set(shutdown);
    }

    /// Takes the exception, to be raised.
    pub fn take(&self) -> Option<PyErr> {
        lock(&self.0.error).take()
    }

    /// Sorts an exception that an application or a hook has raised: keeps it for the program, or
    /// prints its traceback. Returns what the crate is told.
    pub fn sort(&self, py: Python<'_>, error: PyErr) -> Failure {
        let for_program = match error.is_instance_of::<PyException>(py) {
            true => report(py, &error),
            false => Some(error),
        };
        if let Some(error) = for_program {
            self.keep(error);
            if let Some(shutdown) = self.0.shutdown.get() {
                shutdown.request();
            }
        }
        Failure::from(ReportedError)
    }

    /// Keeps the first exception. To drop another one may run Python code, so the lock is released
    /// before.
    fn keep(&self, error: PyErr) {
        let mut pending = lock(&self.0.error);
        let late = match *pending {
            Some(_) => Some(error),
            None => pending.replace(error),
        };
        drop(pending);
        drop(late);
    }
}

/// An exception of an application that was dealt with already.
#[derive(Debug)]
pub struct ReportedError;

impl std::fmt::Display for ReportedError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the application raised an exception")
    }
}

impl std::error::Error for ReportedError {}

/// Prints the traceback to `sys.stderr`, as wsgiref does. Nothing is printed if the client has
/// disconnected. Returns an exception for the program that was raised meanwhile.
fn report(py: Python<'_>, error: &PyErr) -> Option<PyErr> {
    let gone = error.is_instance_of::<PyBrokenPipeError>(py)
        || error.is_instance_of::<PyConnectionAbortedError>(py)
        || error.is_instance_of::<PyConnectionResetError>(py);
    match gone {
        true => None,
        false => print_exception(py, error),
    }
}
