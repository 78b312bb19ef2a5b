//! What a signal does while no server catches it: its default action ([SHUT-16]).
//!
//! The process has one handler for each signal, and `signal_hook` never gives it back. So the handler
//! emulates the default action, while [`APPLIES`] is true. The handler of a signal can do no more
//! than read such a flag: it may take no lock and allocate nothing.
//!
//! [SHUT-16]: crate::spec#shut-16

use std::io;
use std::os::raw::c_int;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::register_conditional_default;

/// The signals that stop a server.
pub(super) const SIGNALS: [c_int; 2] = [SIGINT, SIGTERM];

/// Whether the signals have their default action now. The handler reads it.
static APPLIES: AtomicBool = AtomicBool::new(false);

/// What decides about [`APPLIES`], for the whole process.
static STATE: Mutex<State> = Mutex::new(State {
    registered: 0,
    catching: 0,
    kept: false,
});

#[derive(Debug)]
struct State {
    /// For how many of [`SIGNALS`] the emulation is registered. It stays registered.
    registered: usize,
    /// How many servers catch the signals.
    catching: usize,
    /// Whether the program keeps the signals.
    kept: bool,
}

impl State {
    fn lock() -> MutexGuard<'static, State> {
        // A poisoned lock is fine: nothing panics between two changes that belong together.
        STATE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the handler.
    fn apply(&self) {
        let applies = self.catching == 0 && !self.kept;
        APPLIES.store(applies, Ordering::SeqCst);
    }

    /// Registers the emulation, unless it is registered.
    ///
    /// Handlers run in the order in which they were registered. So this has to come before a server
    /// registers its own.
    fn register(&mut self) -> io::Result<()> {
        self.apply(); // a signal before a server catches it still has its default action
        for &signal in &SIGNALS[self.registered..] {
            register_conditional_default(signal, &APPLIES)?;
            self.registered += 1;
        }
        Ok(())
    }
}

/// Leaves SIGINT and SIGTERM to your program when the last server that caught them is dropped.
///
/// A server that [catches the signals](crate::socketserver::Engine::shutdown_on_signals) gives them back when it is
/// dropped: they end the process, as they do in a program without a handler. The crate cannot see
/// whether your program has a handler of its own, from another library or for another purpose. If it
/// has one, call this function once, at any time. Your handlers then run as before, and nothing ends
/// the process. If it has none, the signals have no effect after the last server.
///
/// This holds for the whole process and cannot be taken back.
///
/// ```
/// use serve_forever::socketserver::keep_signals;
///
/// // ... register your own handler ...
/// keep_signals();
/// ```
pub fn keep_signals() {
    let mut state = State::lock();
    state.kept = true;
    state.apply();
}

/// While one of these exists, the signals do not have their default action.
#[derive(Debug)]
pub(super) struct Suspended(());

impl Suspended {
    /// Calls `catch`, which registers what the signals do instead. Suspends the default action only
    /// after that, so that no signal is lost in between.
    pub(super) fn while_caught<C>(
        catch: impl FnOnce() -> io::Result<C>,
    ) -> io::Result<(C, Suspended)> {
        let mut state = State::lock();
        state.register()?;
        let caught = catch()?;
        state.catching += 1;
        state.apply();
        Ok((caught, Suspended(())))
    }
}

impl Drop for Suspended {
    fn drop(&mut self) {
        let mut state = State::lock();
        state.catching -= 1;
        state.apply();
    }
}
