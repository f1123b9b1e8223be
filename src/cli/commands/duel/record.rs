//! The result of a duel: the JSON of `--json`, from which the table and the page are made.
//!
//! The JSON keys are a stable interface. If a key changes its meaning or disappears, [`SCHEMA`]
//! increases; a new key leaves it. A value that was not measured, or does not apply, is null. The
//! record holds every run, so that a reader can repeat the statistics.

use serde::Serialize;
use switchboard::load::{Faults, LoadOutcome};

use super::statistics::{MedianRange, Ratio};
use super::verdict::DuelVerdict;
use crate::cli::process::{MachineInfo, PinnedCpus, ProcessSample};
use crate::cli::report::figure::float;
use crate::cli::report::page::Tone;
use crate::cli::report::rates::{SATURATED, cores, kept_up, nanos, per_item};

/// The version of the JSON keys.
pub(super) const SCHEMA: u32 = 1;

/// A complete result.
#[derive(Clone, Debug, Serialize)]
pub(super) struct DuelRecord {
    pub(super) schema: u32,
    /// The command, quoted for a POSIX shell.
    pub(super) command: String,
    /// Start time in RFC 3339, with this machine's offset.
    pub(super) started_at: String,
    pub(super) machine: MachineInfo,
    pub(super) setup: DuelSetup,
    /// Probability that an interval holds the true ratio, from 0 to 1.
    pub(super) confidence: f64,
    /// True if a signal ended the duel early.
    pub(super) interrupted: bool,
    pub(super) points: Vec<DuelPoint>,
    /// One sentence for each headline metric.
    pub(super) findings: Vec<DuelFinding>,
    #[serde(rename = "remarks")]
    pub(super) notes: Vec<DuelNote>,
}

/// The parameters of the load and of the rounds.
#[derive(Clone, Debug, Serialize)]
pub(super) struct DuelSetup {
    pub(super) service: &'static str,
    pub(super) framing: String,
    pub(super) payload_min_bytes: usize,
    pub(super) payload_max_bytes: usize,
    /// Closed loop only.
    pub(super) in_flight: Option<usize>,
    /// Open loop only.
    pub(super) rate_per_second: Option<f64>,
    pub(super) work_us: u32,
    pub(super) duration_ns: u64,
    pub(super) warm_up_ns: u64,
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

/// The engine of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DuelEngine {
    Reactor,
    Threads,
}

/// One server process under load.
#[derive(Clone, Debug, Serialize)]
pub(super) struct DuelRun {
    pub(super) engine: DuelEngine,
    /// The round, counted from 1.
    pub(super) round: usize,
    /// True if this run was the first of its round.
    pub(super) first: bool,
    pub(super) elapsed_ns: u64,
    /// Messages that were due in the measured time and got a correct answer.
    pub(super) messages: u64,
    /// Correct answers that arrived in the measured time, whenever due. Throughput and costs are
    /// based on this count.
    pub(super) answered: u64,
    /// Open loop: messages that were due in the measured time.
    pub(super) due: Option<u64>,
    /// Open loop: due messages without an answer at the end.
    pub(super) unanswered: Option<u64>,
    pub(super) messages_per_second: f64,
    pub(super) p50_ns: Option<u64>,
    pub(super) p99_ns: Option<u64>,
    pub(super) p99_9_ns: Option<u64>,
    pub(super) max_ns: Option<u64>,
    /// Null if the system does not report the usage of other processes.
    pub(super) server: Option<DuelServer>,
    pub(super) generator: DuelGenerator,
    pub(super) faults: Faults,
}

/// The usage of the server process in the measured time.
#[derive(Clone, Debug, Serialize)]
pub(super) struct DuelServer {
    pub(super) cpu_ns: u64,
    pub(super) cpu_ns_per_message: Option<f64>,
    /// Processor time divided by elapsed time; 1 is a whole processor.
    pub(super) cores: f64,
    /// True if the server used nearly all processor time available to it.
    pub(super) at_limit: bool,
    /// Memory before the first connection.
    pub(super) rss_before_bytes: u64,
    /// Memory at the end of the measured time.
    pub(super) rss_bytes: u64,
    pub(super) rss_bytes_per_connection: f64,
    pub(super) threads: u64,
    pub(super) context_switches: u64,
    pub(super) context_switches_per_message: Option<f64>,
}

/// The cost of the load to the generator.
#[derive(Clone, Debug, Serialize)]
pub(super) struct DuelGenerator {
    pub(super) cpu_ns: u64,
    /// The fraction of the time in which the generator was not waiting.
    pub(super) busy: f64,
    /// The limit that the generator reached: `busy` all the time, or `late` in sending.
    pub(super) bottleneck: Option<&'static str>,
    /// Open loop: delay from the due time of a message to its write, 99th percentile.
    pub(super) send_lag_p99_ns: Option<u64>,
}

/// The result for one metric over all points.
#[derive(Clone, Debug, Serialize)]
pub(super) struct DuelFinding {
    pub(super) metric: &'static str,
    /// The metric's name in the table and on the page.
    #[serde(skip)]
    pub(super) name: &'static str,
    pub(super) text: String,
}

/// One sentence on the validity of the figures.
#[derive(Clone, Debug, Serialize)]
pub(super) struct DuelNote {
    pub(super) tone: Tone,
    pub(super) text: String,
}

impl DuelEngine {
    /// Returns the name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Reactor => "reactor",
            Self::Threads => "threads",
        }
    }
}

impl DuelRecord {
    pub(super) fn json(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Returns the points whose rounds were all run.
    pub(super) fn complete_points(&self) -> impl Iterator<Item = &DuelPoint> {
        self.points.iter().filter(|point| point.complete)
    }

    /// Returns true if no run had a fault.
    pub(super) fn is_faultless(&self) -> bool {
        self.points.iter().flat_map(|point| &point.runs).all(|run| run.faults.is_none())
    }
}

impl DuelRun {
    /// Returns true if the server reached the rate of the load. A closed loop has no rate, so it
    /// always does.
    pub(super) fn kept_up(&self) -> bool {
        self.due.is_none_or(|due| kept_up(self.answered, due, self.unanswered.unwrap_or(0)))
    }
}

impl DuelPoint {
    /// Returns true if the generator was the limit in half of an engine's runs or more. Then the
    /// median of that engine may be the generator's.
    pub(super) fn is_generator_limited(&self) -> bool {
        [DuelEngine::Reactor, DuelEngine::Threads].into_iter().any(|engine| {
            let limited = self.runs_of(engine).filter(|run| run.generator.bottleneck.is_some()).count();
            limited > 0 && 2 * limited >= self.runs_of(engine).count()
        })
    }

    pub(super) fn runs_of(&self, engine: DuelEngine) -> impl Iterator<Item = &DuelRun> {
        self.runs.iter().filter(move |run| run.engine == engine)
    }
}

/// Samples of the server process in one run.
#[derive(Clone, Debug)]
pub(super) struct ServerReadings {
    pub(super) before: ProcessSample,
    pub(super) began: ProcessSample,
    pub(super) ended: ProcessSample,
}

impl DuelServer {
    /// Computes the usage. `usable_cpus` is the number of processors that the server can use.
    pub(super) fn new(readings: &ServerReadings, outcome: &LoadOutcome, usable_cpus: usize) -> Self {
        let usage = &readings.ended - &readings.began;
        let growth = (&readings.ended - &readings.before).rss_growth_bytes;
        #[expect(clippy::cast_precision_loss, reason = "far less than 2^52")]
        let rss_bytes_per_connection = growth as f64 / float(outcome.connections as u64).max(1.0);
        let cores = cores(usage.cpu, outcome.elapsed);
        Self {
            cpu_ns: nanos(usage.cpu),
            cpu_ns_per_message: per_item(nanos(usage.cpu), outcome.answered),
            cores,
            at_limit: cores >= SATURATED * float(usable_cpus as u64),
            rss_before_bytes: readings.before.rss_bytes,
            rss_bytes: readings.ended.rss_bytes,
            rss_bytes_per_connection,
            threads: readings.ended.threads,
            context_switches: usage.context_switches,
            context_switches_per_message: per_item(usage.context_switches, outcome.answered),
        }
    }
}
