//! The command line: the options of `python -m http.server` by their names, and more.

use std::ffi::OsString;
use std::path::PathBuf;

/// What `--help` prints.
pub const USAGE: &str = "\
usage: http_server [OPTIONS] [PORT | ADDRESS:PORT]

Serves the files of a directory over HTTP.

  PORT                  the port to listen on; 0 means any free port (default: 8000)
  -b, --bind ADDRESS    the address or host name to listen on; `::` means all addresses
                        (default: 127.0.0.1, for this machine only)
  -d, --directory DIR   the directory to serve (default: the working directory)
  -p, --protocol VERSION
                        HTTP/1.1, which is what it always speaks
      --tls-cert FILE   serve HTTPS with the certificate in this PEM file
      --tls-key FILE    its private key (default: in the same file)
      --tls CERT KEY    both at once
  -h, --help            print this help

What pages may do:
  -H, --header 'NAME: VALUE'
                        add a field to every response; may be repeated
      --cors[=ORIGIN]   let pages of other origins read the files (default: of any origin)
      --spa             send index.html to a browser that asks for a page that is no file
      --precompressed   send FILE.br or FILE.gz for FILE to clients that accept it

Who may come:
      --auth USER:PASSWORD
                        ask for a password; others on this machine can read it in the list of
                        processes, so prefer one of the next two
      --auth-file FILE  ask for the USER:PASSWORD in the first line of FILE
                        the environment variable HTTP_SERVER_AUTH does the same
      --allow-host HOST if it listens for this machine only, it refuses requests for other hosts,
                        which come from pages that attack it; allows one more; may be repeated
      --upload          store what clients send: with PUT, or with the form at `/?upload`
      --follow-symlinks follow symbolic links that lead out of the directory

How it works:
      --threads N       read files on N threads, for slow disks (default: on the loop)
";

/// The options on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The address or host name to listen on.
    pub bind: String,
    /// The port; 0 for any free port.
    pub port: u16,
    /// The directory to serve.
    pub directory: PathBuf,
    /// The certificate for HTTPS.
    pub tls_cert: Option<PathBuf>,
    /// Its private key, if it is not in the same file.
    pub tls_key: Option<PathBuf>,
    /// Fields for every response.
    pub headers: Vec<(String, String)>,
    /// The origin whose pages may read the files; `*` for any.
    pub cors: Option<String>,
    /// Whether a page that is no file is the index page.
    pub spa: bool,
    /// Whether precompressed files are sent.
    pub precompressed: bool,
    /// The user and the password.
    pub auth: Option<String>,
    /// The file with the user and the password.
    pub auth_file: Option<PathBuf>,
    /// Further hosts that requests may be for.
    pub allowed_hosts: Vec<String>,
    /// Whether clients may store files.
    pub upload: bool,
    /// Whether links may lead out of the directory.
    pub follow_symlinks: bool,
    /// How many threads read files; with 0 the loop reads them.
    pub threads: usize,
    /// Whether to print the help and exit.
    pub help: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            bind: "127.0.0.1".into(),
            port: 8000,
            directory: ".".into(),
            tls_cert: None,
            tls_key: None,
            headers: Vec::new(),
            cors: None,
            spa: false,
            precompressed: false,
            auth: None,
            auth_file: None,
            allowed_hosts: Vec::new(),
            upload: false,
            follow_symlinks: false,
            threads: 0,
            help: false,
        }
    }
}

impl Options {
    /// Reads the arguments, without the program's name.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Options, String> {
        let mut options = Options::default();
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
                "-p" | "--protocol" => check_protocol(&text(value()?)?)?,
                "--tls-cert" => options.tls_cert = Some(value()?.into()),
                "--tls-key" => options.tls_key = Some(value()?.into()),
                "--tls" => {
                    options.tls_cert = Some(value()?.into());
                    let key = arguments.next().ok_or("--tls needs two files")?;
                    options.tls_key = Some(key.into());
                }
                "--tls-password-file" => return Err(NO_ENCRYPTED_KEY.into()),
                "-H" | "--header" => options.headers.push(header(&text(value()?)?)?),
                "--cors" => options.cors = Some(given.unwrap_or("*").to_owned()),
                "--auth" => options.auth = Some(text(value()?)?),
                "--auth-file" => options.auth_file = Some(value()?.into()),
                "--allow-host" => options.allowed_hosts.push(text(value()?)?),
                "--threads" => options.threads = number(&text(value()?)?)?,
                "--cgi" => return Err(NO_CGI.into()),
                _ if given.is_some() => return Err(format!("unknown option {argument}")),
                "--spa" => options.spa = true,
                "--upload" => options.upload = true,
                "--follow-symlinks" => options.follow_symlinks = true,
                "--precompressed" => options.precompressed = true,
                "-h" | "--help" => options.help = true,
                _ if name.starts_with('-') => return Err(format!("unknown option {name}")),
                _ if place.is_some() => return Err(format!("unexpected argument {name}")),
                _ => place = Some(name.to_owned()),
            }
        }
        if options.tls_key.is_some() && options.tls_cert.is_none() {
            return Err("--tls-key needs --tls-cert".into());
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
}

const NO_CGI: &str = "--cgi: programs are not run, and Python 3.15 does not run them either; \
                      to be run as a CGI program, see the example cgi_app";

const NO_ENCRYPTED_KEY: &str = "--tls-password-file: encrypted keys are not read; \
                                decrypt yours with `openssl pkey -in KEY -out PLAIN`";

fn check_protocol(version: &str) -> Result<(), String> {
    match version {
        "HTTP/1.1" => Ok(()),
        _ => Err(format!(
            "it speaks HTTP/1.1, which clients of HTTP/1.0 understand, and not {version}"
        )),
    }
}

/// Splits `NAME: VALUE`. Whether the two can be sent, the server says when it gets them.
fn header(line: &str) -> Result<(String, String), String> {
    let field = line.split_once(':');
    let (name, value) = field.ok_or(format!("{line} is not NAME: VALUE"))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
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
