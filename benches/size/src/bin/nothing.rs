//! No HTTP: what the other programs have as well.
#![no_std]
#![no_main]

use core::hint::black_box;

use size::received;

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    loop {
        black_box(received(&mut [0; 1024]));
    }
}
