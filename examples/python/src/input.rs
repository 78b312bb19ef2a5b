//! `wsgi.input` for a body that is empty, or not in memory.

use std::io::{self, BufRead, Read};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

/// A body that is empty, or is read from a file or as it arrives.
#[pyclass(frozen, module = "serve_forever._native")]
pub struct Input(Mutex<Box<dyn BufRead + Send>>);

impl Input {
    /// Makes the input of a request.
    pub fn new(input: Box<dyn BufRead + Send>) -> Input {
        Input(Mutex::new(input))
    }

    fn lock(&self) -> MutexGuard<'_, Box<dyn BufRead + Send>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads with `read`, while other threads may run.
    fn bytes<'py>(
        &self,
        py: Python<'py>,
        read: impl FnOnce(&mut dyn BufRead) -> io::Result<Vec<u8>> + Send,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = py.detach(|| read(&mut **self.lock()))?;
        Ok(PyBytes::new(py, &bytes))
    }

    fn line(input: &mut dyn BufRead, size: Option<u64>) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        match size {
            Some(size) => input.take(size).read_until(b'\n', &mut line)?,
            None => input.read_until(b'\n', &mut line)?,
        };
        Ok(line)
    }
}

/// Returns the most bytes that a call reads. `None` and numbers below zero mean: to the end.
fn limit(size: Option<i64>) -> Option<u64> {
    size.and_then(|size| u64::try_from(size).ok())
}

#[pymethods]
impl Input {
    /// Returns the next `size` bytes, or all to the end.
    #[pyo3(signature = (size = None, /))]
    fn read<'py>(&self, py: Python<'py>, size: Option<i64>) -> PyResult<Bound<'py, PyBytes>> {
        let size = limit(size).unwrap_or(u64::MAX);
        self.bytes(py, |input| {
            let mut bytes = Vec::new();
            input.take(size).read_to_end(&mut bytes)?;
            Ok(bytes)
        })
    }

    /// Returns the next line with its end, but not more than `size` bytes of it.
    #[pyo3(signature = (size = None, /))]
    fn readline<'py>(&self, py: Python<'py>, size: Option<i64>) -> PyResult<Bound<'py, PyBytes>> {
        self.bytes(py, |input| Input::line(input, limit(size)))
    }

    /// Returns the lines to the end, or until they have `hint` bytes together.
    #[pyo3(signature = (hint = None, /))]
    fn readlines<'py>(&self, py: Python<'py>, hint: Option<i64>) -> PyResult<Bound<'py, PyList>> {
        let enough = limit(hint).filter(|hint| *hint > 0).unwrap_or(u64::MAX);
        let lines = PyList::empty(py);
        let mut length = 0;
        while length < enough {
            let line = self.readline(py, None)?;
            if line.as_bytes().is_empty() {
                break;
            }
            length += line.as_bytes().len() as u64;
            lines.append(line)?;
        }
        Ok(lines)
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let line = self.readline(py, None)?;
        Ok(Some(line).filter(|line| !line.as_bytes().is_empty()))
    }
}
