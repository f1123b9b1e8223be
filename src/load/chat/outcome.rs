//! What came of a load on a chat.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::config::ChatActivity;
use super::faults::{ChatFaults, DeliveryViolation};
use crate::load::outcome::{Bottleneck, GeneratorStats, HistogramSummary, LoadSample};

/// What came of a load on a chat. A delivery is one message that came to one member.
#[derive(Clone)]
#[non_exhaustive]
pub struct ChatOutcome {
    /// What the publishers did.
    pub activity: ChatActivity,
    /// The measured time.
    pub elapsed: Duration,
    /// Messages said in the measured time; in an open loop those that were due in it and said.
    pub messages: u64,
    /// Open loop: messages due in the measured time.
    pub due: u64,
    /// Right deliveries that count: in a closed loop those that came in the measured time, in an open loop those of messages that
    /// were due in it, however late they came.
    pub deliveries: u64,
    /// Right deliveries that came in the measured time, whenever their messages were due. What processor time and throughput are
    /// to be divided by.
    pub delivered: u64,
    /// Text bytes of `deliveries`.
    pub bytes: u64,
    /// Deliveries that were still awaited when the run ended: it was ended early, or the server was still at work a long time
    /// after the last message.
    pub awaited: u64,
    /// From when a message was to be said to when a member had all of it, in nanoseconds, for each delivery. Open loop: of those
    /// that never came, how long they had been awaited when the run ended.
    pub latency: Histogram<u64>,
    /// From the call of connect until a member was in its room, in nanoseconds.
    pub joins: Histogram<u64>,
    /// From the first call of connect until the last member was in its room.
    pub joining: Duration,
    /// Members that were there to the end.
    pub members: usize,
    /// Ids that came, over the whole run, the first included: of all rooms together.
    pub ids: u64,
    /// Messages that came to a member, each once, over the whole run.
    pub received: u64,
    /// All that went wrong, over the whole run.
    pub faults: ChatFaults,
    /// The first of each kind, by name.
    pub violations: Vec<DeliveryViolation>,
    /// The first of each kind that the server complained of.
    pub server_errors: Vec<ServerError>,
    /// What happened in each part of the measured time, oldest first; its messages are deliveries.
    pub samples: Vec<LoadSample>,
    /// What the load cost the generator itself.
    pub generator: GeneratorStats,
}

/// What a server said in an `error` or `bye`, or something that nobody understands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ServerError {
    /// To which member.
    pub member: usize,
    /// The error's code, `bye`, or `garbled`.
    pub code: String,
    /// In words.
    pub text: String,
}

impl ChatOutcome {
    /// Whether every member received every id of its room once, in order, and the same under each.
    pub fn is_verified(&self) -> bool {
        self.faults.is_none() && self.awaited == 0
    }

    /// Whether the generator measured itself rather than the server, and how that shows.
    pub fn bottleneck(&self) -> Option<Bottleneck> {
        self.generator.bottleneck(matches!(self.activity, ChatActivity::Open { .. }), &self.latency)
    }
}

impl fmt::Debug for ChatOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { activity, elapsed, messages, due, deliveries, delivered, awaited, latency, joins, .. } = self;
        let Self { joining, members, ids, received, faults, violations, server_errors, samples, generator, .. } = self;
        f.debug_struct("ChatOutcome")
            .field("activity", activity)
            .field("elapsed", elapsed)
            .field("messages", messages)
            .field("due", due)
            .field("deliveries", deliveries)
            .field("delivered", delivered)
            .field("awaited", awaited)
            .field("latency", &HistogramSummary(latency))
            .field("joins", &HistogramSummary(joins))
            .field("joining", joining)
            .field("members", members)
            .field("ids", ids)
            .field("received", received)
            .field("faults", faults)
            .field("violations", violations)
            .field("server_errors", server_errors)
            .field("samples", &samples.len())
            .field("generator", generator)
            .finish_non_exhaustive()
    }
}
