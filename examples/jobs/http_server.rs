//! A file server that you can install: a better `python -m http.server`.
//!
//! Files have entity tags and ranges, so a download can be continued, and a video player can seek.
//! Links do not lead out of the directory, and a slow client delays nobody.
//!
//!     cargo run --release --example http_server -- 127.0.0.1:8000
//!     cargo install --path . --example http_server     # then, anywhere:
//!     http_server 8080 -d ~/public -b ::
//!
//! From another terminal:
//!
//!     curl http://127.0.0.1:8000/README.md
//!     curl -r 0-99 http://127.0.0.1:8000/README.md     # the first 100 bytes
//!
//! Ctrl-C lets downloads finish, for ten seconds; a second Ctrl-C stops it immediately.

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serve_forever::http::{
    AccessLog, Http, HttpRequestHandler, HttpSettings, LogFormat, Pooled, SimpleHttpRequestHandler,
};
use serve_forever::socketserver::{Evented, LogQueue, Pool, Server, Tcp, limit_panic_reports};

const USAGE: &str = "\
usage: http_server [OPTIONS] [PORT | ADDRESS:PORT]

Serves the files of a directory over HTTP.

  PORT                  the port to listen on; 0 means any free port (default: 8000)
  -b, --bind ADDRESS    the address or host name to listen on; `::` means all addresses
                        (default: 127.0.0.1, for this machine only)
  -d, --directory DIR   the directory to serve (default: the working directory)
      --threads N       read files on N threads, for slow disks (default: on the loop)
      --follow-symlinks follow symbolic links that lead out of the directory
      --precompressed   send FILE.br or FILE.gz for FILE to clients that accept it
  -h, --help            print this help
";

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

/// The options on the command line.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    /// The address or host name to listen on.
    pub bind: String,
    /// The port; 0 for any free port.
    pub port: u16,
    /// The directory to serve.
    pub directory: PathBuf,
    /// How many threads read files; with 0 the loop reads them.
    pub threads: usize,
    /// Whether links may lead out of the directory.
    pub follow_symlinks: bool,
    /// Whether precompressed files are sent.
    pub precompressed: bool,
    /// Whether to print the help and exit.
    pub help: bool,
}

impl Options {
    /// Reads the arguments, without the program's name.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Options, String> {
        let mut options = Options {
            bind: "127.0.0.1".into(),
            port: 8000,
            directory: ".".into(),
            threads: 0,
            follow_symlinks: false,
            precompressed: false,
            help: false,
        };
        let mut place = None;
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let argument = text(argument)?;
            let (name, given) = match argument.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value)),
                _ => (argument.as_str(), None),
            };
            let mut value = || {
                let value = given.map(OsString::from).or_else(|| arguments.next());
                value.ok_or(format!("{name} needs a value"))
            };
            match name {
                "-b" | "--bind" => options.bind = text(value()?)?,
                "-d" | "--directory" => options.directory = value()?.into(),
                "--threads" => options.threads = number(&text(value()?)?)?,
                _ if given.is_some() => return Err(format!("unknown option {argument}")),
                "--follow-symlinks" => options.follow_symlinks = true,
                "--precompressed" => options.precompressed = true,
                "-h" | "--help" => options.help = true,
                _ if name.starts_with('-') => return Err(format!("unknown option {name}")),
                _ if place.is_some() => return Err(format!("unexpected argument {name}")),
                _ => place = Some(name.to_owned()),
            }
        }
        if let Some(place) = place {
            let (address, port) = place.rsplit_once(':').unwrap_or(("", &place));
            options.port = number(port)?;
            if !address.is_empty() {
                options.bind = address.into();
            }
        }
        Ok(options)
    }

    /// Listens on the first address of the name. If it is an IPv6 address, IPv4 clients can also
    /// connect, if the system allows it. So `::` means all interfaces.
    pub fn listen(&self) -> io::Result<Tcp> {
        let host = self.bind.trim_start_matches('[').trim_end_matches(']');
        let listen = |dual_stack| {
            Tcp::new((host, self.port))?
                .allow_reuse_address(true)
                .disable_nagle_algorithm(true)
                .request_queue_size(1024)
                .dual_stack(dual_stack)
                .bind_and_activate()
        };
        listen(true).or_else(|_| listen(false))
    }

    /// The handler for the directory.
    pub fn files(&self) -> SimpleHttpRequestHandler {
        SimpleHttpRequestHandler::new(&self.directory)
            .follow_symlinks(self.follow_symlinks)
            .precompressed(self.precompressed)
    }
}

fn text(value: OsString) -> Result<String, String> {
    let text = value.into_string();
    text.map_err(|value| format!("{} is not valid text", value.to_string_lossy()))
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    number.ok_or(format!("{text} is not a valid number"))
}

/// The line that is printed when clients can connect. A socket address puts IPv6 into brackets.
pub fn start_line(address: SocketAddr) -> String {
    let (host, port) = (address.ip(), address.port());
    format!("Serving HTTP on {host} port {port} (http://{address}/) ...")
}

fn serve(listener: Tcp, handler: impl HttpRequestHandler + Clone) -> Result<(), Box<dyn Error>> {
    let handler = AccessLog::new(handler, LogFormat::Common, io::stderr());
    let http = Http::new(handler, HttpSettings::default());
    let mut server = Server::new(listener, Evented::new(http))?;
    server.drain_on_signals(PATIENCE)?;
    say(start_line(server.server_address()));
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
    if !options.directory.is_dir() {
        return Err(format!("{} is not a directory", options.directory.display()).into());
    }
    let listener = options.listen().map_err(|error| {
        let (bind, port) = (&options.bind, options.port);
        format!("cannot listen on {bind} port {port}: {error}")
    })?;
    match options.threads {
        0 => serve(listener, options.files()),
        threads => serve(
            listener,
            Pooled::new(options.files(), Pool::new().threads(threads)),
        ),
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
    let _ = writeln!(io::stderr(), "http_server: {message}");
    ExitCode::from(status)
}
