//! The thing that a path leads to.

use std::fs::{File, Metadata};
use std::io;
use std::path::PathBuf;

use super::entries::Entries;

/// The thing that a path leads to.
#[derive(Debug)]
pub(in crate::http) enum Found {
    /// A regular file, open for reading.
    File(File, Metadata),
    /// A regular file that cannot be opened, and the reason. For example, it is outside of the root.
    Closed(io::Error),
    /// A directory.
    Directory(Directory),
}

/// A directory that was found.
#[derive(Debug)]
pub(in crate::http) enum Directory {
    /// It is open. Whatever its name leads to by now, this is the directory.
    #[cfg(target_os = "linux")]
    Marked(File),
    /// It was at this path, which has no links. This is what was there.
    At(PathBuf, Metadata),
}

impl Directory {
    /// Returns the metadata: of now if it is open, or else of when it was found.
    pub(in crate::http) fn metadata(&self) -> io::Result<Metadata> {
        match self {
            #[cfg(target_os = "linux")]
            Directory::Marked(mark) => mark.metadata(),
            Directory::At(_, metadata) => Ok(metadata.clone()),
        }
    }

    /// Returns whether both are the same directory, at the same place if they are not open.
    pub(in crate::http) fn is(&self, other: &Directory) -> bool {
        let at_one_place = match (self, other) {
            (Directory::At(one, _), Directory::At(other, _)) => one == other,
            #[cfg(target_os = "linux")]
            (Directory::Marked(_), Directory::Marked(_)) => true,
            #[cfg(target_os = "linux")]
            _ => false,
        };
        let metadata = || (self.metadata(), other.metadata());
        at_one_place && matches!(metadata(), (Ok(one), Ok(other)) if is_same(&one, &other))
    }

    /// Begins to read the directory.
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if the directory cannot be read, for example because
    /// there is no permission to. Returns an error if another directory is in its place.
    pub(in crate::http) fn entries(&self) -> io::Result<Entries> {
        match self {
            #[cfg(target_os = "linux")]
            Directory::Marked(mark) => Entries::of(mark),
            Directory::At(path, metadata) => Entries::at(path, |opened| is_same(opened, metadata)),
        }
    }
}

/// Returns whether both are of the same file.
#[cfg(unix)]
pub(super) fn is_same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;

    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Returns whether both may be of the same file: they have no number that tells files apart.
#[cfg(not(unix))]
pub(super) fn is_same(one: &Metadata, other: &Metadata) -> bool {
    one.file_type() == other.file_type()
}
