//! The table of rooms: finding and creating them, and the limits on their number and memory.

#[cfg(test)]
use std::collections::HashSet;
use std::collections::{BTreeSet, HashMap, VecDeque};

use slab::Slab;

use super::history::RoomHistory;
use super::ids::RoomId;
use super::room::ChatRoom;
use crate::frame::plural::counted;
use crate::services::chat::config::ChatConfig;
use crate::services::chat::names::{self, fold_name};
use crate::services::chat::request::ErrorReply;
use crate::services::chat::wire::LOBBY;

/// The largest number of rooms for which [`RoomId`] has ids.
const MAX_ROOMS: usize = u16::MAX as usize;

/// All rooms.
pub(super) struct RoomTable {
    all: Slab<ChatRoom>,
    /// Index by case-folded name.
    by_name: HashMap<Box<str>, RoomId>,
    /// Rooms without members, in the order in which they became empty.
    empty: BTreeSet<(u64, RoomId)>,
    /// Rooms that have become empty so far; the source of `ChatRoom::emptied_at`.
    emptied_count: u64,
    max_rooms: usize,
    /// Bytes in all histories.
    kept_bytes: usize,
    /// Rooms that keep messages, in the order in which they evict their oldest one.
    eviction_queue: VecDeque<RoomId>,
    /// The highest message id of any deleted room. A new room continues after it, so a room that is
    /// deleted and created again never reuses an id.
    last_deleted_id: u64,
}

impl RoomTable {
    /// Returns a table with the lobby.
    pub(super) fn new(config: &ChatConfig) -> Self {
        let mut rooms = Self {
            all: Slab::new(),
            by_name: HashMap::new(),
            empty: BTreeSet::new(),
            emptied_count: 0,
            max_rooms: config.max_rooms.clamp(1, MAX_ROOMS),
            kept_bytes: 0,
            eviction_queue: VecDeque::new(),
            last_deleted_id: 0,
        };
        rooms.create(LOBBY);
        rooms
    }

    /// Returns the room with this name. Creates it if it does not exist, and then deletes the room
    /// that has been empty for longest if the table is full.
    pub(super) fn find_or_create(&mut self, name: &str) -> Result<RoomId, ErrorReply> {
        if let Some(id) = self.find(name) {
            return Ok(id);
        }
        names::check_room(name)?;
        if self.all.len() >= self.max_rooms {
            let Some((_, oldest)) = self.empty.pop_first() else {
                return Err(ErrorReply::new(
                    "rooms-full",
                    format!("the server has reached its limit of {}", counted(self.all.len() as u64, "room", "rooms")),
                ));
            };
            self.delete(oldest);
        }
        Ok(self.create(name))
    }

    /// Returns the room with this name, in any case.
    pub(super) fn find(&self, name: &str) -> Option<RoomId> {
        self.by_name.get(&*fold_name(name)).copied()
    }

    pub(super) fn get(&self, id: RoomId) -> Option<&ChatRoom> {
        self.all.get(usize::from(id.0))
    }

    pub(super) fn get_mut(&mut self, id: RoomId) -> Option<&mut ChatRoom> {
        self.all.get_mut(usize::from(id.0))
    }

    /// Returns the rooms whose id is at least `from`, in order.
    pub(super) fn iter_from(&self, from: u64) -> impl Iterator<Item = (RoomId, &ChatRoom)> + '_ {
        let numbered = self.all.iter().filter_map(|(key, room)| Some((RoomId(u16::try_from(key).ok()?), room)));
        numbered.filter(move |(id, _)| u64::from(id.0) >= from)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Returns the bytes of messages in all histories.
    pub(super) fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }

    /// Updates the index of empty rooms after a member has joined or left.
    pub(super) fn update_empty(&mut self, id: RoomId) {
        let Some(room) = self.all.get_mut(usize::from(id.0)).filter(|_| id != RoomId::LOBBY) else { return };
        match (room.member_count() == 0, room.emptied_at) {
            (true, None) => {
                self.emptied_count += 1;
                room.emptied_at = Some(self.emptied_count);
                self.empty.insert((self.emptied_count, id));
                // A room without any message has no ids that a member could ask to be replayed.
                if room.history.is_unused() {
                    self.empty.remove(&(self.emptied_count, id));
                    self.delete(id);
                }
            }
            (false, Some(emptied_at)) => {
                room.emptied_at = None;
                self.empty.remove(&(emptied_at, id));
            }
            _ => {}
        }
    }

    /// Stores a message in a room's history, and evicts old messages beyond the limits.
    pub(super) fn store_message(&mut self, id: RoomId, message: &[u8], config: &ChatConfig) {
        let Some(room) = self.all.get_mut(usize::from(id.0)) else { return };
        self.kept_bytes += room.history.push(message, config.max_kept_messages);
        self.kept_bytes -= room.history.take_evicted_bytes();
        if !std::mem::replace(&mut room.is_eviction_queued, true) {
            self.eviction_queue.push_back(id);
        }
        // Round robin: so a busy room cannot evict the whole history of the others.
        while self.kept_bytes > config.max_kept_bytes
            && let Some(next) = self.eviction_queue.pop_front()
        {
            let Some(room) = self.all.get_mut(usize::from(next.0)) else { continue };
            room.history.evict_oldest();
            self.kept_bytes -= room.history.take_evicted_bytes();
            room.is_eviction_queued = !room.history.is_empty();
            if room.is_eviction_queued {
                self.eviction_queue.push_back(next);
            }
        }
    }

    fn create(&mut self, name: &str) -> RoomId {
        let room = ChatRoom::new(name, RoomHistory::after(self.last_deleted_id));
        let id = RoomId(u16::try_from(self.all.insert(room)).unwrap_or(u16::MAX));
        self.by_name.insert(fold_name(name).into(), id);
        id
    }

    fn delete(&mut self, id: RoomId) {
        if let Some(mut room) = self.all.try_remove(usize::from(id.0)) {
            self.kept_bytes -= room.history.clear();
            self.by_name.remove(&*fold_name(&room.name));
            self.last_deleted_id = self.last_deleted_id.max(room.history.last_id());
            self.eviction_queue.retain(|queued| *queued != id);
        }
    }

    /// Panics unless the indexes, the eviction queue and the byte count match the rooms.
    #[cfg(test)]
    pub(super) fn check(&self, config: &ChatConfig) {
        for (id, room) in self.iter_from(0) {
            assert_eq!(self.find(&room.name), Some(id));
            let is_listed = room.emptied_at.is_some_and(|emptied_at| self.empty.contains(&(emptied_at, id)));
            let is_empty = id != RoomId::LOBBY && room.member_count() == 0;
            assert_eq!(is_listed, is_empty, "index of empty rooms: {}", room.name);
            assert!(room.history.last_id() + 1 - room.history.oldest_id() <= config.max_kept_messages as u64);
        }
        let queued: HashSet<_> = self.eviction_queue.iter().copied().collect();
        assert_eq!(queued.len(), self.eviction_queue.len());
        assert!(self.iter_from(0).all(|(id, room)| room.history.is_empty() || queued.contains(&id)));
        assert_eq!(self.by_name.len(), self.len());
        assert!(self.len() <= self.max_rooms);
        assert_eq!(self.kept_bytes, self.all.iter().map(|(_, room)| room.history.bytes()).sum::<usize>());
        assert!(self.kept_bytes <= config.max_kept_bytes, "{} bytes are kept", self.kept_bytes);
    }
}
