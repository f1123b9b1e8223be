//! Slow members: batches that the engine dropped, and notices of the missing messages.

use super::backlog::MessageGap;
use super::ids::MemberId;
use super::message_range::{MessageRange, WHISPER};
use super::output::HubOutput;
use super::state::Hub;
use crate::service::{BatchId, ConnId};
use crate::services::chat::wire::ChatEvent;

impl Hub {
    /// Stores which messages a member lacks because its connection's queue was full.
    pub(crate) fn on_dropped(&mut self, conn: ConnId, batch: BatchId, frames: u32, out: &mut dyn HubOutput) {
        let Some(id) = self.members.by_conn(conn) else { return };
        let Some(member) = self.members.get(id) else { return };
        let gap = match MessageRange::from(batch) {
            _ if [BatchId::NONE, WHISPER].contains(&batch) => {
                MessageGap { room: None, first: 0, count: u64::from(frames) }
            }
            // A member that has left the room since does not lack its messages, even if it has
            // joined again.
            MessageRange { room, first, .. }
                if member.membership(room).is_none_or(|membership| first < membership.first) =>
            {
                return;
            }
            MessageRange { room, first, count } => MessageGap { room: Some(room), first, count },
        };
        let (nick, endpoint) = (member.nick.clone(), member.endpoint);
        if self.members.backlog.add_gap(id, gap) {
            out.warn(
                "chat slow members",
                format_args!("chat {endpoint} ({nick}) misses messages: it reads too slowly"),
            );
        }
        out.notify_writable();
    }

    /// Sends the notices and replays that a connection lacks, now that its queue has space.
    pub(crate) fn on_writable(&mut self, conn: ConnId, out: &mut dyn HubOutput) {
        let Some(id) = self.members.by_conn(conn) else { return };
        for gap in self.members.backlog.take_gaps(id) {
            self.send_gap(id, gap, out);
        }
        self.continue_replays(id, out);
    }

    /// Sends a `missed` error. The member does not receive the missing messages without a request.
    pub(super) fn send_gap(&self, id: MemberId, gap: MessageGap, out: &mut dyn HubOutput) {
        let MessageGap { room, first, count } = gap;
        let room = room.and_then(|room| self.rooms.get(room)).map(|room| &*room.name);
        let text = match (room, count) {
            (Some(room), 1) => format!("1 message of {room} was missed, id {first}"),
            (Some(room), _) => format!("{count} messages of {room} were missed, from id {first} on"),
            // Whispers, or so many batches that the engine did not keep their ids. A client finds
            // the missing messages of a room by the next id that it receives.
            (None, _) => format!("{count} more were missed"),
        };
        let event = ChatEvent::Error {
            code: "missed".into(),
            text: text.into(),
            room: room.map(Into::into),
            first: room.map(|_| first),
            count: Some(count),
            offer: None,
            label: None,
        };
        self.send_event(id, &event, out);
    }
}
