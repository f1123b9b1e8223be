//! The result of `bench echo`: the JSON of `--json`, from which the table and the page are made.
//!
//! The JSON keys are a stable interface. If a key changes its meaning or disappears, [`SCHEMA`]
//! increases; a new key leaves it. Every key is present in every result. A value that was not
//! measured, or does not apply, is null.

use serde::Serialize;
use switchboard::load::Faults;

use crate::cli::process::{MachineInfo, PinnedCpus};
use crate::cli::report::page::Tone;

/// The version of the JSON keys.
pub(super) const SCHEMA: u32 = 1;

/// A complete result.
#[derive(Clone, Debug, Serialize)]
pub(super) struct EchoRecord {
    pub(super) schema: u32,
    /// The command, quoted for a POSIX shell.
    pub(super) command: String,
    /// Start time in RFC 3339, with this machine's offset.
    pub(super) started_at: String,
    pub(super) machine: MachineInfo,
    pub(super) target: TargetRecord,
    pub(super) load: EchoLoadRecord,
    /// True if a signal ended the run early.
    pub(super) interrupted: bool,
    /// The reason why the run or the search ended early: `signal`, or `no_connections` if the
    /// server had no connection for a second.
    pub(super) ended_early: Option<&'static str>,
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
    /// Payload in one direction.
    pub(super) payload_bytes: u64,
    pub(super) payload_bytes_per_second: f64,
    pub(super) latency_ns: Option<Distribution>,
    pub(super) connections: ConnectionsRecord,
    pub(super) faults: Faults,
    pub(super) generator: GeneratorRecord,
    pub(super) server: Option<ServerRecord>,
    pub(super) percentiles: Vec<PercentileRecord>,
    pub(super) samples: Vec<SampleRecord>,
    /// The search that found the rate of this result.
    pub(super) find_max: Option<SearchRecord>,
    pub(super) verdicts: Vec<BenchVerdict>,
}

/// The server under load.
#[derive(Clone, Debug, Serialize)]
pub(super) struct TargetRecord {
    pub(super) service: &'static str,
    /// `tcp`, `udp` or `unix`.
    pub(super) transport: &'static str,
    pub(super) address: String,
    /// Null for datagrams.
    pub(super) framing: Option<String>,
    /// True if the server was started for the measurement.
    pub(super) own: bool,
    /// The engine of a started server.
    pub(super) engine: Option<String>,
    /// The processors of the server and of the load, if each has its own.
    pub(super) pinned: Option<PinnedCpus>,
}

/// The parameters of the load.
#[derive(Clone, Debug, Serialize)]
pub(super) struct EchoLoadRecord {
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
    #[serde(rename = "answer_timeout_ns")]
    pub(super) reply_timeout_ns: u64,
    pub(super) seed: u64,
}

/// A distribution of times in nanoseconds.
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

/// The connections of the load.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ConnectionsRecord {
    pub(super) open_at_end: usize,
    /// Slow readers that the server disconnected, as its limits allow.
    pub(super) slow_readers_cut_off: usize,
    /// Time from the first connect until all planned connections were open.
    pub(super) all_open_after_ns: u64,
    /// Duration of one connect.
    pub(super) connect_ns: Option<Distribution>,
}

/// The cost of the load to the generator.
#[derive(Clone, Debug, Serialize)]
pub(super) struct GeneratorRecord {
    pub(super) cpu_ns: u64,
    pub(super) cpu_ns_per_message: Option<f64>,
    /// Processor time divided by elapsed time; 1 is a whole core.
    pub(super) cores: f64,
    /// The fraction of the time in which the generator was not waiting.
    pub(super) busy: f64,
    /// The limit that the generator reached: `busy` all the time, or `late` in sending.
    pub(super) bottleneck: Option<&'static str>,
    /// Open loop: delay from the due time of a message to its write.
    pub(super) send_lag_ns: Option<Distribution>,
}

/// The usage of the server process in the measured time.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ServerRecord {
    pub(super) pid: u32,
    pub(super) cpu_ns: u64,
    pub(super) cpu_ns_per_message: Option<f64>,
    /// Processor time divided by elapsed time; 1 is a whole core.
    pub(super) cores: f64,
    pub(super) rss_bytes: u64,
    pub(super) peak_rss_bytes: u64,
    /// Memory growth since before the first connection, divided by the open connections.
    pub(super) bytes_per_connection: Option<f64>,
    pub(super) threads: u64,
    pub(super) context_switches: u64,
    pub(super) context_switches_per_message: Option<f64>,
}

/// One point of the latency curve.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct PercentileRecord {
    pub(super) percentile: f64,
    pub(super) latency_ns: u64,
}

/// The results of one interval of the measured time.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct SampleRecord {
    /// End of the interval, from the start of the measured time.
    pub(super) at_ns: u64,
    pub(super) length_ns: u64,
    pub(super) messages: u64,
    pub(super) messages_per_second: f64,
    pub(super) p50_ns: u64,
    pub(super) p99_ns: u64,
    pub(super) max_ns: u64,
    pub(super) faults: Faults,
}

/// The search for the highest rate that keeps an objective. The result around it belongs to the
/// rate that was found, or to the last rate tried if the objective held at no rate.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SearchRecord {
    pub(super) slo: ObjectiveRecord,
    /// The highest rate at which the objective holds; null if it holds at no rate.
    pub(super) rate_per_second: Option<f64>,
    /// `found`, `generator` if the generator was the limit, or `stopped` by a signal.
    pub(super) ended: &'static str,
    pub(super) steps: Vec<SearchStepRecord>,
}

/// A service level objective.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ObjectiveRecord {
    /// The objective as typed.
    pub(super) text: String,
    pub(super) percentile: f64,
    pub(super) below_ns: u64,
}

/// One rate that the search tried.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SearchStepRecord {
    pub(super) rate_per_second: f64,
    /// `holds`, `too_slow`, `too_few` answers, `faulty`, or `generator` if the generator was the
    /// limit.
    pub(super) verdict: &'static str,
    pub(super) answered_per_second: f64,
    /// Latency at the objective's percentile; null without any answer.
    pub(super) latency_ns: Option<u64>,
    pub(super) generator_busy: f64,
    pub(super) server_cores: Option<f64>,
    pub(super) faults: Faults,
}

/// One sentence about a result.
#[derive(Clone, Debug, Serialize)]
pub(super) struct BenchVerdict {
    pub(super) tone: Tone,
    pub(super) text: String,
}

impl EchoRecord {
    pub(super) fn json(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}
