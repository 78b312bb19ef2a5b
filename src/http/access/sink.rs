//! Where the lines go.

use std::fs::File;
use std::io::{self, Stderr, Write};
use std::sync::{Arc, Mutex, PoisonError};

use crate::socketserver::complain;

/// Takes the lines of an [`AccessLog`](super::AccessLog), from any number of threads.
///
/// A line that cannot be written is lost, and costs its request nothing. A sink that blocks holds
/// up every connection of its loop; where that may be, a closure hands lines to a thread:
///
/// ```
/// use std::sync::mpsc::sync_channel;
/// use serve_forever::http::{AccessLog, LogFormat};
/// # use serve_forever::http::{HttpResult, Request, Response};
/// # fn handler(_: &Request<'_>, response: Response<'_>) -> HttpResult {
/// #     response.send_error(404)
/// # }
///
/// let (sender, lines) = sync_channel::<String>(1000);
/// std::thread::spawn(move || {
///     for line in lines {
///         print!("{line}"); // or whatever takes its time
///     }
/// });
/// let handler = AccessLog::new(handler, LogFormat::Json, move |line: &str| {
///     // Err: the thread is a thousand lines behind.
///     let _ = sender.try_send(line.to_owned());
/// });
/// # let _ = handler;
/// ```
pub trait LogSink: Send + Sync {
    /// Takes one line, which ends in a line feed and holds no other.
    fn write_line(&self, line: &str);
}

impl<F: Fn(&str) + Send + Sync> LogSink for F {
    fn write_line(&self, line: &str) {
        self(line);
    }
}

/// Each line whole, and one write to standard error. Nobody may be reading it.
impl LogSink for Stderr {
    fn write_line(&self, line: &str) {
        let _ = self.lock().write_all(line.as_bytes());
    }
}

/// One write for each line. Open it to append, so that other programs can write to it and rotate
/// it.
///
/// That a line is lost is reported through [`log`], at most a few times a second.
impl LogSink for File {
    fn write_line(&self, line: &str) {
        let mut file = self;
        report(file.write_all(line.as_bytes()));
    }
}

/// Each line whole, and one write to a pipe, a buffer, or whatever it is.
///
/// That a line is lost is reported as for a file.
impl<W: Write + Send> LogSink for Mutex<W> {
    fn write_line(&self, line: &str) {
        // A writer that panicked has lost its line, and may do better with the next.
        let mut writer = self.lock().unwrap_or_else(PoisonError::into_inner);
        let written = writer.write_all(line.as_bytes());
        drop(writer); // a logger may be slow
        report(written);
    }
}

fn report(written: io::Result<()>) {
    if let Err(error) = written {
        complain("a line of the access log is lost", &error);
    }
}

/// Several handlers may share one sink.
impl<S: LogSink + ?Sized> LogSink for Arc<S> {
    fn write_line(&self, line: &str) {
        (**self).write_line(line);
    }
}
