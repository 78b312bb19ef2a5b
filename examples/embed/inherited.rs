//! A server that inherits its listening socket as standard input.
//!
//! inetd (`wait`) and systemd (`StandardInput=socket`, `Accept=no`) start a server in this way when
//! the first client connects. A supervisor can start a new server before the old one has ended, so
//! that no client is refused. Several processes can serve one port, which is what `fork` does in
//! Python's `ForkingMixIn`. If standard input is not a socket, this program first plays the
//! supervisor. It binds the address, and executes itself with the listener as standard input.
//!
//!     cargo run --release --example inherited -- 127.0.0.1:9999
//!
//! From another terminal, and then type:
//!
//!     nc 127.0.0.1 9999
//!
//! Ctrl-C stops the server. inetd and `systemd-socket-activate --inetd` also pass the socket as standard
//! output, and inetd even as standard error. So this program does not expect that it can print.
//!
//! systemd can also pass sockets as descriptor 3 and up (`LISTEN_FDS`): see the example `activated`.

#[cfg(unix)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::io::{self, Write};
    use std::net::TcpListener;
    use std::os::fd::{AsFd, OwnedFd};
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use serve_forever::socketserver::{Inline, Rfile, Server, Tcp};

    let inherited = TcpListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    // This asks the socket for its address, and fails if standard input is a terminal or a file.
    let Ok(tcp) = Tcp::from_listener(inherited) else {
        let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
        let listener = TcpListener::bind(&address)?;
        let mut server = Command::new(std::env::current_exe()?);
        let server = server.arg(&address).stdin(OwnedFd::from(listener));
        return Err(server.exec().into()); // `exec` returns only if it fails
    };

    // The rest is like the example `echo`.
    let make_handler = |_client_address: &_| {
        |rfile: &mut dyn Rfile, mut wfile: &mut dyn Write| {
            io::copy(rfile, &mut wfile)?;
            Ok(())
        }
    };
    let mut server = Server::new(tcp, Inline::new(make_handler))?;
    server.shutdown_on_signals()?;
    // Ignore the error: the output may be the listening socket, which takes no bytes.
    let _ = writeln!(io::stdout(), "Serving on {}", server.server_address());
    Ok(server.serve_forever()?)
}

#[cfg(not(unix))]
fn main() {
    eprintln!("Only on Unix a socket can be the standard input.");
}
