//! The result of an application as the blocks of a response.

use std::sync::{Arc, Mutex};

use pyo3::exceptions::PyAssertionError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList, PyTuple, PyType};
use serve_forever::socketserver::{Block, Failure, HandlerResult};
use serve_forever::wsgi::{self, Body, Iterable};

use crate::interruption::Interruption;
use crate::lock::lock;
use crate::start_response::{Starter, lend};
use crate::stderr::Stderr;

/// From this size on, the bytes of a Python object are sent from where they are. To copy a smaller
/// block costs less than to give the object back.
const LENT_BYTES: usize = 16 * 1024;

/// How many types without a length are remembered. An application has few.
const KEPT_TYPES: usize = 16;

/// Takes the blocks out of results.
#[derive(Debug)]
pub struct Bodies {
    /// Python's `next`.
    next: Py<PyAny>,
    /// Types that have no `__len__`. To ask a type for what it has not costs an exception.
    unsized_types: Mutex<Vec<Py<PyType>>>,
    /// Takes exceptions that are meant for the program.
    interruption: Interruption,
    /// Is looked at when a body ends, for the access log.
    stderr: Option<Arc<Stderr>>,
}

/// What stays the same from the call of an application to the end of its response.
#[derive(Debug)]
pub struct Conversation {
    /// The request's `contextvars.Context`.
    pub context: Py<PyAny>,
    /// The `start_response` of the application, and its `write`.
    pub starter: Starter,
}

impl Conversation {
    /// Calls a function in the context of the request. It may call `start_response`.
    pub fn call<'py>(
        &self,
        py: Python<'py>,
        native: &mut dyn wsgi::StartResponse,
        function_and_arguments: impl pyo3::call::PyCallArgs<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let context = self.context.bind(py);
        lend(&self.starter, native, || {
            context.call_method1(intern!(py, "run"), function_and_arguments)
        })
    }
}

impl Bodies {
    /// Sends exceptions to `interruption`. At the end of each body, `stderr` is looked at.
    pub fn new(
        py: Python<'_>,
        interruption: Interruption,
        stderr: Option<Arc<Stderr>>,
    ) -> PyResult<Bodies> {
        Ok(Bodies {
            next: py.import("builtins")?.getattr("next")?.unbind(),
            unsized_types: Mutex::default(),
            interruption,
            stderr,
        })
    }

    /// Returns the body of the blocks of `result`. The first block is pulled already, as the server
    /// would do next, because the interpreter's lock is held now.
    pub fn body_of(
        self: &Arc<Self>,
        result: Bound<'_, PyAny>,
        conversation: Conversation,
        native: &mut dyn wsgi::StartResponse,
    ) -> PyResult<Body> {
        let mut blocks = Blocks {
            bodies: Arc::clone(self),
            count: self.count(&result)?,
            first: None,
            source: Some(Source {
                iterator: None,
                result: result.clone().unbind(),
                conversation,
            }),
        };
        blocks.first = Some(blocks.pull(result.py(), native));
        Ok(Body::from_iterable(blocks))
    }

    /// Returns how many blocks there are, if the result knows it.
    fn count(&self, result: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
        let kind = result.get_type();
        if lock(&self.unsized_types)
            .iter()
            .any(|known| known.is(&kind))
        {
            return Ok(None);
        }
        if kind.hasattr(intern!(result.py(), "__len__"))? {
            return result.len().map(Some);
        }
        let mut unsized_types = lock(&self.unsized_types);
        if unsized_types.len() < KEPT_TYPES {
            unsized_types.push(kind.unbind());
        }
        Ok(None)
    }
}

/// Returns the block of a list or a tuple that has one element, or none.
pub fn only_block(result: &Bound<'_, PyAny>) -> PyResult<Option<Block>> {
    let (count, only) = if let Ok(list) = result.cast_exact::<PyList>() {
        (list.len(), list.get_item(0))
    } else if let Ok(tuple) = result.cast_exact::<PyTuple>() {
        (tuple.len(), tuple.get_item(0))
    } else {
        return Ok(None);
    };
    match count {
        0 => Ok(Some(Block::default())),
        1 => block_of(&only?).map(Some),
        _ => Ok(None),
    }
}

/// Returns the block that a Python object is.
fn block_of(object: &Bound<'_, PyAny>) -> PyResult<Block> {
    let bytes = object
        .cast::<PyBytes>()
        .map_err(|_| PyAssertionError::new_err("a block of the body must be a bytes instance"))?;
    Ok(match bytes.as_bytes() {
        small if small.len() < LENT_BYTES => small.to_vec().into(),
        _ => Block::lend(PyBackedBytes::from(bytes.clone())),
    })
}

/// The blocks of an iterable.
struct Blocks {
    /// What all bodies have in common.
    bodies: Arc<Bodies>,
    /// How many blocks there are, if that is known.
    count: Option<usize>,
    /// The first block, until it is taken.
    first: Option<Result<Option<Block>, Failure>>,
    /// Makes the other blocks. `None` when it is closed.
    source: Option<Source>,
}

/// The Python objects of an iterable.
struct Source {
    /// The iterator, once a block was pulled.
    iterator: Option<Py<PyAny>>,
    /// The result of the application, which has the `close()`.
    result: Py<PyAny>,
    /// The context and the `start_response` of the request.
    conversation: Conversation,
}

impl Source {
    /// Returns the next block, or `None` at the end.
    fn pull(
        &mut self,
        next: &Bound<'_, PyAny>,
        native: &mut dyn wsgi::StartResponse,
    ) -> PyResult<Option<Block>> {
        let py = next.py();
        let iterator = match &self.iterator {
            Some(iterator) => iterator.bind(py).clone(),
            None => self.result.bind(py).try_iter()?.into_any(),
        };
        // No application returns `next` as a block, so it stands for the end.
        let block = self
            .conversation
            .call(py, native, (next, &iterator, next))?;
        self.iterator = Some(iterator.unbind());
        match block.is(next) {
            true => Ok(None),
            false => block_of(&block).map(Some),
        }
    }

    fn close(self, py: Python<'_>) -> PyResult<()> {
        if let Some(close) = self.result.bind(py).getattr_opt(intern!(py, "close"))? {
            let context = self.conversation.context.bind(py);
            context.call_method1(intern!(py, "run"), (close,))?;
        }
        Ok(())
    }
}

impl Blocks {
    /// Returns the next block. At the end it closes the result.
    fn pull(
        &mut self,
        py: Python<'_>,
        native: &mut dyn wsgi::StartResponse,
    ) -> Result<Option<Block>, Failure> {
        let Some(source) = &mut self.source else {
            return Ok(None);
        };
        let block = source.pull(self.bodies.next.bind(py), native);
        let block = block.map_err(|error| self.bodies.interruption.sort(py, error))?;
        if block.is_none() {
            self.close_source(py);
        }
        Ok(block)
    }

    /// Closes the result once. If that fails, the traceback is printed, and that is all: the response
    /// is over (WSGI-18).
    fn close_source(&mut self, py: Python<'_>) {
        let closed = self.source.take().map(|source| source.close(py));
        if let Some(Err(error)) = closed {
            let _ = self.bodies.interruption.sort(py, error);
        }
        if let Some(stderr) = &self.bodies.stderr {
            stderr.look(py); // the program may have replaced it while the body was sent
        }
    }
}

impl Iterable for Blocks {
    fn next_block(
        &mut self,
        start_response: &mut dyn wsgi::StartResponse,
    ) -> Result<Option<Block>, Failure> {
        match self.first.take() {
            Some(first) => first,
            None if self.source.is_none() => Ok(None),
            None => Python::attach(|py| self.pull(py, start_response)),
        }
    }

    fn block_count(&self) -> Option<usize> {
        self.count
    }

    fn close(&mut self) -> HandlerResult {
        if self.source.is_some() {
            Python::attach(|py| self.close_source(py));
        }
        Ok(())
    }
}
