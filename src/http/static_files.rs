//! The files of a directory: Python's `SimpleHTTPRequestHandler`.
//!
//! The path of a request is [translated](super::translate_path) to names below the root; `root`
//! finds what is there and opens it, never outside. A directory is redirected to, shown by its
//! index page or listed. Of a file, `coding` chooses the variant, `preconditions` decide whether it
//! is sent at all, `ranges` which bytes of it, and `content` reads them block by block while the
//! client takes them.

mod coding;
mod content;
mod content_types;
mod listing;
mod preconditions;
mod ranges;
mod root;

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use self::coding::Coding;
use self::content::FileContent;
use self::content_types::ContentTypes;
use self::preconditions::{Validators, Verdict};
use self::ranges::{ByteRange, Selection};
use self::root::{Found, Root};
use super::{
    HttpRequestHandler, HttpResult, Request, Response, ResponseHead, explanation, translate_path,
};

/// The pages that stand for their directory unless told otherwise (STATIC-7).
const INDEX_PAGES: [&str; 2] = ["index.html", "index.htm"];

/// How many ranges a request may ask for at once: what a viewer of documents does is far below,
/// what CVE-2011-3192 did to Apache far above (RFC 9110 §14.2). Apache has 200 by default.
const MAX_RANGES: usize = 16;

/// Serves the files below a directory to GET and HEAD; Python's `SimpleHTTPRequestHandler`.
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
/// Index pages and listings, redirects, types and dates are as in Python (STATIC-1 to STATIC-14),
/// and beyond them there are entity tags with all the conditional fields (RFC 9110 §13), ranges
/// (§14) and files that were compressed beforehand. A clone shares the settings, and costs nothing.
///
/// # On the loop, or not
///
/// A file is read in blocks of 16 KiB, each when the client has taken the one before, so no file
/// is ever whole in memory. A directory listing is. Reading happens on the thread that the handler
/// runs on: from the page cache that takes microseconds, from a slow disk or a network file system
/// it may take long, and meanwhile the loop serves nobody. [`Workers`](super::Workers) move it off
/// the loop, the first block and all that follow:
///
/// ```
/// use serve_forever::http::{HttpServer, Pooled, SimpleHttpRequestHandler, Workers};
///
/// let files = SimpleHttpRequestHandler::new("/mnt/archive");
/// let server = HttpServer::bind("127.0.0.1:0", Pooled::new(files, Workers::new(4)?))?;
/// # let _ = server;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # What can be reached
///
/// What is below the root by its names: `..` never climbs above it, however it is written. A
/// symbolic link that leads out of it is answered with 404 (STATIC-4), unless links are
/// [followed](Self::follow_symlinks). Only regular files are opened: never a FIFO, a device or a
/// socket (STATIC-9). Hidden files are files; what must not be seen does not belong below the root,
/// and a hard link to it neither.
///
/// Somebody who can change the tree *while* it is served can race against that. A file is looked at
/// before it is opened, and what was opened is looked at again: Linux, if it has `/proc`, says
/// where the opened file really is, so that nothing outside is ever sent. Elsewhere the path is
/// resolved a second time, which two well-timed changes can deceive. And in any case, between look
/// and open a file can become a FIFO, whose opening waits for a writer, or a directory a link, so
/// that the names in a listing are those of a directory outside. Serve no tree to which people can
/// write whom you do not trust.
///
/// # Validators
///
/// The entity tag is made of the time of modification, to the nanosecond, and the size. It is
/// strong, so it promises that two files with the same tag have the same bytes: replacing a file
/// by one of the same size within one tick of the file system's clock, or setting its time back on
/// purpose, breaks the promise.
///
/// A file that changes while it is sent never makes the answer longer or shorter than announced:
/// if it has grown, the rest is not sent, and if it has shrunk, the connection is closed early,
/// which tells the client.
#[derive(Debug, Clone)]
pub struct SimpleHttpRequestHandler(Arc<Settings>);

#[derive(Debug, Clone)]
struct Settings {
    root: Root,
    index_pages: Vec<OsString>,
    list_directories: bool,
    precompressed: bool,
    max_ranges: usize,
    content_types: ContentTypes,
}

impl SimpleHttpRequestHandler {
    /// Serves what is below `directory`. A relative one is meant from the working directory of
    /// now (STATIC-1). It may come to be later, or be a link that is changed later.
    pub fn new(directory: impl AsRef<Path>) -> SimpleHttpRequestHandler {
        let directory = directory.as_ref();
        // Err: an empty path, or no working directory any more; there will be no files, either.
        let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
        SimpleHttpRequestHandler(Arc::new(Settings {
            root: Root::new(absolute),
            index_pages: INDEX_PAGES.map(OsString::from).to_vec(),
            list_directories: true,
            precompressed: false,
            max_ranges: MAX_RANGES,
            content_types: ContentTypes::default(),
        }))
    }

    /// Sets the pages that stand for their directory, the first that is there: `index.html`, then
    /// `index.htm` by default (STATIC-7).
    #[must_use]
    pub fn index_pages<P: Into<OsString>>(self, pages: impl IntoIterator<Item = P>) -> Self {
        let pages = pages.into_iter().map(Into::into).collect();
        self.set(|settings| settings.index_pages = pages)
    }

    /// Sets whether a directory without an index page is listed: yes by default. If not, it is
    /// answered as one that cannot be read (STATIC-14).
    #[must_use]
    pub fn list_directories(self, list: bool) -> Self {
        self.set(|settings| settings.list_directories = list)
    }

    /// Sets whether symbolic links are followed out of the root: no by default, other than in
    /// Python (STATIC-4). Those that stay below it always are.
    #[must_use]
    pub fn follow_symlinks(self, follow: bool) -> Self {
        self.set(|settings| settings.root.follow_symlinks = follow)
    }

    /// Sets whether `x.js.br` or `x.js.gz` is sent for `x.js` to clients that take it (RFC 9110
    /// §12.5.3): no by default, because such a neighbour may be something else altogether.
    ///
    /// One that is older than the file is not used: it was made of what the file was before.
    #[must_use]
    pub fn precompressed(self, precompressed: bool) -> Self {
        self.set(|settings| settings.precompressed = precompressed)
    }

    /// Sets how many ranges one request may ask for: 16 by default. One with more gets the whole
    /// file, and so does one whose ranges together are longer than it (RFC 9110 §14.2). With 0
    /// there are no ranges at all.
    #[must_use]
    pub fn max_ranges(self, max_ranges: usize) -> Self {
        self.set(|settings| settings.max_ranges = max_ranges)
    }

    /// Sets the `Content-Type` of files whose names end in `suffix`, such as `.txt`; Python's
    /// `extensions_map` (STATIC-11).
    ///
    /// The suffix of a name is looked up as it is, then in lower case, and then in a table that is
    /// built in; nothing of the system is read. A type has no charset unless it is given one here.
    #[must_use]
    pub fn content_type(self, suffix: &str, content_type: &str) -> Self {
        self.set(|settings| settings.content_types.insert(suffix, content_type))
    }

    /// The type of a file by its name; Python's `guess_type` (STATIC-11).
    ///
    /// ```
    /// use std::path::Path;
    /// use serve_forever::http::SimpleHttpRequestHandler;
    ///
    /// let files = SimpleHttpRequestHandler::new(".");
    /// assert_eq!(files.guess_type(Path::new("a/b.HTML")), "text/html");
    /// assert_eq!(files.guess_type(Path::new("a/.html")), "application/octet-stream");
    /// ```
    pub fn guess_type(&self, path: &Path) -> &str {
        self.0.content_types.guess(path)
    }

    /// Answers a GET or HEAD with what is at `path`, a path of a URL that need not be that of the
    /// request: for a handler that serves files below a prefix, among other things.
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
    /// If the file cannot be read although it could be opened.
    pub fn serve(&self, path: &str, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        let Some(found) = translate_path(path) else {
            return send_404("File not found", response);
        };
        let names_directory = match path {
            // A prefix took the slash with it; or there is none, which is as good as one (RFC 9110
            // §4.2.3).
            "" => request.path().is_empty() || request.path().ends_with('/'),
            _ => found.trailing_slash,
        };
        match self.0.find(&found.path, names_directory) {
            Ok(Target::File(file)) => self.0.send_file(file, request, response),
            Ok(Target::Directory(path)) => self.0.list_directory(&path, request, response),
            Ok(Target::WithoutSlash) => redirect(request, response),
            Err(error) => refuse(error, "File not found", response),
        }
    }

    fn set(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        set(Arc::make_mut(&mut self.0));
        self
    }
}

impl HttpRequestHandler for SimpleHttpRequestHandler {
    fn do_get(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        self.serve(request.path(), request, response)
    }
}

/// What a path leads to.
enum Target {
    File(Representation),
    Directory(PathBuf),
    /// A directory whose slash is missing.
    WithoutSlash,
}

/// A file that is open, to be sent as what `name` says it is.
struct Representation {
    name: PathBuf,
    file: File,
    metadata: Metadata,
}

impl Representation {
    fn open(name: &Path, found: &Found) -> io::Result<Representation> {
        let (file, metadata) = found.open()?;
        let name = name.to_owned();
        Ok(Representation {
            name,
            file,
            metadata,
        })
    }
}

impl Settings {
    fn find(&self, path: &Path, names_directory: bool) -> io::Result<Target> {
        let found = self.root.find(path)?;
        if !found.metadata.is_dir() {
            return match names_directory {
                true => Err(io::ErrorKind::NotADirectory.into()), // STATIC-8
                false => Representation::open(path, &found).map(Target::File),
            };
        }
        if !names_directory {
            return Ok(Target::WithoutSlash);
        }
        for page in &self.index_pages {
            let page = path.join(page);
            // One that is there is the page, even if it cannot be opened: then nothing is shown.
            if self.root.is_file(&page) {
                return self.open(&page).map(Target::File);
            }
        }
        Ok(Target::Directory(found.path))
    }

    fn open(&self, path: &Path) -> io::Result<Representation> {
        Representation::open(path, &self.root.find(path)?)
    }

    fn list_directory(
        &self,
        path: &Path,
        request: &Request<'_>,
        response: Response<'_>,
    ) -> HttpResult {
        let names = match self.list_directories {
            true => listing::read(path),
            false => Err(io::ErrorKind::PermissionDenied.into()),
        };
        match names {
            Ok(names) => response
                .send_response(200)
                .send_header("Content-Type", "text/html; charset=utf-8")
                .body(listing::page(&collapsed(request), &names)),
            // STATIC-14
            Err(error) => refuse(error, "No permission to list directory", response),
        }
    }

    fn send_file(
        &self,
        plain: Representation,
        request: &Request<'_>,
        response: Response<'_>,
    ) -> HttpResult {
        let content_type = self.content_types.guess(&plain.name);
        let (Representation { file, metadata, .. }, coding) = self.variant(plain, request);
        let length = metadata.len();
        let validators = validators(&metadata, coding, response.now().wall());

        let verdict = preconditions::evaluate(request.headers(), &validators);
        if verdict == Verdict::NotModified {
            let head = response.send_response(304);
            let head = head.send_header("ETag", &validators.etag);
            return self.vary(head).body(""); // RFC 9110 §15.4.5
        }
        if verdict == Verdict::Failed {
            return response.send_error(412);
        }
        let selection = match request.method() {
            "GET" => self.select(request, &validators, length),
            _ => Selection::Whole, // RFC 9110 §14.2: ranges are for GET
        };
        let content_type = content_type.to_owned();
        let (code, content_range, content_type, content) = match selection {
            Selection::Whole => {
                let content = FileContent::range(file, ByteRange { first: 0, length });
                (200, None, content_type, content)
            }
            Selection::Single(range) => {
                let content_range = range.content_range(length);
                let content = FileContent::range(file, range);
                (206, Some(content_range), content_type, content)
            }
            Selection::Several(ranges) => {
                let (boundary, content) =
                    FileContent::multipart(file, &ranges, &content_type, length);
                let content_type = format!("multipart/byteranges; boundary={boundary}");
                (206, None, content_type, content)
            }
            Selection::Unsatisfiable => {
                return response
                    .send_response(416)
                    .send_header("Content-Range", format!("bytes */{length}"))
                    .body("");
            }
        };
        let head = response
            .send_response(code)
            .send_header("Content-Type", content_type)
            .send_header("Content-Length", content.length().to_string());
        let mut head = self.describe(head, &validators, coding);
        if let Some(content_range) = content_range {
            head = head.send_header("Content-Range", content_range);
        }
        head.stream(content)
    }

    /// The file itself, or a compressed one beside it that the client prefers.
    fn variant(
        &self,
        plain: Representation,
        request: &Request<'_>,
    ) -> (Representation, Option<Coding>) {
        if self.precompressed {
            for coding in coding::preferred(request.headers()) {
                let mut name = plain.name.clone().into_os_string();
                name.push(coding.suffix());
                match self.open(Path::new(&name)) {
                    Ok(variant) if is_up_to_date(&variant.metadata, &plain.metadata) => {
                        return (variant, Some(coding));
                    }
                    _ => {}
                }
            }
        }
        (plain, None)
    }

    fn select(&self, request: &Request<'_>, validators: &Validators, length: u64) -> Selection {
        let mut fields = request.headers().get_all("range");
        match (fields.next(), fields.next()) {
            (Some(field), None) if preconditions::if_range(request.headers(), validators) => {
                ranges::select(field, length, self.max_ranges)
            }
            _ => Selection::Whole,
        }
    }

    /// The fields that a file has, whichever part of it is sent.
    fn describe<'a>(
        &self,
        mut head: ResponseHead<'a>,
        validators: &Validators,
        coding: Option<Coding>,
    ) -> ResponseHead<'a> {
        if let Some(modified) = validators.last_modified() {
            head = head.send_header("Last-Modified", modified);
        }
        if let Some(coding) = coding {
            head = head.send_header("Content-Encoding", coding.name());
        }
        if self.max_ranges > 0 {
            head = head.send_header("Accept-Ranges", "bytes");
        }
        self.vary(head.send_header("ETag", &validators.etag))
    }

    /// That another client may get a compressed variant, even if this one does not.
    fn vary<'a>(&self, head: ResponseHead<'a>) -> ResponseHead<'a> {
        match self.precompressed {
            true => head.send_header("Vary", "Accept-Encoding"),
            false => head,
        }
    }
}

/// Time and size as validators; each coding has an entity tag of its own (RFC 9110 §8.8.3.3).
fn validators(metadata: &Metadata, coding: Option<Coding>, now: SystemTime) -> Validators {
    let modified = metadata.modified().ok();
    let nanos = match modified.map(|modified| modified.duration_since(UNIX_EPOCH)) {
        Some(Ok(since)) => since.as_nanos().to_string(),
        Some(Err(before)) => format!("-{}", before.duration().as_nanos()),
        None => String::new(),
    };
    let suffix = coding.map_or("", Coding::suffix);
    let etag = format!("\"{nanos}-{}{suffix}\"", metadata.len());
    Validators::new(etag, modified, now)
}

/// A file with an unknown time is taken for older than any other.
fn is_up_to_date(variant: &Metadata, plain: &Metadata) -> bool {
    variant.modified().ok() >= plain.modified().ok()
}

/// What cannot be had is not there, unless it only cannot be had now.
fn refuse(error: io::Error, reason: &str, response: Response<'_>) -> HttpResult {
    match is_shortage(&error) {
        false => send_404(reason, response),
        true => response
            .send_response(503)
            .send_header("Retry-After", "1")
            .with_failure(error.into())
            .body(""),
    }
}

fn send_404(reason: &str, response: Response<'_>) -> HttpResult {
    response.send_error_with(404, reason, explanation(404))
}

/// Descriptors are short, or memory is: the file is there, and can be had in a while.
fn is_shortage(error: &io::Error) -> bool {
    /// `ENFILE` and `EMFILE`, the same on every Unix.
    const DESCRIPTORS: [Option<i32>; 2] = [Some(23), Some(24)];
    let descriptors = cfg!(unix) && DESCRIPTORS.contains(&error.raw_os_error());
    descriptors || error.kind() == io::ErrorKind::OutOfMemory
}

/// What no URI holds unescaped (RFC 3986 appendix A). Browsers take a backslash for a slash: `/\h/`
/// would lead to another host.
const NOT_IN_A_URI: AsciiSet = CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// To the same URL with a slash after its path (STATIC-6).
fn redirect(request: &Request<'_>, response: Response<'_>) -> HttpResult {
    let target = collapsed(request);
    let (path, query) = match target.find('?') {
        Some(mark) => target.split_at(mark),
        None => (target.as_str(), ""),
    };
    let location = utf8_percent_encode(path, &NOT_IN_A_URI).to_string()
        + "/"
        + &utf8_percent_encode(query, &NOT_IN_A_URI).to_string();
    response
        .send_response(301)
        .send_header("Location", location)
        .body("")
}

/// The target with one leading slash, so that it cannot be taken for an authority (HTTP-15).
fn collapsed(request: &Request<'_>) -> String {
    let target = request.target();
    match target.strip_prefix('/') {
        Some(rest) => format!("/{}", rest.trim_start_matches('/')),
        None => target.to_owned(),
    }
}
