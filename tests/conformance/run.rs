//! Runs many cases, and reports.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::thread;

use crate::case::{self, Case};
use crate::client::{self, Observation};
use crate::escape::{escape, shorten};
use crate::judge::judge;
use crate::response::Response;

/// So many cases of one call of [`run`] are played at the same time. They
/// mostly wait, so this has little to do with the number of processors.
const JOBS: usize = 12;
/// The second try has so much more time for everything.
const RETRY_SCALE: f64 = 1.5;

/// Cases played while others are hold this shared, cases played alone hold it
/// exclusively; so heavy cases do not disturb the timing of the others, not
/// even of those of another test in this process.
static PLAYING: RwLock<()> = RwLock::new(());

/// So many failed cases are still played again, in all tests together. A race
/// does not make more of them fail, and a broken server should not keep one
/// waiting for minutes.
static RETRIES: AtomicUsize = AtomicUsize::new(40);

/// What became of the cases.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) cases: usize,
    pub(crate) failures: Vec<Failure>,
    /// Passed, but only when played again, alone: a race. With the problems
    /// of the first time.
    pub(crate) flaky: Vec<(String, Vec<String>)>,
}

/// A case that failed twice.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) case: Case,
    outcome: Outcome,
}

/// What became of one case; no problems means that it passed.
#[derive(Debug)]
struct Outcome {
    problems: Vec<String>,
    /// Of the last time that it was played.
    seen: Option<Observation>,
}

/// Plays all the cases against the server at this address: the light ones many
/// at a time, the heavy ones alone, and those that failed once more, alone. All
/// time limits are multiplied by `scale`.
pub(crate) fn run(address: SocketAddr, cases: &[Case], scale: f64) -> Report {
    let (heavy, light): (Vec<&Case>, Vec<&Case>) = cases.iter().partition(|case| case.heavy);
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(HashMap::new());
    let keep = |case: &Case, outcome| {
        let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        outcomes.insert(case.id.clone(), outcome);
    };
    thread::scope(|scope| {
        for _ in 0..JOBS.min(light.len()) {
            scope.spawn(|| {
                while let Some(case) = light.get(next.fetch_add(1, Ordering::Relaxed)) {
                    keep(case, attempt_in_company(case, address, scale));
                }
            });
        }
    });
    for case in heavy {
        keep(case, attempt_alone(case, address, scale));
    }

    let mut outcomes = outcomes
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let mut report = Report {
        cases: cases.len(),
        failures: Vec::new(),
        flaky: Vec::new(),
    };
    for case in cases {
        // Every case has an outcome, or a thread above has panicked and the
        // scope with it.
        let Some(mut outcome) = outcomes.remove(&case.id) else {
            continue;
        };
        if outcome.problems.is_empty() {
            continue;
        }
        if may_retry() {
            let again = attempt_alone(case, address, scale * RETRY_SCALE);
            if again.problems.is_empty() {
                report.flaky.push((case.id.clone(), outcome.problems));
                continue;
            }
            outcome = again;
        }
        let case = case.clone();
        report.failures.push(Failure { case, outcome });
    }
    report
}

/// Takes one of the retries that are left.
fn may_retry() -> bool {
    let take = |left: usize| left.checked_sub(1);
    RETRIES
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
        .is_ok()
}

fn attempt_in_company(case: &Case, address: SocketAddr, scale: f64) -> Outcome {
    let _guard = PLAYING.read().unwrap_or_else(PoisonError::into_inner);
    attempt(case, address, scale)
}

fn attempt_alone(case: &Case, address: SocketAddr, scale: f64) -> Outcome {
    let _guard = PLAYING.write().unwrap_or_else(PoisonError::into_inner);
    attempt(case, address, scale)
}

/// Plays a case in all its variants, up to the first that fails.
fn attempt(case: &Case, address: SocketAddr, scale: f64) -> Outcome {
    let mut outcome = Outcome {
        problems: Vec::new(),
        seen: None,
    };
    if let Err(error) = attempt_variants(case, address, scale, &mut outcome) {
        outcome.problems = vec![format!("connection problem: {error}")];
    }
    outcome
}

fn attempt_variants(
    case: &Case,
    address: SocketAddr,
    scale: f64,
    outcome: &mut Outcome,
) -> io::Result<()> {
    let mut play = |split| -> io::Result<bool> {
        let seen = client::play(case, address, scale, split)?;
        outcome.problems = judge(case, &seen);
        outcome.seen = Some(seen);
        Ok(outcome.problems.is_empty())
    };
    if case.each_split {
        let length = client::all_bytes(case).len();
        for cut in 1..length {
            if !play(Some(cut))? {
                let first = &mut outcome.problems[0];
                *first = format!("split after byte {cut} of {length}: {first}");
                return Ok(());
            }
        }
    } else {
        for _ in 0..case.repeat {
            if !play(None)? {
                return Ok(());
            }
        }
    }
    if case.expect.alive_after && !is_alive(address, scale) {
        let problem = "server does not answer a fresh request any more";
        outcome.problems.push(problem.to_owned());
    }
    Ok(())
}

/// Whether the server answers a plain request on a new connection.
fn is_alive(address: SocketAddr, scale: f64) -> bool {
    let case = case::plain_request();
    let seen = client::play(&case, address, scale, None);
    seen.is_ok_and(|seen| matches!(seen.responses.first(), Some(first) if first.status == 200))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for failure in &self.failures {
            writeln!(f, "{failure}")?;
        }
        for (id, problems) in &self.flaky {
            writeln!(
                f,
                "FLAKY {id}: passed only when played again, alone; first:"
            )?;
            for problem in problems.iter().take(2) {
                writeln!(f, "  problem:  {}", shorten(problem, 400))?;
            }
        }
        let passed = self.cases - self.failures.len();
        write!(f, "{passed} passed, {} failed", self.failures.len())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Case {
            id,
            group,
            level,
            source,
            note,
            send,
            then,
            expect_text,
            each_split,
            ..
        } = &self.case;
        writeln!(f, "FAIL {id}  [{group}/{level}]  {note}")?;
        writeln!(f, "  source:   {source}")?;
        let sent: Vec<_> = send.iter().map(ToString::to_string).collect();
        let sent = sent.join(" | ");
        let mode = if *each_split { "  (each-split)" } else { "" };
        writeln!(f, "  sent:     {sent}  then {then}{mode}")?;
        writeln!(f, "  expected: {}", shorten(expect_text, 600))?;
        if let Some(seen) = &self.outcome.seen {
            let briefs: Vec<_> = seen.responses.iter().map(Response::brief).collect();
            let received = if !briefs.is_empty() {
                shorten(&briefs.join(" || "), 700)
            } else if !seen.raw.is_empty() {
                escape(&seen.raw, 300)
            } else {
                "(nothing)".to_owned()
            };
            let end = if seen.closed { "closed" } else { "open" };
            writeln!(f, "  received: {received}  <{end}>")?;
        }
        for problem in self.outcome.problems.iter().take(4) {
            writeln!(f, "  problem:  {}", shorten(problem, 400))?;
        }
        Ok(())
    }
}
