//! The outcome of a chat load.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::config::ChatActivity;
use super::faults::{ChatFaults, DeliveryViolation};
use crate::load::outcome::{Bottleneck, GeneratorStats, HistogramSummary, LoadSample};

/// The outcome of a load on a chat server. A delivery is one message received by one member.
#[derive(Clone)]
#[non_exhaustive]
pub struct ChatOutcome {
    /// The traffic of the publishers.
    pub activity: ChatActivity,
    /// The measured time.
    pub elapsed: Duration,
    /// Messages sent in the measured time. Open loop: messages due in it and sent.
    pub messages: u64,
    /// Open loop: messages due in the measured time.
    pub due: u64,
    /// Correct deliveries that count. Closed loop: those in the measured time. Open loop: those of
    /// messages due in it, however late.
    pub deliveries: u64,
    /// Correct deliveries in the measured time, whenever their messages were due. Divide processor
    /// time and throughput by this.
    pub delivered: u64,
    /// Text bytes of `deliveries`.
    pub bytes: u64,
    /// Deliveries outstanding when the run ended: it was ended early, or the server was still
    /// delivering long after the last message.
    pub awaited: u64,
    /// Nanoseconds from the time when a message was due to each of its deliveries. Open loop: for a
    /// delivery that never happened, the time it had been outstanding when the run ended.
    pub latency: Histogram<u64>,
    /// Nanoseconds from the call of `connect` until the member had joined its room.
    pub joins: Histogram<u64>,
    /// Time from the first call of `connect` until the last member had joined its room.
    pub joining: Duration,
    /// Members connected until the end.
    pub members: usize,
    /// Ids of all rooms together, from the first received to the last, over the whole run.
    pub ids: u64,
    /// Ids received by each member, duplicates excluded, over the whole run.
    pub received: u64,
    /// Faults over the whole run.
    pub faults: ChatFaults,
    /// The first few violations of each kind.
    pub violations: Vec<DeliveryViolation>,
    /// The first error of each code that the server reported.
    pub server_errors: Vec<ServerError>,
    /// The measured time in samples, oldest first. Their messages are deliveries.
    pub samples: Vec<LoadSample>,
    /// The generator's own usage.
    pub generator: GeneratorStats,
}

/// An `error` or `bye` event of the server, or input that is not a chat event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ServerError {
    /// The number of the member that received it.
    pub member: usize,
    /// The error's code, `bye`, or `garbled`.
    pub code: String,
    /// The server's text, or the reason why the input is not an event.
    pub text: String,
}

impl ChatOutcome {
    /// Returns true if every member received every id of its room once, in order, and with the same
    /// text as the other members.
    pub fn is_verified(&self) -> bool {
        self.faults.is_none() && self.awaited == 0
    }

    /// Returns the reason if the generator was the limit instead of the server.
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
