//! What some members are still owed: messages that they asked for again, answers that come after these, and word of what they will
//! not get. Most members are owed nothing, so it is kept beside them.

use std::collections::{BTreeMap, HashMap};

use super::members::MemberId;
use super::rooms::RoomId;

/// What members are owed. It is up to the hub that all of these are there.
#[derive(Default)]
pub(super) struct Arrears {
    /// What was dropped because somebody reads too slowly, for it to be told of.
    missed: HashMap<MemberId, Vec<Missed>>,
    /// How far those are whose seats are not live yet.
    catch_ups: BTreeMap<(MemberId, RoomId), CatchUp>,
    /// Pings of theirs, to be answered when they have caught up.
    pings: HashMap<MemberId, usize>,
}

/// How far a replay has come.
pub(super) struct CatchUp {
    pub(super) next: u64,
    /// What it was sent live before it asked.
    pub(super) skip: std::ops::Range<u64>,
}

/// Messages that a member will not get.
#[derive(Clone, Copy, Debug)]
pub(super) struct Missed {
    /// None: of rooms that are not known any more, and `first` means nothing.
    pub(super) room: Option<RoomId>,
    pub(super) first: u64,
    pub(super) count: u64,
}

impl Arrears {
    /// Somebody has gone, who has left its rooms before.
    pub(super) fn forget(&mut self, id: MemberId) {
        self.missed.remove(&id);
        self.pings.remove(&id);
    }

    /// Whoever has left a room is owed nothing that was said there.
    pub(super) fn forget_room(&mut self, id: MemberId, room: RoomId) {
        self.catch_ups.remove(&(id, room));
        if let Some(all) = self.missed.get_mut(&id) {
            all.retain(|missed| missed.room != Some(room));
        }
    }

    pub(super) fn begin_catch_up(&mut self, id: MemberId, room: RoomId, catch_up: CatchUp) {
        self.catch_ups.insert((id, room), catch_up);
    }

    pub(super) fn catch_up(&mut self, id: MemberId, room: RoomId) -> Option<&mut CatchUp> {
        self.catch_ups.get_mut(&(id, room))
    }

    pub(super) fn end_catch_up(&mut self, id: MemberId, room: RoomId) {
        self.catch_ups.remove(&(id, room));
    }

    /// The rooms in which a member is still catching up.
    pub(super) fn behind(&self, id: MemberId) -> impl Iterator<Item = RoomId> + '_ {
        self.catch_ups.range((id, RoomId(0))..=(id, RoomId(u16::MAX))).map(|((_, room), _)| *room)
    }

    /// Notes a ping; whether it has to wait at all.
    pub(super) fn hold_ping(&mut self, id: MemberId) -> bool {
        let waits = self.behind(id).next().is_some();
        if waits {
            *self.pings.entry(id).or_default() += 1;
        }
        waits
    }

    /// How many pings of a member wait.
    pub(super) fn pings(&self, id: MemberId) -> usize {
        self.pings.get(&id).copied().unwrap_or(0)
    }

    /// The pings that need wait no longer.
    pub(super) fn take_pings(&mut self, id: MemberId) -> usize {
        if self.behind(id).next().is_some() { 0 } else { self.pings.remove(&id).unwrap_or(0) }
    }

    /// Notes what a member has missed; whether it is the first since it was last told.
    pub(super) fn note_missed(&mut self, id: MemberId, missed: Missed) -> bool {
        let all = self.missed.entry(id).or_default();
        let is_first = all.is_empty();
        match all.iter_mut().find(|known| known.room == missed.room) {
            Some(known) => (known.first, known.count) = (known.first.min(missed.first), known.count + missed.count),
            None => all.push(missed),
        }
        is_first
    }

    pub(super) fn take_missed(&mut self, id: MemberId) -> Vec<Missed> {
        self.missed.remove(&id).unwrap_or_default()
    }

    /// Panics if anything is owed to somebody who is not there for it.
    #[cfg(test)]
    pub(super) fn check(&self, members: &super::members::Members) {
        for (id, missed) in &self.missed {
            let member = members.get(*id).expect("who misses something is there");
            assert!(missed.iter().all(|missed| missed.room.is_none_or(|room| member.seat(room).is_some())));
        }
        for (id, room) in self.catch_ups.keys() {
            assert!(members.get(*id).and_then(|member| member.seat(*room)).is_some_and(|seat| seat.catching_up));
        }
        assert!(self.pings.keys().all(|id| self.behind(*id).next().is_some()), "a ping waits for something");
    }
}
