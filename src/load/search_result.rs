//! The result of the search for the highest rate.

use std::fmt;

use super::outcome::{Bottleneck, LoadOutcome};
use super::slo::Slo;

/// The result of a search for the highest rate.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MaxRate {
    /// The objective of the search.
    pub slo: Slo,
    /// The highest rate, in messages a second, at which the objective held; 0 if it never held.
    pub rate: f64,
    /// Every rate that was tried, in order.
    pub steps: Vec<RateStep>,
    /// The reason why the search ended.
    pub ended: SearchEnd,
}

/// One rate that was tried.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RateStep {
    /// Messages a second.
    pub rate: f64,
    /// The judgement of the server at this rate.
    pub verdict: StepVerdict,
    /// The result of the run.
    pub outcome: LoadOutcome,
}

/// The judgement of a server at one rate.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum StepVerdict {
    /// The objective held.
    Holds,
    /// The latency exceeded the objective.
    TooSlow,
    /// Fewer than 99 % of the due messages were answered.
    TooFew,
    /// The run counted at least one fault.
    Faulty,
    /// The objective failed, but the generator was the limit; the server may carry this rate.
    Generator(Bottleneck),
}

/// The reason why a search ended.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum SearchEnd {
    /// The search found the server's limit.
    Found,
    /// The generator reached its own limit first; the server may carry more.
    Generator(Bottleneck),
    /// The observer ended the search.
    Stopped,
}

impl fmt::Display for StepVerdict {
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
