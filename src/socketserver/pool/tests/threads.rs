//! The threads that a pool starts: when it starts one, and what a thread survives.

use super::*;

#[test]
fn a_thread_starts_when_every_other_is_busy() {
    let pool = Pool::new().threads(2).queue_length(1);
    assert_eq!(pool.live_threads(), 0);
    let first = runs(&pool);
    assert!(pool.wait_until_idle(Some(PATIENCE)));
    assert_eq!(runs(&pool), first);
    assert!(pool.wait_until_idle(Some(PATIENCE)));
    let (release, held) = unbounded::<()>();
    for threads in [1, 2, 2] {
        let held = held.clone();
        pool.submit(move || wait_for(&held)).expect("room");
        assert_eq!(pool.live_threads(), threads);
    }
    wait_until("taken", || pool.waiting() == 1);
    assert!(pool.is_full() && pool.open() == 3);
    drop(release);
    assert!(pool.wait_until_idle(Some(PATIENCE)));
    assert_eq!((pool.open(), pool.live_threads()), (0, 2));
}

/// Design law 10: a job's panic costs no thread, nor does a payload that panics when it is dropped.
#[test]
fn a_thread_survives_every_panic() {
    let pool = Pool::new().threads(1);
    let first = runs(&pool);
    pool.submit(|| panic!("as told")).expect("room");
    pool.submit(|| panic_any(Bomb)).expect("room");
    pool.submit_with(Bomb, |bomb, _place| drop(bomb))
        .map_err(|(bomb, error)| {
            mem::forget(bomb);
            error
        })
        .expect("room");
    assert_eq!(runs(&pool), first);
    wait_until("free", || pool.open() == 0);
}

/// THREAD-4: a shortage of threads fails a job only if no thread could ever run it.
#[test]
fn a_shortage_of_threads_leaves_the_others_at_work() {
    let pool = Pool::new();
    let note = |thread| pool.handle.0.started(pool.handle.0.lock(), thread);
    let shortage = || Err(io::ErrorKind::WouldBlock.into());
    assert!(note(shortage()).is_err());
    assert!(note(Ok(thread::spawn(|| {}))).is_ok());
    assert!(note(shortage()).is_ok());
    assert_eq!(pool.live_threads(), 1);
}

/// The same with the system's own refusal.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
#[test]
fn a_thread_that_cannot_be_started_is_an_error_only_without_others() {
    let pool = Pool::new().threads(2);
    let too_large = pool.clone().stack_size(1 << 48);
    let refused = too_large.submit_with(1, |_, _| {});
    assert!(matches!(refused, Err((1, Overloaded::NoThread(_)))));
    assert_eq!(pool.open(), 0);
    runs(&pool);
    assert!(pool.wait_until_idle(Some(PATIENCE)));
    let (release, held) = unbounded::<()>();
    pool.submit(move || wait_for(&held)).expect("a thread");
    let (sender, receiver) = unbounded();
    too_large
        .submit(move || say(&sender, ()))
        .expect("the other thread runs it");
    drop(release);
    heard(&receiver);
    assert_eq!(pool.live_threads(), 1);
}
