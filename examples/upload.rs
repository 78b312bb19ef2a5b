//! Stores files of any size with PUT, and sends them back with GET.
//!
//! An upload is written to disk as it arrives, and is never held in memory. The server reads no faster
//! than it writes. The file gets its name when it is complete, so nobody ever sees half a file. An
//! upload with a bad name or a too large announced size is refused before it is sent.
//!
//!     cargo run --release --example upload -- 127.0.0.1:8000 .
//!
//! The last argument is the directory. From another terminal in another directory:
//!
//!     curl -T film.mkv http://127.0.0.1:8000/film.mkv
//!     curl -O http://127.0.0.1:8000/film.mkv
//!
//! Ctrl-C stops it. A local disk is fast enough to write on the loop. For a slow one,
//! `Response::offload` does the same on a `Pool`.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serve_forever::http::{
    BodyPolicy, FromRead, HttpRequestHandler, HttpResult, HttpServer, Request, Response,
    translate_path,
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

    fn not_allowed(response: Response<'_>) -> HttpResult {
        let head = response.send_response(405);
        head.send_header("Allow", "GET, HEAD, PUT").body("")
    }
}

impl HttpRequestHandler for Store {
    fn body_policy(&mut self, request: &Request<'_>) -> BodyPolicy {
        match request.method() {
            "PUT" if self.locate_new(request).is_none() => BodyPolicy::refused(409),
            "PUT" => BodyPolicy::streamed().limit(self.limit),
            // No other response depends on a body, so the client need not send it.
            _ => BodyPolicy::streamed(),
        }
    }

    fn do_put(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        // Check again: `body_policy` is not called for an empty file.
        let Some(path) = self.locate_new(request) else {
            return response.send_error(409);
        };
        let partial = Partial::create(&self.root)?;
        response.receive_into(partial, move |partial, response| {
            let code = if path.exists() { 204 } else { 201 };
            partial.keep_as(&path)?;
            response.send_response(code).body("")
        })
    }

    fn do_get(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        // Check that it is a file before opening it: opening a FIFO would wait for a writer.
        let found = self.locate(request);
        let Some(path) = found.filter(|path| path.is_file()) else {
            return response.send_error(404);
        };
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        response
            .send_response(200)
            .send_header("Content-Type", "application/octet-stream")
            .send_header("Content-Length", length.to_string())
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

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or("127.0.0.1:8000".into());
    let root = PathBuf::from(arguments.next().unwrap_or(".".into()));
    let limit = arguments.next().map_or(Ok(LIMIT), |limit| limit.parse())?;
    let store = Store {
        root: root.into(),
        limit,
    };
    let mut server = HttpServer::bind(address, store)?;
    server.shutdown_on_signals()?;
    println!("Serving on http://{}/", server.server_address());
    Ok(server.serve_forever()?)
}
