//! The highest rate at which a server keeps an objective: doubled until it fails, then narrowed down.
//!
//! Each step is a run of its own, with the plan's warm-up and duration, on connections of its own.

use std::fmt;
use std::ops::ControlFlow;

use super::outcome::{Bottleneck, Outcome};
use super::plan::{Activity, MAX_RATE, Plan};
use super::slo::Slo;
use super::{Error, Progress, Watch, run};

/// Where the search begins unless the plan says.
const FIRST_RATE: f64 = 1000.0;

/// No rate below this is tried, unless the search begins with it.
const LEAST_RATE: f64 = 1.0;

/// The search ends when what holds and what does not are no further apart.
const CLOSE_ENOUGH: f64 = 1.03;

/// The part of what was due that must have been answered in time.
const ENOUGH: f64 = 0.99;

/// How often a rate is tried that fails because of the generator.
const GENERATOR_TRIES: usize = 3;

/// What the search for the highest rate found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MaxRate {
    /// What had to be kept.
    pub slo: Slo,
    /// The highest rate at which it was, in messages a second; zero if at none.
    pub rate: f64,
    /// What was tried, in that order.
    pub steps: Vec<Step>,
    /// Why the search ended.
    pub ended: Ended,
}

/// One rate that was tried.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Step {
    /// Messages a second.
    pub rate: f64,
    /// Whether the server could carry it.
    pub verdict: Verdict,
    /// What came of it.
    pub outcome: Outcome,
}

/// Whether a server could carry a rate.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// It could.
    Holds,
    /// Its latency was not good enough.
    TooSlow,
    /// Too few of the messages that were due were answered at all.
    TooFew,
    /// Something went wrong.
    Faulty,
    /// It failed, and so might any server have: the generator was the limit.
    Generator(Bottleneck),
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Ended {
    /// The server's limit was found.
    Found,
    /// The generator's own limit was: the server may carry more.
    Generator(Bottleneck),
    /// Whoever watched had it ended.
    Stopped,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Holds => f.write_str("holds"),
            Self::TooSlow => f.write_str("too slow"),
            Self::TooFew => f.write_str("too few answers"),
            Self::Faulty => f.write_str("faulty"),
            Self::Generator(bottleneck) => bottleneck.fmt(f),
        }
    }
}

/// Searches the highest rate at which `slo` holds for the load of `plan`, in an open loop. If the plan's own activity is one, its
/// rate is tried first; a closed loop with one message under way stands for a search that begins anywhere.
///
/// # Errors
/// [`Error::Plan`] for any other activity, and whatever [`run`] says of a load that could not be put on at all.
pub fn find_max(plan: &Plan, slo: &Slo, watch: &mut dyn Watch) -> Result<MaxRate, Error> {
    let first = first_rate(plan.activity)?;
    let mut search = Search { plan, slo: *slo, steps: Vec::new(), ended: None, watch };
    let (mut low, mut high) = (0.0, None);
    let mut rate = first;
    while search.ended.is_none() && rate >= LEAST_RATE.min(first) {
        // One hiccup of a machine would put an end to the search, or have it narrow down the wrong range: what fails must fail
        // twice.
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
    Ok(MaxRate { slo: *slo, rate: low, steps: search.steps, ended: search.ended.unwrap_or(Ended::Found) })
}

/// Where the search begins. What the plan asks for otherwise is not silently replaced.
fn first_rate(activity: Activity) -> Result<f64, Error> {
    match activity {
        Activity::Open { rate } => Ok(rate),
        Activity::Closed { in_flight: 0 | 1 } => Ok(FIRST_RATE),
        Activity::Closed { .. } => {
            Err(Error::Plan("in-flight: the highest rate is searched for in an open loop".to_owned()))
        }
        Activity::Churn => Err(Error::Plan("churn: of connections no highest rate is searched for".to_owned())),
        Activity::Idle => Err(Error::Plan("idle: connections that are only held have no rate".to_owned())),
    }
}

struct Search<'a> {
    plan: &'a Plan,
    slo: Slo,
    steps: Vec<Step>,
    /// Why no further step is to be tried.
    ended: Option<Ended>,
    watch: &'a mut dyn Watch,
}

impl Search<'_> {
    /// Tries a rate; again if the generator was the limit, which on a machine with other work may be an accident.
    fn holds(&mut self, rate: f64) -> Result<bool, Error> {
        for _ in 0..GENERATOR_TRIES {
            match self.attempt(rate)? {
                Some(Verdict::Generator(bottleneck)) => self.ended = Some(Ended::Generator(bottleneck)),
                verdict => {
                    self.ended = verdict.is_none().then_some(Ended::Stopped);
                    return Ok(verdict == Some(Verdict::Holds));
                }
            }
        }
        Ok(false)
    }

    /// Tries a rate once; no verdict when it was stopped.
    fn attempt(&mut self, rate: f64) -> Result<Option<Verdict>, Error> {
        let plan = Plan { activity: Activity::Open { rate }, ..self.plan.clone() };
        let mut relay = Relay { watch: &mut *self.watch, stopped: false };
        let outcome = run(&plan, &mut relay)?;
        if relay.stopped {
            return Ok(None);
        }
        let verdict = judge(&self.slo, &outcome);
        let step = Step { rate, verdict, outcome };
        self.watch.on_step(&step);
        self.steps.push(step);
        Ok(Some(verdict))
    }
}

/// What holds, holds, even if the generator was late: latency counts from when a message was due.
fn judge(slo: &Slo, outcome: &Outcome) -> Verdict {
    #[allow(clippy::cast_precision_loss, reason = "a ratio")]
    let enough = outcome.messages as f64 >= outcome.due as f64 * ENOUGH;
    let verdict = if !outcome.faults.is_none() {
        return Verdict::Faulty;
    } else if !enough {
        Verdict::TooFew
    } else if !slo.holds(outcome) {
        Verdict::TooSlow
    } else {
        return Verdict::Holds;
    };
    outcome.bottleneck().map_or(verdict, Verdict::Generator)
}

/// Passes on what happens, and remembers whether the end was asked for.
struct Relay<'a> {
    watch: &'a mut dyn Watch,
    stopped: bool,
}

impl Watch for Relay<'_> {
    fn on_measuring(&mut self) {
        self.watch.on_measuring();
    }

    fn on_progress(&mut self, progress: &Progress) -> ControlFlow<()> {
        let flow = self.watch.on_progress(progress);
        self.stopped |= flow.is_break();
        flow
    }

    fn on_measured(&mut self) {
        self.watch.on_measured();
    }
}
