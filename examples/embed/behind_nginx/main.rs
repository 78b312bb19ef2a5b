//! Several reactors behind nginx, which can be replaced one after the other while clients come.
//!
//! One process is one loop on one core. nginx distributes the requests, each on a connection of its own
//! through a Unix-domain socket; `nginx.conf` is beside this file. Start two:
//!
//!     cargo build --release --example behind_nginx
//!     target/release/examples/behind_nginx run/0.sock &
//!     target/release/examples/behind_nginx run/1.sock &
//!     nginx -p "$PWD" -c examples/embed/behind_nginx/nginx.conf
//!     curl http://127.0.0.1:8080/
//!
//! To replace one, start its successor on the same path, and stop the old one when the new one has
//! printed its line:
//!
//!     target/release/examples/behind_nginx run/0.sock &
//!     kill %1
//!
//! Nothing is lost. The successor listens before it takes over the path, so a connection always finds
//! somebody. The old one then gets no more connections. It accepts what is in its queue, answers it,
//! and ends. nginx need not be told. It is safe: only the owner and the group can connect to the socket.

#[cfg(unix)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use serve_forever::http::{Http, HttpSettings, Pooled, TrustedProxies};
    use serve_forever::socketserver::{Evented, Pool, Server, UnixStreams};
    use serve_forever::{Request, Response};
    use std::{thread, time::Duration};

    let path = std::env::args().nth(1).unwrap_or("run/0.sock".into());
    let process = std::process::id();
    let page = move |request: &Request<'_>, response: Response<'_>| {
        if request.path() == "/slow" {
            thread::sleep(Duration::from_millis(100)); // on a thread of the pool
        }
        let client = request
            .client_address()
            .map_or("?".into(), |client| client.ip().to_string());
        let text = format!("{process} {} for {client}\n", request.target());
        response.send_response(200).body(text)
    };
    let own = format!("{path}.{process}");
    let unix = UnixStreams::new(&own)?
        .mode(0o660) // nginx has to be in the group
        .request_queue_size(1024)
        .bind_and_activate()?;
    let mut settings = HttpSettings::default();
    // Only nginx reaches the socket, so what it says about the client is true.
    settings.trusted_proxies = TrustedProxies::networks(["unix"])?.with_proto();
    let http = Http::new(Pooled::new(page, Pool::new()), settings);
    let mut server = Server::new(unix, Evented::new(http))?;
    server.drain_on_signals(Duration::from_secs(30))?;
    std::fs::rename(&own, &path)?; // from now on nginx connects here
    println!("{process} serves on {path}");
    Ok(server.serve_forever()?)
}

#[cfg(not(unix))]
fn main() {
    eprintln!("There are no Unix-domain sockets here.");
}
