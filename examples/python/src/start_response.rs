//! `start_response`, as an application in Python gets it.
//!
//! The crate lends its own `start_response` for one call. A Python object may live longer, and may
//! be passed to another thread. So the Python object holds nothing: it looks for what is lent to it
//! on the thread that calls it.

use std::cell::Cell;
use std::io;
use std::sync::Mutex;

use pyo3::exceptions::{PyAssertionError, PyRuntimeError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PySequence, PyString, PyTuple};
use scoped_tls_hkt::scoped_thread_local;
use serve_forever::socketserver::{Failure, SendError};
use serve_forever::wsgi;

use crate::lock::lock;

scoped_thread_local! {
    /// What this thread has lent to an application.
    static mut LENT: for<'a> &'a mut (dyn wsgi::StartResponse + 'a)
}

thread_local! {
    /// The address of the Python object that it is lent to. The object lives as long as the loan.
    static BORROWER: Cell<usize> = const { Cell::new(0) };
}

/// What `start_response` returns: it is called with bytes. The second argument of an application is
/// the method of it, so a call makes no object.
#[pyclass(frozen, module = "serve_forever._native")]
#[derive(Debug)]
pub struct Write;

/// The two objects with which an application begins its response.
#[derive(Debug)]
pub struct Starter {
    write: Py<Write>,
    /// The method of `write`.
    start_response: Py<PyAny>,
}

/// A starter of an earlier request. Nearly no application keeps the objects, so they serve the next
/// request again.
#[derive(Debug)]
pub struct SpareStarter {
    spare: Mutex<Option<Starter>>,
    /// `weakref.getweakrefcount`.
    count_weak: Py<PyAny>,
}

impl SpareStarter {
    /// Returns no starter yet: the first request makes one.
    pub fn new(py: Python<'_>) -> PyResult<SpareStarter> {
        let weakref = py.import("weakref")?;
        Ok(SpareStarter {
            spare: Mutex::default(),
            count_weak: weakref.getattr("getweakrefcount")?.unbind(),
        })
    }

    /// Returns a starter for one request.
    pub fn take(&self, py: Python<'_>) -> PyResult<Starter> {
        if let Some(spare) = lock(&self.spare).take() {
            return Ok(spare);
        }
        let write = Bound::new(py, Write)?;
        let start_response = write.getattr(intern!(py, "start_response"))?.unbind();
        Ok(Starter {
            write: write.unbind(),
            start_response,
        })
    }

    /// Takes back the starter of a request whose response is complete. What the application has kept
    /// stays useless: it must not begin the response of another request. A middleware may also keep
    /// data of the request by a weak reference, and must not find it with another request.
    pub fn give_back(&self, py: Python<'_>, starter: Starter) -> PyResult<()> {
        if starter.is_kept(py) || self.is_weakly_kept(py, &starter)? {
            return Ok(());
        }
        let old = lock(&self.spare).replace(starter);
        drop(old);
        Ok(())
    }

    /// Returns whether there is a weak reference to `start_response`. There is none to `write`: its
    /// type has none.
    fn is_weakly_kept(&self, py: Python<'_>, starter: &Starter) -> PyResult<bool> {
        let count = self.count_weak.bind(py);
        count.call1((starter.start_response(py),))?.is_truthy()
    }
}

impl Starter {
    /// Returns the second argument of the application.
    pub fn start_response<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.start_response.bind(py)
    }

    /// Returns whether something else refers to one of the objects. `start_response` refers to
    /// `write`.
    #[expect(deprecated, reason = "the function that replaces it is unsafe")]
    fn is_kept(&self, py: Python<'_>) -> bool {
        self.start_response.get_refcnt(py) > 1 || self.write.get_refcnt(py) > 2
    }
}

/// Restores the borrower of an outer call: an application may itself serve a request.
struct Borrower(usize);

impl Drop for Borrower {
    fn drop(&mut self) {
        BORROWER.set(self.0);
    }
}

/// Lends `native` to the objects of `starter` while `call` runs.
pub fn lend<R>(
    starter: &Starter,
    native: &mut dyn wsgi::StartResponse,
    call: impl FnOnce() -> R,
) -> R {
    let _outer = Borrower(BORROWER.replace(starter.write.as_ptr() as usize));
    LENT.set(native, call)
}

/// Passes what is lent to `write` to `call`.
fn borrow<R>(
    write: &Bound<'_, Write>,
    call: impl FnOnce(&mut dyn wsgi::StartResponse) -> R,
) -> PyResult<R> {
    if BORROWER.get() != write.as_ptr() as usize {
        return Err(PyRuntimeError::new_err(
            "start_response() and write() can be called only on the thread that called the \
             application, and until its response has ended",
        ));
    }
    Ok(LENT.with(|native| call(native)))
}

#[pymethods]
impl Write {
    /// Takes the status and the header fields. Returns `write`.
    #[pyo3(signature = (status, headers, exc_info = None, /))]
    fn start_response<'py>(
        slf: &Bound<'py, Self>,
        status: &Bound<'py, PyAny>,
        headers: &Bound<'py, PyAny>,
        exc_info: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, Self>> {
        let status = text(status, "Status")?;
        let fields = fields(headers)?;
        let borrowed = fields
            .iter()
            .map(|(name, value)| Ok((name.to_str()?, value.to_str()?)));
        let borrowed = borrowed.collect::<PyResult<Vec<_>>>()?;
        let status = status.to_str()?;
        let result = match exc_info {
            None => borrow(slf, |native| native.call(status, &borrowed))?,
            Some(exc_info) => {
                let lost = Failure::from(raised(exc_info)?);
                borrow(slf, |native| {
                    native.call_with_exc_info(status, &borrowed, lost)
                })?
            }
        };
        result.map_err(to_python)?;
        Ok(slf.clone())
    }

    /// Adds `data` to the body. On threads it may wait for the client, so others may run meanwhile.
    #[pyo3(signature = (data, /))]
    fn __call__(slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let data = data
            .cast::<PyBytes>()
            .map_err(|_| PyAssertionError::new_err("write() argument must be a bytes instance"))?;
        let (py, bytes) = (slf.py(), data.as_bytes());
        borrow(slf, |native| py.detach(|| native.write(bytes)))?.map_err(to_python)
    }
}

/// Returns `value` if it is text, as PEP 3333 requires.
fn text<'a, 'py>(value: &'a Bound<'py, PyAny>, title: &str) -> PyResult<&'a Bound<'py, PyString>> {
    value.cast::<PyString>().map_err(|_| {
        let found = value.get_type().repr();
        let found = found.map_or_else(|_| "another type".into(), |repr| repr.to_string());
        PyAssertionError::new_err(format!("{title} must be of type str (got {found})"))
    })
}

/// The name and the value of a header field.
type Field<'py> = (Bound<'py, PyString>, Bound<'py, PyString>);

/// Returns the header fields of a list of pairs.
fn fields<'py>(headers: &Bound<'py, PyAny>) -> PyResult<Vec<Field<'py>>> {
    let headers = headers
        .cast::<PyList>()
        .map_err(|_| PyTypeError::new_err("Headers should be a list of (name, value) tuples"))?;
    let mut fields = Vec::with_capacity(headers.len());
    for header in headers {
        let pair = match header.cast_into::<PyTuple>() {
            Ok(pair) => pair,
            Err(other) => other.into_inner().cast::<PySequence>()?.to_tuple()?,
        };
        let (name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = pair.extract()?;
        let name = text(&name, "Header names/values")?.clone();
        fields.push((name, text(&value, "Header names/values")?.clone()));
    }
    Ok(fields)
}

/// Returns the exception of an `exc_info`, to be raised with its traceback.
fn raised(exc_info: &Bound<'_, PyAny>) -> PyResult<PyErr> {
    let error = PyErr::from_value(exc_info.get_item(1)?);
    let traceback = exc_info.get_item(2)?;
    if !traceback.is_none() {
        error.set_traceback(exc_info.py(), Some(traceback.cast_into()?));
    }
    Ok(error)
}

/// Returns a failure of the crate as an exception.
fn to_python(failure: Failure) -> PyErr {
    let (Failure::Request(error) | Failure::Stop(Some(error))) = failure else {
        return PyRuntimeError::new_err("the server stops");
    };
    let error = match error.downcast::<PyErr>() {
        Ok(error) => return *error,
        Err(error) => error,
    };
    let error = match error.downcast::<io::Error>() {
        Ok(error) => return (*error).into(),
        Err(error) => error,
    };
    if error.is::<SendError<()>>() {
        // The client has left before the head was sent.
        return io::Error::from(io::ErrorKind::BrokenPipe).into();
    }
    // A breach of PEP 3333, as in wsgiref.
    PyAssertionError::new_err(match error.downcast_ref::<wsgi::AppError>() {
        Some(wsgi::AppError::Status(status)) => wrong_status(status).into(),
        _ => error.to_string(),
    })
}

/// Returns what wsgiref says about a status that is not like `200 OK`.
fn wrong_status(status: &str) -> &'static str {
    match status.as_bytes() {
        [] | [_] | [_, _] | [_, _, _] => "Status must be at least 4 characters",
        [a, b, c, ..] if ![a, b, c].iter().all(|it| it.is_ascii_digit()) => {
            "Status message must begin w/3-digit code"
        }
        [_, _, _, space, ..] if *space != b' ' => "Status message must have a space after code",
        _ => "Status must be a number from 200 to 999, a space and a reason in ASCII",
    }
}
