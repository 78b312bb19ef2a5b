//! The server that each program of this package puts into its own loop.

use std::error::Error;

use serve_forever::http::HttpResult;
use serve_forever::{HttpServer, Request, Response};

/// What a `main` and the loops return.
pub type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// A handler whose type has a name, so that the server's type has one, too.
pub type Page = fn(&Request<'_>, Response<'_>) -> HttpResult;

/// Listens on the address of the command line, or on port 8000, and says where. Ctrl-C and SIGTERM
/// stop the server: its next turn is the last one.
pub fn bind() -> Outcome<HttpServer<Page>> {
    let page: Page = |request, response| {
        response
            .send_response(200)
            .send_header("Content-Type", "text/plain")
            .body(format!("You asked for {}\n", request.path()))
    };
    let mut server = HttpServer::bind(address(), page)?;
    server.shutdown_on_signals()?;
    println!("Serving on http://{}/", server.server_address());
    Ok(server)
}

/// Returns the first argument, or the default address.
pub fn address() -> String {
    std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into())
}
