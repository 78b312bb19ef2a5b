//! Middleware that reports slow applications.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::application::{AppResult, Application, Body, Iterable};
use super::environ::Environ;
use super::start_response::StartResponse;
use super::util::path_and_query;
use crate::socketserver::{Block, Failure, HandlerResult, complain, contain};

/// An application whose slow calls are reported.
///
/// It calls `report` if the application takes `threshold` or longer for one step: its call, or one
/// block of its body. On the loop's thread all other clients wait during that time, so an
/// application that is reported there should run on [threads](super::WsgiServer::threads).
///
/// `report` runs on the application's thread, right after the step. If it panics, the server prints
/// that, and the request goes on.
///
/// ```
/// use std::time::Duration;
/// use serve_forever::wsgi::{Slow, demo_app, make_server};
///
/// let app = Slow::new(demo_app, Duration::from_millis(100), |slow| {
///     let waiting = if slow.is_on_loop() { "every client" } else { "one thread" };
///     eprintln!("{}: {waiting} waited for {:?}", slow.request_line(), slow.duration());
/// });
/// let server = make_server("127.0.0.1:0", app)?;
/// # let _ = server;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Slow<A> {
    /// The application that is measured.
    application: A,
    /// A step that takes this long is reported.
    threshold: Duration,
    /// Is called for each slow step.
    report: Report,
}

/// The function that is called for each slow step.
type Report = Arc<dyn Fn(&SlowCall<'_>) + Send + Sync>;

impl<A> Slow<A> {
    /// Reports each step of `application` that takes `threshold` or longer.
    pub fn new(
        application: A,
        threshold: Duration,
        report: impl Fn(&SlowCall<'_>) + Send + Sync + 'static,
    ) -> Slow<A> {
        Slow {
            application,
            threshold,
            report: Arc::new(report),
        }
    }
}

impl<A: Application> Application for Slow<A> {
    fn call(&self, environ: &mut Environ<'_>, start_response: &mut dyn StartResponse) -> AppResult {
        let watch = Watch::new(environ, self.threshold, &self.report);
        let body = watch.time(SlowStep::Call, || {
            self.application.call(environ, start_response)
        })?;
        Ok(Body::from_iterable(TimedBody { body, watch }))
    }
}

impl<A> fmt::Debug for Slow<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slow")
            .field("threshold", &self.threshold)
            .finish_non_exhaustive()
    }
}

/// A step that took as long as the threshold of [`Slow`], or longer.
#[derive(Debug, Clone, Copy)]
pub struct SlowCall<'a> {
    /// Method, target and version.
    request_line: &'a str,
    /// The step.
    step: SlowStep,
    /// How long it took.
    duration: Duration,
    /// Whether it ran on the loop's thread.
    on_loop: bool,
}

impl<'a> SlowCall<'a> {
    /// Returns method, target and version: `GET /search?q=a HTTP/1.1`.
    ///
    /// The target is put together from the environ, as in [`request_uri`](super::request_uri). Its
    /// path was decoded there and is encoded again, so it may be written in another way.
    pub fn request_line(&self) -> &'a str {
        self.request_line
    }

    /// Returns the step that took so long.
    pub fn step(&self) -> SlowStep {
        self.step
    }

    /// Returns how long the step took.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Returns whether the step ran on the loop's thread, so that every client waited for it. This
    /// is the case if `wsgi.multithread` is false.
    pub fn is_on_loop(&self) -> bool {
        self.on_loop
    }
}

/// A step of an application that [`Slow`] measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlowStep {
    /// The call of the application.
    Call,
    /// One block of its body, or the end of it.
    Block,
}

/// Measures the steps of one request.
struct Watch {
    /// A step that takes this long is reported.
    threshold: Duration,
    /// Is called for each slow step.
    report: Report,
    /// Method, target and version.
    request_line: String,
    /// Whether the application runs on the loop's thread.
    on_loop: bool,
}

impl Watch {
    /// Reads the environ before the application can change it.
    fn new(environ: &Environ<'_>, threshold: Duration, report: &Report) -> Watch {
        let method = environ.get("REQUEST_METHOD").unwrap_or_default();
        let target = path_and_query(environ, true);
        let version = environ.get("SERVER_PROTOCOL").unwrap_or_default();
        Watch {
            threshold,
            report: Arc::clone(report),
            request_line: format!("{method} {target} {version}"),
            on_loop: !environ.multithread(),
        }
    }

    /// Runs one step, and reports it if it was slow. A panic is a failure like any other, so that
    /// it is also measured.
    fn time<R>(
        &self,
        step: SlowStep,
        run: impl FnOnce() -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        let began = Instant::now();
        let result = contain(run);
        let duration = began.elapsed();
        if duration >= self.threshold {
            self.report(step, duration);
        }
        result
    }

    fn report(&self, step: SlowStep, duration: Duration) {
        let call = SlowCall {
            request_line: &self.request_line,
            step,
            duration,
            on_loop: self.on_loop,
        };
        let reported = contain(|| {
            (self.report)(&call);
            Ok(())
        });
        // The request is not to blame, so it goes on.
        if let Err(failure) = reported {
            complain("a report of a slow application failed", failure);
        }
    }
}

/// The body of a response, with each block measured.
struct TimedBody {
    /// The application's body.
    body: Body,
    /// Measures its blocks.
    watch: Watch,
}

impl Iterable for TimedBody {
    fn next_block(
        &mut self,
        start_response: &mut dyn StartResponse,
    ) -> Result<Option<Block>, Failure> {
        let next_block = || self.body.next_block(start_response);
        self.watch.time(SlowStep::Block, next_block)
    }

    fn block_count(&self) -> Option<usize> {
        self.body.block_count()
    }

    fn close(&mut self) -> HandlerResult {
        self.body.close()
    }
}
