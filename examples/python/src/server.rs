//! The native server: its loop, its life cycle and its threads.

use std::net::TcpListener;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::{Arc, Mutex, TryLockError};
use std::time::{Duration, Instant};

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serve_forever::http::{AccessLog, Http, HttpSettings, LogFormat};
use serve_forever::socketserver::{
    self, Evented, NotStopped, Pool, ServeError, ServerHandle, ShutdownHandle, Tcp, Transport,
};
use serve_forever::wsgi::WsgiHandler;

use crate::application::PyApplication;
use crate::handler::{Handler, PyLog};
use crate::hooks::PyHooks;
use crate::interruption::Interruption;
use crate::lock::lock;
use crate::runs::Runs;
use crate::stderr::Stderr;

/// The server of the crate.
type Native = socketserver::Server<Tcp, Evented<Tcp, Http<Handler>>, PyHooks>;

/// How many requests may wait for a thread. It is the number of connections that a server holds at
/// most, so no request is refused because of it.
const QUEUE_LENGTH: usize = socketserver::MAX_CONNECTIONS;

/// The settings, which are attributes of a `WSGIServer`.
#[derive(Debug, FromPyObject)]
struct Settings {
    /// Whether a thread goes on with other requests while a response waits for its client.
    share_threads: bool,
    /// The largest body that is kept in memory, in bytes.
    max_body_memory: usize,
    /// The largest body, in bytes.
    max_body: u64,
    /// Between two requests of a connection, in seconds.
    keep_alive_timeout: f64,
    /// From the end of a request to the end of its response, on threads, in seconds.
    response_timeout: f64,
}

/// What a subclass has overridden, found out by `simple_server.py`.
#[derive(Debug, FromPyObject)]
#[pyo3(from_item_all)]
struct Overrides {
    verify_request: bool,
    service_actions: bool,
    /// Whether there is an access log.
    log: bool,
    /// Whether the program has its own log methods.
    log_methods: bool,
    /// How many minutes local time is ahead of UTC.
    utc_offset: i16,
}

/// A server on a listening socket.
#[pyclass(frozen, module = "serve_forever._native")]
pub struct Server {
    /// The server, until it is closed.
    native: Mutex<Option<Native>>,
    /// Which thread holds it, while its loop runs.
    runs: Runs,
    /// The application that its connections call.
    application: PyApplication,
    /// Runs the application, if it does not run on the loop's thread.
    pool: Option<Pool>,
    /// Stops the loop.
    shutdown: ShutdownHandle,
    /// Reads the counters, also while the loop runs.
    counters: ServerHandle,
    /// Takes exceptions that are meant for the program.
    interruption: Interruption,
}

/// A thread of the server, before it runs.
#[pyclass(frozen, module = "serve_forever._native")]
pub struct Worker(Mutex<Option<socketserver::Worker>>);

#[pymethods]
impl Worker {
    /// Calls the application for one request after the other, until the server is joined.
    fn run(&self, py: Python<'_>) {
        if let Some(worker) = lock(&self.0).take() {
            py.detach(|| worker.run());
        }
    }
}

#[pymethods]
impl Server {
    /// Makes a server that accepts clients from the listening socket `fd`, which stays the
    /// caller's. The application runs on `threads` threads, or on the loop's if that is 0. The
    /// socket `signals` becomes readable when a signal arrives. `callbacks` calls the methods of
    /// `server`, those that `overrides` names. Each environ has the variables of `gateway`.
    #[new]
    fn new(
        server: &Bound<'_, PyAny>,
        threads: usize,
        fd: RawFd,
        signals: RawFd,
        callbacks: &Bound<'_, PyAny>,
        overrides: Overrides,
        gateway: Bound<'_, PyDict>,
    ) -> PyResult<Server> {
        let settings: Settings = server.extract()?;
        let interruption = Interruption::default();
        let stderr = overrides.stderr(server.py())?;
        let application = application_of(server, gateway, &interruption, stderr.clone())?;
        let pool = (threads > 0).then(|| settings.pool());
        let tcp = Tcp::from_listener(listener(fd)?)?.disable_nagle_algorithm(true);
        let wsgi = WsgiHandler::new(application.clone(), tcp.server_address());
        let mut wsgi = wsgi.spool_input(settings.memory(), tempfile::tempfile);
        if let Some(pool) = &pool {
            wsgi = wsgi.workers(pool.clone());
        }
        wsgi.base_environ_mut().clear(); // Python has its own, and this name is in it
        let name = ("SERVER_NAME".to_owned(), String::new());
        wsgi.base_environ_mut().extend([name]);
        let handler = overrides.handler(wsgi, callbacks, &interruption, stderr);
        let hooks = PyHooks {
            callbacks: callbacks.clone().unbind(),
            signals,
            verifies: overrides.verify_request,
            has_service_actions: overrides.service_actions,
        };
        let dispatch = Evented::new(Http::new(handler, settings.http()?));
        let native = Native::with_hooks(tcp, dispatch, hooks)?;
        let (shutdown, counters) = (native.shutdown_handle(), native.handle());
        interruption.stop_by(shutdown.clone());
        Ok(Server {
            native: Mutex::new(Some(native)),
            runs: Runs::default(),
            application,
            pool,
            counters,
            shutdown,
            interruption,
        })
    }

    /// Serves until the shutdown. Raises what has ended the loop otherwise.
    #[pyo3(signature = (poll_interval))]
    fn serve_forever(&self, py: Python<'_>, poll_interval: Option<f64>) -> PyResult<()> {
        let poll_interval = poll_interval.map(seconds).transpose()?;
        self.run(py, |native| {
            native.set_poll_interval(poll_interval);
            native.serve_forever()
        })
    }

    /// Serves one request, or waits in vain for `timeout` seconds.
    #[pyo3(signature = (timeout))]
    fn handle_request(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        let timeout = timeout.map(seconds).transpose()?;
        self.run(py, |native| {
            let handled = native.handle_request(timeout);
            native.engine_mut().clear_shutdown_request(); // what an application has raised
            handled
        })
    }

    /// Replaces the application and the base environ, from the next request on.
    fn set_program(&self, application: Bound<'_, PyAny>, base_environ: Bound<'_, PyDict>) {
        self.application.set(application, base_environ);
    }

    /// Returns a worker, to be run on a thread.
    fn worker(&self) -> PyResult<Worker> {
        let pool = self.pool.as_ref();
        let pool = pool.ok_or_else(|| PyRuntimeError::new_err("this server has no threads"))?;
        Ok(Worker(Mutex::new(Some(pool.worker()))))
    }

    /// Stops the loop, and waits until it has ended, or for `timeout` seconds. Returns whether it
    /// has ended. Then `close` is possible.
    #[pyo3(signature = (timeout))]
    fn shutdown(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let timeout = timeout.map(seconds).transpose()?;
        Ok(py.detach(|| {
            let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
            let run = self.runs.on_other_thread();
            let stopped = match timeout {
                Some(timeout) => self.shutdown.shutdown_timeout(timeout),
                None => self.shutdown.shutdown(),
            };
            // Other errors: no loop runs, or this is its own thread, which cannot wait for itself.
            !matches!(stopped, Err(NotStopped::TimedOut)) && self.runs.wait(run, until)
        }))
    }

    /// Asks the loop to stop.
    fn request_shutdown(&self) {
        self.shutdown.request();
    }

    /// Asks the loop to finish the requests that have begun, within `patience` seconds.
    fn request_drain(&self, patience: f64) -> PyResult<()> {
        self.shutdown.request_drain(seconds(patience)?);
        Ok(())
    }

    /// Lets the loop finish the requests that have begun, and waits. Returns how many connections
    /// were finished, and how many were not.
    fn drain(&self, py: Python<'_>, patience: f64) -> PyResult<(usize, usize)> {
        let patience = seconds(patience)?;
        let drained = py.detach(|| {
            let run = self.runs.on_other_thread();
            let drained = self.shutdown.drain(patience);
            self.runs.wait(run, None);
            drained
        });
        let drained = match drained {
            Ok(drained) => drained,
            // No loop runs. What if it has drained already?
            Err(NotStopped::NotRunning) => self.shutdown.drained().unwrap_or_default(),
            Err(error) => return Err(PyRuntimeError::new_err(error.to_string())),
        };
        Ok((drained.finished, drained.aborted))
    }

    /// Closes the server and its connections. If its loop runs, asks that to end instead, and
    /// returns false.
    fn close(&self, py: Python<'_>) -> bool {
        let closed = py.detach(|| {
            let native = match self.native.try_lock() {
                Ok(mut native) => native.take(),
                Err(TryLockError::Poisoned(native)) => native.into_inner().take(),
                Err(TryLockError::WouldBlock) => return false,
            };
            drop(native);
            true
        });
        if !closed {
            self.shutdown.request();
        }
        closed
    }

    /// Waits until the threads have ended, which happens when their requests have.
    #[pyo3(signature = (patience))]
    fn join(&self, py: Python<'_>, patience: Option<f64>) -> PyResult<bool> {
        let patience = patience.map(seconds).transpose()?;
        let pool = self.pool.as_ref();
        Ok(pool.is_none_or(|pool| py.detach(|| pool.join(patience))))
    }

    /// Returns how many clients were accepted, how many connections are open, and how many requests
    /// have failed.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counted = self.counters.stats();
        let stats = PyDict::new(py);
        stats.set_item("accepted", counted.accepted)?;
        stats.set_item("open", counted.open)?;
        stats.set_item("failed", counted.failed)?;
        Ok(stats)
    }
}

impl Server {
    /// Lets the loop run, while other Python threads may run.
    fn run(
        &self,
        py: Python<'_>,
        run: impl FnOnce(&mut Native) -> Result<(), ServeError> + Send,
    ) -> PyResult<()> {
        let result = py.detach(|| {
            let Some(_run) = self.runs.begin() else {
                return Err(PyRuntimeError::new_err("the server is running already"));
            };
            let mut native = lock(&self.native); // it is released before the run has ended
            match native.as_mut() {
                Some(native) => run(native).map_err(to_python),
                None => Err(PyOSError::new_err("the server is closed")),
            }
        });
        match self.interruption.take() {
            Some(error) => Err(error),
            None => result,
        }
    }
}

impl Settings {
    /// Returns a pool, for the threads of the program.
    fn pool(&self) -> Pool {
        let pool = Pool::new().threads(0).queue_length(QUEUE_LENGTH);
        pool.share_threads(self.share_threads)
    }

    /// Returns the most bytes of a body that memory may take.
    fn memory(&self) -> usize {
        let most = usize::try_from(self.max_body).unwrap_or(usize::MAX);
        self.max_body_memory.min(most)
    }

    fn http(&self) -> PyResult<HttpSettings> {
        let mut http = HttpSettings::default();
        http.limits.body = self.memory();
        http.limits.upload = self.max_body;
        http.deadlines.keep_alive = seconds(self.keep_alive_timeout)?;
        http.deadlines.response = Some(seconds(self.response_timeout)?);
        Ok(http)
    }
}

impl Overrides {
    /// Returns what says whether the crate can write the access log. `None`: it never can.
    fn stderr(&self, py: Python<'_>) -> PyResult<Option<Arc<Stderr>>> {
        match self.log && !self.log_methods {
            true => Ok(Some(Arc::new(Stderr::new(py)?))),
            false => Ok(None),
        }
    }

    /// Returns `wsgi` with the access log that the program wants.
    fn handler(
        &self,
        mut wsgi: WsgiHandler<PyApplication>,
        callbacks: &Bound<'_, PyAny>,
        interruption: &Interruption,
        stderr: Option<Arc<Stderr>>,
    ) -> Handler {
        if stderr.is_some() {
            let log = AccessLog::new((), LogFormat::Python, std::io::stderr());
            wsgi = wsgi.access_log(log.utc_offset(self.utc_offset));
        }
        let log = PyLog {
            stderr,
            callbacks: callbacks.clone().unbind(),
            interruption: interruption.clone(),
        };
        Handler {
            wsgi,
            log: self.log.then(|| Arc::new(log)),
        }
    }
}

/// Returns the application of `server`.
fn application_of(
    server: &Bound<'_, PyAny>,
    gateway: Bound<'_, PyDict>,
    interruption: &Interruption,
    stderr: Option<Arc<Stderr>>,
) -> PyResult<PyApplication> {
    let (app, base_environ) = (
        server.call_method0("get_app")?,
        server.getattr("base_environ")?,
    );
    PyApplication::new(
        app,
        base_environ.cast_into()?,
        gateway,
        interruption.clone(),
        stderr,
    )
}

/// Returns a listener of our own on the socket `fd`.
#[allow(unsafe_code)]
fn listener(fd: RawFd) -> PyResult<TcpListener> {
    if fd < 0 {
        return Err(PyOSError::new_err("the server is closed"));
    }
    // SAFETY: the descriptor is that of a socket object, which the caller keeps open. It is only
    // duplicated here.
    let socket = unsafe { BorrowedFd::borrow_raw(fd) };
    Ok(TcpListener::from(socket.try_clone_to_owned()?))
}

/// Returns what has ended a loop as an exception.
fn to_python(error: ServeError) -> PyErr {
    match error {
        ServeError::Stopped(None) => PyRuntimeError::new_err("the server was told to stop"),
        ServeError::Stopped(Some(reason)) | ServeError::Failed(reason) => {
            match reason.downcast::<PyErr>() {
                Ok(error) => *error,
                Err(reason) => std::io::Error::from(ServeError::Failed(reason)).into(),
            }
        }
        other => PyRuntimeError::new_err(other.to_string()),
    }
}

fn seconds(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|error| PyValueError::new_err(error.to_string()))
}
