//! The blocks in a buffer that were not copied into it.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};

use crate::socketserver::block::Block;

/// A block of at least this many bytes is kept as it is. Copying a smaller one costs little, compared
/// with the system call that sends it.
pub(super) const LARGE: usize = 16 * 1024;

/// The most pieces that one write takes. More would be sent by the next write.
const PIECES: usize = 8;

/// The blocks that were not copied, in the order of their places among the buffer's own bytes.
#[derive(Default)]
pub(super) struct Kept {
    /// Whether blocks may be kept.
    pub(super) allowed: bool,
    /// The blocks.
    blocks: VecDeque<KeptBlock>,
    /// How many bytes the blocks have in all.
    length: usize,
}

/// A block and its place.
struct KeptBlock {
    /// How many of the buffer's own bytes are between this block and the one before it.
    gap: usize,
    /// The block, without the bytes that are sent. It is not empty.
    block: Block,
}

impl Kept {
    pub(super) fn length(&self) -> usize {
        self.length
    }

    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.blocks.clear();
        self.length = 0;
    }

    /// Appends a block behind `own` bytes of the buffer's own.
    pub(super) fn push(&mut self, block: Block, own: usize) {
        let gaps: usize = self.blocks.iter().map(|kept| kept.gap).sum();
        self.length += block.count();
        let gap = own - gaps;
        self.blocks.push_back(KeptBlock { gap, block });
    }

    /// Takes the first block and the number of own bytes before it.
    pub(super) fn pop(&mut self) -> Option<(usize, Block)> {
        let KeptBlock { gap, block } = self.blocks.pop_front()?;
        self.length -= block.count();
        Some((gap, block))
    }

    /// Returns the first bytes that lie together. `own` are the buffer's own bytes.
    #[cfg(feature = "tls")]
    pub(super) fn first_piece<'a>(&'a self, own: &'a [u8]) -> &'a [u8] {
        match self.blocks.front() {
            Some(first) if first.gap == 0 => &first.block,
            Some(first) => &own[..first.gap],
            None => own,
        }
    }

    /// Passes all bytes to one `write`, in their order. `own` are the buffer's own bytes.
    #[inline(never)] // most output has no such blocks, and the way of that stays short
    pub(super) fn write_to(&self, mut own: &[u8], sink: &mut impl Write) -> io::Result<usize> {
        let mut pieces = [IoSlice::new(&[]); PIECES];
        let mut count = 0;
        for kept in self.blocks.iter().take(PIECES / 2) {
            let (before, after) = own.split_at(kept.gap);
            for piece in [before, &kept.block] {
                if !piece.is_empty() {
                    pieces[count] = IoSlice::new(piece);
                    count += 1;
                }
            }
            own = after;
        }
        if self.blocks.len() < PIECES / 2 && !own.is_empty() {
            pieces[count] = IoSlice::new(own);
            count += 1;
        }
        sink.write_vectored(&pieces[..count])
    }

    /// Drops `count` bytes from the front. Returns how many of them were the buffer's own.
    #[inline(never)] // as above
    pub(super) fn consume(&mut self, count: usize) -> usize {
        let (mut left, mut own) = (count, 0);
        while let Some(KeptBlock { gap, block }) = self.blocks.front_mut() {
            let before = left.min(*gap);
            *gap -= before;
            own += before;
            left -= before;
            let taken = left.min(block.count());
            block.consume(taken);
            self.length -= taken;
            left -= taken;
            if block.count() > 0 {
                return own;
            }
            self.blocks.pop_front();
        }
        own + left
    }

    /// Keeps only the first `length` bytes. Returns how many of them are the buffer's own, of which
    /// there were `own`.
    pub(super) fn truncate(&mut self, length: usize, own: usize) -> usize {
        let (mut left, mut kept_own) = (length, 0);
        for index in 0..self.blocks.len() {
            let KeptBlock { gap, block } = &mut self.blocks[index];
            let before = left.min(*gap);
            kept_own += before;
            left -= before;
            let kept = left.min(block.count());
            if kept < block.count() {
                block.truncate(kept);
                let dropped = if kept > 0 { index + 1 } else { index };
                self.blocks.truncate(dropped);
                self.length = self.blocks.iter().map(|kept| kept.block.count()).sum();
                return kept_own;
            }
            left -= kept;
        }
        own.min(kept_own + left)
    }
}
