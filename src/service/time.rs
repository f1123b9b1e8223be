//! Engine time: nanoseconds since the engine started, in 8 bytes.
//!
//! A connection stores several points in time, and there may be 100,000 connections: an
//! `Option<Instant>` takes 16 bytes, an `Option<Timestamp>` 8. 64 bits of nanoseconds last 584
//! years.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// A point in time, relative to the start of one engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Timestamp(NonZeroU64);

impl Timestamp {
    /// The engine's start.
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
