//! What a machine may not have. A test that needs it says that it did not run.

use std::io::Write;
use std::net::{Ipv6Addr, TcpListener};

/// Says it even if the test passes: `cargo test` hides only what the macros for printing write.
pub fn not_tested(test: &str, missing: &str) {
    let _ = writeln!(
        std::io::stderr(),
        "NOT TESTED: {test}: there is no {missing} here"
    );
}

/// Returns whether there is IPv6. If there is none, `test` does not run.
pub fn has_ipv6(test: &str) -> bool {
    let has = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if !has {
        not_tested(test, "IPv6");
    }
    has
}
