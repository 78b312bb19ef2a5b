//! What the tests of the pool share.

use crossbeam_channel::{Receiver, Sender, unbounded};
use std::panic::panic_any;
use std::thread::ThreadId;

use super::halted::Halted;
use super::*;

mod held;
mod logger;
mod parked;
mod pause;
mod queue;
mod threads;
mod waiting;
mod workers;

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

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic_any(Bomb);
    }
}

/// Parks a job that says on which thread it runs, on a thread of the pool. What is dropped with it
/// says so as well. Returns it, and its thread.
fn park(pool: &Pool, said: &Sender<(&'static str, ThreadId)>) -> (Halted, ThreadId) {
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
