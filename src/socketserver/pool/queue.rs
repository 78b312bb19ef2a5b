//! The jobs that wait for any thread of a pool, and the threads that wait for something to do.
//!
//! The jobs are in a channel. A thread that finds nothing to do joins the sleepers, looks once more,
//! and parks. Whoever brings work wakes one sleeper, and that one wakes the next if there is more
//! work. So a submitter wakes one thread at most, however many jobs it brings, and takes no lock if
//! every thread is busy.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicUsize, fence};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::seat::{Home, Job};

/// The jobs that wait for any thread, and the threads that sleep. A `None` ends the thread that
/// receives it.
pub(super) struct Queue {
    /// The submitters' end.
    sender: Sender<Option<Job>>,
    /// The threads' end.
    pub(super) receiver: Receiver<Option<Job>>,
    /// The threads that sleep. The last one to fall asleep is woken first: its memory is still in the
    /// processor's cache.
    sleepers: Mutex<Vec<Arc<Home>>>,
    /// How many threads sleep.
    sleeping: AtomicUsize,
}

impl Default for Queue {
    fn default() -> Queue {
        let (sender, receiver) = unbounded();
        Queue {
            sender,
            receiver,
            sleepers: Mutex::default(),
            sleeping: AtomicUsize::new(0),
        }
    }
}

impl Queue {
    /// Queues a job, or the end of a thread, and wakes a thread for it.
    pub(super) fn send(&self, message: Option<Job>) {
        self.put(message);
        self.wake_one();
    }

    /// Queues a job without waking a thread. Call [`wake_one`](Self::wake_one) soon.
    pub(super) fn put(&self, message: Option<Job>) {
        // Ignore the error: sending fails only without a receiver, and the queue owns one.
        let _ = self.sender.send(message);
    }

    /// Takes the oldest job, or the end of a thread; `None` if nothing waits.
    pub(super) fn take(&self) -> Option<Option<Job>> {
        self.receiver.try_recv().ok()
    }

    /// Wakes a thread, if one sleeps, for a job that was queued before this call.
    pub(super) fn wake_one(&self) {
        // Together with the fence in `sleep`: either this sees the sleeper, or its last look sees the
        // job.
        fence(SeqCst);
        if self.sleeping.load(SeqCst) > 0 {
            let sleeper = self.take_sleeper(|sleepers| sleepers.len().checked_sub(1));
            sleeper.inspect(|home| home.wake());
        }
    }

    /// Wakes the thread `home`, if it sleeps, for an errand that was sent before this call.
    pub(super) fn wake(&self, home: &Arc<Home>) {
        fence(SeqCst); // as in `wake_one`
        if self.sleeping.load(SeqCst) > 0 {
            let sleeper = self.take_sleeper(|sleepers| place_of(home, sleepers));
            sleeper.inspect(|home| home.wake());
        }
    }

    /// Puts this thread to sleep until it is woken, unless it `has_work`.
    pub(super) fn sleep(&self, home: &Arc<Home>, has_work: impl Fn() -> bool) {
        self.change(|sleepers| {
            home.is_asleep.store(true, SeqCst);
            sleepers.push(Arc::clone(home));
        });
        fence(SeqCst);
        if has_work() {
            // What if somebody has just taken it out? Then the work is there, and it looks anyway.
            self.take_sleeper(|sleepers| place_of(home, sleepers));
            return;
        }
        // What if something else has unparked this thread? Then it is still among the sleepers.
        while home.is_asleep.load(SeqCst) {
            thread::park();
        }
    }

    /// Returns how many threads sleep.
    #[cfg(test)]
    pub(super) fn sleeping(&self) -> usize {
        self.sleeping.load(SeqCst)
    }

    /// Takes the sleeper out that is at the place that `choose` returns. The caller wakes it.
    ///
    /// It counts as awake immediately, not only when it is woken. It may sleep again by then: it
    /// would end that sleep, but stay among the sleepers, and be woken for jobs while it runs one.
    pub(super) fn take_sleeper(
        &self,
        choose: impl FnOnce(&[Arc<Home>]) -> Option<usize>,
    ) -> Option<Arc<Home>> {
        self.change(|sleepers| {
            let home = sleepers.swap_remove(choose(sleepers)?);
            home.is_asleep.store(false, SeqCst);
            Some(home)
        })
    }

    /// Changes who sleeps.
    fn change<R>(&self, change: impl FnOnce(&mut Vec<Arc<Home>>) -> R) -> R {
        // A panic cannot leave the list half changed.
        let mut sleepers = self.sleepers.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut sleepers);
        self.sleeping.store(sleepers.len(), SeqCst);
        result
    }
}

fn place_of(home: &Arc<Home>, sleepers: &[Arc<Home>]) -> Option<usize> {
    sleepers.iter().position(|it| Arc::ptr_eq(it, home))
}
