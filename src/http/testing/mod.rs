//! A client and a server for the tests of a handler.
//!
//! - [`Client`] asks a handler in the same thread, without a socket. It is all that most tests
//!   need.
//! - [`TestServer`] serves a handler on a free port: for tests with another program, with several
//!   connections, or about time.
//! - [`Misbehaving`] is a server for the tests of a *client*. It breaks HTTP in the ways that you
//!   list, one [`Answer`] for each request.
//!
//! ```
//! use serve_forever::http::testing::Client;
//! use serve_forever::{Request, Response};
//!
//! let hello = |request: &Request<'_>, response: Response<'_>| {
//!     response.send_response(200).body(format!("hello {}", request.path()))
//! };
//! let response = Client::new(hello).get("/world");
//! assert_eq!(response.status(), "200 OK");
//! assert_eq!(response.text(), "hello /world");
//! ```

mod answer;
mod client;
mod misbehaving;
mod play;
mod response;
mod server;

pub use answer::Answer;
pub use client::{Client, TestRequest};
pub use misbehaving::Misbehaving;
pub use response::TestResponse;
pub use server::TestServer;
