//! Finds and opens files below the root, and nothing outside of it ([STATIC-4]).
//!
//! [STATIC-4]: crate::spec#static-4

use std::fs::{self, File, Metadata};
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

/// A file or directory below the root.
pub(super) struct Found {
    /// Its real path. It has no symbolic links, unless they may lead out of the root.
    pub(super) path: PathBuf,
    /// Its metadata, read before it is opened.
    pub(super) metadata: Metadata,
    /// The real path of the root, if nothing outside may be opened.
    root: Option<PathBuf>,
}

impl Root {
    pub(super) fn new(directory: PathBuf) -> Root {
        Root {
            directory,
            follow_symlinks: false,
        }
    }

    /// Looks for `path`, which consists of plain names. Opens nothing.
    pub(super) fn find(&self, path: &Path) -> io::Result<Found> {
        let full = self.directory.join(path);
        let (path, root) = match self.follow_symlinks {
            true => (full, None),
            false => {
                // Resolve the root each time: it may be a link that is changed to publish a new version.
                let root = fs::canonicalize(&self.directory)?;
                let real = fs::canonicalize(full)?;
                if !real.starts_with(&root) {
                    return Err(ErrorKind::NotFound.into());
                }
                (real, Some(root))
            }
        };
        let metadata = fs::metadata(&path)?;
        Ok(Found {
            path,
            metadata,
            root,
        })
    }

    /// Returns whether `path` leads to a regular file, perhaps outside of the root.
    pub(super) fn is_file(&self, path: &Path) -> bool {
        self.directory.join(path).is_file()
    }
}

impl Found {
    /// Opens a regular file, and nothing else. Opening a FIFO would wait for a writer, and opening
    /// a device may do anything ([STATIC-9]).
    ///
    /// [STATIC-9]: crate::spec#static-9
    pub(super) fn open(&self) -> io::Result<(File, Metadata)> {
        if !self.metadata.is_file() {
            return Err(ErrorKind::NotFound.into());
        }
        let file = File::open(&self.path)?;
        // The path may lead somewhere else by now: look at what was really opened.
        let metadata = file.metadata()?;
        let inside = match &self.root {
            Some(root) => opened_path(&file, &self.path)?.starts_with(root),
            None => true,
        };
        match metadata.is_file() && inside {
            true => Ok((file, metadata)),
            false => Err(ErrorKind::NotFound.into()),
        }
    }
}

/// Returns the real path of an open file.
#[cfg(target_os = "linux")]
fn opened_path(file: &File, path: &Path) -> io::Result<PathBuf> {
    use std::os::fd::AsRawFd;

    // If there is no /proc, resolve the path a second time.
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    fs::read_link(link).or_else(|_| fs::canonicalize(path))
}

/// Returns the real path of an open file, if `path` still leads to it.
#[cfg(not(target_os = "linux"))]
fn opened_path(_file: &File, path: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// STATIC-9: the open file is checked again, because it may not be the file that was found.
    #[cfg(unix)]
    #[test]
    fn what_became_a_directory_is_not_opened() {
        let name = format!("root-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).expect("a directory");
        for follow_symlinks in [false, true] {
            let mut root = Root::new(directory.clone());
            root.follow_symlinks = follow_symlinks;
            let path = directory.join("a");
            fs::write(&path, "a").expect("a file");
            let found = root.find(Path::new("a")).expect("it is there");
            assert!(found.open().is_ok(), "{follow_symlinks}");
            fs::remove_file(&path).expect("it is there");
            fs::create_dir(&path).expect("a directory");
            let opened = found.open().map(|_| ()).map_err(|error| error.kind());
            assert_eq!(opened, Err(ErrorKind::NotFound), "{follow_symlinks}");
            fs::remove_dir(&path).expect("it is there");
        }
        fs::remove_dir(&directory).expect("it is empty");
    }
}
