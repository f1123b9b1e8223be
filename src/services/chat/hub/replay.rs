//! Replays: a member that was away receives messages from a room's history, before any new message.
//!
//! A replay is sent in pieces of [`REPLAY_STEP_BYTES`], each after the connection has become
//! writable. While it runs the member is in the room, but receives no broadcasts: messages
//! published meanwhile are the end of its replay. So the member receives every id once and in
//! order, however long the history is and however slowly the member reads.

use super::backlog::{MessageGap, Replay};
use super::ids::{MemberId, RoomId};
use super::member::MemberEndpoint;
use super::message_range::MessageRange;
use super::output::HubOutput;
use super::sending::send_batch;
use super::state::Hub;
use crate::frame::Payload;
use crate::services::chat::config::REPLAY_STEP_BYTES;
use crate::services::chat::request::ErrorReply;
use crate::services::chat::wire::ChatEvent;

impl Hub {
    /// Starts a replay of the messages after `since` that the member has not received, for a member
    /// of the room.
    pub(super) fn start_replay(
        &mut self,
        id: MemberId,
        room_id: RoomId,
        since: u64,
        out: &mut dyn HubOutput,
    ) -> Result<(), ErrorReply> {
        self.flush_room(room_id, out);
        let Some(room) = self.rooms.get(room_id) else { return Ok(()) };
        let last = room.history.last_id();
        let name = room.name.clone();
        let Some(member) = self.members.get(id) else { return Ok(()) };
        let (endpoint, Some(membership)) = (member.endpoint, member.membership(room_id)) else { return Ok(()) };
        if membership.is_replaying {
            let text = format!("a replay of {name} is running: ask again after it");
            return Err(ErrorReply::new("replaying", text));
        }
        let since = if since > last {
            self.send_unknown_id(id, &name, last, out);
            0
        } else {
            since
        };
        let Some(membership) = self.members.get_mut(id).and_then(|member| member.membership_mut(room_id)) else {
            return Ok(());
        };
        if since + 1 >= membership.first {
            return Ok(());
        }
        let replay = Replay { next: since + 1, skip: membership.first..last + 1 };
        membership.first = since + 1;
        self.set_replay(id, room_id, Some(replay), endpoint);
        // The first piece waits for `on_writable`, too: a member that joins many rooms in one turn
        // could otherwise exceed the limit of its queue.
        out.notify_writable();
        Ok(())
    }

    fn send_unknown_id(&self, id: MemberId, room: &str, last: u64, out: &mut dyn HubOutput) {
        let event = ChatEvent::Error {
            code: "unknown-id".into(),
            text: format!("the last id of {room} is {last}: ids have restarted").into(),
            room: Some(room.into()),
            first: None,
            count: None,
            last: None,
            offer: None,
            label: None,
        };
        self.send_event(id, &event, out);
    }

    /// Starts or ends a replay: moves the member between the room's `replaying` audience and the
    /// audience of its dialect.
    fn set_replay(&mut self, id: MemberId, room_id: RoomId, replay: Option<Replay>, endpoint: MemberEndpoint) {
        let (Some(room), Some(membership)) =
            (self.rooms.get_mut(room_id), self.members.get_mut(id).and_then(|member| member.membership_mut(room_id)))
        else {
            return;
        };
        let old_position = membership.position;
        let moved = room.remove(endpoint, old_position, membership.is_replaying);
        membership.position = room.add(endpoint, id, replay.is_some());
        membership.is_replaying = replay.is_some();
        match replay {
            Some(replay) => self.members.backlog.add_replay(id, room_id, replay),
            None => self.members.backlog.remove_replay(id, room_id),
        }
        self.update_position(moved, room_id, old_position);
    }

    /// Sends the next pieces of a member's replays, at most [`REPLAY_STEP_BYTES`] in all.
    pub(super) fn continue_replays(&mut self, id: MemberId, out: &mut dyn HubOutput) {
        let Some(member) = self.members.get(id) else { return };
        let replaying = member.memberships.iter().filter(|membership| membership.is_replaying);
        let rooms: Vec<_> = replaying.map(|membership| membership.room).collect();
        let mut bytes = 0;
        for room in rooms {
            if bytes >= REPLAY_STEP_BYTES {
                out.notify_writable();
                return;
            }
            bytes += self.send_replay_piece(id, room, REPLAY_STEP_BYTES - bytes, out);
        }
        self.send_deferred_pongs(id, out);
    }

    /// Answers the deferred pings of a member whose replays have ended.
    pub(super) fn send_deferred_pongs(&mut self, id: MemberId, out: &mut dyn HubOutput) {
        for _ in 0..self.members.backlog.take_deferred_pings(id) {
            self.send_event(id, &ChatEvent::Pong, out);
        }
    }

    /// Sends the next piece of one replay, and ends the replay after its last piece. Returns the
    /// bytes sent.
    fn send_replay_piece(&mut self, id: MemberId, room_id: RoomId, max_bytes: usize, out: &mut dyn HubOutput) -> usize {
        self.flush_room(room_id, out);
        let (Some(room), Some(member)) = (self.rooms.get(room_id), self.members.get(id)) else { return 0 };
        let (endpoint, conn) = (member.endpoint, member.conn());
        let Some(replay) = self.members.backlog.replay_mut(id, room_id) else { return 0 };
        let (asked, oldest) = (replay.next, room.history.oldest_id());
        // Two ranges may be missing from the history: before the ids that the member received as
        // broadcasts, and after them. Those ids themselves are not missing, even if evicted.
        let missing_before = asked..oldest.min(replay.skip.start).max(asked);
        replay.next = asked.max(oldest.min(replay.skip.start));
        if replay.next == replay.skip.start {
            replay.next = replay.skip.end;
        }
        let missing_after = replay.next..oldest.max(replay.next);
        replay.next = missing_after.end;
        let first = replay.next;
        let mut piece: Vec<Payload> = Vec::new();
        let mut bytes = 0;
        while bytes < max_bytes
            && let Some(message) = room.history.get(replay.next)
        {
            bytes += message.len();
            piece.push(message.clone());
            replay.next += 1;
            if replay.next == replay.skip.start {
                // The piece ends here, because the ids of a batch are consecutive.
                replay.next = replay.skip.end;
                break;
            }
        }
        let is_complete = replay.next > room.history.last_id();
        // Adjacent ranges are sent as one gap.
        let gaps = if missing_before.end == missing_after.start {
            [missing_before.start..missing_after.end, 0..0]
        } else {
            [missing_before, missing_after]
        };
        for gap in gaps {
            if !gap.is_empty() {
                let gap = MessageGap { room: Some(room_id), first: gap.start, count: gap.end - gap.start };
                self.send_gap(id, gap, out);
            }
        }
        if let Some((conn, _)) = conn {
            let range = MessageRange { room: room_id, first, count: piece.len() as u64 };
            send_batch(&[conn], &piece, range.into(), out);
        }
        if is_complete {
            self.set_replay(id, room_id, None, endpoint);
        } else {
            out.notify_writable();
        }
        bytes
    }
}
