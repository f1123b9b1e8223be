//! Output that slow or replaying members still lack: replays, pongs that follow a replay, and
//! notices of missing messages. Most members lack nothing, so the backlog is kept beside the
//! members.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::ids::{MemberId, RoomId};

/// Output that members still lack. The hub removes the entries of a member or room that goes.
#[derive(Default)]
pub(super) struct Backlog {
    /// Messages that were dropped because a member reads too slowly, until it has been notified. No
    /// two ranges of a member touch each other.
    pub(super) gaps: HashMap<MemberId, Vec<MessageGap>>,
    /// Running replays.
    pub(super) replays: BTreeMap<(MemberId, RoomId), Replay>,
    /// Number of pings to answer when a member's replays have ended.
    pub(super) deferred_pings: HashMap<MemberId, usize>,
}

/// The progress of one replay.
pub(super) struct Replay {
    /// The next id to send.
    pub(super) next: u64,
    /// Ids that the member received as broadcasts before the replay began.
    pub(super) skip: Range<u64>,
}

/// Messages that a member will not receive: consecutive ones of a room, or whispers.
#[derive(Clone, Copy, Debug)]
pub(super) struct MessageGap {
    /// `None` for whispers; `first` then has no meaning.
    pub(super) room: Option<RoomId>,
    pub(super) first: u64,
    pub(super) count: u64,
}

impl MessageGap {
    /// Returns the id after the last one.
    fn end(&self) -> u64 {
        self.first + self.count
    }

    /// Adds `other` if the two are one range. Returns true if they are.
    fn merge(&mut self, other: &Self) -> bool {
        let touches = self.room.is_none() || self.first == other.end() || other.first == self.end();
        let is_one = self.room == other.room && touches;
        if is_one {
            (self.first, self.count) = (self.first.min(other.first), self.count + other.count);
        }
        is_one
    }
}

impl Backlog {
    /// Removes a member that has left all its rooms.
    pub(super) fn remove_member(&mut self, id: MemberId) {
        self.gaps.remove(&id);
        self.deferred_pings.remove(&id);
    }

    /// Removes what a member lacks of a room that it has left.
    pub(super) fn remove_room(&mut self, id: MemberId, room: RoomId) {
        self.replays.remove(&(id, room));
        if let Some(gaps) = self.gaps.get_mut(&id) {
            gaps.retain(|gap| gap.room != Some(room));
        }
    }

    pub(super) fn add_replay(&mut self, id: MemberId, room: RoomId, replay: Replay) {
        self.replays.insert((id, room), replay);
    }

    pub(super) fn replay_mut(&mut self, id: MemberId, room: RoomId) -> Option<&mut Replay> {
        self.replays.get_mut(&(id, room))
    }

    pub(super) fn remove_replay(&mut self, id: MemberId, room: RoomId) {
        self.replays.remove(&(id, room));
    }

    /// Returns true if a replay for the member runs.
    fn is_replaying(&self, id: MemberId) -> bool {
        self.replays.range((id, RoomId(0))..=(id, RoomId(u16::MAX))).next().is_some()
    }

    /// Counts a ping if a replay runs. Returns false if the ping can be answered now.
    pub(super) fn defer_ping(&mut self, id: MemberId) -> bool {
        let is_deferred = self.is_replaying(id);
        if is_deferred {
            *self.deferred_pings.entry(id).or_default() += 1;
        }
        is_deferred
    }

    /// Returns the number of a member's deferred pings.
    pub(super) fn deferred_pings(&self, id: MemberId) -> usize {
        self.deferred_pings.get(&id).copied().unwrap_or(0)
    }

    /// Takes the number of pings to answer now: zero while a replay runs.
    pub(super) fn take_deferred_pings(&mut self, id: MemberId) -> usize {
        if self.is_replaying(id) { 0 } else { self.deferred_pings.remove(&id).unwrap_or(0) }
    }

    /// Adds a gap, merged with those that it touches. Returns the number of the member's gaps.
    pub(super) fn add_gap(&mut self, id: MemberId, mut gap: MessageGap) -> usize {
        let gaps = self.gaps.entry(id).or_default();
        gaps.retain(|known| !gap.merge(known));
        gaps.push(gap);
        gaps.len()
    }

    /// Removes and returns the member's gaps, by room and id.
    pub(super) fn take_gaps(&mut self, id: MemberId) -> Vec<MessageGap> {
        let mut gaps = self.gaps.remove(&id).unwrap_or_default();
        gaps.sort_unstable_by_key(|gap| (gap.room, gap.first));
        gaps
    }
}
