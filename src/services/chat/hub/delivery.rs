//! Slow members: batches that the engine dropped, and notices of the missing messages.
//!
//! A notice is a reply, which the engine never drops. The ranges of a member that reads nothing
//! grow, and one notice for each room is enough. So the notices wait until the queue has space, but
//! not beyond [`MAX_GAPS`]: a member that reads a message between two drops has ever more ranges,
//! and takes the notices as fast as it takes messages.

use super::backlog::MessageGap;
use super::ids::MemberId;
use super::message_range::{MessageRange, WHISPER};
use super::output::HubOutput;
use super::state::Hub;
use crate::service::{BatchId, ConnId};
use crate::services::chat::wire::ChatEvent;

/// Ranges of missing messages of one member that wait for space in its queue.
pub(super) const MAX_GAPS: usize = 64;

impl Hub {
    /// Stores which messages a member lacks because its connection's queue was full.
    pub(crate) fn on_dropped(&mut self, conn: ConnId, batch: BatchId, frames: u32, out: &mut dyn HubOutput) {
        let Some(id) = self.members.by_conn(conn) else { return };
        let Some(member) = self.members.get(id) else { return };
        let gap = match MessageRange::from(batch) {
            // So many drops that the engine did not keep their ids. No notice could name the
            // messages.
            _ if batch == BatchId::NONE => {
                let reason = format!("{frames} more messages were dropped than could be named: join again with since");
                return self.expel(id, "chat slow members", &reason, out);
            }
            _ if batch == WHISPER => MessageGap { room: None, first: 0, count: u64::from(frames) },
            // A member that has left the room since does not lack its messages, even if it has
            // joined again.
            MessageRange { room, first, .. }
                if member.membership(room).is_none_or(|membership| first < membership.first) =>
            {
                return;
            }
            MessageRange { room, first, count } => MessageGap { room: Some(room), first, count },
        };
        if self.members.backlog.add_gap(id, gap) > MAX_GAPS {
            self.send_gaps(id, out);
        }
        out.notify_writable();
    }

    pub(super) fn send_gaps(&mut self, id: MemberId, out: &mut dyn HubOutput) {
        for gap in self.members.backlog.take_gaps(id) {
            self.send_gap(id, gap, out);
        }
    }

    /// Sends the notices and replays that a connection lacks, now that its queue has space.
    pub(crate) fn on_writable(&mut self, conn: ConnId, out: &mut dyn HubOutput) {
        let Some(id) = self.members.by_conn(conn) else { return };
        self.send_gaps(id, out);
        self.continue_replays(id, out);
    }

    /// Sends a `missed` error. The member does not receive the missing messages without a request.
    pub(super) fn send_gap(&mut self, id: MemberId, gap: MessageGap, out: &mut dyn HubOutput) {
        self.counts.gaps += 1;
        let MessageGap { room, first, count } = gap;
        let last = (first + count).saturating_sub(1);
        let room = room.and_then(|room| self.rooms.get(room)).map(|room| &*room.name);
        let text = match (room, count) {
            (Some(room), 1) => format!("1 message of {room} was missed, id {first}"),
            (Some(room), _) => format!("{count} messages of {room} were missed, ids {first} to {last}"),
            (None, 1) => "1 whisper was missed".to_owned(),
            (None, _) => format!("{count} whispers were missed"),
        };
        let event = ChatEvent::Error {
            code: "missed".into(),
            text: text.into(),
            room: room.map(Into::into),
            first: room.map(|_| first),
            count: Some(count),
            last: room.map(|_| last),
            offer: None,
            label: None,
        };
        self.send_event(id, &event, out);
    }
}
