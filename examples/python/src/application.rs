//! Calls an application that is written in Python.

use std::sync::{Arc, RwLock};

use pyo3::prelude::*;
use pyo3::types::PyDict;
use serve_forever::wsgi::{self, AppResult, Application, Body, Environ};

use crate::body::{Bodies, Conversation, only_block};
use crate::environ::Environs;
use crate::interruption::Interruption;
use crate::lock::recover;
use crate::start_response::SpareStarter;
use crate::stderr::Stderr;

/// An application in Python, as an application of the crate.
#[derive(Debug, Clone)]
pub struct PyApplication(Arc<Gateway>);

#[derive(Debug)]
struct Gateway {
    /// The application and the base environ, which can be replaced.
    program: RwLock<Program>,
    /// Makes the dictionaries.
    environs: Environs,
    /// Takes the blocks out of the results.
    bodies: Arc<Bodies>,
    /// `contextvars.copy_context`.
    copy_context: Py<PyAny>,
    /// What applications begin their responses with.
    starter: SpareStarter,
    /// Takes exceptions that are meant for the program.
    interruption: Interruption,
    /// Is looked at with each request, for the access log. The bodies do it at the end of a stream.
    stderr: Option<Arc<Stderr>>,
}

#[derive(Debug)]
struct Program {
    application: Py<PyAny>,
    base_environ: Py<PyDict>,
}

impl PyApplication {
    /// Makes the application of a server.
    pub fn new(
        application: Bound<'_, PyAny>,
        base_environ: Bound<'_, PyDict>,
        gateway: Bound<'_, PyDict>,
        interruption: Interruption,
        stderr: Option<Arc<Stderr>>,
    ) -> PyResult<PyApplication> {
        let py = application.py();
        Ok(PyApplication(Arc::new(Gateway {
            program: RwLock::new(Program {
                application: application.unbind(),
                base_environ: base_environ.unbind(),
            }),
            environs: Environs::new(py, gateway.unbind())?,
            bodies: Arc::new(Bodies::new(py, interruption.clone(), stderr.clone())?),
            copy_context: py.import("contextvars")?.getattr("copy_context")?.unbind(),
            starter: SpareStarter::new(py)?,
            interruption,
            stderr,
        })))
    }

    /// Replaces the application and the base environ, from the next request on.
    pub fn set(&self, application: Bound<'_, PyAny>, base_environ: Bound<'_, PyDict>) {
        let program = Program {
            application: application.unbind(),
            base_environ: base_environ.unbind(),
        };
        let old = std::mem::replace(&mut *recover(self.0.program.write()), program);
        drop(old); // this may run Python code, so the lock is released before
    }

    /// Calls the application. Each request has a copy of the thread's context to itself.
    fn respond(
        &self,
        py: Python<'_>,
        environ: &mut Environ<'_>,
        native: &mut dyn wsgi::StartResponse,
    ) -> PyResult<Body> {
        let (application, base_environ) = self.program(py);
        let dict = self.0.environs.make(py, &base_environ, environ)?;
        let context = self.0.copy_context.bind(py).call0()?;
        let conversation = Conversation {
            context: context.unbind(),
            starter: self.0.starter.take(py)?,
        };
        let arguments = (application, dict, conversation.starter.start_response(py));
        let result = conversation.call(py, native, arguments)?;
        if let Some(block) = only_block(&result)? {
            self.0.starter.give_back(py, conversation.starter)?;
            return Ok(block.into());
        }
        self.0.bodies.body_of(result, conversation, native)
    }

    fn program<'py>(&self, py: Python<'py>) -> (Bound<'py, PyAny>, Bound<'py, PyDict>) {
        let program = recover(self.0.program.read());
        let application = program.application.bind(py).clone();
        (application, program.base_environ.bind(py).clone())
    }
}

impl Application for PyApplication {
    fn call(
        &self,
        environ: &mut Environ<'_>,
        start_response: &mut dyn wsgi::StartResponse,
    ) -> AppResult {
        Python::attach(|py| {
            let body = self.respond(py, environ, start_response);
            if let Some(stderr) = &self.0.stderr {
                stderr.look(py);
            }
            body.map_err(|error| self.0.interruption.sort(py, error))
        })
    }
}
