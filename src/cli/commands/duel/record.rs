//! A duel as it is written down: the JSON of `--json`, and what the table and the report are made of.
//!
//! Its keys are a promise. A change of what one means, or its loss, is a new [`SCHEMA`]; a new key is none. What was not measured,
//! or does not apply, is null. Every run is in it, so that anyone can do the statistics anew.

use serde::Serialize;
use switchboard::load::{Faults, LoadOutcome};

use super::compare::Comparison;
use super::remark::Remark;
use crate::cli::process::{MachineInfo, PinnedCpus, ProcessSample};
use crate::cli::report::figure::float;
use crate::cli::report::rates::{FULL, cores, each, kept_up, nanos};

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
    pub(super) machine: MachineInfo,
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
    pub(super) pinned: Option<PinnedCpus>,
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
    /// Answered rightly, of those that were due in the measured time.
    pub(super) messages: u64,
    /// Right answers that came in the measured time, whenever due: what throughput and costs are counted by.
    pub(super) answered: u64,
    /// Open loop: due in the measured time.
    pub(super) due: Option<u64>,
    /// Open loop: those of them whose answer was still awaited at the end.
    pub(super) unanswered: Option<u64>,
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
    /// Processor time by time; 1 is a whole processor.
    pub(super) cores: f64,
    /// It used about all the processors that it can.
    pub(super) at_limit: bool,
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
    /// It was itself the limit: `busy` all the time, or `late` with what it sent.
    pub(super) bottleneck: Option<&'static str>,
    /// Open loop: how much later than due messages were handed to the system.
    pub(super) send_lag_p99_ns: Option<u64>,
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
        self.points.iter().flat_map(|point| &point.runs).all(|run| run.faults.is_none())
    }
}

impl Run {
    /// Whether the server answered as much as was asked for; in a closed loop it always does.
    pub(super) fn kept_up(&self) -> bool {
        self.due.is_none_or(|due| kept_up(self.answered, due, self.unanswered.unwrap_or(0)))
    }
}

impl Point {
    /// Whether the generator was the limit so often that an engine's median may be the generator's.
    pub(super) fn is_limited(&self) -> bool {
        [Engine::Reactor, Engine::Threads].into_iter().any(|engine| {
            let limited = self.runs_of(engine).filter(|run| run.generator.bottleneck.is_some()).count();
            limited > 0 && 2 * limited >= self.runs_of(engine).count()
        })
    }

    pub(super) fn runs_of(&self, engine: Engine) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(move |run| run.engine == engine)
    }
}

/// What was seen of a server in one run.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) before: ProcessSample,
    pub(super) began: ProcessSample,
    pub(super) ended: ProcessSample,
}

impl Server {
    /// `room` is how many processors it can use.
    pub(super) fn new(seen: &Seen, outcome: &LoadOutcome, room: usize) -> Self {
        let used = &seen.ended - &seen.began;
        let grown = (&seen.ended - &seen.before).rss_growth_bytes;
        #[expect(clippy::cast_precision_loss, reason = "far less than 2^52")]
        let rss_bytes_per_connection = grown as f64 / float(outcome.connections as u64).max(1.0);
        let cores = cores(used.cpu, outcome.elapsed);
        Self {
            cpu_ns: nanos(used.cpu),
            cpu_ns_per_message: each(nanos(used.cpu), outcome.answered),
            cores,
            at_limit: cores >= FULL * float(room as u64),
            rss_before_bytes: seen.before.rss_bytes,
            rss_bytes: seen.ended.rss_bytes,
            rss_bytes_per_connection,
            threads: seen.ended.threads,
            context_switches: used.context_switches,
            context_switches_per_message: each(used.context_switches, outcome.answered),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A duel over these points.
    pub(in crate::cli::commands::duel) fn record(points: Vec<Point>) -> Record {
        Record {
            schema: SCHEMA,
            command: "switchboard duel echo".to_owned(),
            started_at: "2026-01-02T03:04:05+00:00".to_owned(),
            machine: MachineInfo { profile: "release".to_owned(), ..MachineInfo::this() },
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
                pinned: Some(PinnedCpus { server_cpus: vec![0], load_cpu: 1 }),
            },
            confidence: 0.75,
            interrupted: false,
            points,
            findings: Vec::new(),
            remarks: Vec::new(),
        }
    }
}
