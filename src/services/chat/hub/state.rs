//! The state of the hub.

use super::address_proof::AddressProof;
use super::bans::BanList;
use super::ids::RoomId;
use super::members::MemberTable;
use super::rooms::RoomTable;
use crate::service::ConnId;
use crate::services::chat::colour::Palette;
use crate::services::chat::config::ChatConfig;

/// The chat: all members and rooms.
pub(crate) struct Hub {
    pub(super) config: ChatConfig,
    pub(super) members: MemberTable,
    pub(super) rooms: RoomTable,
    /// Rooms with messages of this turn.
    pub(super) rooms_to_flush: Vec<RoomId>,
    pub(super) consoles: Vec<OperatorConsole>,
    pub(super) palette: Palette,
    pub(super) bans: BanList,
    pub(super) address_proof: AddressProof,
    pub(super) counts: HubCounts,
    /// True if a timer for the next silent UDP member is set.
    pub(super) is_timer_set: bool,
}

/// A console of the operator.
pub(super) struct OperatorConsole {
    pub(super) conn: ConnId,
    /// The name of the room for text of this console.
    pub(super) room: String,
}

/// Counters since the start of the server.
#[derive(Default)]
pub(super) struct HubCounts {
    pub(super) messages: u64,
    pub(super) deliveries: u64,
    /// Connections and datagrams that were not admitted.
    pub(super) rejected: u64,
    /// Requests and datagrams beyond the rate limit.
    pub(super) rate_limited: u64,
    /// Ranges of missing messages that were reported to members.
    pub(super) gaps: u64,
}

impl Hub {
    /// Returns a hub with an empty lobby.
    pub(crate) fn new(config: ChatConfig, palette: Palette) -> Self {
        // A burst of zero would reject every request.
        let config = ChatConfig { max_burst_requests: config.max_burst_requests.max(1), ..config };
        Self {
            members: MemberTable::default(),
            rooms: RoomTable::new(&config),
            rooms_to_flush: Vec::new(),
            consoles: Vec::new(),
            palette,
            bans: BanList::default(),
            address_proof: AddressProof::default(),
            counts: HubCounts::default(),
            is_timer_set: false,
            config,
        }
    }
}
