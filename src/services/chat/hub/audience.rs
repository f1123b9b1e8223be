//! The audience of a room in one dialect.
//!
//! An audience is two parallel vectors, of targets and of members. A broadcast iterates over the
//! targets, and a leaving member is replaced by the last one. So joining and leaving take constant
//! time, whatever the size of the room.

use super::ids::MemberId;

/// The members of a room that receive events in the same form, with the target of each.
pub(super) struct Audience<T> {
    pub(super) targets: Vec<T>,
    pub(super) members: Vec<MemberId>,
}

impl<T> Default for Audience<T> {
    fn default() -> Self {
        Self { targets: Vec::new(), members: Vec::new() }
    }
}

impl<T> Audience<T> {
    /// Adds a member; returns its position.
    pub(super) fn add(&mut self, target: T, member: MemberId) -> u32 {
        self.targets.push(target);
        self.members.push(member);
        u32::try_from(self.members.len() - 1).unwrap_or(u32::MAX)
    }

    /// Removes the member at `position`; returns the member that has moved there, if any.
    pub(super) fn remove(&mut self, position: u32) -> Option<MemberId> {
        let position = position as usize;
        if position >= self.members.len() {
            return None;
        }
        self.targets.swap_remove(position);
        self.members.swap_remove(position);
        self.members.get(position).copied()
    }
}
