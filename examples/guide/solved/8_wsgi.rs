//! The exercises of step 8 of the guide, solved. `tests/exercises.rs` tests this program.
//!
//!     diff -u examples/guide/8_wsgi.rs examples/guide/solved/8_wsgi.rs

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
    let query = environ.get("QUERY_STRING").unwrap_or_default();
    let to = query.strip_prefix("to=").and_then(|to| to.parse().ok());
    let to = to.unwrap_or(u64::MAX);
    let status = match &*path {
        "/hello" | "/form" | "/count" | "/sleep" => "200 OK",
        _ => "404 Not Found",
    };
    start_response.call(status, &[("Content-type", "text/plain")])?;
    match &*path {
        "/count" => {
            let blocks = (1..=to).map(|number| format!("{number}\n"));
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
