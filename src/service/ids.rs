//! The names by which services and engines know connections, services, timers and jobs.

use std::fmt;

use super::time::Timestamp;

/// Bits of a key that hold the index, which has to reach beyond `Limits::max_connections`; the rest hold the generation. With
/// 64 bits that is 2⁴⁰ of them, months at a million connections a second; with 32 it is 4096, and a stale key is only as good
/// as its holder is quick.
pub(crate) const INDEX_BITS: u32 = if usize::BITS >= 64 { 24 } else { 20 };
pub(crate) const INDEX_MASK: usize = (1 << INDEX_BITS) - 1;

/// Names one connection, for ever: a stale id resolves to nothing and never to a later connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub(crate) usize);

impl ConnId {
    /// No connection: what is sent to it goes nowhere.
    pub const NONE: Self = Self(0);

    /// A small number that no other connection has at the same time. Later ones have it again.
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

/// Names one service of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServiceId(pub(crate) usize);

/// Names one piece of offloaded work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub(crate) u64);

/// Names one timer of one engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerId {
    at: Timestamp,
    /// Breaks ties: of two timers for the same instant the one set first is due first.
    number: u64,
}

impl TimerId {
    /// No timer comes before it.
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
