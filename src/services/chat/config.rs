//! The configuration of a chat server, and the hub's fixed limits.

use std::time::Duration;

use encoding_rs::{Encoding, UTF_8};

use super::wire::MAX_TEXT_BYTES;

/// Maximum number of messages in one batch of a room. A turn with more messages sends more batches.
pub(super) const MAX_BATCH_MESSAGES: usize = 64;

/// Pending bytes at which a room's batch is sent. The last message may exceed this number.
pub(super) const BATCH_FLUSH_BYTES: usize = 64 * 1024;

/// Bytes of all replays to one member after which the hub waits for `on_writable`.
pub(super) const REPLAY_STEP_BYTES: usize = 64 * 1024;

/// Maximum number of nicks in one reply to `who`. Such a reply fits into a frame with a 16-bit
/// length.
pub(super) const MAX_NICKS_PER_REPLY: usize = 256;

/// Maximum number of rooms in one reply to `rooms`. Room names may be twice as long as nicks, so
/// the limit is half of [`MAX_NICKS_PER_REPLY`].
pub(super) const MAX_ROOMS_PER_REPLY: usize = 128;

/// Maximum number of pings of one member that wait for the end of a replay.
pub(super) const MAX_DEFERRED_PINGS: usize = 64;

/// Maximum number of bytes in one JSON request: the longest text with every character escaped, and
/// 8 KiB for the rest.
pub(super) const MAX_REQUEST_BYTES: usize = 32 * 1024;

/// Maximum number of banned addresses.
pub(super) const MAX_BANS: usize = 10_000;

/// The configuration of a chat server: limits, encoding and UDP access.
///
/// ```
/// use switchboard::services::chat::ChatConfig;
/// let config = ChatConfig { max_requests_per_second: 5, ..ChatConfig::default() };
/// assert_eq!(config.max_burst_requests, 40);
/// ```
#[derive(Clone, Debug)]
pub struct ChatConfig {
    /// Maximum number of requests per second, sustained, from one connection. Zero disables the
    /// limit.
    pub max_requests_per_second: u32,
    /// Maximum number of requests in one burst; zero is raised to 1.
    pub max_burst_requests: u32,
    /// Maximum number of rooms that one member is in.
    pub max_rooms_per_member: usize,
    /// Maximum number of rooms, clamped to 1..=65,535. At the limit a new room replaces the room
    /// that has been empty longest; without an empty room, the join is rejected.
    pub max_rooms: usize,
    /// Maximum number of bytes in one text.
    pub max_text_bytes: usize,
    /// Maximum number of messages that each room keeps for replays.
    pub max_kept_messages: usize,
    /// Maximum number of message bytes that all rooms together keep. If it is exceeded, the rooms
    /// evict their oldest messages round-robin.
    pub max_kept_bytes: usize,
    /// Largest room, in members, that announces each join and leave.
    pub max_announcing_room_members: usize,
    /// Maximum number of members from one IPv4 address or IPv6 /64 network. `None`: 256, and no
    /// limit for loopback addresses. Zero: no limit.
    pub max_members_per_address: Option<usize>,
    /// True if the server accepts datagrams from other machines. Their senders prove their
    /// addresses before they become members.
    pub accepts_remote_datagrams: bool,
    /// True if senders on this machine prove their addresses, too, because a proxy forwards
    /// datagrams of other machines.
    pub proves_loopback_addresses: bool,
    /// Time without a datagram after which a UDP member is removed.
    pub udp_idle_timeout: Duration,
    /// Maximum number of UDP members.
    pub max_udp_members: usize,
    /// Id of this run of the server. A new id tells a client that message ids have restarted.
    /// `None`: no id is sent.
    pub run_id: Option<String>,
    /// Text encoding of the lines, raw and UDP dialects; JSON is always UTF-8. The encoding must be
    /// a superset of ASCII.
    pub encoding: &'static Encoding,
}

impl Default for ChatConfig {
    fn default() -> Self {
        Self {
            max_requests_per_second: 20,
            max_burst_requests: 40,
            max_rooms_per_member: 32,
            max_rooms: 10_000,
            max_text_bytes: MAX_TEXT_BYTES,
            max_kept_messages: 1000,
            max_kept_bytes: 64 << 20,
            max_announcing_room_members: 128,
            max_members_per_address: None,
            accepts_remote_datagrams: false,
            proves_loopback_addresses: false,
            udp_idle_timeout: Duration::from_secs(60),
            max_udp_members: 1024,
            run_id: None,
            encoding: UTF_8,
        }
    }
}
