//! One port, one loop for each core, all stopped together.
//!
//! Every loop has its own thread and its own listening socket. The sockets share the address, and the
//! kernel distributes new connections among them. Nothing else is shared, so there are no locks. This
//! is the counterpart of Python's `ForkingMixIn`; several processes can share a port in the same way.
//!
//!     cargo run --release --example reuse_port -- 127.0.0.1:8000
//!
//! From another terminal, several times; see which loop responds:
//!
//!     curl http://127.0.0.1:8000/
//!
//! Ctrl-C stops all loops.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::thread;

use serve_forever::http::{Http, HttpSettings, Request, Response};
use serve_forever::socketserver::{
    Evented, ServeError, Server, ServerAddress, ShutdownHandle, Tcp, Transport,
};

fn listen(address: impl ServerAddress) -> io::Result<Tcp> {
    Tcp::new(address)?
        .allow_reuse_address(true)
        .allow_reuse_port(true) // needed on every listener, also on the first
        .disable_nagle_algorithm(true)
        .request_queue_size(1024)
        .bind_and_activate()
}

/// Stops all loops when it is dropped. Each thread has one, so when one loop ends, all others end.
struct StopAll(Vec<ShutdownHandle>);

impl Drop for StopAll {
    fn drop(&mut self) {
        self.0.iter().for_each(ShutdownHandle::request);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    // With port 0 the first listener gets any free port; the others use the same port.
    let first = listen(address)?;
    let address: SocketAddr = first.server_address();
    let mut listeners = vec![first];
    let cores = thread::available_parallelism()?.get();
    while listeners.len() < cores {
        listeners.push(listen(address)?);
    }

    let mut servers = Vec::new();
    for (number, tcp) in listeners.into_iter().enumerate() {
        let page = move |_: &Request<'_>, response: Response<'_>| {
            let text = format!("Loop {number} of {cores} says hello.\n");
            response.send_response(200).body(text)
        };
        let dispatch = Evented::new(Http::new(page, HttpSettings::default()));
        servers.push(Server::new(tcp, dispatch)?);
    }
    let handles: Vec<_> = servers
        .iter()
        .map(|server| server.shutdown_handle())
        .collect();
    // One loop receives the signal. When it ends, it stops the others.
    servers[0].shutdown_on_signals()?;
    println!("Serving on http://{address}/ with {cores} loops");

    let ended: Vec<Result<(), ServeError>> = thread::scope(|scope| {
        let spawn = |mut server: Server<_, _>| {
            let others = StopAll(handles.clone());
            scope.spawn(move || {
                let _others = others;
                server.serve_forever()
            })
        };
        let threads: Vec<_> = servers.into_iter().map(spawn).collect();
        let ends = threads.into_iter().map(|thread| match thread.join() {
            Ok(ended) => ended,
            Err(_) => Err(io::Error::other("a loop panicked").into()),
        });
        ends.collect()
    });
    Ok(ended.into_iter().collect::<Result<(), ServeError>>()?)
}
