//! Finds and opens files below the root, and nothing outside of it ([STATIC-4]).
//!
//! Others may change the tree at the same time. On Linux, one system call opens a file and makes sure
//! that it is `beneath` the root, so this cannot be deceived. On other systems the path is `resolved`
//! before and after the file is opened.
//!
//! [STATIC-4]: crate::spec#static-4

#[cfg(target_os = "linux")]
mod beneath;
pub(super) mod entries;
pub(super) mod found;
mod resolved;

use std::io;
#[cfg(target_os = "linux")]
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use self::found::{Directory, Found};

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
    root: Directory,
    /// Whether nothing outside of it may be found.
    confined: bool,
}

impl Root {
    pub(super) fn new(directory: PathBuf) -> Root {
        Root {
            directory,
            follow_symlinks: false,
        }
    }

    /// Returns the path of something in the root.
    pub(super) fn join(&self, path: &Path) -> PathBuf {
        self.directory.join(path)
    }

    /// Looks the root up.
    pub(super) fn tree(&self) -> io::Result<Tree> {
        Ok(Tree {
            root: find_root(&self.directory)?,
            confined: !self.follow_symlinks,
        })
    }

    /// Returns whether the path of the root still leads to this tree.
    pub(super) fn is(&self, tree: &Tree) -> bool {
        self.tree().is_ok_and(|now| now.root.is(&tree.root))
    }
}

impl Tree {
    /// Finds what `path` leads to. It consists of plain names, and is empty for the root itself.
    pub(super) fn find(&self, path: &Path) -> io::Result<Found> {
        self.find_in(&self.root, path)
    }

    /// Finds what `path` leads to from a directory of this tree.
    pub(super) fn find_in(&self, directory: &Directory, path: &Path) -> io::Result<Found> {
        match (&self.root, directory) {
            #[cfg(target_os = "linux")]
            (Directory::Marked(root), Directory::Marked(from)) => {
                beneath::find(root, from, path, self.confined)
            }
            (Directory::At(root, _), Directory::At(from, _)) => {
                resolved::find(root, from, path, self.confined)
            }
            // There are no trees of both kinds.
            #[cfg(target_os = "linux")]
            _ => Err(ErrorKind::NotFound.into()),
        }
    }
}

#[cfg(target_os = "linux")]
fn find_root(path: &Path) -> io::Result<Directory> {
    match beneath::open_root(path)? {
        Some(root) => Ok(Directory::Marked(root)),
        None => resolved::find_root(path),
    }
}

#[cfg(not(target_os = "linux"))]
fn find_root(path: &Path) -> io::Result<Directory> {
    resolved::find_root(path)
}

#[cfg(all(test, unix))] // FIFOs and links
mod tests;
