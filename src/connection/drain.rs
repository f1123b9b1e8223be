//! The part of one connection in a drain of its engine.
//!
//! A connection first answers all whole requests that had arrived when its part began. Shortly
//! before the drain's end, output that a slow peer has not taken is cut after the frames that are
//! partly sent, and these get the rest of the time, so that the stream ends between two frames.

use std::time::Duration;

use super::phase::Phase;
use super::state::Connection;
use super::stream::Stream;
use super::timestamps::Drain;
use super::worker_context::WorkerContext;
use crate::engine::limits::Limits;
use crate::service::CloseReason;
use crate::service::{ConnId, Peer};

/// The time between two writes of cut output. No event reports a little room.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

impl<S: Stream> Connection<S> {
    /// Begins the connection's part in the drain that begins now, or sets the time at which it
    /// begins: the connections are spread over `drain_jitter`. The engine ends the step.
    pub(crate) fn drain(&mut self, id: ConnId, worker: &WorkerContext) {
        let (limits, now) = (&worker.limits, worker.clock.timestamp);
        let is_console = self.peer == Peer::Console;
        let cut_at = (!limits.drain_timeout.is_zero() && !is_console).then(|| now + limits.drain_cut_after());
        let begins = if is_console { now } else { now + share_of(limits.drain_spread(), id) };
        self.cold.get_or_insert_default().drain = Some(Drain { begins: Some(begins), unread: 0, cut_at });
        if begins <= now {
            self.begin_drain();
        }
    }

    /// Stops reading once all that has arrived is read.
    fn begin_drain(&mut self) {
        let is_reading = self.phase == Phase::Open && self.close_reason().is_none();
        let unread = if is_reading { self.stream.unread_bytes() } else { 0 };
        if let Some(drain) = self.cold.as_mut().and_then(|cold| cold.drain.as_mut()) {
            drain.begins = None;
            drain.unread = unread;
        }
        // The event that reports these bytes may be yet to come.
        self.readiness.readable |= unread > 0;
        if unread == 0 {
            self.close_when_answered(CloseReason::ShuttingDown);
        }
    }

    /// Notes a read during a drain: `None` if it found the socket empty. After the last bytes that
    /// had arrived, reading ends.
    #[cold]
    pub(super) fn note_drain_read(&mut self, bytes: Option<usize>) {
        let Some(drain) = self.cold.as_mut().and_then(|cold| cold.drain.as_mut()) else { return };
        if drain.begins.is_some() || drain.unread == 0 {
            return;
        }
        drain.unread = bytes.map_or(0, |bytes| drain.unread.saturating_sub(bytes));
        if drain.unread == 0 {
            self.close_when_answered(CloseReason::ShuttingDown);
        }
    }

    /// Does what the drain has to do for the connection by now. Returns the reason for closing if
    /// output was cut.
    pub(super) fn continue_drain(&mut self, worker: &mut WorkerContext) -> Option<CloseReason> {
        let now = worker.clock.timestamp;
        let drain = self.cold.as_mut()?.drain.as_mut()?;
        if drain.begins.is_some() {
            self.begin_drain();
            return None;
        }
        drain.cut_at = (self.phase != Phase::Lingering).then(|| now + RETRY_INTERVAL);
        if self.queue.is_empty() {
            return None;
        }
        let pending_bytes = self.queue.pending_bytes();
        self.queue.keep_started();
        worker.stats.drain_cuts += u64::from(self.queue.pending_bytes() < pending_bytes);
        self.timestamps.output_changed(false, !self.queue.is_empty(), now);
        self.readiness.writable |= !self.queue.is_empty();
        if let Err(reason) = self.flush(worker) {
            return Some(reason);
        }
        (self.phase == Phase::Open).then_some(CloseReason::ShuttingDown)
    }
}

/// Returns the share of `spread` after which a connection begins to drain. The ids of open
/// connections are consecutive numbers, more or less, so their multiples of the golden ratio lie
/// evenly between two whole numbers.
fn share_of(spread: Duration, id: ConnId) -> Duration {
    const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;
    let share = (id.0 as u64).wrapping_mul(GOLDEN_RATIO) >> 32;
    let nanos = (spread.as_nanos() * u128::from(share)) >> 32;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

impl Limits {
    /// Returns the time from a drain's begin until the output is cut at a frame boundary.
    fn drain_cut_after(&self) -> Duration {
        self.drain_timeout.saturating_sub((self.drain_timeout / 5).min(Duration::from_secs(1)))
    }

    /// Returns the time over which the connections' parts in a drain are spread.
    fn drain_spread(&self) -> Duration {
        self.drain_jitter.min(self.drain_cut_after())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_consecutive_connections_are_even() {
        let spread = Duration::from_secs(10);
        let mut shares: Vec<_> = (1..=1000).map(|id| share_of(spread, ConnId(id))).collect();
        shares.sort_unstable();
        assert!(shares.iter().all(|share| *share < spread));
        let widest = shares.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap();
        assert!(widest < Duration::from_millis(30), "{widest:?}");
    }
}
