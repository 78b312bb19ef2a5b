//! Python's `serve_forever()`, an event loop you own, and a parser you can fuzz.
//!
//! An embeddable server reactor on [`mio`], faithful to Python's `socketserver` → `http.server` →
//! `wsgiref` stack. It has four layers, and each imports only the layers that stand above it here:
//!
//! ```text
//! reactor/        which of my sources can make progress?          selectors.py
//!     │           EventLoop = Poll + Waker
//!     │           Reactor = slots, readiness, run queue, timers
//! socketserver/   the loop, the life cycle, the three axes        socketserver.py
//!     │           Server = EventLoop + Engine
//!     │           Engine = Transport × Dispatch × Hooks
//! http/           HttpConnection: a Protocol, over the h1 codec   http/server.py
//!     │
//! wsgi/           environ, start_response, make_server            wsgiref
//! ```
//!
//! # One turn of the loop
//!
//! [`EventLoop::wait`](reactor::EventLoop::wait) sleeps, then passes every event to
//! [`Engine::feed`](socketserver::Engine::feed), which only records it. Then
//! [`Engine::turn`](socketserver::Engine::turn) does, in Python's order: the shutdown test, one
//! request from the listener, a turn for each ready connection, `service_actions`.
//!
//! # The life of a request
//!
//! A connection that is ready reads once, into a buffer that all connections share. Its
//! [`Protocol`](socketserver::Protocol), an [`HttpConnection`](http::HttpConnection), finds the
//! head ([`h1::Scanner`](http::h1::Scanner)) and decides how the body ends
//! ([`h1::framing`](fn@http::h1::framing)). Then the
//! [`HttpRequestHandler`](http::HttpRequestHandler) writes its response into the output buffer, which
//! is sent once, after the handler returns. Unused bytes stay with the connection; an idle connection
//! holds no buffer.
//!
//! # Where to begin
//!
//! The [`guide`] goes from a bare poll to an application in five steps; each is a program.
#![forbid(unsafe_code)]
#![warn(unreachable_pub)]

extern crate alloc;

pub mod guide;
pub mod http;
pub mod reactor;
pub mod socketserver;
pub mod wsgi;

#[doc(no_inline)]
pub use http::{HttpRequestHandler, HttpResult, HttpServer, Request, Response};
#[doc(no_inline)]
pub use wsgi::{AppResult, Environ, StartResponse, make_server};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
