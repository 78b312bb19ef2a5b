//! Applications, kept separate from the server that runs them. Python's `wsgiref` and PEP 3333.
//!
//! The server calls an application with two arguments: `environ`, which is the request, and
//! `start_response`, which takes the status and the header fields. The application returns the body
//! of the response. So the application knows nothing of sockets, and the server knows nothing of
//! what it serves:
//!
//! ```
//! use serve_forever::{AppResult, Environ, StartResponse, make_server};
//!
//! fn app(environ: &mut Environ, start_response: &mut dyn StartResponse) -> AppResult {
//!     start_response.call("200 OK", &[("Content-type", "text/plain")])?;
//!     Ok("Hello, world!\n".into())
//! }
//!
//! # let address = "127.0.0.1:0"; // port 8000 may be in use
//! # #[cfg(any())]
//! let address = "127.0.0.1:8000";
//! let mut server = make_server(address, app)?;
//! # server.shutdown_handle().request();
//! server.serve_forever()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! How a request passes through this module:
//!
//! 1. [`WsgiHandler`] gets the request from the connection, with its whole body. It may hand the
//!    request to a thread.
//! 2. It builds an [`Environ`] from the request. This is a view: a value is computed when the
//!    application looks it up.
//! 3. It calls the [`Application`], which calls [`StartResponse::call`] and returns a [`Body`].
//! 4. It pulls the first block from the body and sends it together with the head. The connection
//!    pulls the other blocks when the client has taken those before. An [`Iterable`] may still call
//!    `start_response`.
//! 5. [`Iterable::close`] is called once, whether the response was sent or failed.
//!
//! Applications run on the loop's thread, one call at a time. While one of them waits, every client
//! waits. With [`threads`](WsgiServer::threads) they run on a pool and may block. The loop keeps
//! every socket, so a slow client does not hold a thread. A response stays on the thread that called
//! the application. A [`Pool`](crate::socketserver::Pool) can also prepare its threads, or use those
//! of your program.
//!
//! If an application panics or returns an error, the client gets a 500, and
//! [`Hooks::handle_error`](crate::socketserver::Hooks::handle_error) is called. See also
//! [`limit_panic_reports`](crate::socketserver::limit_panic_reports).
//!
//! # Testing an application
//!
//! A [`Client`](testing::Client) asks an application without a socket. A
//! [`TestServer`](crate::http::testing::TestServer) serves it on a free port. A [`Validator`] around the
//! application reports what PEP 3333 forbids:
//!
//! ```
//! use serve_forever::wsgi::testing::Client;
//! use serve_forever::wsgi::{Validator, demo_app};
//!
//! let client = Client::new(Validator::new(demo_app));
//! let response = client.get("/some/path?x=y");
//! assert_eq!(response.status(), "200 OK");
//! assert!(response.text().contains("PATH_INFO = '/some/path'"));
//! ```
//!
//! # Without a server
//!
//! [`SimpleHandler`] runs an application on three streams and an environ that you supply.
//! [`CgiHandler`] takes those of the process, which makes your program a CGI program.
//!
//! # Where Python's names are
//!
//! | Python | here |
//! | --- | --- |
//! | `make_server`, `WSGIServer`, `demo_app` | [`make_server`], [`WsgiServer`], [`demo_app`] |
//! | `set_app`, `get_app` | [`WsgiServer::set_app`], [`WsgiServer::get_app`] |
//! | `class Server(ThreadingMixIn, WSGIServer)` | [`WsgiServer::threads`] |
//! | `ServerHandler` | [`WsgiHandler`] |
//! | `SimpleHandler`, `BaseCGIHandler` | [`SimpleHandler`] |
//! | `CGIHandler`, `IISCGIHandler` | [`CgiHandler`] |
//! | `start_response(status, headers)` | [`StartResponse::call`] |
//! | `start_response(status, headers, exc_info)` | [`StartResponse::call_with_exc_info`] |
//! | the `write` that it returns | [`StartResponse::write`] |
//! | `Headers` | [`Headers`] |
//! | `environ["PATH_INFO"]` | [`Environ::get`] |
//! | `environ["wsgi.input"]` | [`Environ::input`] |
//! | `environ["wsgi.file_wrapper"](file)` | [`FileWrapper::new`]; a [`File`](std::fs::File) also converts into a [`Body`] |
//! | `error_status`, `error_headers`, `error_body`, `error_output` | [`WsgiHandler::error_output`] |
//! | `[b"one block"]` | [`Body::from`] |
//! | `[page]`, a page that others have as well | [`Body::from`] with a [lent](crate::http::Block::lend) block |
//! | a generator, an iterable | [`Body::blocks`], [`Iterable`] |
//! | `validator(app)` | [`Validator::new`] |
//! | `FileWrapper`, `shift_path_info`, … | [`FileWrapper`], [`shift_path_info`], … |

mod application;
mod base_environ;
mod cgi;
mod environ;
mod file_wrapper;
mod handler;
mod headers;
#[cfg(feature = "http-types")]
mod http_types;
mod latin1;
mod output;
mod request_variables;
mod response_writer;
mod server;
mod simple_handler;
mod slow;
mod spool;
mod start_response;
pub mod testing;
mod util;
mod validate;
mod writing;

pub use application::{AppResult, Application, Body, Iterable};
pub use cgi::{CgiHandler, read_environ};
pub use environ::{Environ, guess_scheme};
pub use file_wrapper::FileWrapper;
pub use handler::WsgiHandler;
pub use headers::Headers;
pub use server::{
    WsgiServer, demo_app, make_server, make_server_with_hooks, make_server_with_settings,
};
pub use simple_handler::SimpleHandler;
pub use slow::{Slow, SlowCall, SlowStep};
pub use start_response::{AppError, StartResponse, is_hop_by_hop};
pub use util::{
    application_uri, format_date_time, request_uri, setup_testing_defaults, shift_path_info,
};
pub use validate::{Breach, Validator};
