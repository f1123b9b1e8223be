//! What can go wrong with a chat, counted by kind, and the first of each kind by name.

use std::fmt;

use serde::Serialize;

use crate::load::outcome::Faults;

/// A way in which a room's messages may not have come to all its members, each once and in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FaultKind {
    /// A member never received an id that others did, or that lies between two that it did.
    Missing,
    /// A member received an id again.
    Duplicated,
    /// A member received an id after a later one.
    Reordered,
    /// A text is not what was said, or not what others received under the same id.
    Corrupted,
    /// A member received a message of a room that it is not in.
    Strayed,
    /// A message was said, and nobody received it under any id.
    Unsaid,
    /// A message has two ids, or one that is lower than that of an earlier message of the same publisher.
    Misnumbered,
    /// A member received an id so late that it was no longer known what others had received under it.
    Uncompared,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DeliveryViolation {
    /// In which way.
    pub kind: FaultKind,
    /// Which member, counted from 0; of [`FaultKind::Unsaid`] and [`FaultKind::Misnumbered`], the publisher.
    pub member: usize,
    /// The room's name.
    pub room: String,
    /// The message's id; of [`FaultKind::Unsaid`] and [`FaultKind::Misnumbered`], its number among those of the publisher, from 0.
    pub id: u64,
}

impl fmt::Display for DeliveryViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, member, room, id } = self;
        match kind {
            FaultKind::Missing => write!(f, "member {member} never received id {id} of {room}"),
            FaultKind::Duplicated => write!(f, "member {member} received id {id} of {room} again"),
            FaultKind::Reordered => write!(f, "id {id} of {room} came to member {member} after a later one"),
            FaultKind::Corrupted => write!(f, "id {id} of {room} came to member {member} with another text"),
            FaultKind::Strayed => write!(f, "member {member}, who is not in {room}, received its id {id}"),
            FaultKind::Unsaid => write!(f, "message {id} of member {member} was said in {room} and came to nobody"),
            FaultKind::Misnumbered => {
                write!(f, "message {id} of member {member} in {room} has two ids, or one lower than its predecessor's")
            }
            FaultKind::Uncompared => write!(f, "id {id} of {room} came to member {member} too late to be compared"),
        }
    }
}

/// All that went wrong, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ChatFaults {
    /// See [`FaultKind::Missing`].
    pub missing: u64,
    /// See [`FaultKind::Duplicated`].
    pub duplicated: u64,
    /// See [`FaultKind::Reordered`].
    pub reordered: u64,
    /// See [`FaultKind::Corrupted`]. What is no event of a chat at all is among them.
    pub corrupted: u64,
    /// See [`FaultKind::Strayed`].
    pub strayed: u64,
    /// See [`FaultKind::Unsaid`].
    pub unsaid: u64,
    /// See [`FaultKind::Misnumbered`].
    pub misnumbered: u64,
    /// See [`FaultKind::Uncompared`].
    pub uncompared: u64,
    /// The server said `error` or `bye`.
    #[serde(rename = "complaints")]
    pub server_errors: u64,
    /// Members that could not connect, or were not let in.
    pub refused: u64,
    /// Members that the server broke off.
    pub broken: u64,
}

impl ChatFaults {
    /// Whether nothing went wrong.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Each with its name, in the order in which they are told.
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

    /// All of them.
    pub fn total(&self) -> u64 {
        self.named().iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    pub(super) fn add(&mut self, kind: FaultKind, count: u64) {
        let counted = match kind {
            FaultKind::Missing => &mut self.missing,
            FaultKind::Duplicated => &mut self.duplicated,
            FaultKind::Reordered => &mut self.reordered,
            FaultKind::Corrupted => &mut self.corrupted,
            FaultKind::Strayed => &mut self.strayed,
            FaultKind::Unsaid => &mut self.unsaid,
            FaultKind::Misnumbered => &mut self.misnumbered,
            FaultKind::Uncompared => &mut self.uncompared,
        };
        *counted = counted.saturating_add(count);
    }

    /// As whoever watches a run is told of them.
    pub(super) fn brief(&self) -> Faults {
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
