//! A thread of a pool as its jobs see it, and as others reach it: what is parked there.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::thread::{self, Thread};

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::socketserver::budget::complain;
use crate::socketserver::failure::catch;

/// The work that a thread runs.
pub(super) type Job = Box<dyn FnOnce(&mut Seat) + Send>;

/// The part of a thread that others reach: the queue of what only this thread may do.
pub(super) struct Home {
    /// Takes the messages about parked jobs.
    pub(super) errands: Sender<Errand>,
    /// How many jobs this thread has: the one that it runs, and those that wait for it alone.
    pub(super) load: AtomicUsize,
    /// The thread itself.
    thread: Thread,
    /// Whether it is among the sleepers of the queue. Only the queue changes it, together with them.
    pub(super) is_asleep: AtomicBool,
}

impl Home {
    /// Wakes the thread. The caller has taken it out of the sleepers.
    pub(super) fn wake(&self) {
        self.thread.unpark();
    }
}

/// A message to the thread on which a job is parked.
pub(super) enum Errand {
    /// Runs the job of this number.
    Resume(u64),
    /// Drops the job of this number.
    Discard(u64),
}

/// What a job sees of the thread that runs it.
pub(crate) struct Seat {
    /// Reaches the thread.
    pub(super) home: Arc<Home>,
    /// The jobs that are parked here.
    parked: HashMap<u64, Job>,
    /// The number of the last parked job.
    last: u64,
}

impl Seat {
    /// Creates the seat of this thread, and the end of its queue.
    pub(super) fn new() -> (Seat, Receiver<Errand>) {
        let (errands, receiver) = unbounded();
        let home = Home {
            errands,
            load: AtomicUsize::new(0),
            thread: thread::current(),
            is_asleep: AtomicBool::new(false),
        };
        let seat = Seat {
            home: Arc::new(home),
            parked: HashMap::new(),
            last: 0,
        };
        (seat, receiver)
    }

    /// Parks a job on this thread. Returns its number.
    pub(super) fn park(&mut self, job: Job) -> u64 {
        self.last += 1;
        self.parked.insert(self.last, job);
        self.last
    }

    /// Runs or drops a parked job.
    pub(super) fn run(&mut self, errand: Errand) {
        let (Errand::Resume(number) | Errand::Discard(number)) = errand;
        let Some(job) = self.parked.remove(&number) else {
            return;
        };
        match errand {
            Errand::Resume(_) => survive("a job of a pool", || job(self)),
            Errand::Discard(_) => discard(job),
        }
    }

    /// The thread ends: drops the jobs that are parked, here, where they belong.
    pub(super) fn close(&mut self) {
        for (_, job) in mem::take(&mut self.parked) {
            discard(job);
        }
    }
}

/// Drops a job that has not run. Dropping what it owns may panic ([design law 10]).
///
/// [design law 10]: crate::spec#law-10
pub(super) fn discard(job: Job) {
    survive("a job that was dropped", move || drop(job));
}

/// Runs `step`, and logs its panic if there is one.
pub(super) fn survive(what: &str, step: impl FnOnce()) {
    if let Err(panic) = catch(step) {
        complain(what, panic);
    }
}
