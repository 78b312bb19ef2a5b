//! The end of a sign-in with OAuth: the browser comes back once, with a code, and is told so.
//!
//!     cargo run --example oauth
//!
//! Without a service to sign in at, play the browser: the program prints the command. It waits for a
//! minute, or until Ctrl-C. It has no arguments.
//!
//! It is safe: it listens on the loopback addresses of this machine, on a port that nobody knows
//! before (RFC 8252 §7.3). It accepts only an answer with its own `state` (RFC 6749 §10.12), and only
//! once. Whatever else comes does not end the wait: the browser's favicon, a connection without a
//! request, a page that guesses. In your program, also use PKCE (RFC 7636).

use std::error::Error;
use std::hash::{BuildHasher, RandomState};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use serve_forever::http::AllowedHosts;
use serve_forever::socketserver::RunningServer;
use serve_forever::{HttpRequestHandler, HttpServer, Request, Response};

fn main() -> Result<(), Box<dyn Error>> {
    // Two hashes with a secret key, for which std takes 128 bits of the random numbers of the operating
    // system. If your program has a crate for random numbers, use that.
    let random = RandomState::new();
    let state = format!("{:016x}{:016x}", random.hash_one(0), random.hash_one(1));
    let (sender, received) = channel();
    let expected = state.clone();
    let callback = move |request: &Request<'_>, response: Response<'_>| {
        let field = |name| request.query_pairs().find(|field| field.0 == name);
        if (request.method(), request.path()) != ("GET", "/callback") {
            return response.send_error(404);
        }
        // Not in constant time: a connection's delays are far larger than that of a comparison.
        if field("state").is_none_or(|(_, state)| state != expected) {
            return response.send_error(400);
        }
        let (outcome, text) = match (field("code"), field("error")) {
            (Some((_, code)), None) => (Ok(code.into_owned()), "You are signed in."),
            (None, Some((_, error))) => (Err(error.into_owned()), "You are not signed in."),
            _ => return response.send_error(400),
        };
        let _ = sender.send(outcome); // an error: it is the second answer, and nobody waits
        response
            .send_response(200)
            .send_header("Content-Type", "text/html; charset=utf-8")
            .send_header("Referrer-Policy", "no-referrer") // the code is in the address
            .send_header("Connection", "close")
            .body(format!("<p>{text} You may close this window."))
    };

    let (port, servers) = serve(AllowedHosts::loopback(callback))?;
    println!(
        "Open https://example.org/authorize?response_type=code&client_id=example&state={state}\
         &redirect_uri=http://127.0.0.1:{port}/callback"
    );
    println!("curl 'http://127.0.0.1:{port}/callback?code=anything&state={state}'");
    let outcome = received.recv_timeout(Duration::from_secs(60));
    if outcome == Err(RecvTimeoutError::Disconnected) {
        // A signal has ended the servers, and only they could send.
        println!("cancelled");
        return servers
            .into_iter()
            .try_for_each(|server| Ok(server.join()?));
    }
    for server in servers {
        server.drain(Duration::from_secs(1))?; // the page is still on its way
    }
    let code = outcome.map_err(|_| "nobody signed in")??;
    println!("code: {code}");
    Ok(())
}

type Running = RunningServer<SocketAddr>;

/// Serves on both families, on one port: a service may send the browser to `localhost`, which is
/// either.
fn serve<H>(callback: H) -> Result<(u16, Vec<Running>), Box<dyn Error>>
where
    H: HttpRequestHandler + Clone + Send + 'static,
{
    let (port, servers) = loop {
        let four = HttpServer::bind("127.0.0.1:0", callback.clone())?;
        let port = four.server_address().port();
        match HttpServer::bind(("::1", port), callback.clone()) {
            Ok(six) => break (port, vec![four, six]),
            Err(error) if error.kind() == ErrorKind::AddrInUse => {} // another program is there
            Err(_) => break (port, vec![four]),                      // there is no IPv6
        }
    };
    let servers = servers.into_iter().map(|mut server| {
        server.shutdown_on_signals()?; // before `spawn`, which takes the server to its thread
        Ok(server.spawn()?)
    });
    Ok((port, servers.collect::<Result<_, Box<dyn Error>>>()?))
}
