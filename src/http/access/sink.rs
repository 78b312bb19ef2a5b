//! The destinations of log lines.

use std::fs::File;
use std::io::{self, Stderr, Write};
use std::sync::{Arc, Mutex, PoisonError};

use crate::socketserver::{LogQueue, QueuedStderr, complain};

/// Receives the lines of an [`AccessLog`](super::AccessLog), from any number of threads.
///
/// If a line cannot be written, it is lost, and its request is not affected. A sink that blocks stops
/// every connection of its loop meanwhile. Standard error and a [`LogQueue`] never block. A
/// [`File`] blocks no longer than its disk. If your writer may block, for example because it is a pipe,
/// give it to a [`LogQueue`]:
///
/// ```
/// use serve_forever::http::{AccessLog, HttpResult, LogFormat, Request, Response};
/// use serve_forever::socketserver::LogQueue;
///
/// fn handler(_: &Request<'_>, response: Response<'_>) -> HttpResult {
///     response.send_response(200).body("hello")
/// }
///
/// let queue = LogQueue::new(std::io::stdout()); // or something slow
/// let handler = AccessLog::new(handler, LogFormat::Json, queue);
/// # let _ = handler;
/// ```
pub trait LogSink: Send + Sync {
    /// Receives one line. It ends in a line feed and has no other line feed in it.
    fn write_line(&self, line: &str);
}

impl<F: Fn(&str) + Send + Sync> LogSink for F {
    fn write_line(&self, line: &str) {
        self(line);
    }
}

/// Writes each line whole to standard error, through the queue [`LogQueue::stderr`]. So a pipe that
/// nobody reads costs lines, and not the loop. Errors are ignored, because there is nowhere else to
/// report them.
impl LogSink for Stderr {
    fn write_line(&self, line: &str) {
        // A write to a queue does not fail.
        let _ = QueuedStderr.write(line.as_bytes());
    }
}

/// Writes each line whole, on the thread of the queue.
impl LogSink for LogQueue {
    fn write_line(&self, line: &str) {
        self.push(line);
    }
}

/// Writes each line in one write. Open the file for appending, so that other programs can write to
/// it and rotate it.
///
/// A lost line is reported through [`log`], at most a few times a second.
impl LogSink for File {
    fn write_line(&self, line: &str) {
        let mut file = self;
        report(file.write_all(line.as_bytes()));
    }
}

/// Writes each line whole and in one write, to a buffer or any other writer that does not block.
///
/// A lost line is reported through [`log`], at most a few times a second.
impl<W: Write + Send> LogSink for Mutex<W> {
    fn write_line(&self, line: &str) {
        // The writer panicked on an earlier line. That line is lost; try this one.
        let mut writer = self.lock().unwrap_or_else(PoisonError::into_inner);
        let written = writer.write_all(line.as_bytes());
        drop(writer); // The logger may be slow: do not hold the lock.
        report(written);
    }
}

fn report(written: io::Result<()>) {
    if let Err(error) = written {
        complain("a line of the access log is lost", error);
    }
}

/// Several handlers may share one sink.
impl<S: LogSink + ?Sized> LogSink for Arc<S> {
    fn write_line(&self, line: &str) {
        (**self).write_line(line);
    }
}
