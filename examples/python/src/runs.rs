//! Who runs the loop, and when that has ended.

use std::sync::{Condvar, Mutex};
use std::thread::{self, ThreadId};
use std::time::Instant;

use crate::lock::{lock, recover};

/// The runs of a loop: at most one at a time.
#[derive(Debug, Default)]
pub struct Runs {
    state: Mutex<RunState>,
    has_ended: Condvar,
}

#[derive(Debug, Default)]
struct RunState {
    /// The thread of the run, if there is one.
    thread: Option<ThreadId>,
    /// How many runs have ended.
    ended: u64,
}

/// A run. It ends when it is dropped.
#[derive(Debug)]
pub struct Run<'a>(&'a Runs);

impl Runs {
    /// Begins a run on this thread. `None`: there is one.
    pub fn begin(&self) -> Option<Run<'_>> {
        let mut state = lock(&self.state);
        if state.thread.is_some() {
            return None;
        }
        state.thread = Some(thread::current().id());
        Some(Run(self))
    }

    /// Returns the number of the present run, if it is on another thread.
    pub fn on_other_thread(&self) -> Option<u64> {
        let state = lock(&self.state);
        let thread = state.thread?;
        (thread != thread::current().id()).then_some(state.ended)
    }

    /// Waits until `run` has ended, but not longer than `until`. Returns whether it has.
    pub fn wait(&self, run: Option<u64>, until: Option<Instant>) -> bool {
        let mut state = lock(&self.state);
        while run == Some(state.ended) {
            state = match until {
                None => recover(self.has_ended.wait(state)),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return false;
                    }
                    recover(self.has_ended.wait_timeout(state, left)).0
                }
            };
        }
        true
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.thread = None;
        state.ended += 1;
        self.0.has_ended.notify_all();
    }
}
