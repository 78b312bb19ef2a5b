//! Python's `serve_forever()`, an event loop you own, and a parser you can fuzz.
//!
#![cfg_attr(feature = "server", doc = include_str!("front_page.md"))]
//! # Features
//!
//! | feature | by default | what it adds | crates it adds |
//! | --- | --- | --- | --- |
//! | | | [`http::h1`]: the codec, which does no I/O and needs no `std` | `httparse`, `memchr` |
//! | `server` | on | everything else: the loop, the sockets, HTTP and WSGI | `crossbeam-channel`, `httpdate`, `log`, `mio`, `percent-encoding`, `signal-hook`, `socket2`, and four that these need |
//! | `files` | on | `http::SimpleHttpRequestHandler`, which serves a directory, and `http::translate_path`; turns on `server` | on Unix `rustix` and `bitflags`, on Linux also `linux-raw-sys` |
//! | `tls` | off | TLS around any protocol: `http::HttpsServer`, `socketserver::Tls`; turns on `server` | `rustls`, and six that it needs |
//! | `tls-ring` | off | the cryptography of the crate `ring` for it; turns on `tls`; to build it takes a C compiler and three crates more | `ring`, `getrandom`, `cfg-if` |
//! | `websocket` | off | `http::websocket`: WebSocket, in messages; turns on `server` | `sha1_smol` |
//! | `local-time` | off | access logs in local time, `http::AccessLog::local_time`; turns on `server` | `jiff`, `jiff-core` |
//! | `http-types` | off | conversions from and to the types of the crate [`http`](https://docs.rs/http): `TryFrom` for requests and fields, `Response::send` for responses; turns on `server` | `http`, `bytes`, `itoa` |
//!
//! For the codec alone, write `default-features = false` beside the version of this crate in your
//! `Cargo.toml`.
//!
//! # The specification
//!
//! Codes such as [LOOP-12](spec#loop-12) name clauses of the specification, the module [`spec`]. To
//! look one up, type it into the search field. The page says what this crate does, why, and what
//! CPython does.
#![cfg_attr(not(any(feature = "server", test)), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
#![warn(unreachable_pub)]

extern crate alloc;

#[cfg(feature = "server")]
pub mod guide;
#[cfg(feature = "server")]
pub mod http;
#[cfg(feature = "server")]
pub mod reactor;
#[cfg(feature = "server")]
pub mod socketserver;
pub mod spec;
#[cfg(feature = "server")]
pub mod wsgi;

/// HTTP/1.1. Without the feature `server` there is only the codec.
// cargo-mutants reads both declarations of the module, and would try each change of the codec twice.
#[cfg_attr(mutants, mutants::skip)]
#[cfg(not(feature = "server"))]
pub mod http {
    pub mod h1;
}

#[cfg(feature = "server")]
#[doc(no_inline)]
pub use http::{HttpRequestHandler, HttpResult, HttpServer, Request, Response};
#[cfg(feature = "server")]
#[doc(no_inline)]
pub use wsgi::{AppResult, Environ, StartResponse, make_server};

#[cfg(all(doctest, feature = "server"))]
#[doc = include_str!("../README.md")]
struct Readme;
