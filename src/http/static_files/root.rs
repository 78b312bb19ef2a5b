//! Finds and opens files below the root, and nothing outside of it ([STATIC-4]).
//!
//! Others may change the tree at the same time, so no name is looked up twice. On Linux, a look-up
//! opens a descriptor that only marks the file (`O_PATH`). `/proc` tells where the file really is,
//! and the same file is then opened or listed through `/proc`, whatever its name leads to by now.
//! On other systems, or without `/proc`, the path is resolved before and after.
//!
//! [STATIC-4]: crate::spec#static-4

use std::fs::{self, File, Metadata, ReadDir};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The directory that is served.
#[derive(Debug, Clone)]
pub(super) struct Root {
    /// The absolute path of the directory, perhaps with symbolic links in it.
    directory: PathBuf,
    /// Whether symbolic links may lead out of the root.
    pub(super) follow_symlinks: bool,
}

/// The root as one request finds it. The path of the root may be a link that is changed to publish
/// a new version, so each request looks the root up again, but only once.
#[derive(Debug)]
pub(super) struct Tree {
    /// The directory itself.
    root: Found,
    /// Whether nothing outside of it may be found.
    confined: bool,
}

/// A file or directory that was looked up.
#[derive(Debug)]
pub(super) struct Found {
    /// Marks the file, if `/proc` can lead from here to the file.
    mark: Option<File>,
    /// The path through which the file is reached: in `/proc`, or its real path.
    path: PathBuf,
    /// Where the file really was when it was found. This path has no symbolic links.
    real: PathBuf,
    /// Whether it is below the root, or may be anywhere.
    inside: bool,
    /// Its metadata, read without opening it.
    pub(super) metadata: Metadata,
}

impl Root {
    pub(super) fn new(directory: PathBuf) -> Root {
        Root {
            directory,
            follow_symlinks: false,
        }
    }

    /// Looks the root up.
    pub(super) fn tree(&self) -> io::Result<Tree> {
        Ok(Tree {
            root: Found::look_up(&self.directory)?,
            confined: !self.follow_symlinks,
        })
    }

    /// Returns whether the path of the root still leads to this tree.
    pub(super) fn is(&self, tree: &Tree) -> bool {
        self.tree().is_ok_and(|now| now.root.is(&tree.root))
    }
}

impl Tree {
    /// Looks for `path`, which consists of plain names. Opens nothing.
    pub(super) fn find(&self, path: &Path) -> io::Result<Found> {
        let found = self.find_in(&self.root, path)?;
        match found.inside {
            true => Ok(found),
            false => Err(ErrorKind::NotFound.into()),
        }
    }

    /// Looks for `path` in a directory of this tree. The result may be outside of the root; then it
    /// cannot be opened.
    pub(super) fn find_in(&self, directory: &Found, path: &Path) -> io::Result<Found> {
        let mut found = Found::look_up(&directory.path.join(path))?;
        found.inside = !self.confined || found.real.starts_with(&self.root.real);
        Ok(found)
    }
}

impl Found {
    fn look_up(path: &Path) -> io::Result<Found> {
        match Found::marked(path)? {
            Some(found) => Ok(found),
            None => Found::resolved(path),
        }
    }

    /// Marks the file at `path`. `None` if there is no `/proc`.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn marked(path: &Path) -> io::Result<Option<Found>> {
        use std::os::fd::AsRawFd;

        let mark = flags(libc::O_PATH).open(path)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", mark.as_raw_fd()));
        let Ok(real) = fs::read_link(&path) else {
            return Ok(None);
        };
        Ok(Some(Found {
            metadata: mark.metadata()?,
            mark: Some(mark),
            path,
            real,
            inside: true,
        }))
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn marked(_path: &Path) -> io::Result<Option<Found>> {
        Ok(None)
    }

    /// Resolves the path of a file that cannot be marked.
    fn resolved(path: &Path) -> io::Result<Found> {
        let real = fs::canonicalize(path)?;
        Ok(Found {
            mark: None,
            path: real.clone(),
            metadata: fs::metadata(&real)?,
            real,
            inside: true,
        })
    }

    /// Opens a regular file, and nothing else: a device may do anything ([STATIC-9]).
    ///
    /// [STATIC-9]: crate::spec#static-9
    pub(super) fn open(&self) -> io::Result<(File, Metadata)> {
        if !self.inside || !self.metadata.is_file() {
            return Err(ErrorKind::NotFound.into());
        }
        // `O_NONBLOCK`: without a mark, the file may have become a FIFO, and opening that would wait
        // for a writer. Also, another program may hold a lease on the file.
        #[cfg(unix)]
        let file = flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(&self.path)?;
        #[cfg(not(unix))]
        let file = File::open(&self.path)?;
        // What is marked cannot be another file.
        let metadata = match self.mark {
            Some(_) => self.metadata.clone(),
            None => file.metadata()?,
        };
        match self.leads_to(&metadata) {
            true => Ok((file, metadata)),
            false => Err(ErrorKind::NotFound.into()),
        }
    }

    /// Opens a directory to list it. This must live as long as the entries are read.
    pub(super) fn read_dir(&self) -> io::Result<ReadDir> {
        let entries = fs::read_dir(&self.path)?;
        match self.inside && self.leads_to(&self.metadata) {
            true => Ok(entries),
            false => Err(ErrorKind::NotFound.into()),
        }
    }

    /// Returns whether the path still leads to what was found, and whether `opened` is that.
    ///
    /// What is marked cannot be exchanged. Otherwise two changes, one before and one after the file
    /// was opened, can deceive this.
    fn leads_to(&self, opened: &Metadata) -> bool {
        let same = || {
            Found::resolved(&self.path)
                .is_ok_and(|now| now.is(self) && is_same(&now.metadata, opened))
        };
        self.mark.is_some() || same()
    }

    /// Returns whether `now` is the same directory, and no name in it has changed since.
    pub(super) fn is_unchanged(&self, now: &Found) -> bool {
        let modified = |found: &Found| found.metadata.modified().ok();
        self.is(now) && modified(self).is_some() && modified(self) == modified(now)
    }

    /// Returns whether both are the same file at the same place.
    fn is(&self, other: &Found) -> bool {
        self.real == other.real && is_same(&self.metadata, &other.metadata)
    }
}

/// Opens for reading with these flags, in addition to those of the standard library.
#[cfg(unix)]
fn flags(flags: i32) -> fs::OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;

    let mut options = File::options();
    options.read(true).custom_flags(flags);
    options
}

/// Returns whether both are of the same file.
#[cfg(unix)]
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;

    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Returns whether both may be of the same file: they have no number that tells files apart.
#[cfg(not(unix))]
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    one.file_type() == other.file_type()
}

#[cfg(all(test, unix))] // FIFOs and links
mod tests;
