//! Streams of requests, read by our server and by others.
#![no_main]

use differential::judge::{Tally, judge};
use differential::verdict::Role;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Err(found) = judge(Role::Server, data, &mut Tally::default()) {
        panic!("no row explains this: {found}");
    }
});
