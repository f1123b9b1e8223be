//! A result of `bench chat`, as it is written down: the JSON of `--json`, and what the table and the report are made of.
//!
//! Its keys are a promise, as those of the echo's. What is the same there has the same name here.

use serde::Serialize;
use switchboard::load::chat::{ChatFaults, FaultKind, ServerError};

use crate::cli::commands::bench::record::{Distribution, Generator, Percentile, Sample, Server, Target};
use crate::cli::commands::bench::verdict::Verdict;
use crate::cli::process::MachineInfo;

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
    pub(super) ended_early: Option<&'static str>,
    pub(super) elapsed_ns: u64,
    /// Said in the measured time; in an open loop those that were due in it and said.
    pub(super) messages: u64,
    /// Open loop: due in the measured time.
    pub(super) due: Option<u64>,
    pub(super) messages_per_second: f64,
    /// Right deliveries; in an open loop those of messages that were due in the measured time.
    pub(super) deliveries: u64,
    /// Right deliveries in the measured time: what throughput and costs are counted by.
    pub(super) delivered: u64,
    pub(super) deliveries_per_second: f64,
    /// Of texts, to all members.
    pub(super) payload_bytes_per_second: f64,
    /// Of a delivery.
    pub(super) latency_ns: Option<Distribution>,
    pub(super) members: Members,
    pub(super) proof: Proof,
    pub(super) faults: ChatFaults,
    /// The first of each kind.
    pub(super) complaints: Vec<ServerError>,
    pub(super) generator: Party<Generator>,
    pub(super) server: Option<Party<Server>>,
    pub(super) percentiles: Vec<Percentile>,
    /// Their messages are deliveries.
    pub(super) samples: Vec<Sample>,
    pub(super) verdicts: Vec<Verdict>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Load {
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
    pub(super) answer_timeout_ns: u64,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Members {
    pub(super) in_at_end: usize,
    /// From the first connect until the last member was in its room.
    pub(super) all_in_after_ns: u64,
    /// From its connect until a member was in its room.
    pub(super) join_ns: Option<Distribution>,
}

/// That every member received every id of its room once, in order, and the same under each: over the whole run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Proof {
    /// False if anything went wrong, or was still awaited when the run ended.
    pub(super) proved: bool,
    /// Of all rooms.
    pub(super) ids: u64,
    /// Deliveries, each once.
    pub(super) received: u64,
    /// Deliveries that were still awaited.
    pub(super) awaited: u64,
    /// The first of each kind.
    pub(super) violations: Vec<Violation>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Violation {
    pub(super) kind: FaultKind,
    pub(super) member: usize,
    pub(super) room: String,
    pub(super) id: u64,
    /// The same in words.
    pub(super) text: String,
}

/// One side; where it says `per_message`, that is what was said, and `per_connection` is a member.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Party<T> {
    #[serde(flatten)]
    pub(super) side: T,
    pub(super) cpu_ns_per_delivery: Option<f64>,
}

impl Record {
    pub(super) fn json(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}
