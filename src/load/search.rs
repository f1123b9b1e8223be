//! The search for the highest rate at which a server meets an objective. The search doubles the
//! rate until a step fails, then narrows the range between the last success and the failure.
//!
//! Each step is a separate run, with the configured warm-up and duration, on new connections.

use std::ops::ControlFlow;

use super::config::{Activity, MAX_RATE};
use super::error::LoadError;
use super::observer::{LoadObserver, LoadProgress};
use super::outcome::LoadOutcome;
use super::search_result::{MaxRate, RateStep, SearchEnd, StepVerdict};
use super::slo::Slo;
use super::workload::echo::{LoadConfig, run};

/// The first rate, in messages a second, if the configuration does not give one.
const FIRST_RATE: f64 = 1000.0;

/// The lowest rate that is tried, unless the search starts below it.
const LEAST_RATE: f64 = 1.0;

/// The search ends when the lowest failing rate is at most this factor above the highest rate that
/// holds.
const CLOSE_ENOUGH: f64 = 1.03;

/// The part of the due messages that must have been answered.
const ENOUGH: f64 = 0.99;

/// Runs at one rate while the generator is the limit.
const GENERATOR_TRIES: usize = 3;

/// Searches for the highest rate at which `slo` holds for the load of `config`, in an open loop.
/// The search starts at the rate of [`Activity::Open`], or at 1,000 messages a second for
/// [`Activity::Closed`] with one message in flight.
///
/// # Errors
/// [`LoadError::Config`] for any other activity, and every error of [`run`].
pub fn find_max(config: &LoadConfig, slo: &Slo, observer: &mut dyn LoadObserver) -> Result<MaxRate, LoadError> {
    let measure = |rate, observer: &mut dyn LoadObserver| {
        run(&LoadConfig { activity: Activity::Open { rate }, ..config.clone() }, observer)
    };
    search(first_rate(config.activity)?, slo, observer, measure)
}

/// Searches from the rate `first` on; `measure` runs the load at one rate.
fn search(
    first: f64,
    slo: &Slo,
    observer: &mut dyn LoadObserver,
    measure: impl FnMut(f64, &mut dyn LoadObserver) -> Result<LoadOutcome, LoadError>,
) -> Result<MaxRate, LoadError> {
    let mut search = Search { measure, slo: *slo, steps: Vec::new(), ended: None, observer };
    let (mut low, mut high) = (0.0, None);
    let mut rate = first;
    while search.ended.is_none() && rate >= LEAST_RATE.min(first) {
        // A rate fails only if it fails twice: one scheduling hiccup of the machine would otherwise
        // end the search, or make it narrow down the wrong range.
        if search.holds(rate)? || (search.ended.is_none() && search.holds(rate)?) {
            low = rate;
        } else if search.ended.is_none() {
            high = Some(rate);
        }
        rate = match high {
            None if low >= MAX_RATE => break,
            None => (low * 2.0).min(MAX_RATE),
            Some(high) if low == 0.0 => high / 2.0,
            Some(high) if high / low <= CLOSE_ENOUGH => break,
            Some(high) => (low * high).sqrt(),
        };
    }
    Ok(MaxRate { slo: *slo, rate: low, steps: search.steps, ended: search.ended.unwrap_or(SearchEnd::Found) })
}

/// Returns the rate of the first step. An activity without a rate is an error: replacing it
/// silently would measure something else than the caller asked for.
fn first_rate(activity: Activity) -> Result<f64, LoadError> {
    let error = |text: &str| Err(LoadError::Config(text.to_owned()));
    match activity {
        Activity::Open { rate } => Ok(rate),
        Activity::Closed { in_flight: 0 | 1 } => Ok(FIRST_RATE),
        Activity::Closed { .. } => error("in-flight: the search for the highest rate uses an open loop; give a rate"),
        Activity::Churn => error("churn: a load of short connections has no rate to search for"),
        Activity::Idle => error("idle: idle connections have no rate to search for"),
    }
}

struct Search<'a, M> {
    measure: M,
    slo: Slo,
    steps: Vec<RateStep>,
    /// The reason to try no further rate.
    ended: Option<SearchEnd>,
    observer: &'a mut dyn LoadObserver,
}

impl<M: FnMut(f64, &mut dyn LoadObserver) -> Result<LoadOutcome, LoadError>> Search<'_, M> {
    /// Returns true if the objective holds at `rate`. A run in which the generator was the limit is
    /// repeated, because other work on the machine may have caused that.
    fn holds(&mut self, rate: f64) -> Result<bool, LoadError> {
        for _ in 0..GENERATOR_TRIES {
            match self.try_rate(rate)? {
                Some(StepVerdict::Generator(bottleneck)) => self.ended = Some(SearchEnd::Generator(bottleneck)),
                verdict => {
                    self.ended = verdict.is_none().then_some(SearchEnd::Stopped);
                    return Ok(verdict == Some(StepVerdict::Holds));
                }
            }
        }
        Ok(false)
    }

    /// Runs one step; returns `None` if the observer stopped it.
    fn try_rate(&mut self, rate: f64) -> Result<Option<StepVerdict>, LoadError> {
        let mut detector = StopDetector { observer: &mut *self.observer, stopped: false };
        let outcome = (self.measure)(rate, &mut detector)?;
        if detector.stopped {
            return Ok(None);
        }
        let verdict = judge(&self.slo, &outcome);
        let step = RateStep { rate, verdict, outcome };
        self.observer.on_step(&step);
        self.steps.push(step);
        Ok(Some(verdict))
    }
}

/// Judges one run. A rate that holds counts even if the generator was late, because latency counts
/// from the time when a message was due.
fn judge(slo: &Slo, outcome: &LoadOutcome) -> StepVerdict {
    #[allow(clippy::cast_precision_loss, reason = "a ratio")]
    let enough = outcome.messages as f64 >= outcome.due as f64 * ENOUGH;
    let verdict = if !outcome.faults.is_none() {
        return StepVerdict::Faulty;
    } else if !enough {
        StepVerdict::TooFew
    } else if !slo.holds(outcome) {
        StepVerdict::TooSlow
    } else {
        return StepVerdict::Holds;
    };
    outcome.bottleneck().map_or(verdict, StepVerdict::Generator)
}

/// An observer that forwards all callbacks, and remembers a request to stop.
struct StopDetector<'a> {
    observer: &'a mut dyn LoadObserver,
    stopped: bool,
}

impl LoadObserver for StopDetector<'_> {
    fn on_measure_start(&mut self) {
        self.observer.on_measure_start();
    }

    fn on_progress(&mut self, progress: &LoadProgress) -> ControlFlow<()> {
        let flow = self.observer.on_progress(progress);
        self.stopped |= flow.is_break();
        flow
    }

    fn on_measure_end(&mut self) {
        self.observer.on_measure_end();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp, reason = "the rates are not computed")]

    use super::*;
    use crate::load::outcome::Bottleneck;

    const LIMIT: f64 = 2000.0;

    /// The outcome at a rate of a server that answers `LIMIT` messages a second in time.
    fn outcome(rate: f64) -> LoadOutcome {
        let mut outcome = LoadOutcome::empty(Activity::Open { rate });
        (outcome.due, outcome.messages) = (1000, 1000);
        outcome.latency.record_n(if rate <= LIMIT { 1_000_000 } else { 50_000_000 }, 1000).unwrap();
        outcome
    }

    fn found(first: f64, mut measure: impl FnMut(f64) -> LoadOutcome) -> MaxRate {
        search(first, &"p95<30ms".parse().unwrap(), &mut (), |rate, _| Ok(measure(rate))).unwrap()
    }

    #[test]
    fn the_highest_rate_that_holds_is_found() {
        for first in [1.5, 1500.0, 2000.0, 5000.0, 1e6] {
            let found = found(first, outcome);
            assert_eq!(found.ended, SearchEnd::Found);
            assert!(found.rate <= LIMIT && found.rate > LIMIT / CLOSE_ENOUGH, "{found:?}");
            let failing = found.steps.iter().filter(|step| step.rate > LIMIT);
            assert!(failing.clone().all(|step| step.verdict == StepVerdict::TooSlow));
            // A rate fails only after two steps.
            let rates: Vec<_> = failing.map(|step| step.rate).collect();
            assert!(rates.chunks(2).all(|pair| pair[0] == pair[1]), "{rates:?}");
            assert!(rates.iter().any(|rate| rate / found.rate <= CLOSE_ENOUGH), "{rates:?}");
        }
    }

    #[test]
    fn a_hiccup_fails_no_rate() {
        let mut steps = 0;
        let found = found(1500.0, |rate| {
            steps += 1;
            outcome(if steps == 1 { LIMIT * 2.0 } else { rate })
        });
        assert_eq!(found.steps[0].verdict, StepVerdict::TooSlow);
        assert!(found.rate > LIMIT / CLOSE_ENOUGH, "{found:?}");
    }

    #[test]
    fn missing_answers_and_faults_fail_a_rate() {
        let verdict = |change: fn(&mut LoadOutcome)| {
            let found = found(1.0, |rate| {
                let mut outcome = outcome(rate);
                change(&mut outcome);
                outcome
            });
            assert_eq!((found.rate, found.steps.len(), found.ended), (0.0, 2, SearchEnd::Found));
            found.steps[0].verdict
        };
        assert_eq!(verdict(|outcome| outcome.messages = 989), StepVerdict::TooFew);
        assert_eq!(verdict(|outcome| outcome.faults.lost = 1), StepVerdict::Faulty);
        assert_eq!(verdict(|outcome| outcome.latency.reset()), StepVerdict::TooSlow);
    }

    #[test]
    fn the_generators_limit_ends_the_search() {
        let found = found(1500.0, |rate| {
            let mut outcome = outcome(rate);
            outcome.generator.busy = 1.0;
            outcome
        });
        assert_eq!((found.rate, found.ended), (1500.0, SearchEnd::Generator(Bottleneck::Busy(1.0))));
        let rates: Vec<_> = found.steps.iter().map(|step| step.rate).collect();
        assert_eq!(rates, [1500.0, 3000.0, 3000.0, 3000.0]);
    }
}
