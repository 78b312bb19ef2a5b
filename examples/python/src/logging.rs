//! The log of the crate, in Python's `logging`.

use log::{Level, LevelFilter, Metadata, Record};
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::intern;
use pyo3::prelude::*;

/// Passes on to `logging` what the crate logs: errors that concern no request, such as a client that
/// cannot be accepted. The logger is `serve_forever`. If a program does not set up `logging`, that
/// writes to `sys.stderr`.
struct Logger;

impl log::Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = match record.level() {
            Level::Error => 40, // logging.ERROR
            _ => 30,            // logging.WARNING
        };
        let message = record.args().to_string();
        // `None`: the interpreter ends.
        Python::try_attach(|py| {
            let logged = log_in_python(py, level, &message).or_else(|error| {
                match error.is_instance_of::<PyKeyboardInterrupt>(py) {
                    true => interrupt_main(py),
                    false => Err(error),
                }
            });
            if let Err(error) = logged {
                error.write_unraisable(py, None);
            }
        });
    }

    fn flush(&self) {}
}

fn log_in_python(py: Python<'_>, level: u8, message: &str) -> PyResult<()> {
    let logging = py.import(intern!(py, "logging"))?;
    let logger = logging.call_method1(intern!(py, "getLogger"), ("serve_forever",))?;
    logger.call_method1(intern!(py, "log"), (level, "%s", message))?;
    Ok(())
}

/// Lets the signal of Ctrl-C arrive again. The crate's log has no way to return an exception.
fn interrupt_main(py: Python<'_>) -> PyResult<()> {
    let thread = py.import(intern!(py, "_thread"))?;
    thread.call_method0(intern!(py, "interrupt_main"))?;
    Ok(())
}

/// Passes on to `logging` what the crate logs from now on.
pub fn log_to_python() {
    // Ignore the error: it is set already.
    let _ = log::set_logger(&Logger);
    log::set_max_level(LevelFilter::Warn);
}
