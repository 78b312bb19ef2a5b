//! A WSGI application, and the server that runs it.
//!
//!     cargo run --release --example wsgi_app -- 127.0.0.1:8000
//!
//! With `--demo` it runs the demo application, which shows the environ. From another terminal:
//!
//!     curl http://127.0.0.1:8000/
//!
//! Ctrl-C stops it.

use serve_forever::wsgi::{AppResult, Application, Environ, StartResponse, demo_app, make_server};
use std::error::Error;
use std::sync::Arc;

/// An application is a function with two arguments. `environ` is the request; this application does
/// not use it, because every response is the same. `start_response` takes status and header fields.
/// They are sent together with the first block that the application returns.
///
/// In Python, if an application returns the string `'Hello, world!\n'`, each character becomes a block.
/// Here text is one block, so its length is known, and `Content-Length` is added.
pub fn app(_environ: &mut Environ, start_response: &mut dyn StartResponse) -> AppResult {
    start_response.call("200 OK", &[("Content-type", "text/plain")])?;
    Ok("Hello, world!\n".into())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut address = "127.0.0.1:8000".to_owned();
    // The two applications have different types, so they need a pointer. `app` alone needs no Arc.
    let mut application: Arc<dyn Application> = Arc::new(app);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--demo" => application = Arc::new(demo_app),
            _ => address = argument,
        }
    }
    // Python: make_server('', 8000, app). When it returns, the server listens.
    let mut server = make_server(address, application)?;
    server.shutdown_on_signals()?;
    println!("Serving on http://{}/", server.server_address());
    Ok(server.serve_forever()?)
}
