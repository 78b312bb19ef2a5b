//! Files of a directory, by hand and over sockets. The directory is made by each test, and so are
//! the times of its files; "now" is Sunday, 6 November 1994, 08:49:37 GMT.
#![cfg(feature = "files")]
#![cfg(unix)] // links, FIFOs and names that are no text

mod support;

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serve_forever::http::{
    Http, HttpResult, HttpSettings, Pooled, Request, Response, SimpleHttpRequestHandler,
};
use serve_forever::socketserver::{Evented, Next, Pool};
use support::client::{Client, text};
use support::server::serve;
use support::wire::{DATE, SERVER, Wire};

/// The day before "now", and half a second.
const MODIFIED: Duration = Duration::from_millis(784_025_377_500);
const LAST_MODIFIED: &str = "Sat, 05 Nov 1994 08:49:37 GMT";

/// A directory `www` to be served, and what is around it.
struct Tree {
    around: PathBuf,
}

impl Tree {
    fn new() -> Tree {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "static-files-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let around = std::env::temp_dir().join(name);
        fs::create_dir_all(around.join("www")).expect("a directory");
        let around = around.canonicalize().expect("it is there");
        for directory in [&around, &around.join("www")] {
            chmod(directory, 0o755);
        }
        Tree { around }
    }

    /// One with a few files in it, and one beside it.
    fn usual() -> Tree {
        let tree = Tree::new();
        tree.write("a.txt", "0123456789");
        tree.write("d/b.html", "<p>b</p>");
        tree.write("index/index.html", "the index");
        tree.write("../outside.txt", "secret");
        tree.write("../www-too/c.txt", "secret");
        tree
    }

    fn root(&self) -> PathBuf {
        self.around.join("www")
    }

    fn path(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.root().join(Path::new(name.as_ref()))
    }

    fn write(&self, name: impl AsRef<OsStr>, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        let directory = path.parent().expect("below the root");
        fs::create_dir_all(directory).expect("a directory");
        fs::write(&path, content).expect("a file");
        set_modified(&path, UNIX_EPOCH + MODIFIED);
    }

    fn link(&self, name: &str, target: impl AsRef<Path>) {
        symlink(target, self.path(name)).expect("a link");
    }

    fn files(&self) -> SimpleHttpRequestHandler {
        SimpleHttpRequestHandler::new(self.root())
    }

    fn get(&self, target: &str) -> Answer {
        get(&self.files(), target, "")
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // Err: the next boot cleans up.
        let _ = fs::remove_dir_all(&self.around);
    }
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
}

fn set_modified(path: &Path, time: SystemTime) {
    let file = File::options().write(true).open(path).expect("it is there");
    file.set_modified(time).expect("it is ours");
}

/// An answer, taken apart.
#[derive(Debug, PartialEq, Eq, Clone)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Answer {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let (head, body) = bytes.split_at(end.expect("a head") + 4);
        let head = String::from_utf8(head.to_vec()).expect("heads are ASCII");
        Answer {
            status: support::wire::status(&head),
            head,
            body: body.to_vec(),
        }
    }

    fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find_map(|(field, value)| field.eq_ignore_ascii_case(name).then_some(value))
    }

    fn text(&self) -> String {
        text(&self.body)
    }
}

/// What a request is answered with, and that nothing is wrong about it.
fn exchange(files: &SimpleHttpRequestHandler, request: impl AsRef<[u8]>) -> Vec<u8> {
    let mut wire = Wire::new(files.clone());
    wire.receive(request);
    assert_eq!(wire.failure(), None);
    wire.sent
}

fn request(method: &str, target: &str, fields: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{fields}\r\n")
}

fn get(files: &SimpleHttpRequestHandler, target: &str, fields: &str) -> Answer {
    let bytes = exchange(files, request("GET", target, fields));
    let answer = Answer::parse(&bytes);
    if !matches!(answer.status, 204 | 304) {
        let length = answer.field("content-length").map(str::parse);
        assert_eq!(length, Some(Ok(answer.body.len())), "{target} {fields}");
    }
    answer
}

/// STATIC-9: the fields, and the bytes of the file. They are those of Python, `Content-Length` last
/// of them, and four that Python has not.
#[test]
fn a_file() {
    let tree = Tree::usual();
    let etag = "\"784025377500000000-10\"";
    let head = format!(
        "HTTP/1.1 200 OK\r\n{SERVER}{DATE}Content-Type: text/plain\r\n\
         X-Content-Type-Options: nosniff\r\n\
         Last-Modified: {LAST_MODIFIED}\r\nAccept-Ranges: bytes\r\nETag: {etag}\r\n\
         Content-Length: 10\r\n\r\n"
    );
    let expected = format!("{head}0123456789");
    let answer = exchange(&tree.files(), request("GET", "/a.txt", ""));
    assert_eq!(text(&answer), text(expected.as_bytes()));

    // Nothing depends on how the request arrives.
    let request = request("GET", "/a.txt", "Range: bytes=2-4\r\nIf-Range: \"x\"\r\n");
    let mut wire = Wire::new(tree.files());
    for byte in request.bytes() {
        wire.receive([byte]);
    }
    assert_eq!(text(&wire.sent), text(expected.as_bytes()));

    tree.write("empty", "");
    let answer = tree.get("/empty");
    assert_eq!(
        (answer.status, answer.field("content-length")),
        (200, Some("0"))
    );
}

/// STATIC-1: OPTIONS gets the methods, also in the form in which HAProxy asks whether a server is up.
#[test]
fn options_gets_the_methods() {
    let tree = Tree::usual();
    for target in ["/", "*", "/a.txt", "/d", "/missing", "http://h"] {
        let answer = exchange(&tree.files(), request("OPTIONS", target, ""));
        let expected =
            format!("HTTP/1.1 204 No Content\r\n{SERVER}{DATE}Allow: GET, HEAD, OPTIONS\r\n\r\n");
        assert_eq!(text(&answer), text(expected.as_bytes()), "{target}");
    }
    let answer = Answer::parse(&exchange(&tree.files(), "OPTIONS / HTTP/1.0\r\n\r\n"));
    assert_eq!(
        (answer.status, answer.field("connection")),
        (204, Some("close"))
    );
}

/// STATIC-1: GET, HEAD and OPTIONS only.
#[test]
fn other_methods_are_501() {
    let tree = Tree::usual();
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "get", "X"] {
        let answer = exchange(&tree.files(), request(method, "/a.txt", ""));
        let answer = Answer::parse(&answer);
        assert_eq!(answer.status, 501, "{method}");
        assert_eq!(fs::read(tree.path("a.txt")).expect("a file"), b"0123456789");
    }
}

/// STATIC-1, HTTP-26, RFC 9110 section 10.1.1: no status depends on a body, so nobody is asked for one.
#[test]
fn nobody_is_asked_for_a_body() {
    let tree = Tree::usual();
    let answers = [
        ("POST", "/a.txt", 501),
        ("PROPFIND", "/a.txt", 501),
        ("GET", "/a.txt", 200),
        ("HEAD", "/missing", 404),
    ];
    let bodies = [
        "Content-Length: 10\r\n",
        "Content-Length: 99999999\r\n",
        "Transfer-Encoding: chunked\r\n",
    ];
    for (method, target, status) in answers {
        for body in bodies {
            let fields = format!("{body}Expect: 100-continue\r\n");
            let mut wire = Wire::new(tree.files());
            wire.receive(request(method, target, &fields));
            let answer = Answer::parse(&wire.sent);
            assert_eq!(
                (answer.status, wire.verdict),
                (status, "Linger"),
                "{method} {body}"
            );
        }
    }
    // What has come with the head is no reason to close.
    let whole = request("GET", "/a.txt", "Content-Length: 2\r\n") + "ab";
    let bytes = exchange(&tree.files(), whole + &request("GET", "/missing", ""));
    assert!(text(&bytes).contains("HTTP/1.1 404 "), "{}", text(&bytes));
}

/// STATIC-1: HEAD has the fields of GET, and no content.
#[test]
fn head_is_get_without_content() {
    let tree = Tree::usual();
    for target in ["/a.txt", "/", "/d", "/d/", "/index/", "/missing", "/a.txt/"] {
        let got = Answer::parse(&exchange(&tree.files(), request("GET", target, "")));
        let asked = Answer::parse(&exchange(&tree.files(), request("HEAD", target, "")));
        assert_eq!(
            (asked.text(), asked.head),
            (String::new(), got.head),
            "{target}"
        );
    }
}

/// STATIC-1: the directory is that of the moment when the handler was made.
#[test]
fn a_relative_root_is_meant_from_the_working_directory_of_then() {
    let tree = Tree::usual();
    std::env::set_current_dir(tree.root()).expect("a directory");
    let (here, below) = (
        SimpleHttpRequestHandler::new("."),
        SimpleHttpRequestHandler::new("d"),
    );
    std::env::set_current_dir("/").expect("a directory");
    assert_eq!(get(&here, "/a.txt", "").status, 200);
    assert_eq!(get(&below, "/b.html", "").status, 200);
    assert_eq!(get(&below, "/../a.txt", "").status, 404);
}

/// STATIC-2, STATIC-3: what a target leads to. `..` never climbs above the root, however it is
/// written; the path itself is tested with `translate_path`.
#[test]
fn targets() {
    let tree = Tree::usual();
    tree.write("d/e/f.txt", "f");
    tree.write("a+b?c#d\\e", "odd");
    tree.write("c:", "drive");
    tree.write("\u{e9}.txt", "accent");
    let cases = [
        ("/a.txt", Ok("0123456789")),
        ("/a.txt?x=/../y", Ok("0123456789")),
        ("/nodir/../a.txt", Ok("0123456789")),
        ("/a.txt/.", Ok("0123456789")),
        ("/%2fa.txt", Ok("0123456789")),
        ("/a.txt%2f", Err(404)),
        ("/a.txt%2F?q", Err(404)),
        ("/a.txt/%2f", Err(404)),
        ("//a.txt", Ok("0123456789")),
        ("/d//e///f.txt", Ok("f")),
        ("/d/./e/../e/f.txt", Ok("f")),
        ("/%61.txt", Ok("0123456789")),
        ("/%C3%A9.txt", Ok("accent")),
        ("/a+b%3fc%23d%5ce", Ok("odd")),
        ("/a+b%3Fc%23d\\e", Ok("odd")),
        ("/c:", Ok("drive")),
        ("http://h/a.txt", Ok("0123456789")),
        ("http://h/../../a.txt", Ok("0123456789")),
        ("http://h/a.txt?q", Ok("0123456789")),
        // No fragment and no raw byte reaches a handler (RFC 9112 §3.2).
        ("/a.txt#x", Err(400)),
        ("/\u{e9}.txt", Err(400)),
        ("/a%252etxt", Err(404)),
        ("/a b", Err(400)),
        ("/A.TXT", Err(404)),
        // Outside.
        ("/../outside.txt", Err(404)),
        ("/%2e%2e/outside.txt", Err(404)),
        ("/.%2e/outside.txt", Err(404)),
        ("/%2E%2E%2Foutside.txt", Err(404)),
        ("/..%2foutside.txt", Err(404)),
        ("/d/../../outside.txt", Err(404)),
        ("/d/%2e%2e/%2e%2e/outside.txt", Err(404)),
        ("/d/..%2f..%2foutside.txt", Err(404)),
        ("/....//outside.txt", Err(404)),
        ("/..;/outside.txt", Err(404)),
        ("/..\\outside.txt", Err(404)),
        ("/..%5coutside.txt", Err(404)),
        ("/%252e%252e/outside.txt", Err(404)),
        ("/%c0%ae%c0%ae/outside.txt", Err(404)),
        ("/%u002e%u002e/outside.txt", Err(404)),
        ("/../www-too/c.txt", Err(404)),
        ("http://h/../outside.txt", Err(404)),
        ("/%2fetc/passwd", Err(404)),
        ("//etc/passwd", Err(404)),
    ];
    for (target, expected) in cases {
        let answer = Answer::parse(&exchange(&tree.files(), request("GET", target, "")));
        match expected {
            Ok(content) => assert_eq!(
                (answer.status, answer.text().as_str()),
                (200, content),
                "{target}"
            ),
            Err(status) => assert_eq!(answer.status, status, "{target}"),
        }
    }
}

/// STATIC-4: a link is followed as far as it stays below the root, unless told otherwise.
#[test]
fn links_do_not_lead_out() {
    let tree = Tree::usual();
    let around = tree.around.clone();
    tree.link("in", "a.txt");
    tree.link("in-absolute", tree.path("a.txt"));
    tree.link("in-directory", "d");
    tree.link("d/up", "..");
    tree.link("out", "../outside.txt");
    tree.link("out-absolute", around.join("outside.txt"));
    tree.link("out-of-links", "out");
    tree.link("out-directory", "..");
    tree.link("out-prefix", "../www-too");
    tree.link("out-and-in", "../www/a.txt");
    tree.link("device", "/dev/null");
    fs::create_dir(tree.path("p")).expect("a directory");
    tree.link("p/index.html", "../../outside.txt");
    let cases = [
        ("/in", 200, 200),
        ("/in-absolute", 200, 200),
        ("/in-directory", 301, 301),
        ("/in-directory/b.html", 200, 200),
        ("/d/up/a.txt", 200, 200),
        ("/d/up/d/up/d/b.html", 200, 200),
        // By names that are all below, and where it ends counts.
        ("/out-and-in", 200, 200),
        ("/out-directory/www/a.txt", 200, 200),
        ("/out", 404, 200),
        ("/out-absolute", 404, 200),
        ("/out-of-links", 404, 200),
        ("/out-directory", 404, 301),
        ("/out-directory/", 404, 200),
        ("/out-directory/outside.txt", 404, 200),
        ("/in-directory/up/out", 404, 200),
        // What begins like the root is not below it.
        ("/out-prefix", 404, 301),
        ("/out-prefix/", 404, 200),
        ("/out-prefix/c.txt", 404, 200),
        // Its owner meant it to be shown as a page, so it is not listed.
        ("/p/", 404, 200),
        ("/device", 404, 404),
    ];
    for (target, confined, followed) in cases {
        assert_eq!(tree.get(target).status, confined, "{target}");
        let files = tree.files().follow_symlinks(true);
        assert_eq!(
            get(&files, target, "").status,
            followed,
            "{target}, followed"
        );
    }
    // The root may be a link itself, and another one later.
    let published = around.join("published");
    symlink("www", &published).expect("a link");
    let files = SimpleHttpRequestHandler::new(&published);
    assert_eq!(get(&files, "/in", "").text(), "0123456789");
    fs::remove_file(&published).expect("a link");
    symlink("www-too", &published).expect("a link");
    assert_eq!(get(&files, "/c.txt", "").text(), "secret");
    assert_eq!(get(&files, "/in", "").status, 404);
}

/// STATIC-4: a name that is a file at one moment and a link that leads out at the next.
#[test]
fn a_race_against_the_look_wins_nothing() {
    let tree = Tree::usual();
    tree.write("x", "public");
    let stop = Arc::new(AtomicBool::new(false));
    let racer = {
        let (stop, root) = (Arc::clone(&stop), tree.root());
        let [x, file, link, next] = ["x", "file", "link", "next"].map(|name| root.join(name));
        fs::copy(&x, &file).expect("a file");
        symlink("../outside.txt", &link).expect("a link");
        thread::spawn(move || {
            for what in [&link, &file].iter().cycle() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                // Another name of the same thing takes the place of x, at once.
                fs::hard_link(what, &next).expect("nobody else is here");
                fs::rename(&next, &x).expect("nobody else is here");
            }
        })
    };
    let files = tree.files();
    let mut public = 0;
    for _ in 0..20_000 {
        let answer = Answer::parse(&exchange(&files, request("GET", "/x", "")));
        assert!(answer.text() != "secret");
        public += u32::from(answer.status == 200);
    }
    stop.store(true, Ordering::Relaxed);
    racer.join().expect("it only renames");
    assert!(public > 0, "it never was there");
}

/// STATIC-4: a directory that is a link leading out at the next moment. Its page never shows a name
/// from outside.
#[test]
fn a_race_against_the_listing_wins_nothing() {
    let tree = Tree::usual();
    tree.write("d/public", "");
    tree.write("../elsewhere/secret", "");
    tree.link("link", "../elsewhere");
    let stop = Arc::new(AtomicBool::new(false));
    let racer = {
        let (stop, root) = (Arc::clone(&stop), tree.root());
        let [d, kept, link] = ["d", "kept", "link"].map(|name| root.join(name));
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                for (from, to) in [(&d, &kept), (&link, &d), (&d, &link), (&kept, &d)] {
                    fs::rename(from, to).expect("nobody else is here");
                }
            }
        })
    };
    let files = tree.files();
    let mut public = 0;
    for _ in 0..20_000 {
        let answer = Answer::parse(&exchange(&files, request("GET", "/d/", "")));
        assert!(!answer.text().contains("secret"), "{}", answer.text());
        public += u32::from(answer.text().contains("public"));
    }
    stop.store(true, Ordering::Relaxed);
    racer.join().expect("it only renames");
    assert!(public > 0, "it never was there");
}

/// STATIC-4: a new version is published by another link in the place of the root, and the version
/// before is removed. Each request finds its file in one of the two.
#[test]
fn a_version_is_published_between_two_requests() {
    let tree = Tree::usual();
    let around = tree.around.clone();
    let publish = move |number: u32| {
        let version = format!("version-{number}");
        fs::create_dir(around.join(&version)).expect("a directory");
        fs::write(around.join(&version).join("a.txt"), &version).expect("a file");
        symlink(&version, around.join("next")).expect("nobody else is here");
        fs::rename(around.join("next"), around.join("current")).expect("nobody else is here");
        if let Some(before) = number.checked_sub(1) {
            let before = around.join(format!("version-{before}"));
            fs::remove_dir_all(before).expect("it is there");
        }
    };
    publish(0);
    let (go, orders) = mpsc::sync_channel(0); // an order is taken when the one before is done
    let publisher = thread::spawn(move || orders.iter().for_each(publish));
    let files = SimpleHttpRequestHandler::new(tree.around.join("current"));
    for number in 1..3000 {
        // Somewhere in this request one version takes the place of another.
        go.send(number).expect("it listens");
        let answer = get(&files, "/a.txt", "");
        assert_eq!(answer.status, 200, "{number}: {}", answer.text());
    }
    drop(go);
    publisher.join().expect("it only publishes");
}

/// STATIC-5: what no file can be called.
#[test]
fn impossible_names_are_404() {
    let tree = Tree::usual();
    tree.link("loop", "loop");
    let long = format!("/{}", "x".repeat(300));
    let deep = "/x".repeat(2100);
    let cases = [
        "/%00",
        "/a.txt%00",
        "/d/%00/../b.html",
        "/a.txt%00.png",
        "/loop",
        &long,
        &deep,
    ];
    for target in cases {
        let answer = tree.get(target);
        assert_eq!(answer.status, 404, "{target}");
        assert!(answer.text().contains("File not found"), "{target}");
    }
}

/// STATIC-6: to the same target with a slash.
#[test]
fn directories_are_redirected_to() {
    let tree = Tree::usual();
    fs::create_dir_all(tree.path("a b&\u{e9}")).expect("a directory");
    fs::create_dir_all(tree.path("\\evil.test")).expect("a directory");
    let cases = [
        ("/d", "/d/"),
        ("/d?q", "/d/?q"),
        ("/d?q=1?/&x=%20", "/d/?q=1?/&x=%20"),
        ("/d?", "/d/?"),
        ("/d?<\\>", "/d/?%3C%5C%3E"),
        ("/./d", "/./d/"),
        ("/d/.", "/d/./"),
        ("/d%2f", "/d%2f/"),
        ("/d%2F?q", "/d%2F/?q"),
        ("/d/%2f", "/d/%2f/"),
        ("/a%20b&%C3%A9", "/a%20b&%C3%A9/"),
        ("http://h.test/d?q", "http://h.test/d/?q"),
        // Never another host (gh-87389): browsers read `\` as `/`.
        ("//d", "/d/"),
        ("///d?q", "/d/?q"),
        ("//evil.test/..", "/evil.test/../"),
        ("//evil.test/%2e%2e", "/evil.test/%2e%2e/"),
        ("/\\evil.test/..", "/%5Cevil.test/../"),
        ("/\\evil.test", "/%5Cevil.test/"),
        ("/%5cevil.test", "/%5cevil.test/"),
    ];
    for (target, location) in cases {
        let answer = tree.get(target);
        assert_eq!(answer.status, 301, "{target}");
        assert_eq!(answer.field("location"), Some(location), "{target}");
        assert_eq!(answer.text(), "", "{target}");
    }
    // The root of an absolute target needs no slash (RFC 9110 §4.2.3).
    assert_eq!(tree.get("http://h.test").status, 200);
}

/// STATIC-7: the first page that is there and a file.
#[test]
fn index_pages() {
    let tree = Tree::usual();
    tree.write("both/index.htm", "htm");
    tree.write("both/index.html", "html");
    tree.write("htm/index.htm", "htm");
    tree.write("directory/index.html/x", "");
    tree.write("directory/index.htm", "htm");
    tree.write("only-directory/index.html/x", "");
    tree.write("other/start.txt", "start");
    let cases = [
        ("/index/", "the index"),
        ("/index/?q", "the index"),
        ("/both/", "html"),
        ("/htm/", "htm"),
        ("/directory/", "htm"),
    ];
    for (target, content) in cases {
        assert_eq!(tree.get(target).text(), content, "{target}");
    }
    assert_eq!(tree.get("/both/").field("content-type"), Some("text/html"));
    for target in ["/only-directory/", "/other/", "/d/"] {
        assert!(
            tree.get(target).text().contains("Directory listing"),
            "{target}"
        );
    }
    let files = tree.files().index_pages(["none", "start.txt"]);
    assert_eq!(get(&files, "/other/", "").text(), "start");
    assert!(
        get(&files, "/both/", "")
            .text()
            .contains("Directory listing")
    );
    let none: [&str; 0] = [];
    let files = tree.files().index_pages(none);
    assert!(
        get(&files, "/index/", "")
            .text()
            .contains("Directory listing")
    );
}

/// STATIC-8: no file has a slash behind it, and what is not there is 404.
#[test]
fn what_is_not_there() {
    let tree = Tree::usual();
    for target in [
        "/a.txt/",
        "/a.txt//",
        "/a.txt/./",
        "/a.txt/x",
        "/missing",
        "/missing/",
        "/d/x",
    ] {
        let answer = tree.get(target);
        assert_eq!(answer.status, 404, "{target}");
        assert!(
            answer.text().contains("<p>Message: File not found.</p>"),
            "{target}"
        );
    }
    let files = SimpleHttpRequestHandler::new(tree.path("nowhere"));
    assert_eq!(get(&files, "/", "").status, 404);
    let files = SimpleHttpRequestHandler::new("");
    assert_eq!(get(&files, "/", "").status, 404);
    let files = SimpleHttpRequestHandler::new(tree.path("a.txt"));
    assert_eq!(get(&files, "/", "").status, 404);
    assert_eq!(get(&files, "/x", "").status, 404);
}

/// STATIC-8, STATIC-14: what may not be read. Root may read everything, so as root this test runs
/// itself once more as nobody.
#[test]
fn what_may_not_be_read() {
    const AS_NOBODY: &str = "STATIC_FILES_AS_NOBODY";
    const NOBODY: u32 = 65534;
    if let Some(root) = std::env::var_os(AS_NOBODY) {
        return check_permissions(Path::new(&root));
    }
    let tree = Tree::usual();
    tree.write("closed/a.txt", "a");
    chmod(&tree.path("a.txt"), 0o000);
    chmod(&tree.path("closed"), 0o000);
    if File::open(tree.path("a.txt")).is_err() {
        check_permissions(&tree.root());
    } else {
        // A copy, because nobody may not be allowed to where this program is.
        let program = tree.around.join("program");
        let this = std::env::current_exe().expect("a program");
        fs::copy(this, &program).expect("a copy");
        chmod(&program, 0o755);
        let output = Command::new(&program)
            .args(["what_may_not_be_read", "--exact", "--nocapture"])
            .env(AS_NOBODY, tree.root())
            .current_dir("/")
            .gid(NOBODY)
            .uid(NOBODY)
            .output()
            .expect("root may become nobody");
        let said = text(&[output.stdout, output.stderr].concat());
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{said}"
        );
    }
    chmod(&tree.path("closed"), 0o700);
}

fn check_permissions(root: &Path) {
    assert!(File::open(root.join("a.txt")).is_err(), "the test can fail");
    let files = SimpleHttpRequestHandler::new(root);
    let cases = [
        ("/a.txt", "File not found"),
        ("/closed/a.txt", "File not found"),
        ("/closed/", "No permission to list directory"),
    ];
    for (target, message) in cases {
        let answer = get(&files, target, "");
        assert_eq!(answer.status, 404, "{target}");
        assert!(
            answer.text().contains(message),
            "{target}: {}",
            answer.text()
        );
    }
    assert_eq!(get(&files, "/d/b.html", "").status, 200);
}

/// STATIC-8: a file that is there, but no descriptor to open it with. This test runs itself once
/// more, in a process that may not have many.
#[test]
fn a_shortage_of_descriptors_is_503() {
    const WITH_FEW: &str = "STATIC_FILES_WITH_FEW_DESCRIPTORS";
    if std::env::var_os(WITH_FEW).is_none() {
        let output = Command::new("sh")
            .args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""])
            .arg(std::env::current_exe().expect("a program"))
            .args(["a_shortage_of_descriptors_is_503", "--exact", "--nocapture"])
            .env(WITH_FEW, "1")
            .output()
            .expect("a shell");
        let said = text(&[output.stdout, output.stderr].concat());
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{said}"
        );
        return;
    }
    let tree = Tree::usual();
    let mut wire = Wire::new(tree.files());
    let held: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    let mut short = Vec::new();
    for target in ["/a.txt", "/d/", "/d"] {
        wire.receive(request("GET", target, ""));
        let answer = Answer::parse(&std::mem::take(&mut wire.sent));
        short.push((target, answer, wire.failure()));
    }
    drop(held);
    for (target, answer, failure) in short {
        let retry = answer.field("retry-after");
        assert_eq!((answer.status, retry), (503, Some("1")), "{target}");
        let failure = failure.expect("reported");
        assert!(failure.contains("open files"), "{target}: {failure}");
    }
    wire.receive(request("GET", "/a.txt", ""));
    assert_eq!(Answer::parse(&wire.sent).status, 200);
}

/// STATIC-14, as a setting.
#[test]
fn listing_can_be_switched_off() {
    let tree = Tree::usual();
    let files = tree.files().list_directories(false);
    let answer = get(&files, "/d/", "");
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("No permission to list directory"));
    assert_eq!(get(&files, "/d", "").status, 301);
    assert_eq!(get(&files, "/index/", "").text(), "the index");
}

/// STATIC-9: what could keep the server waiting, or do something when it is opened.
#[test]
fn only_regular_files_are_opened() {
    let tree = Tree::usual();
    let made = Command::new("mkfifo").arg(tree.path("fifo")).status();
    assert!(made.expect("mkfifo is everywhere").success());
    let _socket = UnixListener::bind(tree.path("socket")).expect("a socket");
    tree.link("terminal", "/dev/tty");
    tree.link("zero", "/dev/zero");
    tree.link("to-fifo", "fifo");
    for follow in [false, true] {
        for target in ["/fifo", "/socket", "/terminal", "/zero", "/to-fifo"] {
            let files = tree.files().follow_symlinks(follow);
            // Opening the FIFO would never return: there is no writer.
            let answer = get(&files, target, "");
            assert_eq!(answer.status, 404, "{target}, follow: {follow}");
        }
    }
    tree.write("page/a.txt", "");
    let made = Command::new("mkfifo")
        .arg(tree.path("page/index.html"))
        .status();
    assert!(made.expect("mkfifo is everywhere").success());
    assert!(tree.get("/page/").text().contains("Directory listing"));
}

/// A client that takes nothing yet, after the head and the first block.
fn stalled(files: SimpleHttpRequestHandler, target: &str, fields: &str) -> Wire {
    let mut wire = Wire::new(files);
    wire.open = false;
    wire.receive(request("GET", target, fields));
    assert_eq!(wire.verdict, "Produce");
    wire
}

fn resume(wire: &mut Wire) -> Answer {
    wire.open = true;
    wire.follow(Next::Produce);
    Answer::parse(&wire.sent)
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at / 251 + at) as u8).collect()
}

/// STATIC-9: never more or fewer bytes than announced, if the file changes underway.
#[test]
fn a_file_that_changes_while_it_is_sent() {
    let tree = Tree::new();
    let before = pattern(300_000);
    let path = tree.path("f");
    for (fields, whole, start) in [
        ("", 300_000, 0),
        ("Range: bytes=100000-\r\n", 200_000, 100_000),
    ] {
        tree.write("f", &before);
        let mut wire = stalled(tree.files(), "/f", fields);
        let file = File::options().append(true).open(&path);
        file.expect("a file").write_all(b"more").expect("written");
        let answer = resume(&mut wire);
        assert_eq!(text(&answer.body), text(&before[start..]), "{fields} grown");
        assert_eq!(
            (wire.verdict, wire.failure()),
            ("Read", None),
            "{fields} grown"
        );

        tree.write("f", &before);
        let mut wire = stalled(tree.files(), "/f", fields);
        let file = File::options().write(true).open(&path).expect("a file");
        file.set_len(200_000).expect("cut");
        let answer = resume(&mut wire);
        let announced = answer.field("content-length").map(str::parse);
        assert_eq!(announced, Some(Ok(whole)), "{fields} cut");
        assert_eq!(
            text(&answer.body),
            text(&before[start..200_000]),
            "{fields} cut"
        );
        assert_ne!(wire.verdict, "Read", "{fields} cut: it cannot go on");
        let failure = wire.failure().expect("reported");
        assert!(failure.contains("shorter"), "{failure}");
    }
    // One that is replaced is sent as it was.
    tree.write("f", &before);
    let mut wire = stalled(tree.files(), "/f", "");
    tree.write("new", "new");
    fs::rename(tree.path("new"), &path).expect("renamed");
    assert_eq!(text(&resume(&mut wire).body), text(&before));
    assert_eq!(tree.get("/f").text(), "new");
    // And one that is removed.
    tree.write("f", &before);
    let mut wire = stalled(tree.files(), "/f", "");
    fs::remove_file(&path).expect("removed");
    assert_eq!(text(&resume(&mut wire).body), text(&before));
}

/// Returns the names of the files below a directory that this process has open.
#[cfg(target_os = "linux")]
fn open_below(directory: &Path) -> Vec<String> {
    let descriptors = fs::read_dir("/proc/self/fd").expect("proc");
    let targets = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let below = targets.filter_map(|path| {
        let name = path.strip_prefix(directory).ok()?.to_str();
        Some(name.expect("text").to_owned())
    });
    let mut names: Vec<String> = below.collect();
    names.sort();
    names
}

/// STATIC-15: the next request for a small file finds it open, and never gets an old one.
#[cfg(target_os = "linux")]
#[test]
fn small_files_stay_open() {
    let tree = Tree::usual();
    tree.write("large", pattern(128 * 1024 + 1));
    let mut wire = Wire::new(tree.files());
    let mut get = |target| {
        wire.sent.clear();
        wire.receive(request("GET", target, ""));
        Answer::parse(&wire.sent)
    };
    for _ in 0..2 {
        assert_eq!(get("/a.txt").text(), "0123456789");
        assert_eq!(get("/d/b.html").text(), "<p>b</p>");
        assert_eq!(get("/index/").text(), "the index");
        assert_eq!(get("/large").body.len(), 128 * 1024 + 1);
        let open = ["a.txt", "d/b.html", "index/index.html"];
        assert_eq!(open_below(&tree.root()), open);
    }
    let etag = get("/a.txt").field("etag").map(str::to_owned);
    // Written over, with a new time.
    fs::write(tree.path("a.txt"), "abcdefghij").expect("written");
    let answer = get("/a.txt");
    assert_eq!(answer.text(), "abcdefghij");
    assert_ne!(answer.field("etag").map(str::to_owned), etag);
    // Another file of the same size and time in its place.
    tree.write("new", "klmnopqrst");
    set_modified(&tree.path("a.txt"), UNIX_EPOCH + MODIFIED);
    assert_eq!(get("/a.txt").text(), "abcdefghij");
    fs::rename(tree.path("new"), tree.path("a.txt")).expect("renamed");
    assert_eq!(get("/a.txt").text(), "klmnopqrst");
    // A link in its place that leads in, and one that leads out.
    for (target, status) in [("d/b.html", 200), ("../outside.txt", 404)] {
        fs::remove_file(tree.path("a.txt")).expect("it is there");
        tree.link("a.txt", target);
        assert_eq!(get("/a.txt").status, status, "{target}");
    }
    fs::remove_file(tree.path("a.txt")).expect("it is there");
    assert_eq!(get("/a.txt").status, 404);
    fs::create_dir(tree.path("a.txt")).expect("it is free");
    assert_eq!(get("/a.txt").status, 301);
}

/// STATIC-15, STATIC-7: the first index page of a directory stays open, and is not sent when something else
/// is to be sent.
#[cfg(target_os = "linux")]
#[test]
fn index_pages_stay_open() {
    let tree = Tree::usual();
    let mut wire = Wire::new(tree.files());
    let mut get = |target| {
        wire.sent.clear();
        wire.receive(request("GET", target, ""));
        Answer::parse(&wire.sent)
    };
    let page = tree.path("index/index.html");
    for _ in 0..2 {
        let answer = get("/index/");
        assert_eq!(answer.text(), "the index");
        assert_eq!(answer.field("content-type"), Some("text/html"));
        assert_eq!(open_below(&tree.root()), ["index/index.html"]);
    }
    // What the open file has to do with these paths is looked up.
    assert_eq!(get("/index").status, 301);
    assert_eq!(get("/index%2f").status, 301);
    assert_eq!(get("/index/index.html/").status, 404);
    tree.write("index/index.htm", "the second");
    assert_eq!(get("/index/").text(), "the index");
    fs::write(&page, "another index").expect("written");
    assert_eq!(get("/index/").text(), "another index");
    fs::rename(&page, tree.path("index/kept")).expect("it is there");
    for _ in 0..2 {
        assert_eq!(get("/index/").text(), "the second");
    }
    // The first is there again, although the second is open.
    fs::rename(tree.path("index/kept"), &page).expect("it is free");
    assert_eq!(get("/index/").text(), "another index");
    fs::rename(tree.path("index"), tree.path("moved")).expect("it is there");
    assert_eq!(get("/index/").status, 404);
    assert_eq!(get("/moved/").text(), "another index");
}

/// STATIC-15: how many, and for how long.
#[cfg(target_os = "linux")]
#[test]
fn few_files_stay_open_and_not_for_long() {
    let tree = Tree::usual();
    tree.write("c.txt", "c");
    let mut wire = Wire::new(tree.files().max_open_files(2));
    let mut get = |target, millis| {
        wire.at(Duration::from_millis(millis));
        wire.sent.clear();
        wire.receive(request("GET", target, ""));
        Answer::parse(&wire.sent).status
    };
    for target in ["/a.txt", "/d/b.html", "/c.txt"] {
        assert_eq!(get(target, 0), 200);
    }
    assert_eq!(open_below(&tree.root()), ["a.txt", "d/b.html"]);
    assert_eq!(get("/c.txt", 1000), 200);
    assert_eq!(open_below(&tree.root()), ["c.txt"]);
    // A directory on the way becomes a link that leads out, to the same file.
    let beside = tree.around.join("beside");
    assert_eq!(get("/d/b.html", 1000), 200);
    fs::rename(tree.path("d"), &beside).expect("it is there");
    tree.link("d", &beside);
    assert_eq!(get("/d/b.html", 1999), 200, "the same file, still open");
    assert_eq!(get("/d/b.html", 2000), 404);

    let mut none = Wire::new(tree.files().max_open_files(0));
    none.receive(request("GET", "/c.txt", ""));
    assert_eq!(Answer::parse(&none.sent).text(), "c");
    drop((wire, none));
    assert!(open_below(&tree.root()).is_empty());
}

/// STATIC-15: a file that is replaced does not stay open, and its successor does.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_is_replaced_is_closed() {
    let tree = Tree::usual();
    let files = tree.files().max_open_files(1);
    let mut wire = Wire::new(files);
    let mut get = || {
        wire.sent.clear();
        wire.receive(request("GET", "/a.txt", ""));
        Answer::parse(&wire.sent).text()
    };
    assert_eq!(get(), "0123456789");
    tree.write("new", "other");
    fs::rename(tree.path("new"), tree.path("a.txt")).expect("renamed");
    assert_eq!(get(), "other");
    assert_eq!(open_below(&tree.root()), ["a.txt"]);
    // One that is too large to stay open.
    tree.write("new", pattern(128 * 1024 + 1));
    fs::rename(tree.path("new"), tree.path("a.txt")).expect("renamed");
    get();
    assert!(open_below(&tree.root()).is_empty());
}

/// STATIC-15: a handler with other settings does not serve what is open for this one.
#[test]
fn what_is_open_is_open_for_these_settings() {
    let tree = Tree::usual();
    tree.link("out", "../outside.txt");
    let follows = tree.files().follow_symlinks(true);
    let mut wire = Wire::new(follows.clone());
    wire.receive(request("GET", "/out", ""));
    assert_eq!(Answer::parse(&wire.sent).text(), "secret");
    let confined = follows.follow_symlinks(false);
    assert_eq!(get(&confined, "/out", "").status, 404);
}

/// STATIC-9: a file that is shorter than the system says. The files of the kernel are such files.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_is_shorter_than_announced() {
    let files = SimpleHttpRequestHandler::new("/sys/devices/system/cpu");
    let content = fs::read("/sys/devices/system/cpu/possible").expect("each kernel has it");
    let mut wire = Wire::new(files);
    wire.receive(request("GET", "/possible", ""));
    let answer = Answer::parse(&wire.sent);
    let announced = answer.field("content-length").expect("announced");
    assert!(announced.parse::<usize>().expect("a number") > content.len());
    assert_eq!(answer.text(), text(&content));
    assert_ne!(wire.verdict, "Read", "it cannot go on");
    let failure = wire.failure().expect("reported");
    assert!(failure.contains("shorter"), "{failure}");
}

/// However large the file, little of it is in memory; beyond 4 GiB, too.
#[test]
fn a_huge_file_is_sent_in_blocks() {
    const SIZE: u64 = 5 << 30;
    const MARK: u64 = (4 << 30) + 12_345;
    let tree = Tree::new();
    let mut file = File::create(tree.path("huge")).expect("a file");
    file.set_len(SIZE).expect("it is sparse");
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(MARK)).expect("within");
    file.write_all(b"mark").expect("written");
    let mut wire = stalled(tree.files(), "/huge", "");
    for _ in 0..100 {
        wire.output.clear();
        let next = wire
            .protocol
            .produce(&mut wire.output, &serve_forever::reactor::Now::new());
        assert!(matches!(next, Next::Produce));
        assert!(
            wire.output.len() <= 128 * 1024,
            "{} bytes",
            wire.output.len()
        );
    }
    let range = format!("Range: bytes={}-{}\r\n", MARK - 2, MARK + 5_000_000);
    let answer = get(&tree.files(), "/huge", &range);
    let content_range = format!("bytes {}-{}/{SIZE}", MARK - 2, MARK + 5_000_000);
    assert_eq!(answer.field("content-range"), Some(content_range.as_str()));
    assert_eq!(answer.body.len(), 5_000_003);
    assert!(answer.body.starts_with(b"\0\0mark\0"));
    let answer = get(&tree.files(), "/huge", "Range: bytes=-1\r\n");
    let content_range = format!("bytes {0}-{0}/{SIZE}", SIZE - 1);
    assert_eq!(answer.field("content-range"), Some(content_range.as_str()));
}

/// STATIC-10, and RFC 9110 §13: every combination is tested beside the code.
#[test]
fn conditional_requests() {
    let tree = Tree::usual();
    let etag = tree.get("/a.txt").field("etag").expect("a tag").to_owned();
    let cases = [
        ("If-Modified-Since: Sat, 05 Nov 1994 08:49:37 GMT", 304),
        ("If-Modified-Since: Sat, 05 Nov 1994 08:49:38 GMT", 304),
        ("If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT", 304),
        ("If-Modified-Since: Sat, 05 Nov 1994 08:49:36 GMT", 200),
        ("If-Modified-Since: Saturday, 05-Nov-94 08:49:37 GMT", 304),
        ("If-Modified-Since: Sat Nov  5 08:49:37 1994", 304),
        ("If-Modified-Since: Sat, 05 Nov 1994 08:49:37", 304),
        ("If-Modified-Since: Sat, 05 Nov 1994 08:49:37 +0000", 304),
        ("If-Modified-Since: Sat, 05 Nov 1994 08:49:37 -0000", 304),
        ("If-Modified-Since: Sat, 05 Nov 1994 09:49:37 +0100", 200),
        ("If-Modified-Since: Sat, 05 Nov 1994 08:49:37 EST", 200),
        ("If-Modified-Since: now", 200),
        ("If-Modified-Since: ", 200),
        (
            "If-Modified-Since: Sat, 05 Nov 1994 08:49:38 GMT\r\nIf-None-Match: \"x\"",
            200,
        ),
        ("If-None-Match: *", 304),
        ("If-None-Match: {etag}", 304),
        ("If-None-Match: W/{etag}", 304),
        ("If-None-Match: \"x\", {etag}", 304),
        ("If-None-Match: \"x\"", 200),
        (
            "If-None-Match: {etag}\r\nIf-Modified-Since: Sat, 05 Nov 1994 08:49:36 GMT",
            304,
        ),
        ("If-Match: {etag}", 200),
        ("If-Match: *", 200),
        ("If-Match: W/{etag}", 412),
        ("If-Match: \"x\"", 412),
        ("If-Unmodified-Since: Sat, 05 Nov 1994 08:49:37 GMT", 200),
        ("If-Unmodified-Since: Sat, 05 Nov 1994 08:49:36 GMT", 412),
        // The range is not looked at before the rest is settled.
        ("If-None-Match: {etag}\r\nRange: bytes=99-", 304),
        ("If-Match: \"x\"\r\nRange: bytes=99-", 412),
        ("If-Match: {etag}\r\nRange: bytes=0-1", 206),
    ];
    for (fields, expected) in cases {
        let fields = format!("{}\r\n", fields.replace("{etag}", &etag));
        for method in ["GET", "HEAD"] {
            let answer = exchange(&tree.files(), request(method, "/a.txt", &fields));
            let answer = Answer::parse(&answer);
            // HEAD takes no notice of Range.
            let expected = if (method, expected) == ("HEAD", 206) {
                200
            } else {
                expected
            };
            assert_eq!(answer.status, expected, "{method} {fields}");
        }
    }
    let fields = format!("If-None-Match: {etag}\r\n");
    let answer = exchange(&tree.files(), request("GET", "/a.txt", &fields));
    let expected = format!("HTTP/1.1 304 Not Modified\r\n{SERVER}{DATE}ETag: {etag}\r\n\r\n");
    assert_eq!(text(&answer), text(expected.as_bytes()));
    // Only of files: a listing is new each time.
    let fields = "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\nIf-None-Match: *\r\n";
    for (target, status) in [("/d/", 200), ("/d", 301), ("/x", 404), ("/index/", 304)] {
        assert_eq!(
            get(&tree.files(), target, fields).status,
            status,
            "{target}"
        );
    }
}

#[test]
fn the_entity_tag_changes_with_time_and_size() {
    let tree = Tree::usual();
    let etag = || tree.get("/a.txt").field("etag").map(str::to_owned);
    let first = etag();
    assert_eq!(first, etag());
    set_modified(
        &tree.path("a.txt"),
        UNIX_EPOCH + MODIFIED + Duration::from_millis(4),
    );
    let second = etag();
    assert_ne!(first, second, "by a few milliseconds");
    tree.write("a.txt", "01234567890");
    let third = etag();
    assert!(third != first && third != second, "by a byte");
    // Before 1970, HTTP has no date that could be relied on, but a tag.
    set_modified(&tree.path("a.txt"), UNIX_EPOCH - Duration::from_secs(1));
    let answer = tree.get("/a.txt");
    assert_eq!((answer.status, answer.field("last-modified")), (200, None));
    assert_eq!(answer.field("etag"), Some("\"-1000000000-11\""));
    // Nothing was changed after it is sent (RFC 9110 §8.8.2.1).
    set_modified(&tree.path("a.txt"), UNIX_EPOCH + 2 * MODIFIED);
    let answer = tree.get("/a.txt");
    assert_eq!(
        answer.field("last-modified"),
        Some("Sun, 06 Nov 1994 08:49:37 GMT")
    );
}

/// RFC 9110 §14, §15.3.7, §15.5.17: one range. What else a field may be is tested beside the code.
#[test]
fn ranges() {
    let tree = Tree::usual();
    let etag = tree.get("/a.txt").field("etag").expect("a tag").to_owned();
    let cases = [
        ("Range: bytes=0-0", 206, "bytes 0-0/10", "0"),
        ("Range: bytes=2-4", 206, "bytes 2-4/10", "234"),
        ("Range: bytes=5-", 206, "bytes 5-9/10", "56789"),
        ("Range: bytes=-3", 206, "bytes 7-9/10", "789"),
        ("Range: bytes=0-99", 206, "bytes 0-9/10", "0123456789"),
        ("Range: bytes=2-3,50-60", 206, "bytes 2-3/10", "23"),
        ("Range: bytes=10-", 416, "bytes */10", ""),
        ("Range: bytes=-0", 416, "bytes */10", ""),
        ("Range: bytes=4-2", 200, "", "0123456789"),
        ("Range: bytes=x", 200, "", "0123456789"),
        ("Range: lines=0-1", 200, "", "0123456789"),
        (
            "Range: bytes=0-1\r\nRange: bytes=0-1",
            200,
            "",
            "0123456789",
        ),
        (
            "Range: bytes=2-4\r\nIf-Range: {etag}",
            206,
            "bytes 2-4/10",
            "234",
        ),
        (
            "Range: bytes=2-4\r\nIf-Range: W/{etag}",
            200,
            "",
            "0123456789",
        ),
        ("Range: bytes=2-4\r\nIf-Range: \"x\"", 200, "", "0123456789"),
        (
            "Range: bytes=2-4\r\nIf-Range: Sat, 05 Nov 1994 08:49:37 GMT",
            206,
            "bytes 2-4/10",
            "234",
        ),
        (
            "Range: bytes=2-4\r\nIf-Range: Sat, 05 Nov 1994 08:49:38 GMT",
            200,
            "",
            "0123456789",
        ),
        ("Range: bytes=99-\r\nIf-Range: \"x\"", 200, "", "0123456789"),
        ("If-Range: \"x\"", 200, "", "0123456789"),
    ];
    for (fields, status, content_range, content) in cases {
        let fields = format!("{}\r\n", fields.replace("{etag}", &etag));
        let answer = get(&tree.files(), "/a.txt", &fields);
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (status, content),
            "{fields}"
        );
        assert_eq!(
            answer.field("content-range").unwrap_or_default(),
            content_range,
            "{fields}"
        );
        let described = (answer.field("etag"), answer.field("last-modified"));
        if status != 416 {
            assert_eq!(
                described,
                (Some(etag.as_str()), Some(LAST_MODIFIED)),
                "{fields}"
            );
            assert_eq!(answer.field("content-type"), Some("text/plain"), "{fields}");
            assert_eq!(answer.field("accept-ranges"), Some("bytes"), "{fields}");
        }
    }
    let files = tree.files().max_ranges(0);
    let answer = get(&files, "/a.txt", "Range: bytes=0-1\r\n");
    assert_eq!((answer.status, answer.field("accept-ranges")), (200, None));
    tree.write("empty", "");
    for (range, status) in [("bytes=0-", 416), ("bytes=-1", 200), ("bytes=-0", 416)] {
        let answer = get(&tree.files(), "/empty", &format!("Range: {range}\r\n"));
        assert_eq!(answer.status, status, "{range} of nothing");
    }
    // A listing has no ranges.
    assert_eq!(
        get(&tree.files(), "/d/", "Range: bytes=0-1\r\n").status,
        200
    );
}

/// RFC 9110 §14.6: several ranges, in the order in which they were asked for.
#[test]
fn several_ranges() {
    let tree = Tree::usual();
    let fields = "Range: bytes=8-9, 0-1, -3\r\n";
    let answer = get(&tree.files(), "/a.txt", fields);
    assert_eq!((answer.status, answer.field("content-range")), (206, None));
    let content_type = answer.field("content-type").expect("a type");
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=");
    let boundary = boundary.expect("a boundary");
    let part = |range: &str, content: &str| {
        format!(
            "--{boundary}\r\nContent-Type: text/plain\r\n\
             Content-Range: bytes {range}/10\r\n\r\n{content}\r\n"
        )
    };
    let expected = [
        part("8-9", "89"),
        part("0-1", "01"),
        part("7-9", "789"),
        format!("--{boundary}--\r\n"),
    ];
    assert_eq!(answer.text(), text(expected.concat().as_bytes()));
    // Who writes a file cannot know the boundary.
    let again = get(&tree.files(), "/a.txt", fields);
    assert_ne!(again.field("content-type"), Some(content_type));
    assert_eq!(boundary.len(), 32);

    // CVE-2011-3192: the whole is cheaper than many parts of it.
    let many: Vec<String> = (0..16).map(|at| format!("{at}-{at}")).collect();
    tree.write("b.txt", pattern(1000));
    let too_many = [&many[..], &["20-20".to_owned()]].concat();
    for (ranges, status) in [
        (many.join(","), 206),
        (too_many.join(","), 200),
        ("0-,0-,0-".to_owned(), 200),
        ("0-599,400-999".to_owned(), 200),
        ("0-499,500-999".to_owned(), 206),
    ] {
        let answer = get(
            &tree.files(),
            "/b.txt",
            &format!("Range: bytes={ranges}\r\n"),
        );
        assert_eq!(answer.status, status, "{ranges}");
    }
    // Each part is pulled in blocks.
    tree.write("c.txt", pattern(400_000));
    let fields = "Range: bytes=300000-399999,0-199999\r\n";
    let answer = get(&tree.files(), "/c.txt", fields);
    let content = pattern(400_000);
    for part in [&content[300_000..], &content[..200_000]] {
        let found = answer.body.windows(part.len()).any(|window| window == part);
        assert!(found, "a part of {} bytes", part.len());
    }
}

/// STATIC-11: by the last suffix; added types count more. The table is tested beside the code.
#[test]
fn content_types() {
    let tree = Tree::new();
    let cases = [
        ("a.html", "text/html"),
        ("a.HTML", "text/html"),
        ("a.tar.gz", "application/gzip"),
        ("a.tgz", "application/x-tar"),
        ("a.Z", "application/octet-stream"),
        (".html", "application/octet-stream"),
        ("a", "application/octet-stream"),
        ("a.svg", "image/svg+xml"),
        ("a.gpx", "application/octet-stream"),
    ];
    for (name, expected) in cases {
        tree.write(name, "");
        let answer = tree.get(&format!("/{name}"));
        assert_eq!(answer.field("content-type"), Some(expected), "{name}");
    }
    let files = tree.files().content_type(".gpx", "application/gpx+xml");
    let answer = get(&files, "/a.gpx", "");
    assert_eq!(answer.field("content-type"), Some("application/gpx+xml"));
    // The name that was asked for counts, not that of the file behind it.
    tree.link("link.css", "a.gpx");
    assert_eq!(
        tree.get("/link.css").field("content-type"),
        Some("text/css")
    );
}

/// STATIC-12: the page of a directory, to the byte.
#[test]
fn a_listing() {
    let tree = Tree::new();
    tree.write("l&<i>'\"/b.txt", "");
    for name in ["B", "a", ".c", "\u{c4}", "x y&<z>'\"%+:~_-"] {
        tree.write(format!("l&<i>'\"/{name}"), "");
    }
    // It would end the line, and put what follows on another.
    tree.write("l&<i>'\"/x\n\u{9b}<\r\x7f", "");
    // In no order, nor backwards.
    for name in ["Ef", "ef", "EF", "eF"] {
        tree.write(format!("l&<i>'\"/{name}"), "");
    }
    fs::create_dir(tree.path("l&<i>'\"/Dir")).expect("a directory");
    for (name, target) in [("z1", "a"), ("z2", "Dir"), ("z3", "gone")] {
        tree.link(&format!("l&<i>'\"/{name}"), target);
    }
    let answer = tree.get("/l&%3Ci%3E'%22/?q=%3Cb%3E&%ff");
    let title = "Directory listing for /l&amp;&lt;i&gt;'\"/";
    let expected = format!(
        "<!DOCTYPE HTML>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <title>{title}</title>\n</head>\n<body>\n<h1>{title}</h1>\n<hr>\n<ul>\n\
         <li><a href=\".c\">.c</a></li>\n\
         <li><a href=\"a\">a</a></li>\n\
         <li><a href=\"B\">B</a></li>\n\
         <li><a href=\"b.txt\">b.txt</a></li>\n\
         <li><a href=\"Dir/\">Dir/</a></li>\n\
         <li><a href=\"EF\">EF</a></li>\n\
         <li><a href=\"Ef\">Ef</a></li>\n\
         <li><a href=\"eF\">eF</a></li>\n\
         <li><a href=\"ef\">ef</a></li>\n\
         <li><a href=\"x%0A%C2%9B%3C%0D%7F\">x\u{fffd}\u{fffd}&lt;\u{fffd}\u{fffd}</a></li>\n\
         <li><a href=\"x%20y%26%3Cz%3E%27%22%25%2B%3A~_-\">x y&amp;&lt;z&gt;'\"%+:~_-</a></li>\n\
         <li><a href=\"z1\">z1@</a></li>\n\
         <li><a href=\"z2/\">z2@</a></li>\n\
         <li><a href=\"z3\">z3@</a></li>\n\
         <li><a href=\"%C3%84\">\u{c4}</a></li>\n\
         </ul>\n<hr>\n</body>\n</html>\n"
    );
    assert_eq!(String::from_utf8(answer.body.clone()), Ok(expected));
    assert_eq!(
        answer.field("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.field("etag"), None);
    let empty = Tree::new().get("/").text();
    assert!(empty.contains("<ul>\\n</ul>"), "{empty}");
    // The path of the title is decoded, and what is not text is shown as that.
    let page = tree.get("/%ff%1b%3f/../%0d%c2%85/../?q").body;
    let page = String::from_utf8(page).expect("the page is UTF-8");
    let title = "<title>Directory listing for /\u{fffd}\u{fffd}?/../\u{fffd}\u{fffd}/../</title>\n";
    assert!(page.contains(title), "{page}");
    // One leading slash in the title, too.
    assert!(
        tree.get("//")
            .text()
            .contains("<h1>Directory listing for /</h1>")
    );
}

/// A directory with many files, which has not changed since the day before "now".
fn write_many(tree: &Tree, directory: &str, count: usize) {
    fs::create_dir_all(tree.path(directory)).expect("a directory");
    for number in 0..count {
        // Neither in order nor backwards.
        let number = number * 7919 % count;
        let prefix = ["N", "n", "o"][number % 3];
        let path = tree.path(format!("{directory}/{prefix}{number}"));
        File::create(path).expect("a file");
    }
    let directory = File::open(tree.path(directory)).expect("it is there");
    let modified = UNIX_EPOCH + MODIFIED;
    directory.set_modified(modified).expect("it is ours");
}

/// The links of a listing, in their order. The page is whole.
fn links(page: &str) -> Vec<&str> {
    let (_, list) = page.split_once("<ul>\n").expect("a list");
    let (list, end) = list.split_once("</ul>\n").expect("its end");
    assert_eq!(end, "<hr>\n</body>\n</html>\n");
    list.lines()
        .map(|line| {
            let line = line.strip_prefix("<li><a href=\"").expect("an entry");
            line.split('"').next().unwrap_or_default()
        })
        .collect()
}

/// The content of a chunked body, and whether it is whole.
fn unchunked(mut body: &[u8]) -> (String, bool) {
    let mut content = Vec::new();
    while let Some(end) = body.windows(2).position(|window| window == b"\r\n") {
        let size = std::str::from_utf8(&body[..end]).expect("digits");
        let size = usize::from_str_radix(size, 16).expect("digits");
        let chunk = &body[end + 2..];
        if size == 0 {
            assert_eq!(chunk, b"\r\n");
            return (String::from_utf8(content).expect("UTF-8"), true);
        }
        content.extend_from_slice(&chunk[..size]);
        body = &chunk[size + 2..];
    }
    (String::from_utf8(content).expect("UTF-8"), false)
}

/// STATIC-12: the page of a large directory is made while it is sent, and is the same page.
#[test]
fn a_large_listing() {
    let tree = Tree::new();
    for (count, is_large) in [(511, false), (512, true), (513, true), (5000, true)] {
        let directory = format!("of-{count}");
        write_many(&tree, &directory, count);
        let mut wire = stalled_or_not(&tree, &directory);
        assert_eq!(wire.verdict == "Produce", is_large, "{count}");
        if is_large {
            let begun = text(&wire.output);
            assert!(
                begun.ends_with("<ul>\\n\\r\\n"),
                "no name is sent yet: {begun}"
            );
        }
        let answer = resume(&mut wire);
        assert_eq!(wire.failure(), None);
        assert_eq!(answer.status, 200);
        let page = match is_large {
            true => {
                assert_eq!(answer.field("transfer-encoding"), Some("chunked"));
                let (page, whole) = unchunked(&answer.body);
                assert!(whole, "{count}");
                page
            }
            false => String::from_utf8(answer.body).expect("UTF-8"),
        };
        let mut expected: Vec<String> = (0..count)
            .map(|number| format!("{}{number}", ["N", "n", "o"][number % 3]))
            .collect();
        expected.sort_by_key(|name| (name.to_lowercase(), name.clone()));
        assert_eq!(links(&page), expected, "{count}");
        // HTTP/1.0 has no chunks, so the page ends with the connection.
        let request = format!("GET /{directory}/ HTTP/1.0\r\n\r\n");
        let old = Answer::parse(&exchange(&tree.files(), request));
        assert_eq!(String::from_utf8(old.body).expect("UTF-8"), page);
    }
    let target = "/of-5000/";
    let head = Answer::parse(&exchange(&tree.files(), request("HEAD", target, "")));
    assert_eq!((head.status, head.text()), (200, String::new()));
    assert_eq!(head.field("transfer-encoding"), Some("chunked"));
}

/// A client that takes nothing yet.
fn stalled_or_not(tree: &Tree, directory: &str) -> Wire {
    let mut wire = Wire::new(tree.files());
    wire.open = false;
    wire.receive(request("GET", &format!("/{directory}/"), ""));
    wire
}

/// STATIC-12: on workers, clients of one directory advance its names at the same time.
#[test]
fn a_large_listing_on_workers() {
    let tree = Tree::new();
    write_many(&tree, "many", 5000);
    let files = Pooled::new(tree.files(), Pool::new().threads(4));
    let server = serve(move || Evented::new(Http::new(files, HttpSettings::default())));
    let mut clients: Vec<Client> = (0..16).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(request("GET", "/many/", "Connection: close\r\n"));
    }
    for client in &mut clients {
        let (page, whole) = unchunked(&Answer::parse(&client.rest()).body);
        assert_eq!((links(&page).len(), whole), (5000, true));
    }
}

/// STATIC-12: the names of large directories have limited memory. Clients of one directory share it,
/// and a directory that has changed is another.
#[test]
fn large_listings_share_their_memory() {
    let tree = Tree::new();
    for directory in ["one", "two"] {
        write_many(&tree, directory, 1000);
    }
    // Each name takes 16 bytes, and up to 4 of its own.
    let files = tree.files().max_listing_memory(21_000);
    let finish = |mut wire: Wire| {
        let answer = resume(&mut wire);
        assert_eq!(wire.failure(), None);
        let (page, whole) = unchunked(&answer.body);
        assert!(whole, "{page}");
        links(&page).len()
    };
    let first = stalled(files.clone(), "/one/", "");
    let mut others: Vec<Wire> = (0..20)
        .map(|_| stalled(files.clone(), "/one/", ""))
        .collect();
    assert_eq!(others.pop().map(finish), Some(1000));
    // All names of `one` are kept now, for those that do not read.
    let refused = |target: &str| {
        let mut wire = Wire::new(files.clone());
        wire.receive(request("GET", target, ""));
        assert!(wire.failure().expect("reported").contains("memory"));
        let answer = Answer::parse(&wire.sent);
        assert_eq!(answer.field("retry-after"), Some("1"));
        answer.status
    };
    assert_eq!(refused("/two/"), 503);
    // A new name makes it another directory.
    tree.write("one/new", "");
    assert_eq!(refused("/one/"), 503);
    // Small directories and files need none of this.
    assert_eq!(get(&files, "/", "").status, 200);
    assert_eq!(get(&files, "/one/new", "").status, 200);
    assert_eq!(finish(first), 1000);
    assert_eq!(refused("/two/"), 503);
    drop(others);
    assert_eq!(finish(stalled(files.clone(), "/two/", "")), 1000);
    assert_eq!(finish(stalled(files.clone(), "/one/", "")), 1001);
}

/// STATIC-12: a directory whose names take more memory than there is: its listing breaks off, and
/// nobody gets a page with names missing.
#[test]
fn a_listing_that_is_too_large_breaks_off() {
    let tree = Tree::new();
    write_many(&tree, "one", 3000);
    let files = tree.files().max_listing_memory(30_000);
    let mut clients: Vec<Wire> = (0..3)
        .map(|_| stalled(files.clone(), "/one/", ""))
        .collect();
    for wire in &mut clients {
        let answer = resume(wire);
        let (page, whole) = unchunked(&answer.body);
        assert!(!whole && !page.contains("</ul>"), "{page}");
        assert!(wire.failure().is_some(), "reported");
        assert_eq!(wire.verdict, "Close");
    }
    drop(clients);
    let files = tree.files().max_listing_memory(100_000);
    let mut wire = stalled(files, "/one/", "");
    let (page, whole) = unchunked(&resume(&mut wire).body);
    assert_eq!((links(&page).len(), whole), (3000, true));
}

/// STATIC-13: every name in a listing can be asked for by its link.
#[test]
fn every_name_can_be_listed_and_fetched() {
    let tree = Tree::new();
    let mut names: Vec<Vec<u8>> = (1..=255_u8)
        .filter(|&byte| byte != b'/')
        .map(|byte| [b"n", &[byte][..], b"m"].concat())
        .collect();
    names.extend([
        b"\xff\xfe".to_vec(),
        b"\xed\xa0\x80".to_vec(),
        b"\xc3".to_vec(),
        "\u{1f600} \u{e9}".into(),
        b"%41".to_vec(),
        b"&amp;".to_vec(),
        b"?q#f".to_vec(),
        b"javascript:x".to_vec(),
        b"...".to_vec(),
    ]);
    for name in &names {
        tree.write(OsStr::from_bytes(name), name);
    }
    let page = tree.get("/");
    let page = String::from_utf8(page.body).expect("the page is UTF-8");
    let links = page.lines().filter_map(|line| {
        let link = line.strip_prefix("<li><a href=\"")?;
        link.split('"').next()
    });
    let mut fetched: Vec<Vec<u8>> = Vec::new();
    for link in links {
        let answer = tree.get(&format!("/{link}"));
        assert_eq!(answer.status, 200, "{link}");
        fetched.push(answer.body);
    }
    fetched.sort();
    names.sort();
    assert_eq!(fetched, names);
}

/// RFC 9110 §12.5.3: a compressed neighbour for those who take it.
#[test]
fn precompressed_files() {
    let tree = Tree::usual();
    // All alike in time and size, so that nothing but the coding tells their tags apart.
    for (name, content) in [
        ("x.js", "plain"),
        ("x.js.br", "small"),
        ("x.js.gz", "zippy"),
        ("y.js", "plain"),
        ("y.js.gz", "zippy"),
        ("stale.js", "plain"),
        ("stale.js.gz", "zippy"),
        ("link.js", "plain"),
        ("directory.js", "plain"),
        ("directory.js.gz/x", ""),
        ("lone.js.gz", "zippy"),
        ("index/index.html.gz", "zippy"),
    ] {
        tree.write(name, content);
    }
    tree.link("link.js.gz", "../outside.txt");
    let before = UNIX_EPOCH + MODIFIED - Duration::from_nanos(1);
    set_modified(&tree.path("stale.js.gz"), before);
    let files = tree.files().precompressed(true);
    let cases = [
        ("/x.js", "gzip, deflate, br", "small", Some("br")),
        ("/x.js", "gzip", "zippy", Some("gzip")),
        ("/x.js", "br;q=0.5, gzip", "zippy", Some("gzip")),
        ("/x.js", "identity", "plain", None),
        ("/x.js", "deflate", "plain", None),
        ("/x.js", "*;q=0", "plain", None),
        ("/y.js", "br, gzip;q=0.1", "zippy", Some("gzip")),
        ("/y.js", "br", "plain", None),
        ("/stale.js", "gzip", "plain", None),
        ("/link.js", "gzip", "plain", None),
        ("/directory.js", "gzip", "plain", None),
        ("/index/", "gzip", "zippy", Some("gzip")),
        ("/a.txt", "gzip", "0123456789", None),
    ];
    for (target, accepted, content, coding) in cases {
        let answer = get(&files, target, &format!("Accept-Encoding: {accepted}\r\n"));
        let case = format!("{target} for {accepted}");
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, content),
            "{case}"
        );
        assert_eq!(answer.field("content-encoding"), coding, "{case}");
        assert_eq!(answer.field("vary"), Some("Accept-Encoding"), "{case}");
        let plain = get(&files, target, "");
        assert_eq!(
            answer.field("content-type"),
            plain.field("content-type"),
            "{case}"
        );
        let same_tag = answer.field("etag") == plain.field("etag");
        assert_eq!(same_tag, coding.is_none(), "{case}");
    }
    assert_eq!(
        get(&files, "/lone.js", "Accept-Encoding: gzip\r\n").status,
        404
    );
    let lone = get(&files, "/lone.js.gz", "Accept-Encoding: gzip\r\n");
    assert_eq!(lone.field("content-encoding"), None);
    // Ranges and conditions are those of the variant.
    let answer = get(
        &files,
        "/x.js",
        "Accept-Encoding: br\r\nRange: bytes=0-1\r\n",
    );
    assert_eq!((answer.status, answer.text().as_str()), (206, "sm"));
    let etag = answer.field("etag").expect("a tag").to_owned();
    for (accepted, status) in [("br", 304), ("gzip", 200), ("identity", 200)] {
        let fields = format!("Accept-Encoding: {accepted}\r\nIf-None-Match: {etag}\r\n");
        let answer = get(&files, "/x.js", &fields);
        assert_eq!(answer.status, status, "{accepted}");
        assert_eq!(answer.field("vary"), Some("Accept-Encoding"), "{accepted}");
    }
    // Not unless asked for.
    let answer = get(&tree.files(), "/x.js", "Accept-Encoding: gzip\r\n");
    assert_eq!(
        (answer.text().as_str(), answer.field("vary")),
        ("plain", None)
    );
}

/// HTTP-24: requests behind each other, some for parts.
#[test]
fn pipelined_requests() {
    let tree = Tree::usual();
    tree.write("large", pattern(200_000));
    let requests = [
        request("GET", "/a.txt", "Range: bytes=0-1\r\n"),
        request("HEAD", "/large", ""),
        request("GET", "/large", ""),
        request("GET", "/a.txt", "Range: bytes=0-0,9-9\r\n"),
        request("GET", "/a.txt", "Range: bytes=20-\r\n"),
        request("GET", "/a.txt", "If-None-Match: *\r\n"),
        request("GET", "/d", ""),
        request("GET", "/a.txt", "Range: bytes=-2\r\n"),
    ];
    let mut wire = Wire::new(tree.files());
    wire.receive(requests.concat());
    let mut rest = std::mem::take(&mut wire.sent);
    let expected = [
        (206, "01".into()),
        (200, String::new()),
        (200, text(&pattern(200_000))),
        (206, "".into()),
        (416, "".into()),
        (304, "".into()),
        (301, "".into()),
        (206, "89".into()),
    ];
    for (request, (status, content)) in requests.iter().zip(expected) {
        let mut answer = Answer::parse(&rest);
        let length: usize = match (status, request.starts_with("HEAD")) {
            (304, _) | (_, true) => 0,
            _ => answer
                .field("content-length")
                .expect("a length")
                .parse()
                .expect("digits"),
        };
        rest = answer.body.split_off(length);
        assert_eq!(answer.status, status, "{request}");
        if answer
            .field("content-type")
            .is_none_or(|kind| !kind.starts_with("multipart"))
        {
            assert_eq!(answer.text(), content, "{request}");
        }
    }
    assert_eq!(text(&rest), "");
    assert_eq!((wire.verdict, wire.failure()), ("Read", None));
}

/// A handler with files below a prefix.
#[test]
fn files_below_a_prefix() {
    let tree = Tree::usual();
    let files = tree.files();
    let handler = move |request: &Request<'_>, response: Response<'_>| -> HttpResult {
        match request.path().strip_prefix("/static") {
            Some(path) => files.serve(path, request, response),
            None => response.send_error(403),
        }
    };
    let cases = [
        ("/static/a.txt", 200, None),
        ("/static", 301, Some("/static/")),
        ("/static/", 200, None),
        ("/static/d", 301, Some("/static/d/")),
        ("/static/../outside.txt", 404, None),
        ("/static/../../outside.txt", 404, None),
        ("/a.txt", 403, None),
    ];
    for (target, status, location) in cases {
        let mut wire = Wire::new(handler.clone());
        wire.receive(request("GET", target, ""));
        let answer = Answer::parse(&wire.sent);
        assert_eq!(
            (answer.status, answer.field("location")),
            (status, location),
            "{target}"
        );
    }
}

/// Over sockets: on the loop, and on workers, with clients that do not read.
#[test]
fn many_clients() {
    let tree = Tree::usual();
    let content = pattern(3_000_000);
    tree.write("large", &content);
    let files = tree.files();
    let pooled = Pooled::new(files.clone(), Pool::new().threads(2));
    let servers = [
        serve(move || Evented::new(Http::new(files, HttpSettings::default()))),
        serve(move || Evented::new(Http::new(pooled, HttpSettings::default()))),
    ];
    for (number, server) in servers.iter().enumerate() {
        let mut slow: Vec<Client> = (0..8).map(|_| server.connect()).collect();
        for client in &mut slow {
            client.send(request("GET", "/large", "Connection: close\r\n"));
        }
        // They hold neither the loop nor the workers.
        for _ in 0..20 {
            let mut client = server.connect();
            let fields = "Range: bytes=1000000-1999999\r\nConnection: close\r\n";
            client.send(request("GET", "/large", fields));
            let answer = Answer::parse(&client.rest());
            let expected = &content[1_000_000..2_000_000];
            assert_eq!(
                (answer.status, answer.text()),
                (206, text(expected)),
                "server {number}"
            );
        }
        for mut client in slow {
            let answer = Answer::parse(&client.rest());
            assert_eq!(answer.text(), text(&content), "server {number}");
        }
        let mut client = server.connect();
        client.send(request("GET", "/missing", "Connection: close\r\n"));
        assert_eq!(Answer::parse(&client.rest()).status, 404, "server {number}");
    }
}
