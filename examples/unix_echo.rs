//! A line echo on a path instead of a port: for the programs of one machine only.
//!
//!     cargo run --release --example unix_echo -- echo.sock
//!     nc -U echo.sock

#[cfg(unix)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::io::Write;
    use std::time::Duration;

    use serve_forever::socketserver::{
        HandlerResult, Inline, POLL_INTERVAL, RequestHandler, Rfile, Server, UnixStreams,
    };

    struct MyHandler;

    impl RequestHandler for MyHandler {
        /// One client at a time: none may keep the others waiting for long. Python has the class
        /// attribute `timeout` for this.
        fn setup(&mut self, rfile: &mut dyn Rfile) -> HandlerResult {
            Ok(rfile.set_timeout(Some(Duration::from_secs(10)))?)
        }

        fn handle(&mut self, rfile: &mut dyn Rfile, wfile: &mut dyn Write) -> HandlerResult {
            let mut line = Vec::new();
            rfile.read_until(b'\n', &mut line)?;
            Ok(wfile.write_all(&line)?)
        }
    }

    let path = std::env::args().nth(1).unwrap_or("echo.sock".into());
    // A socket stays on its path when its server has gone, and then the path cannot be bound.
    // `UnixStreamServer::bind` leaves that to you, as Python does. Here the server cleans up
    // after itself, and after one that could not, because it was killed.
    let transport = UnixStreams::new(path)?
        .unlink_stale(true)
        .unlink_on_close(true)
        .bind_and_activate()?;
    let mut server = Server::new(transport, Inline(|_client_address: &_| MyHandler))?;
    server.shutdown_on_signals()?;
    println!("Serving on {}", server.server_address());
    Ok(server.serve_forever(POLL_INTERVAL)?)
}

#[cfg(not(unix))]
fn main() {
    eprintln!("Only Unix has Unix-domain sockets.");
}
