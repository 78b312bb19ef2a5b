//! `environ`: the request as a dictionary.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Mutex;

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::sync::critical_section::with_critical_section;
use pyo3::types::{PyBytes, PyDict, PyString};
use serve_forever::wsgi::Environ;

use crate::input::Input;
use crate::lock::recover;

/// How many names of header fields are kept as Python strings. Clients choose them, so there is a
/// limit.
const KEPT_KEYS: usize = 256;

/// After how many requests another environ is learnt. Clients change, so an old environ has less and
/// less in common with a request. To learn one costs more than to copy it, so it is not done often.
const LEARNT_USES: u32 = 64;

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
    /// The variables of `sys`, for `sys.stderr`, which a program may replace.
    sys: Py<PyDict>,
    /// `io.BytesIO`.
    bytes_io: Py<PyAny>,
    /// The `wsgi.input` of all requests without a body.
    no_input: Py<Input>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Keys that were used before. A dictionary finds a key faster if it is the same object.
    keys: Keys,
    /// What the environs are copied from.
    template: Option<Template>,
}

/// The key and the value of a variable.
type Variable = (Py<PyAny>, Py<PyAny>);

/// What the environs are copied from.
#[derive(Debug)]
struct Template {
    /// The variables of the base environ that it was made of.
    base: Vec<Variable>,
    /// The `sys.stderr` that it was made with.
    stderr: Py<PyAny>,
    /// The environ without the values of a request. It has the keys that every request has, so its
    /// copy does not have to grow.
    empty: Py<PyDict>,
    /// The environ of an earlier request.
    learnt: Option<Learnt>,
}

/// The environ of an earlier request. Most values of the next request are the same, so it costs
/// least to copy this one and to set what differs.
#[derive(Debug)]
struct Learnt {
    /// The environ, as if the request had no body.
    environ: Py<PyDict>,
    /// The variables of that request, in the order in which they are visited.
    variables: Vec<LearntVariable>,
    /// Their keys and values, one after the other. Strings of their own would be in many places of
    /// the memory, which a busy processor does not have in its cache.
    text: String,
    /// How many requests it was compared with.
    uses: u32,
}

#[derive(Debug)]
struct LearntVariable {
    /// The length of the key in the text, in bytes.
    key: usize,
    /// The length of the value in the text, in bytes.
    value: usize,
    /// The key as a Python string.
    name: Py<PyString>,
}

/// How an environ is made.
struct Recipe<'py> {
    /// Is copied.
    original: Bound<'py, PyDict>,
    /// What has to be set then. `None`: all variables of the request.
    differences: Option<Differences<'py>>,
    /// Whether the next environs shall be copied from this one.
    is_learnt: bool,
}

type Differences<'py> = Vec<(Bound<'py, PyString>, Bound<'py, PyString>)>;

impl Template {
    /// Returns whether it was made of the same objects as there are now. The program may change
    /// `base` on another thread. A Python without the interpreter's lock locks the dictionary.
    fn is_of(&self, base: &Bound<'_, PyDict>, stderr: &Bound<'_, PyAny>) -> bool {
        stderr.is(&self.stderr)
            && with_critical_section(base, || {
                let mut variables = base.iter().zip(&self.base);
                base.len() == self.base.len()
                    && variables.all(|((key, value), made)| key.is(&made.0) && value.is(&made.1))
            })
    }

    /// Returns how the environ of a request is made.
    fn recipe<'py>(&mut self, py: Python<'py>, request: &Environ<'_>) -> Recipe<'py> {
        let learnt = self.learnt.as_mut().filter(|it| it.uses < LEARNT_USES);
        let is_learnt = learnt.is_none();
        if let Some(learnt) = learnt {
            learnt.uses += 1;
            if let Some(differences) = learnt.differences(py, request) {
                return Recipe {
                    original: learnt.environ.bind(py).clone(),
                    differences: Some(differences),
                    is_learnt,
                };
            }
        }
        Recipe {
            original: self.empty.bind(py).clone(),
            differences: None,
            is_learnt,
        }
    }
}

impl Learnt {
    /// Returns what differs in this request. `None`: it has other variables.
    fn differences<'py>(&self, py: Python<'py>, request: &Environ<'_>) -> Option<Differences<'py>> {
        let mut differences = Vec::new();
        let mut variables = self.variables.iter();
        let mut text = &*self.text;
        let mut next = |length| {
            let (next, rest) = text.split_at_checked(length).unwrap_or_default();
            text = rest;
            next
        };
        let mut has_these = true;
        for_each_variable(request, |key, value| {
            match variables.next().filter(|learnt| next(learnt.key) == key) {
                Some(learnt) if next(learnt.value) == value => {}
                Some(learnt) => {
                    differences.push((learnt.name.bind(py).clone(), value_of(py, value)));
                }
                None => has_these = false,
            }
        });
        (has_these && variables.next().is_none()).then_some(differences)
    }
}

/// Lends the variables of a request to `visit`. `SERVER_NAME` is that of the base environ.
fn for_each_variable(request: &Environ<'_>, mut visit: impl FnMut(&str, &str)) {
    request.for_each_besides_wsgi(|key, value| {
        if key != "SERVER_NAME" {
            visit(key, value);
        }
    });
}

type Keys = HashMap<String, Py<PyString>, BuildHasherDefault<KeyHasher>>;

impl Environs {
    /// Takes the variables of the gateway.
    pub fn new(py: Python<'_>, gateway: Py<PyDict>) -> PyResult<Environs> {
        Ok(Environs {
            kept: Mutex::default(),
            gateway,
            sys: py.import("sys")?.dict().unbind(),
            bytes_io: py.import("io")?.getattr("BytesIO")?.unbind(),
            no_input: Py::new(py, Input::empty())?,
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
        let recipe = self.recipe(base, environ)?;
        let dict = recipe.original.copy()?;
        match recipe.differences {
            Some(differences) => {
                for (key, value) in differences {
                    dict.set_item(key, value)?;
                }
            }
            None => self.put_request(&dict, environ)?,
        }
        if recipe.is_learnt {
            self.learn(&recipe.original, &dict, environ)?;
        }
        if let Some(input) = self.input(py, environ)? {
            dict.set_item(intern!(py, "wsgi.input"), input)?;
        }
        if environ.request().is_some_and(|it| it.scheme() == "https") {
            dict.set_item(intern!(py, "wsgi.url_scheme"), intern!(py, "https"))?;
        }
        Ok(dict)
    }

    /// Returns how the environ of a request is made.
    fn recipe<'py>(
        &self,
        base: &Bound<'py, PyDict>,
        request: &Environ<'_>,
    ) -> PyResult<Recipe<'py>> {
        let py = base.py();
        let stderr = self.sys.bind(py).get_item(intern!(py, "stderr"))?;
        let stderr = stderr.ok_or_else(|| PyRuntimeError::new_err("lost sys.stderr"))?;
        let mut kept = self.lock(py);
        let template = kept.template.as_mut();
        if let Some(template) = template.filter(|it| it.is_of(base, &stderr)) {
            return Ok(template.recipe(py, request));
        }
        drop(kept);
        let mut template = self.template(base, stderr)?;
        let recipe = template.recipe(py, request);
        let old = self.lock(py).template.replace(template);
        drop(old); // this may run Python code, so the lock is released before
        Ok(recipe)
    }

    /// Makes a template, because there is none, or because the program has changed `base` or
    /// `sys.stderr`.
    fn template(&self, base: &Bound<'_, PyDict>, stderr: Bound<'_, PyAny>) -> PyResult<Template> {
        let py = base.py();
        let empty = PyDict::new(py);
        for key in REQUEST_KEYS {
            empty.set_item(PyString::intern(py, key), "")?;
        }
        let variables: Vec<_> = with_critical_section(base, || base.iter().collect());
        for (key, value) in &variables {
            empty.set_item(key, value)?;
        }
        empty.update(self.gateway.bind(py).as_mapping())?;
        empty.set_item(intern!(py, "wsgi.errors"), &stderr)?;
        empty.set_item(intern!(py, "wsgi.input"), &self.no_input)?;
        let variables = variables.into_iter();
        Ok(Template {
            base: variables
                .map(|(key, value)| (key.unbind(), value.unbind()))
                .collect(),
            stderr: stderr.unbind(),
            empty: empty.unbind(),
            learnt: None,
        })
    }

    /// Puts the variables of the request into `dict`.
    fn put_request(&self, dict: &Bound<'_, PyDict>, environ: &Environ<'_>) -> PyResult<()> {
        let py = dict.py();
        let mut kept = self.lock(py);
        let mut result = Ok(());
        for_each_variable(environ, |key, value| {
            if result.is_ok() {
                result = dict.set_item(known(py, &mut kept.keys, key), value_of(py, value));
            }
        });
        result
    }

    /// Keeps a copy of `environ` for the next requests, if `original` still belongs to the template.
    fn learn(
        &self,
        original: &Bound<'_, PyDict>,
        environ: &Bound<'_, PyDict>,
        request: &Environ<'_>,
    ) -> PyResult<()> {
        let py = environ.py();
        let environ = environ.copy()?.unbind();
        let mut kept = self.lock(py);
        let Kept { keys, template } = &mut *kept;
        let Some(template) = template.as_mut().filter(|it| original.is(&it.empty)) else {
            return Ok(());
        };
        let (mut variables, mut text) = (Vec::new(), String::new());
        for_each_variable(request, |key, value| {
            text.push_str(key);
            text.push_str(value);
            variables.push(LearntVariable {
                key: key.len(),
                value: value.len(),
                name: known(py, keys, key).unbind(),
            });
        });
        let old = template.learnt.replace(Learnt {
            environ,
            variables,
            text,
            uses: 0,
        });
        drop(kept);
        drop(old); // this may run Python code, so the lock is released before
        Ok(())
    }

    /// Returns the `wsgi.input` of a request that has a body.
    fn input<'py>(
        &self,
        py: Python<'py>,
        environ: &mut Environ<'_>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let body = environ.request().map_or(&b""[..], |request| request.body());
        if !body.is_empty() {
            let bytes_io = self.bytes_io.bind(py);
            return bytes_io.call1((PyBytes::new(py, body),)).map(Some);
        }
        if environ.input().fill_buf().is_ok_and(<[u8]>::is_empty) {
            return Ok(None);
        }
        let input = environ.take_input().map(Input::new);
        let input = input.map(|input| Bound::new(py, input)).transpose()?;
        Ok(input.map(Bound::into_any))
    }

    /// Waits without the interpreter's lock: the thread that has this one may give that up and take
    /// it again, for example to intern a string for the first time.
    fn lock(&self, py: Python<'_>) -> std::sync::MutexGuard<'_, Kept> {
        recover(self.kept.lock_py_attached(py))
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
