//! Tests with threads, which try one interleaving at a time, and with loom, which tries them all.

/// Left out with `--cfg loom`, because loom's locks work only inside its models.
#[cfg(not(loom))]
mod threads {
    use std::sync::mpsc;

    use super::super::*;
    use crate::reactor::EventLoop;

    fn control() -> (EventLoop, Control) {
        let event_loop = EventLoop::new().expect("a poll");
        let waker = event_loop.waker();
        let control = Control::new(Box::new(move || waker.wake()));
        (event_loop, control)
    }

    /// SHUT-7: a waiter returns when its run has ended, even if another run began before it woke.
    #[test]
    fn a_restart_does_not_hide_the_end_of_a_run() {
        let (_poll, mut control) = control();
        for _ in 0..200 {
            let running = control.begin_run().expect("no other run");
            let handle = control.handle();
            let (about_to_ask, asked) = mpsc::channel();
            let waiter = thread::spawn(move || {
                about_to_ask.send(()).expect("the test listens");
                handle.shutdown()
            });
            asked.recv().expect("the waiter lives");
            while !control.shutdown_requested() {
                thread::yield_now();
            }
            drop(running);
            let second = control.begin_run().expect("no other run");
            assert_eq!(waiter.join().expect("no panic"), Ok(()));
            assert!(!control.shutdown_requested(), "LOOP-4: the flag is reset");
            drop(second);
        }
    }

    /// SHUT-5, SHUT-6: a request is kept while nothing runs, and can be taken back.
    #[test]
    fn a_request_without_a_run_is_latched() {
        let (_poll, mut control) = control();
        assert_eq!(control.handle().shutdown(), Err(NotStopped::NotRunning));
        assert!(control.shutdown_requested());
        let running = control.begin_run().expect("no other run");
        assert!(
            control.shutdown_requested(),
            "LOOP-3: entry does not clear it"
        );
        drop(running);
        assert!(!control.shutdown_requested());
        control.handle().request();
        control.clear();
        assert!(!control.shutdown_requested());
    }

    #[test]
    fn waiting_is_bounded_when_asked_to_be() {
        let (_poll, mut control) = control();
        let _running = control.begin_run().expect("no other run");
        let handle = control.handle();
        let waited = thread::spawn(move || handle.shutdown_timeout(Duration::ZERO));
        assert_eq!(waited.join().expect("no panic"), Err(NotStopped::TimedOut));
        assert_eq!(control.handle().shutdown(), Err(NotStopped::OnLoopThread));
    }

    /// Python's `is_shut_down.wait()`: it asks for nothing.
    #[test]
    fn a_pure_wait_requests_nothing() {
        let (_poll, mut control) = control();
        let handle = control.handle();
        assert_eq!(handle.wait(), Ok(()), "no loop is running");
        let run = control.begin_run().expect("no other run");
        assert_eq!(handle.wait(), Err(NotStopped::OnLoopThread));
        let (impatient, patient) = (control.handle(), control.handle());
        let waited = thread::spawn(move || impatient.wait_timeout(Duration::ZERO));
        assert_eq!(waited.join().expect("no panic"), Err(NotStopped::TimedOut));
        let waiter = thread::spawn(move || patient.wait());
        assert!(!control.shutdown_requested());
        drop(run);
        assert_eq!(waiter.join().expect("no panic"), Ok(()));
    }

    /// A run that has begun before its thread: a request waits for it, and it ends with its server.
    #[test]
    fn a_run_is_announced() {
        let (_poll, mut control) = control();
        control.announce_run().expect("no other run");
        let handle = control.handle();
        let waiter = thread::spawn(move || handle.shutdown());
        while !control.shutdown_requested() {
            thread::yield_now();
        }
        let run = control.begin_run().expect("the announced run");
        let error = control.begin_run().expect_err("LOOP-16");
        assert_eq!(error.kind(), std::io::ErrorKind::ResourceBusy);
        drop(run);
        assert_eq!(waiter.join().expect("no panic"), Ok(()));

        control.announce_run().expect("no other run");
        let handle = control.handle();
        let waiter = thread::spawn(move || handle.wait());
        drop(control); // its thread could not be started
        assert_eq!(waiter.join().expect("no panic"), Ok(()));
    }

    /// The engine may move to another thread during a run. Only the thread of the last turn may not
    /// wait.
    #[test]
    fn a_run_moves_from_thread_to_thread() {
        let (_poll, mut control) = control();
        let handle = control.handle();
        let run = control.begin_run().expect("no other run");
        let moved = thread::spawn(move || {
            control.attend();
            assert_eq!(control.handle().shutdown(), Err(NotStopped::OnLoopThread));
        });
        moved.join().expect("no panic");
        let waited = handle.shutdown_timeout(Duration::ZERO);
        assert_eq!(waited, Err(NotStopped::TimedOut));
        drop(run);
    }

    /// SHUT-7: a waiter gets the result of its drain, even if another run began before it woke.
    #[test]
    fn a_restart_does_not_hide_the_end_of_a_drain() {
        let (_poll, mut control) = control();
        let mut report = Drained::default();
        for round in 1..=200 {
            let running = control.begin_run().expect("no other run");
            let handle = control.handle();
            let waiter = thread::spawn(move || handle.drain(Duration::MAX));
            while !control.drain_requested() {
                thread::yield_now();
            }
            assert!(control.take_drain().is_some());
            report.finished = round;
            control.drained(report);
            drop(running);
            drop(control.begin_run().expect("no other run"));
            assert_eq!(waiter.join().expect("no panic"), Ok(report));
        }
    }
}

/// Every interleaving of a loop and the threads that ask it to stop. A model that can hang fails.
#[cfg(loom)]
mod loom_models {
    use std::io;
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::*;

    /// The poll's waker: a wake is remembered until a wait ends by it (RT-5).
    struct Wake {
        awake: Mutex<bool>,
        woken: Condvar,
    }

    impl Wake {
        fn wake(&self) -> io::Result<()> {
            *self.awake.lock().expect("no panic") = true;
            self.woken.notify_one();
            Ok(())
        }

        fn wait(&self) {
            let mut awake = self.awake.lock().expect("no panic");
            while !*awake {
                awake = self.woken.wait(awake).expect("no panic");
            }
            *awake = false;
        }
    }

    struct Loop {
        control: Control,
        wake: Arc<Wake>,
    }

    impl Loop {
        fn new() -> Loop {
            let wake = Arc::new(Wake {
                awake: Mutex::new(false),
                woken: Condvar::new(),
            });
            let waker = Arc::clone(&wake);
            let control = Control::new(Box::new(move || waker.wake()));
            Loop { control, wake }
        }

        /// The parts of `serve_forever` and `turn` that concern stopping. Returns the result of
        /// the drain, if there was one.
        fn serve_forever(&mut self) -> Option<Drained> {
            let mut drained = None;
            let _running = self.control.begin_run().expect("no other run");
            while !self.control.shutdown_requested() {
                self.control.attend();
                if !self.control.drain_requested() {
                    self.wake.wait();
                }
                if self.control.shutdown_requested() {
                    break;
                }
                if self.control.take_drain().is_some() {
                    let report = Drained {
                        finished: 7,
                        ..Drained::default()
                    };
                    self.control.drained(report);
                    drained = Some(report);
                    self.control.handle().request();
                }
            }
            drained
        }
    }

    fn join<R>(thread: thread::JoinHandle<R>) -> R {
        thread.join().expect("no panic")
    }

    /// SHUT-5, SHUT-13, LOOP-4: in either order the loop ends, the waiter returns, and the
    /// request is used up.
    #[test]
    fn a_shutdown_races_with_the_start() {
        loom::model(|| {
            let mut looping = Loop::new();
            let handle = looping.control.handle();
            let waiter = thread::spawn(move || handle.shutdown());
            looping.serve_forever();
            let stopped = join(waiter);
            assert!(matches!(stopped, Ok(()) | Err(NotStopped::NotRunning)));
            assert!(!looping.control.shutdown_requested());
        });
    }

    /// SHUT-7: two requests end one run. If one is left over, it was made after the run had ended.
    #[test]
    fn two_shutdowns_race_with_a_run() {
        loom::model(|| {
            let mut looping = Loop::new();
            let waiters = [(); 2].map(|()| {
                let handle = looping.control.handle();
                thread::spawn(move || handle.shutdown())
            });
            looping.serve_forever();
            let results = waiters.map(join);
            if looping.control.shutdown_requested() {
                assert!(results.contains(&Err(NotStopped::NotRunning)));
                looping.control.clear();
            }
            assert!(!looping.control.shutdown_requested());
        });
    }

    /// SHUT-7: a waiter returns when its run has ended, although another begins before it wakes;
    /// and its request does not end that one.
    #[test]
    fn a_restart_races_with_a_slow_waiter() {
        loom::model(|| {
            let mut looping = Loop::new();
            let handle = looping.control.handle();
            let waiter = thread::spawn(move || handle.shutdown());
            looping.serve_forever();
            let running = looping.control.begin_run().expect("no other run");
            assert!(!looping.control.shutdown_requested(), "LOOP-4");
            join(waiter).err().inspect(|error| {
                assert_eq!(*error, NotStopped::NotRunning);
            });
            drop(running);
        });
    }

    /// A waiter gets the report of its own run, although other threads ask for other things.
    #[test]
    fn a_drain_races_with_a_shutdown_and_a_restart() {
        loom::model(|| {
            let mut looping = Loop::new();
            let (drainer, stopper) = (looping.control.handle(), looping.control.handle());
            let drain = thread::spawn(move || drainer.drain(Duration::ZERO));
            let stop = thread::spawn(move || stopper.shutdown());
            let drained = looping.serve_forever();
            drop(looping.control.begin_run().expect("no other run"));
            match (join(drain), drained) {
                (Ok(report), Some(drained)) => assert_eq!(report, drained),
                (Err(NotStopped::NotDrained | NotStopped::NotRunning), _) => {}
                (result, drained) => panic!("{result:?} after {drained:?}"),
            }
            let stopped = join(stop);
            assert!(matches!(stopped, Ok(()) | Err(NotStopped::NotRunning)));
        });
    }

    /// A drain that nothing interrupts is never reported as failed.
    #[test]
    fn a_drain_races_with_a_restart() {
        loom::model(|| {
            let mut looping = Loop::new();
            let handle = looping.control.handle();
            let drain = thread::spawn(move || handle.drain(Duration::ZERO));
            let drained = looping.serve_forever().expect("nothing else ends it");
            drop(looping.control.begin_run().expect("no other run"));
            match join(drain) {
                Ok(report) => assert_eq!(report, drained),
                Err(error) => assert_eq!(error, NotStopped::NotRunning),
            }
        });
    }

    /// SHUT-6: taking a request back removes it, or comes too early; the next request works.
    #[test]
    fn clearing_races_with_a_request() {
        loom::model(|| {
            let mut looping = Loop::new();
            let handle = looping.control.handle();
            let asks = thread::spawn(move || handle.request());
            looping.control.clear();
            looping.control.handle().request();
            looping.serve_forever();
            join(asks);
            // It came after the run had ended, or not at all.
            looping.control.clear();
            assert!(!looping.control.shutdown_requested());
        });
    }

    /// A pure wait returns when its run has ended, although another begins before it wakes, and asks
    /// for nothing.
    #[test]
    fn a_wait_races_with_the_end_of_a_run() {
        loom::model(|| {
            let mut looping = Loop::new();
            let handle = looping.control.handle();
            let waiter = thread::spawn(move || handle.wait());
            drop(looping.control.begin_run().expect("no other run"));
            let second = looping.control.begin_run().expect("no other run");
            assert!(!looping.control.shutdown_requested());
            drop(second);
            assert_eq!(join(waiter), Ok(()));
        });
    }

    /// A run that begins before its thread can be stopped at any moment: `shutdown` waits for it.
    #[test]
    fn a_shutdown_races_with_the_thread_of_a_run() {
        loom::model(|| {
            let mut looping = Loop::new();
            let handle = looping.control.handle();
            looping.control.announce_run().expect("no other run");
            let server = thread::spawn(move || {
                looping.serve_forever();
                assert!(!looping.control.shutdown_requested());
            });
            assert_eq!(handle.shutdown(), Ok(()));
            join(server);
        });
    }

    /// SHUT-8: the loop's own thread does not wait, also while another thread does.
    #[test]
    fn the_loops_own_thread_does_not_wait() {
        loom::model(|| {
            let mut looping = Loop::new();
            let handle = looping.control.handle();
            let running = looping.control.begin_run().expect("no other run");
            let other = thread::spawn(move || handle.shutdown());
            let refused = looping.control.handle().shutdown();
            assert_eq!(refused, Err(NotStopped::OnLoopThread));
            assert!(looping.control.shutdown_requested());
            drop(running);
            let other = join(other);
            assert!(matches!(other, Ok(()) | Err(NotStopped::NotRunning)));
        });
    }
}
