//! What a path leads to in the directory that is served.

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::open_files::OpenFiles;
use super::root::found::{Directory, Found};
use super::root::{Root, Tree};
use crate::http::path::{TranslatedPath, without_query};
use crate::http::request::Request;

/// How often a request looks for its file, if the root is replaced each time.
const LOOKS: usize = 3;

/// The directory that is served, with the names of its index pages.
#[derive(Debug, Clone)]
pub(super) struct Site {
    /// The directory itself.
    pub(super) root: Root,
    /// The names of index pages; the first that exists is sent.
    pub(super) index_pages: Vec<OsString>,
    /// The small files that stay open.
    pub(super) open_files: Arc<OpenFiles>,
    /// How many files stay open at most.
    pub(super) max_open_files: usize,
}

/// How a path ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// With a name, so it may lead to a file.
    Name,
    /// With a slash, so it leads to a directory.
    Slash,
    /// With an escaped slash. It leads to a directory, but the links of a listing would not be
    /// relative to that.
    EscapedSlash,
}

impl End {
    /// Returns how `path` ends, which was `translated`. `path` need not be that of the request: a
    /// handler may have removed a prefix.
    pub(super) fn of(path: &str, translated: &TranslatedPath, request: &Request<'_>) -> End {
        match path {
            // The prefix included the slash; or the request has no path, which means `/` (RFC 9110
            // §4.2.3).
            "" if request.path().is_empty() || request.path().ends_with('/') => End::Slash,
            _ if without_query(path).ends_with('/') => End::Slash,
            _ if translated.trailing_slash => End::EscapedSlash,
            _ => End::Name,
        }
    }
}

/// The thing that a path leads to.
pub(super) enum Target {
    /// A file, perhaps the index page of a directory.
    File(Representation),
    /// A directory without an index page.
    Directory(Directory),
    /// A directory, but the path does not end in a slash.
    WithoutSlash,
}

/// An open file.
pub(super) struct Representation {
    /// The name below the root, which decides the content type.
    pub(super) name: PathBuf,
    /// The open file.
    pub(super) file: Arc<File>,
    /// Its metadata. The response announces the size that is in it.
    pub(super) metadata: Metadata,
}

impl Representation {
    fn new(name: &Path, file: File, metadata: Metadata) -> Representation {
        Representation {
            name: name.to_owned(),
            file: Arc::new(file),
            metadata,
        }
    }
}

impl Site {
    /// Returns the file that a path leads to, if it is open already. Of a directory this is the first
    /// index page: before another one is sent, somebody has to look whether the first is there by now.
    pub(super) fn open_file(&self, path: &Path, end: End, now: Instant) -> Option<Representation> {
        let name = match end {
            End::Name => path.to_owned(),
            End::Slash => path.join(self.index_pages.first()?),
            End::EscapedSlash => return None,
        };
        let (file, metadata) = self.open_files.get(&self.root.join(&name), now)?;
        Some(Representation {
            name,
            file,
            metadata,
        })
    }

    /// Lets a file stay open to which a path leads.
    pub(super) fn keep_open(&self, file: &Representation, now: Instant) {
        let path = self.root.join(&file.name);
        let (file, metadata, most) = (&file.file, &file.metadata, self.max_open_files);
        self.open_files.keep(path, file, metadata, most, now);
    }

    /// Finds what a path leads to, and the tree in which it was found.
    pub(super) fn find(&self, path: &Path, end: End) -> io::Result<(Tree, Target)> {
        match self.look(path, end) {
            // The files that stay open must not be what is missing.
            Err(error) if may_succeed_later(&error) && self.open_files.close() => {
                self.look(path, end)
            }
            found => found,
        }
    }

    fn look(&self, path: &Path, end: End) -> io::Result<(Tree, Target)> {
        let mut looks = 0;
        loop {
            looks += 1;
            // What if a new version is published just now, and the old one is gone already? Then
            // look again.
            let tree = match self.root.tree() {
                Ok(tree) => tree,
                Err(error) if looks == LOOKS => return Err(error),
                Err(_) => continue,
            };
            match self.find_in(&tree, path, end) {
                Ok(target) => return Ok((tree, target)),
                Err(error) if looks == LOOKS || self.root.is(&tree) => return Err(error),
                Err(_) => {}
            }
        }
    }

    fn find_in(&self, tree: &Tree, path: &Path, end: End) -> io::Result<Target> {
        let directory = match (tree.find(path)?, end) {
            (Found::Directory(directory), End::Slash) => directory,
            (Found::Directory(_), End::Name | End::EscapedSlash) => {
                return Ok(Target::WithoutSlash);
            }
            (Found::File(file, metadata), End::Name) => {
                let representation = Representation::new(path, file, metadata);
                return Ok(Target::File(representation));
            }
            (Found::Closed(error), _) => return Err(error),
            // STATIC-8
            (Found::File(..), End::Slash | End::EscapedSlash) => {
                return Err(ErrorKind::NotADirectory.into());
            }
        };
        for page in &self.index_pages {
            // The first that exists is the index page. If it cannot be opened, do not list instead.
            match tree.find_in(&directory, Path::new(page)) {
                Ok(Found::File(file, metadata)) => {
                    let name = path.join(page);
                    return Ok(Target::File(Representation::new(&name, file, metadata)));
                }
                Ok(Found::Closed(error)) => return Err(error),
                Err(error) if may_succeed_later(&error) => return Err(error),
                Ok(Found::Directory(_)) | Err(_) => {}
            }
        }
        Ok(Target::Directory(directory))
    }
}

/// Returns whether opening the file may succeed later: descriptors or memory are short, or another
/// program holds a lease on the file.
pub(super) fn may_succeed_later(error: &io::Error) -> bool {
    /// `ENFILE` and `EMFILE`, the same on every Unix.
    const DESCRIPTORS: [Option<i32>; 2] = [Some(23), Some(24)];
    let descriptors = cfg!(unix) && DESCRIPTORS.contains(&error.raw_os_error());
    descriptors || matches!(error.kind(), ErrorKind::OutOfMemory | ErrorKind::WouldBlock)
}
