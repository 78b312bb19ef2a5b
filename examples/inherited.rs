//! A server that makes no socket: it inherits one as its standard input.
//!
//! That is how inetd (`wait`) and systemd (`StandardInput=socket`, `Accept=no`) start a server
//! when its first client comes, how a supervisor starts a new server before the old one has gone,
//! without a client being turned away, and how several processes serve one port: what `fork` is
//! for in Python's `ForkingMixIn`. Without a socket this program plays the supervisor, too: it
//! binds the address, and replaces itself by itself with the listener as standard input.
//!
//!     cargo run --release --example inherited -- 127.0.0.1:9999
//!     nc 127.0.0.1 9999
//!
//! systemd's other way, `LISTEN_FDS`, says "the sockets are descriptor 3 and up". Rust has no safe
//! way to own a descriptor by its number, and this crate and its examples have no unsafe code.

#[cfg(unix)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::io;
    use std::net::TcpListener;
    use std::os::fd::{AsFd, OwnedFd};
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use serve_forever::socketserver::{Inline, POLL_INTERVAL, Rfile, Server, Tcp};

    let inherited = TcpListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    // Asks for its own address: an error, if it is a terminal or a file.
    let Ok(tcp) = Tcp::from_listener(inherited) else {
        let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
        let listener = TcpListener::bind(&address)?;
        let mut server = Command::new(std::env::current_exe()?);
        let server = server.arg(&address).stdin(OwnedFd::from(listener));
        return Err(server.exec().into()); // it only returns if it failed
    };

    // From here on it is the server of the example `echo`.
    let make_handler = |_client_address: &_| {
        |rfile: &mut dyn Rfile, mut wfile: &mut dyn io::Write| {
            io::copy(rfile, &mut wfile)?;
            Ok(())
        }
    };
    let mut server = Server::new(tcp, Inline(make_handler))?;
    server.shutdown_on_signals()?;
    println!("Serving on {}", server.server_address());
    Ok(server.serve_forever(POLL_INTERVAL)?)
}

#[cfg(not(unix))]
fn main() {
    eprintln!("Only Unix has sockets as standard input.");
}
