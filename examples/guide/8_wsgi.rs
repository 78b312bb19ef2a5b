//! Step 8 of the guide: an application, and blocks that are pulled. The page `guide::step_8_wsgi`
//! explains it.
//!
//!     cargo run --example guide_8_wsgi
//!     cargo run --example guide_8_wsgi 127.0.0.1:8000 threads

use std::error::Error;
use std::io;
use std::thread;
use std::time::Duration;

use serve_forever::wsgi::{AppResult, Body, Environ, StartResponse, make_server};

fn app(environ: &mut Environ, start_response: &mut dyn StartResponse) -> AppResult {
    let path = environ.get("PATH_INFO").unwrap_or_default().into_owned();
    let method = environ
        .get("REQUEST_METHOD")
        .unwrap_or_default()
        .into_owned();
    let length = io::copy(&mut environ.input(), &mut io::sink())?;
    start_response.call("200 OK", &[("Content-type", "text/plain")])?;
    match &*path {
        "/count" => {
            // An endless body. The server pulls a block when the client has taken those before.
            let blocks = (1..).map(|number| format!("{number}\n"));
            return Ok(Body::blocks(blocks));
        }
        "/sleep" => thread::sleep(Duration::from_secs(2)),
        _ => {}
    }
    Ok(format!("{method} {path}, {length} bytes\n").into())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or("127.0.0.1:8000".into());
    let mut server = make_server(address, app)?;
    if arguments
        .next()
        .is_some_and(|argument| argument == "threads")
    {
        server = server.threads(2);
    }
    server.shutdown_on_signals()?;
    println!("Serving on {}", server.server_address());
    Ok(server.serve_forever()?)
}
