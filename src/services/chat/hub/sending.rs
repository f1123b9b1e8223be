//! Sending events to one member.

use super::ids::MemberId;
use super::member::ChatMember;
use super::message_range::WHISPER;
use super::output::HubOutput;
use super::state::Hub;
use crate::frame::Payload;
use crate::service::{BatchId, ConnId};
use crate::services::chat::dialect::{self, ChatDialect};
use crate::services::chat::wire::ChatEvent;

impl Hub {
    /// Sends an event to a member that has a connection.
    pub(super) fn send_event(&self, id: MemberId, event: &ChatEvent<'_>, out: &mut dyn HubOutput) {
        if let Some(member) = self.members.get(id)
            && let Some((conn, dialect)) = member.conn()
        {
            self.send_event_to(conn, dialect, event, out);
        }
    }

    /// Sends an event to a connection.
    pub(super) fn send_event_to(
        &self,
        conn: ConnId,
        dialect: ChatDialect,
        event: &ChatEvent<'_>,
        out: &mut dyn HubOutput,
    ) {
        let mut payloads = Vec::new();
        dialect::encode_event(dialect, event, self.config.encoding, &mut payloads);
        for payload in payloads {
            out.send(conn, payload);
        }
    }

    /// Sends a whisper to its recipient, with a batch id, so that `on_dropped` reports one that a
    /// slow member misses.
    pub(super) fn send_whisper(&self, to: MemberId, event: &ChatEvent<'_>, out: &mut dyn HubOutput) {
        if let Some((conn, dialect)) = self.members.get(to).and_then(ChatMember::conn) {
            let mut payloads = Vec::new();
            dialect::encode_event(dialect, event, self.config.encoding, &mut payloads);
            send_batch(&[conn], &payloads, WHISPER, out);
        }
    }

    /// Sends plain text to a member of a text dialect.
    pub(super) fn send_text(&self, id: MemberId, text: &str, out: &mut dyn HubOutput) {
        if let Some((conn, dialect)) = self.members.get(id).and_then(ChatMember::conn) {
            let mut payloads = Vec::new();
            dialect::encode_text(dialect, text, self.config.encoding, &mut payloads);
            for payload in payloads {
                out.send(conn, payload);
            }
        }
    }

    /// Sends `welcome`: the member's nick, its rooms and the rate limit.
    pub(super) fn send_welcome(&self, id: MemberId, out: &mut dyn HubOutput) {
        let Some(member) = self.members.get(id) else { return };
        let is_limited = self.config.max_requests_per_second > 0;
        let event = ChatEvent::Welcome {
            nick: (&*member.nick).into(),
            rooms: self.room_names(member).into_iter().map(Into::into).collect(),
            messages_per_second: is_limited.then_some(self.config.max_requests_per_second),
            burst: is_limited.then_some(self.config.max_burst_requests),
            server: self.config.run_id.as_deref().map(Into::into),
        };
        self.send_event(id, &event, out);
    }

    /// Returns the names of a member's rooms.
    pub(super) fn room_names<'a>(&'a self, member: &ChatMember) -> Vec<&'a str> {
        let rooms = member.memberships.iter().filter_map(|membership| self.rooms.get(membership.room));
        rooms.map(|room| &*room.name).collect()
    }
}

/// Sends the same payloads to several connections, unless either list is empty.
pub(super) fn send_batch(to: &[ConnId], payloads: &[Payload], batch: BatchId, out: &mut dyn HubOutput) {
    if !to.is_empty() && !payloads.is_empty() {
        out.send_batch(to, payloads, batch);
    }
}
