//! How much is said about what clients cause: it must not flood a log (design law 10).

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Logs an error that a client can cause as often as it likes: escaped, and at most
/// [`Budget::ENTRIES`] such a second in the whole process.
pub(crate) fn complain(what: &str, error: &dyn fmt::Display) {
    static LOG: Mutex<Budget> = Mutex::new(Budget::new());
    let mut budget = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    let spend = budget.spend(Instant::now());
    drop(budget); // a logger may be slow
    if let Spend::Granted { denied_before } = spend {
        let error = error.to_string();
        let error = error.escape_debug();
        match denied_before {
            0 => log::error!("{what}: {error}"),
            count => log::error!("{what}: {error} (and {count} more)"),
        }
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
