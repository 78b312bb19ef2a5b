//! Lines of a log on their way to a writer that may block.

use std::fmt;
use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use super::budget::complain;
use super::failure::catch;

/// How many bytes may wait for the writer: some thousand lines, and little memory.
const CAPACITY: usize = 1024 * 1024;

/// How often the thread writes when lines come without a pause. So the thread that logs has to wake it
/// only for the first line after a pause, and a wake costs more than a line.
const INTERVAL: Duration = Duration::from_millis(10);

/// When so many bytes wait, the thread writes them before the interval is over.
const PLENTY: usize = CAPACITY / 4;

/// How long the end of a server, or of a queue, waits for the lines that are left.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long the loop waits for the writer: for room, or until a report is written. If it waits in vain,
/// it does not wait again before the queue is empty.
const MOMENT: Duration = Duration::from_millis(100);

/// Takes lines of a log without waiting for their reader, and writes them on a thread of its own.
///
/// A pipe that nobody reads, a terminal that was stopped with Ctrl-S, or a slow disk blocks whoever
/// writes to it. If the loop did this, it would serve nobody meanwhile. The queue takes up to 1 MiB of
/// lines. When it is full, it waits for the writer once, for a tenth of a second at most. Then it drops
/// the lines for which there is no room, and counts them. When the writer goes on, one line says how
/// many are missing. (For a queue other than [`stderr`](Self::stderr), [`log`] says it.)
/// [`lost`](Self::lost) returns how many were dropped in all.
///
/// The thread starts with the first line. It writes a first line immediately, and further ones every
/// 10 ms, many at a time. Each line is written whole. If the program is killed, or calls
/// [`exit`](std::process::exit), the lines of the last 10 ms may be missing. Dropping the queue waits
/// until all lines are written, for one second at most.
///
/// It is a sink for the [access log](crate::http::AccessLog):
///
/// ```
/// use std::process::{Command, Stdio};
/// use serve_forever::http::{AccessLog, HttpResult, LogFormat, Request, Response};
/// use serve_forever::socketserver::LogQueue;
///
/// fn handler(_: &Request<'_>, response: Response<'_>) -> HttpResult {
///     response.send_response(200).body("hello")
/// }
///
/// # #[cfg(unix)] {
/// let mut rotate = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
/// if let Some(pipe) = rotate.stdin.take() {
///     let handler = AccessLog::new(handler, LogFormat::Combined, LogQueue::new(pipe));
///     # let _ = handler;
/// }
/// # rotate.wait()?;
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct LogQueue {
    /// Clones share it.
    handle: Arc<Handle>,
}

/// All clones of a queue. Dropping it ends the queue; the thread has only what is in it.
struct Handle {
    /// The queue.
    shared: Arc<Shared>,
}

/// What the thread shares with those who log.
struct Shared {
    /// Where the lines go.
    target: Target,
    /// The lines.
    state: Mutex<State>,
    /// Wakes the thread.
    filled: Condvar,
    /// Wakes those who wait for the thread: for room, or until everything is written.
    progress: Condvar,
}

/// The lines, and what the thread does.
struct State {
    /// The writer, until the thread has taken it.
    writer: Option<Box<dyn Write + Send>>,
    /// The lines that the thread has not taken yet.
    waiting: Vec<u8>,
    /// How many entries were dropped since the last report.
    unreported: u64,
    /// How many entries were dropped in all.
    lost: u64,
    /// What the thread does.
    thread: Thread,
    /// Whether the end of a server has waited in vain, and nothing was written since.
    stuck: bool,
    /// Whether the loop has waited in vain, for room or for a report, and the queue was never empty
    /// since.
    behind: bool,
    /// Whether no line will come any more.
    closed: bool,
}

/// What the thread of a queue does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thread {
    /// There is none: no line has come, or it could not be started.
    Missing,
    /// It sleeps until there is a line.
    Sleeps,
    /// It will look for lines without being woken.
    Looks,
    /// It writes lines.
    Writes,
}

/// Where the lines of a queue go. It decides where to report what is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    /// To standard error, the last resort: there, or nowhere.
    Stderr,
    /// Elsewhere: through [`log`].
    Other,
}

impl LogQueue {
    /// Returns a queue for lines to `writer`. Only the thread of the queue uses the writer.
    pub fn new(writer: impl Write + Send + 'static) -> LogQueue {
        LogQueue::with_target(Target::Other, Box::new(writer))
    }

    /// Returns the queue for standard error. There is only one in the process.
    ///
    /// The crate writes to standard error through this queue: what
    /// [`Defaults`](super::Defaults) reports, an access log whose sink is [`std::io::stderr`], and
    /// `wsgi.errors`. When a server is dropped, it waits until the lines are written, for one second at
    /// most.
    pub fn stderr() -> LogQueue {
        stderr().clone()
    }

    fn with_target(target: Target, writer: Box<dyn Write + Send>) -> LogQueue {
        let state = State {
            writer: Some(writer),
            waiting: Vec::new(),
            unreported: 0,
            lost: 0,
            thread: Thread::Missing,
            stuck: false,
            behind: false,
            closed: false,
        };
        let shared = Arc::new(Shared {
            target,
            state: Mutex::new(state),
            filled: Condvar::new(),
            progress: Condvar::new(),
        });
        LogQueue {
            handle: Arc::new(Handle { shared }),
        }
    }

    /// Puts whole lines into the queue, or drops them if there is no room. Waits for the writer no
    /// longer than a tenth of a second, and not again until the writer has caught up.
    pub fn push(&self, lines: &str) {
        self.push_bytes(lines.as_bytes());
    }

    pub(super) fn push_bytes(&self, lines: &[u8]) {
        let shared = &self.handle.shared;
        let mut state = shared.lock();
        if !state.has_room(lines) && lines.len() <= CAPACITY {
            state = shared.wait_for_room(state, lines);
        }
        let before = state.waiting.len();
        match state.has_room(lines) {
            true => state.waiting.extend_from_slice(lines),
            false => {
                state.unreported += 1;
                state.lost += 1;
            }
        }
        let plenty = before < PLENTY && state.waiting.len() >= PLENTY;
        match state.thread {
            Thread::Missing => return state.start_thread(shared),
            Thread::Sleeps => state.thread = Thread::Looks, // one wake is enough
            Thread::Looks | Thread::Writes if plenty => {}
            Thread::Looks | Thread::Writes => return,
        }
        drop(state);
        shared.filled.notify_one();
    }

    /// Returns how many entries were dropped since the queue was made: one for each
    /// [`push`](Self::push) that found no room.
    pub fn lost(&self) -> u64 {
        self.handle.shared.lock().lost
    }

    /// Waits until every line is written, but no longer than `patience`. Returns whether all are
    /// written.
    pub fn flush(&self, patience: Duration) -> bool {
        self.handle.shared.flush(patience)
    }

    /// Waits for a moment until every line is written, unless the writer did not keep up before. A slow
    /// reader would otherwise delay the loop with each report.
    pub(super) fn settle_soon(&self) {
        let shared = &self.handle.shared;
        if !shared.lock().behind && !shared.flush(MOMENT) {
            shared.lock().behind = true;
        }
    }

    /// Waits at the end of a server until every line is written; see [`Shared::settle`].
    pub(super) fn settle(&self) {
        self.handle.shared.settle();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A poisoned lock is fine: nothing panics between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until every line is written. Returns whether all are written.
    fn flush(&self, patience: Duration) -> bool {
        let began = Instant::now();
        let mut state = self.lock();
        while state.owes() {
            let left = patience.saturating_sub(began.elapsed());
            if left.is_zero() {
                return false;
            }
            self.filled.notify_one(); // it need not wait for more
            let waited = self.progress.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Waits at the end of a server until every line is written. If an earlier call has waited in vain,
    /// and nothing was written since, it does not wait again.
    fn settle(&self) {
        if !self.lock().stuck && !self.flush(PATIENCE) {
            self.lock().stuck = true;
        }
    }

    /// Waits for room for a moment, unless the writer did not keep up before. It keeps up if the
    /// program only had no processor for the thread: then no line is lost.
    fn wait_for_room<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        lines: &[u8],
    ) -> MutexGuard<'a, State> {
        let deadline = Instant::now() + MOMENT;
        while !state.has_room(lines) && !state.behind {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                state.behind = true;
            }
            let waited = self.progress.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state
    }

    /// The thread: writes what there is, until the queue is closed and empty.
    fn run(&self) {
        let Some(mut writer) = self.lock().writer.take() else {
            return;
        };
        let mut lines = Vec::new();
        while let Some(lost) = self.take(&mut lines) {
            let written = catch(|| writer.write_all(&lines).and_then(|()| writer.flush()));
            let written = written.unwrap_or_else(|panic| Err(io::Error::other(panic)));
            match (self.target, written) {
                // Ignore errors: there is no other place to report them.
                (Target::Stderr, _) if lost > 0 => {
                    let missing = "entries of this log are missing, because nobody read it";
                    let _ = writeln!(writer, "({lost} {missing})");
                }
                (Target::Other, Ok(())) if lost > 0 => {
                    complain("lines of a log are lost, because nobody read it", lost);
                }
                (Target::Other, Err(error)) => complain("lines of a log are lost", &error),
                _ => {}
            }
            lines.clear();
            lines.shrink_to(PLENTY);
            self.lock().stuck = false;
        }
    }

    /// Waits for lines and takes all of them, with the number of those that were lost after them.
    /// Returns `None` if there will be none.
    fn take(&self, lines: &mut Vec<u8>) -> Option<u64> {
        let mut state = self.lock();
        if state.thread == Thread::Writes {
            state.thread = Thread::Looks;
            self.progress.notify_all();
            // What if the lines come without a pause? Let some gather.
            if state.waiting.len() < PLENTY && !state.closed {
                let waited = self.filled.wait_timeout(state, INTERVAL);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        while !state.has_work() {
            if state.closed {
                return None;
            }
            state.thread = Thread::Sleeps;
            state.behind = false;
            let woken = self.filled.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        state.thread = Thread::Writes;
        mem::swap(lines, &mut state.waiting);
        self.progress.notify_all();
        Some(mem::take(&mut state.unreported))
    }
}

impl State {
    /// Starts the thread. If there can be none now, the lines wait, and the next line tries again.
    fn start_thread(&mut self, shared: &Arc<Shared>) {
        let (thread, shared) = (Builder::new(), Arc::clone(shared));
        let thread = thread.name("serve_forever log".to_owned());
        if thread.spawn(move || shared.run()).is_ok() {
            self.thread = Thread::Looks;
        }
    }

    /// Returns whether there is something to write.
    fn has_work(&self) -> bool {
        !self.waiting.is_empty() || self.unreported > 0
    }

    fn has_room(&self, lines: &[u8]) -> bool {
        self.waiting.len() + lines.len() <= CAPACITY
    }

    /// Returns whether something is not written yet.
    fn owes(&self) -> bool {
        self.has_work() || self.thread == Thread::Writes
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.filled.notify_one();
        self.shared.settle();
    }
}

impl fmt::Debug for LogQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.handle.shared.lock();
        f.debug_struct("LogQueue")
            .field("waiting", &state.waiting.len())
            .field("lost", &state.lost)
            .finish_non_exhaustive()
    }
}

/// The queue for standard error, if anything was written to it.
pub(super) static STDERR: OnceLock<LogQueue> = OnceLock::new();

/// Returns that queue.
pub(super) fn stderr() -> &'static LogQueue {
    STDERR.get_or_init(|| LogQueue::with_target(Target::Stderr, Box::new(io::stderr())))
}
