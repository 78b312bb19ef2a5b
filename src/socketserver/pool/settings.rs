//! The settings of a pool, and how they make its threads.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::seat::survive;
use super::shared::Shared;
use super::worker::Worker;

/// The most threads of a pool by default: 32, the most that Python's `ThreadPoolExecutor` starts by
/// default. Jobs that block mostly wait, so this is more than there are processors (waitress 4,
/// Tomcat 200). The stacks of idle threads cost address space only.
const THREADS: usize = 32;

/// How many jobs may wait for a thread by default. With jobs of 100 ms and four threads, the last
/// of them waits 1.6 s. Few clients wait longer than that.
const QUEUE_LENGTH: usize = 64;

/// The settings of a handle.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// The most threads that this handle starts.
    pub(super) threads: usize,
    /// How many jobs may wait, besides the jobs that have a thread.
    pub(super) queue_length: usize,
    /// The stack of each thread in bytes. `None` means the standard library's 2 MiB.
    pub(super) stack_size: Option<usize>,
    /// The name of each thread, before its number.
    pub(super) thread_name: String,
    /// What each thread does. `None`: it runs jobs, and nothing else.
    pub(super) thread_body: Option<ThreadBody>,
    /// Whether a thread runs other jobs while a response that it has begun waits for its client.
    pub(super) share_threads: bool,
}

/// What each thread of a pool does.
#[derive(Clone)]
pub(super) struct ThreadBody(pub(super) Arc<dyn Fn(Worker) + Send + Sync>);

impl Settings {
    /// Starts the thread of this number for a pool. The caller counts it.
    pub(super) fn start(&self, number: usize, shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
        let mut thread = thread::Builder::new().name(format!("{}-{number}", self.thread_name));
        if let Some(bytes) = self.stack_size {
            thread = thread.stack_size(bytes);
        }
        let body = self.thread_body.clone();
        thread.spawn(move || {
            // Made here: the end of a worker is the end of a thread, and there may be none.
            let worker = Worker::new(shared, false);
            match body {
                Some(ThreadBody(body)) => survive("the body of a thread", || body(worker)),
                None => worker.run(),
            }
        })
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            threads: THREADS,
            queue_length: QUEUE_LENGTH,
            stack_size: None,
            thread_name: "worker".to_owned(),
            thread_body: None,
            share_threads: true,
        }
    }
}

impl fmt::Debug for ThreadBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ThreadBody")
    }
}
