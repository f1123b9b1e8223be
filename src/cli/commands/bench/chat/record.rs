//! The result of `bench chat`: the JSON of `--json`, from which the table and the page are made.
//!
//! The JSON keys are a stable interface, as those of `bench echo`. Equal keys have equal meanings.

use serde::Serialize;
use switchboard::load::chat::{ChatFaults, FaultKind, ServerError};

use crate::cli::commands::bench::record::{
    BenchVerdict, Distribution, GeneratorRecord, PercentileRecord, SampleRecord, ServerRecord, TargetRecord,
};
use crate::cli::process::MachineInfo;

/// The version of the JSON keys.
pub(super) const SCHEMA: u32 = 1;

/// A complete result.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ChatRecord {
    pub(super) schema: u32,
    /// The command, quoted for a POSIX shell.
    pub(super) command: String,
    /// Start time in RFC 3339, with this machine's offset.
    pub(super) started_at: String,
    pub(super) machine: MachineInfo,
    pub(super) target: TargetRecord,
    pub(super) load: ChatLoadRecord,
    /// True if a signal ended the run early.
    pub(super) interrupted: bool,
    pub(super) ended_early: Option<&'static str>,
    pub(super) elapsed_ns: u64,
    /// Messages sent in the measured time. In an open loop, messages that were due in it and sent.
    pub(super) messages: u64,
    /// Open loop: messages that were due in the measured time.
    pub(super) due: Option<u64>,
    pub(super) messages_per_second: f64,
    /// Correct deliveries. In an open loop, those of messages that were due in the measured time.
    pub(super) deliveries: u64,
    /// Correct deliveries in the measured time. Throughput and costs are based on this count.
    pub(super) delivered: u64,
    pub(super) deliveries_per_second: f64,
    /// Bytes of message texts, summed over all members.
    pub(super) payload_bytes_per_second: f64,
    /// Latency of a delivery.
    pub(super) latency_ns: Option<Distribution>,
    pub(super) members: MembersRecord,
    pub(super) proof: ProofRecord,
    pub(super) faults: ChatFaults,
    /// The first server error of each kind.
    #[serde(rename = "complaints")]
    pub(super) server_errors: Vec<ServerError>,
    pub(super) generator: ChatCost<GeneratorRecord>,
    pub(super) server: Option<ChatCost<ServerRecord>>,
    pub(super) percentiles: Vec<PercentileRecord>,
    /// Samples over time. Their messages are deliveries.
    pub(super) samples: Vec<SampleRecord>,
    pub(super) verdicts: Vec<BenchVerdict>,
}

/// The parameters of the load.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ChatLoadRecord {
    /// `closed`, `open` or `idle`.
    pub(super) activity: &'static str,
    /// Closed loop only.
    pub(super) in_flight: Option<usize>,
    /// Open loop only.
    pub(super) rate_per_second: Option<f64>,
    pub(super) members: usize,
    pub(super) publishers: usize,
    pub(super) rooms: usize,
    pub(super) payload_bytes: usize,
    pub(super) warm_up_ns: u64,
    pub(super) duration_ns: u64,
    #[serde(rename = "answer_timeout_ns")]
    pub(super) reply_timeout_ns: u64,
}

/// The members of the load.
#[derive(Clone, Debug, Serialize)]
pub(super) struct MembersRecord {
    #[serde(rename = "in_at_end")]
    pub(super) joined_at_end: usize,
    /// Time from the first connect until the last member had joined its room.
    #[serde(rename = "all_in_after_ns")]
    pub(super) all_joined_after_ns: u64,
    /// Time from a member's connect until it had joined its room.
    pub(super) join_ns: Option<Distribution>,
}

/// The proof that each member received each id of its room once, in order, with the same text as
/// all others. It covers the whole run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ProofRecord {
    /// False after any fault, or if deliveries were outstanding when the run ended.
    pub(super) proved: bool,
    /// Ids of all rooms.
    pub(super) ids: u64,
    /// Deliveries, without duplicates.
    pub(super) received: u64,
    /// Outstanding deliveries at the end.
    pub(super) awaited: u64,
    /// The first violation of each kind.
    pub(super) violations: Vec<ViolationRecord>,
}

/// One broken rule of the proof.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ViolationRecord {
    pub(super) kind: FaultKind,
    pub(super) member: usize,
    pub(super) room: String,
    pub(super) id: u64,
    /// The violation as a sentence.
    pub(super) text: String,
}

/// The costs of one process: the generator or the server. `per_message` counts messages sent, and
/// `per_connection` counts members.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ChatCost<T> {
    #[serde(flatten)]
    pub(super) process: T,
    pub(super) cpu_ns_per_delivery: Option<f64>,
}

impl ChatRecord {
    pub(super) fn json(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}
