//! What there is below the root, and no further (STATIC-4).

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The directory that is served.
#[derive(Debug, Clone)]
pub(super) struct Root {
    directory: PathBuf,
    pub(super) follow_symlinks: bool,
}

/// Something below the root.
pub(super) struct Found {
    /// Where it really is; without symbolic links, unless they are followed.
    pub(super) path: PathBuf,
    pub(super) metadata: Metadata,
    /// Where the root really is, if it must not be left.
    root: Option<PathBuf>,
}

impl Root {
    pub(super) fn new(directory: PathBuf) -> Root {
        Root {
            directory,
            follow_symlinks: false,
        }
    }

    /// Looks for `path`, which is made of plain names; opens nothing.
    pub(super) fn find(&self, path: &Path) -> io::Result<Found> {
        let full = self.directory.join(path);
        let (path, root) = match self.follow_symlinks {
            true => (full, None),
            false => {
                // Each time anew: the root may itself be a link, which is changed to publish.
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

    /// Whether there is a regular file, be it outside of the root.
    pub(super) fn is_file(&self, path: &Path) -> bool {
        self.directory.join(path).is_file()
    }
}

impl Found {
    /// Opens a regular file, and nothing else: to open a FIFO waits for a writer, and to open a
    /// device may do anything (STATIC-9).
    pub(super) fn open(&self) -> io::Result<(File, Metadata)> {
        if !self.metadata.is_file() {
            return Err(ErrorKind::NotFound.into());
        }
        let file = File::open(&self.path)?;
        // Whatever was changed meanwhile, this is what was opened.
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

/// Where an open file is.
#[cfg(target_os = "linux")]
fn opened_path(file: &File, path: &Path) -> io::Result<PathBuf> {
    use std::os::fd::AsRawFd;

    // Err: there is no /proc here.
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    fs::read_link(link).or_else(|_| fs::canonicalize(path))
}

/// Where an open file is, if the path still leads to it.
#[cfg(not(target_os = "linux"))]
fn opened_path(_file: &File, path: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// STATIC-9: what was opened is looked at again, since it may be another thing than was found.
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
