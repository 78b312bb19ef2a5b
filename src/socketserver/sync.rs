//! The locks and channels of [`shutdown`](super::shutdown).
//!
//! They are those of the standard library and of crossbeam. With `--cfg loom` they are loom's
//! models instead, so that a test can check every interleaving of threads.

#[cfg(not(all(test, loom)))]
mod real {
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use std::thread;

    pub(crate) use crossbeam_channel::{Receiver, Sender, bounded};
}

#[cfg(not(all(test, loom)))]
pub(crate) use real::*;

#[cfg(all(test, loom))]
mod model {
    use std::sync::{Arc, PoisonError};

    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use loom::thread;

    /// A model of a channel with one place: it is full or empty, and each step is atomic.
    #[derive(Debug)]
    struct Place<T>(Mutex<Option<T>>);

    impl<T> Place<T> {
        fn lock(&self) -> MutexGuard<'_, Option<T>> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    #[derive(Debug)]
    pub(crate) struct Sender<T>(Arc<Place<T>>);

    #[derive(Debug)]
    pub(crate) struct Receiver<T>(Arc<Place<T>>);

    impl<T> Clone for Receiver<T> {
        fn clone(&self) -> Receiver<T> {
            Receiver(Arc::clone(&self.0))
        }
    }

    pub(crate) fn bounded<T>(places: usize) -> (Sender<T>, Receiver<T>) {
        assert_eq!(places, 1, "there is no model of another channel");
        let place = Arc::new(Place(Mutex::new(None)));
        (Sender(Arc::clone(&place)), Receiver(place))
    }

    impl<T> Sender<T> {
        pub(crate) fn try_send(&self, value: T) -> Result<(), T> {
            let mut place = self.0.lock();
            match *place {
                Some(_) => Err(value),
                None => {
                    *place = Some(value);
                    Ok(())
                }
            }
        }
    }

    impl<T> Receiver<T> {
        pub(crate) fn try_recv(&self) -> Result<T, ()> {
            self.0.lock().take().ok_or(())
        }

        pub(crate) fn is_empty(&self) -> bool {
            self.0.lock().is_none()
        }
    }
}

#[cfg(all(test, loom))]
pub(crate) use model::*;
