//! A folder for the files of a test.

use std::fs;
use std::path::PathBuf;

/// A folder that is removed in the end.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Folder(path.canonicalize().expect("it is there"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Ignore the error: the next boot cleans up.
        let _ = fs::remove_dir_all(&self.0);
    }
}
