//! Python's `serve_forever()`, an event loop you own, a parser you can fuzz.
//!
//! An embeddable server reactor on [`mio`], faithful to Python's `socketserver` → `http.server` →
//! `wsgiref` stack. Four layers, each importing only those above it here:
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
//! [`EventLoop::wait`](reactor::EventLoop::wait) sleeps and feeds every event to
//! [`Engine::feed`](socketserver::Engine::feed), which only takes note. Then
//! [`Engine::turn`](socketserver::Engine::turn) does, in Python's order: the shutdown test, one
//! request from the listener, a turn for each ready connection, `service_actions`.
//!
//! # The life of a request
//!
//! A connection that is ready reads once into a buffer that all share. Its
//! [`Protocol`](socketserver::Protocol), an [`HttpConnection`](http::HttpConnection), finds the
//! head ([`h1::Scanner`](http::h1::Scanner)), decides how the body ends
//! ([`h1::framing`](fn@http::h1::framing)), and lets the
//! [`HttpRequestHandler`](http::HttpRequestHandler) write its answer straight into the output,
//! which is written once. Bytes left over are kept by the connection; an idle one keeps none.
//!
//! # Where to begin
//!
//! The [`guide`] goes from a bare poll to an application in five steps, each a program.
#![forbid(unsafe_code)]
#![warn(unreachable_pub)]

extern crate alloc;

pub mod guide;
pub mod http;
pub mod reactor;
pub mod socketserver;
pub mod wsgi;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
