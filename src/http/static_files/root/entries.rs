//! The entries of a directory, in the order of the file system.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::path::Path;

/// Reads a directory.
#[derive(Debug)]
pub(in crate::http) struct Entries {
    /// The open directory. The names in it are looked up from here.
    #[cfg(unix)]
    directory: rustix::fs::Dir,
    /// The open directory.
    #[cfg(not(unix))]
    directory: fs::ReadDir,
}

/// An entry of a directory.
#[derive(Debug)]
pub(in crate::http) struct Listed {
    /// The bytes of the name.
    pub(in crate::http) name: Vec<u8>,
    /// Whether it is a directory, or a link to one.
    pub(in crate::http) is_directory: bool,
    /// Whether it is a symbolic link.
    pub(in crate::http) is_symlink: bool,
}

#[cfg(unix)]
impl Entries {
    /// Reads an open directory, which may be open only as a mark (`O_PATH`).
    #[cfg(target_os = "linux")]
    pub(super) fn of(mark: &fs::File) -> io::Result<Entries> {
        Entries::open(mark, Path::new("."), |_| true)
    }

    /// Reads the directory at `path`, if it is the one that is meant.
    pub(super) fn at(path: &Path, is_meant: impl Fn(&Metadata) -> bool) -> io::Result<Entries> {
        Entries::open(rustix::fs::CWD, path, is_meant)
    }

    fn open(
        from: impl rustix::fd::AsFd,
        path: &Path,
        is_meant: impl Fn(&Metadata) -> bool,
    ) -> io::Result<Entries> {
        use rustix::fs::{Dir, Mode, OFlags, openat};

        // The path has no links. What has become a link just now is not followed.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = fs::File::from(openat(from, path, flags, Mode::empty())?);
        match is_meant(&directory.metadata()?) {
            true => Ok(Entries {
                directory: Dir::new(directory)?,
            }),
            false => Err(ErrorKind::NotFound.into()),
        }
    }
}

#[cfg(unix)]
impl Iterator for Entries {
    type Item = io::Result<Listed>;

    fn next(&mut self) -> Option<io::Result<Listed>> {
        use rustix::fs::{AtFlags, FileType, statat};

        let entry = loop {
            match self.directory.next()? {
                Ok(entry) if [c".", c".."].contains(&entry.file_name()) => {}
                Ok(entry) => break entry,
                Err(error) => return Some(Err(error.into())),
            }
        };
        // An error means that the entry is gone already: list it as a file.
        let kind = |flags| {
            let stat = self
                .directory
                .fd()
                .and_then(|fd| statat(fd, entry.file_name(), flags));
            stat.map_or(FileType::Unknown, |stat| {
                FileType::from_raw_mode(stat.st_mode)
            })
        };
        let own = match entry.file_type() {
            // Not every file system tells.
            FileType::Unknown => kind(AtFlags::SYMLINK_NOFOLLOW),
            own => own,
        };
        let is_symlink = own == FileType::Symlink;
        let target = if is_symlink {
            kind(AtFlags::empty())
        } else {
            own
        };
        Some(Ok(Listed {
            name: entry.file_name().to_bytes().to_vec(),
            is_directory: target == FileType::Directory,
            is_symlink,
        }))
    }
}

#[cfg(not(unix))]
impl Entries {
    /// Reads the directory at `path`, if it is the one that is meant.
    pub(super) fn at(path: &Path, is_meant: impl Fn(&Metadata) -> bool) -> io::Result<Entries> {
        let directory = fs::read_dir(path)?;
        let is_there = fs::canonicalize(path).is_ok_and(|real| real == path);
        match is_there && is_meant(&fs::metadata(path)?) {
            true => Ok(Entries { directory }),
            false => Err(ErrorKind::NotFound.into()),
        }
    }
}

#[cfg(not(unix))]
impl Iterator for Entries {
    type Item = io::Result<Listed>;

    fn next(&mut self) -> Option<io::Result<Listed>> {
        let entry = match self.directory.next()? {
            Ok(entry) => entry,
            Err(error) => return Some(Err(error)),
        };
        // An error means that the entry is gone already: list it as a file. For a link, its target counts.
        let kind = entry.file_type().ok();
        let is_symlink = kind.is_some_and(|kind| kind.is_symlink());
        Some(Ok(Listed {
            name: entry
                .file_name()
                .to_string_lossy()
                .into_owned()
                .into_bytes(),
            is_directory: match is_symlink {
                true => entry.path().is_dir(),
                false => kind.is_some_and(|kind| kind.is_dir()),
            },
            is_symlink,
        }))
    }
}
