//! A line echo on a socket path instead of a port, for programs on the same machine. It also shows who
//! unlinks the path afterwards.
//!
//!     cargo run --release --example unix_echo -- echo.sock
//!
//! From another terminal in the same directory, and then type a line:
//!
//!     nc -U echo.sock
//!
//! Ctrl-C stops it.

#[cfg(unix)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::io::Write;
    use std::time::Duration;

    use serve_forever::socketserver::{
        HandlerResult, Inline, RequestHandler, Rfile, Server, UnixStreams,
    };

    struct MyHandler;

    impl RequestHandler for MyHandler {
        /// There is one client at a time, so no client may keep the others waiting for long. Python has
        /// the class attribute `timeout` for this.
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
    // A socket stays on its path when its server has ended, and then the path cannot be bound again.
    // `UnixStreamServer::bind` leaves this problem to you, as Python does. This server unlinks its
    // path at the end. It also unlinks the path of an earlier server that was killed.
    let transport = UnixStreams::new(path)?
        .unlink_stale(true)
        .unlink_on_close(true)
        .bind_and_activate()?;
    let mut server = Server::new(transport, Inline::new(|_client_address: &_| MyHandler))?;
    server.shutdown_on_signals()?;
    println!("Serving on {}", server.server_address());
    Ok(server.serve_forever()?)
}

#[cfg(not(unix))]
fn main() {
    eprintln!("Only Unix has Unix-domain sockets.");
}
