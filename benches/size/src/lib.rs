//! What each of the programs needs to link without an operating system.
#![no_std]

use core::alloc::{GlobalAlloc, Layout};
use core::hint::black_box;
use core::ptr;

/// The codec allocates nothing, but it implements `Sink` for `Vec`, so the linker asks for an allocator.
/// This one has no memory.
struct NoMemory;

// SAFETY: a null pointer says that there is no memory, so there is nothing that could be freed.
unsafe impl GlobalAlloc for NoMemory {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        ptr::null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: NoMemory = NoMemory;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Returns bytes of which the compiler knows nothing, as if they had come from a network.
pub fn received(buffer: &mut [u8; 1024]) -> &mut [u8] {
    black_box(&mut buffer[..])
}

/// Bytes to send, in memory of a fixed size.
pub struct Output {
    pub bytes: [u8; 1024],
    pub length: usize,
}

impl serve_forever::http::h1::Sink for Output {
    fn put(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        if let Some(room) = self.bytes.get_mut(self.length..end) {
            room.copy_from_slice(bytes);
            self.length = end;
        }
    }
}
