//! A file server that you can install: a better `python -m http.server`.
//!
//! Files have entity tags and ranges, so a download can be continued, and a video player can seek.
//! Links do not lead out of the directory, and a slow client delays nobody.
//!
//!     cargo run --release --example http_server -- 127.0.0.1:8000
//!     cargo install --path . --example http_server     # then, anywhere:
//!     http_server 8080 -d ~/public -b ::
//!     http_server --spa --cors --header 'Cache-Control: no-cache' -d dist
//!     HTTP_SERVER_AUTH=me:secret http_server --upload -b ::
//!
//! From another terminal:
//!
//!     curl http://127.0.0.1:8000/README.md
//!     curl -r 0-99 http://127.0.0.1:8000/README.md     # the first 100 bytes
//!     curl -T photo.jpg http://127.0.0.1:8000/         # with --upload
//!
//! With TLS, add `--features tls-ring`, and name a certificate: the example `https` says how to make one.
//!
//!     cargo install --path . --example http_server --features tls-ring
//!     http_server --tls cert.pem key.pem
//!
//! Ctrl-C lets downloads finish, for ten seconds; a second Ctrl-C stops it immediately.
//!
//! It is safe: it listens on this machine only unless you say otherwise, and then refuses requests
//! for other hosts, so that no web page can read the files through a browser. Nobody can change
//! anything without `--upload`, and with it no file outside of the directory.

pub mod options;
mod password;
mod site;
mod upload;

use std::error::Error;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serve_forever::http::{
    AccessLog, AllowedHosts, Http, HttpRequestHandler, HttpSettings, LogFormat, Pooled,
    SimpleHttpRequestHandler,
};
use serve_forever::socketserver::{
    Evented, Factory, LogQueue, Pool, Protocol, Server, Tcp, Transport, limit_panic_reports,
};

use self::options::{Options, USAGE};
use self::password::Password;
use self::site::Site;
use self::upload::Uploads;

/// How long downloads may go on after Ctrl-C.
const PATIENCE: Duration = Duration::from_secs(10);

/// Writes the server's own messages to standard error, beside the access log. For example, it says
/// when no client can be accepted because descriptors are short. Without a logger nobody would see
/// that.
struct Messages;

impl log::Log for Messages {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            // The loop calls this, so it must not wait.
            let line = format!("http_server: {}\n", record.args());
            LogQueue::stderr().push(&line);
        }
    }

    fn flush(&self) {}
}

/// Prints a line for the user. The server also works if nobody reads it, or if it cannot be written.
fn say(line: impl std::fmt::Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn warn(line: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "http_server: {line}");
}

/// Listens on the first address of the name. If it is an IPv6 address, IPv4 clients can also
/// connect, if the system allows it. So `::` means all interfaces.
pub fn listen(options: &Options) -> io::Result<Tcp> {
    let host = options.bind.trim_start_matches('[').trim_end_matches(']');
    let listen = |dual_stack| {
        Tcp::new((host, options.port))?
            .allow_reuse_address(true)
            .disable_nagle_algorithm(true)
            .request_queue_size(1024)
            .dual_stack(dual_stack)
            .bind_and_activate()
    };
    listen(true).or_else(|_| listen(false))
}

/// The password, from wherever it is given.
fn password(options: &Options) -> Result<Option<Password>, Box<dyn Error>> {
    let credentials = match (&options.auth_file, &options.auth) {
        (Some(path), _) => {
            let text = std::fs::read_to_string(path);
            let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
            Some(text.lines().next().unwrap_or_default().to_owned())
        }
        (None, Some(credentials)) => Some(credentials.clone()),
        (None, None) => std::env::var("HTTP_SERVER_AUTH").ok(),
    };
    Ok(credentials.as_deref().map(Password::new).transpose()?)
}

/// The handler for the directory.
pub fn site(options: &Options) -> Result<Site, Box<dyn Error>> {
    let root = &options.directory;
    if !root.is_dir() {
        return Err(format!("{} is not a directory", root.display()).into());
    }
    let uploads = options
        .upload
        .then(|| Uploads::new(root, options.follow_symlinks));
    Ok(Site {
        root: root.as_path().into(),
        files: SimpleHttpRequestHandler::new(root)
            .follow_symlinks(options.follow_symlinks)
            .precompressed(options.precompressed),
        cors: options.cors.is_some(),
        spa: options.spa,
        password: password(options)?,
        uploads: uploads.transpose()?,
    })
}

/// The fields of every response.
pub fn settings(options: &Options) -> Result<HttpSettings, String> {
    let mut settings = HttpSettings::default();
    let mut header = |name: &str, value: &str| {
        let added = settings.header(name, value);
        added.map_err(|error| format!("--header {name}: {value}: {error}"))
    };
    for (name, value) in &options.headers {
        header(name, value)?;
    }
    if let Some(origin) = &options.cors {
        header("Access-Control-Allow-Origin", origin)?;
        let readable = "Accept-Ranges, Content-Range, ETag";
        header("Access-Control-Expose-Headers", readable)?;
    }
    Ok(settings)
}

/// The hosts that requests may be for. A page in a browser cannot reach this machine by another name
/// of its own (DNS rebinding), and cannot send files to it.
pub fn guard<H>(options: &Options, address: SocketAddr, handler: H) -> AllowedHosts<H> {
    let local = address.ip().is_loopback();
    let hosts = match local {
        true => vec!["localhost", ".localhost", "127.0.0.1", "::1", &options.bind],
        false => vec!["*"],
    };
    let more = options.allowed_hosts.iter().map(String::as_str);
    let guard = AllowedHosts::new(hosts.into_iter().chain(more), handler);
    guard.same_origin(options.cors.is_none())
}

/// How clients reach it.
pub fn scheme(options: &Options) -> &'static str {
    match options.tls_cert {
        Some(_) => "https",
        None => "http",
    }
}

/// Says what others could do that the user may not expect.
fn warn_about(options: &Options, site: &Site, address: SocketAddr) {
    if address.ip().is_loopback() {
        return;
    }
    if site.password.is_some() && options.tls_cert.is_none() {
        warn("without TLS, everybody on the way can read the password");
    } else if site.password.is_none() && site.uploads.is_some() {
        warn("everybody who can reach this machine can store files: see --auth-file");
    }
}

/// The line that is printed when clients can connect. A socket address puts IPv6 into brackets.
pub fn start_line(scheme: &str, address: SocketAddr) -> String {
    let (name, host, port) = (scheme.to_uppercase(), address.ip(), address.port());
    format!("Serving {name} on {host} port {port} ({scheme}://{address}/) ...")
}

fn serve(
    options: &Options,
    listener: Tcp,
    handler: impl HttpRequestHandler + Clone,
) -> Result<(), Box<dyn Error>> {
    let handler = guard(options, listener.server_address(), handler);
    let handler = AccessLog::new(handler, LogFormat::Common, io::stderr());
    let http = Http::new(handler, settings(options)?);
    match &options.tls_cert {
        None => serve_with(options, listener, http),
        Some(cert) => {
            let key = options.tls_key.as_ref().unwrap_or(cert);
            serve_tls(options, listener, http, cert, key)
        }
    }
}

#[cfg(feature = "tls-ring")]
fn serve_tls(
    options: &Options,
    listener: Tcp,
    http: Http<impl HttpRequestHandler + Clone>,
    cert: &Path,
    key: &Path,
) -> Result<(), Box<dyn Error>> {
    use serve_forever::socketserver::{Tls, TlsConfig};

    let config = TlsConfig::from_pem_files(cert, key)?.alpn_protocols(["http/1.1"]);
    serve_with(options, listener, Tls::new(http, config))
}

#[cfg(not(feature = "tls-ring"))]
fn serve_tls<H>(_: &Options, _: Tcp, _: Http<H>, _: &Path, _: &Path) -> Result<(), Box<dyn Error>> {
    Err("it was built without TLS: build it again with `--features tls-ring`".into())
}

fn serve_with<F>(options: &Options, listener: Tcp, factory: F) -> Result<(), Box<dyn Error>>
where
    F: Factory<SocketAddr, Made: Protocol>,
{
    let mut server = Server::new(listener, Evented::new(factory))?;
    server.drain_on_signals(PATIENCE)?;
    let (scheme, address) = (scheme(options), server.server_address());
    say(start_line(scheme, address));
    if options.upload {
        say(format_args!(
            "Upload with a browser at {scheme}://{address}/?upload"
        ));
    }
    server.serve_forever()?;
    match server.shutdown_handle().drained() {
        Some(drained) if drained.aborted > 0 => {
            say(format_args!(
                "\nInterrupted, exiting: {} cut off.",
                drained.aborted
            ));
        }
        _ => say("\nInterrupted, exiting."),
    }
    Ok(())
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let site = site(options)?;
    let listener = listen(options).map_err(|error| {
        let (bind, port) = (&options.bind, options.port);
        format!("cannot listen on {bind} port {port}: {error}")
    })?;
    warn_about(options, &site, listener.server_address());
    match options.threads {
        0 => serve(options, listener, site),
        threads => {
            let pooled = Pooled::new(site, Pool::new().threads(threads));
            serve(options, listener, pooled)
        }
    }
}

fn main() -> ExitCode {
    limit_panic_reports();
    if log::set_logger(&Messages).is_ok() {
        log::set_max_level(log::LevelFilter::Warn);
    }
    let (status, message) = match Options::parse(std::env::args_os().skip(1)) {
        Ok(options) if options.help => {
            say(USAGE.trim_end());
            return ExitCode::SUCCESS;
        }
        Ok(options) => match run(&options) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => (1, error.to_string()),
        },
        Err(message) => (2, format!("{message}\n{USAGE}")),
    };
    warn(message);
    ExitCode::from(status)
}
