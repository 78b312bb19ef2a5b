//! `environ`: the request as a dictionary.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};
use serve_forever::wsgi::Environ;

use crate::input::Input;

/// How many names of header fields are kept as Python strings. Clients choose them, so there is a
/// limit.
const KEPT_KEYS: usize = 256;

/// Makes the environ of each request.
#[derive(Debug)]
pub struct Environs {
    /// Keys that were used before. A dictionary finds a key faster if it is the same object.
    keys: Mutex<HashMap<String, Py<PyString>>>,
    /// The variables of the gateway, besides `wsgi.input` and `wsgi.errors`.
    gateway: Py<PyDict>,
    /// `sys`, for `sys.stderr`, which a program may replace.
    sys: Py<PyModule>,
    /// `io.BytesIO`.
    bytes_io: Py<PyAny>,
}

impl Environs {
    /// Takes the variables of the gateway.
    pub fn new(py: Python<'_>, gateway: Py<PyDict>) -> PyResult<Environs> {
        Ok(Environs {
            keys: Mutex::default(),
            gateway,
            sys: py.import("sys")?.unbind(),
            bytes_io: py.import("io")?.getattr("BytesIO")?.unbind(),
        })
    }

    /// Returns the environ of a request: the `base` environ of the server, then the request, then
    /// the variables of the gateway.
    pub fn make<'py>(
        &self,
        py: Python<'py>,
        base: &Bound<'py, PyDict>,
        environ: &mut Environ<'_>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let dict = base.copy()?;
        self.put_request(&dict, environ)?;
        dict.update(self.gateway.bind(py).as_mapping())?;
        let stderr = self.sys.bind(py).getattr(intern!(py, "stderr"))?;
        dict.set_item(intern!(py, "wsgi.errors"), stderr)?;
        dict.set_item(intern!(py, "wsgi.input"), self.input(py, environ)?)?;
        if environ.url_scheme() == "https" {
            dict.set_item(intern!(py, "wsgi.url_scheme"), intern!(py, "https"))?;
        }
        Ok(dict)
    }

    /// Puts the variables of the request into `dict`.
    fn put_request(&self, dict: &Bound<'_, PyDict>, environ: &Environ<'_>) -> PyResult<()> {
        let py = dict.py();
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let mut result = Ok(());
        environ.for_each(|key, value| {
            if result.is_ok() && !key.starts_with("wsgi.") && key != "SERVER_NAME" {
                result = dict.set_item(known(py, &mut keys, key), value_of(py, value));
            }
        });
        result
    }

    fn input<'py>(
        &self,
        py: Python<'py>,
        environ: &mut Environ<'_>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let body = environ.request().map_or(&b""[..], |request| request.body());
        let bytes_io = self.bytes_io.bind(py);
        if !body.is_empty() {
            return bytes_io.call1((PyBytes::new(py, body),));
        }
        let is_empty = environ.input().fill_buf().is_ok_and(<[u8]>::is_empty);
        match environ.take_input() {
            Some(input) if !is_empty => Ok(Bound::new(py, Input::new(input))?.into_any()),
            _ => bytes_io.call0(),
        }
    }
}

/// Returns `key` as a Python string, one that was used before if possible.
fn known<'py>(
    py: Python<'py>,
    keys: &mut HashMap<String, Py<PyString>>,
    key: &str,
) -> Bound<'py, PyString> {
    if let Some(known) = keys.get(key) {
        return known.bind(py).clone();
    }
    let string = PyString::intern(py, key);
    if keys.len() < KEPT_KEYS {
        keys.insert(key.to_owned(), string.clone().unbind());
    }
    string
}

/// Returns `value` as a Python string. The most frequent ones exist already.
fn value_of<'py>(py: Python<'py>, value: &str) -> Bound<'py, PyString> {
    match value {
        "GET" => intern!(py, "GET").clone(),
        "POST" => intern!(py, "POST").clone(),
        "HTTP/1.1" => intern!(py, "HTTP/1.1").clone(),
        value => PyString::new(py, value),
    }
}
