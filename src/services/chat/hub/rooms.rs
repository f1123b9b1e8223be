//! The rooms: who sits where, and what was said.
//!
//! A room keeps its members in halls, one for each way in which they are told things. A hall is two rows side by side, of
//! connections and of members: a broadcast walks the first from end to end, and whoever leaves has its place taken by the last. So
//! entering and leaving cost the same in a room of three as in one of ten thousand.

#[cfg(test)]
use std::collections::HashSet;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;

use slab::Slab;

use super::history::History;
use super::members::{MemberId, Reach};
use crate::frame::Payload;
use crate::service::ConnId;
use crate::services::chat::ask::Refusal;
use crate::services::chat::dialect::Dialect;
use crate::services::chat::names;
use crate::services::chat::rules::Rules;
use crate::services::chat::wire::LOBBY;

/// A room's number. It is used again once the room is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RoomId(pub(super) u16);

/// Rooms that numbers are enough for.
const MAX_ROOMS: usize = u16::MAX as usize;

/// A room.
pub(super) struct Room {
    pub(super) name: Box<str>,
    pub(super) json: Hall<ConnId>,
    pub(super) lines: Hall<ConnId>,
    pub(super) raw: Hall<ConnId>,
    /// Those who are still being sent what they missed; nothing is broadcast to them.
    pub(super) catching_up: Hall<ConnId>,
    pub(super) sources: Hall<SocketAddr>,
    pub(super) history: History,
    /// Said in this turn and not sent yet.
    pub(super) unsent: Unsent,
    /// It is listed among those that have said something this turn.
    pub(super) is_speaking: bool,
    /// It is listed among those that keep something.
    is_keeping: bool,
    /// Since when it has been empty, as a count of rooms that have become so.
    empty_since: Option<u64>,
}

/// Messages on their way, for each way in which members are told things.
#[derive(Default)]
pub(super) struct Unsent {
    pub(super) count: u64,
    pub(super) bytes: usize,
    pub(super) json: Vec<Payload>,
    pub(super) lines: Vec<Payload>,
    pub(super) raw: Vec<Payload>,
    pub(super) sources: Vec<Payload>,
}

/// Members who are told things in one way, in two rows.
pub(super) struct Hall<R> {
    pub(super) reaches: Vec<R>,
    pub(super) members: Vec<MemberId>,
}

impl<R> Default for Hall<R> {
    fn default() -> Self {
        Self { reaches: Vec::new(), members: Vec::new() }
    }
}

impl<R> Hall<R> {
    /// Seats somebody; returns the place.
    fn enter(&mut self, reach: R, member: MemberId) -> u32 {
        self.reaches.push(reach);
        self.members.push(member);
        u32::try_from(self.members.len() - 1).unwrap_or(u32::MAX)
    }

    /// Frees a place; returns who has taken it, if the last had to move.
    fn leave(&mut self, place: u32) -> Option<MemberId> {
        let place = place as usize;
        if place >= self.members.len() {
            return None;
        }
        self.reaches.swap_remove(place);
        self.members.swap_remove(place);
        self.members.get(place).copied()
    }
}

impl Room {
    fn new(name: &str, history: History) -> Self {
        Self {
            name: name.into(),
            json: Hall::default(),
            lines: Hall::default(),
            raw: Hall::default(),
            catching_up: Hall::default(),
            sources: Hall::default(),
            history,
            unsent: Unsent::default(),
            is_speaking: false,
            is_keeping: false,
            empty_since: None,
        }
    }

    /// Seats a member; returns its place in the hall that is its.
    pub(super) fn enter(&mut self, reach: Reach, member: MemberId, catching_up: bool) -> u32 {
        match reach {
            Reach::Source { address } => self.sources.enter(address, member),
            Reach::Conn { id, .. } if catching_up => self.catching_up.enter(id, member),
            Reach::Conn { id, dialect } => self.hall(dialect).enter(id, member),
        }
    }

    /// Frees a member's place; returns who has taken it.
    pub(super) fn leave(&mut self, reach: Reach, place: u32, catching_up: bool) -> Option<MemberId> {
        match reach {
            Reach::Source { .. } => self.sources.leave(place),
            Reach::Conn { .. } if catching_up => self.catching_up.leave(place),
            Reach::Conn { dialect, .. } => self.hall(dialect).leave(place),
        }
    }

    fn hall(&mut self, dialect: Dialect) -> &mut Hall<ConnId> {
        match dialect {
            Dialect::Json => &mut self.json,
            Dialect::Lines => &mut self.lines,
            Dialect::Raw => &mut self.raw,
        }
    }

    /// The rows of those who speak a dialect, live or not yet.
    pub(super) fn hearing(&self, dialect: Dialect) -> [&[ConnId]; 2] {
        match dialect {
            Dialect::Json => [&self.json.reaches, &self.catching_up.reaches],
            Dialect::Lines => [&self.lines.reaches, &[]],
            Dialect::Raw => [&self.raw.reaches, &[]],
        }
    }

    /// The rows of members, one for each hall.
    pub(super) fn rows(&self) -> [&[MemberId]; 5] {
        let Self { json, lines, raw, catching_up, sources, .. } = self;
        [&json.members, &lines.members, &raw.members, &catching_up.members, &sources.members]
    }

    pub(super) fn count(&self) -> usize {
        self.rows().iter().map(|row| row.len()).sum()
    }
}

/// All of them.
pub(super) struct Rooms {
    all: Slab<Room>,
    by_name: HashMap<Box<str>, RoomId>,
    /// Rooms that nobody is in, the longest first.
    empty: BTreeSet<(u64, RoomId)>,
    emptied: u64,
    most: usize,
    kept_bytes: usize,
    /// Rooms that keep something, in the order in which they let go of it.
    keeping: VecDeque<RoomId>,
    /// The highest id of any room that was forgotten. New ones begin behind it, so no id of a room is ever given twice.
    forgotten_id: u64,
}

impl Rooms {
    /// With a lobby, which is number 0 and is never forgotten.
    pub(super) fn new(rules: &Rules) -> Self {
        let (all, by_name, empty) = (Slab::new(), HashMap::new(), BTreeSet::new());
        let most = rules.max_rooms.clamp(1, MAX_ROOMS);
        let mut rooms =
            Self { all, by_name, empty, emptied: 0, most, kept_bytes: 0, keeping: VecDeque::new(), forgotten_id: 0 };
        rooms.make(LOBBY);
        rooms
    }

    pub(super) const LOBBY: RoomId = RoomId(0);

    /// The room of a name, made if there is none.
    pub(super) fn open(&mut self, name: &str) -> Result<RoomId, Refusal> {
        if let Some(id) = self.find(name) {
            return Ok(id);
        }
        names::check_room(name)?;
        if self.all.len() >= self.most {
            let Some((_, oldest)) = self.empty.pop_first() else {
                return Err(Refusal::new(
                    "rooms-full",
                    format!("this server has its {} rooms already", self.all.len()),
                ));
            };
            self.forget(oldest);
        }
        Ok(self.make(name))
    }

    pub(super) fn find(&self, name: &str) -> Option<RoomId> {
        self.by_name.get(name).copied()
    }

    pub(super) fn get(&self, id: RoomId) -> Option<&Room> {
        self.all.get(usize::from(id.0))
    }

    pub(super) fn get_mut(&mut self, id: RoomId) -> Option<&mut Room> {
        self.all.get_mut(usize::from(id.0))
    }

    /// Those with a number of at least `from`, in order.
    pub(super) fn iter_from(&self, from: u64) -> impl Iterator<Item = (RoomId, &Room)> + '_ {
        let numbered = self.all.iter().filter_map(|(key, room)| Some((RoomId(u16::try_from(key).ok()?), room)));
        numbered.filter(move |(id, _)| u64::from(id.0) >= from)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }

    /// Notes that somebody has entered or left.
    pub(super) fn note_population(&mut self, id: RoomId) {
        let Some(room) = self.all.get_mut(usize::from(id.0)).filter(|_| id != Self::LOBBY) else { return };
        match (room.count() == 0, room.empty_since) {
            (true, None) => {
                self.emptied += 1;
                room.empty_since = Some(self.emptied);
                self.empty.insert((self.emptied, id));
                // Nothing was ever said there, so nobody can come back for it.
                if room.history.is_untouched() {
                    self.empty.remove(&(self.emptied, id));
                    self.forget(id);
                }
            }
            (false, Some(since)) => {
                room.empty_since = None;
                self.empty.remove(&(since, id));
            }
            _ => {}
        }
    }

    /// Keeps a message that was said, and lets go of older ones as the rules demand.
    pub(super) fn keep(&mut self, id: RoomId, message: Payload, rules: &Rules) {
        let Some(room) = self.all.get_mut(usize::from(id.0)) else { return };
        self.kept_bytes += room.history.push(message, rules.max_kept_messages);
        self.kept_bytes -= room.history.take_let_go();
        if !std::mem::replace(&mut room.is_keeping, true) {
            self.keeping.push_back(id);
        }
        // In turn, so that a room where much is said does not silence the memory of the others, nor they its own.
        while self.kept_bytes > rules.max_kept_bytes
            && let Some(next) = self.keeping.pop_front()
        {
            let Some(room) = self.all.get_mut(usize::from(next.0)) else { continue };
            room.history.let_oldest_go();
            self.kept_bytes -= room.history.take_let_go();
            room.is_keeping = !room.history.is_empty();
            if room.is_keeping {
                self.keeping.push_back(next);
            }
        }
    }

    /// Panics unless every room is found by its name, is among the empty ones if it is, and is counted.
    #[cfg(test)]
    pub(super) fn check(&self, rules: &Rules) {
        for (id, room) in self.iter_from(0) {
            assert_eq!(self.find(&room.name), Some(id));
            let is_listed = room.empty_since.is_some_and(|since| self.empty.contains(&(since, id)));
            assert_eq!(is_listed, id != Self::LOBBY && room.count() == 0, "{} is forgotten if it is empty", room.name);
            assert!(room.history.last_id() + 1 - room.history.oldest_id() <= rules.max_kept_messages as u64);
        }
        let kept: HashSet<_> = self.keeping.iter().copied().collect();
        assert_eq!(kept.len(), self.keeping.len());
        assert!(self.iter_from(0).all(|(id, room)| room.history.is_empty() || kept.contains(&id)));
        assert_eq!(self.by_name.len(), self.len());
        assert!(self.len() <= self.most);
        assert_eq!(self.kept_bytes, self.all.iter().map(|(_, room)| room.history.bytes()).sum::<usize>());
        assert!(self.kept_bytes <= rules.max_kept_bytes, "{} bytes are kept", self.kept_bytes);
    }

    fn make(&mut self, name: &str) -> RoomId {
        let room = Room::new(name, History::after(self.forgotten_id));
        let id = RoomId(u16::try_from(self.all.insert(room)).unwrap_or(u16::MAX));
        self.by_name.insert(name.into(), id);
        id
    }

    fn forget(&mut self, id: RoomId) {
        if let Some(mut room) = self.all.try_remove(usize::from(id.0)) {
            self.kept_bytes -= room.history.clear();
            self.by_name.remove(&room.name);
            self.forgotten_id = self.forgotten_id.max(room.history.last_id());
            self.keeping.retain(|kept| *kept != id);
        }
    }
}
