//! The names in a directory, in the order of its listing ([STATIC-12]).
//!
//! A directory can have very many names, and the loop must not wait until all are read and sorted.
//! So they are read in slices. Each slice is sorted by itself, and then the slices are merged, also
//! a few names at a time.
//!
//! [STATIC-12]: crate::spec#static-12

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, ErrorKind};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use super::root::entries::{Entries, Listed};
use super::root::found::Directory;

/// How many names a slice has at most. Reading and sorting one takes less than half a millisecond,
/// and a connection takes several steps in its turn.
const SLICE: usize = 512;

/// How many bytes the names of a slice have at most, because names can be long.
const SLICE_BYTES: usize = 16 * 1024;

/// What a name costs in addition to its bytes: its place in the slice, and in the order.
const OVERHEAD: usize = mem::size_of::<Place>() + mem::size_of::<(u32, u32)>();

/// The names in a directory.
#[derive(Debug)]
pub(super) struct Names {
    /// The directory.
    directory: Directory,
    /// When a name in it was last changed before it was read.
    modified: Option<SystemTime>,
    /// How far they have come.
    stage: Stage,
    /// The slices that were read, each of them sorted.
    slices: Vec<Slice>,
    /// The next name of each slice that is not merged to its end. The smallest comes first.
    next: BinaryHeap<Reverse<Next>>,
    /// The names that are merged: the number of the slice, and the number there.
    order: Vec<(u32, u32)>,
    /// The memory that they take.
    room: Room,
}

/// How far the names of a directory have come.
#[derive(Debug)]
enum Stage {
    /// These entries were not read yet.
    Reading(Entries),
    /// All are read, and are merged as far as somebody asks for them.
    Merging,
    /// No more can be read, for this reason.
    Failed(ErrorKind),
}

/// Some of the names, sorted.
#[derive(Debug, Default)]
struct Slice {
    /// The bytes of all names.
    bytes: Vec<u8>,
    /// Where each name is in `bytes`.
    places: Vec<Place>,
}

/// Where a name is, and what it is the name of.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Where the name begins.
    start: u32,
    /// The length of the name.
    length: u16,
    /// Whether it is a directory, or a link to one.
    is_directory: bool,
    /// Whether it is a symbolic link.
    is_symlink: bool,
}

/// An entry of a directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// The bytes of the name.
    pub(super) name: &'a [u8],
    /// Whether it is a directory, or a link to one.
    pub(super) is_directory: bool,
    /// Whether it is a symbolic link.
    pub(super) is_symlink: bool,
}

/// The next name of a slice.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Next {
    /// Decides the order.
    key: Key,
    /// The number of the slice.
    slice: u32,
    /// The number of the name in its slice.
    number: u32,
}

/// Decides the order of names: the name in lower case. The exact name decides between names that
/// differ only in case.
type Key = (String, Vec<u8>);

fn key(name: &[u8]) -> Key {
    let lowercase = String::from_utf8_lossy(name).to_lowercase();
    (lowercase, name.to_vec())
}

impl Names {
    /// Begins to read a directory: reads the first slice.
    pub(super) fn open(directory: Directory) -> io::Result<Names> {
        let modified = directory.metadata()?.modified().ok();
        let stage = Stage::Reading(directory.entries()?);
        let mut names = Names {
            directory,
            modified,
            stage,
            slices: Vec::new(),
            next: BinaryHeap::new(),
            order: Vec::new(),
            room: Room::default(),
        };
        names.read()?;
        Ok(names)
    }

    /// Returns whether these are the names in the directory `now`: no name in it has changed since.
    pub(super) fn are_in(&self, now: &Directory) -> bool {
        let failed = matches!(self.stage, Stage::Failed(_));
        let modified = || now.metadata().and_then(|now| now.modified()).ok();
        !failed && self.directory.is(now) && self.modified.is_some() && self.modified == modified()
    }

    /// Returns whether the first slice has all names.
    pub(super) fn is_small(&self) -> bool {
        matches!(self.stage, Stage::Merging) && self.slices.len() == 1
    }

    /// Takes the memory of these names, and of all that are still to be read, from `room`.
    ///
    /// # Errors
    ///
    /// Returns an error if there is not enough room for the names that were read so far.
    pub(super) fn count_in(&mut self, room: Room) -> io::Result<()> {
        self.room = room;
        let sizes = self.slices.iter().map(Slice::size);
        self.room.take(sizes.sum())
    }

    /// Returns the entry that is at `number` in the listing.
    pub(super) fn get(&self, number: usize) -> Known<'_> {
        match self.order.get(number) {
            Some(&(slice, number)) => {
                let slice = self.slices.get(slice as usize);
                match slice.and_then(|slice| slice.get(number as usize)) {
                    Some(entry) => Known::Found(entry),
                    None => Known::End,
                }
            }
            None if matches!(self.stage, Stage::Merging) && self.next.is_empty() => Known::End,
            None => Known::Unknown,
        }
    }

    /// Does a small part of the work that is left.
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if the directory cannot be read, or an error if there
    /// is no room for its names.
    pub(super) fn advance(&mut self) -> io::Result<()> {
        match self.stage {
            // What if this fails? The names of the slice are lost, so no client may go on.
            Stage::Reading(_) => self
                .read()
                .inspect_err(|error| self.stage = Stage::Failed(error.kind())),
            Stage::Merging => {
                self.merge();
                Ok(())
            }
            Stage::Failed(failure) => Err(failure.into()),
        }
    }

    /// Reads a slice and sorts it.
    fn read(&mut self) -> io::Result<()> {
        let mut slice = Slice::default();
        while slice.places.len() < SLICE && slice.bytes.len() < SLICE_BYTES {
            let Stage::Reading(unread) = &mut self.stage else {
                break;
            };
            match unread.next() {
                Some(entry) => slice.push(&entry?),
                None => self.stage = Stage::Merging,
            }
        }
        self.room.take(slice.size())?;
        slice.sort();
        self.slices.push(slice);
        self.await_next(self.slices.len() - 1, 0);
        Ok(())
    }

    /// Merges as many names as a slice has.
    fn merge(&mut self) {
        for _ in 0..SLICE {
            let Some(Reverse(Next { slice, number, .. })) = self.next.pop() else {
                return;
            };
            self.order.push((slice, number));
            self.await_next(slice as usize, number as usize + 1);
        }
    }

    /// Puts a name among those that may be the next, if the slice has so many.
    fn await_next(&mut self, slice: usize, number: usize) {
        if let Some(entry) = self.slices.get(slice).and_then(|slice| slice.get(number)) {
            self.next.push(Reverse(Next {
                key: key(entry.name),
                slice: slice as u32,
                number: number as u32,
            }));
        }
    }
}

/// What is known of an entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known<'a> {
    /// This is it.
    Found(Entry<'a>),
    /// Nothing yet: more names must be read or merged.
    Unknown,
    /// There is no such entry.
    End,
}

impl Slice {
    fn push(&mut self, entry: &Listed) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&entry.name);
        self.places.push(Place {
            start: start as u32,
            length: (self.bytes.len() - start) as u16,
            is_directory: entry.is_directory,
            is_symlink: entry.is_symlink,
        });
    }

    fn sort(&mut self) {
        let Slice { bytes, places } = self;
        places.sort_by_cached_key(|place| key(place.name(bytes)));
    }

    fn get(&self, number: usize) -> Option<Entry<'_>> {
        let place = self.places.get(number)?;
        Some(Entry {
            name: place.name(&self.bytes),
            is_directory: place.is_directory,
            is_symlink: place.is_symlink,
        })
    }

    /// Returns how much memory its names will take.
    fn size(&self) -> usize {
        self.bytes.len() + self.places.len() * OVERHEAD
    }
}

impl Place {
    fn name<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let start = self.start as usize;
        bytes
            .get(start..start + usize::from(self.length))
            .unwrap_or_default()
    }
}

/// Memory for names. All listings of a handler share it. What was taken is given back on drop.
#[derive(Debug)]
pub(super) struct Room {
    /// How much there is for all.
    limit: usize,
    /// How much of it all have taken.
    all: Arc<AtomicUsize>,
    /// How much of it this one has taken.
    taken: usize,
}

impl Default for Room {
    /// Room for one directory alone, without a limit.
    fn default() -> Room {
        Room::new(usize::MAX, Arc::default())
    }
}

impl Room {
    pub(super) fn new(limit: usize, all: Arc<AtomicUsize>) -> Room {
        Room {
            limit,
            all,
            taken: 0,
        }
    }

    fn take(&mut self, size: usize) -> io::Result<()> {
        let before = self.all.fetch_add(size, Ordering::Relaxed);
        self.taken += size;
        match before.saturating_add(size) > self.limit {
            true => Err(io::Error::new(
                ErrorKind::OutOfMemory,
                "the names of the directories that are being listed take too much memory",
            )),
            false => Ok(()),
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.all.fetch_sub(self.taken, Ordering::Relaxed);
    }
}
