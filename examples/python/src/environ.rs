//! `environ`: the request as a dictionary.

use std::sync::Mutex;

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyBytes, PyDict};
use serve_forever::wsgi::Environ;

use crate::input::Input;
use crate::lock::recover;
use crate::strings::{Keys, value_of};
use crate::template::{Learnt, Recipe, Template, for_each_variable};

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
    /// The keys of all requests.
    keys: Keys,
    /// What the environs are copied from.
    template: Option<Template>,
}

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
        if recipe.must_learn {
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
        // There is no template, or the program has changed `base` or `sys.stderr`.
        let (gateway, no_input) = (self.gateway.bind(py), self.no_input.bind(py));
        let mut template = Template::new(base, gateway, stderr, no_input)?;
        let recipe = template.recipe(py, request);
        let old = self.lock(py).template.replace(template);
        drop(old); // this may run Python code, so the lock is released before
        Ok(recipe)
    }

    /// Puts the variables of the request into `dict`.
    fn put_request(&self, dict: &Bound<'_, PyDict>, request: &Environ<'_>) -> PyResult<()> {
        let py = dict.py();
        let mut kept = self.lock(py);
        let mut result = Ok(());
        for_each_variable(request, |key, value| {
            if result.is_ok() {
                result = dict.set_item(kept.keys.known(py, key), value_of(py, value));
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
        let environ = environ.copy()?;
        let mut kept = self.lock(py);
        let Kept { keys, template } = &mut *kept;
        let Some(template) = template.as_mut().filter(|it| original.is(&it.empty)) else {
            return Ok(());
        };
        let old = template.learnt.replace(Learnt::new(environ, request, keys));
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
