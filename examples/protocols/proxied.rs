//! A server behind nginx or HAProxy, which knows who the client is.
//!
//!     cargo run --release --example proxied -- 127.0.0.1:8000
//!     nginx -p /tmp -c "$PWD/examples/protocols/proxied/nginx.conf"
//!     curl http://127.0.0.1:8080/
//!
//! It believes `X-Forwarded-For` and `X-Forwarded-Proto` from this machine; with `--forwarded` the
//! field of RFC 7239. HAProxy can pass on bytes without looking at them. It then sends the PROXY
//! protocol before the first byte:
//!
//!     cargo run --release --example proxied -- 127.0.0.1:8002 --proxy-protocol
//!     haproxy -f examples/protocols/proxied/haproxy.cfg
//!     curl http://127.0.0.1:8082/
//!     curl --haproxy-protocol http://127.0.0.1:8002/    # curl plays the proxy
//!
//! Why this is safe: only the proxy reaches this address, because it is loopback. Whoever else reached
//! it could choose the client's address. Ctrl-C stops it.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serve_forever::http::{AccessLog, Http, HttpSettings, LogFormat, TrustedProxies, listen};
use serve_forever::socketserver::{
    Evented, Factory, Protocol, ProxyProtocol, Server, Tcp, Transport,
};
use serve_forever::wsgi::{AppResult, Environ, StartResponse, WsgiHandler};

/// Says who asks, and how many connections there have been. nginx keeps its connections, so their
/// number does not grow with each request.
fn app(environ: &mut Environ, start_response: &mut dyn StartResponse) -> AppResult {
    let client = environ.get("REMOTE_ADDR").unwrap_or_default();
    let scheme = environ.url_scheme();
    let server = environ.request().and_then(|request| request.server());
    let accepted = server.map_or(0, |server| server.stats().accepted);
    let text = format!("You are {client}, by {scheme}.\nConnections so far: {accepted}\n");
    start_response.call("200 OK", &[("Content-type", "text/plain")])?;
    Ok(text.into())
}

fn serve<F: Factory<SocketAddr, Made: Protocol>>(
    tcp: Tcp,
    factory: F,
) -> Result<(), Box<dyn Error>> {
    let mut server = Server::new(tcp, Evented::new(factory))?;
    server.shutdown_on_signals()?;
    println!("Serving on http://{}/", server.server_address());
    Ok(server.serve_forever()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let tcp = listen(arguments.next().unwrap_or("127.0.0.1:8000".to_owned()))?;
    let option = arguments.next();
    let log = AccessLog::new((), LogFormat::Common, io::stderr());
    let handler = WsgiHandler::new(app, tcp.server_address()).access_log(log);
    let mut settings = HttpSettings::default();
    // Longer than the time for which the proxy keeps an idle connection, which is 60 s in nginx.
    settings.deadlines.keep_alive = Duration::from_secs(75);
    let nearby = TrustedProxies::networks(["127.0.0.1", "::1"])?;
    match option.as_deref() {
        None => settings.trusted_proxies = nearby.with_proto(),
        Some("--forwarded") => settings.trusted_proxies = nearby.forwarded(),
        Some("--proxy-protocol") => {
            return serve(tcp, ProxyProtocol::new(Http::new(handler, settings)));
        }
        Some(option) => return Err(format!("unknown option {option}").into()),
    }
    serve(tcp, Http::new(handler, settings))
}
