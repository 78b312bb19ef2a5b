//! Who learns that an application is slow.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::http::Request;
use crate::socketserver::{complain, contain};

/// A step of an application that took longer than it should; see
/// [`WsgiHandler::report_slow`](super::WsgiHandler::report_slow).
#[derive(Debug, Clone, Copy)]
pub struct SlowCall<'a> {
    request_line: &'a str,
    step: SlowStep,
    duration: Duration,
    on_loop: bool,
}

impl<'a> SlowCall<'a> {
    /// Method, target as it came, version: `GET /search?q=a HTTP/1.1`.
    pub fn request_line(&self) -> &'a str {
        self.request_line
    }

    /// What it was that took so long.
    pub fn step(&self) -> SlowStep {
        self.step
    }

    /// How long it took.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Whether it ran on the loop's thread: then every client has waited.
    pub fn is_on_loop(&self) -> bool {
        self.on_loop
    }
}

/// What an application is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlowStep {
    /// The call of the application, with the first block of its answer.
    Call,
    /// A further block.
    Block,
}

/// Reports what takes longer than `threshold`.
#[derive(Clone)]
pub(super) struct Slow {
    threshold: Duration,
    report: Arc<dyn Fn(&SlowCall<'_>) + Send + Sync>,
}

impl Slow {
    pub(super) fn new(
        threshold: Duration,
        report: impl Fn(&SlowCall<'_>) + Send + Sync + 'static,
    ) -> Slow {
        Slow {
            threshold,
            report: Arc::new(report),
        }
    }
}

impl fmt::Debug for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slow")
            .field("threshold", &self.threshold)
            .finish_non_exhaustive()
    }
}

/// The steps of one request, timed.
pub(super) struct Watch {
    slow: Slow,
    request_line: Box<str>,
    on_loop: bool,
}

impl Watch {
    pub(super) fn new(slow: &Slow, request: &Request<'_>, on_loop: bool) -> Watch {
        let (method, target) = (request.method(), request.target());
        Watch {
            slow: slow.clone(),
            request_line: format!("{method} {target} {}", request.version()).into(),
            on_loop,
        }
    }

    fn report(&self, step: SlowStep, duration: Duration) {
        let call = SlowCall {
            request_line: &self.request_line,
            step,
            duration,
            on_loop: self.on_loop,
        };
        let reported = contain(|| {
            (self.slow.report)(&call);
            Ok(())
        });
        // The request is not at fault.
        if let Err(failure) = reported {
            complain("a report of a slow application failed", &failure);
        }
    }
}

/// Runs `work`, and reports it if somebody watches and it took too long.
pub(super) fn timed<R>(watch: Option<&Watch>, step: SlowStep, work: impl FnOnce() -> R) -> R {
    let Some(watch) = watch else {
        return work();
    };
    let began = Instant::now();
    let result = work();
    let duration = began.elapsed();
    if duration >= watch.slow.threshold {
        watch.report(step, duration);
    }
    result
}
