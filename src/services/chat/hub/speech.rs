//! How words reach a room. A message is encoded once for each way in which members are told things; what a room says in one turn
//! waits for its end and leaves together.

use std::time::SystemTime;

use jiff::Timestamp;
use serde_json::Value;

use super::members::{MemberId, Reach};
use super::rooms::{RoomId, Unsent};
use super::{Hub, Outlet, When, batch};
use crate::frame::Payload;
use crate::frame::escape;
use crate::service::BatchId;
use crate::services::chat::ask::Refusal;
use crate::services::chat::dialect::{self, Dialect};
use crate::services::chat::names::{OPERATOR, check_text};
use crate::services::chat::rules::{MAX_BATCH_BYTES, MAX_BATCH_MESSAGES};
use crate::services::chat::wire::Event;

/// Which messages a batch holds, in the 64 bits of a ticket: the room in 16, their number in 12, the first id in 36.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BatchLabel {
    pub(super) room: RoomId,
    pub(super) first: u64,
    pub(super) count: u64,
}

/// The ticket of what is said to one person, which has no id. Rooms have lower numbers.
pub(super) const WHISPER: BatchId = BatchId(u64::MAX);

impl From<BatchId> for BatchLabel {
    fn from(BatchId(bits): BatchId) -> Self {
        let room = RoomId(u16::try_from(bits >> 48).unwrap_or_default());
        Self { room, count: (bits >> 36) & 0xfff, first: bits & 0xf_ffff_ffff }
    }
}

impl From<BatchLabel> for BatchId {
    fn from(BatchLabel { room, first, count }: BatchLabel) -> Self {
        Self(u64::from(room.0) << 48 | (count & 0xfff) << 36 | (first & 0xf_ffff_ffff))
    }
}

impl Hub {
    /// A member says something to a room, the one it is in if it names none.
    pub(super) fn say(
        &mut self,
        id: MemberId,
        room: Option<&str>,
        text: &str,
        label: Option<Value>,
        when: When,
        out: &mut dyn Outlet,
    ) -> Result<(), Refusal> {
        let room = self.room_of(id, room)?;
        check_text(text, self.rules.max_text_bytes)?;
        let Some(member) = self.members.get(id) else { return Ok(()) };
        let nick = member.nick.clone();
        let message = self.speak(room, &nick, text, when, out);
        if let (Some(label), Some(message)) = (label, message) {
            self.tell(id, &Event::Ack { label, id: message }, out);
        }
        Ok(())
    }

    /// Gives a message its id, keeps it and has it sent; returns the id.
    pub(super) fn speak(
        &mut self,
        id: RoomId,
        from: &str,
        text: &str,
        when: When,
        out: &mut dyn Outlet,
    ) -> Option<u64> {
        let encoding = self.rules.encoding;
        let room = self.rooms.get_mut(id)?;
        let message = room.history.last_id() + 1;
        let name = room.name.clone();
        let event = Event::Message {
            room: (&*name).into(),
            id: message,
            from: from.into(),
            text: text.into(),
            at: rfc3339(when.wall).into(),
        };
        let mut json = Vec::new();
        dialect::tell(Dialect::Json, &event, encoding, &mut json);
        let kept = json.pop()?;
        if !std::mem::replace(&mut room.is_speaking, true) {
            self.speaking.push(id);
            out.flush_later();
        }
        let unsent = &mut room.unsent;
        unsent.count += 1;
        unsent.bytes += kept.len();
        unsent.json.push(kept.clone());
        if !room.lines.members.is_empty() {
            dialect::tell(Dialect::Lines, &event, encoding, &mut unsent.lines);
        }
        if !room.raw.members.is_empty() {
            dialect::tell(Dialect::Raw, &event, encoding, &mut unsent.raw);
        }
        if !room.sources.members.is_empty() {
            unsent.sources.push(dialect::tell_datagram(from, text, encoding));
        }
        let is_full = unsent.json.len() >= MAX_BATCH_MESSAGES || unsent.bytes >= MAX_BATCH_BYTES;
        self.rooms.keep(id, kept, &self.rules);
        self.counts.messages += 1;
        self.show(&event, out);
        if is_full {
            self.flush_room(id, out);
        }
        Some(message)
    }

    /// Sends what was said in the turn.
    pub(in crate::services::chat) fn flush(&mut self, out: &mut dyn Outlet) {
        for id in std::mem::take(&mut self.speaking) {
            self.flush_room(id, out);
            if let Some(room) = self.rooms.get_mut(id) {
                room.is_speaking = false;
            }
        }
    }

    /// Sends what was said in the turn in the rooms that a member is in.
    pub(super) fn flush_around(&mut self, id: MemberId, out: &mut dyn Outlet) {
        let Some(member) = self.members.get(id) else { return };
        for room in member.rooms() {
            self.flush_room(room, out);
        }
    }

    pub(super) fn flush_room(&mut self, id: RoomId, out: &mut dyn Outlet) {
        let Some(room) = self.rooms.get_mut(id).filter(|room| room.unsent.count > 0) else { return };
        let Unsent { count, json, lines, raw, sources, .. } = std::mem::take(&mut room.unsent);
        let first = room.history.last_id() + 1 - count;
        let ticket = BatchId::from(BatchLabel { room: id, first, count });
        batch(&room.json.reaches, &json, ticket, out);
        batch(&room.lines.reaches, &lines, ticket, out);
        batch(&room.raw.reaches, &raw, ticket, out);
        for payload in sources {
            room.sources.reaches.iter().for_each(|to| out.datagram(*to, payload.clone()));
        }
        let heard = room.count() - room.catching_up.members.len();
        self.counts.deliveries += count * heard as u64;
    }

    /// One member says something to another, or to the operator.
    pub(super) fn whisper(
        &mut self,
        id: MemberId,
        to: &str,
        text: &str,
        when: When,
        out: &mut dyn Outlet,
    ) -> Result<(), Refusal> {
        check_text(text, self.rules.max_text_bytes)?;
        let Some(member) = self.members.get(id) else { return Ok(()) };
        let at = rfc3339(when.wall);
        let whisper = |to: &str| Event::Whisper {
            from: member.nick.to_string().into(),
            to: to.to_owned().into(),
            text: text.into(),
            at: at.clone().into(),
        };
        if to.eq_ignore_ascii_case(OPERATOR) && !self.consoles.is_empty() {
            let event = whisper(OPERATOR);
            self.show(&event, out);
            self.tell(id, &event, out);
            return Ok(());
        }
        let other = self.listener(to)?;
        let event = whisper(&self.members.get(other).map_or_else(|| to.into(), |other| other.nick.clone()));
        if let Some((conn, dialect)) = self.members.get(other).and_then(super::Member::conn).filter(|_| other != id) {
            let mut payloads = Vec::new();
            dialect::tell(dialect, &event, self.rules.encoding, &mut payloads);
            // Named, so that somebody who reads too slowly for it learns that something was missed.
            batch(&[conn], &payloads, WHISPER, out);
        }
        self.tell(id, &event, out);
        Ok(())
    }

    pub(super) fn somebody(&self, nick: &str) -> Result<MemberId, Refusal> {
        let nobody = || Refusal::new("no-such-nick", format!("nobody here is called {}", escape::line(nick)));
        self.members.by_nick(nick).ok_or_else(nobody)
    }

    /// Somebody who can be whispered to.
    pub(super) fn listener(&self, nick: &str) -> Result<MemberId, Refusal> {
        let id = self.somebody(nick)?;
        let by_datagram = self.members.get(id).is_some_and(|member| matches!(member.reach, Reach::Source { .. }));
        if by_datagram {
            return Err(Refusal::new("unreachable", format!("{nick} is here by UDP, and hears the lobby only")));
        }
        Ok(id)
    }
}

/// A time of day in UTC, with milliseconds.
pub(super) fn rfc3339(wall: SystemTime) -> String {
    Timestamp::try_from(wall).map_or_else(|_| String::new(), |at| format!("{at:.3}"))
}

/// A payload for one.
pub(super) fn text_payloads(dialect: Dialect, text: &str, hub: &Hub) -> Vec<Payload> {
    let mut payloads = Vec::new();
    dialect::tell_text(dialect, text, hub.rules.encoding, &mut payloads);
    payloads
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_says_which_messages_it_is_of() {
        for label in [
            BatchLabel { room: RoomId(0), first: 1, count: 1 },
            BatchLabel { room: RoomId(u16::MAX), first: (1 << 36) - 1, count: 4095 },
        ] {
            assert_eq!(BatchLabel::from(BatchId::from(label)), label);
        }
    }

    #[test]
    fn times_are_of_rfc3339_with_milliseconds() {
        let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_micros(1_700_000_000_123_456);
        assert_eq!(rfc3339(at), "2023-11-14T22:13:20.123Z");
    }
}
