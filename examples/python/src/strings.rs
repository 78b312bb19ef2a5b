//! The keys and values of an environ as Python strings. Frequent ones are used again.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// How many names of header fields are kept as Python strings. Clients choose them, so there is a
/// limit.
const KEPT_KEYS: usize = 256;

/// Keys that were used before. A dictionary finds a key faster if it is the same object.
#[derive(Debug, Default)]
pub struct Keys(HashMap<String, Py<PyString>, BuildHasherDefault<KeyHasher>>);

impl Keys {
    /// Returns `key` as a Python string, one that was used before if possible.
    pub fn known<'py>(&mut self, py: Python<'py>, key: &str) -> Bound<'py, PyString> {
        if let Some(known) = self.0.get(key) {
            return known.bind(py).clone();
        }
        let string = PyString::intern(py, key);
        if self.0.len() < KEPT_KEYS {
            self.0.insert(key.to_owned(), string.clone().unbind());
        }
        string
    }
}

/// Returns `value` as a Python string. The most frequent ones exist already.
pub fn value_of<'py>(py: Python<'py>, value: &str) -> Bound<'py, PyString> {
    match value {
        "GET" => intern!(py, "GET").clone(),
        "POST" => intern!(py, "POST").clone(),
        "HTTP/1.1" => intern!(py, "HTTP/1.1").clone(),
        value => PyString::new(py, value),
    }
}

/// A fast hash for few short keys. It need not withstand clients that choose the keys, because
/// there are at most [`KEPT_KEYS`].
#[derive(Debug, Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            let word = u64::from_le_bytes(word) ^ chunk.len() as u64;
            self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}
