//! Where the guide's programs are.

#![allow(dead_code)] // each test program uses its own part of this

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Each is `examples/guide/{step}.rs`, `src/guide/{step}.md`, and the example `guide_{step}`. With its
/// exercises solved it is `examples/guide/solved/{step}.rs`, and the example `guide_{step}_solved`.
pub const STEPS: [&str; 8] = [
    "1_select",
    "2_reactor",
    "3_loop",
    "4_stopping",
    "5_handlers",
    "6_protocol",
    "7_http",
    "8_wsgi",
];

/// Returns the path of a program, for example of `guide_1_select`.
///
/// `cargo test` has built it, `cargo test --test guide` has not. So Cargo is asked to build what is
/// missing or old; if that is nothing, it takes a moment.
pub fn path(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(build).join(name)
}

fn build() -> PathBuf {
    // This program is target/PROFILE/deps/guide-….
    let this = std::env::current_exe().expect("a path");
    let output = this.parent().and_then(Path::parent).expect("a folder");
    let profile = match output.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        profile => profile.expect("a profile"),
    };
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let mut build = Command::new(cargo);
    build.current_dir(env!("CARGO_MANIFEST_DIR"));
    build.args(["build", "--quiet", "--profile", profile, "--target-dir"]);
    build.arg(output.parent().expect("a folder"));
    for step in STEPS {
        for example in [format!("guide_{step}"), format!("guide_{step}_solved")] {
            build.args(["--example", &example]);
        }
    }
    let status = build.status().expect("Cargo starts");
    assert!(status.success(), "the programs of the guide do not compile");
    output.join("examples")
}
