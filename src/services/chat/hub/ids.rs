//! Ids of members and rooms.

use std::num::NonZero;

/// The id of a member. It is reused after the member has left, so no state outlives the member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct MemberId(NonZero<u32>);

impl MemberId {
    /// Returns the id for a slab key. Keys fit: a server has far fewer than 2³² connections.
    pub(super) fn of(key: usize) -> Self {
        Self(u32::try_from(key).ok().and_then(|key| NonZero::new(key + 1)).unwrap_or(NonZero::<u32>::MAX))
    }

    /// Returns the slab key.
    pub(super) fn key(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// The id of a room. It is reused after the room has been deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RoomId(pub(super) u16);

impl RoomId {
    /// The lobby: the first room, which is never deleted.
    pub(super) const LOBBY: Self = Self(0);
}
