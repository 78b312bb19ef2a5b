//! The reports of panics that clients can cause.

use std::io::{self, Write};
use std::panic;
use std::sync::{Mutex, Once};

use super::budget::{Budget, spend};
use super::failure::is_catching;

/// Limits how many panics of handlers are printed: ten a second, in the whole process.
///
/// The server catches a panic of a handler, and reports it as the failure of the request. But the
/// program's [panic hook](std::panic::set_hook) has printed it before, with a backtrace if there is
/// one. So a client that can make a handler panic can fill your log or disk ([design law 10]). A
/// library must not replace the hook of a program without being asked, so call this once at the
/// start of your program:
///
/// ```
/// use serve_forever::socketserver::limit_panic_reports;
/// use serve_forever::wsgi::{demo_app, make_server};
///
/// limit_panic_reports();
/// let mut server = make_server("127.0.0.1:0", demo_app)?;
/// # server.shutdown_handle().request();
/// server.serve_forever()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The hook that was there before still prints what is printed. The report after a pause says how
/// many were left out. Panics that the server does not catch are always printed, such as those of
/// your own threads. Failures are reported to [`Hooks::handle_error`](super::Hooks::handle_error)
/// as before.
///
/// A hook writes by itself, and not through a [`LogQueue`](super::LogQueue). So the hook of the standard
/// library waits if nobody reads standard error, and the server waits with it.
///
/// If you set a hook of your own, do that first. Further calls do nothing.
///
/// # Panics
///
/// Panics if it is called by a thread that is panicking, like [`std::panic::set_hook`].
///
/// [design law 10]: crate::spec#law-10
pub fn limit_panic_reports() {
    static INSTALLED: Once = Once::new();
    static PRINTED: Mutex<Budget> = Mutex::new(Budget::new());
    INSTALLED.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !is_catching() {
                return before(panic);
            }
            if let Some(more) = spend(&PRINTED) {
                before(panic);
                if !more.is_empty() {
                    // Ignore the error: standard error may be closed.
                    let _ = writeln!(io::stderr(), "a handler panicked{more}");
                }
            }
        }));
    });
}
