//! Where the access log goes: what `sys.stderr` is now.

use std::sync::Mutex;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::lock::lock;

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
