//! The ids of connections, services, timers and jobs.

use std::fmt;

use super::time::Timestamp;

/// The number of bits of a [`ConnId`] that hold the slab index; the index must be able to exceed
/// `Limits::max_connections`. The other bits hold the generation. With 64 bits there are 2⁴⁰
/// generations, which last 12 days at a million connections per second. With 32 bits there are
/// 4,095, so an id kept long after its connection closed may name a later one.
pub(crate) const INDEX_BITS: u32 = if usize::BITS >= 64 { 24 } else { 20 };
pub(crate) const INDEX_MASK: usize = (1 << INDEX_BITS) - 1;

/// The id of one connection: slab index and generation. It is not reused, so a stale id reaches no
/// later connection. The exception is a system with 32 bits, where there are 4,095 generations.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub(crate) usize);

impl ConnId {
    /// The id of no connection. Output sent to it is discarded.
    pub const NONE: Self = Self(0);

    /// Returns the slab index: a small number that no other open connection has. Later connections
    /// reuse it.
    #[cfg(feature = "chat")]
    pub(crate) fn slot(self) -> usize {
        self.0 & INDEX_MASK
    }
}

impl fmt::Debug for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnId({:#x})", self.0)
    }
}

/// The id of one service of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServiceId(pub(crate) usize);

/// The id of one offloaded job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub(crate) u64);

/// The id of one timer of one engine. It holds the timer's place in the order of deadlines, so that
/// cancelling is a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerId {
    at: Timestamp,
    /// The order of creation: of two timers with the same deadline, the one set first is due first.
    number: u64,
}

impl TimerId {
    /// The smallest id.
    pub(crate) const MIN: Self = Self { at: Timestamp::START, number: 0 };

    pub(crate) fn new(at: Timestamp, number: u64) -> Self {
        Self { at, number }
    }

    pub(crate) fn at(&self) -> Timestamp {
        self.at
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}
