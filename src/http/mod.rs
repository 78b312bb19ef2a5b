//! HTTP/1.1 on the loop. Python's `http.server`.
//!
//! There are three layers, and you can use each without the one above it:
//!
//! * [`h1`] is the codec: bytes in; heads, framing and errors out; no I/O at all.
//! * [`HttpConnection`] is one connection as a [`Protocol`](crate::socketserver::Protocol).
//! * [`HttpServer`] is a server that makes one for each client; your [`HttpRequestHandler`] handles
//!   the requests. [`ThreadingHttpServer`] runs handlers that block on threads.
//!
//! ```
//! use serve_forever::{HttpResult, HttpServer, Request, Response};
//!
//! fn hello(request: &Request<'_>, response: Response<'_>) -> HttpResult {
//!     response
//!         .send_response(200)
//!         .send_header("Content-Type", "text/plain")
//!         .body(format!("You asked for {}\n", request.path()))
//! }
//!
//! let mut server = HttpServer::bind("127.0.0.1:0", hello)?;
//! # server.shutdown_handle().request();
//! server.serve_forever()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! If you know `http.server`, [`differences`] lists what is different here, and why.
//!
//! # State
//!
//! Each connection has its own clone of the handler. So a variable that a closure owns counts for one
//! connection only. Put what all connections share into an [`Arc`](std::sync::Arc):
//!
//! ```
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU64, Ordering};
//! use serve_forever::{HttpServer, Request, Response};
//!
//! let hits = Arc::new(AtomicU64::new(0));
//! let page = move |_: &Request<'_>, response: Response<'_>| {
//!     let hit = hits.fetch_add(1, Ordering::Relaxed) + 1;
//!     response.send_response(200).body(format!("visit {hit}\n"))
//! };
//! let server = HttpServer::bind("127.0.0.1:0", page)?;
//! # let _ = server;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # The body of a request
//!
//! Your handler is called when the body has arrived whole, unless
//! [`body_policy`](HttpRequestHandler::body_policy) decides otherwise from the head:
//!
//! | you want | use |
//! | --- | --- |
//! | the whole body when the handler is called | [`BodyPolicy::whole`], with a limit |
//! | a simple form | [`BodyPolicy::whole`] and [`Request::form`] |
//! | a form with files, stored as it arrives | [`BodyPolicy::streamed`], [`Request::multipart`] and [`Response::receive_form`] |
//! | to take it on the loop as it arrives | [`BodyPolicy::streamed`] and [`Response::receive`] or [`receive_into`](Response::receive_into) |
//! | to read it on another thread as it arrives | [`BodyPolicy::streamed`] and [`Response::body_reader`] |
//! | to refuse it unread | [`BodyPolicy::refused`], or a response without it |
//!
//! # The body of a response
//!
//! | your body is | use |
//! | --- | --- |
//! | in memory | [`ResponseHead::body`] |
//! | in memory and large, or [lent](Block::lend) by a cache | [`ResponseHead::body_block`], which does not copy it |
//! | pulled block by block as the client reads | [`ResponseHead::stream`] with an iterator, [`FromRead`] or a [`BodySource`] |
//! | pushed from any thread as it is produced | [`Response::defer`] and [`Deferred::stream`] |
//! | a stream of events for a browser | [`Response::send_events`] |
//!
//! For messages in both directions there is `http::websocket`, with the feature `websocket`.
//!
//! # Where handlers run
//!
//! A handler runs on the loop, and must not keep it waiting. With [`Response::defer`] any thread
//! may send the response. [`Response::offload`] lets a [`Pool`](crate::socketserver::Pool) write
//! it, and [`Pooled`] runs a whole handler there. From [`Incoming`], threads of your own take the
//! requests when they like. In every case the loop keeps the socket. A slow
//! client delays only its own response, and memory use never depends on a length that a client
//! merely announces.
//!
//! # Who may ask
//!
//! Any page that the user's browser shows can send requests to a server on the loopback interface, and a
//! page of an attacker can even read the responses. [`AllowedHosts`] around the handler prevents both.
//! [`set_max_connections_per_address`](crate::socketserver::Server::set_max_connections_per_address)
//! keeps one client from taking all connections.
//!
//! # Behind a proxy
//!
//! The address of the socket is then that of the proxy. Name the proxies that may say who the client is:
//! [`TrustedProxies`] is a rule for `Forwarded` and `X-Forwarded-For`. If the proxy sends the PROXY
//! protocol, put a [`ProxyProtocol`](crate::socketserver::ProxyProtocol) around [`Http`]. Either way, let
//! [`Deadlines::keep_alive`] be longer than the proxy's idle time.

mod access;
mod addresses;
mod allowed_hosts;
mod any_handler;
mod body_budget;
mod body_policy;
mod body_reader;
mod body_sink;
mod connection;
mod date;
mod deferred;
pub mod differences;
mod error_format;
mod error_page;
mod events;
mod form;
mod forwarded;
pub mod h1;
mod handler;
#[cfg(feature = "http-types")]
mod http_types;
#[cfg(feature = "tls")]
mod https;
mod incoming;
mod json;
mod kept_request;
mod message;
mod off_loop;
mod offload;
mod owned;
#[cfg(feature = "files")]
mod path;
mod proxies;
mod request;
mod request_body;
mod response;
mod response_body;
mod response_error;
mod response_stream;
mod server;
mod settings;
mod shared;
#[cfg(feature = "files")]
mod static_files;
mod stats;
mod status;
mod terms;
pub mod testing;
mod threading;
mod turned_away;
#[cfg(feature = "websocket")]
pub mod websocket;
mod window;
mod written;

pub use crate::socketserver::Block;
pub(crate) use access::Handled;
pub use access::{AccessLog, LogEntry, LogFormat, LogSink};
pub use allowed_hosts::AllowedHosts;
pub(crate) use allowed_hosts::Refusal;
pub use any_handler::AnyHandler;
pub use body_policy::{BodyPolicy, Want};
pub use body_reader::BodyReader;
pub use body_sink::BodySink;
pub use connection::HttpConnection;
pub(crate) use date::format_date_time;
pub use deferred::Deferred;
pub use error_format::ErrorFormat;
pub use events::{Event, EventSender};
pub use form::{
    Form, FormError, FormFile, Multipart, MultipartEvent, MultipartLimits, Part, parse_qsl,
};
pub use handler::HttpRequestHandler;
#[cfg(feature = "tls")]
pub use https::HttpsServer;
pub use incoming::{Incoming, IncomingRequest};
pub use message::{Late, Message};
pub use offload::Pooled;
pub use owned::OwnedRequest;
#[cfg(feature = "files")]
pub use path::{TranslatedPath, translate_path};
pub use proxies::TrustedProxies;
pub use request::Request;
pub use response::{HttpResult, Reply, Response, ResponseHead};
pub use response_body::{BodySource, FromRead};
pub(crate) use response_body::{READ, read_block};
pub use response_error::ResponseError;
pub use response_stream::ResponseStream;
pub use server::{Http, HttpEngine, HttpServer, listen};
pub use settings::{BodyDeadlines, Deadlines, HttpSettings, Limits};
pub use shared::Shared;
#[cfg(feature = "files")]
pub use static_files::SimpleHttpRequestHandler;
pub use stats::HttpStats;
pub use status::{explanation, phrase};
pub use threading::{ThreadedHttp, ThreadingHttpServer};
