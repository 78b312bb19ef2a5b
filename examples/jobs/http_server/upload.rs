//! Files that clients send, with PUT or with a form. They are written as they arrive, and get their names when they are
//! complete. So nobody ever sees half a file.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serve_forever::http::{BodyDeadlines, BodyPolicy, translate_path};
use serve_forever::{HttpResult, Request, Response};

/// How large a file may be: 16 GiB.
const LIMIT: u64 = 16 << 30;

/// The directory that takes the files.
#[derive(Debug, Clone)]
pub struct Uploads {
    root: Arc<Path>,
    /// Whether a symbolic link may lead out of the root.
    follow_symlinks: bool,
}

/// The page with the form.
const FORM: &str = "<!DOCTYPE html><meta charset=\"utf-8\"><title>Upload</title>\
    <form method=\"post\" action=\"?\" enctype=\"multipart/form-data\">\
    <input type=\"file\" name=\"files\" multiple required> <button>Upload</button></form>\n";

/// A file that is not complete. If it is dropped without a call of `keep_as`, it is removed.
struct Partial {
    file: File,
    path: PathBuf,
}

impl Uploads {
    pub fn new(root: &Path, follow_symlinks: bool) -> io::Result<Uploads> {
        Ok(Uploads {
            root: root.canonicalize()?.into(),
            follow_symlinks,
        })
    }

    /// How the body of a PUT or POST arrives, if it is taken at all.
    pub fn body_policy(&self, request: &Request<'_>) -> BodyPolicy {
        let accepted = match request.method() {
            "PUT" => self.accept(request).map(|_| ()),
            _ => self.folder(request).map(|_| ()).ok_or(409),
        };
        match accepted {
            Ok(()) => BodyPolicy::streamed().limit(LIMIT).deadlines(deadlines()),
            Err(code) => BodyPolicy::refused(code),
        }
    }

    /// Sends the form for a folder.
    pub fn show_form(&self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        if self.folder(request).is_none() {
            return response.send_error(404);
        }
        response
            .send_response(200)
            .send_header("Content-Type", "text/html; charset=utf-8")
            .send_header(
                "Content-Security-Policy",
                "default-src 'none'; form-action 'self'",
            )
            .body(FORM)
    }

    /// Stores the files of a form in a folder, and then shows the folder. No file is replaced.
    pub fn store_form(&self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        let Some(folder) = self.folder(request) else {
            return response.send_error(409);
        };
        let form = match request.multipart() {
            Ok(form) => form,
            Err(error) => return response.send_error(error.status()),
        };
        let location = request.path().to_owned();
        response.receive_form(form, folder.clone(), move |mut form, response| {
            let Err(error) = form.keep_files(folder) else {
                let head = response.send_response(303);
                return head.send_header("Location", location).body("");
            };
            match error.kind() {
                io::ErrorKind::InvalidInput => response.send_error(400),
                io::ErrorKind::AlreadyExists => response.send_error(409),
                _ => Err(error.into()),
            }
        })
    }

    /// Stores the body. On the loop, a local disk is fast enough; for a slow one there are threads.
    pub fn store(&self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        // Check again: `body_policy` is not called for an empty file.
        let path = match self.accept(request) {
            Ok(path) => path,
            Err(code) => return response.send_error(code),
        };
        let only_new = request.header("If-None-Match").is_some();
        let folder = path.parent().unwrap_or(&self.root);
        let partial = match Partial::create(folder) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return response.send_error(403);
            }
            partial => partial?,
        };
        response.receive_into(partial, move |partial, response| {
            let exists = path.exists();
            if exists && only_new {
                return response.send_error(412); // somebody was faster
            }
            partial.keep_as(&path)?;
            let code = if exists { 204 } else { 201 };
            response.send_response(code).body("")
        })
    }

    /// Returns where a file is stored, or the status with which it is refused.
    fn accept(&self, request: &Request<'_>) -> Result<PathBuf, u16> {
        // It is a part of a file, and must not replace the whole (RFC 9110 §14.5).
        if request.header("Content-Range").is_some() {
            return Err(400);
        }
        let path = self.locate(request).ok_or(409_u16)?;
        // A client that wants to replace nothing says so. Other conditions need tags that nobody
        // promises here, so they are not met (RFC 9110 §13.1).
        match (request.header("If-None-Match"), request.header("If-Match")) {
            (None, None) => Ok(path),
            (Some(b"*"), None) if !path.exists() => Ok(path),
            (None, Some(b"*")) if path.exists() => Ok(path),
            _ => Err(412),
        }
    }

    /// Returns the path of the file, if it can have one: its folder is there, below the root. Names
    /// that begin with a dot are for files that are not complete.
    fn locate(&self, request: &Request<'_>) -> Option<PathBuf> {
        let found = translate_path(request.path())?;
        let folder = self.resolve(found.path.parent()?)?;
        let name = found.path.file_name()?;
        let path = folder.join(name);
        let fits = !is_hidden(name) && !found.trailing_slash && !path.is_dir();
        fits.then_some(path)
    }

    /// Returns the folder that the request is for.
    fn folder(&self, request: &Request<'_>) -> Option<PathBuf> {
        let found = translate_path(request.path())?;
        let folder = self.resolve(&found.path)?;
        (found.trailing_slash && folder.is_dir()).then_some(folder)
    }

    /// Returns where a path below the root leads, if it does not lead out of the root.
    fn resolve(&self, path: &Path) -> Option<PathBuf> {
        let resolved = self.root.join(path).canonicalize().ok()?;
        let inside = self.follow_symlinks || resolved.starts_with(&self.root);
        (inside && !path.iter().any(is_hidden)).then_some(resolved)
    }
}

/// An upload may take a day, and not only 1 h: then 16 GiB need 200 kB a second.
fn deadlines() -> BodyDeadlines {
    let mut deadlines = BodyDeadlines::default();
    deadlines.total = Duration::from_secs(24 * 60 * 60);
    deadlines
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

impl Partial {
    /// Creates it where the file will be, because a file can only be renamed within one file system.
    fn create(folder: &Path) -> io::Result<Partial> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!(".{}-{number}.part", std::process::id()));
        let file = File::create_new(&path)?;
        Ok(Partial { file, path })
    }

    fn keep_as(self, path: &Path) -> io::Result<()> {
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
