use crossbeam_channel::{Receiver, Sender, unbounded};
use std::panic::panic_any;
use std::time::Instant;

use super::*;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A pool of one thread, which is busy until the sender is dropped.
fn busy(pool: Pool) -> (Pool, Sender<()>) {
    let pool = pool.threads(1);
    let (release, held) = unbounded::<()>();
    let (began, begins) = unbounded();
    pool.submit(move || {
        began.send(()).expect("awaited");
        wait_for(&held);
    })
    .expect("a free thread");
    begins.recv_timeout(PATIENCE).expect("begun");
    (pool, release)
}

/// Has the pool say something, and waits until it has.
fn runs(pool: &Pool) -> thread::ThreadId {
    let (sender, receiver) = unbounded();
    pool.push(move || say(&sender, thread::current().id()));
    heard(&receiver)
}

fn say<T>(sender: &Sender<T>, word: T) {
    sender.send(word).expect("somebody listens");
}

/// Until the sender is dropped.
fn wait_for(held: &Receiver<()>) {
    let _ = held.recv_timeout(PATIENCE);
}

fn heard<T>(receiver: &Receiver<T>) -> T {
    receiver.recv_timeout(PATIENCE).expect("a message")
}

fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < PATIENCE, "never {what}");
        thread::yield_now();
    }
}

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

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic_any(Bomb);
    }
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

/// THREAD-4: a shortage of threads fails a job only if no thread could ever run it.
#[test]
fn a_shortage_of_threads_leaves_the_others_at_work() {
    let pool = Pool::new();
    let note = |thread| pool.handle.0.started(&mut pool.handle.0.lock(), thread);
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
