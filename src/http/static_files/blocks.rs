//! The blocks in which a long range of a file is read and sent.
//!
//! The faster the client takes them, the larger they become. Their memory is used again: for later blocks of
//! the same response, and then for those of other responses.

use std::io::{self, ErrorKind, Read};
use std::iter;
use std::sync::{Arc, Mutex};

use crate::socketserver::Block;

/// The largest block of a file. Larger ones are hardly faster (measured).
const LARGEST_BLOCK: usize = 128 * 1024;

/// The smallest block of a file, for a client that does not take them.
const SMALLEST_BLOCK: usize = 16 * 1024;

/// How many of the largest blocks are kept for later responses: 1 MiB of memory.
const MOST_SPARE: usize = 8;

/// Memory of blocks, for the next responses. All clones of a handler share it.
///
/// Without it, the allocator gives the memory of each response back to the system, and the system clears it
/// for the next one, page by page. The lock is only tried, so nobody waits for it.
#[derive(Debug, Default)]
pub(super) struct SpareBlocks(Mutex<Vec<Arc<[u8]>>>);

impl SpareBlocks {
    /// Returns memory for a block of `size` bytes, which nothing else has. It may be twice as large.
    fn take(&self, size: usize) -> Option<Arc<[u8]>> {
        let mut spare = self.0.try_lock().ok()?;
        let fits = |memory: &mut Arc<[u8]>| memory.len() / 2 <= size && is_free(memory, size);
        let place = spare.iter_mut().position(fits)?;
        Some(spare.swap_remove(place))
    }

    /// Keeps large blocks. The last ones of a response may still be on their way to the client.
    fn keep(&self, blocks: &mut Vec<Arc<[u8]>>) {
        if let Ok(mut spare) = self.0.try_lock() {
            let large = |memory: &Arc<[u8]>| memory.len() == LARGEST_BLOCK;
            spare.extend(blocks.drain(..).filter(large));
            spare.truncate(MOST_SPARE);
        }
    }
}

/// The blocks of one response.
///
/// If a block is sent when the next is asked for, the client is fast, and the next is twice as large: a
/// few large writes cost less than many small ones. If it is not, the next is half as large. So a
/// response to a slow client needs little memory.
#[derive(Debug)]
pub(super) struct Blocks {
    /// The memory of the last blocks, at most two. A block that was sent gives its memory to a later
    /// one.
    memory: Vec<Arc<[u8]>>,
    /// The size of the next block.
    size: usize,
    /// Memory that other responses have left.
    spare: Arc<SpareBlocks>,
}

impl Blocks {
    /// Returns the blocks for `length` bytes. What fits into one block leaves at once, with the head.
    pub(super) fn new(length: u64, spare: &Arc<SpareBlocks>) -> Blocks {
        let fits = length <= LARGEST_BLOCK as u64;
        Blocks {
            memory: Vec::new(),
            size: if fits {
                LARGEST_BLOCK
            } else {
                LARGEST_BLOCK / 2
            },
            spare: Arc::clone(spare),
        }
    }

    /// Reads the next block, at least one byte. Returns `None` if the file ends before that.
    pub(super) fn read(&mut self, reader: &mut impl Read) -> io::Result<Option<Block>> {
        let mut memory = self.free_memory();
        let size = self.size;
        let room = Arc::make_mut(&mut memory);
        let count = loop {
            match reader.read(&mut room[..size]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                count => break count?,
            }
        };
        self.memory.push(Arc::clone(&memory));
        let mut block = Block::from(memory);
        block.truncate(count);
        Ok((count > 0).then_some(block))
    }

    /// Chooses the size of the next block. Returns memory for it, which no other block has.
    fn free_memory(&mut self) -> Arc<[u8]> {
        self.size = match self.memory.last_mut().map(|memory| is_free(memory, 0)) {
            None => self.size,
            Some(true) => (self.size * 2).min(LARGEST_BLOCK),
            Some(false) => (self.size / 2).max(SMALLEST_BLOCK),
        };
        let size = self.size;
        self.memory.retain(|memory| memory.len() <= 2 * size);
        let free = self
            .memory
            .iter_mut()
            .position(|memory| is_free(memory, size));
        match free {
            Some(free) => self.memory.remove(free),
            None => {
                if self.memory.len() > 1 {
                    self.memory.remove(0);
                }
                let spare = self.spare.take(size);
                spare.unwrap_or_else(|| iter::repeat_n(0, size).collect())
            }
        }
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        if !self.memory.is_empty() {
            self.spare.keep(&mut self.memory);
        }
    }
}

/// Returns whether nothing else has this memory, and it has room for a block of `size` bytes.
fn is_free(memory: &mut Arc<[u8]>, size: usize) -> bool {
    memory.len() >= size && Arc::get_mut(memory).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads blocks as large as they are asked for, each filled with a number of its own.
    struct Numbers(u8);

    impl Read for Numbers {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            bytes.fill(self.0);
            self.0 += 1;
            Ok(bytes.len())
        }
    }

    /// Law 7: a client that takes its blocks gets larger ones, and one that does not gets smaller ones.
    /// A block that is not sent yet keeps its bytes.
    #[test]
    fn the_client_decides_how_large_the_blocks_are() {
        let (mut blocks, mut reader) = (Blocks::new(u64::MAX, &Arc::default()), Numbers(0));
        let (mut held, mut sizes) = (Vec::new(), Vec::new());
        for step in 0..10 {
            let block = blocks.read(&mut reader).expect("it can be read");
            let block = block.expect("there is more");
            assert!(block.iter().all(|&byte| byte == step), "block {step}");
            sizes.push(block.len() / 1024);
            match step {
                3..=6 => held.push(block),
                7 => {
                    let first = held.drain(..).map(|block| block[0]);
                    assert_eq!(first.collect::<Vec<_>>(), [3, 4, 5, 6]);
                }
                _ => {}
            }
        }
        assert_eq!(sizes, [64, 128, 128, 128, 64, 32, 16, 16, 32, 64]);
        assert_eq!(blocks.memory.len(), 2);
        for (length, size) in [(128 * 1024, 128), (128 * 1024 + 1, 64)] {
            let mut blocks = Blocks::new(length, &Arc::default());
            let block = blocks.read(&mut reader).expect("it can be read");
            assert_eq!(block.map(|block| block.len() / 1024), Some(size));
        }
    }

    /// Law 7: the memory of a response serves the next one, but not before its last block is sent.
    #[test]
    fn the_next_response_takes_the_same_memory() {
        let (spare, mut reader) = (Arc::default(), Numbers(0));
        let mut read = |blocks: &mut Blocks| blocks.read(&mut reader).expect("read").expect("more");
        let mut blocks = Blocks::new(u64::MAX, &spare);
        drop(read(&mut blocks));
        let last = read(&mut blocks);
        let memory = last.as_ptr();
        drop(blocks);
        let mut blocks = Blocks::new(u64::MAX, &spare);
        let other = read(&mut blocks);
        assert_ne!(other.as_ptr(), memory);
        assert!(last.iter().all(|&byte| byte == 1));
        drop((other, blocks, last));
        let mut blocks = Blocks::new(u64::MAX, &spare);
        assert_eq!(read(&mut blocks).as_ptr(), memory);
        // However many responses there are at once, only some of their blocks are kept.
        let mut all: Vec<Blocks> = (0..20).map(|_| Blocks::new(u64::MAX, &spare)).collect();
        for blocks in &mut all {
            drop(read(blocks));
            drop(read(blocks));
        }
        drop(all);
        assert_eq!(spare.0.lock().expect("no panic").len(), MOST_SPARE);
    }
}
