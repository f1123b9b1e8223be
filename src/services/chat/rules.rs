//! Every limit of the hub, with its unit in its name.

use std::time::Duration;

use encoding_rs::{Encoding, UTF_8};

use super::wire::MAX_TEXT_BYTES;

/// Messages in one batch of a room. A turn with more messages sends more batches.
pub(super) const MAX_BATCH_MESSAGES: usize = 64;

/// Bytes of messages after which a batch is sent. The last message may exceed the limit.
pub(super) const MAX_BATCH_BYTES: usize = 64 * 1024;

/// Bytes that a replay sends to one member before it waits for `on_writable`.
pub(super) const REPLAY_BYTES: usize = 64 * 1024;

/// Nicks in one answer to `who`. Such a page fits into a frame with a 16-bit length.
pub(super) const WHO_PAGE: usize = 256;

/// Rooms in one answer to `rooms`. Room names are twice as long as nicks, so a page has half as
/// many.
pub(super) const ROOMS_PAGE: usize = 128;

/// Pings of one member that may wait for the end of a replay.
pub(super) const MAX_PINGS: usize = 64;

/// Bytes of one JSON request: the longest text with every character escaped, and 8 KiB for the
/// rest.
pub(super) const MAX_REQUEST_BYTES: usize = 32 * 1024;

/// Addresses that may be banned.
pub(super) const MAX_BANS: usize = 10_000;

/// The limits and options of a chat server.
///
/// ```
/// use switchboard::services::chat::ChatRules;
/// let rules = ChatRules { messages_per_second: 5, ..ChatRules::default() };
/// assert_eq!(rules.burst, 40);
/// ```
#[derive(Clone, Debug)]
pub struct ChatRules {
    /// Sustained requests per second of one connection. Zero disables the limit.
    pub messages_per_second: u32,
    /// Requests that one connection may send in a burst.
    pub burst: u32,
    /// Rooms that one member may be in.
    pub max_rooms_per_member: usize,
    /// Rooms on the server, at most 65,535. At the limit, the room that has been empty for longest
    /// is deleted.
    pub max_rooms: usize,
    /// Bytes of one text.
    pub max_text_bytes: usize,
    /// Messages that each room keeps for replays.
    pub max_kept_messages: usize,
    /// Bytes of messages that all rooms together keep. Above it the rooms delete their oldest
    /// messages in turn.
    pub max_kept_bytes: usize,
    /// Members up to which a room announces each join and leave.
    pub announce_up_to: usize,
    /// Connections from one address. `None` means 256, without a limit for loopback addresses; zero
    /// means no limit.
    pub max_per_address: Option<usize>,
    /// True if the server accepts datagrams from other machines.
    pub udp_public: bool,
    /// Time without a datagram after which a UDP member is removed.
    pub udp_silence: Duration,
    /// UDP members on the server.
    pub max_udp_members: usize,
    /// An id of this run of the server. A client that sees another id knows that message ids have
    /// restarted. Empty: the server sends no id.
    pub server: String,
    /// Text encoding of the lines, raw and UDP dialects; JSON is always UTF-8. The encoding must be
    /// a superset of ASCII.
    pub encoding: &'static Encoding,
}

impl Default for ChatRules {
    fn default() -> Self {
        Self {
            messages_per_second: 20,
            burst: 40,
            max_rooms_per_member: 32,
            max_rooms: 10_000,
            max_text_bytes: MAX_TEXT_BYTES,
            max_kept_messages: 1000,
            max_kept_bytes: 64 << 20,
            announce_up_to: 128,
            max_per_address: None,
            udp_public: false,
            udp_silence: Duration::from_mins(1),
            max_udp_members: 1024,
            server: String::new(),
            encoding: UTF_8,
        }
    }
}
