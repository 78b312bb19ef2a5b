//! The result of an application as the blocks of a response.

use pyo3::exceptions::PyAssertionError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList, PyTuple};
use serve_forever::socketserver::{Block, Failure, HandlerResult};
use serve_forever::wsgi::{self, Body, Iterable};

use crate::interruption::Interruption;
use crate::start_response::{StartResponse, lend};

/// From this size on, the bytes of a Python object are sent from where they are. To copy a smaller
/// block costs less than to give the object back.
const LENT_BYTES: usize = 16 * 1024;

/// What stays the same from the call of an application to the end of its response.
#[derive(Debug)]
pub struct Conversation {
    /// The `run` of the request's `contextvars.Context`.
    pub run: Py<PyAny>,
    /// The application's `start_response`.
    pub start_response: Py<StartResponse>,
    /// Takes exceptions that are meant for the program.
    pub interruption: Interruption,
}

impl Conversation {
    /// Calls `function` in the context of the request. It may call `start_response`.
    pub fn call<'py>(
        &self,
        py: Python<'py>,
        native: &mut dyn wsgi::StartResponse,
        arguments: impl pyo3::call::PyCallArgs<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let run = self.run.bind(py);
        lend(self.start_response.bind(py), native, || {
            run.call1(arguments)
        })
    }
}

/// Returns the body that `result` stands for.
pub fn body_of(result: Bound<'_, PyAny>, conversation: Conversation) -> PyResult<Body> {
    if let Some(block) = only_block(&result)? {
        return Ok(block.into());
    }
    let count = match result.hasattr(intern!(result.py(), "__len__"))? {
        true => Some(result.len()?),
        false => None,
    };
    let next = result.py().import(intern!(result.py(), "builtins"))?;
    Ok(Body::from_iterable(Blocks {
        next: next.getattr(intern!(result.py(), "next"))?.unbind(),
        iterator: None,
        result: result.unbind(),
        count,
        conversation,
    }))
}

/// Returns the block of a list or a tuple that has one element, or none.
fn only_block(result: &Bound<'_, PyAny>) -> PyResult<Option<Block>> {
    let only = if let Ok(list) = result.cast_exact::<PyList>() {
        match list.len() {
            0 => return Ok(Some(Block::default())),
            1 => list.get_item(0)?,
            _ => return Ok(None),
        }
    } else if let Ok(tuple) = result.cast_exact::<PyTuple>() {
        match tuple.len() {
            0 => return Ok(Some(Block::default())),
            1 => tuple.get_item(0)?,
            _ => return Ok(None),
        }
    } else {
        return Ok(None);
    };
    block_of(&only).map(Some)
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
    /// Python's `next`.
    next: Py<PyAny>,
    /// The iterator, once a block was pulled.
    iterator: Option<Py<PyAny>>,
    /// The result of the application, which has the `close()`.
    result: Py<PyAny>,
    /// How many blocks there are, if that is known.
    count: Option<usize>,
    /// The context and the `start_response` of the request.
    conversation: Conversation,
}

impl Blocks {
    fn pull(
        &mut self,
        py: Python<'_>,
        native: &mut dyn wsgi::StartResponse,
    ) -> PyResult<Option<Block>> {
        let iterator = match &self.iterator {
            Some(iterator) => iterator.bind(py).clone(),
            None => self.result.bind(py).try_iter()?.into_any(),
        };
        let end = self.next.bind(py); // no application returns this
        let block = self.conversation.call(py, native, (end, &iterator, end))?;
        self.iterator = Some(iterator.unbind());
        match block.is(end) {
            true => Ok(None),
            false => block_of(&block).map(Some),
        }
    }

    fn call_close(&self, py: Python<'_>) -> PyResult<()> {
        let result = self.result.bind(py);
        if result.hasattr(intern!(py, "close"))? {
            let close = result.getattr(intern!(py, "close"))?;
            self.conversation.run.bind(py).call1((close,))?;
        }
        Ok(())
    }
}

impl Iterable for Blocks {
    fn next_block(
        &mut self,
        start_response: &mut dyn wsgi::StartResponse,
    ) -> Result<Option<Block>, Failure> {
        Python::attach(|py| {
            let block = self.pull(py, start_response);
            block.map_err(|error| self.conversation.interruption.sort(py, error))
        })
    }

    fn block_count(&self) -> Option<usize> {
        self.count
    }

    fn close(&mut self) -> HandlerResult {
        Python::attach(|py| {
            if let Err(error) = self.call_close(py) {
                // The traceback is printed, and that is all: the response is over (WSGI-18).
                let _ = self.conversation.interruption.sort(py, error);
            }
        });
        Ok(())
    }
}
