//! Stores files of any size with PUT, and sends them back with GET.
//!
//! An upload is written to disk as it arrives, and is never held in memory. The server reads no faster
//! than it writes. The file gets its name when it is complete, so nobody ever sees half a file. An
//! upload is refused before it is sent if its name is bad or its announced size is too large.
//!
//! A client that wants to replace only what it has seen sends the `ETag` in `If-Match`. A client that
//! wants to replace nothing sends `If-None-Match: *`. If the condition is not met, it gets 412 and the
//! file stays.
//!
//!     cargo run --release --example upload -- 127.0.0.1:8000 .
//!
//! The last argument is the directory. From another terminal in another directory:
//!
//!     curl -T film.mkv http://127.0.0.1:8000/film.mkv
//!     curl -O http://127.0.0.1:8000/film.mkv
//!
//! It is safe if only those can reach it who may store files: it has no password. By default that is this
//! machine, and no page of another site (`AllowedHosts`). No name leads out of the directory, and a file has a limit.
//!
//! Ctrl-C stops it. A local disk is fast enough to write on the loop. For a slow one,
//! `Response::offload` does the same on a `Pool`.

use std::error::Error;
use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use serve_forever::http::{
    AllowedHosts, BodyDeadlines, BodyPolicy, FromRead, HttpRequestHandler, HttpResult, HttpServer,
    Request, Response, translate_path,
};

/// How large a file may be by default: 16 GiB. A third argument on the command line changes it.
const LIMIT: u64 = 16 << 30;

/// A file that is not complete. If it is dropped without a call of `keep_as`, it is removed.
struct Partial {
    file: File,
    path: PathBuf,
}

impl Partial {
    /// Creates it in the root, because a file can only be renamed within one file system.
    fn create(root: &Path) -> io::Result<Partial> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = root.join(format!(".{}-{number}.part", std::process::id()));
        let file = File::create_new(&path)?;
        Ok(Partial { file, path })
    }

    fn keep_as(self, path: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, path)
    }
}

impl Write for Partial {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Ignore the error: it means that the file has been renamed.
        let _ = fs::remove_file(&self.path);
    }
}

/// The version of a file, for `ETag`: when it was written, and its size. Each upload makes a new file.
fn entity_tag(metadata: &Metadata) -> String {
    let modified = metadata.modified().unwrap_or(UNIX_EPOCH);
    let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("\"{}-{}\"", since.as_nanos(), metadata.len())
}

/// The entity tag of the file at `path`, if there is one.
fn current_tag(path: &Path) -> Option<String> {
    let metadata = fs::metadata(path).ok().filter(Metadata::is_file)?;
    Some(entity_tag(&metadata))
}

/// What a client says about the version that it knows (RFC 9110 §13.1).
struct Conditions {
    /// The file must have one of these tags.
    if_match: Option<String>,
    /// The file must have none of these tags.
    if_none_match: Option<String>,
}

impl Conditions {
    fn of(request: &Request<'_>) -> Conditions {
        let list = |name| {
            let values: Vec<_> = request.headers().get_all(name).collect();
            let list = values.join(&b',');
            (!values.is_empty()).then(|| String::from_utf8_lossy(&list).into_owned())
        };
        Conditions {
            if_match: list("If-Match"),
            if_none_match: list("If-None-Match"),
        }
    }

    /// Whether the file may be changed, if this is its tag. `None`: there is no file.
    fn allow(&self, tag: Option<&str>) -> bool {
        self.is_wanted(tag) && !self.is_known(tag)
    }

    /// Whether the client asks for this version, or for any.
    fn is_wanted(&self, tag: Option<&str>) -> bool {
        self.if_match.as_deref().is_none_or(|list| has(list, tag))
    }

    /// Whether the client has this version. For a GET that is a 304, for a PUT a failure.
    fn is_known(&self, tag: Option<&str>) -> bool {
        let list = self.if_none_match.as_deref();
        // Here, a weak tag says the same as a strong one.
        list.is_some_and(|list| has(&list.replace("W/", ""), tag))
    }
}

/// Whether a tag is in a list. Our tags have no comma, so a part of the list is one of them, or is not.
fn has(list: &str, tag: Option<&str>) -> bool {
    let parts = list.split(',').map(str::trim);
    tag.is_some_and(|tag| parts.into_iter().any(|part| part == tag || part == "*"))
}

#[derive(Clone)]
struct Store {
    root: Arc<Path>,
    limit: u64,
}

impl Store {
    /// The file that a request is for. Names that begin with a dot are reserved for partial files.
    /// Symbolic links in the root are followed: the administrator made them.
    fn locate(&self, request: &Request<'_>) -> Option<PathBuf> {
        let found = translate_path(request.path())?;
        let mut names = found.path.iter();
        let hidden = names.any(|name| name.as_encoded_bytes().starts_with(b"."));
        let named = !found.trailing_slash && found.path.file_name().is_some();
        (named && !hidden).then(|| self.root.join(found.path))
    }

    /// The same, if a file can have this path: the path is not a directory, and its parent is one.
    fn locate_new(&self, request: &Request<'_>) -> Option<PathBuf> {
        let path = self.locate(request)?;
        let fits = !path.is_dir() && path.parent().is_some_and(Path::is_dir);
        fits.then_some(path)
    }

    /// Where an upload is stored, or the status with which it is refused.
    fn accept(&self, request: &Request<'_>) -> Result<PathBuf, u16> {
        // It is a part of a file, and must not replace the whole (RFC 9110 §14.5).
        if request.headers().get("Content-Range").is_some() {
            return Err(400);
        }
        let path = self.locate_new(request).ok_or(409_u16)?;
        let tag = current_tag(&path);
        match Conditions::of(request).allow(tag.as_deref()) {
            true => Ok(path),
            false => Err(412),
        }
    }

    fn not_allowed(response: Response<'_>) -> HttpResult {
        let head = response.send_response(405);
        head.send_header("Allow", "GET, HEAD, PUT").body("")
    }
}

impl HttpRequestHandler for Store {
    fn body_policy(&mut self, request: &Request<'_>) -> BodyPolicy {
        match (request.method(), self.accept(request)) {
            ("PUT", Ok(_)) => BodyPolicy::streamed()
                .limit(self.limit)
                .deadlines(deadlines()),
            ("PUT", Err(code)) => BodyPolicy::refused(code),
            // No other response depends on a body, so the client need not send it.
            _ => BodyPolicy::streamed(),
        }
    }

    fn do_put(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        // Check again: `body_policy` is not called for an empty file.
        let path = match self.accept(request) {
            Ok(path) => path,
            Err(code) => return response.send_error(code),
        };
        let conditions = Conditions::of(request);
        let partial = Partial::create(&self.root)?;
        response.receive_into(partial, move |partial, response| {
            // Another client may have stored this file while the upload arrived. All clients are
            // served by this thread, so nothing changes between this check and the end.
            let before = current_tag(&path);
            if !conditions.allow(before.as_deref()) {
                return response.send_error(412);
            }
            let tag = entity_tag(&partial.file.metadata()?);
            partial.keep_as(&path)?;
            let code = if before.is_some() { 204 } else { 201 };
            let head = response.send_response(code);
            head.send_header("ETag", tag).body("")
        })
    }

    fn do_get(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        // Check that it is a file before opening it: opening a FIFO would wait for a writer.
        let found = self.locate(request);
        let Some(path) = found.filter(|path| path.is_file()) else {
            return response.send_error(404);
        };
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let tag = entity_tag(&metadata);
        let conditions = Conditions::of(request);
        if !conditions.is_wanted(Some(&tag)) {
            return response.send_error(412);
        }
        if conditions.is_known(Some(&tag)) {
            let head = response.send_response(304);
            return head.send_header("ETag", tag).body("");
        }
        response
            .send_response(200)
            .send_header("Content-Type", "application/octet-stream")
            .send_header("X-Content-Type-Options", "nosniff")
            .send_header("Content-Length", metadata.len().to_string())
            .send_header("ETag", tag)
            .stream(FromRead::new(file))
    }

    fn do_post(&mut self, _: &Request<'_>, response: Response<'_>) -> HttpResult {
        Store::not_allowed(response)
    }

    fn do_patch(&mut self, _: &Request<'_>, response: Response<'_>) -> HttpResult {
        Store::not_allowed(response)
    }

    fn do_delete(&mut self, _: &Request<'_>, response: Response<'_>) -> HttpResult {
        Store::not_allowed(response)
    }
}

/// An upload may take a day, and not only 1 h: then 16 GiB need 200 kB a second.
fn deadlines() -> BodyDeadlines {
    let mut deadlines = BodyDeadlines::default();
    deadlines.total = Duration::from_secs(24 * 60 * 60);
    deadlines
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or("127.0.0.1:8000".into());
    let root = PathBuf::from(arguments.next().unwrap_or(".".into()));
    let limit = arguments.next().map_or(Ok(LIMIT), |limit| limit.parse())?;
    let store = Store {
        root: root.into(),
        limit,
    };
    let store = AllowedHosts::loopback(store).same_origin(true);
    let mut server = HttpServer::bind(address, store)?;
    server.shutdown_on_signals()?;
    println!("Serving on http://{}/", server.server_address());
    Ok(server.serve_forever()?)
}
