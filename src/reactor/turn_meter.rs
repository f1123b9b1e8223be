//! The time of the turn under way, and the work that it was spent on. `lag.rs` measures it.

use std::time::{Duration, Instant};

use crate::engine::lag::Work;
use crate::service::{Peer, ServiceId};

/// The time of the turn under way.
pub(super) struct TurnMeter {
    pub(super) began: Instant,
    /// The coarse clock when the last work ended.
    pub(super) tick: Duration,
    /// The work that the coarse clock has found in this turn. Nearly always empty.
    pub(super) shares: Vec<WorkShare>,
}

/// The time that one kind of work took in a turn.
pub(super) struct WorkShare {
    pub(super) work: Work,
    pub(super) service: Option<ServiceId>,
    /// The peer that the last tick was for.
    pub(super) peer: Option<Peer>,
    pub(super) took: Duration,
}

/// The owner of a piece of work.
#[derive(Clone, Copy)]
pub(super) enum WorkOwner {
    Loop,
    Service(ServiceId),
    /// A connection's key.
    Connection(usize),
}

impl TurnMeter {
    pub(super) fn new(now: Instant) -> Self {
        Self { began: now, tick: Duration::ZERO, shares: Vec::new() }
    }
}
