//! One application that runs in two ways: as a CGI program if a web server starts it, and else as its
//! own server.
//!
//!     cargo run --release --example cgi_app -- 127.0.0.1:8000
//!
//! From another terminal, send a request to the server; then run the program like a web server would:
//!
//!     curl -d 'some text' http://127.0.0.1:8000/count
//!     printf 'some text' | GATEWAY_INTERFACE=CGI/1.1 REQUEST_METHOD=POST SCRIPT_NAME=/app \
//!         PATH_INFO=/count CONTENT_LENGTH=9 target/release/examples/cgi_app
//!
//! With `--iis` it corrects PATH_INFO, which IIS sets differently. Ctrl-C stops the server.
//! It is safe: it reads what it is sent, within limits, and writes nothing but its answer.

use serve_forever::wsgi::{AppResult, CgiHandler, Environ, StartResponse, make_server};
use std::error::Error;
use std::io::{self, Write};

/// Counts the bytes of the body. It also prints the path, and whether it runs on several threads, in
/// several processes, and only once.
fn app(environ: &mut Environ, start_response: &mut dyn StartResponse) -> AppResult {
    let mut body = Vec::new();
    environ.input().read_to_end(&mut body)?;
    let flags = [
        environ.multithread(),
        environ.multiprocess(),
        environ.run_once(),
    ];
    let variable = |key| environ.get(key).unwrap_or_default();
    let (script_name, path_info) = (variable("SCRIPT_NAME"), variable("PATH_INFO"));
    let page = format!(
        "{script_name} {path_info}: {} bytes, {flags:?}\n",
        body.len()
    );
    // Each character in the environ stands for one byte: turn them back into bytes.
    let page: Vec<u8> = page.chars().map(|character| character as u8).collect();
    start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
    Ok(page.into())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut address = "127.0.0.1:8000".to_owned();
    let mut iis = false;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--iis" => iis = true,
            _ => address = argument,
        }
    }
    if std::env::var_os("GATEWAY_INTERFACE").is_some() {
        let handler = if iis {
            CgiHandler::for_iis()
        } else {
            CgiHandler::new()
        };
        return Ok(handler.run(&app)?);
    }
    let mut server = make_server(address, app)?;
    server.shutdown_on_signals()?;
    // Ignore the error: it also serves if nobody reads this.
    let _ = writeln!(
        io::stdout(),
        "Serving on http://{}/",
        server.server_address()
    );
    Ok(server.serve_forever()?)
}
