//! A logger that uses the pool that complains.

use std::cell::Cell;

use super::*;

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
