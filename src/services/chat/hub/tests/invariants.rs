//! Invariants of the hub that hold between inputs.

use super::*;
use crate::services::chat::hub::member::{MemberEndpoint, Membership};

impl Hub {
    /// Panics unless members and rooms agree about positions, and all sums match.
    pub(in crate::services::chat) fn check(&self) {
        self.members.check();
        self.rooms.check(&self.config);
        self.check_backlog();
        let mut memberships = 0;
        for (id, member) in self.members.iter() {
            memberships += member.memberships.len();
            let is_current_joined = member.current_room.is_none_or(|room| member.membership(room).is_some());
            assert!(is_current_joined, "a member's current room is one of its rooms");
            for Membership { room, position, is_replaying, .. } in &member.memberships {
                let room = self.rooms.get(*room).expect("a room with members exists");
                let (members, targets) = match (member.endpoint, is_replaying) {
                    (MemberEndpoint::Udp { address }, _) => {
                        assert_eq!(room.udp.targets[*position as usize], address);
                        (&room.udp.members, room.udp.targets.len())
                    }
                    (MemberEndpoint::Connection { id, dialect, .. }, is_replaying) => {
                        let audience = match (is_replaying, dialect) {
                            (true, _) => &room.replaying,
                            (false, ChatDialect::Json) => &room.json,
                            (false, ChatDialect::Lines) => &room.lines,
                            (false, ChatDialect::Raw) => &room.raw,
                        };
                        assert_eq!(audience.targets[*position as usize], id, "position of {}", member.nick);
                        (&audience.members, audience.targets.len())
                    }
                };
                assert_eq!(members[*position as usize], id, "position of {}", member.nick);
                assert_eq!(members.len(), targets);
            }
        }
        assert_eq!(memberships, self.rooms.iter_from(0).map(|(_, room)| room.member_count()).sum::<usize>());
        for (id, room) in self.rooms.iter_from(0) {
            assert_eq!(room.pending.count > 0, room.pending.bytes > 0);
            let will_be_flushed = room.pending.count == 0 || self.rooms_to_flush.contains(&id);
            assert!(will_be_flushed, "a room with pending messages is queued for a flush");
        }
    }

    /// Panics if the backlog has an entry for a member or a room that has gone.
    fn check_backlog(&self) {
        let backlog = &self.members.backlog;
        for (id, gaps) in &backlog.gaps {
            let member = self.members.get(*id).expect("a member with a gap exists");
            assert!(gaps.iter().all(|gap| gap.room.is_none_or(|room| member.membership(room).is_some())));
        }
        for (id, room) in backlog.replays.keys() {
            let membership = self.members.get(*id).and_then(|member| member.membership(*room));
            assert!(membership.is_some_and(|membership| membership.is_replaying));
        }
        for id in backlog.deferred_pings.keys() {
            assert!(backlog.replays.keys().any(|(member, _)| member == id), "a deferred ping has a replay");
        }
    }
}
