//! Events about joins, leaves and renames. Rooms of up to `max_announcing_room_members` members
//! receive them; in larger rooms only the member itself does.

use super::ids::{MemberId, RoomId};
use super::output::HubOutput;
use super::sending::send_batch;
use super::state::Hub;
use crate::service::{BatchId, ConnId};
use crate::services::chat::dialect::{self, ChatDialect};
use crate::services::chat::request::ErrorReply;
use crate::services::chat::wire::ChatEvent;

impl Hub {
    /// Announces a member to its rooms, once. The hub calls this at the member's first request, so
    /// that the announcement can name the nick that the member takes.
    pub(super) fn announce_member(&mut self, id: MemberId, out: &mut dyn HubOutput) {
        let Some(member) = self.members.get_mut(id).filter(|member| !member.is_announced) else { return };
        member.is_announced = true;
        let nick = member.nick.clone();
        for room in member.rooms() {
            if self.is_small(room) {
                let name = self.room_name(room);
                self.announce(room, &ChatEvent::Joined { room: (&*name).into(), nick: (&*nick).into() }, out);
            }
        }
    }

    /// Returns true if the room has at most `max_announcing_room_members` members.
    fn is_small(&self, room: RoomId) -> bool {
        self.rooms.get(room).is_some_and(|room| room.member_count() <= self.config.max_announcing_room_members)
    }

    /// Sends an event without a message id to all members of a room, and to the operator.
    pub(super) fn announce(&mut self, room: RoomId, event: &ChatEvent<'_>, out: &mut dyn HubOutput) {
        self.flush_room(room, out);
        let Some(room) = self.rooms.get(room) else { return };
        for dialect in [ChatDialect::Json, ChatDialect::Lines, ChatDialect::Raw] {
            self.announce_to(&room.conns(dialect), dialect, event, out);
        }
        self.print_event(event, out);
    }

    /// Returns the name of a room, empty if the room does not exist.
    pub(super) fn room_name(&self, room: RoomId) -> Box<str> {
        self.rooms.get(room).map_or_else(|| "".into(), |room| room.name.clone())
    }

    fn announce_to(&self, lists: &[&[ConnId]], dialect: ChatDialect, event: &ChatEvent<'_>, out: &mut dyn HubOutput) {
        if lists.iter().all(|conns| conns.is_empty()) {
            return;
        }
        let mut payloads = Vec::new();
        dialect::encode_event(dialect, event, self.config.encoding, &mut payloads);
        for conns in lists {
            send_batch(conns, &payloads, BatchId::NONE, out);
        }
    }

    /// Changes a member's nick and announces that to its small rooms; returns the old nick.
    pub(super) fn rename(&mut self, id: MemberId, nick: &str, out: &mut dyn HubOutput) -> Result<Box<str>, ErrorReply> {
        let was = self.members.rename(id, nick)?;
        let Some(member) = self.members.get(id).filter(|member| member.is_announced && *was != *nick) else {
            return Ok(was);
        };
        let rooms: Vec<_> = member.rooms().into_iter().filter(|room| self.is_small(*room)).collect();
        let event = ChatEvent::Renamed { was: (&*was).into(), nick: nick.into() };
        for room in &rooms {
            self.flush_room(*room, out);
        }
        let own = self.members.get(id).and_then(|member| Some(member.conn()?.0));
        for dialect in [ChatDialect::Json, ChatDialect::Lines, ChatDialect::Raw] {
            let rooms = rooms.iter().filter_map(|room| self.rooms.get(*room));
            let lists = rooms.flat_map(|room| room.conns(dialect));
            let mut conns: Vec<_> = lists.flatten().copied().filter(|conn| Some(*conn) != own).collect();
            // A member that shares several rooms with the renamed one receives one event.
            conns.sort_unstable();
            conns.dedup();
            self.announce_to(&[&conns], dialect, &event, out);
        }
        self.print_event(&event, out);
        Ok(was)
    }
}
