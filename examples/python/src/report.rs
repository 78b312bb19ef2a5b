//! Reports of failures. They go where Python writes its own: to `sys.stderr`, which a program may
//! replace at any time.

use std::error::Error;
use std::io;
use std::net::SocketAddr;

use pyo3::exceptions::{PyAssertionError, PyException, PyOSError, PyRuntimeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serve_forever::wsgi::AppError;

use crate::hooks::address_of;

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
