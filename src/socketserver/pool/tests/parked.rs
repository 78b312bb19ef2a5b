//! Parked jobs.

use std::collections::HashSet;

use super::*;

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
