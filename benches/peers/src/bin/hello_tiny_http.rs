//! tiny_http with one thread of handlers, besides the threads of its own: `hello_tiny_http ADDRESS`.

use std::env;
use std::error::Error;
use std::io;

use tiny_http::{Header, Response, Server};

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let server = Server::http(address)?;
    let plain = Header::from_bytes("Content-Type", "text/plain").expect("a valid field");
    for mut request in server.incoming_requests() {
        io::copy(request.as_reader(), &mut io::sink())?;
        let response = Response::from_string("Hello, World!").with_header(plain.clone());
        // An error concerns this client alone: it has left.
        let _ = request.respond(response);
    }
    Ok(())
}
