//! Wake-ups that are held back until the turn of a loop ends.
//!
//! A turn of the loop may hand many jobs to a pool. What if each of them woke a thread at once? On a
//! busy machine that thread would take the loop's processor, run one job and sleep again: two
//! switches between threads for each request. So the loop wakes a thread once, when its turn ends.
//! Threads that are awake take jobs immediately.

use std::cell::Cell;
use std::mem;
use std::sync::Arc;

use super::shared::Shared;

/// The wake-ups that this thread holds back.
#[derive(Default)]
enum Held {
    /// None: it wakes immediately.
    #[default]
    Never,
    /// None so far.
    Nothing,
    /// That of a thread of this pool.
    Pool(Arc<Shared>),
}

thread_local! {
    /// What this thread holds back. The handlers that it calls submit jobs, and do not know its loop.
    static HELD: Cell<Held> = const { Cell::new(Held::Never) };
}

/// While this exists, the jobs that requests hand to a pool on this thread wake no thread. When it is
/// dropped, they do.
pub(crate) struct HeldWakeUps {
    /// What is held afterwards: none, or none so far if this is a loop in the turn of another.
    before: Held,
}

impl HeldWakeUps {
    /// Begins to hold wake-ups back. What if a handler runs a loop of its own? Then the jobs of the
    /// outer turn begin now, because the inner loop may run for long.
    pub(crate) fn begin() -> HeldWakeUps {
        let_go();
        HeldWakeUps {
            before: replace(Held::Nothing),
        }
    }
}

impl Drop for HeldWakeUps {
    fn drop(&mut self) {
        release(replace(mem::take(&mut self.before)));
    }
}

/// Wakes a thread of this pool: now, or when the loop's turn ends.
pub(super) fn wake_one(shared: &Arc<Shared>) {
    match replace(Held::Never) {
        Held::Nothing => {
            replace(Held::Pool(Arc::clone(shared)));
        }
        // One pool is enough to hold: few programs have two.
        other => {
            let is_held = matches!(&other, Held::Pool(held) if Arc::ptr_eq(held, shared));
            replace(other);
            if !is_held {
                shared.queue.wake_one();
            }
        }
    }
}

/// Wakes the threads that are held back. The caller is going to wait for them.
pub(super) fn let_go() {
    match replace(Held::Never) {
        Held::Never => {}
        held => {
            replace(Held::Nothing);
            release(held);
        }
    }
}

/// Changes what this thread holds back, and returns what that was. At the end of the thread it may hold
/// nothing any more.
fn replace(held: Held) -> Held {
    HELD.try_with(|cell| cell.replace(held)).unwrap_or_default()
}

fn release(held: Held) {
    if let Held::Pool(shared) = held {
        shared.queue.wake_one();
    }
}
