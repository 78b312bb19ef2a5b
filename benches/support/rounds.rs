//! Times of short work: rounds in which each piece of work has its turn.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// How long one piece of work runs in one round. It is less than the time after which the operating
/// system may run another program, so that this happens in few rounds.
const TURN: Duration = Duration::from_micros(200);

/// A piece of work that is measured.
pub struct Work<'a> {
    repeat: Box<dyn FnMut(u64) + 'a>,
}

impl<'a> Work<'a> {
    /// Makes a piece of work of a function. The compiler cannot leave out what the function returns.
    pub fn new<T>(mut once: impl FnMut() -> T + 'a) -> Work<'a> {
        let repeat = move |times| {
            for _ in 0..times {
                black_box(once());
            }
        };
        Work {
            repeat: Box::new(repeat),
        }
    }

    fn turn(&mut self, times: u64) -> Duration {
        let begin = Instant::now();
        (self.repeat)(times);
        begin.elapsed()
    }

    /// How many repetitions take as long as a turn.
    fn repetitions(&mut self) -> u64 {
        let mut times = 1;
        while self.turn(times) < TURN {
            times *= 2;
        }
        times
    }
}

/// What one piece of work took in each round.
pub struct Samples(Vec<f64>);

impl Samples {
    pub fn new(mut samples: Vec<f64>) -> Samples {
        samples.sort_by(f64::total_cmp);
        Samples(samples)
    }

    pub fn median(&self) -> f64 {
        self.0[self.0.len() / 2]
    }

    pub fn least(&self) -> f64 {
        self.0[0]
    }
}

/// Measures each piece of work in so many rounds, in nanoseconds for one repetition. In each round
/// another piece begins, so that none has a better place.
pub fn rounds(works: &mut [Work<'_>], rounds: usize) -> Vec<Samples> {
    let repetitions: Vec<u64> = works.iter_mut().map(Work::repetitions).collect();
    let mut taken = vec![Vec::with_capacity(rounds); works.len()];
    for round in 0..rounds {
        for place in 0..works.len() {
            let which = (place + round) % works.len();
            let elapsed = works[which].turn(repetitions[which]);
            taken[which].push(elapsed.as_nanos() as f64 / repetitions[which] as f64);
        }
    }
    taken.into_iter().map(Samples::new).collect()
}
