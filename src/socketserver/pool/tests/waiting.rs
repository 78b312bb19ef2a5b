//! Waiting for the jobs and for the threads, from outside and from a job.

use std::collections::HashSet;

use super::*;

/// THREAD-5: the end waits for what runs and what is queued, within its patience.
#[test]
fn joining_waits_for_every_job_within_its_patience() {
    let (pool, release) = busy(Pool::new());
    let (sender, receiver) = unbounded();
    pool.submit(move || say(&sender, ())).expect("room");
    assert!(!pool.join(Some(Duration::ZERO)));
    assert!(matches!(pool.submit(|| {}), Err(Overloaded::Closed)));
    assert_eq!(pool.open(), 2);
    drop(release);
    assert!(pool.join(Some(PATIENCE)));
    heard(&receiver);
    assert_eq!((pool.live_threads(), pool.open()), (0, 0));
    let (sender, receiver) = unbounded::<()>();
    pool.push(move || drop(sender));
    assert!(receiver.recv_timeout(PATIENCE).is_err(), "dropped unrun");
    assert!(pool.join(None), "again");
    assert!(Pool::new().join(None), "THREAD-7: nothing to wait for");
}

#[test]
fn waiting_for_the_jobs_leaves_the_pool_open() {
    let (pool, release) = busy(Pool::new());
    let (sender, receiver) = unbounded();
    let own = pool.clone();
    // The last of what is queued, it does not wait for itself.
    pool.submit(move || say(&sender, own.wait_until_idle(None)))
        .expect("room");
    assert!(!pool.wait_until_idle(Some(Duration::ZERO)));
    drop(release);
    assert!(pool.wait_until_idle(Some(PATIENCE)));
    assert_eq!(receiver.try_recv(), Ok(true));
    runs(&pool);
}

/// THREAD-10: a job waits for the other threads, and not for its own; two such jobs do not wait
/// for each other.
#[test]
fn jobs_may_join_their_own_pool() {
    let pool = Pool::new().threads(3);
    let (sender, receiver) = unbounded();
    let (release, held) = unbounded::<()>();
    for _ in 0..2 {
        let (own, sender, held) = (pool.clone(), sender.clone(), held.clone());
        let join = move || {
            wait_for(&held);
            say(&sender, own.join(None));
        };
        pool.submit(join).expect("room");
    }
    drop(release);
    assert_eq!([heard(&receiver), heard(&receiver)], [true, true]);
    assert!(pool.join(Some(PATIENCE)));
}

#[test]
fn the_last_handle_closes_the_pool_and_what_is_queued_runs() {
    let (pool, release) = busy(Pool::new());
    let (sender, receiver) = unbounded();
    pool.submit(move || say(&sender, ())).expect("room");
    let shared = Arc::clone(&pool.handle.0);
    drop(pool.clone());
    assert!(shared.jobs.load(SeqCst) < CLOSED);
    drop(pool);
    drop(release);
    heard(&receiver);
    wait_until("ended", || shared.live.load(SeqCst) == 0);
}

/// A pool may be over while a thread is being started, because what the thread was to help with is
/// done. That thread ends as well.
#[test]
fn a_thread_ends_that_is_started_while_the_pool_is_closed() {
    let pool = Pool::new();
    let shared = Arc::clone(&pool.handle.0);
    let threads = shared.lock();
    let (began, begins) = unbounded();
    let worker = Worker::new(Arc::clone(&shared), false);
    let thread = thread::spawn(move || {
        say(&began, ());
        worker.run();
    });
    heard(&begins);
    let yield_often = || (0..1000).for_each(|_| thread::yield_now());
    yield_often(); // it looks whether the pool is over, and then waits for a job
    let closes = thread::spawn(move || pool.close());
    wait_until("over", || shared.is_over());
    yield_often(); // and the thread was not counted meanwhile
    shared.started(threads, Ok(thread)).expect("started");
    closes.join().expect("no panic");
    assert!(shared.wait_for_threads(Some(PATIENCE)));
}

/// THREAD-10: a thread that waits for the pool does not wait for a job that waits for that thread,
/// but for all other jobs.
#[test]
fn a_job_may_wait_for_a_thread_that_waits_for_the_pool() {
    let pool = Pool::new().threads(2);
    let (release, held) = unbounded::<()>();
    pool.submit(move || wait_for(&held)).expect("room");
    let (own, (go, gate)) = (pool.clone(), unbounded::<()>());
    let (sender, receiver) = unbounded();
    let said = sender.clone();
    let closes = thread::spawn(move || {
        wait_for(&gate);
        say(&said, ("at once", own.join(Some(Duration::ZERO))));
        say(&said, ("in time", own.join(Some(PATIENCE))));
    });
    pool.submit(move || {
        drop(go);
        let joined = shared::wait_for_thread(closes.thread().id(), || closes.join());
        say(&sender, ("joined", joined.is_ok()));
    })
    .expect("room");
    assert_eq!(heard(&receiver), ("at once", false), "there is another job");
    drop(release);
    assert_eq!(heard(&receiver), ("in time", true));
    assert_eq!(heard(&receiver), ("joined", true));
    assert!(pool.join(Some(PATIENCE)));
}

/// THREAD-10: a job that waits for the others does not wait for what waits for its own thread.
#[test]
fn a_job_that_waits_is_not_waited_for_by_what_is_behind_it() {
    let pool = Pool::new().threads(2);
    let (release, held) = unbounded::<()>();
    pool.submit(move || wait_for(&held)).expect("room"); // so the other thread runs all that follows
    let (sender, said) = unbounded();
    let (parked, home) = park(&pool, &sender);
    let (also_parked, also_home) = park(&pool, &sender);
    assert_eq!(home, also_home);
    let (own, (answer, answered)) = (pool.clone(), unbounded());
    pool.submit(move || {
        parked.resume();
        drop(also_parked);
        drop(release);
        say(
            &answer,
            (own.wait_until_idle(Some(PATIENCE)), thread::current().id()),
        );
    })
    .expect("room");
    assert_eq!(heard(&answered), (true, home));
    assert!(pool.join(Some(PATIENCE)));
    let words: HashSet<_> = said.try_iter().collect();
    assert_eq!(words, HashSet::from([("run", home), ("dropped", home)]));
}

/// THREAD-10: the same from outside, if the job waits for the thread that waits for the pool.
#[test]
fn what_is_behind_a_job_that_waits_for_a_thread_is_not_waited_for() {
    let pool = Pool::new().threads(2);
    let (sender, said) = unbounded();
    let (parked, home) = park(&pool, &sender);
    let (own, (go, gate)) = (pool.clone(), unbounded::<()>());
    let closes = thread::spawn(move || {
        wait_for(&gate);
        own.wait_until_idle(Some(PATIENCE))
    });
    let (answer, answered) = unbounded();
    pool.submit(move || {
        drop(go);
        let joined = shared::wait_for_thread(closes.thread().id(), || {
            parked.resume(); // now, or while that thread waits
            closes.join()
        });
        say(&answer, joined.is_ok_and(|in_time| in_time));
    })
    .expect("room");
    assert!(heard(&answered));
    assert_eq!(heard(&said), ("run", home));
    assert!(pool.join(Some(PATIENCE)));
}

/// THREAD-10: the same for a job in the queue, if every thread has a job that waits.
#[test]
fn jobs_that_wait_on_every_thread_do_not_wait_for_the_queue() {
    let (pool, release) = busy(Pool::new());
    let (sender, said) = unbounded();
    let closes = |name, wait: fn(&Pool) -> bool| {
        let (own, said) = (pool.clone(), sender.clone());
        let closes = move || say(&said, (name, wait(&own)));
        pool.submit(closes).expect("room");
    };
    closes("waits", |pool| pool.wait_until_idle(Some(PATIENCE)));
    closes("has it waited for", |pool| {
        let own = pool.clone();
        let thread = thread::spawn(move || own.wait_until_idle(Some(PATIENCE)));
        let joined = shared::wait_for_thread(thread.thread().id(), || thread.join());
        joined.expect("no panic")
    });
    closes("is queued", |_| true);
    drop(release);
    for name in ["waits", "has it waited for", "is queued"] {
        assert_eq!(heard(&said), (name, true));
    }
    assert!(pool.join(Some(PATIENCE)));
}
