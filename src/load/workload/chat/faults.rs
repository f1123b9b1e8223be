//! The faults of a chat server: counts by kind, and the details of the first few of each kind.

use std::fmt;

use serde::Serialize;

use crate::load::outcome::Faults;

/// A violation of the rule that every member receives every message of its room once and in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FaultKind {
    /// A member never received an id that other members received, or an id between two others.
    Missing,
    /// A member received an id again.
    Duplicated,
    /// A member received an id after a later one.
    Reordered,
    /// A text differs from the sent one, or from the text that other members received with the id.
    Corrupted,
    /// A member received a message of a room that it has not joined.
    Strayed,
    /// No member received a message that was sent.
    Unsaid,
    /// A message has two ids, or a lower id than an earlier message of the same publisher.
    Misnumbered,
    /// A member received an id after the entry for comparison had been released.
    Uncompared,
}

/// The details of one violation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DeliveryViolation {
    /// The kind of the violation.
    pub kind: FaultKind,
    /// The member's number, from 0. For [`FaultKind::Unsaid`] and [`FaultKind::Misnumbered`], the
    /// publisher's.
    pub member: usize,
    /// The room's name.
    pub room: String,
    /// The message's id. For [`FaultKind::Unsaid`] and [`FaultKind::Misnumbered`], its number among
    /// the messages of the publisher, from 0.
    pub id: u64,
}

impl fmt::Display for DeliveryViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, member, room, id } = self;
        match kind {
            FaultKind::Missing => write!(f, "member {member} never received id {id} of {room}"),
            FaultKind::Duplicated => write!(f, "member {member} received id {id} of {room} again"),
            FaultKind::Reordered => write!(f, "member {member} received id {id} of {room} after a later one"),
            FaultKind::Corrupted => write!(f, "member {member} received id {id} of {room} with another text"),
            FaultKind::Strayed => {
                write!(f, "member {member} received id {id} of {room}, a room that it has not joined")
            }
            FaultKind::Unsaid => {
                write!(f, "member {member} sent message {id} in {room}, but no member received it")
            }
            FaultKind::Misnumbered => {
                write!(f, "message {id} of member {member} in {room} has two ids, or a lower id than its predecessor")
            }
            FaultKind::Uncompared => {
                write!(f, "member {member} received id {id} of {room} too late for its text to be compared")
            }
        }
    }
}

/// Counts of faults. The fields serialize under the names of [`named`](Self::named).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ChatFaults {
    /// See [`FaultKind::Missing`].
    pub missing: u64,
    /// See [`FaultKind::Duplicated`].
    pub duplicated: u64,
    /// See [`FaultKind::Reordered`].
    pub reordered: u64,
    /// See [`FaultKind::Corrupted`]. Input that is not a chat event counts, too.
    pub corrupted: u64,
    /// See [`FaultKind::Strayed`].
    pub strayed: u64,
    /// See [`FaultKind::Unsaid`].
    pub unsaid: u64,
    /// See [`FaultKind::Misnumbered`].
    pub misnumbered: u64,
    /// See [`FaultKind::Uncompared`].
    pub uncompared: u64,
    /// Events `error` and `bye` from the server.
    #[serde(rename = "complaints")]
    pub server_errors: u64,
    /// Members that could not connect or join.
    pub refused: u64,
    /// Members that the server disconnected.
    pub broken: u64,
}

impl ChatFaults {
    /// Returns true if all counts are zero.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Returns each count with its name, in the order of reports.
    pub fn named(&self) -> [(&'static str, u64); 11] {
        [
            ("missing", self.missing),
            ("duplicated", self.duplicated),
            ("reordered", self.reordered),
            ("corrupted", self.corrupted),
            ("strayed", self.strayed),
            ("unsaid", self.unsaid),
            ("misnumbered", self.misnumbered),
            ("uncompared", self.uncompared),
            ("complaints", self.server_errors),
            ("refused", self.refused),
            ("broken", self.broken),
        ]
    }

    /// Returns the sum of all counts.
    pub fn total(&self) -> u64 {
        self.named().iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    pub(super) fn add(&mut self, kind: FaultKind, count: u64) {
        let counter = match kind {
            FaultKind::Missing => &mut self.missing,
            FaultKind::Duplicated => &mut self.duplicated,
            FaultKind::Reordered => &mut self.reordered,
            FaultKind::Corrupted => &mut self.corrupted,
            FaultKind::Strayed => &mut self.strayed,
            FaultKind::Unsaid => &mut self.unsaid,
            FaultKind::Misnumbered => &mut self.misnumbered,
            FaultKind::Uncompared => &mut self.uncompared,
        };
        *counter = counter.saturating_add(count);
    }

    /// Returns the counts in the categories of a progress report.
    pub(super) fn summary(&self) -> Faults {
        Faults {
            lost: self.missing.saturating_add(self.unsaid),
            duplicated: self.duplicated,
            reordered: self.reordered + self.misnumbered,
            corrupted: self.corrupted + self.strayed + self.uncompared + self.server_errors,
            refused: self.refused,
            broken: self.broken,
        }
    }
}
