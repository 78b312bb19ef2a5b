//! `environ`: the request as a dictionary.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, PoisonError};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyBytes, PyDict, PyString};
use serve_forever::wsgi::Environ;

use crate::input::Input;

/// How many names of header fields are kept as Python strings. Clients choose them, so there is a
/// limit.
const KEPT_KEYS: usize = 256;

/// The variables that every request has.
const REQUEST_KEYS: [&str; 8] = [
    "CONTENT_LENGTH",
    "CONTENT_TYPE",
    "PATH_INFO",
    "QUERY_STRING",
    "REMOTE_ADDR",
    "REQUEST_METHOD",
    "REQUEST_URI",
    "SERVER_PROTOCOL",
];

/// Makes the environ of each request.
#[derive(Debug)]
pub struct Environs {
    /// What one request leaves for the next one.
    kept: Mutex<Kept>,
    /// The variables of the gateway, besides `wsgi.input` and `wsgi.errors`.
    gateway: Py<PyDict>,
    /// `sys`, for `sys.stderr`, which a program may replace.
    sys: Py<PyModule>,
    /// `io.BytesIO`.
    bytes_io: Py<PyAny>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Keys that were used before. A dictionary finds a key faster if it is the same object.
    keys: Keys,
    /// The variables of the base environ, and the environ that was made of them, without the values
    /// of a request.
    template: Option<(Vec<Variable>, Py<PyDict>)>,
}

/// The key and the value of a variable.
type Variable = (Py<PyAny>, Py<PyAny>);

impl Kept {
    /// Returns the template if it was made of the same objects as `base` has now.
    fn template_of<'py>(&self, base: &Bound<'py, PyDict>) -> Option<Bound<'py, PyDict>> {
        let (made_of, template) = self.template.as_ref()?;
        let mut variables = base.iter().zip(made_of);
        let is_same = base.len() == made_of.len()
            && variables.all(|((key, value), made_of)| key.is(&made_of.0) && value.is(&made_of.1));
        is_same.then(|| template.bind(base.py()).clone())
    }
}

type Keys = HashMap<String, Py<PyString>, BuildHasherDefault<KeyHasher>>;

impl Environs {
    /// Takes the variables of the gateway.
    pub fn new(py: Python<'_>, gateway: Py<PyDict>) -> PyResult<Environs> {
        Ok(Environs {
            kept: Mutex::default(),
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
        let dict = self.template(base)?.copy()?;
        self.put_request(&dict, environ)?;
        let stderr = self.sys.bind(py).getattr(intern!(py, "stderr"))?;
        dict.set_item(intern!(py, "wsgi.errors"), stderr)?;
        dict.set_item(intern!(py, "wsgi.input"), self.input(py, environ)?)?;
        if environ.request().is_some_and(|it| it.scheme() == "https") {
            dict.set_item(intern!(py, "wsgi.url_scheme"), intern!(py, "https"))?;
        }
        Ok(dict)
    }

    /// Returns an environ that has all keys of a request already, so its copy does not have to
    /// grow. It is made anew if the program has changed `base`.
    fn template<'py>(&self, base: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyDict>> {
        let py = base.py();
        let template = self.lock(py).template_of(base);
        if let Some(template) = template {
            return Ok(template);
        }
        let made_of: Vec<_> = base.iter().collect();
        let template = PyDict::new(py);
        for key in REQUEST_KEYS {
            template.set_item(PyString::intern(py, key), "")?;
        }
        for (key, value) in &made_of {
            template.set_item(key, value)?;
        }
        template.update(self.gateway.bind(py).as_mapping())?;
        template.set_item(intern!(py, "wsgi.errors"), py.None())?;
        template.set_item(intern!(py, "wsgi.input"), py.None())?;
        let made_of = made_of.into_iter();
        let made_of = made_of.map(|(key, value)| (key.unbind(), value.unbind()));
        let made = (made_of.collect(), template.clone().unbind());
        let old = self.lock(py).template.replace(made);
        drop(old); // this may run Python code, so the lock is released before
        Ok(template)
    }

    /// Puts the variables of the request into `dict`.
    fn put_request(&self, dict: &Bound<'_, PyDict>, environ: &Environ<'_>) -> PyResult<()> {
        let py = dict.py();
        let mut kept = self.lock(py);
        let mut result = Ok(());
        environ.for_each_besides_wsgi(|key, value| {
            if result.is_ok() && key != "SERVER_NAME" {
                result = dict.set_item(known(py, &mut kept.keys, key), value_of(py, value));
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
        match is_empty {
            true => bytes_io.call0(),
            false => match environ.take_input() {
                Some(input) => Ok(Bound::new(py, Input::new(input))?.into_any()),
                None => bytes_io.call0(),
            },
        }
    }

    /// Waits without the interpreter's lock: the thread that has this one may give that up and take
    /// it again, for example to intern a string for the first time.
    fn lock(&self, py: Python<'_>) -> std::sync::MutexGuard<'_, Kept> {
        let kept = self.kept.lock_py_attached(py);
        kept.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns `key` as a Python string, one that was used before if possible.
fn known<'py>(py: Python<'py>, keys: &mut Keys, key: &str) -> Bound<'py, PyString> {
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

/// A fast hash for few short keys. It need not withstand clients that choose the keys, because
/// there are at most [`KEPT_KEYS`].
#[derive(Debug, Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            let word = u64::from_le_bytes(word) ^ chunk.len() as u64;
            self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}
