//! Runs an application for each HTTP request. Python's `ServerHandler`.
//!
//! The order is Python's (WSGI-5): environ, the application, its blocks, `close()`. But blocks are
//! pulled: the first that is not empty leaves together with the head, and each further one is
//! asked for when the client has taken those before. So a body can be endless and costs one block
//! of memory, and a client that does not read stops its own answer and nobody else's.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use super::answer::{self, Answer, ERROR_BODY, error_head};
use super::environ::{BaseEnviron, setup_environ};
use super::start_response::Head;
use super::{Application, Environ};
use crate::http::{BodySource, HttpRequestHandler, HttpResult, Request, Response, ResponseHead};
use crate::socketserver::Failure;

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
        let mut environ = Environ::of_request(request, &self.base_environ);
        match answer::run(&*self.application, &mut environ) {
            Ok((head, answer)) => send(&head, answer, request.method() == "HEAD", response),
            Err(failure) => error_output(failure, response),
        }
    }
}

/// Answers 500 in the place of an application that failed before its head was sent, and reports
/// the failure (WSGI-19). The connection ends, as after every failure.
fn error_output(failure: Failure, response: Response<'_>) -> HttpResult {
    send_headers(&error_head(), response)
        .send_header("Connection", "close")
        .with_failure(failure)
        .body(ERROR_BODY)
}

/// Sends head and first block, and leaves the rest to be pulled.
fn send(head: &Head, mut answer: Answer, head_only: bool, response: Response<'_>) -> HttpResult {
    let mut sent = send_headers(head, response);
    if let Some(whole) = answer.whole() {
        return sent.body(whole);
    }
    if head_only || !head.has_content() {
        if let Err(failure) = answer.consume() {
            sent = sent.with_failure(failure);
        }
        return sent.stream(std::iter::empty::<Vec<u8>>());
    }
    sent.stream(answer)
}

impl BodySource for Answer {
    fn next_block(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        Answer::next_block(self)
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
