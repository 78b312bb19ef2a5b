//! `wsgi.input` for a body that is empty, or not in memory.

use std::io::{self, BufRead, Read};
use std::sync::Mutex;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyMemoryView, PySlice};

use crate::lock::lock;

/// A body that is empty, or is read from a file or as it arrives. It has what `io.BufferedReader` and
/// `io.TextIOWrapper` ask for, so a program can wrap it.
#[pyclass(frozen, module = "serve_forever._native")]
pub struct Input {
    /// The bytes that are not read yet. `None` when it is closed.
    body: Mutex<Option<Body>>,
    /// Whether several requests have this object: it is empty, and stays open.
    is_shared: bool,
}

type Body = Box<dyn BufRead + Send>;

impl Input {
    /// Makes the input of a request.
    pub fn new(body: Body) -> Input {
        Input {
            body: Mutex::new(Some(body)),
            is_shared: false,
        }
    }

    /// Makes the input of all requests without a body.
    pub fn empty() -> Input {
        Input {
            body: Mutex::new(Some(Box::new(io::empty()))),
            is_shared: true,
        }
    }

    /// Reads with `read`, while other threads may run.
    fn bytes<'py>(
        &self,
        py: Python<'py>,
        read: impl FnOnce(&mut dyn BufRead) -> io::Result<Vec<u8>> + Send,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = py.detach(|| lock(&self.body).as_deref_mut().map(|body| read(body)));
        Ok(PyBytes::new(py, &bytes.ok_or_else(closed_file)??))
    }

    /// Returns whether a program may go on: an error if this is closed.
    fn answer(&self, py: Python<'_>, answer: bool) -> PyResult<bool> {
        match self.closed(py) {
            true => Err(closed_file()),
            false => Ok(answer),
        }
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

/// Returns the error of a file that is closed, in Python's words.
fn closed_file() -> PyErr {
    PyValueError::new_err("I/O operation on closed file.")
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

    /// Fills `buffer` with the next bytes. Returns how many there were.
    #[pyo3(signature = (buffer, /))]
    fn readinto(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>) -> PyResult<usize> {
        let view = PyMemoryView::from(buffer)?.call_method1(intern!(py, "cast"), ("B",))?;
        if view.getattr(intern!(py, "readonly"))?.is_truthy()? {
            return Err(PyTypeError::new_err(
                "readinto() argument must be read-write bytes-like object",
            ));
        }
        let bytes = self.read(py, Some(i64::try_from(view.len()?)?))?;
        let length = bytes.as_bytes().len();
        view.set_item(PySlice::new(py, 0, isize::try_from(length)?, 1), bytes)?;
        Ok(length)
    }

    /// Returns `True`.
    fn readable(&self, py: Python<'_>) -> PyResult<bool> {
        self.answer(py, true)
    }

    /// Returns `False`.
    fn writable(&self, py: Python<'_>) -> PyResult<bool> {
        self.answer(py, false)
    }

    /// Returns `False`: what was read is gone.
    fn seekable(&self, py: Python<'_>) -> PyResult<bool> {
        self.answer(py, false)
    }

    /// Does nothing: nothing is written here.
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        self.answer(py, true).map(drop)
    }

    /// Closes the input, and deletes the file that it is read from. An empty one stays open: other
    /// requests have it as well.
    fn close(&self, py: Python<'_>) {
        if !self.is_shared {
            py.detach(|| drop(lock(&self.body).take()));
        }
    }

    /// Whether the input was closed.
    #[getter]
    fn closed(&self, py: Python<'_>) -> bool {
        py.detach(|| lock(&self.body).is_none())
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let line = self.readline(py, None)?;
        Ok(Some(line).filter(|line| !line.as_bytes().is_empty()))
    }
}
