//! What happened, in order, as words.

use std::sync::{Arc, Condvar, Mutex};

use super::patience::PATIENCE;

/// What happened, in order, as words; shared by all who take part.
#[derive(Clone, Default)]
pub struct Trace(Arc<(Mutex<Vec<String>>, Condvar)>);

impl Trace {
    pub fn note(&self, word: impl Into<String>) {
        self.0.0.lock().expect("no panic in here").push(word.into());
        self.0.1.notify_all();
    }

    /// What happened since the last time this was asked.
    pub fn take(&self) -> String {
        let words = std::mem::take(&mut *self.0.0.lock().expect("no panic in here"));
        words.join(" ")
    }

    pub fn count(&self, word: &str) -> usize {
        let words = self.0.0.lock().expect("no panic in here");
        count(&words, word)
    }

    /// Waits until `word` has been noted `times` times.
    pub fn wait_for(&self, word: &str, times: usize) {
        let words = self.0.0.lock().expect("no panic in here");
        let missing = |words: &mut Vec<String>| count(words, word) < times;
        let waited = self.0.1.wait_timeout_while(words, PATIENCE, missing);
        let (words, ended) = waited.expect("no panic in here");
        let words = words.join(" ");
        assert!(!ended.timed_out(), "no {word:?} × {times} in {words:?}");
    }
}

fn count(words: &[String], word: &str) -> usize {
    words.iter().filter(|noted| *noted == word).count()
}
