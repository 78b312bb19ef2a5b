//! How much is said about what clients cause: it must not flood a log (design law 10).

use std::fmt;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Logs an error that a client can cause as often as it likes: escaped, and at most
/// [`Budget::ENTRIES`] such a second in the whole process.
pub(crate) fn complain(what: &str, error: &dyn fmt::Display) {
    static LOG: Mutex<Budget> = Mutex::new(Budget::new());
    if let Some(more) = spend(&LOG) {
        let error = error.to_string();
        log::error!("{what}: {}{more}", error.escape_debug());
    }
}

/// As [`complain`], to standard error, where the specification has it said. What `error` quotes of
/// a client it has escaped.
pub(crate) fn print(what: &str, error: &dyn fmt::Display) {
    static PRINTED: Mutex<Budget> = Mutex::new(Budget::new());
    if let Some(more) = spend(&PRINTED) {
        // Nobody may be reading it.
        let _ = writeln!(io::stderr(), "{what}: {error}{more}");
    }
}

/// Whether there may be one entry more; how many there were not since the last one.
fn spend(budget: &Mutex<Budget>) -> Option<String> {
    // Given back at once: who is told may be slow.
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

/// At most [`Budget::ENTRIES`] entries a second: what clients cause must not flood a log
/// (design law 10).
#[derive(Debug, Default)]
pub(super) struct Budget {
    second: Option<Instant>,
    spent: u32,
    denied: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Spend {
    Granted { denied_before: u64 },
    Denied,
}

impl Budget {
    pub(super) const ENTRIES: u32 = 10;

    pub(super) const fn new() -> Budget {
        Budget {
            second: None,
            spent: 0,
            denied: 0,
        }
    }

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
