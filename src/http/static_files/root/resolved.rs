//! Finds files by their real paths, for systems without `openat2`.
//!
//! The path is resolved before the file is opened, and again afterwards. On Unix its last name is not
//! followed if it has become a link. But a directory on the path may become a link and a directory
//! again, several times just then: this can deceive the check.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::found::{Directory, Found, is_same};

/// A file or directory at its real path.
#[derive(Debug)]
struct Resolved {
    /// Its path, without links.
    real: PathBuf,
    /// What was there.
    metadata: Metadata,
}

/// Finds the directory that is served.
pub(super) fn find_root(path: &Path) -> io::Result<Directory> {
    let Resolved { real, metadata } = Resolved::look_up(path)?;
    match metadata.is_dir() {
        true => Ok(Directory::At(real, metadata)),
        false => Err(ErrorKind::NotADirectory.into()),
    }
}

/// Finds what `path` leads to from the directory `from`. If `confined`, opens nothing that is not
/// below `root`.
pub(super) fn find(root: &Path, from: &Path, path: &Path, confined: bool) -> io::Result<Found> {
    let resolved = Resolved::look_up(&from.join(path))?;
    let is_inside = !confined || resolved.real.starts_with(root);
    if resolved.metadata.is_file() {
        let opened = match is_inside {
            true => resolved.open(),
            false => Err(ErrorKind::NotFound.into()),
        };
        return Ok(opened.map_or_else(Found::Closed, |(file, metadata)| {
            Found::File(file, metadata)
        }));
    }
    match is_inside && resolved.metadata.is_dir() {
        true => Ok(Found::Directory(Directory::At(
            resolved.real,
            resolved.metadata,
        ))),
        false => Err(ErrorKind::NotFound.into()),
    }
}

impl Resolved {
    fn look_up(path: &Path) -> io::Result<Resolved> {
        let real = fs::canonicalize(path)?;
        let metadata = fs::metadata(&real)?;
        Ok(Resolved { real, metadata })
    }

    /// Opens it, unless something else is at its place by now.
    fn open(&self) -> io::Result<(File, Metadata)> {
        let file = open(&self.real)?;
        let metadata = file.metadata()?;
        let is_meant = |other: &Metadata| is_same(other, &self.metadata);
        let now = Resolved::look_up(&self.real);
        match now.is_ok_and(|now| now.real == self.real && is_meant(&now.metadata)) {
            true if is_meant(&metadata) => Ok((file, metadata)),
            _ => Err(ErrorKind::NotFound.into()),
        }
    }
}

/// Opens for reading. What if the file has become a link? It is not followed. What if it has become a
/// FIFO? Opening that must not wait for a writer.
#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};

    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = flags | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

/// Opens for reading.
#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

#[cfg(all(test, unix))] // FIFOs and links
mod tests;
