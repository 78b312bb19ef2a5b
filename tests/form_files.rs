//! Forms whose files are stored as they arrive (`Response::receive_form`).
#![cfg(feature = "server")]

mod support;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serve_forever::http::testing::Client;
use serve_forever::http::{
    BodyPolicy, HttpRequestHandler, HttpResult, HttpSettings, MultipartLimits, Pooled, Request,
    Response,
};
use serve_forever::socketserver::Pool;
use support::wire::{Wire, status};

/// A directory for one test, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("serve_forever-forms-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a directory");
        Directory(path)
    }

    /// The names in it, sorted.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("the directory");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<String> = names
            .map(|name| name.into_string().expect("UTF-8"))
            .collect();
        names.sort();
        names
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.join(name)).expect(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Keeps each file whose field is called `keep`, and tells what it has got.
#[derive(Clone)]
struct Inbox {
    directory: Arc<Path>,
    limits: MultipartLimits,
}

impl Inbox {
    fn new(directory: &Directory) -> Inbox {
        Inbox {
            directory: directory.0.as_path().into(),
            limits: MultipartLimits::default(),
        }
    }
}

impl HttpRequestHandler for Inbox {
    fn body_policy(&mut self, _: &Request<'_>) -> BodyPolicy {
        BodyPolicy::streamed()
    }

    fn do_post(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        let form = match request.multipart() {
            Ok(form) => form.limits(self.limits.clone()),
            Err(error) => return response.send_error(error.status()),
        };
        let directory = Arc::clone(&self.directory);
        response.receive_form(form, &self.directory, move |form, response| {
            let mut told = format!("{:?} {:?}\n", form.field("note"), form.fields);
            for file in form.files {
                let kind = file.content_type().unwrap_or("none");
                let (field, name, size) = (file.name(), file.filename(), file.size());
                told += &format!("{field} {name:?} {kind} {size}\n");
                assert_eq!(fs::metadata(file.path())?.len(), size);
                let Some(safe) = file.safe_name() else {
                    return response.send_error(400);
                };
                match field {
                    "keep" => match file.keep_as(directory.join(safe)) {
                        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                            return response.send_error(409);
                        }
                        kept => kept?,
                    },
                    _ => drop(file),
                }
            }
            response.send_response(201).body(told)
        })
    }
}

const TYPE: &str = "Content-Type: multipart/form-data; boundary=xyz\r\n";

fn field(name: &str, value: &str) -> String {
    format!("--xyz\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

fn file(name: &str, filename: &str, content: &str) -> String {
    format!(
        "--xyz\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{filename}\"\r\n\
         Content-Type: text/x-odd\r\n\r\n{content}\r\n"
    )
}

/// Sends a form in pieces of this size to a connection, and returns it.
fn post(settings: HttpSettings, handler: Inbox, body: &str, size: usize) -> Wire {
    let mut wire = Wire::with(settings, handler);
    let length = body.len();
    wire.receive(format!(
        "POST / HTTP/1.1\r\nHost: h\r\n{TYPE}Content-Length: {length}\r\n\r\n"
    ));
    for piece in body.as_bytes().chunks(size) {
        match wire.reads() && wire.sent.is_empty() {
            true => wire.receive(piece),
            false => break, // it is refused
        }
    }
    wire
}

fn body_of(sent: &str) -> &str {
    sent.split_once("\r\n\r\n").expect("a head").1
}

/// FORM-6: the fields are in memory, the files are in the directory, and only what is kept stays.
#[test]
fn a_form_is_stored_as_it_arrives() {
    let directory = Directory::new();
    let content = "a\r\n--xy\r\n-".repeat(1000);
    let form = field("note", "h\u{e9}llo")
        + &file("keep", "../up.txt", &content)
        + &file("other", "b", "not kept")
        + &file("none", "", "")
        + &field("note", "")
        + "--xyz--\r\n";
    let told = "Some(\"h\u{e9}llo\") [(\"note\", \"h\u{e9}llo\"), (\"note\", \"\")]\n\
                keep \"../up.txt\" text/x-odd 10000\nother \"b\" text/x-odd 8\n";
    for size in [1, 7, 4096, form.len()] {
        let mut wire = post(HttpSettings::default(), Inbox::new(&directory), &form, size);
        let sent = wire.sent();
        assert_eq!((status(&sent), wire.verdict), (201, "Read"), "{sent}");
        assert_eq!(body_of(&sent), told);
        assert_eq!(wire.failure(), None);
        assert_eq!(directory.names(), ["up.txt"], "{size}");
        assert_eq!(directory.read("up.txt"), content.as_bytes());
        fs::remove_file(directory.0.join("up.txt")).expect("it is there");
    }
    // On a worker, which reads the body by itself.
    let pooled = Pooled::new(Inbox::new(&directory), Pool::new().threads(1));
    let client = Client::new(pooled);
    let head = ("Content-Type", "multipart/form-data; boundary=xyz");
    let response = client
        .request("POST", "/")
        .header(head.0, head.1)
        .body(form)
        .send();
    assert_eq!((response.code(), &*response.text()), (201, told));
    assert_eq!(directory.names(), ["up.txt"]);
}

/// FORM-6: a file that is there is never replaced.
#[test]
fn a_name_is_taken_once() {
    let directory = Directory::new();
    fs::write(directory.0.join("a.txt"), "first").expect("a file");
    let form = file("keep", "a.txt", "second") + "--xyz--";
    let mut wire = post(HttpSettings::default(), Inbox::new(&directory), &form, 64);
    assert_eq!(status(&wire.sent()), 409);
    assert_eq!(directory.names(), ["a.txt"]);
    assert_eq!(directory.read("a.txt"), b"first");
}

/// FORM-6: `keep_files` keeps all files of a form, or none, and never touches one that was there.
#[test]
fn all_files_are_kept_or_none() {
    let directory = Directory::new();
    fs::write(directory.0.join("old"), "old").expect("a file");
    let path = directory.0.clone();
    let handler = move |request: &Request<'_>, response: Response<'_>| {
        let (form, directory) = (request.multipart()?, path.clone());
        response.receive_form(form, &path, move |mut form, response| {
            match form.keep_files(&directory) {
                Ok(paths) => {
                    assert!(form.files.is_empty());
                    let names: Vec<_> = paths.iter().filter_map(|path| path.file_name()).collect();
                    response.send_response(201).body(format!("{names:?}"))
                }
                Err(error) => {
                    let told = format!("{:?} {error}", error.kind());
                    response.send_response(409).body(told)
                }
            }
        })
    };
    let client = Client::new(handler);
    let send = |names: &[&str]| {
        let files: String = names.iter().map(|name| file("f", name, name)).collect();
        let request = client.request("POST", "/");
        let request = request.header("Content-Type", "multipart/form-data; boundary=xyz");
        let response = request.body(files + "--xyz--\r\n").send();
        response.text().into_owned()
    };
    let exists = |name| format!("AlreadyExists There is a file called {name}");
    assert_eq!(send(&["a", "old", "b"]), exists("old"));
    assert_eq!(send(&["a", "b", "a"]), exists("a"));
    let unusable = "InvalidInput A file has no usable name";
    assert_eq!(send(&["a", "..", "b"]), unusable);
    assert_eq!(directory.names(), ["old"]);
    assert_eq!(directory.read("old"), b"old");
    assert_eq!(send(&["b", "../a"]), "[\"b\", \"a\"]");
    assert_eq!(directory.names(), ["a", "b", "old"]);
    assert_eq!(directory.read("a"), b"../a");
}

/// FORM-6: a form that is refused, and one whose client disconnects, leave nothing behind.
#[test]
fn nothing_is_left_of_a_form_that_is_not_whole() {
    let directory = Directory::new();
    let files = file("keep", "a.txt", "first") + &file("keep", "b.txt", "second");
    let bad = "--xyz\r\nContent-Disposition: attachment\r\n\r\n";
    let mut limits = MultipartLimits::default();
    (limits.files, limits.texts) = (2, 800);
    let large = field("note", &"x".repeat(400));
    let cases = [
        (files.clone(), 400),
        (files.clone() + "--xyzz", 400),
        (files.clone() + bad, 400),
        (files.clone() + &file("keep", "c", ""), 413),
        (files.clone() + &large, 413),
        (files.repeat(2), 413),
        (field("", "").repeat(7), 413),
    ];
    for (form, code) in cases {
        for size in [1, 4096] {
            let mut handler = Inbox::new(&directory);
            handler.limits = limits.clone();
            // What is refused early leaves a part unread, and closes.
            let form = form.clone() + &"x".repeat(if code == 413 { 9 } else { 0 });
            let settings = HttpSettings::default();
            let mut wire = post(settings.clone(), handler, &form, size);
            let sent = wire.sent();
            assert_eq!(status(&sent), code, "{form}");
            let stats = settings.stats();
            let counted = (stats.bad_requests, stats.body_too_large);
            assert_eq!(counted, if code == 400 { (1, 0) } else { (0, 1) });
            assert_eq!(wire.failure(), None, "a client is not a failure");
            assert_eq!(directory.names(), [""; 0], "{form}");
        }
    }
    let mut wire = Wire::new(Inbox::new(&directory));
    wire.receive(format!(
        "POST / HTTP/1.1\r\nHost: h\r\n{TYPE}Content-Length: 9999\r\n\r\n{files}--xyz\r\n"
    ));
    assert_eq!(
        directory.names().len(),
        2,
        "they are there, and have no name"
    );
    assert!(
        directory
            .names()
            .iter()
            .all(|name| name.starts_with('.') && name.ends_with(".part"))
    );
    wire.connection_lost();
    drop(wire);
    assert_eq!(directory.names(), [""; 0]);
    let mut wire = Wire::new(Inbox::new(&directory));
    wire.receive("POST / HTTP/1.1\r\nHost: h\r\nContent-Type: a/b\r\nContent-Length: 2\r\n\r\nab");
    assert_eq!(status(&wire.sent()), 415);
}

/// FORM-6, design law 7: the texts of all forms have a limit together with other bodies.
#[test]
fn the_texts_of_forms_count_as_bodies() {
    let directory = Directory::new();
    let mut settings = HttpSettings::default();
    settings.limits.bodies = 1000;
    let kept = || settings.stats().body_bytes;
    let form = field("note", &"x".repeat(600));
    let begin = || {
        let mut wire = Wire::with(settings.clone(), Inbox::new(&directory));
        wire.receive(format!(
            "POST / HTTP/1.1\r\nHost: h\r\n{TYPE}Content-Length: 9999\r\n\r\n{form}"
        ));
        wire
    };
    let first = begin();
    assert_eq!(kept(), 600 + 128 + "note".len());
    let mut second = begin();
    let sent = second.sent();
    assert_eq!(status(&sent), 503, "{sent}");
    assert!(sent.contains("\r\nRetry-After: "), "{sent}");
    drop(first);
    assert_eq!(kept(), 0);
}
