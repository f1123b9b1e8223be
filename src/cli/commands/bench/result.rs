//! The result of a run, as every command that measures reports it, and the record of `bench`: the
//! JSON of `--json`, from which the table and the page are made.
//!
//! The rules of the JSON keys are those of [`RecordHeader`].

use serde::{Serialize, Serializer};
use switchboard::load::Faults;
use switchboard::load::chat::{FaultKind, ServerError};

use crate::cli::process::PinnedCpus;
use crate::cli::report::document::Finding;
use crate::cli::report::rates;
use crate::cli::report::record::RecordHeader;

/// The result of `bench`.
#[derive(Clone, Debug, Serialize)]
pub(super) struct BenchRecord {
    #[serde(flatten)]
    pub(super) header: RecordHeader,
    pub(super) target: TargetRecord,
    pub(super) load: LoadRecord,
    #[serde(flatten)]
    pub(super) run: RunResult,
    pub(super) percentiles: Vec<PercentileRecord>,
    pub(super) samples: Vec<SampleRecord>,
    /// The search that found the rate of this result.
    pub(super) find_max: Option<SearchRecord>,
    pub(super) verdicts: Vec<Finding>,
}

/// The figures of one run: a load on one server.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RunResult {
    /// The reason why the run or the search ended early: `signal`, or `no_connections` if the
    /// server had no connection for a second.
    pub(crate) ended_early: Option<&'static str>,
    pub(crate) elapsed_ns: u64,
    /// Messages that were due in the measured time and got a correct answer. Chat: messages sent.
    pub(crate) messages: u64,
    /// Correct answers that arrived in the measured time, whenever due. Throughput and costs are
    /// based on this count. Null for chat, see [`ChatResult::delivered`].
    pub(crate) answered: Option<u64>,
    /// Open loop: messages that were due in the measured time.
    pub(crate) due: Option<u64>,
    /// Open loop: due messages without an answer at the end. Null for chat.
    pub(crate) unanswered: Option<u64>,
    /// Rate of `answered`. Chat: rate of `messages`.
    pub(crate) messages_per_second: f64,
    /// Payload in one direction. Chat: bytes of message texts, summed over all members.
    pub(crate) payload_bytes: u64,
    pub(crate) payload_bytes_per_second: f64,
    /// Latency of an answer. Chat: of a delivery.
    pub(crate) latency_ns: Option<Distribution>,
    pub(crate) connections: ConnectionsRecord,
    #[serde(serialize_with = "as_map")]
    pub(crate) faults: FaultCounts,
    pub(crate) generator: GeneratorRecord,
    /// Null if the process is unknown, or the system does not report the usage of processes.
    pub(crate) server: Option<ServerRecord>,
    /// The keys that only a chat has.
    #[serde(flatten)]
    pub(crate) chat: Option<ChatResult>,
}

/// Counts of faults with their kinds, in the order of reports.
pub(crate) type FaultCounts = Vec<(&'static str, u64)>;

/// The figures that only a run on a chat has.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ChatResult {
    /// Correct deliveries. In an open loop, those of messages that were due in the measured time.
    pub(crate) deliveries: u64,
    /// Correct deliveries in the measured time. Throughput and costs are based on this count.
    pub(crate) delivered: u64,
    pub(crate) deliveries_per_second: f64,
    pub(crate) proof: ProofRecord,
    /// The first server error of each kind.
    #[serde(rename = "complaints")]
    pub(crate) server_errors: Vec<ServerError>,
}

/// The proof that each member received each id of its room once, in order, with the same text as
/// all others. It covers the whole run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ProofRecord {
    /// False after any fault, or if deliveries were outstanding when the run ended.
    pub(crate) proved: bool,
    /// Ids of all rooms.
    pub(crate) ids: u64,
    /// Deliveries, without duplicates.
    pub(crate) received: u64,
    /// Outstanding deliveries at the end.
    pub(crate) awaited: u64,
    /// The first violation of each kind.
    pub(crate) violations: Vec<ViolationRecord>,
}

/// One broken rule of the proof.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ViolationRecord {
    pub(crate) kind: FaultKind,
    pub(crate) member: usize,
    pub(crate) room: String,
    pub(crate) id: u64,
    /// The violation as a sentence.
    pub(crate) text: String,
}

/// The server under load.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct TargetRecord {
    pub(crate) service: &'static str,
    /// `tcp`, `udp` or `unix`.
    pub(crate) transport: &'static str,
    pub(crate) address: String,
    /// Null for datagrams.
    pub(crate) framing: Option<String>,
    /// True if the server was started for the measurement.
    pub(crate) own: bool,
    /// The engine of a started server.
    pub(crate) engine: Option<String>,
    /// The processors of the server and of the load, if each has its own.
    pub(crate) pinned: Option<PinnedCpus>,
}

/// The parameters of the load.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct LoadRecord {
    /// `closed`, `open`, `churn` or `idle`.
    pub(crate) activity: &'static str,
    /// Closed loop only.
    pub(crate) in_flight: Option<usize>,
    /// Open loop only.
    pub(crate) rate_per_second: Option<f64>,
    /// Connections of the load, which are the members of a chat. Null if they vary.
    pub(crate) connections: Option<usize>,
    pub(crate) slow_readers: usize,
    /// Chat only.
    pub(crate) publishers: Option<usize>,
    /// Chat only.
    pub(crate) rooms: Option<usize>,
    pub(crate) payload_min_bytes: usize,
    pub(crate) payload_max_bytes: usize,
    pub(crate) ramp_ns: u64,
    pub(crate) warm_up_ns: u64,
    pub(crate) duration_ns: u64,
    #[serde(rename = "answer_timeout_ns")]
    pub(crate) reply_timeout_ns: u64,
    /// Null for chat.
    pub(crate) seed: Option<u64>,
}

/// A distribution of times in nanoseconds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Distribution {
    pub(crate) count: u64,
    pub(crate) min: u64,
    pub(crate) mean: f64,
    pub(crate) stdev: f64,
    pub(crate) p50: u64,
    pub(crate) p90: u64,
    pub(crate) p99: u64,
    pub(crate) p99_9: u64,
    pub(crate) p99_99: u64,
    pub(crate) max: u64,
}

/// The connections of the load. That of a chat member is open when the member has joined its room.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ConnectionsRecord {
    pub(crate) open_at_end: usize,
    /// Slow readers that the server disconnected, as its limits allow.
    pub(crate) slow_readers_cut_off: usize,
    /// Time from the first connect until all planned connections were open.
    pub(crate) all_open_after_ns: u64,
    /// Duration of one connect.
    pub(crate) connect_ns: Option<Distribution>,
}

/// The cost of the load to the generator.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct GeneratorRecord {
    pub(crate) cpu_ns: u64,
    pub(crate) cpu_ns_per_message: Option<f64>,
    /// Chat only.
    pub(crate) cpu_ns_per_delivery: Option<f64>,
    /// Processor time divided by elapsed time; 1 is a whole core.
    pub(crate) cores: f64,
    /// The fraction of the time in which the generator was not waiting.
    pub(crate) busy: f64,
    /// The limit that the generator reached: `busy` all the time, or `late` in sending.
    pub(crate) bottleneck: Option<&'static str>,
    /// Open loop: delay from the due time of a message to its write.
    pub(crate) send_lag_ns: Option<Distribution>,
}

/// The usage of the server process in the measured time.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ServerRecord {
    pub(crate) pid: u32,
    pub(crate) cpu_ns: u64,
    pub(crate) cpu_ns_per_message: Option<f64>,
    /// Chat only.
    pub(crate) cpu_ns_per_delivery: Option<f64>,
    /// Processor time divided by elapsed time; 1 is a whole core.
    pub(crate) cores: f64,
    /// Processors that the server can use: one if it has one thread.
    pub(crate) usable_cpus: usize,
    /// True if the server used nearly all processor time available to it.
    pub(crate) at_limit: bool,
    /// Memory before the first connection.
    pub(crate) rss_before_bytes: Option<u64>,
    /// Memory at the end of the measured time.
    pub(crate) rss_bytes: u64,
    pub(crate) peak_rss_bytes: u64,
    /// Memory growth since before the first connection, divided by the open connections. Null with
    /// fewer than ten.
    pub(crate) bytes_per_connection: Option<f64>,
    pub(crate) threads: u64,
    pub(crate) context_switches: u64,
    pub(crate) context_switches_per_message: Option<f64>,
}

/// One point of the latency curve.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct PercentileRecord {
    pub(crate) percentile: f64,
    pub(crate) latency_ns: u64,
}

/// The results of one interval of the measured time. The messages of a chat are deliveries.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct SampleRecord {
    /// End of the interval, from the start of the measured time.
    pub(crate) at_ns: u64,
    pub(crate) length_ns: u64,
    pub(crate) messages: u64,
    pub(crate) messages_per_second: f64,
    pub(crate) p50_ns: u64,
    pub(crate) p99_ns: u64,
    pub(crate) max_ns: u64,
    pub(crate) faults: Faults,
}

/// The search for the highest rate that keeps an objective. The result around it belongs to the
/// rate that was found, or to the last rate tried if the objective held at no rate.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SearchRecord {
    pub(crate) slo: ObjectiveRecord,
    /// The highest rate at which the objective holds; null if it holds at no rate.
    pub(crate) rate_per_second: Option<f64>,
    /// `found`, `generator` if the generator was the limit, or `stopped` by a signal.
    pub(crate) ended: &'static str,
    pub(crate) steps: Vec<SearchStepRecord>,
}

/// A service level objective.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ObjectiveRecord {
    /// The objective as typed.
    pub(crate) text: String,
    pub(crate) percentile: f64,
    pub(crate) below_ns: u64,
}

/// One rate that the search tried.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SearchStepRecord {
    pub(crate) rate_per_second: f64,
    /// `holds`, `too_slow`, `too_few` answers, `faulty`, or `generator` if the generator was the
    /// limit.
    pub(crate) verdict: &'static str,
    pub(crate) answered_per_second: f64,
    /// Latency at the objective's percentile; null without any answer.
    pub(crate) latency_ns: Option<u64>,
    pub(crate) generator_busy: f64,
    pub(crate) server_cores: Option<f64>,
    pub(crate) faults: Faults,
}

impl BenchRecord {
    /// Returns the reason if the shown run ended early. The result of a search belongs to a rate
    /// whose run was completed.
    pub(super) fn ended_early(&self) -> Option<&'static str> {
        self.run.ended_early.filter(|_| self.find_max.is_none())
    }
}

impl RunResult {
    /// Returns the number of faults.
    pub(crate) fn fault_count(&self) -> u64 {
        self.faults.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Returns true if the server used nearly all processor time available to it.
    pub(crate) fn server_at_limit(&self) -> bool {
        self.server.as_ref().is_some_and(|server| server.at_limit)
    }

    /// Returns true if the server did not reach the rate of the load. A closed loop has no rate. A
    /// run that ended early is not judged, because its last messages had less time than the others.
    pub(crate) fn missed_rate(&self) -> bool {
        let (None, Some(due)) = (self.ended_early, self.due) else { return false };
        !match &self.chat {
            None => rates::kept_up(self.answered.unwrap_or(0), due, self.unanswered.unwrap_or(0), 1.0),
            Some(chat) => {
                let per_message = rates::per_item(chat.deliveries, self.messages.max(1)).unwrap_or(0.0);
                rates::kept_up(chat.delivered, due, chat.proof.awaited, per_message)
            }
        }
    }
}

fn as_map<S: Serializer>(counts: &FaultCounts, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(counts.iter().copied())
}
