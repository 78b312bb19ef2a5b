//! Streams of responses, read by our client and by others.
#![no_main]

use differential::judge::{Tally, judge};
use differential::verdict::Role;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for role in Role::CLIENTS {
        if let Err(found) = judge(role, data, &mut Tally::default()) {
            panic!("no row explains this: {found}");
        }
    }
});
