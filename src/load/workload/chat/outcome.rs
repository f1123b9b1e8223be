//! The results that only a chat load has.

use serde::Serialize;

use super::faults::{ChatFaults, DeliveryViolation};
use crate::load::outcome::LoadOutcome;

/// The results of a chat load besides those that all workloads share. An answer in
/// [`LoadOutcome`] is a delivery: one message received by one member.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChatOutcome {
    /// Messages sent in the measured time. Open loop: messages due in it and sent.
    pub sent: u64,
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

impl LoadOutcome<ChatOutcome> {
    /// Returns true if every member received every id of its room once, in order, and with the same
    /// text as the other members.
    pub fn is_verified(&self) -> bool {
        self.workload.faults.is_none() && self.unanswered == 0
    }
}
