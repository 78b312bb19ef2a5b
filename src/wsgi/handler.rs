//! Runs an application for each request. Python's `BaseHandler` and `SimpleHandler`.
//!
//! The order is Python's (WSGI-5): environ, the application, its blocks, `close()`. But blocks are
//! pulled: the first that is not empty leaves together with the head, and each further one is
//! asked for when the client has taken those before. So a body can be endless and costs one block
//! of memory, and a client that does not read stops its own answer and nobody else's.

use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;

use super::application::{Blocks, Body};
use super::environ::{BaseEnviron, setup_environ};
use super::start_response::{Head, Start};
use super::{Application, Environ};
use crate::http::{BodySource, HttpRequestHandler, HttpResult, Request, Response, ResponseHead};
use crate::socketserver::{Failure, complain, contain};

/// What a client is told of a failure: nothing (WSGI-19; the text is Python's).
const ERROR_BODY: &str = "A server error occurred.  Please contact the administrator.";

/// How much of a body that is not to be sent is asked for all the same (WSGI-14), in bytes and in
/// blocks. Nobody takes the blocks, so nothing else ends a body without an end.
const CONSUMED_BYTES: usize = 64 * 1024;
const CONSUMED_BLOCKS: usize = 1024;

/// Answers HTTP requests by calling an [`Application`].
///
/// [`make_server`](super::make_server) puts one into a server; by itself it is a handler for
/// every server that wants an [`HttpRequestHandler`].
pub struct WsgiHandler<A> {
    application: Arc<A>,
    base_environ: Arc<BaseEnviron>,
}

impl<A> WsgiHandler<A> {
    /// A handler for a server that listens on `server_address`: a `SocketAddr`, or `None` if it
    /// has no host and port, as on a Unix-domain socket; `SERVER_NAME` and `SERVER_PORT` are then
    /// `localhost` and `80`.
    pub fn new(application: A, server_address: impl Into<Option<SocketAddr>>) -> WsgiHandler<A> {
        WsgiHandler {
            application: Arc::new(application),
            base_environ: Arc::new(setup_environ(server_address.into())),
        }
    }

    /// The application.
    pub fn application(&self) -> &A {
        &self.application
    }

    pub(super) fn set_application(&mut self, application: A) {
        self.application = Arc::new(application);
    }

    /// The variables that are the same for every request, to be changed for connections to come:
    /// another `SERVER_NAME`, `HTTPS` behind a proxy that encrypts, or, if it must be, those of
    /// the process (ENV-21).
    pub fn base_environ_mut(&mut self) -> &mut BTreeMap<String, String> {
        Arc::make_mut(&mut self.base_environ)
    }
}

impl<A> Clone for WsgiHandler<A> {
    fn clone(&self) -> WsgiHandler<A> {
        WsgiHandler {
            application: Arc::clone(&self.application),
            base_environ: Arc::clone(&self.base_environ),
        }
    }
}

impl<A> fmt::Debug for WsgiHandler<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WsgiHandler")
            .field("base_environ", &self.base_environ)
            .finish_non_exhaustive()
    }
}

impl<A: Application> HttpRequestHandler for WsgiHandler<A> {
    /// Calls the application, whatever the method (WSGI-3).
    fn handle(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        match self.run(request) {
            Ok((head, answer)) => answer.send(&head, request.method() == "HEAD", response),
            Err(failure) => error_output(failure, response),
        }
    }
}

impl<A: Application> WsgiHandler<A> {
    /// Calls the application and pulls until the head is certain.
    fn run(&self, request: &Request<'_>) -> Result<(Head, Answer), Failure> {
        let mut environ = Environ::of_request(request, &self.base_environ);
        let mut start = Start::new();
        let body = contain(|| self.application.call(&mut environ, &mut start))?;
        let mut answer = Answer::new(body, start);
        let head = answer.begin()?;
        Ok((head, answer))
    }
}

/// Answers 500 in the place of an application that failed before its head was sent, and reports
/// the failure (WSGI-19). The connection ends, as after every failure.
fn error_output(failure: Failure, response: Response<'_>) -> HttpResult {
    response
        .send_response_only(500, "Internal Server Error")
        .send_date()
        .send_server()
        .send_header("Content-Type", "text/plain")
        .send_header("Connection", "close")
        .with_failure(failure)
        .body(ERROR_BODY)
}

/// The result of an application, on its way to the client.
struct Answer {
    result: Pending,
    start: Start,
    /// The first block that is not empty, until it is sent.
    first: Option<Vec<u8>>,
    /// The first block is all there is (WSGI-13).
    whole: bool,
}

impl Answer {
    fn new(body: Body, start: Start) -> Answer {
        Answer {
            result: Pending(body.0),
            start,
            first: None,
            whole: false,
        }
    }

    /// Pulls until there is something to send, or the end; that makes the head final.
    fn begin(&mut self) -> Result<Head, Failure> {
        let single = self.result.block_count() == Some(1);
        self.first = loop {
            match self.pull()? {
                Some(block) if block.is_empty() => {}
                first => break first,
            }
        };
        // After a write() nobody knows how long the body is (WSGI-13).
        self.whole = !self.start.is_committed() && (single || self.first.is_none());
        Ok(self.start.send()?)
    }

    /// What was written by `write()`, and else, or together with it, the next block.
    fn pull(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let mut written = self.start.take_written();
        if !written.is_empty() {
            return Ok(Some(written));
        }
        let start = &mut self.start;
        let block = contain(|| self.result.next_block(start))?;
        // A late start_response comes with the first block, not after it (WSGI-11).
        start.check()?;
        written = start.take_written();
        Ok(match block {
            block if written.is_empty() => block,
            Some(block) => Some([written, block].concat()),
            None => Some(written),
        })
    }

    /// Sends head and first block, and leaves the rest to be pulled.
    fn send(mut self, head: &Head, head_only: bool, response: Response<'_>) -> HttpResult {
        let silent = head_only || matches!(head.code, 204 | 304);
        let mut head = send_headers(head, response);
        if self.whole {
            // Content-Length is that of the only block, or 0 (WSGI-13).
            return head.body(self.first.take().unwrap_or_default());
        }
        if silent {
            if let Err(failure) = self.consume() {
                head = head.with_failure(failure);
            }
            return head.stream(std::iter::empty::<Vec<u8>>());
        }
        head.stream(self)
    }

    /// Pulls blocks that are not to be sent and drops them (WSGI-14).
    fn consume(&mut self) -> Result<(), Failure> {
        let mut bytes = 0;
        for _ in 0..CONSUMED_BLOCKS {
            match self.pull()? {
                Some(block) if bytes < CONSUMED_BYTES => bytes += block.len(),
                _ => break,
            }
        }
        Ok(())
    }
}

impl BodySource for Answer {
    fn next_block(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        match self.first.take() {
            Some(first) => Ok(Some(first)),
            None => self.pull(),
        }
    }
}

/// Writes the head in Python's order: Date and Server unless set, then the application's fields
/// (WSGI-15).
fn send_headers<'a>(head: &Head, response: Response<'a>) -> ResponseHead<'a> {
    let mut sent = response.send_response_only(head.code, &head.reason);
    if !head.sets("Date") {
        sent = sent.send_date();
    }
    if !head.sets("Server") {
        sent = sent.send_server();
    }
    for (name, value) in &head.headers {
        sent = sent.send_header(name, value);
    }
    sent
}

/// A result whose `close()` is still to be called: once, when this is dropped, which is when the
/// answer is complete, has failed, or the client is gone (WSGI-18).
struct Pending(Blocks);

impl Pending {
    fn block_count(&self) -> Option<usize> {
        match &self.0 {
            Blocks::Static(_) | Blocks::Owned(_) => Some(1),
            Blocks::Iterable(iterable) => iterable.block_count(),
        }
    }

    fn next_block(&mut self, start: &mut Start) -> Result<Option<Vec<u8>>, Failure> {
        match &mut self.0 {
            Blocks::Static(bytes) => Ok(block(mem::take(bytes).to_vec())),
            Blocks::Owned(bytes) => Ok(block(mem::take(bytes))),
            Blocks::Iterable(iterable) => iterable.next_block(start),
        }
    }
}

/// The only block of a body; when it has been taken, the end.
fn block(bytes: Vec<u8>) -> Option<Vec<u8>> {
    (!bytes.is_empty()).then_some(bytes)
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Blocks::Iterable(iterable) = &mut self.0 {
            // The answer is what it is: there is nobody left to tell but the log (WSGI-18).
            if let Err(failure) = contain(|| iterable.close()) {
                complain("close() of a result failed", &failure);
            }
        }
    }
}
