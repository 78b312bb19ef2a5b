//! What becomes of requests, and how it is logged.

mod entry;

pub use entry::LogEntry;
pub(super) use entry::{Origin, Outcome, Record};
