use crossbeam_channel::{Receiver, Sender, unbounded};
use std::cell::Cell;
use std::collections::HashSet;
use std::panic::panic_any;
use std::sync::atomic::AtomicUsize;
use std::thread::ThreadId;
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

/// Parks a job that says on which thread it runs, on a thread of the pool. What is dropped with it
/// says so as well. Returns it, and its thread.
fn park(pool: &Pool, said: &Sender<(&'static str, ThreadId)>) -> (Parked, ThreadId) {
    let (sender, receiver) = unbounded();
    let (own, said) = (pool.clone(), said.clone());
    let job = move |(), place, seat: &mut Seat| {
        drop(place);
        let dropped = Dropped(said);
        let parked = own.park(seat, move |_seat| {
            say(&dropped.0, ("run", thread::current().id()));
        });
        say(&sender, (parked, thread::current().id()));
    };
    pool.submit_seated((), job)
        .map_err(|((), error)| error)
        .expect("room");
    heard(&receiver)
}

/// Says on which thread it is dropped.
struct Dropped(Sender<(&'static str, ThreadId)>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send(("dropped", thread::current().id()));
    }
}

/// THREAD-11: a parked job goes on, and is dropped, on the thread that parked it. It waits for that
/// thread although others are free, and no further one is started for it.
#[test]
fn a_parked_job_stays_on_its_thread() {
    let pool = Pool::new().threads(3);
    let (sender, said) = unbounded();
    let (first, home) = park(&pool, &sender);
    assert!(pool.wait_until_idle(Some(PATIENCE)));
    let (second, also_home) = park(&pool, &sender);
    assert_eq!(home, also_home, "only one thread is needed");
    assert!(pool.wait_until_idle(Some(PATIENCE)), "it is no job");
    assert_eq!((pool.open(), pool.live_threads()), (0, 1));
    // That thread gets another job, and then has to do with both parked jobs as well.
    let (release, held) = unbounded::<()>();
    let (began, begins) = unbounded();
    pool.submit(move || {
        say(&began, thread::current().id());
        wait_for(&held);
    })
    .expect("room");
    assert_eq!(heard(&begins), home);
    first.resume();
    drop(second);
    assert_eq!(pool.live_threads(), 1, "nobody else could run them");
    pool.discard_waiting(); // not these
    assert_ne!(runs(&pool), home, "other jobs need not wait for them");
    assert_eq!(pool.live_threads(), 2);
    assert!(said.is_empty());
    drop(release);
    let mut words = [heard(&said), heard(&said), heard(&said)];
    words.sort_unstable_by_key(|(word, _)| *word);
    assert_eq!(words, [("dropped", home), ("dropped", home), ("run", home)]);
    assert!(pool.wait_until_idle(Some(PATIENCE)));
}

/// THREAD-11: a thread that ends drops what is parked on it. What is resumed later does not run.
#[test]
fn the_end_of_a_thread_drops_what_is_parked_there() {
    let pool = Pool::new().threads(1);
    let (sender, said) = unbounded();
    let (first, home) = park(&pool, &sender);
    let (second, _) = park(&pool, &sender);
    assert!(pool.join(Some(PATIENCE)));
    let words: Vec<_> = said.try_iter().collect();
    assert_eq!(words, [("dropped", home), ("dropped", home)]);
    first.resume();
    drop(second);
    assert!(said.is_empty());
    assert!(pool.join(Some(PATIENCE)));
}

/// A parked job keeps the pool open, and its own panic, or that of its drop, ends no thread.
#[test]
fn a_parked_job_keeps_the_pool_and_survives() {
    let pool = Pool::new().threads(1);
    let shared = Arc::clone(&pool.handle.0);
    let (sender, receiver) = unbounded();
    let own = pool.clone();
    let job = move |(), _place, seat: &mut Seat| {
        let panics = own.park(seat, |_| panic_any(Bomb));
        let bomb = Bomb;
        let explodes = own.park(seat, move |_| drop(bomb));
        say(&sender, (panics, explodes));
    };
    assert!(pool.submit_seated((), job).is_ok());
    drop(pool);
    let (panics, explodes) = heard(&receiver);
    assert_eq!(shared.unfinished() & CLOSED, 0, "open");
    panics.resume();
    drop(explodes);
    wait_until("ended", || shared.live.load(SeqCst) == 0);
}

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

/// THREAD-6, THREAD-11: whatever the order in which jobs come, park and go on, each runs once on its
/// thread, the counts end where they began, and there are never more threads than permitted.
#[test]
fn many_parked_jobs_leave_nothing_behind() {
    let pool = Pool::new().threads(3).queue_length(usize::MAX);
    let (sender, said) = unbounded();
    let submitters: Vec<_> = (0..4)
        .map(|_| {
            let (pool, sender) = (pool.clone(), sender.clone());
            thread::spawn(move || {
                for round in 0..200 {
                    let (parked, home) = park(&pool, &sender);
                    match round % 2 {
                        0 => drop(parked),
                        _ => parked.resume(),
                    }
                    assert!(pool.live_threads() <= 3);
                    say(&sender, ("parked", home));
                }
            })
        })
        .collect();
    for submitter in submitters {
        submitter.join().expect("no panic");
    }
    assert!(pool.wait_until_idle(Some(PATIENCE)));
    let shared = Arc::clone(&pool.handle.0);
    assert_eq!(
        (pool.open(), pool.waiting(), shared.unfinished()),
        (0, 0, 0)
    );
    assert_eq!(shared.behind.load(SeqCst), 0);
    let words: Vec<_> = said.try_iter().collect();
    let count = |word| words.iter().filter(|(it, _)| *it == word).count();
    let counts = ["parked", "run", "dropped"].map(count);
    assert_eq!(counts, [800, 400, 800]);
    // Each on its thread.
    for home in words.iter().map(|(_, home)| home).collect::<HashSet<_>>() {
        let there = |word| words.iter().filter(|it| **it == (word, *home)).count();
        assert_eq!(there("parked"), there("dropped"));
        assert!(there("run") <= there("dropped"));
    }
    assert!(pool.join(Some(PATIENCE)));
}

/// THREAD-10: a job that waits for the others does not wait for what waits for its own thread.
#[test]
fn a_job_that_waits_is_not_waited_for_by_what_is_behind_it() {
    let pool = Pool::new().threads(2);
    let (sender, said) = unbounded();
    let (parked, home) = park(&pool, &sender);
    let (also_parked, also_home) = park(&pool, &sender);
    assert_eq!(home, also_home);
    let (own, (answer, answered)) = (pool.clone(), unbounded());
    pool.submit(move || {
        parked.resume();
        drop(also_parked);
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

thread_local! {
    /// What the logger does on this thread.
    static ON_LOG: Cell<Option<Box<dyn FnOnce()>>> = const { Cell::new(None) };
}

/// A logger that uses the pool itself.
struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, _: &log::Record<'_>) {
        if let Some(act) = ON_LOG.take() {
            act();
        }
    }

    fn flush(&self) {}
}

/// Repeats `step` until something is logged meanwhile, which then does `act`. The log has a budget,
/// so it may have to wait for it.
fn on_log(act: impl Fn() + Clone + 'static, mut step: impl FnMut()) {
    let _ = log::set_logger(&Logger); // or another test has set it
    log::set_max_level(log::LevelFilter::Error);
    wait_until("logged", || {
        ON_LOG.set(Some(Box::new(act.clone())));
        step();
        ON_LOG.take().is_none()
    });
}

/// A logger is the program's own code, so it may use the pool that complains.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
#[test]
fn a_complaint_holds_no_lock() {
    let (pool, release) = busy(Pool::new());
    let (done, ends) = unbounded();
    thread::spawn(move || {
        let too_large = pool.clone().threads(2).stack_size(1 << 48);
        let own = pool.clone();
        let log = move || assert!(!own.wait_until_idle(Some(Duration::ZERO)));
        on_log(log, || too_large.push(|| {}));
        say(&done, pool);
    });
    let pool = heard(&ends);
    drop(release);
    assert!(pool.join(Some(PATIENCE)));
}

/// Whenever a pool without threads is closed, no job is left behind.
#[test]
fn a_job_that_is_pushed_while_the_pool_is_closed_is_dropped() {
    let pool = Pool::new().threads(0);
    let (own, (sender, receiver)) = (pool.clone(), unbounded::<()>());
    on_log(
        move || own.close(),
        || {
            let sender = sender.clone();
            pool.push(move || drop(sender));
        },
    );
    drop(sender);
    assert!(
        receiver
            .recv_timeout(PATIENCE)
            .is_err_and(|error| error.is_disconnected())
    );
    assert!(pool.join(Some(PATIENCE)));
}
