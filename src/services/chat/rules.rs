//! What chat allows, and how much of it: every bound of the hub, with its unit in its name.

use std::time::Duration;

use encoding_rs::{Encoding, UTF_8};

use super::wire::MAX_TEXT_BYTES;

/// Messages of one room that leave together, at most; more of them in a turn make more batches.
pub(super) const MAX_BATCH_MESSAGES: usize = 64;

/// Bytes of messages of one room that leave together, at most, but for a last one.
pub(super) const MAX_BATCH_BYTES: usize = 64 * 1024;

/// Bytes that are replayed to one member before its connection has to have taken some.
pub(super) const REPLAY_BYTES: usize = 64 * 1024;

/// Nicks in one answer to `who`. A page fits into a frame of 16 bits of length.
pub(super) const WHO_PAGE: usize = 256;

/// Rooms in one answer to `rooms`. As above, and their names are twice as long.
pub(super) const ROOMS_PAGE: usize = 128;

/// Pings that may wait for a replay.
pub(super) const MAX_PINGS: usize = 64;

/// Bytes of one request: the longest text with every character escaped, and some room.
pub(super) const MAX_REQUEST_BYTES: usize = 32 * 1024;

/// Addresses that may be banned.
pub(super) const MAX_BANS: usize = 10_000;

/// What a chat server allows.
///
/// ```
/// use switchboard::services::chat::Rules;
/// let rules = Rules { messages_per_second: 5, ..Rules::default() };
/// assert_eq!(rules.burst, 40);
/// ```
#[derive(Clone, Debug)]
pub struct Rules {
    /// Requests a second that one connection may make for long. Zero: as many as it likes.
    pub messages_per_second: u32,
    /// Requests that it may make at once.
    pub burst: u32,
    /// Rooms that one member may be in.
    pub max_rooms_per_member: usize,
    /// Rooms that there may be, at most 65,536. Beyond it the room that has been empty for longest is forgotten.
    pub max_rooms: usize,
    /// Bytes of one text.
    pub max_text_bytes: usize,
    /// The last messages of a room that are kept for those who come back.
    pub max_kept_messages: usize,
    /// Bytes of messages that all rooms together keep. Beyond it the rooms let go of their oldest in
    /// turn.
    pub max_kept_bytes: usize,
    /// In rooms of more members single comings and goings are not announced.
    pub announce_up_to: usize,
    /// Connections from one address. None: 256, and from the machine itself as many as there are; zero: no cap.
    pub max_per_address: Option<usize>,
    /// Whether datagrams from other machines are heard.
    pub udp_public: bool,
    /// How long a UDP member may be silent.
    pub udp_silence: Duration,
    /// UDP members that there may be.
    pub max_udp_members: usize,
    /// A word that no other start of the server has, for clients to know by it that ids have begun anew. Empty: none is told.
    pub server: String,
    /// How text is encoded on lines, raw and UDP; JSON is UTF-8 always. It has to be one that leaves ASCII as it is.
    pub encoding: &'static Encoding,
}

impl Default for Rules {
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
