//! One member: its nick, its address, its rooms.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::ids::RoomId;
use crate::service::token_bucket::TokenBucket;
use crate::service::{ConnId, Peer};
use crate::services::chat::dialect::ChatDialect;

/// A member of the chat.
pub(super) struct ChatMember {
    pub(super) endpoint: MemberEndpoint,
    pub(super) nick: Box<str>,
    pub(super) memberships: Vec<Membership>,
    /// The room for text that names no room.
    pub(super) current_room: Option<RoomId>,
    pub(super) bucket: TokenBucket,
    /// True once its arrival has been announced to the other members, at its first request.
    pub(super) is_announced: bool,
    /// True once the hub has asked for the close of its connection.
    pub(super) is_disconnecting: bool,
}

/// The destination of events for a member.
#[derive(Clone, Copy, Debug)]
pub(super) enum MemberEndpoint {
    Connection {
        id: ConnId,
        dialect: ChatDialect,
        /// `None` for a Unix-domain socket.
        peer: Option<SocketAddr>,
    },
    /// A UDP source. The member stays until it has sent no datagram for `udp_idle_timeout`.
    Udp { address: SocketAddr },
}

/// A member's membership in one room.
pub(super) struct Membership {
    pub(super) room: RoomId,
    /// Index of the member in the room's audience.
    pub(super) position: u32,
    /// The first message id that the member has received, or will receive.
    pub(super) first: u64,
    /// True while a replay runs, see [`Backlog`](super::backlog::Backlog). The member then receives
    /// no broadcasts of the room.
    pub(super) is_replaying: bool,
}

impl MemberEndpoint {
    /// Returns the member's address, or `None` for a Unix-domain socket.
    pub(super) fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Connection { peer, .. } => peer.map(|peer| peer.ip()),
            Self::Udp { address } => Some(address.ip()),
        }
    }
}

/// Formats the address as the log does: `127.0.0.1:40312`, `unix`, or `udp:127.0.0.1:40312`.
impl fmt::Display for MemberEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection { peer, .. } => peer.map_or(Peer::Unix, Peer::Tcp).fmt(f),
            Self::Udp { address } => write!(f, "udp:{address}"),
        }
    }
}

impl ChatMember {
    /// Returns the connection and its dialect, or `None` for a UDP member.
    pub(super) fn conn(&self) -> Option<(ConnId, ChatDialect)> {
        match self.endpoint {
            MemberEndpoint::Connection { id, dialect, .. } => Some((id, dialect)),
            MemberEndpoint::Udp { .. } => None,
        }
    }

    /// Returns the rooms of the member.
    pub(super) fn rooms(&self) -> Vec<RoomId> {
        self.memberships.iter().map(|membership| membership.room).collect()
    }

    /// Returns the membership in `room`, or `None` if the member is not in it.
    pub(super) fn membership(&self, room: RoomId) -> Option<&Membership> {
        self.memberships.iter().find(|membership| membership.room == room)
    }

    /// Returns the membership in `room`, or `None` if the member is not in it.
    pub(super) fn membership_mut(&mut self, room: RoomId) -> Option<&mut Membership> {
        self.memberships.iter_mut().find(|membership| membership.room == room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Most members of a large room are idle, so the size of a member decides the memory of the
    /// server.
    #[test]
    fn idle_member_is_small() {
        assert!(size_of::<ChatMember>() <= 112, "{} bytes", size_of::<ChatMember>());
        assert!(size_of::<Membership>() <= 16, "{} bytes", size_of::<Membership>());
    }
}
