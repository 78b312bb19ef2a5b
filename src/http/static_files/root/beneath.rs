//! Finds files with `openat2`, the call of Linux that opens a file only if it is beneath a directory.
//!
//! The kernel resolves the path and opens the file in one step, so nobody can exchange a directory for
//! a link in between. A file is first asked for its kind, without opening it: opening a device or a
//! FIFO has effects. What is open then counts, whatever the kind was.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, openat2, statat};
use rustix::io::{Errno, retry_on_intr};

use super::found::{Directory, Found};

/// How often a look is repeated. The kernel asks for it (`EAGAIN`) if something was renamed while it
/// followed a link with `..`.
const LOOKS: usize = 8;

/// Opens the directory that is served. Returns `None` if there is no `openat2`: the kernel is older
/// than 5.6, or a sandbox forbids the call.
pub(super) fn open_root(path: &Path) -> io::Result<Option<File>> {
    match open(CWD, path, FileType::Directory, ResolveFlags::empty()) {
        Ok(root) => Ok(Some(root)),
        Err(Errno::NOSYS | Errno::PERM) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Finds what `path` leads to from the directory `from`. If `confined`, opens nothing that is not
/// beneath `root`.
pub(super) fn find(root: &File, from: &File, path: &Path, confined: bool) -> io::Result<Found> {
    let path = or_dot(path);
    let resolve = match confined {
        true => ResolveFlags::BENEATH,
        false => ResolveFlags::empty(),
    };
    let mut looks = 0;
    loop {
        looks += 1;
        match look(from, path, resolve) {
            Err(Errno::AGAIN) if looks < LOOKS => {}
            Err(Errno::AGAIN | Errno::XDEV) if confined => return by_real_path(root, from, path),
            found => return Ok(found?),
        }
    }
}

/// Finds what `path` leads to if it leaves the directory on its way: through an absolute link, or a
/// link with `..`. What counts is where it ends ([STATIC-4]).
///
/// The real path has no links. What if a name in it becomes a link just now? The kernel confines this
/// look as well.
///
/// [STATIC-4]: crate::spec#static-4
#[cold]
fn by_real_path(root: &File, from: &File, path: &Path) -> io::Result<Found> {
    let real = fs::canonicalize(place(from).join(path))?;
    let beneath = fs::read_link(place(root))?;
    match real.strip_prefix(&beneath) {
        Ok(names) => Ok(look(root, or_dot(names), ResolveFlags::BENEATH)?),
        // The index page of a directory is not passed over because it is outside.
        Err(_) if real.is_file() => Ok(Found::Closed(ErrorKind::NotFound.into())),
        Err(_) => Err(ErrorKind::NotFound.into()),
    }
}

/// Looks what is there, and opens it.
fn look(from: &File, path: &Path, resolve: ResolveFlags) -> rustix::io::Result<Found> {
    let kind = FileType::from_raw_mode(statat(from, path, AtFlags::empty())?.st_mode);
    match (kind, take(from, path, kind, resolve)) {
        (_, Err(error @ (Errno::AGAIN | Errno::XDEV))) => Err(error),
        (FileType::RegularFile, Err(error)) => Ok(Found::Closed(error.into())),
        (_, taken) => taken,
    }
}

/// Opens what is there, if it is a file or a directory. Its kind has just been looked up.
fn take(
    from: &File,
    path: &Path,
    kind: FileType,
    resolve: ResolveFlags,
) -> rustix::io::Result<Found> {
    match kind {
        FileType::Directory => match open(from, path, kind, resolve) {
            Err(Errno::NOTDIR) => Err(Errno::AGAIN), // it has become something else
            directory => Ok(Found::Directory(Directory::Marked(directory?))),
        },
        FileType::RegularFile => {
            let file = open(from, path, kind, resolve)?;
            let metadata = file.metadata().map_err(|_| Errno::IO)?;
            // What if it has become something else since it was asked?
            match metadata.is_file() {
                true => Ok(Found::File(file, metadata)),
                false => Err(Errno::AGAIN),
            }
        }
        _ => Err(Errno::NOENT),
    }
}

/// Opens a directory to look names up in it, or a file to read it.
fn open(
    from: impl rustix::fd::AsFd,
    path: &Path,
    kind: FileType,
    resolve: ResolveFlags,
) -> rustix::io::Result<File> {
    let flags = match kind {
        FileType::Directory => OFlags::PATH | OFlags::DIRECTORY,
        // `O_NONBLOCK`: what if it has become a FIFO? Opening that would wait for a writer. Also,
        // another program may hold a lease on the file.
        _ => OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY,
    };
    let flags = flags | OFlags::CLOEXEC;
    let opened = retry_on_intr(|| openat2(&from, path, flags, Mode::empty(), resolve));
    opened.map(File::from)
}

/// Returns a path that is not empty: an empty one would not be the directory itself.
fn or_dot(path: &Path) -> &Path {
    match path.as_os_str().is_empty() {
        true => Path::new("."),
        false => path,
    }
}

/// Returns the path at which `/proc` shows where an open directory is.
fn place(directory: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()))
}

#[cfg(test)]
mod tests;
