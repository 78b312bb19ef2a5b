//! Threads that the program lends or wraps.

use std::sync::atomic::AtomicUsize;

use super::*;

#[test]
fn a_lent_thread_is_one_of_the_pool() {
    let pool = Pool::new().threads(0).queue_length(1);
    let refused = pool.submit(|| {});
    assert!(matches!(refused, Err(Overloaded::NoThread(_))), "none yet");
    let workers = [pool.worker(), pool.worker()];
    assert_eq!(pool.live_threads(), 2);
    // It may come later: jobs wait for it.
    let (sender, receiver) = unbounded();
    pool.push(move || say(&sender, thread::current().id()));
    let threads = workers.map(|worker| thread::spawn(|| worker.run()));
    let runner = heard(&receiver);
    assert!(threads.iter().any(|it| it.thread().id() == runner));
    let (release, held) = unbounded::<()>();
    for _ in 0..3 {
        let held = held.clone();
        pool.submit(move || wait_for(&held)).expect("a place");
    }
    assert!(matches!(pool.submit(|| {}), Err(Overloaded::Full)));
    assert!(!pool.join(Some(Duration::ZERO)), "they are busy");
    drop(release);
    assert!(pool.join(Some(PATIENCE)));
    assert_eq!(pool.live_threads(), 0);
    for thread in threads {
        thread.join().expect("no panic");
    }
    pool.worker().run(); // nothing is left to do
    assert!(pool.join(Some(PATIENCE)));
}

/// Lent threads come in addition to those that the pool starts.
#[test]
fn lent_and_own_threads_work_together() {
    let pool = Pool::new().threads(1).queue_length(0);
    let worker = pool.worker();
    let lent = thread::spawn(|| worker.run());
    let (release, held) = unbounded::<()>();
    for threads in [1, 2] {
        let held = held.clone();
        pool.submit(move || wait_for(&held)).expect("a place");
        assert_eq!(pool.live_threads(), threads);
    }
    assert!(pool.is_full());
    drop(release);
    assert!(pool.join(Some(PATIENCE)));
    lent.join().expect("no panic");
}

/// Jobs that wait do not wait for a worker that never runs.
#[test]
fn a_worker_that_is_dropped_leaves_no_job_behind() {
    let pool = Pool::new().threads(0);
    let worker = pool.worker();
    let (sender, receiver) = unbounded::<()>();
    pool.submit(move || drop(sender)).expect("it may wait");
    drop(worker);
    assert!(receiver.recv_timeout(PATIENCE).is_err(), "dropped unrun");
    assert_eq!((pool.open(), pool.live_threads()), (0, 0));
    assert!(pool.join(Some(PATIENCE)));
}

#[test]
fn a_thread_has_a_body() {
    let (sender, said) = unbounded();
    let notes = sender.clone();
    let pool = Pool::new().threads(1).thread_body(move |worker| {
        say(&notes, "begin");
        worker.run();
        say(&notes, "end");
    });
    pool.submit(move || say(&sender, "job")).expect("room");
    assert_eq!([heard(&said), heard(&said)], ["begin", "job"]);
    assert!(pool.join(Some(PATIENCE)));
    assert_eq!(said.try_iter().collect::<Vec<_>>(), ["end"], "joined");
}

/// A body that fails is one thread less, and costs its job; the next job gets a new thread.
#[test]
fn a_body_may_fail() {
    let fails = Arc::new(AtomicUsize::new(2));
    let pool = Pool::new().threads(1).thread_body(move |worker| {
        match fails.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)) {
            Ok(2) => panic_any(Bomb),
            Ok(_) => drop(worker),
            Err(_) => worker.run(),
        }
    });
    for _ in 0..2 {
        let (sender, receiver) = unbounded::<()>();
        pool.submit(move || say(&sender, ())).expect("room");
        assert!(receiver.recv_timeout(PATIENCE).is_err(), "dropped unrun");
        wait_until("ended", || pool.live_threads() == 0);
    }
    runs(&pool);
    assert!(pool.join(Some(PATIENCE)));
}
