//! HTTPS, with a certificate that is renewed while the server runs.
//!
//! A certificate for a test, which no client trusts by itself:
//!
//!     openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
//!         -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
//!         -keyout key.pem -out cert.pem
//!
//!     cargo run --release --features tls-ring --example https -- 127.0.0.1:4443 cert.pem key.pem
//!     curl --cacert cert.pem https://localhost:4443/
//!
//! When the two files have changed, `kill -HUP $(pidof https)` makes the server read them again. The
//! connections that are open go on. Ctrl-C stops the server.

use std::env::args;
use std::error::Error;

use serve_forever::http::{HttpResult, HttpsServer, Request, Response};
use serve_forever::socketserver::TlsConfig;

fn hello(request: &Request<'_>, response: Response<'_>) -> HttpResult {
    let tls = request.tls().ok_or("it came without TLS")?;
    let (name, version) = (tls.server_name().unwrap_or("an address"), tls.version());
    let page = format!(
        "Hello! You asked {name} over {version}, {}.\n",
        tls.cipher_suite()
    );
    response
        .send_response(200)
        .send_header("Content-Type", "text/plain; charset=utf-8")
        .body(page)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = args().skip(1);
    let address = arguments.next().unwrap_or("127.0.0.1:4443".into());
    let certfile = arguments.next().unwrap_or("cert.pem".into());
    let keyfile = arguments.next().unwrap_or("key.pem".into());

    let config = TlsConfig::from_pem_files(&certfile, &keyfile)?;
    #[cfg(unix)]
    on_hangup({
        let config = config.clone();
        move || match config.load_pem_files(&certfile, &keyfile) {
            Ok(()) => println!("The certificate is renewed."),
            Err(error) => eprintln!("The certificate stays as it was: {error}"),
        }
    })?;
    let mut server = HttpsServer::bind(&*address, hello, config)?;
    server.shutdown_on_signals()?;
    println!("Serving on https://{}/", server.server_address());
    Ok(server.serve_forever()?)
}

/// Calls `act` for each SIGHUP, on a thread of its own.
#[cfg(unix)]
fn on_hangup(act: impl Fn() + Send + 'static) -> std::io::Result<()> {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    let (mut hangups, pipe) = UnixStream::pair()?;
    signal_hook::low_level::pipe::register(signal_hook::consts::SIGHUP, pipe)?;
    std::thread::spawn(move || {
        while hangups.read_exact(&mut [0]).is_ok() {
            act();
        }
    });
    Ok(())
}
