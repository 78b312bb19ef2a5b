//! The files of a directory: Python's `SimpleHTTPRequestHandler`.
//!
//! The path of a request is [translated](super::translate_path) to names below the root. `site` tells
//! what the path means; `root` finds the file or directory and opens it, never outside of the root. For
//! a directory the response is a `redirect`, its index page or a `listing`. `file_sender` responds with
//! a file: `coding` chooses the variant, `preconditions` decides whether it is sent, and `ranges`
//! decides which bytes. `content` reads them, long ranges in `blocks`, as fast as the client takes them.

mod blocks;
mod coding;
mod content;
mod content_types;
mod file_sender;
mod listing;
mod listings;
mod names;
mod open_files;
mod preconditions;
mod ranges;
mod redirect;
mod root;
mod site;

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use self::content_types::{ContentTypes, NOSNIFF};
use self::file_sender::FileSender;
use self::listing::Page;
use self::listings::Listings;
use self::redirect::redirect;
use self::root::Root;
use self::root::found::Directory;
use self::site::{End, Site, Target, may_succeed_later};
use super::body_policy::BodyPolicy;
use super::handler::HttpRequestHandler;
use super::path::translate_path;
use super::request::Request;
use super::response::{HttpResult, Response};
use super::status::explanation;

/// The index pages of a directory by default ([STATIC-7]).
///
/// [STATIC-7]: crate::spec#static-7
const INDEX_PAGES: [&str; 2] = ["index.html", "index.htm"];

/// How many ranges one request may ask for by default. Document viewers ask for far fewer; the attack
/// on Apache, CVE-2011-3192, asked for far more (RFC 9110 §14.2). Apache allows 200.
const MAX_RANGES: usize = 16;

/// How many small files stay open by default: few, compared with the 1024 descriptors that a process
/// usually may have.
const MAX_OPEN_FILES: usize = 64;

/// How many bytes the names of large directories may take by default: enough for half a million
/// names of 16 bytes.
const MAX_LISTING_MEMORY: usize = 16 * 1024 * 1024;

/// Serves the files below a directory in response to GET and HEAD; Python's `SimpleHTTPRequestHandler`.
///
/// ```
/// use serve_forever::http::{HttpServer, SimpleHttpRequestHandler};
///
/// let files = SimpleHttpRequestHandler::new("/srv/www").content_type(".gpx", "application/gpx+xml");
/// let server = HttpServer::bind("127.0.0.1:0", files)?;
/// # let _ = server;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Index pages, listings, redirects, types and dates are as in Python ([STATIC-1] to [STATIC-14]).
/// In addition there are entity tags with all conditional fields (RFC 9110 §13), ranges (§14) and
/// precompressed files, and OPTIONS gets the methods. Clones share the settings, so a clone is cheap.
///
/// # On the loop, or on workers
///
/// A file is read in blocks of at most 128 KiB. The next block is read when the client has taken the
/// one before, so no file is ever whole in memory. Up to 1 MiB of this memory is kept for later
/// responses. A listing is made in the same way, but the names in the directory are
/// [kept](Self::max_listing_memory) until it is sent. Files are read on the thread of the handler. From
/// the page cache this takes microseconds. From a slow disk or a network file system it may take long,
/// and meanwhile the loop serves nobody. A [`Pool`](crate::socketserver::Pool) reads
/// all blocks on other threads:
///
/// ```
/// use serve_forever::http::{HttpServer, Pooled, SimpleHttpRequestHandler};
/// use serve_forever::socketserver::Pool;
///
/// let files = SimpleHttpRequestHandler::new("/mnt/archive");
/// let server = HttpServer::bind("127.0.0.1:0", Pooled::new(files, Pool::new().threads(4)))?;
/// # let _ = server;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # What clients can reach
///
/// Clients can reach every file below the root. `..` never leads above the root, however it is
/// written. A symbolic link that leads out of the root gets status 404 ([STATIC-4]), unless you
/// [follow](Self::follow_symlinks) such links. Only regular files are opened, never a FIFO, a
/// device or a socket ([STATIC-9]). Hidden files are served as well. Keep secret files, and hard
/// links to them, outside of the root.
///
/// Somebody may change the tree *while* it is served. On Linux from 5.6 on, one system call resolves
/// the path, confines it to the root and opens the file, so this cannot be deceived. On other systems
/// the path is resolved before and after the file is opened. Somebody who changes a directory on the path
/// into a link and back, several times just then, can deceive that check. On Windows, it is enough to
/// change the file itself twice. A FIFO is never waited for.
///
/// An absolute link, or a link with `..`, may lead out of the root on its way and end inside. Such a
/// file is served. It costs a few system calls more, and on Linux it needs `/proc`.
///
/// The root itself may be a link that you replace to publish a new version. A request finds
/// everything in one version.
///
/// # Validators
///
/// The entity tag consists of the modification time, in nanoseconds, and the size. It is a strong tag:
/// it promises that two files with the same tag have the same bytes. Two things break this promise. A
/// file is replaced by another of the same size within one tick of the file system's clock. Or its
/// modification time is set back on purpose.
///
/// A file may change while it is sent, but the response keeps its announced length. If the file has
/// grown, the new bytes are not sent. If it has shrunk, the connection is closed early, which tells
/// the client that bytes are missing.
///
/// [STATIC-1]: crate::spec#static-1
/// [STATIC-4]: crate::spec#static-4
/// [STATIC-9]: crate::spec#static-9
/// [STATIC-14]: crate::spec#static-14
#[derive(Debug, Clone)]
pub struct SimpleHttpRequestHandler(Arc<Settings>);

/// The settings, which all clones share.
#[derive(Debug, Clone)]
struct Settings {
    /// The directory that is served.
    site: Site,
    /// Whether a directory without an index page is listed.
    list_directories: bool,
    /// Responds with files.
    files: FileSender,
    /// How much memory the names of large directories may take, all together.
    max_listing_memory: usize,
    /// The large directories whose listings are being sent.
    listings: Arc<Listings>,
}

impl SimpleHttpRequestHandler {
    /// Serves the files below `directory`.
    ///
    /// A relative path is resolved now, against the current directory ([STATIC-1]). The directory
    /// need not exist yet, and it may be a link that changes later.
    ///
    /// [STATIC-1]: crate::spec#static-1
    pub fn new(directory: impl AsRef<Path>) -> SimpleHttpRequestHandler {
        let directory = directory.as_ref();
        // This fails for an empty path, or if there is no working directory: no file will be found.
        let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
        SimpleHttpRequestHandler(Arc::new(Settings {
            site: Site {
                root: Root::new(absolute),
                index_pages: INDEX_PAGES.map(OsString::from).to_vec(),
                open_files: Arc::default(),
                max_open_files: MAX_OPEN_FILES,
            },
            list_directories: true,
            files: FileSender {
                content_types: ContentTypes::default(),
                precompressed: false,
                max_ranges: MAX_RANGES,
                spare: Arc::default(),
            },
            max_listing_memory: MAX_LISTING_MEMORY,
            listings: Arc::default(),
        }))
    }

    /// Sets the names of index pages. The first that exists is sent in place of a listing. By
    /// default these are `index.html`, then `index.htm` ([STATIC-7]).
    ///
    /// [STATIC-7]: crate::spec#static-7
    #[must_use]
    pub fn index_pages<P: Into<OsString>>(self, pages: impl IntoIterator<Item = P>) -> Self {
        let pages = pages.into_iter().map(Into::into).collect();
        self.set(|settings| settings.site.index_pages = pages)
    }

    /// Sets whether a directory without an index page is listed. By default it is. If not, the
    /// response is a 404, as for a directory that cannot be read ([STATIC-14]).
    ///
    /// [STATIC-14]: crate::spec#static-14
    #[must_use]
    pub fn list_directories(self, list: bool) -> Self {
        self.set(|settings| settings.list_directories = list)
    }

    /// Sets whether symbolic links may lead out of the root. By default they may not; in Python
    /// they may ([STATIC-4]). Links that stay below the root are always followed.
    ///
    /// [STATIC-4]: crate::spec#static-4
    #[must_use]
    pub fn follow_symlinks(self, follow: bool) -> Self {
        self.set(|settings| settings.site.root.follow_symlinks = follow)
    }

    /// Sets whether `x.js.br` or `x.js.gz` is sent in place of `x.js` to clients that accept it (RFC
    /// 9110 §12.5.3). By default it is not, because a file with such a name may be something else.
    ///
    /// A compressed file that is older than the plain one is not used: it is out of date.
    #[must_use]
    pub fn precompressed(self, precompressed: bool) -> Self {
        self.set(|settings| settings.files.precompressed = precompressed)
    }

    /// Sets how many ranges one request may ask for. The default is 16, and 0 turns ranges off. A
    /// request with more ranges gets the whole file. So does a request whose ranges together are
    /// longer than the file (RFC 9110 §14.2).
    #[must_use]
    pub fn max_ranges(self, max_ranges: usize) -> Self {
        self.set(|settings| settings.files.max_ranges = max_ranges)
    }

    /// Sets how many bytes the names of large directories may take while their listings are sent, all
    /// together. The default is 16 MiB, which is enough for half a million names.
    ///
    /// A listing of up to 511 names is made at once. For a longer one the names are read and sorted
    /// in small steps, and the page is made as the client takes it. Clients that ask for the same
    /// directory share the names, unless it has changed in the last two seconds. If there is no
    /// room for another directory, the response is a 503. If the room is used up while a directory
    /// is read, its listing is broken off ([STATIC-12]).
    ///
    /// [STATIC-12]: crate::spec#static-12
    #[must_use]
    pub fn max_listing_memory(self, bytes: usize) -> Self {
        self.set(|settings| settings.max_listing_memory = bytes)
    }

    /// Sets how many small files, of up to 128 KiB, stay open for the next request. The default is 64, and
    /// 0 turns this off ([STATIC-15]). Files stay open on Unix only.
    ///
    /// A request for such a file asks the system whether the path still leads to it, and whether it is
    /// unchanged: one system call in the place of six. So clients never get an old file. But for up to
    /// a second they get a file although a *directory* on its path has been closed to the server, or is
    /// now a link that leads out of the root to the same file.
    ///
    /// A file that stays open keeps its file system busy, so that it cannot be unmounted. It is closed
    /// when another file is opened a second later or more. If a file cannot be opened because
    /// descriptors are short, all are closed. The first of the [index pages](Self::index_pages) stays open
    /// for requests of its directory. With [`precompressed`](Self::precompressed), no file stays open.
    ///
    /// [STATIC-15]: crate::spec#static-15
    #[must_use]
    pub fn max_open_files(self, files: usize) -> Self {
        self.set(|settings| settings.site.max_open_files = files)
    }

    /// Sets the `Content-Type` of files whose names end in `suffix`, such as `.txt`; Python's
    /// `extensions_map` ([STATIC-11]).
    ///
    /// A suffix is looked up first in what you set here, and then in a built-in table. If it is in
    /// neither, it is looked up again in lower case. No file of the system is read. A type has no
    /// charset unless you give it one here.
    ///
    /// [STATIC-11]: crate::spec#static-11
    #[must_use]
    pub fn content_type(self, suffix: &str, content_type: &str) -> Self {
        self.set(|settings| settings.files.content_types.insert(suffix, content_type))
    }

    /// Returns the content type of a file, guessed from its name; Python's `guess_type`
    /// ([STATIC-11]).
    ///
    /// ```
    /// use std::path::Path;
    /// use serve_forever::http::SimpleHttpRequestHandler;
    ///
    /// let files = SimpleHttpRequestHandler::new(".");
    /// assert_eq!(files.guess_type(Path::new("a/b.HTML")), "text/html");
    /// assert_eq!(files.guess_type(Path::new("a/.html")), "application/octet-stream");
    /// ```
    ///
    /// [STATIC-11]: crate::spec#static-11
    pub fn guess_type(&self, path: &Path) -> &str {
        self.0.files.content_types.guess(path)
    }

    /// Responds to a GET or HEAD with the file or directory at `path`.
    ///
    /// `path` is the path of a URL, but need not be that of the request. Use it, for example, in a
    /// handler that serves files below a prefix.
    ///
    /// ```
    /// use serve_forever::http::{HttpResult, Request, Response, SimpleHttpRequestHandler};
    ///
    /// fn route(
    ///     files: &SimpleHttpRequestHandler,
    ///     request: &Request<'_>,
    ///     response: Response<'_>,
    /// ) -> HttpResult {
    ///     match (request.method(), request.path().strip_prefix("/static/")) {
    ///         ("GET" | "HEAD", Some(path)) => files.serve(path, request, response),
    ///         _ => response.send_error(404),
    ///     }
    /// }
    /// # let _ = route;
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if the file could be opened but cannot be read.
    pub fn serve(&self, path: &str, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        let Some(translated) = translate_path(path) else {
            return send_404("File not found", response);
        };
        let end = End::of(path, &translated, request);
        let now = response.now().instant();
        let Settings { site, files, .. } = &*self.0;
        // A compressed variant has to be looked for beside the file, in the same tree.
        let stays_open = !files.precompressed;
        if let (true, Some(file)) = (stays_open, site.open_file(&translated.path, end, now)) {
            return files.send(None, file, request, response);
        }
        match site.find(&translated.path, end) {
            Ok((tree, Target::File(file))) => {
                if stays_open {
                    site.keep_open(&file, now);
                }
                files.send(Some(&tree), file, request, response)
            }
            Ok((_, Target::Directory(found))) => self.0.list_directory(found, request, response),
            Ok((_, Target::WithoutSlash)) => redirect(request, response),
            Err(error) => refuse(error, "File not found", response),
        }
    }

    fn set(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        let settings = Arc::make_mut(&mut self.0);
        // What is open may not be allowed with these settings.
        settings.site.open_files = Arc::default();
        set(settings);
        self
    }
}

impl HttpRequestHandler for SimpleHttpRequestHandler {
    /// Responds without the body, because no response depends on it. So a client that waits for `100
    /// Continue` gets the final status instead, for example 501 for a POST ([HTTP-26]).
    ///
    /// [HTTP-26]: crate::spec#http-26
    fn body_policy(&mut self, _request: &Request<'_>) -> BodyPolicy {
        BodyPolicy::streamed()
    }

    fn do_get(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        self.serve(request.path(), request, response)
    }

    /// Tells which methods there are, without a look at the files. Load balancers ask this to find
    /// out whether a server is up ([STATIC-1]).
    ///
    /// [STATIC-1]: crate::spec#static-1
    fn do_options(&mut self, _: &Request<'_>, response: Response<'_>) -> HttpResult {
        response
            .send_response(204)
            .send_header("Allow", "GET, HEAD, OPTIONS")
            .body("")
    }
}

impl Settings {
    fn list_directory(
        &self,
        directory: Directory,
        request: &Request<'_>,
        response: Response<'_>,
    ) -> HttpResult {
        let now = response.now().wall();
        let names = match self.list_directories {
            true => self.listings.open(directory, self.max_listing_memory, now),
            false => Err(ErrorKind::PermissionDenied.into()),
        };
        let names = match names {
            Ok(names) => names,
            // STATIC-14
            Err(error) => return refuse(error, "No permission to list directory", response),
        };
        let mut page = Page::new(request.path(), names);
        let whole = page.whole()?;
        let head = response
            .send_response(200)
            .send_header("Content-Type", "text/html; charset=utf-8")
            .send_header(NOSNIFF.0, NOSNIFF.1);
        match whole {
            Some(page) => head.body(page),
            None => head.stream(page),
        }
    }
}

/// Responds with 404 if the file cannot be opened, or with 503 if it only cannot be opened now.
fn refuse(error: io::Error, reason: &str, response: Response<'_>) -> HttpResult {
    match may_succeed_later(&error) {
        false => send_404(reason, response),
        true => response
            .send_response(503)
            .send_retry_after()
            .send_header("Content-Length", "0")
            .with_failure(error.into())
            .body(""),
    }
}

fn send_404(reason: &str, response: Response<'_>) -> HttpResult {
    response.send_error_with(404, reason, explanation(404))
}
