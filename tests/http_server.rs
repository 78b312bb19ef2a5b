//! The file server as a program. What it does with signals is in `smoke.sh`.
#![cfg(feature = "files")]

#[path = "../examples/jobs/http_server.rs"]
#[allow(dead_code)] // its main
mod http_server;
#[path = "support/missing.rs"]
#[allow(dead_code)] // it has more
mod missing;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use http_server::{Options, start_line};
use missing::has_ipv6;
use serve_forever::socketserver::Transport;

fn parse(arguments: &str) -> Result<Options, String> {
    Options::parse(arguments.split_whitespace().map(OsString::from))
}

fn defaults() -> Options {
    Options {
        bind: "127.0.0.1".into(),
        port: 8000,
        directory: PathBuf::from("."),
        threads: 0,
        follow_symlinks: false,
        precompressed: false,
        help: false,
    }
}

/// CLI-1: Python's arguments; but for this machine alone unless told otherwise, and always
/// HTTP/1.1 (no `-p`).
#[test]
fn arguments() {
    let cases = [
        ("", defaults()),
        (
            "8080",
            Options {
                port: 8080,
                ..defaults()
            },
        ),
        (
            "0",
            Options {
                port: 0,
                ..defaults()
            },
        ),
        (
            "-b ::",
            Options {
                bind: "::".into(),
                ..defaults()
            },
        ),
        (
            "--bind=h.test 81",
            Options {
                bind: "h.test".into(),
                port: 81,
                ..defaults()
            },
        ),
        (
            "81 --bind h.test",
            Options {
                bind: "h.test".into(),
                port: 81,
                ..defaults()
            },
        ),
        (
            "-d a/b",
            Options {
                directory: "a/b".into(),
                ..defaults()
            },
        ),
        (
            "--directory a/b",
            Options {
                directory: "a/b".into(),
                ..defaults()
            },
        ),
        (
            "--directory=a=b",
            Options {
                directory: "a=b".into(),
                ..defaults()
            },
        ),
        (
            "--threads 4",
            Options {
                threads: 4,
                ..defaults()
            },
        ),
        (
            "0.0.0.0:81",
            Options {
                bind: "0.0.0.0".into(),
                port: 81,
                ..defaults()
            },
        ),
        (
            "[::1]:0",
            Options {
                bind: "[::1]".into(),
                port: 0,
                ..defaults()
            },
        ),
        (
            ":81",
            Options {
                port: 81,
                ..defaults()
            },
        ),
        (
            "--follow-symlinks",
            Options {
                follow_symlinks: true,
                ..defaults()
            },
        ),
        (
            "--precompressed",
            Options {
                precompressed: true,
                ..defaults()
            },
        ),
        (
            "--help",
            Options {
                help: true,
                ..defaults()
            },
        ),
    ];
    for (arguments, expected) in cases {
        assert_eq!(parse(arguments), Ok(expected), "{arguments:?}");
    }
    let wrong = [
        "x",
        "65536",
        "-1",
        "+1",
        "80 81",
        "--bind",
        "-d",
        "--threads x",
        "--threads=",
        "-p HTTP/1.0",
        "--cgi",
        "--follow-symlinks=no",
        "h.test:",
        "h.test:x",
        "--",
    ];
    for arguments in wrong {
        assert!(parse(arguments).is_err(), "{arguments:?}");
    }
}

/// CLI-2: the family is that of the address, and an IPv6 one takes IPv4 clients.
#[test]
fn families() {
    let listen = |bind: &str| {
        let options = Options {
            bind: bind.into(),
            port: 0,
            ..defaults()
        };
        options.listen().map(|listener| listener.server_address())
    };
    let address = listen("127.0.0.1").expect("a free port");
    assert!(address.is_ipv4() && address.ip().is_loopback());
    assert!(listen("localhost").expect("a free port").ip().is_loopback());
    assert!(listen("").expect("a free port").ip().is_unspecified());
    assert!(listen("256.256.256.256").is_err());
    if !has_ipv6("families") {
        return;
    }
    for bind in ["::1", "[::1]"] {
        let address = listen(bind).expect("a free port");
        assert!(address.is_ipv6() && address.ip().is_loopback(), "{bind}");
    }
    let options = Options {
        bind: "::".into(),
        port: 0,
        ..defaults()
    };
    let listener = options.listen().expect("a free port");
    let address = listener.server_address();
    assert!(address.is_ipv6() && address.ip().is_unspecified());
    let client = std::net::TcpStream::connect(("127.0.0.1", address.port()));
    client.expect("an IPv4 client is taken");
}

/// CLI-3: the actual host and port, and a URL that can be clicked.
#[test]
fn the_line_at_the_start() {
    let cases = [
        (
            "127.0.0.1:8000",
            "Serving HTTP on 127.0.0.1 port 8000 (http://127.0.0.1:8000/) ...",
        ),
        (
            "[::1]:81",
            "Serving HTTP on ::1 port 81 (http://[::1]:81/) ...",
        ),
        (
            "[::]:81",
            "Serving HTTP on :: port 81 (http://[::]:81/) ...",
        ),
    ];
    for (address, expected) in cases {
        let address: SocketAddr = address.parse().expect("an address");
        assert_eq!(start_line(address), expected);
    }
}
