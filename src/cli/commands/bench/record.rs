//! A result, as it is written down: the JSON of `--json`, and what the table and the report are made of.
//!
//! Its keys are a promise. A change of what one means, or its loss, is a new [`SCHEMA`]; a new key is none. Every key is there in
//! every result: what was not measured, or does not apply, is null.

use serde::Serialize;
use switchboard::load::Faults;

use super::verdict::Verdict;
use crate::cli::process::{MachineInfo, PinnedCpus};

/// The version of what the keys mean.
pub(super) const SCHEMA: u32 = 1;

/// All of a result.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Record {
    pub(super) schema: u32,
    /// As a shell reads it.
    pub(super) command: String,
    /// RFC 3339, with this machine's offset.
    pub(super) started_at: String,
    pub(super) machine: MachineInfo,
    pub(super) target: Target,
    pub(super) load: Load,
    /// Ended early by a signal.
    pub(super) interrupted: bool,
    /// Why the run or the search was ended before its time: `signal`, or `no_connections` when the server had none for a second.
    pub(super) ended_early: Option<&'static str>,
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
    /// One way.
    pub(super) payload_bytes: u64,
    pub(super) payload_bytes_per_second: f64,
    pub(super) latency_ns: Option<Distribution>,
    pub(super) connections: Connections,
    pub(super) faults: Faults,
    pub(super) generator: Generator,
    pub(super) server: Option<Server>,
    pub(super) percentiles: Vec<Percentile>,
    pub(super) samples: Vec<Sample>,
    /// The search that found the rate of this result, if it was one.
    pub(super) find_max: Option<FindMax>,
    pub(super) verdicts: Vec<Verdict>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Target {
    pub(super) service: &'static str,
    /// `tcp`, `udp` or `unix`.
    pub(super) transport: &'static str,
    pub(super) address: String,
    /// Null for datagrams.
    pub(super) framing: Option<String>,
    /// Started for the measurement.
    pub(super) own: bool,
    /// Of an own server.
    pub(super) engine: Option<String>,
    /// Processors of the server and of the load, where each has its own.
    pub(super) pinned: Option<PinnedCpus>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Load {
    /// `closed`, `open`, `churn` or `idle`.
    pub(super) activity: &'static str,
    /// Closed loop only.
    pub(super) in_flight: Option<usize>,
    /// Open loop only.
    pub(super) rate_per_second: Option<f64>,
    pub(super) connections: usize,
    pub(super) slow_readers: usize,
    pub(super) payload_min_bytes: usize,
    pub(super) payload_max_bytes: usize,
    pub(super) ramp_ns: u64,
    pub(super) warm_up_ns: u64,
    pub(super) duration_ns: u64,
    pub(super) answer_timeout_ns: u64,
    pub(super) seed: u64,
}

/// Of values in nanoseconds.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Distribution {
    pub(super) count: u64,
    pub(super) min: u64,
    pub(super) mean: f64,
    pub(super) stdev: f64,
    pub(super) p50: u64,
    pub(super) p90: u64,
    pub(super) p99: u64,
    pub(super) p99_9: u64,
    pub(super) p99_99: u64,
    pub(super) max: u64,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Connections {
    pub(super) open_at_end: usize,
    /// Slow readers that the server cut off, as it may.
    pub(super) slow_readers_cut_off: usize,
    /// From the first connect to the last connection that was planned.
    pub(super) all_open_after_ns: u64,
    /// How long a connect took.
    pub(super) connect_ns: Option<Distribution>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Generator {
    pub(super) cpu_ns: u64,
    pub(super) cpu_ns_per_message: Option<f64>,
    /// Processor time by time; 1 is a whole core.
    pub(super) cores: f64,
    /// The part of the time in which it did not wait for anything.
    pub(super) busy: f64,
    /// It was itself the limit: `busy` all the time, or `late` with what it sent.
    pub(super) bottleneck: Option<&'static str>,
    /// Open loop: how much later than due messages were handed to the system.
    pub(super) send_lag_ns: Option<Distribution>,
}

/// The server's process, in the measured time.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Server {
    pub(super) pid: u32,
    pub(super) cpu_ns: u64,
    pub(super) cpu_ns_per_message: Option<f64>,
    /// Processor time by time; 1 is a whole core.
    pub(super) cores: f64,
    pub(super) rss_bytes: u64,
    pub(super) peak_rss_bytes: u64,
    /// By how much it has grown since there was no connection, for each that is open.
    pub(super) bytes_per_connection: Option<f64>,
    pub(super) threads: u64,
    pub(super) context_switches: u64,
    pub(super) context_switches_per_message: Option<f64>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Percentile {
    pub(super) percentile: f64,
    pub(super) latency_ns: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Sample {
    /// When it ended, from the start of the measured time.
    pub(super) at_ns: u64,
    pub(super) length_ns: u64,
    pub(super) messages: u64,
    pub(super) messages_per_second: f64,
    pub(super) p50_ns: u64,
    pub(super) p99_ns: u64,
    pub(super) max_ns: u64,
    pub(super) faults: Faults,
}

/// The search for the highest rate. The result that it is part of is that of this rate; if there is none, of the last try.
#[derive(Clone, Debug, Serialize)]
pub(super) struct FindMax {
    pub(super) slo: Objective,
    /// The highest rate at which it holds; null if at none.
    pub(super) rate_per_second: Option<f64>,
    /// `found`, `generator` when that was the limit, or `stopped` by a signal.
    pub(super) ended: &'static str,
    pub(super) steps: Vec<Step>,
}

/// What has to hold.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Objective {
    /// As it is typed.
    pub(super) text: String,
    pub(super) percentile: f64,
    pub(super) below_ns: u64,
}

/// A rate that was tried.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Step {
    pub(super) rate_per_second: f64,
    /// `holds`, `too_slow`, `too_few` answers, `faulty`, or `generator` when that was the limit.
    pub(super) verdict: &'static str,
    pub(super) answered_per_second: f64,
    /// At the objective's percentile; null if nothing was answered.
    pub(super) latency_ns: Option<u64>,
    pub(super) generator_busy: f64,
    pub(super) server_cores: Option<f64>,
    pub(super) faults: Faults,
}

impl Record {
    pub(super) fn json(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}
