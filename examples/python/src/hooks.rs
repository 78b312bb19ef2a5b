//! The hooks of the server: what a subclass of `WSGIServer` has overridden, and signals.

use std::error::Error;
use std::net::SocketAddr;
use std::os::fd::{AsFd, IntoRawFd, RawFd};

use mio::Interest;
use mio::net::TcpStream;
use mio::unix::SourceFd;
use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use serve_forever::reactor::{Now, Reactor, Slot};
use serve_forever::socketserver::{Failure, HandlerResult, Hooks, ServerHandle, Tcp};

use crate::interruption::ReportedError;
use crate::report::report_failure;

/// The hooks of a `WSGIServer`.
#[derive(Debug)]
pub struct PyHooks {
    /// Calls the methods of the `WSGIServer`: `_Callbacks` in `simple_server.py`.
    pub callbacks: Py<PyAny>,
    /// Python writes a byte to the other end of this socket when a signal arrives.
    pub signals: RawFd,
    /// Whether `verify_request` is overridden.
    pub verifies: bool,
    /// Whether `service_actions` is overridden.
    pub has_service_actions: bool,
}

impl Hooks<Tcp> for PyHooks {
    fn attach(&mut self, _: &ServerHandle, reactor: &mut Reactor) -> std::io::Result<()> {
        reactor
            .watch(&mut SourceFd(&self.signals), Interest::READABLE)
            .map(drop)
    }

    /// A signal has arrived: runs Python's handlers. A `KeyboardInterrupt` ends the loop, as
    /// everything else does that a handler raises.
    fn ready(&mut self, _: Slot, _: &mut Reactor, _: &Now) -> HandlerResult {
        Python::attach(|py| {
            self.callbacks
                .bind(py)
                .call_method0(intern!(py, "signalled"))?;
            py.check_signals()
        })
        .map_err(Failure::stop_because)
    }

    fn verify_request(
        &mut self,
        request: &TcpStream,
        client_address: &SocketAddr,
    ) -> Result<bool, Failure> {
        if !self.verifies {
            return Ok(true);
        }
        let request = request.as_fd().try_clone_to_owned()?.into_raw_fd(); // Python closes it
        Python::attach(|py| {
            let verify = || -> PyResult<bool> {
                let arguments = (request, address_of(py, client_address)?);
                let callbacks = self.callbacks.bind(py);
                callbacks
                    .call_method1(intern!(py, "verify_request"), arguments)?
                    .is_truthy()
            };
            verify().map_err(|error| failure_of(py, error))
        })
    }

    fn service_actions(&mut self, _: &mut Reactor, _: &Now) -> HandlerResult {
        match self.has_service_actions {
            true => self.call(|py| intern!(py, "service_actions")),
            false => Ok(()),
        }
    }

    fn has_service_actions(&self) -> bool {
        self.has_service_actions
    }

    fn handle_timeout(&mut self) -> HandlerResult {
        self.call(|py| intern!(py, "handle_timeout"))
    }

    fn handle_error(
        &mut self,
        error: &(dyn Error + Send + Sync + 'static),
        client_address: &SocketAddr,
    ) -> HandlerResult {
        if error.is::<ReportedError>() {
            return Ok(());
        }
        Python::attach(|py| {
            let callbacks = self.callbacks.bind(py);
            let reported = report_failure(py, callbacks, error, client_address);
            reported.map_err(|error| failure_of(py, error))
        })
    }
}

impl PyHooks {
    fn call(
        &self,
        name: impl FnOnce(Python<'_>) -> &Bound<'_, pyo3::types::PyString>,
    ) -> HandlerResult {
        let called = Python::attach(|py| self.callbacks.bind(py).call_method0(name(py)).map(drop));
        called.map_err(Failure::from)
    }
}

/// Returns what the loop is told about an exception. `KeyboardInterrupt` and `SystemExit` leave
/// `serve_forever`, as in Python.
fn failure_of(py: Python<'_>, error: PyErr) -> Failure {
    match error.is_instance_of::<PyException>(py) {
        true => Failure::from(error),
        false => Failure::stop_because(error),
    }
}

/// Returns an address as Python has it.
pub fn address_of<'py>(py: Python<'py>, address: &SocketAddr) -> PyResult<Bound<'py, PyTuple>> {
    let (host, port) = (address.ip().to_string(), address.port());
    match address {
        SocketAddr::V4(_) => (host, port).into_pyobject(py),
        SocketAddr::V6(v6) => (host, port, v6.flowinfo(), v6.scope_id()).into_pyobject(py),
    }
}
