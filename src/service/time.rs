//! Time as an engine counts it: nanoseconds since it started, in one machine word.
//!
//! A connection remembers several points in time, and there may be a hundred thousand connections; an optional `Instant` takes
//! sixteen bytes, an optional `Timestamp` eight. 64 bits of nanoseconds last 584 years.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// A point in time of one engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Timestamp(NonZeroU64);

impl Timestamp {
    /// The engine's first moment.
    pub(crate) const START: Self = Self(NonZeroU64::MIN);

    pub(crate) fn new(start: Instant, now: Instant) -> Self {
        Self::START + now.saturating_duration_since(start)
    }

    pub(crate) fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(later.as_nanos()).unwrap_or(u64::MAX)))
    }
}
