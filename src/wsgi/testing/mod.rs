//! A client and a server for the tests of an application.
//!
//! - [`Client`] asks an application in the same thread, without a socket. It is all that most
//!   tests need.
//! - [`TestServer`] serves an application on a free port, for tests with another program, with
//!   several connections, or about time.
//!
//! ```
//! use serve_forever::wsgi::demo_app;
//! use serve_forever::wsgi::testing::Client;
//!
//! let response = Client::new(demo_app).get("/some/path?x=y");
//! assert_eq!(response.status(), "200 OK");
//! assert!(response.text().contains("PATH_INFO = '/some/path'"));
//! ```

mod client;
mod server;

pub use client::{Client, TestRequest, TestResponse};
pub use server::TestServer;
