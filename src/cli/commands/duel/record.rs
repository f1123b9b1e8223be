//! The result of a duel: the JSON of `--json`, from which the table and the page are made.
//!
//! The rules of the JSON keys are those of [`RecordHeader`]. The record holds the result of every
//! run, so that a reader can repeat the statistics.

use serde::Serialize;

use super::statistics::{MedianRange, Ratio};
use crate::cli::commands::bench::result::{LoadRecord, RunResult};
use crate::cli::engine::EngineName;
use crate::cli::process::PinnedCpus;
use crate::cli::report::document::Finding;
use crate::cli::report::record::RecordHeader;

/// A complete result.
#[derive(Clone, Debug, Serialize)]
pub(super) struct DuelRecord {
    #[serde(flatten)]
    pub(super) header: RecordHeader,
    pub(super) setup: DuelSetup,
    /// Probability that an interval holds the true ratio, from 0 to 1.
    pub(super) confidence: f64,
    pub(super) points: Vec<DuelPoint>,
    /// One verdict for each headline metric.
    pub(super) findings: Vec<MetricVerdict>,
    #[serde(rename = "remarks")]
    pub(super) notes: Vec<Finding>,
}

/// The parameters of the load and of the rounds.
#[derive(Clone, Debug, Serialize)]
pub(super) struct DuelSetup {
    pub(super) service: &'static str,
    pub(super) framing: String,
    #[serde(flatten)]
    pub(super) load: LoadRecord,
    pub(super) work_us: u32,
    pub(super) rounds: usize,
    /// The processors of the server and of the load, if each has its own.
    pub(super) pinned: Option<PinnedCpus>,
}

/// All rounds with the same number of connections.
#[derive(Clone, Debug, Serialize)]
pub(super) struct DuelPoint {
    pub(super) connections: usize,
    /// The reason why the point could not be measured.
    pub(super) skipped: Option<String>,
    /// True if all rounds were run.
    #[serde(rename = "whole")]
    pub(super) complete: bool,
    pub(super) runs: Vec<DuelRun>,
    /// One for each metric. Empty unless the point is complete.
    pub(super) comparisons: Vec<Comparison>,
}

/// One run of an engine.
#[derive(Clone, Debug, Serialize)]
pub(super) struct DuelRun {
    #[serde(serialize_with = "as_name")]
    pub(super) engine: EngineName,
    /// The round, counted from 1.
    pub(super) round: usize,
    /// True if this run was the first of its round.
    pub(super) first: bool,
    #[serde(flatten)]
    pub(super) result: RunResult,
}

/// One metric at one point.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Comparison {
    pub(super) metric: &'static str,
    pub(super) reactor: Option<MedianRange>,
    pub(super) threads: Option<MedianRange>,
    /// The ratio by which the reactor is better: above 1 the reactor leads, below 1 threads do.
    pub(super) reactor_advantage: Option<Ratio>,
    pub(super) verdict: Option<DuelVerdict>,
}

/// The leading engine at one point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DuelVerdict {
    Threads,
    Draw,
    Reactor,
}

/// The verdicts on one metric at all points.
#[derive(Clone, Debug, Serialize)]
pub(super) struct MetricVerdict {
    pub(super) metric: &'static str,
    /// The metric's name in the table and on the page.
    #[serde(skip)]
    pub(super) name: &'static str,
    pub(super) text: String,
}

impl DuelVerdict {
    /// Returns the leader for a ratio that is above 1 if the reactor is better. An engine leads if
    /// the interval of the ratio excludes 1.
    pub(super) fn of(ratio: Ratio) -> Self {
        match ratio {
            Ratio { low, .. } if low > 1.0 => Self::Reactor,
            Ratio { high, .. } if high < 1.0 => Self::Threads,
            _ => Self::Draw,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Threads => "threads",
            Self::Draw => "draw",
            Self::Reactor => "reactor",
        }
    }
}

impl DuelRecord {
    /// Returns the points whose rounds were all run.
    pub(super) fn complete_points(&self) -> impl Iterator<Item = &DuelPoint> {
        self.points.iter().filter(|point| point.complete)
    }

    /// Returns true if no run had a fault.
    pub(super) fn is_faultless(&self) -> bool {
        self.points.iter().flat_map(|point| &point.runs).all(|run| run.result.fault_count() == 0)
    }
}

impl DuelPoint {
    /// Returns true if the generator was the limit in half of an engine's runs or more. Then the
    /// median of that engine may be the generator's.
    pub(super) fn is_generator_limited(&self) -> bool {
        ENGINES.into_iter().any(|engine| {
            let limited = self.runs_of(engine).filter(|run| run.generator.bottleneck.is_some()).count();
            limited > 0 && 2 * limited >= self.runs_of(engine).count()
        })
    }

    pub(super) fn runs_of(&self, engine: EngineName) -> impl Iterator<Item = &RunResult> {
        self.runs.iter().filter(move |run| run.engine == engine).map(|run| &run.result)
    }

    pub(super) fn comparison(&self, metric: &'static str) -> Option<&Comparison> {
        self.comparisons.iter().find(|comparison| comparison.metric == metric)
    }
}

impl Comparison {
    pub(super) fn range_of(&self, engine: EngineName) -> Option<MedianRange> {
        if engine == EngineName::Reactor { self.reactor } else { self.threads }
    }
}

/// Both engines.
pub(super) const ENGINES: [EngineName; 2] = [EngineName::Reactor, EngineName::Threads];

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn as_name<S: serde::Serializer>(engine: &EngineName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(engine.name())
}
