//! Which listings are being sent, so that clients of one directory share its names.

use std::io;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, SystemTime};

use super::names::{Names, Room};
use super::root::found::Directory;

/// How long a directory must not have changed, so that its time of modification tells whether it
/// changes again. Some file systems count only every second second.
const SETTLED: Duration = Duration::from_secs(2);

/// The large directories whose listings are being sent. All clones of a handler share this.
///
/// A directory of 100,000 names takes 3 MB and 80 ms. If many clients ask for it at once, and do
/// not read, this is spent once. The lock is only tried, so nobody waits for it: a listing that
/// does not get it shares nothing.
#[derive(Debug, Default)]
pub(super) struct Listings {
    /// The names of each directory.
    sent: Mutex<Vec<Weak<SharedNames>>>,
    /// How much memory they take.
    taken: Arc<AtomicUsize>,
}

/// Names that several clients may read, and that each of them advances.
pub(super) type SharedNames = Mutex<Names>;

impl Listings {
    /// Returns the names in a directory, of which the first slice is read.
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if the directory cannot be read. Returns an error if
    /// it is large, and the names of all that are being sent take more than `limit`.
    pub(super) fn open(
        &self,
        directory: Directory,
        limit: usize,
        now: SystemTime,
    ) -> io::Result<Arc<SharedNames>> {
        if let Some(names) = self.find(&directory) {
            return Ok(names);
        }
        let since = directory.metadata()?.modified().ok();
        let age = since.and_then(|since| now.duration_since(since).ok());
        let mut names = Names::open(directory)?;
        let is_small = names.is_small();
        if !is_small {
            names.count_in(Room::new(limit, Arc::clone(&self.taken)))?;
        }
        let names = Arc::new(Mutex::new(names));
        if !is_small && age.is_some_and(|age| age >= SETTLED) {
            if let Ok(mut sent) = self.sent.try_lock() {
                sent.push(Arc::downgrade(&names));
            }
        }
        Ok(names)
    }

    /// Returns the names of a directory that has not changed since they were read.
    fn find(&self, directory: &Directory) -> Option<Arc<SharedNames>> {
        let mut sent = self.sent.try_lock().ok()?;
        sent.retain(|names| names.strong_count() > 0);
        sent.iter().filter_map(Weak::upgrade).find(|names| {
            let names = names.try_lock();
            names.is_ok_and(|names| names.are_in(directory))
        })
    }
}
