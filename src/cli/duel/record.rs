//! A duel as it is written down: the JSON of `--json`, and what the table and the report are made of.
//!
//! Its keys are a promise. A change of what one means, or its loss, is a new [`SCHEMA`]; a new key is none. What was not measured,
//! or does not apply, is null. Every run is in it, so that anyone can do the statistics anew.

use std::time::Duration;

use serde::Serialize;
use switchboard::bench::{self, Outcome};

use super::compare::Comparison;
use super::remark::Remark;
use crate::cli::measure::{Machine, Reading};
use crate::cli::report::figure::float;

/// The version of what the keys mean.
pub(super) const SCHEMA: u32 = 1;

/// All of a duel.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Record {
    pub(super) schema: u32,
    /// As a shell reads it.
    pub(super) command: String,
    /// RFC 3339, with this machine's offset.
    pub(super) started_at: String,
    pub(super) machine: Machine,
    pub(super) setup: Setup,
    /// How often an interval holds the true ratio, from 0 to 1.
    pub(super) confidence: f64,
    /// Ended early by a signal.
    pub(super) interrupted: bool,
    pub(super) points: Vec<Point>,
    /// What the figures say, in words: the metric, and the sentence on it.
    pub(super) findings: Vec<Finding>,
    pub(super) remarks: Vec<Remark>,
}

/// What both engines were put through.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Setup {
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
    /// Processors of the server and of the load, where each has its own.
    pub(super) pinned: Option<Pinned>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Pinned {
    pub(super) server_cpus: Vec<usize>,
    pub(super) load_cpu: usize,
}

/// All rounds with the same number of connections.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Point {
    pub(super) connections: usize,
    /// Why it could not be measured.
    pub(super) skipped: Option<String>,
    /// All rounds were run.
    pub(super) whole: bool,
    pub(super) runs: Vec<Run>,
    /// Of whole points only.
    pub(super) comparisons: Vec<Comparison>,
}

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Engine {
    Reactor,
    Threads,
}

/// One server under load.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Run {
    pub(super) engine: Engine,
    /// From 1.
    pub(super) round: usize,
    /// Whether it came before the other engine's.
    pub(super) first: bool,
    pub(super) elapsed_ns: u64,
    pub(super) messages: u64,
    pub(super) messages_per_second: f64,
    pub(super) p50_ns: Option<u64>,
    pub(super) p99_ns: Option<u64>,
    pub(super) p99_9_ns: Option<u64>,
    pub(super) max_ns: Option<u64>,
    /// Null where the system does not tell.
    pub(super) server: Option<Server>,
    pub(super) generator: Generator,
    pub(super) faults: Faults,
}

/// The server's process, in the measured time.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Server {
    pub(super) cpu_ns: u64,
    pub(super) cpu_ns_per_message: Option<f64>,
    /// Before there was a connection.
    pub(super) rss_before_bytes: u64,
    /// At the end of the measured time.
    pub(super) rss_bytes: u64,
    pub(super) rss_bytes_per_connection: f64,
    pub(super) threads: u64,
    pub(super) context_switches: u64,
    pub(super) context_switches_per_message: Option<f64>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Generator {
    pub(super) cpu_ns: u64,
    /// The part of the time in which it did not wait for anything.
    pub(super) busy: f64,
    /// It was at its limit and the server was not, so throughput is the generator's.
    pub(super) is_bottleneck: bool,
    /// Open loop: how much later than due messages were handed to the system.
    pub(super) send_lag_p99_ns: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Faults {
    pub(super) lost: u64,
    pub(super) duplicated: u64,
    pub(super) reordered: u64,
    pub(super) corrupted: u64,
    pub(super) refused: u64,
    pub(super) broken: u64,
}

/// What a metric says over all points.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    pub(super) metric: &'static str,
    /// For people.
    #[serde(skip)]
    pub(super) name: &'static str,
    pub(super) text: String,
}

impl Engine {
    /// As on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Reactor => "reactor",
            Self::Threads => "threads",
        }
    }
}

impl Record {
    pub(super) fn json(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// The points of which all rounds were run.
    pub(super) fn whole(&self) -> impl Iterator<Item = &Point> {
        self.points.iter().filter(|point| point.whole)
    }

    /// Whether anything went wrong in any run.
    pub(super) fn is_faultless(&self) -> bool {
        self.points.iter().flat_map(|point| &point.runs).all(|run| run.faults == Faults::default())
    }
}

impl Point {
    pub(super) fn runs_of(&self, engine: Engine) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(move |run| run.engine == engine)
    }
}

/// What was seen of a server in one run.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) before: Reading,
    pub(super) began: Reading,
    pub(super) ended: Reading,
}

impl Server {
    pub(super) fn new(seen: &Seen, outcome: &Outcome) -> Self {
        let used = &seen.ended - &seen.began;
        let grown = (&seen.ended - &seen.before).rss_growth_bytes;
        #[expect(clippy::cast_precision_loss, reason = "far less than 2^52")]
        let rss_bytes_per_connection = grown as f64 / float(outcome.connections as u64).max(1.0);
        Self {
            cpu_ns: nanos(used.cpu),
            cpu_ns_per_message: each(nanos(used.cpu), outcome.messages),
            rss_before_bytes: seen.before.rss_bytes,
            rss_bytes: seen.ended.rss_bytes,
            rss_bytes_per_connection,
            threads: seen.ended.threads,
            context_switches: used.context_switches,
            context_switches_per_message: each(used.context_switches, outcome.messages),
        }
    }

    /// Processor time by time; 1 is a whole processor.
    pub(super) fn cores(&self, elapsed: Duration) -> f64 {
        float(self.cpu_ns) / float(nanos(elapsed)).max(1.0)
    }
}

impl Faults {
    pub(super) fn add(&mut self, other: &Self) {
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.corrupted += other.corrupted;
        self.refused += other.refused;
        self.broken += other.broken;
    }
}

impl From<bench::Faults> for Faults {
    fn from(faults: bench::Faults) -> Self {
        let bench::Faults { lost, duplicated, reordered, corrupted, refused, broken } = faults;
        Self { lost, duplicated, reordered, corrupted, refused, broken }
    }
}

impl Faults {
    /// Those that there were, in words; none if there were none.
    pub(super) fn words(&self) -> Option<String> {
        let Self { lost, duplicated, reordered, corrupted, refused, broken } = *self;
        let all = [
            (lost, "lost"),
            (duplicated, "duplicated"),
            (reordered, "reordered"),
            (corrupted, "corrupted"),
            (refused, "refused"),
            (broken, "broken off"),
        ];
        let some: Vec<_> =
            all.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}")).collect();
        (!some.is_empty()).then(|| some.join(", "))
    }
}

pub(super) fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}

/// So much for each of so many, if there are any.
fn each(amount: u64, count: u64) -> Option<f64> {
    (count > 0).then(|| float(amount) / float(count))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A duel over these points.
    pub(in crate::cli::duel) fn record(points: Vec<Point>) -> Record {
        Record {
            schema: SCHEMA,
            command: "switchboard duel echo".to_owned(),
            started_at: "2026-01-02T03:04:05+00:00".to_owned(),
            machine: Machine { profile: "release".to_owned(), ..Machine::this() },
            setup: Setup {
                service: "echo",
                framing: "u32be".to_owned(),
                payload_min_bytes: 64,
                payload_max_bytes: 64,
                in_flight: Some(1),
                rate_per_second: None,
                work_us: 0,
                duration_ns: 3_000_000_000,
                warm_up_ns: 500_000_000,
                rounds: 3,
                pinned: Some(Pinned { server_cpus: vec![0], load_cpu: 1 }),
            },
            confidence: 0.75,
            interrupted: false,
            points,
            findings: Vec::new(),
            remarks: Vec::new(),
        }
    }
}
