//! The queue: who gets a place, and how a place becomes free.

use std::cell::Cell;

use super::*;
use crate::socketserver::pool::queue::Queue;

/// THREAD-9: the queue is bounded. Work that was admitted goes on nevertheless.
#[test]
fn a_full_pool_refuses_jobs_and_takes_what_is_pushed() {
    let (pool, release) = busy(Pool::new().queue_length(1));
    let (sender, receiver) = unbounded();
    let queued = sender.clone();
    pool.submit(move || say(&queued, "queued"))
        .expect("a place in the queue");
    let refused = pool.submit_with("input", |_input, _place| {});
    assert!(matches!(refused, Err(("input", Overloaded::Full))));
    assert!(matches!(pool.submit(|| {}), Err(Overloaded::Full)));
    pool.push(move || say(&sender, "pushed"));
    assert_eq!((pool.open(), pool.waiting()), (2, 2));
    drop(release);
    assert_eq!([heard(&receiver), heard(&receiver)], ["queued", "pushed"]);
}

#[test]
fn a_job_may_free_its_place_before_it_ends() {
    let pool = Pool::new().threads(1).queue_length(0);
    let (release, held) = unbounded::<()>();
    let (freed, is_free) = unbounded();
    let job = move |freed: Sender<()>, place| {
        drop(place);
        freed.send(()).expect("awaited");
        wait_for(&held);
    };
    pool.submit_with(freed, job)
        .map_err(|(_, error)| error)
        .expect("room");
    heard(&is_free);
    assert_eq!(pool.open(), 0);
    pool.submit(|| {}).expect("room, though the thread is busy");
    assert!(pool.is_full());
    drop(release);
}

#[test]
fn waiting_jobs_can_be_discarded() {
    let (pool, release) = busy(Pool::new());
    let (sender, receiver) = unbounded();
    let said = sender.clone();
    pool.submit(move || say(&said, "run")).expect("room");
    let bomb = Bomb;
    pool.push(move || drop(bomb));
    pool.discard_waiting();
    assert_eq!((pool.open(), pool.waiting()), (1, 0));
    pool.submit(move || say(&sender, "run later"))
        .expect("room");
    drop(release);
    assert_eq!(heard(&receiver), "run later");
}

/// A thread that is woken late, when it sleeps again, goes on sleeping. Otherwise it would be woken for
/// jobs while it runs one, and they would wait although other threads sleep.
#[test]
fn a_late_wake_up_does_not_end_the_next_sleep() {
    let queue = Queue::default();
    let (seat, _errands) = Seat::new();
    let home = seat.home;
    let taken = Cell::new(None);
    thread::scope(|scope| {
        let looks_again = || {
            taken.set(queue.take_sleeper(|sleepers| sleepers.len().checked_sub(1)));
            true
        };
        queue.sleep(&home, looks_again);
        let late: Arc<Home> = taken.take().expect("it was asleep");
        let sleeps_again = || {
            late.wake();
            scope.spawn(|| queue.wake_one());
            false
        };
        queue.sleep(&home, sleeps_again);
        assert_eq!(queue.sleeping(), 0);
    });
}
