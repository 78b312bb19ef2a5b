//! The buffers between TLS and the protocol inside, one pair for each thread.

use std::cell::Cell;

use crate::socketserver::buffer::Buffer;

/// A buffer that has grown beyond this is not kept: twice what one read of a connection returns.
pub(super) const KEPT: usize = 128 * 1024;

thread_local! {
    /// The pair of this thread. It is not in the connections, because an idle one must not keep a
    /// buffer ([design law 6]).
    ///
    /// [design law 6]: crate::spec#law-6
    static SCRATCH: Cell<Scratch> = Cell::default();
}

/// Plaintext on its way.
#[derive(Default)]
pub(super) struct Scratch {
    /// From the client.
    pub(super) input: Buffer,
    /// To the client.
    pub(super) output: Buffer,
}

impl Scratch {
    /// Takes the pair of this thread. Both are empty.
    pub(super) fn take() -> Scratch {
        // At the end of a thread there is none.
        SCRATCH.try_with(Cell::take).unwrap_or_default()
    }

    /// Gives the pair back.
    pub(super) fn put_back(mut self) {
        for buffer in [&mut self.input, &mut self.output] {
            match buffer.capacity() > KEPT {
                true => *buffer = Buffer::new(),
                false => buffer.clear(),
            }
        }
        let _ = SCRATCH.try_with(|scratch| scratch.set(self));
    }
}
