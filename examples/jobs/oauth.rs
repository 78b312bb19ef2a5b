//! The end of a sign-in with OAuth: the browser comes back once, with a code, and is told so.
//!
//!     cargo run --example oauth
//!
//! Open the printed address in a browser, with `?code=anything` behind it. After a minute the
//! program gives up.

use std::cell::OnceCell;
use std::error::Error;
use std::rc::Rc;
use std::time::Duration;

use serve_forever::http::AllowedHosts;
use serve_forever::{HttpServer, Request, Response};

fn main() -> Result<(), Box<dyn Error>> {
    let received = Rc::new(OnceCell::new());
    let code = Rc::clone(&received);
    let callback = move |request: &Request<'_>, response: Response<'_>| {
        let mut fields = request.query_pairs();
        match (request.path(), fields.find(|(name, _)| name == "code")) {
            ("/callback", Some((_, value))) => {
                code.get_or_init(|| value.into_owned());
                response
                    .send_response(200)
                    .send_header("Content-Type", "text/html; charset=utf-8")
                    .send_header("Connection", "close") // nothing else is served
                    .body("<p>You are signed in. You can close this window.")
            }
            _ => response.send_error(404),
        }
    };
    let mut server = HttpServer::bind("127.0.0.1:0", AllowedHosts::loopback(callback))?;
    println!("http://{}/callback", server.server_address());
    server.serve_until(Duration::from_secs(60), || received.get().is_some())?;
    println!("code: {}", received.get().ok_or("nobody signed in")?);
    Ok(())
}
