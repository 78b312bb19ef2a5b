//! Reads the head of a request, with its framing.
#![no_std]
#![no_main]

use core::hint::black_box;

use serve_forever::http::h1::{FieldStorage, HeadLimits, Scanner};
use size::received;

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let limits = HeadLimits::default();
    loop {
        let mut buffer = [0; 1024];
        let mut storage = FieldStorage::new();
        let found = Scanner::default().head(received(&mut buffer), &mut storage, &limits);
        let _ = black_box(found);
    }
}
