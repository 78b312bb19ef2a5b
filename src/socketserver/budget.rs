//! How many entries of a log clients can cause: few enough that they cannot flood it ([design law
//! 10]).
//!
//! [design law 10]: crate::spec#law-10

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::failure::{Panic, catch};

/// Logs an error that a client can cause as often as it likes. The text is escaped, and the whole
/// process logs at most [`Budget::ENTRIES`] of these a second.
///
/// The error may be the program's own, so it may panic when it is written or dropped. This never
/// panics.
pub(crate) fn complain(what: &str, error: impl fmt::Display) {
    let written = log(what, &error);
    // Not in the same step: a drop that panics while another panic unwinds aborts the process.
    let dropped = catch(|| drop(error));
    if let Err(panic) = written.and(dropped) {
        // Ignore the result: it is the logger that panics.
        let _ = log(what, &panic);
    }
}

/// Logs the error if an entry is left. Returns the panic of the error or of the logger.
fn log(what: &str, error: &dyn fmt::Display) -> Result<(), Panic> {
    static LOG: Mutex<Budget> = Mutex::new(Budget::new());
    catch(|| {
        if let Some(more) = spend(&LOG) {
            let error = error.to_string();
            log::error!("{what}: {}{more}", error.escape_debug());
        }
    })
}

/// Asks for one entry. Returns `None` if the budget is spent, or else text for the entry that says
/// how many were left out since the last one.
pub(super) fn spend(budget: &Mutex<Budget>) -> Option<String> {
    // The lock is released before anything is written, because the log may be slow.
    let spend = budget
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .spend(Instant::now());
    match spend {
        Spend::Granted { denied_before: 0 } => Some(String::new()),
        Spend::Granted { denied_before } => Some(format!(" (and {denied_before} more)")),
        Spend::Denied => None,
    }
}

/// Grants at most [`Budget::ENTRIES`] entries a second ([design law 10]).
///
/// [design law 10]: crate::spec#law-10
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// When the present second began.
    second: Option<Instant>,
    /// How many entries were granted in it.
    spent: u32,
    /// How many were denied since the last one that was granted.
    denied: u64,
}

/// Whether an entry was granted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Spend {
    /// It was.
    Granted {
        /// How many were denied since the last one that was granted.
        denied_before: u64,
    },
    /// It was not: too many were granted in this second.
    Denied,
}

impl Budget {
    /// Enough to see what is going wrong, and few enough to read.
    pub(super) const ENTRIES: u32 = 10;

    pub(super) const fn new() -> Budget {
        Budget {
            second: None,
            spent: 0,
            denied: 0,
        }
    }

    /// Asks for one entry at the time `now`.
    pub(super) fn spend(&mut self, now: Instant) -> Spend {
        let fresh = match self.second {
            Some(began) => now.saturating_duration_since(began) >= Duration::from_secs(1),
            None => true,
        };
        if fresh {
            self.second = Some(now);
            self.spent = 0;
        }
        if self.spent == Budget::ENTRIES {
            self.denied += 1;
            return Spend::Denied;
        }
        self.spent += 1;
        Spend::Granted {
            denied_before: std::mem::take(&mut self.denied),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_entries_a_second_then_a_count_of_the_rest() {
        let began = Instant::now();
        let mut budget = Budget::default();
        for _ in 0..10 {
            assert_eq!(budget.spend(began), Spend::Granted { denied_before: 0 });
        }
        for _ in 0..7 {
            assert_eq!(budget.spend(began), Spend::Denied);
        }
        let later = began + Duration::from_secs(1);
        assert_eq!(budget.spend(later), Spend::Granted { denied_before: 7 });
        assert_eq!(budget.spend(later), Spend::Granted { denied_before: 0 });
    }
}
