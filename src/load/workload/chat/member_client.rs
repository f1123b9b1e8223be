//! The state of one member: its decoder, and the replies to its handshake that are outstanding.

use super::member_requests::MemberRequests;
use crate::frame::{FrameDecoder, Framing};
use crate::services::chat::wire::ChatEvent;

/// Bytes of the longest event. A longer one means that the stream is garbled: the member requests
/// no lists of rooms or nicks.
const MAX_EVENT_BYTES: usize = 1 << 20;

/// The state of one member.
pub(super) struct MemberClient {
    pub(super) decoder: FrameDecoder,
    pub(super) replies: JoinReplies,
    /// Messages sent so far.
    pub(super) sent: u64,
}

impl MemberClient {
    pub(super) fn new(requests: &MemberRequests) -> Self {
        Self {
            decoder: FrameDecoder::new(Framing::U32BE, MAX_EVENT_BYTES),
            replies: JoinReplies { welcome: true, joined: true, left: requests.leaves_lobby() },
            sent: 0,
        }
    }
}

/// The outstanding replies to the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct JoinReplies {
    welcome: bool,
    joined: bool,
    left: bool,
}

impl JoinReplies {
    /// Every reply has arrived.
    pub(super) const NONE: Self = Self { welcome: false, joined: false, left: false };

    /// Notes a reply to the handshake. The same events about other members are ignored.
    pub(super) fn handle_event(&mut self, member: usize, event: &ChatEvent<'_>, requests: &MemberRequests) {
        let own_room = requests.room(requests.room_of(member));
        match event {
            ChatEvent::Welcome { .. } => self.welcome = false,
            ChatEvent::Joined { room, nick } if room == own_room && requests.is_nick_of(member, nick) => {
                self.joined = false;
            }
            ChatEvent::Left { room, nick } if room != own_room && requests.is_nick_of(member, nick) => {
                self.left = false;
            }
            _ => {}
        }
    }
}
