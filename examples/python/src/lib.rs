//! The native part of the Python package `serve_forever`: `wsgiref.simple_server` on the crate.
//!
//! ```text
//! simple_server.py   WSGIServer: binds, and decides whether the native loop can serve
//!   server.rs        Server: the loop, its life cycle, its threads
//!     runs.rs        which thread runs the loop; to wait for its end
//!     hooks.rs       what a subclass has overridden; signals
//!     handler.rs     the HTTP handler; the access log
//!       application.rs  calls the application
//!         environ.rs    the request as a dictionary
//!           template.rs what it is copied from
//!           strings.rs  its keys and values
//!         input.rs      wsgi.input
//!         start_response.rs
//!         body.rs       the result as blocks
//!       interruption.rs KeyboardInterrupt and SystemExit on their way out
//!       report.rs     reports of failures, on sys.stderr
//!       stderr.rs     whether the crate can write the access log
//! logging.rs         the log of the crate, in Python's logging
//! lock.rs            how all of them lock
//! ```
//!
//! The interpreter's lock is released while `serve_forever` runs, and taken for each call into
//! Python. One thing here is unsafe: to borrow a descriptor of Python's, in `server.rs`.

#![deny(unsafe_code)]

mod application;
mod body;
mod environ;
mod handler;
mod hooks;
mod input;
mod interruption;
mod lock;
mod logging;
mod report;
mod runs;
mod server;
mod start_response;
mod stderr;
mod strings;
mod template;

use pyo3::prelude::*;

/// The native part of `serve_forever`.
#[pymodule]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::input::Input;
    #[pymodule_export]
    use super::server::{Server, Worker};
    #[pymodule_export]
    use super::start_response::Write;

    #[pymodule_init]
    fn init(_module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::logging::log_to_python();
        Ok(())
    }
}
