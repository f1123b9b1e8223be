//! One room: its members, by dialect, and its messages.

use std::net::SocketAddr;

use super::audience::Audience;
use super::history::RoomHistory;
use super::ids::MemberId;
use super::member::MemberEndpoint;
use crate::frame::Payload;
use crate::service::ConnId;
use crate::services::chat::dialect::ChatDialect;

/// A room.
pub(super) struct ChatRoom {
    pub(super) name: Box<str>,
    pub(super) json: Audience<ConnId>,
    pub(super) lines: Audience<ConnId>,
    pub(super) raw: Audience<ConnId>,
    /// Members whose replay still runs. They receive no broadcasts of messages.
    pub(super) replaying: Audience<ConnId>,
    pub(super) udp: Audience<SocketAddr>,
    pub(super) history: RoomHistory,
    /// Messages of this turn that are not sent yet.
    pub(super) pending: PendingMessages,
    /// True if the room is in the hub's `rooms_to_flush`.
    pub(super) is_flush_queued: bool,
    /// True if the room is in the table's `eviction_queue`.
    pub(super) is_eviction_queued: bool,
    /// The room's key in the table's index of empty rooms: the count of rooms emptied so far.
    pub(super) emptied_at: Option<u64>,
}

/// Messages to be sent, encoded for each dialect.
#[derive(Default)]
pub(super) struct PendingMessages {
    pub(super) count: u64,
    /// Bytes of the JSON payloads.
    pub(super) bytes: usize,
    pub(super) json: Vec<Payload>,
    pub(super) lines: Vec<Payload>,
    pub(super) raw: Vec<Payload>,
    pub(super) udp: Vec<Payload>,
}

impl ChatRoom {
    /// Returns an empty room.
    pub(super) fn new(name: &str, history: RoomHistory) -> Self {
        Self {
            name: name.into(),
            json: Audience::default(),
            lines: Audience::default(),
            raw: Audience::default(),
            replaying: Audience::default(),
            udp: Audience::default(),
            history,
            pending: PendingMessages::default(),
            is_flush_queued: false,
            is_eviction_queued: false,
            emptied_at: None,
        }
    }

    /// Adds a member; returns its position in its audience.
    pub(super) fn add(&mut self, endpoint: MemberEndpoint, member: MemberId, is_replaying: bool) -> u32 {
        match endpoint {
            MemberEndpoint::Udp { address } => self.udp.add(address, member),
            MemberEndpoint::Connection { id, .. } if is_replaying => self.replaying.add(id, member),
            MemberEndpoint::Connection { id, dialect, .. } => self.audience_mut(dialect).add(id, member),
        }
    }

    /// Removes the member at `position` of its audience; returns the member that has moved there.
    pub(super) fn remove(&mut self, endpoint: MemberEndpoint, position: u32, is_replaying: bool) -> Option<MemberId> {
        match endpoint {
            MemberEndpoint::Udp { .. } => self.udp.remove(position),
            MemberEndpoint::Connection { .. } if is_replaying => self.replaying.remove(position),
            MemberEndpoint::Connection { dialect, .. } => self.audience_mut(dialect).remove(position),
        }
    }

    fn audience_mut(&mut self, dialect: ChatDialect) -> &mut Audience<ConnId> {
        match dialect {
            ChatDialect::Json => &mut self.json,
            ChatDialect::Lines => &mut self.lines,
            ChatDialect::Raw => &mut self.raw,
        }
    }

    /// Returns the connections of a dialect, including those with a running replay. Only JSON has
    /// replays.
    pub(super) fn conns(&self, dialect: ChatDialect) -> [&[ConnId]; 2] {
        match dialect {
            ChatDialect::Json => [&self.json.targets, &self.replaying.targets],
            ChatDialect::Lines => [&self.lines.targets, &[]],
            ChatDialect::Raw => [&self.raw.targets, &[]],
        }
    }

    /// Returns the members of each audience.
    pub(super) fn member_lists(&self) -> [&[MemberId]; 5] {
        let Self { json, lines, raw, replaying, udp, .. } = self;
        [&json.members, &lines.members, &raw.members, &replaying.members, &udp.members]
    }

    /// Returns the number of members.
    pub(super) fn member_count(&self) -> usize {
        self.member_lists().iter().map(|list| list.len()).sum()
    }
}
