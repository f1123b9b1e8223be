//! Publishing messages to rooms, and whispers.
//!
//! A message is encoded once for each dialect in the room. The messages of a room in one turn are
//! pending until the end of the turn and are sent as one batch.

use std::time::SystemTime;

use jiff::Timestamp;

use super::ids::{MemberId, RoomId};
use super::member::MemberEndpoint;
use super::message_range::MessageRange;
use super::output::{EventTime, HubOutput};
use super::room::PendingMessages;
use super::sending::send_batch;
use super::state::Hub;
use crate::frame::escape;
use crate::service::BatchId;
use crate::services::chat::config::{BATCH_FLUSH_BYTES, MAX_BATCH_MESSAGES};
use crate::services::chat::dialect::{self, ChatDialect};
use crate::services::chat::names::{OPERATOR, check_text, fold_name};
use crate::services::chat::request::{ErrorReply, RoomText};
use crate::services::chat::wire::{ChatEvent, RequestLabel};

impl Hub {
    /// Publishes a member's message to a room: the current one if `room` is `None`.
    pub(super) fn handle_say(
        &mut self,
        id: MemberId,
        room: Option<&str>,
        message: &RoomText<'_>,
        label: Option<RequestLabel>,
        time: EventTime,
        out: &mut dyn HubOutput,
    ) -> Result<(), ErrorReply> {
        let room = self.joined_room(id, room)?;
        check_text(&message.text, self.config.max_text_bytes)?;
        let Some(member) = self.members.get(id) else { return Ok(()) };
        let nick = member.nick.clone();
        let message_id = self.publish(room, &nick, message, time, out);
        if let (Some(label), Some(message_id)) = (label, message_id) {
            self.send_event(id, &ChatEvent::Ack { label, id: message_id }, out);
        }
        Ok(())
    }

    /// Gives a message its id, stores it in the history and queues it for the room; returns the id.
    pub(super) fn publish(
        &mut self,
        room_id: RoomId,
        from: &str,
        message: &RoomText<'_>,
        time: EventTime,
        out: &mut dyn HubOutput,
    ) -> Option<u64> {
        let encoding = self.config.encoding;
        let room = self.rooms.get_mut(room_id)?;
        let message_id = room.history.last_id() + 1;
        let name = room.name.clone();
        let event = ChatEvent::Message {
            room: (&*name).into(),
            id: message_id,
            from: from.into(),
            text: (&*message.text).into(),
            action: message.is_action,
            at: rfc3339(time.wall).into(),
        };
        let json = dialect::encode_json(&event)?;
        if !std::mem::replace(&mut room.is_flush_queued, true) {
            self.rooms_to_flush.push(room_id);
            out.notify_turn_end();
        }
        let pending = &mut room.pending;
        pending.count += 1;
        pending.bytes += json.len();
        pending.json.push(json.clone());
        if !room.lines.members.is_empty() {
            dialect::encode_event(ChatDialect::Lines, &event, encoding, &mut pending.lines);
        }
        if !room.raw.members.is_empty() {
            dialect::encode_event(ChatDialect::Raw, &event, encoding, &mut pending.raw);
        }
        if !room.udp.members.is_empty() {
            pending.udp.push(dialect::encode_datagram(from, message, encoding));
        }
        let is_full = pending.json.len() >= MAX_BATCH_MESSAGES || pending.bytes >= BATCH_FLUSH_BYTES;
        self.rooms.store_message(room_id, &json, &self.config);
        self.counts.messages += 1;
        self.print_event(&event, out);
        if is_full {
            self.flush_room(room_id, out);
        }
        Some(message_id)
    }

    /// Sends the messages of the turn.
    pub(crate) fn on_turn_end(&mut self, out: &mut dyn HubOutput) {
        for id in std::mem::take(&mut self.rooms_to_flush) {
            self.flush_room(id, out);
            if let Some(room) = self.rooms.get_mut(id) {
                room.is_flush_queued = false;
            }
        }
    }

    /// Sends the pending messages of a member's rooms.
    pub(super) fn flush_rooms_of(&mut self, id: MemberId, out: &mut dyn HubOutput) {
        let Some(member) = self.members.get(id) else { return };
        for room in member.rooms() {
            self.flush_room(room, out);
        }
    }

    /// Sends the pending messages of a room.
    pub(super) fn flush_room(&mut self, id: RoomId, out: &mut dyn HubOutput) {
        let Some(room) = self.rooms.get_mut(id).filter(|room| room.pending.count > 0) else { return };
        let PendingMessages { count, json, lines, raw, udp, .. } = std::mem::take(&mut room.pending);
        let first = room.history.last_id() + 1 - count;
        let batch = BatchId::from(MessageRange { room: id, first, count });
        send_batch(&room.json.targets, &json, batch, out);
        send_batch(&room.lines.targets, &lines, batch, out);
        send_batch(&room.raw.targets, &raw, batch, out);
        for payload in udp {
            room.udp.targets.iter().for_each(|to| out.send_datagram(*to, payload.clone()));
        }
        let receivers = room.member_count() - room.replaying.members.len();
        self.counts.deliveries += count * receivers as u64;
    }

    /// Sends a member's text to one other member, or to the operator.
    pub(super) fn handle_whisper(
        &mut self,
        id: MemberId,
        to: &str,
        text: &str,
        time: EventTime,
        out: &mut dyn HubOutput,
    ) -> Result<(), ErrorReply> {
        check_text(text, self.config.max_text_bytes)?;
        let Some(member) = self.members.get(id) else { return Ok(()) };
        let at = rfc3339(time.wall);
        let whisper = |to: &str| ChatEvent::Whisper {
            from: member.nick.to_string().into(),
            to: to.to_owned().into(),
            text: text.into(),
            at: at.clone().into(),
        };
        if fold_name(to) == OPERATOR && !self.consoles.is_empty() {
            let event = whisper(OPERATOR);
            self.print_event(&event, out);
            self.send_event(id, &event, out);
            return Ok(());
        }
        let recipient = self.find_whisper_recipient(to)?;
        let nick = self.members.get(recipient).map_or_else(|| to.into(), |member| member.nick.clone());
        let event = whisper(&nick);
        if recipient != id {
            self.send_whisper(recipient, &event, out);
        }
        self.send_event(id, &event, out);
        Ok(())
    }

    /// Returns the member with this nick.
    pub(super) fn find_member(&self, nick: &str) -> Result<MemberId, ErrorReply> {
        let error = || ErrorReply::new("no-such-nick", format!("no member has the nick {}", escape::line(nick)));
        self.members.by_nick(nick).ok_or_else(error)
    }

    /// Returns the member with this nick, if it can receive whispers.
    pub(super) fn find_whisper_recipient(&self, nick: &str) -> Result<MemberId, ErrorReply> {
        let id = self.find_member(nick)?;
        let is_udp = self.members.get(id).is_some_and(|member| matches!(member.endpoint, MemberEndpoint::Udp { .. }));
        if is_udp {
            return Err(ErrorReply::new(
                "unreachable",
                format!("{nick} is a UDP member and receives lobby messages only"),
            ));
        }
        Ok(id)
    }
}

/// Formats a time of day as RFC 3339 in UTC, with milliseconds.
pub(super) fn rfc3339(wall: SystemTime) -> String {
    Timestamp::try_from(wall).map_or_else(|_| String::new(), |at| format!("{at:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_has_milliseconds() {
        let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_micros(1_700_000_000_123_456);
        assert_eq!(rfc3339(at), "2023-11-14T22:13:20.123Z");
    }
}
