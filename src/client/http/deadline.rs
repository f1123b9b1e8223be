//! The deadlines of a fetch.

use std::time::{Duration, Instant};

use super::fetch_error::TimeoutKind;

/// The end of a timeout.
#[derive(Clone, Copy, Debug)]
pub(super) struct FetchDeadline {
    pub(super) at: Instant,
    pub(super) timeout: Duration,
    pub(super) kind: TimeoutKind,
}

impl FetchDeadline {
    /// Returns the deadline, or `None` if it is too far away for an [`Instant`].
    pub(super) fn after(timeout: Option<Duration>, kind: TimeoutKind) -> Option<Self> {
        let timeout = timeout?;
        Some(Self { at: Instant::now().checked_add(timeout)?, timeout, kind })
    }
}
