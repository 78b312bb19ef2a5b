//! The buffers that all connections of a loop share, so that the allocator is not asked in each turn.

use super::transfer::READ;
use crate::socketserver::buffer::Buffer;

/// The most buffers for output that are spare. Few connections fill one at the same time.
const SPARE: usize = 8;

/// A buffer that has grown beyond this is not kept for another turn.
const LARGEST: usize = 2 * READ;

/// The buffers that all connections of a loop share, one turn at a time.
///
/// Output that a stream does not take leaves with its connection, often in the buffer where it is. The
/// buffer comes back when the output is sent ([design law 6]).
///
/// [design law 6]: crate::spec#law-6
#[derive(Debug)]
pub(crate) struct Scratch {
    /// Receives the bytes of each read.
    pub(super) input: Buffer,
    /// Empty buffers for output, the largest last. That is the one that is used next.
    outputs: Vec<Buffer>,
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch {
            input: Buffer::with_capacity(READ),
            outputs: Vec::new(),
        }
    }
}

impl Scratch {
    /// Takes an empty buffer that collects the output of a turn.
    pub(super) fn take_output(&mut self) -> Buffer {
        self.outputs.pop().unwrap_or_default()
    }

    /// Takes a buffer in the place of `output`, which is empty, if that has less memory.
    pub(super) fn enlarge(&mut self, output: &mut Buffer) {
        let last = self.outputs.last().map_or(0, Buffer::capacity);
        if output.capacity() < last {
            *output = self.take_output();
        }
    }

    /// Takes an empty buffer back. One that was made to fit what was left is not worth keeping.
    #[inline]
    pub(super) fn give_back(&mut self, output: Buffer) {
        let last = self.outputs.last().map_or(0, Buffer::capacity);
        let fits = (last..=LARGEST).contains(&output.capacity());
        if fits && self.outputs.len() < SPARE {
            self.outputs.push(output);
        }
    }

    /// Takes all bytes out of `output`, to be kept by a connection. What if an eighth of it is
    /// unused? Then they move into a buffer that is no larger than it has to be: memory follows what is
    /// there ([design law 7]). A buffer that has grown very large stays, because moving its bytes would
    /// take long.
    ///
    /// [design law 7]: crate::spec#law-7
    pub(super) fn part_with(&mut self, mut output: Buffer) -> Buffer {
        let own = output[..].len(); // without blocks that are elsewhere
        if own >= output.capacity() / 8 * 7 || output.capacity() > LARGEST {
            return output;
        }
        let bytes = output.split_off_to_fit();
        self.give_back(output);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(scratch: &mut Scratch, length: usize) -> Buffer {
        let mut output = scratch.take_output();
        output.extend_from_slice(&vec![b'x'; length]);
        output
    }

    /// A buffer is used again, by whichever connection comes next.
    #[test]
    fn a_buffer_comes_back() {
        let mut scratch = Scratch::default();
        let mut first = filled(&mut scratch, 5000);
        let place = first.as_ptr();
        first.clear();
        scratch.give_back(first);
        assert_eq!(filled(&mut scratch, 5000).as_ptr(), place);
    }

    /// Law 7: what a connection keeps follows what is there.
    #[test]
    fn much_stays_where_it_is_and_little_moves() {
        let mut scratch = Scratch::default();
        let much = filled(&mut scratch, 5000);
        let place = much.as_ptr();
        let mut much = scratch.part_with(much);
        assert_eq!((much.as_ptr(), much.len()), (place, 5000));

        much.consume(4999);
        let little = scratch.part_with(much);
        assert!(little.len() == 1 && little.capacity() < 1000);
        assert_eq!(filled(&mut scratch, 5000).as_ptr(), place, "it came back");
    }

    /// A buffer that only fitted is replaced before more is written, and is not used again.
    #[test]
    fn a_small_buffer_is_not_kept() {
        let mut scratch = Scratch::default();
        let mut large = filled(&mut scratch, 5000);
        large.clear();
        scratch.give_back(large);
        let mut small = Buffer::with_capacity(10);
        scratch.enlarge(&mut small);
        assert_eq!(small.capacity(), 5000);
        scratch.give_back(small);
        scratch.give_back(Buffer::with_capacity(10));
        assert_eq!(scratch.take_output().capacity(), 5000);
        assert_eq!(scratch.take_output().capacity(), 0);
    }

    /// What one response needed is not kept for ever, and neither is what many needed at once.
    #[test]
    fn few_buffers_are_spare_and_none_is_huge() {
        let mut scratch = Scratch::default();
        scratch.give_back(Buffer::with_capacity(LARGEST + 1));
        assert_eq!(scratch.take_output().capacity(), 0);
        for _ in 0..2 * SPARE {
            scratch.give_back(Buffer::with_capacity(LARGEST));
        }
        assert_eq!(scratch.outputs.len(), SPARE);
    }
}
