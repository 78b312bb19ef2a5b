//! Small files that stay open, so that the next request for one of them need not open it.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The largest file that stays open. The space of a file that was removed is free only when nobody has
/// it open. And the larger a file is, the less it costs to open it, compared with sending it.
const LARGEST: u64 = 128 * 1024;

/// How long a file stays open, so that a directory that was closed to the server, or that has become a
/// link out of the root, soon counts ([STATIC-15]).
///
/// [STATIC-15]: crate::spec#static-15
const MAX_AGE: Duration = Duration::from_secs(1);

/// Files that stay open for a moment. All clones of a handler share them.
///
/// A request asks the system what is at the path now, in one call. If it is the open file, and that has
/// not changed since it was opened, the request need not find and open it again. The lock is only
/// tried, so nobody waits for it.
#[derive(Debug, Default)]
pub(super) struct OpenFiles {
    /// The files, by their paths.
    files: Mutex<HashMap<PathBuf, OpenFile>>,
}

/// A file that stays open.
#[derive(Debug, Clone)]
struct OpenFile {
    /// The file.
    file: Arc<File>,
    /// The version of it that was opened.
    version: Version,
    /// When it was opened.
    since: Instant,
}

impl OpenFiles {
    /// Closes all files that no response needs. Returns whether there were any.
    pub(super) fn close(&self) -> bool {
        let files = self.files.try_lock();
        files.is_ok_and(|mut files| !mem::take(&mut *files).is_empty())
    }

    /// Returns the file at `path`, if it is open and has not changed, and its metadata of now.
    pub(super) fn get(&self, path: &Path, now: Instant) -> Option<(Arc<File>, Metadata)> {
        let open = self.files.try_lock().ok()?.get(path)?.clone();
        if !open.is_fresh(now) {
            return None;
        }
        let metadata = fs::metadata(path).ok()?;
        (version(&metadata)? == open.version).then_some((open.file, metadata))
    }

    /// Keeps a file open that was found at `path`, if it is small and fewer than `most` others are open.
    /// Closes those that have been open for long, and what was at `path` before.
    pub(super) fn keep(
        &self,
        path: PathBuf,
        file: &Arc<File>,
        metadata: &Metadata,
        most: usize,
        now: Instant,
    ) {
        let Ok(mut files) = self.files.try_lock() else {
            return;
        };
        files.remove(&path);
        files.retain(|_, open| open.is_fresh(now));
        let Some(version) = version(metadata) else {
            return;
        };
        if metadata.len() <= LARGEST && files.len() < most {
            let open = OpenFile {
                file: Arc::clone(file),
                version,
                since: now,
            };
            files.insert(path, open);
        }
    }
}

impl OpenFile {
    fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < MAX_AGE
    }
}

/// The device and number of a file, its size, and its times of modification and of status change. A file
/// that is open keeps its number. So if this is the same as when it was opened, the path leads to this
/// file, with the same size and permissions.
type Version = (u64, u64, u64, [i64; 4]);

#[cfg(unix)]
fn version(of: &Metadata) -> Option<Version> {
    use std::os::unix::fs::MetadataExt;

    let times = [of.mtime(), of.mtime_nsec(), of.ctime(), of.ctime_nsec()];
    Some((of.dev(), of.ino(), of.len(), times))
}

/// Returns `None`: files have no number.
#[cfg(not(unix))]
fn version(_: &Metadata) -> Option<Version> {
    None
}
