//! `wsgiref.util`: Python's `UtilityTests`, and a test for each clause.
#![cfg(feature = "server")]

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, UNIX_EPOCH};

use serve_forever::socketserver::{Failure, HandlerResult};
use serve_forever::wsgi::{
    Body, Environ, FileWrapper, Iterable, StartResponse, application_uri, format_date_time,
    guess_scheme, is_hop_by_hop, request_uri, setup_testing_defaults, shift_path_info,
};

type Pairs = &'static [(&'static str, &'static str)];

fn environ(pairs: &[(&str, &str)]) -> Environ<'static> {
    pairs.iter().copied().collect()
}

/// A file whose reads are told, and which says when it is dropped.
struct File {
    reads: Vec<io::Result<&'static [u8]>>,
    dropped: Sender<&'static str>,
}

impl Read for File {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.reads.is_empty() {
            return Ok(0);
        }
        let bytes = self.reads.remove(0)?;
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        if count < bytes.len() {
            self.reads.insert(0, Ok(&bytes[count..]));
        }
        Ok(count)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = self.dropped.send("closed");
    }
}

/// For bodies that never call it.
struct Unused;

impl StartResponse for Unused {
    fn call(&mut self, _: &str, _: &[(&str, &str)]) -> HandlerResult {
        Err(Failure::stop())
    }

    fn call_with_exc_info(&mut self, _: &str, _: &[(&str, &str)], why: Failure) -> HandlerResult {
        Err(why)
    }

    fn write(&mut self, _: &[u8]) -> HandlerResult {
        Err(Failure::stop())
    }
}

/// UTIL-1: blocks of at most the size, until a read brings nothing; that does not close.
#[test]
fn file_wrapper() {
    let blocks: Vec<Vec<u8>> = FileWrapper::new(&[b'x'; 20_000][..])
        .map(|block| block.expect("it can be read"))
        .collect();
    let lengths: Vec<usize> = blocks.iter().map(Vec::len).collect();
    assert_eq!(lengths, [8192, 8192, 3616], "the default");

    let (dropped, log) = channel();
    let interrupted = io::ErrorKind::Interrupted.into();
    let broken = io::Error::other("broken");
    let reads = vec![Ok(&b"abcde"[..]), Err(interrupted), Ok(b"f"), Err(broken)];
    let mut file = FileWrapper::new(File { reads, dropped }).block_size(2);
    for expected in ["ab", "cd", "e", "f"] {
        let block = file.next().expect(expected).expect(expected);
        assert_eq!(block, expected.as_bytes());
    }
    let failed = file.next().expect("a failure");
    assert_eq!(
        failed.map_err(|error| error.to_string()),
        Err("broken".into())
    );
    assert!(file.next().is_none() && file.next().is_none());
    assert!(log.try_recv().is_err(), "the end does not close it");
    assert!(Iterable::close(&mut file).is_ok());
    assert_eq!(log.try_recv(), Ok("closed"));
    assert!(file.next().is_none());
}

/// UTIL-1: as a body it has the same blocks, and no length (WSGI-24).
#[test]
fn file_wrapper_as_a_body() {
    let mut file = FileWrapper::new(&b"abc"[..]).block_size(2);
    assert_eq!(file.block_count(), None);
    for expected in [Some(&b"ab"[..]), Some(b"c"), None] {
        let block = file.next_block(&mut Unused).expect("it can be read");
        assert_eq!(block.as_deref(), expected);
    }
    let body: Body = FileWrapper::new(&b"abc"[..]).into();
    assert_eq!(format!("{body:?}"), "Body(..)");
}

/// UTIL-2: only these three mean https.
#[test]
fn schemes() {
    for (value, scheme) in [
        ("yes", "https"),
        ("on", "https"),
        ("1", "https"),
        ("", "http"),
        ("off", "http"),
        ("On", "http"),
        ("true", "http"),
    ] {
        let environ = environ(&[("HTTPS", value)]);
        assert_eq!(guess_scheme(&environ), scheme, "{value:?}");
        assert_eq!(environ.url_scheme(), scheme, "{value:?}");
    }
    assert_eq!(guess_scheme(&Environ::new()), "http");
}

/// UTIL-3, UTIL-4: the vectors of Python's tests, and the *Better* one.
#[test]
fn uris() {
    let cases: [(Pairs, &str, &str); 20] = [
        (&[], "http://127.0.0.1/", "http://127.0.0.1/"),
        (
            &[("HTTP_HOST", ""), ("SERVER_PORT", "")],
            "http://127.0.0.1/",
            "http://127.0.0.1/",
        ),
        (
            &[("SCRIPT_NAME", "/spam")],
            "http://127.0.0.1/spam",
            "http://127.0.0.1/spam",
        ),
        (
            &[("SCRIPT_NAME", "/sp\u{e4}m")],
            "http://127.0.0.1/sp%E4m",
            "http://127.0.0.1/sp%E4m",
        ),
        (
            &[("SCRIPT_NAME", "/sp?m~/_.-")],
            "http://127.0.0.1/sp%3Fm~/_.-",
            "http://127.0.0.1/sp%3Fm~/_.-",
        ),
        (
            &[("SCRIPT_NAME", "/a;=,")],
            "http://127.0.0.1/a%3B%3D%2C",
            "http://127.0.0.1/a%3B%3D%2C",
        ),
        (
            &[("PATH_INFO", "/spam")],
            "http://127.0.0.1/",
            "http://127.0.0.1/spam",
        ),
        (
            &[("PATH_INFO", "/sp\u{e4}m")],
            "http://127.0.0.1/",
            "http://127.0.0.1/sp%E4m",
        ),
        (
            &[("PATH_INFO", "/spam;ham=eggs,x y")],
            "http://127.0.0.1/",
            "http://127.0.0.1/spam;ham=eggs,x%20y",
        ),
        (
            &[("PATH_INFO", "/spam"), ("QUERY_STRING", "say=%20ni?#")],
            "http://127.0.0.1/",
            "http://127.0.0.1/spam?say=%20ni?#",
        ),
        (
            &[("SCRIPT_NAME", "/spam"), ("PATH_INFO", "/ham")],
            "http://127.0.0.1/spam",
            "http://127.0.0.1/spam/ham",
        ),
        // No slash, no letter lost.
        (
            &[("SCRIPT_NAME", ""), ("PATH_INFO", "spam")],
            "http://127.0.0.1/",
            "http://127.0.0.1/spam",
        ),
        (
            &[("HTTP_HOST", "spam.com:80")],
            "http://spam.com:80/",
            "http://spam.com:80/",
        ),
        (
            &[("HTTP_HOST", "")],
            "http://127.0.0.1/",
            "http://127.0.0.1/",
        ),
        (
            &[("HTTP_HOST", ""), ("SERVER_PORT", "8080")],
            "http://127.0.0.1:8080/",
            "http://127.0.0.1:8080/",
        ),
        (
            &[("HTTP_HOST", ""), ("HTTPS", "on")],
            "https://127.0.0.1/",
            "https://127.0.0.1/",
        ),
        (
            &[("HTTP_HOST", ""), ("HTTPS", "on"), ("SERVER_PORT", "80")],
            "https://127.0.0.1:80/",
            "https://127.0.0.1:80/",
        ),
        (
            &[("HTTP_HOST", ""), ("SERVER_PORT", "443")],
            "http://127.0.0.1:443/",
            "http://127.0.0.1:443/",
        ),
        (
            &[
                ("HTTP_HOST", ""),
                ("SERVER_NAME", "::1"),
                ("SERVER_PORT", "81"),
            ],
            "http://[::1]:81/",
            "http://[::1]:81/",
        ),
        (
            &[("SCRIPT_NAME", "/\u{20ac}")],
            "http://127.0.0.1/%E2%82%AC",
            "http://127.0.0.1/%E2%82%AC",
        ),
    ];
    for (pairs, application, request) in cases {
        let mut environ = environ(pairs);
        setup_testing_defaults(&mut environ);
        assert_eq!(application_uri(&environ), application, "{pairs:?}");
        assert_eq!(request_uri(&environ, true), request, "{pairs:?}");
    }
    let query = environ(&[("HTTP_HOST", "h"), ("QUERY_STRING", "say=ni")]);
    assert_eq!(request_uri(&query, false), "http://h/");
    assert_eq!(request_uri(&query, true), "http://h/?say=ni");
}

/// UTIL-5: the table, then the *Better* rows: a path without its slash.
#[test]
fn shift_path_info_table() {
    type Row = (
        &'static str,
        &'static str,
        Option<&'static str>,
        &'static str,
        &'static str,
    );
    let rows: [Row; 21] = [
        ("", "/", Some(""), "/", ""),
        ("", "/x", Some("x"), "/x", ""),
        ("/", "", None, "/", ""),
        ("/a", "/x/y", Some("x"), "/a/x", "/y"),
        ("/a", "/x/", Some("x"), "/a/x", "/"),
        ("/a/b", "/../y", Some(".."), "/a", "/y"),
        ("", "/../y", Some(".."), "", "/y"),
        ("/a/b", "//y", Some("y"), "/a/b/y", ""),
        ("/a/b", "//y/", Some("y"), "/a/b/y", "/"),
        ("/a/b", "/./y", Some("y"), "/a/b/y", ""),
        ("/a/b", "/./y/", Some("y"), "/a/b/y", "/"),
        ("/a/b", "///./..//y/.//", Some(".."), "/a", "/y/"),
        ("/a/b", "///", Some(""), "/a/b/", ""),
        ("/a/b", "/.//", Some(""), "/a/b/", ""),
        ("/a/b", "/x//", Some("x"), "/a/b/x", "/"),
        ("/a/b", "/.", None, "/a/b", ""),
        ("", "", None, "", ""),
        ("/a", "x", Some("x"), "/a/x", ""),
        ("/a", "x/y", Some("x"), "/a/x", "/y"),
        ("/a", ".", None, "/a", ""),
        // Python would leave two slashes in front.
        ("/", "/x", Some("x"), "/x", ""),
    ];
    for (script, path, segment, new_script, new_path) in rows {
        let mut environ = environ(&[("SCRIPT_NAME", script), ("PATH_INFO", path)]);
        let found = shift_path_info(&mut environ);
        assert_eq!(found.as_deref(), segment, "{script:?} {path:?}");
        let (found_script, found_path) = (environ.get("SCRIPT_NAME"), environ.get("PATH_INFO"));
        assert_eq!(
            found_script.as_deref(),
            Some(new_script),
            "{script:?} {path:?}"
        );
        assert_eq!(found_path.as_deref(), Some(new_path), "{script:?} {path:?}");
    }
    let mut bare = Environ::new();
    assert_eq!(shift_path_info(&mut bare), None);
    assert!(!bare.contains_key("SCRIPT_NAME"));
}

/// UTIL-6: what is missing is added, and nothing else.
#[test]
fn testing_defaults() {
    let defaults: BTreeMap<&str, &str> = [
        ("HTTP_HOST", "127.0.0.1"),
        ("PATH_INFO", "/"),
        ("REQUEST_METHOD", "GET"),
        ("SCRIPT_NAME", ""),
        ("SERVER_NAME", "127.0.0.1"),
        ("SERVER_PORT", "80"),
        ("SERVER_PROTOCOL", "HTTP/1.0"),
        ("wsgi.errors", "<errors>"),
        ("wsgi.input", "<input>"),
        ("wsgi.input_terminated", "True"),
        ("wsgi.multiprocess", "False"),
        ("wsgi.multithread", "False"),
        ("wsgi.run_once", "False"),
        ("wsgi.url_scheme", "http"),
        ("wsgi.version", "(1, 0)"),
    ]
    .into();
    let mut bare = Environ::default();
    setup_testing_defaults(&mut bare);
    let found = bare.to_map();
    let found = found.iter().map(|(key, value)| (&**key, &**value));
    assert_eq!(found.collect::<BTreeMap<_, _>>(), defaults);
    let mut input = Vec::new();
    bare.input()
        .read_to_end(&mut input)
        .expect("it can be read");
    assert_eq!(input, b"");

    let cases: [(Pairs, Pairs); 8] = [
        // SCRIPT_NAME and PATH_INFO belong together.
        (&[("PATH_INFO", "")], &[("PATH_INFO", "")]),
        (&[("SCRIPT_NAME", "/a")], &[("SCRIPT_NAME", "/a")]),
        (
            &[("SERVER_NAME", "h")],
            &[("SERVER_NAME", "h"), ("HTTP_HOST", "h")],
        ),
        (
            &[("HTTPS", "on")],
            &[("SERVER_PORT", "443"), ("wsgi.url_scheme", "https")],
        ),
        (&[("wsgi.url_scheme", "https")], &[("SERVER_PORT", "443")]),
        (&[("REQUEST_METHOD", "")], &[("REQUEST_METHOD", "")]),
        (&[("SERVER_PORT", "8080")], &[("SERVER_PORT", "8080")]),
        (
            &[("wsgi.multithread", "True")],
            &[("wsgi.multithread", "True")],
        ),
    ];
    for (given, expected) in cases {
        let mut environ = environ(given);
        setup_testing_defaults(&mut environ);
        for (key, value) in expected {
            assert_eq!(environ.get(key).as_deref(), Some(*value), "{given:?}");
        }
    }
    let mut half = environ(&[("PATH_INFO", "/x")]);
    setup_testing_defaults(&mut half);
    assert!(!half.contains_key("SCRIPT_NAME"));
    let mut odd = environ(&[("wsgi.url_scheme", "gopher")]);
    setup_testing_defaults(&mut odd);
    assert!(!odd.contains_key("SERVER_PORT"));

    let (mut errors, removed) = (Vec::new(), "wsgi.version");
    let mut given = Environ::new();
    given.set_errors(&mut errors);
    given.set_input(&b"given"[..]);
    given.remove(removed);
    setup_testing_defaults(&mut given);
    assert!(given.contains_key(removed));
    let mut text = String::new();
    given.input().read_to_string(&mut text).expect("text");
    assert_eq!(text, "given");
    given.errors().write_all(b"kept").expect("memory");
    drop(given);
    assert_eq!(errors, b"kept");
}

/// ENV-15, ENV-18, ENV-19: what is inserted for the gateway's own variables holds.
#[test]
fn flags_of_a_gateway() {
    let flags = |environ: &Environ<'_>| {
        [
            environ.multithread(),
            environ.multiprocess(),
            environ.run_once(),
        ]
    };
    let mut environ = Environ::new();
    assert_eq!((environ.version(), flags(&environ)), ((1, 0), [false; 3]));
    environ.insert("wsgi.multithread", "True");
    assert_eq!(flags(&environ), [true, false, false]);
    environ.insert("wsgi.multiprocess", "True");
    environ.insert("wsgi.multithread", "False");
    assert_eq!(flags(&environ), [false, true, false]);
    environ.insert("wsgi.run_once", "True");
    environ.remove("wsgi.multiprocess");
    assert_eq!(flags(&environ), [false, false, true]);
}

/// UTIL-7: as HTTP-33, whatever the time.
#[test]
fn dates() {
    let at = |seconds: u64| UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 999);
    assert_eq!(
        format_date_time(at(784_111_777)),
        "Sun, 06 Nov 1994 08:49:37 GMT"
    );
    assert_eq!(
        format_date_time(at(951_782_400)),
        "Tue, 29 Feb 2000 00:00:00 GMT"
    );
    let before = UNIX_EPOCH - Duration::from_secs(1);
    assert_eq!(format_date_time(before), "Thu, 01 Jan 1970 00:00:00 GMT");
    let after = at(300_000_000_000);
    assert_eq!(format_date_time(after), "Fri, 31 Dec 9999 23:59:59 GMT");
}

/// UTIL-8: these eight, whatever the case; `Trailer`, the field's real name, is not among them.
#[test]
fn hop_by_hop() {
    let names = "Connection Keep-Alive Proxy-Authenticate Proxy-Authorization \
                 TE Trailers Transfer-Encoding Upgrade";
    for name in names.split(' ') {
        for alike in [name.to_owned(), name.to_uppercase(), name.to_lowercase()] {
            assert!(is_hop_by_hop(&alike), "{alike}");
        }
    }
    for name in ["Trailer", "Accept", "Content-Length", "X-Connection", ""] {
        assert!(!is_hop_by_hop(name), "{name}");
    }
}
