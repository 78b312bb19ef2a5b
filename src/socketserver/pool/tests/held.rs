//! Wake-ups that wait for the end of a loop's turn.

use std::cell::Cell;
use std::sync::Barrier;

use super::*;
use crate::socketserver::pool::held::HeldWakeUps;

/// A pool of so many threads, all of which sleep.
fn asleep(threads: usize) -> Pool {
    let pool = Pool::new().threads(threads);
    meet(&pool, threads);
    fall_asleep(&pool, threads);
    pool
}

fn fall_asleep(pool: &Pool, threads: usize) {
    let queue = &pool.handle.0.queue;
    wait_until("asleep", || queue.sleeping() == threads);
}

/// Queues jobs each of which waits for all the others, and returns where the last of them says so.
fn meet(pool: &Pool, jobs: usize) -> Receiver<&'static str> {
    let (sender, receiver) = unbounded();
    let barrier = Arc::new(Barrier::new(jobs));
    for _ in 0..jobs {
        let (barrier, sender) = (Arc::clone(&barrier), sender.clone());
        let job = move |(), _place, _seat: &mut Seat| {
            if barrier.wait().is_leader() {
                say(&sender, "met");
            }
        };
        let submitted = pool.submit_seated((), job);
        submitted.map_err(|((), error)| error).expect("room");
    }
    receiver
}

/// THREAD-13: the jobs of a turn wake one thread when it ends. It wakes the next, so jobs that block do
/// not wait for each other.
#[test]
fn the_end_of_a_turn_wakes_as_many_threads_as_there_are_jobs() {
    let pool = asleep(3);
    let held = HeldWakeUps::begin();
    let met = meet(&pool, 3);
    assert_eq!((pool.waiting(), pool.handle.0.queue.sleeping()), (3, 3));
    drop(held);
    assert_eq!(heard(&met), "met");
}

/// THREAD-13: a handler that runs a loop of its own, or waits for the pool, has its jobs run.
#[test]
fn waiting_for_jobs_of_this_turn_wakes_the_threads() {
    let pool = asleep(1);
    let outer = HeldWakeUps::begin();
    let inner = HeldWakeUps::begin();
    let met = meet(&pool, 1);
    drop(inner);
    assert_eq!(heard(&met), "met");
    fall_asleep(&pool, 1);
    let met = meet(&pool, 1);
    assert!(pool.wait_until_idle(Some(PATIENCE)));
    assert_eq!(heard(&met), "met");
    drop(outer);
}

/// THREAD-13: a handler that runs a loop of its own does not keep the jobs of its turn from beginning.
#[test]
fn an_inner_loop_lets_the_jobs_of_the_outer_turn_begin() {
    let pool = asleep(1);
    let outer = HeldWakeUps::begin();
    let met = meet(&pool, 1);
    let inner = HeldWakeUps::begin();
    assert_eq!(heard(&met), "met");
    drop((inner, outer));
}

/// A thread that has run a loop may join a pool when it drops its last values.
#[test]
fn a_pool_is_joined_at_the_end_of_a_thread() {
    struct Joins(Pool, Sender<bool>);

    impl Drop for Joins {
        fn drop(&mut self) {
            let idle = self.0.wait_until_idle(Some(PATIENCE));
            self.1.send(idle).expect("awaited");
        }
    }

    thread_local!(static LAST: Cell<Option<Joins>> = const { Cell::new(None) });

    let (sender, receiver) = unbounded();
    let pool = asleep(1);
    thread::spawn(move || {
        LAST.set(Some(Joins(pool, sender)));
        drop(HeldWakeUps::begin());
    });
    assert!(heard(&receiver));
}

/// THREAD-13: a job that the program submits by itself begins at once, and so do those of a second
/// pool.
#[test]
fn only_the_jobs_of_requests_wait_for_the_end_of_a_turn() {
    let (pool, second) = (asleep(1), asleep(1));
    let held = HeldWakeUps::begin();
    let met = meet(&pool, 1);
    assert_eq!(heard(&meet(&second, 1)), "met");
    assert_ne!(runs(&pool), thread::current().id()); // it is behind the other job
    assert_eq!(heard(&met), "met");
    drop(held);
}

/// A thread that something else unparks goes on sleeping, and is woken by the next job.
#[test]
fn a_thread_sleeps_until_there_is_a_job() {
    let pool = Pool::new().threads(1);
    let (sender, receiver) = unbounded();
    pool.submit(move || say(&sender, thread::current()))
        .expect("room");
    let thread = heard(&receiver);
    for _ in 0..3 {
        fall_asleep(&pool, 1);
        thread.unpark();
        assert_eq!(runs(&pool), thread.id());
    }
}
