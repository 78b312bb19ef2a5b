//! The file server as a program. What it does with signals is in `smoke.sh`.
#![cfg(feature = "files")]

#[path = "../examples/jobs/http_server/main.rs"]
#[allow(dead_code)] // its main
mod http_server;
#[path = "support/missing.rs"]
#[allow(dead_code)] // it has more
mod missing;

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use http_server::options::Options;
use http_server::{guard, listen, settings, site, start_line};
use missing::has_ipv6;
use serve_forever::http::HttpRequestHandler;
use serve_forever::http::testing::Client;
use serve_forever::socketserver::Transport;

fn parse(arguments: &str) -> Result<Options, String> {
    Options::parse(arguments.split_whitespace().map(OsString::from))
}

fn defaults() -> Options {
    Options::default()
}

/// CLI-1: Python's arguments; but for this machine alone unless told otherwise, and always
/// HTTP/1.1.
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
        ("-p HTTP/1.1", defaults()),
        (
            "--tls-cert a --tls-key=b",
            Options {
                tls_cert: Some("a".into()),
                tls_key: Some("b".into()),
                ..defaults()
            },
        ),
        (
            "--tls a b 81",
            Options {
                tls_cert: Some("a".into()),
                tls_key: Some("b".into()),
                port: 81,
                ..defaults()
            },
        ),
        ("--protocol=HTTP/1.1", defaults()),
        (
            "--header=A:b --header X-C:d=e:f",
            Options {
                headers: vec![("A".into(), "b".into()), ("X-C".into(), "d=e:f".into())],
                ..defaults()
            },
        ),
        (
            "--cors",
            Options {
                cors: Some("*".into()),
                ..defaults()
            },
        ),
        (
            "--cors=https://a.test --spa --upload 81",
            Options {
                cors: Some("https://a.test".into()),
                spa: true,
                upload: true,
                port: 81,
                ..defaults()
            },
        ),
        (
            "--auth me:secret --allow-host a.test --allow-host=b.test",
            Options {
                auth: Some("me:secret".into()),
                allowed_hosts: vec!["a.test".into(), "b.test".into()],
                ..defaults()
            },
        ),
        (
            "--auth-file a/b",
            Options {
                auth_file: Some("a/b".into()),
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
        "--protocol HTTP/2",
        "--header nothing",
        "--header",
        "--spa=yes",
        "--tls a",
        "--tls-key b",
        "--tls-cert a --tls-password-file b",
        "--auth",
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
    let bound = |bind: &str| {
        let options = Options {
            bind: bind.into(),
            port: 0,
            ..defaults()
        };
        listen(&options).map(|listener| listener.server_address())
    };
    let address = bound("127.0.0.1").expect("a free port");
    assert!(address.is_ipv4() && address.ip().is_loopback());
    assert!(bound("localhost").expect("a free port").ip().is_loopback());
    assert!(bound("").expect("a free port").ip().is_unspecified());
    assert!(bound("256.256.256.256").is_err());
    if !has_ipv6("families") {
        return;
    }
    for bind in ["::1", "[::1]"] {
        let address = bound(bind).expect("a free port");
        assert!(address.is_ipv6() && address.ip().is_loopback(), "{bind}");
    }
    let options = Options {
        bind: "::".into(),
        port: 0,
        ..defaults()
    };
    let listener = listen(&options).expect("a free port");
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
        assert_eq!(start_line("http", address), expected);
        let expected = expected
            .replacen("HTTP", "HTTPS", 1)
            .replace("http:", "https:");
        assert_eq!(start_line("https", address), expected);
    }
}

/// A client of the program with these options, and without a socket. It listens on this address.
fn client_at(address: &str, options: &Options) -> Client<impl HttpRequestHandler + Clone + use<>> {
    let site = site(options).expect("there is such a directory");
    let settings = settings(options).expect("good fields");
    let address: SocketAddr = address.parse().expect("an address");
    Client::with_settings(guard(options, address, site), settings)
}

fn client(options: &Options) -> Client<impl HttpRequestHandler + Clone + use<>> {
    client_at("127.0.0.1:8000", options)
}

/// A directory with an index page, a file, and a folder. It is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("http_server-{}-{name}", std::process::id()));
        fs::create_dir_all(path.join("folder")).expect("a new folder");
        fs::write(path.join("index.html"), "the index").expect("a new file");
        fs::write(path.join("file.txt"), "a file").expect("a new file");
        Folder(path)
    }

    fn options(&self) -> Options {
        Options {
            directory: self.0.clone(),
            ..defaults()
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn names(folder: &Path) -> Vec<OsString> {
    let entries = fs::read_dir(folder).expect("it is there").flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
    names.sort();
    names
}

/// CLI-5: fields are in every response, also in those that the server sends by itself.
#[test]
fn fields_for_every_response() {
    let folder = Folder::new("fields");
    let options = Options {
        headers: vec![("X-A".into(), "1".into())],
        cors: Some("https://a.test".into()),
        ..folder.options()
    };
    let client = client(&options);
    let bad = client.send(b"GET / HTTP/1.1\r\n\r\n");
    for response in [client.get("/file.txt"), client.get("/none"), bad] {
        assert_eq!(response.header("X-A"), Some("1"), "{response:?}");
        let origin = response.header("Access-Control-Allow-Origin");
        assert_eq!(origin, Some("https://a.test"), "{response:?}");
    }
    let wrong = Options {
        headers: vec![("Content-Length".into(), "5".into())],
        ..folder.options()
    };
    assert!(settings(&wrong).is_err());
}

/// CLI-5: a browser may ask before the request of another origin, and is told, without a password.
#[test]
fn other_origins() {
    let folder = Folder::new("origins");
    let options = Options {
        cors: Some("*".into()),
        auth: Some("me:secret".into()),
        upload: true,
        ..folder.options()
    };
    let asked = |options: &Options| {
        let request = client(options).request("OPTIONS", "/new.txt");
        request
            .header("Origin", "https://a.test")
            .header("Access-Control-Request-Method", "PUT")
            .header("Access-Control-Request-Headers", "authorization, x-b")
            .send()
    };
    let response = asked(&options);
    assert_eq!(response.code(), 204);
    let field = |name| response.header(name);
    assert_eq!(field("Access-Control-Allow-Origin"), Some("*"));
    assert_eq!(
        field("Access-Control-Allow-Methods"),
        Some("GET, HEAD, OPTIONS, POST, PUT")
    );
    assert_eq!(
        field("Access-Control-Allow-Headers"),
        Some("authorization, x-b")
    );
    // Without the option nothing is allowed, and a password is needed for anything.
    let without = Options {
        cors: None,
        ..options
    };
    let response = asked(&without);
    assert_eq!(
        (
            response.code(),
            response.header("Access-Control-Allow-Origin")
        ),
        (401, None)
    );
    let open = Options {
        auth: None,
        ..without
    };
    assert_eq!(
        asked(&open).header("Allow"),
        Some("GET, HEAD, OPTIONS, POST, PUT")
    );
}

/// CLI-6: a page that is no file is the index page, and nothing else is.
#[test]
fn pages_that_the_index_makes() {
    let folder = Folder::new("spa");
    let options = Options {
        spa: true,
        ..folder.options()
    };
    let (html, all) = ("text/html,application/xhtml+xml,*/*;q=0.8", "*/*");
    for (target, accept, code, text) in [
        ("/users/42", html, 200, "the index"),
        ("/users/42?a=b", html, 200, "the index"),
        ("/users/42", all, 404, ""),
        ("/missing.png", "image/avif,image/*", 404, ""),
        ("/file.txt", html, 200, "a file"),
        ("/", html, 200, "the index"),
    ] {
        let request = client(&options).request("GET", target);
        let response = request.header("Accept", accept).send();
        assert_eq!(response.code(), code, "{target} {accept}");
        assert!(code != 200 || response.text() == text, "{target} {accept}");
    }
    let request = client(&folder.options()).request("GET", "/users/42");
    assert_eq!(request.header("Accept", html).send().code(), 404);
}

/// CLI-7: who does not know the password gets nothing, and may send nothing.
#[test]
fn the_password() {
    let folder = Folder::new("password");
    let secret = folder.0.join("secret");
    fs::write(&secret, "me:s:cret\nnot this\n").expect("a new file");
    let options = Options {
        auth_file: Some(secret),
        upload: true,
        ..folder.options()
    };
    let client = client(&options);
    for (authorization, code) in [
        ("Basic bWU6czpjcmV0", 200),
        ("basic  bWU6czpjcmV0", 200),
        ("Basic bWU6czpjcmV1", 401),
        ("Basic bWU6czpjcmV", 401),
        ("Basic", 401),
        ("Bearer bWU6czpjcmV0", 401),
        ("", 401),
    ] {
        let request = client.request("GET", "/file.txt");
        let response = request.header("Authorization", authorization).send();
        assert_eq!(response.code(), code, "{authorization}");
    }
    let response = client.request("PUT", "/new.txt").body("new").send();
    let asked = response
        .header("WWW-Authenticate")
        .map(|asked| asked.starts_with("Basic "));
    assert_eq!((response.code(), asked), (401, Some(true)));
    assert!(!folder.0.join("new.txt").exists());
    for wrong in ["me", ":secret", "me:"] {
        let options = Options {
            auth: Some(wrong.into()),
            ..folder.options()
        };
        assert!(site(&options).is_err(), "{wrong}");
    }
}

/// CLI-8: what is stored, and what is refused and changes nothing.
#[test]
fn uploads() {
    let folder = Folder::new("uploads");
    #[cfg(unix)]
    std::os::unix::fs::symlink("/tmp", folder.0.join("out")).expect("a new link");
    let options = Options {
        upload: true,
        ..folder.options()
    };
    let put = |target: &str, name: &str, value: &str| {
        let request = client(&options).request("PUT", target).body("new");
        request.header(name, value).send().code()
    };
    for (target, name, value, code) in [
        ("/new.txt", "X", "", 201),
        ("/new.txt", "X", "", 204),
        ("/folder/new%20one.txt", "X", "", 201),
        ("/new.txt", "If-None-Match", "*", 412),
        ("/new.txt", "If-Match", "\"tag\"", 412),
        ("/newer.txt", "If-Match", "*", 412),
        ("/newer.txt", "If-None-Match", "*", 201),
        ("/new.txt", "Content-Range", "bytes 0-2/9", 400),
        ("/folder", "X", "", 409),
        ("/newer/", "X", "", 409),
        ("/", "X", "", 409),
        ("/.hidden", "X", "", 409),
        ("/none/new.txt", "X", "", 409),
        ("/%00", "X", "", 409),
        #[cfg(unix)]
        ("/out/http_server-test", "X", "", 409),
        // A page of another origin may not even try.
        ("/newer.txt", "Sec-Fetch-Site", "cross-site", 403),
    ] {
        assert_eq!(put(target, name, value), code, "{target} {name}: {value}");
    }
    assert_eq!(names(&folder.0.join("folder")), ["new one.txt"]);
    let all = names(&folder.0);
    assert!(
        !all.iter()
            .any(|name| name.as_encoded_bytes().starts_with(b".")),
        "{all:?}"
    );
    assert_eq!(
        fs::read_to_string(folder.0.join("new.txt")).ok().as_deref(),
        Some("new")
    );
    // Without the option there is no such method.
    let request = client(&folder.options()).request("PUT", "/new.txt");
    assert_eq!(request.body("other").send().code(), 501);
}

/// CLI-8: the form, and what it stores. It replaces nothing.
#[test]
fn forms() {
    let folder = Folder::new("forms");
    let options = Options {
        upload: true,
        ..folder.options()
    };
    let client = client(&options);
    let page = client.get("/folder/?upload");
    assert_eq!(page.code(), 200);
    assert!(page.text().contains("multipart/form-data"), "{page:?}");
    assert_eq!(client.get("/file.txt?upload").code(), 404);
    let post = |target: &str, filename: &str| {
        let body = format!(
            "--b\r\nContent-Disposition: form-data; name=\"files\"; filename=\"{filename}\"\r\n\r\n\
             new\r\n--b--\r\n"
        );
        let request = client.request("POST", target).body(body);
        let form = "multipart/form-data; boundary=b";
        request.header("Content-Type", form).send()
    };
    let stored = post("/folder/", "a b.txt");
    assert_eq!(
        (stored.code(), stored.header("Location")),
        (303, Some("/folder/"))
    );
    for (target, filename, code) in [
        ("/folder/", "a b.txt", 409),
        ("/folder/", "../../out.txt", 303),
        ("/folder/", "..", 400),
        ("/folder", "b.txt", 409),
        ("/none/", "b.txt", 409),
    ] {
        assert_eq!(post(target, filename).code(), code, "{target} {filename}");
    }
    assert_eq!(client.post("/folder/", "text").code(), 415);
    assert_eq!(names(&folder.0.join("folder")), ["a b.txt", "out.txt"]);
}

/// CLI-9: a page in a browser that has another name for this machine gets nothing.
#[test]
fn other_hosts() {
    let folder = Folder::new("hosts");
    let more = Options {
        allowed_hosts: vec!["dev.test".into()],
        ..folder.options()
    };
    let code = |address: &str, options: &Options, host: &str| {
        let request = client_at(address, options).request("GET", "/file.txt");
        request.header("Host", host).send().code()
    };
    for (address, options, host, expected) in [
        ("127.0.0.1:8000", &folder.options(), "localhost:8000", 200),
        ("127.0.0.1:8000", &folder.options(), "127.0.0.1:8000", 200),
        ("[::1]:8000", &folder.options(), "[::1]:8000", 200),
        ("127.0.0.1:8000", &folder.options(), "evil.test", 421),
        ("127.0.0.1:8000", &more, "dev.test", 200),
        ("0.0.0.0:8000", &folder.options(), "any.test", 200),
    ] {
        assert_eq!(code(address, options, host), expected, "{address} {host}");
    }
}
