//! A WSGI application, and the server that runs it.
//!
//!     cargo run --release --example wsgi_app -- 127.0.0.1:8000
//!     curl http://127.0.0.1:8000/
//!     cargo run --release --example wsgi_app -- --demo       # shows the environ instead

use std::error::Error;
use std::sync::Arc;

use serve_forever::socketserver::POLL_INTERVAL;
use serve_forever::wsgi::{AppResult, Application, Environ, StartResponse, demo_app, make_server};

/// An application is a function of two things. `environ` is the request; this one answers every
/// request alike and does not look at it. `start_response` takes status and header fields; they
/// are sent together with the first block of what is returned.
///
/// In Python, one that returned `'Hello, world!\n'`, a string, would make each character a block of
/// its own. Here text is one block, so its length is known and `Content-Length` is added.
pub fn app(_environ: &mut Environ, start_response: &mut dyn StartResponse) -> AppResult {
    start_response.call("200 OK", &[("Content-type", "text/plain")])?;
    Ok("Hello, world!\n".into())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut address = "127.0.0.1:8000".to_owned();
    // Applications of several types behind one pointer; with `app` alone no Arc is needed.
    let mut application: Arc<dyn Application> = Arc::new(app);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--demo" => application = Arc::new(demo_app),
            _ => address = argument,
        }
    }
    // Python: make_server('', 8000, app). It is bound and listening when it returns.
    let mut server = make_server(address, application)?;
    server.shutdown_on_signals()?;
    println!("Serving on http://{}/", server.server_address());
    Ok(server.serve_forever(POLL_INTERVAL)?)
}
