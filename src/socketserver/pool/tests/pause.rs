//! Jobs that wait on their thread.

use super::*;

/// Has a thread of the pool say what became of a wait, and on which thread. Returns the end that
/// ends the wait. The loop that it waits for is on this thread.
fn pauses(pool: &Pool, said: &Sender<(bool, ThreadId)>) -> (Halted, ThreadId) {
    let (sender, receiver) = unbounded();
    let (own, said, this) = (pool.clone(), said.clone(), thread::current().id());
    pool.submit(move || {
        let (halted, pause) = own.pause();
        drop(own);
        say(&sender, (halted, thread::current().id()));
        let goes_on = pause.wait(move || thread::current().id() == this);
        say(&said, (goes_on, thread::current().id()));
    })
    .expect("room");
    heard(&receiver)
}

/// THREAD-11: a job that waits on its thread holds that thread and its place. It goes on when it is
/// resumed, and ends when the other end is dropped.
#[test]
fn a_paused_job_holds_its_thread() {
    let pool = Pool::new().threads(2).queue_length(1);
    let (sender, said) = unbounded();
    let (first, first_home) = pauses(&pool, &sender);
    let (second, second_home) = pauses(&pool, &sender);
    assert_ne!(first_home, second_home);
    assert_eq!((pool.open(), pool.live_threads()), (2, 2));
    let (answer, answered) = unbounded();
    pool.submit(move || say(&answer, thread::current().id()))
        .expect("room in the queue");
    assert!(pool.is_full());
    assert_eq!(pool.waiting(), 1);
    first.resume();
    assert_eq!(heard(&said), (true, first_home));
    assert_eq!(heard(&answered), first_home);
    drop(second);
    assert_eq!(heard(&said), (false, second_home));
    assert!(pool.join(Some(PATIENCE)));
    assert_eq!(pool.open(), 0);
}

/// THREAD-5, THREAD-10: the thread of the loop does not wait for a job that waits for the loop, nor
/// for what is queued behind it. Other threads do.
#[test]
fn the_loop_does_not_wait_for_what_waits_for_it() {
    let pool = Pool::new().threads(1);
    let (sender, said) = unbounded();
    let (halted, home) = pauses(&pool, &sender);
    pool.submit(|| ()).expect("room in the queue");
    wait_until("waits", || !pool.handle.0.lock().waits.is_empty());
    assert!(pool.wait_until_idle(None));
    let own = pool.clone();
    let other = thread::spawn(move || own.wait_until_idle(Some(Duration::ZERO)));
    assert!(!other.join().expect("no panic"));
    halted.resume();
    assert_eq!(heard(&said), (true, home));
    assert!(pool.join(Some(PATIENCE)));
}

/// THREAD-11: a pool that is closed lets jobs end that wait on their threads, also those that begin to
/// wait later.
#[test]
fn a_pool_that_is_closed_ends_the_waits() {
    let pool = Pool::new().threads(1);
    let (sender, said) = unbounded();
    let (halted, home) = pauses(&pool, &sender);
    let (own, later) = (pool.clone(), sender.clone());
    pool.submit(move || {
        let (_parked, pause) = own.pause();
        say(&later, (pause.wait(|| false), thread::current().id()));
    })
    .expect("room in the queue");
    assert!(pool.join(Some(PATIENCE)));
    let words: Vec<_> = said.try_iter().collect();
    assert_eq!(words, [(false, home), (false, home)]);
    halted.resume();
}

/// THREAD-5: a job that was let go on is waited for, even before its thread has noticed.
#[test]
fn the_loop_waits_for_what_it_has_let_go_on() {
    for resumes in [true, false] {
        let pool = Pool::new().threads(1);
        let (sender, said) = unbounded();
        let (halted, home) = pauses(&pool, &sender);
        wait_until("waits", || !pool.handle.0.lock().waits.is_empty());
        assert!(pool.wait_until_idle(None));
        match resumes {
            true => halted.resume(),
            false => drop(halted),
        }
        assert!(pool.wait_until_idle(Some(PATIENCE)));
        assert_eq!(said.try_recv(), Ok((resumes, home)));
    }
}

/// THREAD-5: what if two loops share a pool, and a job waits for each of them? They do not wait for
/// each other's job, nor for what is queued behind both.
#[test]
fn two_loops_do_not_wait_for_each_other() {
    let pool = Pool::new().threads(2);
    let (sender, said) = unbounded();
    let (paused, both_paused) = unbounded::<()>();
    let (idle, waited) = unbounded();
    let loops = [(); 2].map(|()| {
        let (pool, sender) = (pool.clone(), sender.clone());
        let (paused, both_paused, idle) = (paused.clone(), both_paused.clone(), idle.clone());
        thread::spawn(move || {
            let (halted, _home) = pauses(&pool, &sender);
            drop(paused);
            wait_for(&both_paused);
            say(&idle, pool.wait_until_idle(Some(PATIENCE / 2)));
            halted
        })
    });
    drop(paused);
    wait_for(&both_paused);
    pool.submit(|| ()).expect("room in the queue");
    assert_eq!([heard(&waited), heard(&waited)], [true, true]);
    for this in loops {
        this.join().expect("no panic").resume();
        assert!(heard(&said).0);
    }
    assert!(pool.join(Some(PATIENCE)));
}

/// A wait that ends drops what it knows of the loop. That may be the last of it, and may use the pool.
#[test]
fn the_end_of_a_wait_may_use_the_pool() {
    struct Uses(Pool);

    impl Drop for Uses {
        fn drop(&mut self) {
            drop(self.0.worker());
        }
    }

    let pool = Pool::new().threads(1);
    let (own, (sender, said)) = (pool.clone(), unbounded());
    pool.submit(move || {
        let (halted, pause) = own.pause();
        let uses = Uses(own);
        halted.resume();
        say(&sender, pause.wait(move || uses.0.is_full()));
    })
    .expect("room");
    assert!(heard(&said));
    assert!(pool.join(Some(PATIENCE)));
}
