//! Joining and leaving: updates of the member, the room and its audiences.

use super::ids::{MemberId, RoomId};
use super::member::{ChatMember, Membership};
use super::output::HubOutput;
use super::state::Hub;
use crate::services::chat::wire::ChatEvent;

impl Hub {
    /// Removes a member from its rooms and from the table of members.
    pub(super) fn remove_member(&mut self, id: MemberId, announce: bool, out: &mut dyn HubOutput) {
        for room in self.members.get(id).map(ChatMember::rooms).unwrap_or_default() {
            self.leave(id, room, announce, out);
        }
        self.members.remove(id);
    }

    /// Adds a member to a room. It receives broadcasts from the next message on.
    pub(super) fn join(&mut self, id: MemberId, room_id: RoomId, out: &mut dyn HubOutput) {
        self.flush_room(room_id, out);
        let (Some(member), Some(room)) = (self.members.get_mut(id), self.rooms.get_mut(room_id)) else { return };
        let position = room.add(member.endpoint, id, false);
        let first = room.history.last_id() + 1;
        // Most members are in one or two rooms: growing by one wastes no memory.
        member.memberships.reserve_exact(1);
        member.memberships.push(Membership { room: room_id, position, first, is_replaying: false });
        member.current_room = Some(room_id);
        self.rooms.update_empty(room_id);
    }

    /// Removes a member from a room.
    pub(super) fn leave(&mut self, id: MemberId, room_id: RoomId, announce: bool, out: &mut dyn HubOutput) {
        self.flush_room(room_id, out);
        let (Some(member), Some(room)) = (self.members.get_mut(id), self.rooms.get_mut(room_id)) else { return };
        let Some(at) = member.memberships.iter().position(|membership| membership.room == room_id) else { return };
        let membership = member.memberships.swap_remove(at);
        if member.current_room == Some(room_id) {
            member.current_room = member.memberships.last().map(|membership| membership.room);
        }
        let count_before = room.member_count();
        let moved = room.remove(member.endpoint, membership.position, membership.is_replaying);
        let is_announced = member.is_announced && announce;
        let nick = member.nick.clone();
        self.members.backlog.remove_room(id, room_id);
        self.update_position(moved, room_id, membership.position);
        if is_announced && count_before <= self.config.max_announcing_room_members {
            let name = self.room_name(room_id);
            self.announce(room_id, &ChatEvent::Left { room: (&*name).into(), nick: (&*nick).into() }, out);
        }
        self.rooms.update_empty(room_id);
    }

    /// Stores the new position of the member that has replaced a removed one.
    pub(super) fn update_position(&mut self, moved: Option<MemberId>, room: RoomId, position: u32) {
        if let Some(membership) = moved.and_then(|moved| self.members.get_mut(moved)?.membership_mut(room)) {
            membership.position = position;
        }
    }
}
