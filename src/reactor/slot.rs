//! The name of a source.

/// The name of one source on a [`Reactor`](super::Reactor).
///
/// It says where the source is, and which of the sources that were ever there it is. So a name
/// that outlives its source finds nothing, although another source has the place by then ([RT-4]).
///
/// [RT-4]: crate::spec#rt-4
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Slot {
    /// The place.
    pub(super) index: u32,
    /// How many sources had the place before.
    pub(super) generation: u32,
}

impl Slot {
    /// Returns the place, a number below [`Reactor::capacity`](super::Reactor::capacity). It is
    /// used again after the source is closed.
    pub fn index(self) -> usize {
        self.index as usize
    }

    /// Returns a number that differs between the sources that have had the same place.
    pub fn generation(self) -> u32 {
        self.generation
    }
}
