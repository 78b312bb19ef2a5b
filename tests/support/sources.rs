//! The crate's own files, for the tests that read them as text. A path begins at the crate's root.

#![allow(dead_code)] // each test program uses its own part of this

use std::fs;
use std::path::Path;

/// Below `folder`, in order.
pub fn files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.path() {
                path if path.ends_with("target") => {} // what Cargo builds in a package below
                path if path.is_dir() => folders.push(path),
                path => {
                    let path = path.strip_prefix(root()).expect("below the root");
                    found.push(path.to_string_lossy().replace('\\', "/"));
                }
            }
        }
    }
    found.sort();
    found
}

/// The files below `folder` with this ending, for example `.rs`.
pub fn files_ending(folder: &str, ending: &str) -> Vec<String> {
    let mut found = files(folder);
    found.retain(|path| path.ends_with(ending));
    found
}

/// The Rust files below `folder`.
pub fn sources(folder: &str) -> Vec<String> {
    files_ending(folder, ".rs")
}

/// Returns whether a file has nothing but tests: it is below `tests`, or it is a module `tests`, or a
/// part of one.
pub fn is_of_tests(path: &str) -> bool {
    path.starts_with("tests/") || path.ends_with("/tests.rs") || path.contains("/tests/")
}

pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
