//! Backpressure: when reading from a peer pauses, and when it resumes.
//!
//! Reading pauses while the pending output, together with what the service keeps for the
//! connection, is above high water, while it has as many jobs as it may have, or while the
//! connections together hold too many bytes. For that last reason a service is not asked for more
//! output, either, until its earlier output is sent.
//! [`update_backpressure`](Connection::update_backpressure) derives this when a step begins and
//! ends, and after its replies are sent.

use super::phase::Phase;
use super::readiness::{PeerEnd, ReadPause};
use super::state::Connection;
use super::stream::Stream;
use super::worker_context::WorkerContext;
use crate::engine::limits::Limits;
use crate::service::time::Timestamp;
use crate::service::{OutputBacklog, Peer};

impl<S: Stream> Connection<S> {
    /// Returns true if the connection is open and reading is not paused, or is paused only for
    /// memory after the peer's end of stream was reported.
    #[inline]
    pub(crate) fn may_receive(&self, limits: &Limits) -> bool {
        self.phase == Phase::Open
            && match self.read_pause() {
                ReadPause::NotPaused => true,
                ReadPause::Output { .. } => false,
                // If the peer has closed its side, at most a socket buffer of input is left.
                // Reading it ends the connection and frees its memory.
                ReadPause::Memory { .. } => self.is_end_reported() && !self.is_above_high_water(limits),
            }
    }

    /// Returns true if so much output is pending, or requests wait that are so many or hold so
    /// much, that the peer is not read.
    #[inline]
    pub(super) fn is_above_high_water(&self, limits: &Limits) -> bool {
        self.waiting_bytes() > limits.high_water_bytes() || self.has_most_jobs(limits)
    }

    /// Returns true if the connection has as many jobs as it may have.
    #[inline]
    fn has_most_jobs(&self, limits: &Limits) -> bool {
        self.jobs as usize >= limits.max_jobs_per_connection
    }

    /// Returns the pending output and the bytes that the service keeps for the connection.
    #[inline]
    fn waiting_bytes(&self) -> usize {
        self.queue.pending_bytes().saturating_add(self.service_bytes())
    }

    /// Returns true if reading is paused for memory.
    pub(crate) fn is_paused_for_memory(&self) -> bool {
        matches!(self.read_pause(), ReadPause::Memory { .. })
    }

    /// Returns true if the peer's end of stream is reported or read.
    #[inline]
    pub(crate) fn is_end_reported(&self) -> bool {
        self.peer_end >= PeerEnd::Reported
    }

    /// Pauses reading for memory. Returns false if it is paused for memory already, or if the
    /// connection is not open.
    pub(crate) fn pause_for_memory(&mut self, worker: &mut WorkerContext) -> bool {
        let since = match self.read_pause() {
            _ if self.phase != Phase::Open => return false,
            ReadPause::Memory { .. } => return false,
            ReadPause::Output { since } => since,
            ReadPause::NotPaused => {
                worker.stats.read_pauses += 1;
                worker.clock.timestamp
            }
        };
        self.set_read_pause(ReadPause::Memory { since });
        true
    }

    /// Ends a pause for memory. The pause goes on if what waits is above low water.
    pub(crate) fn end_memory_pause(&mut self, worker: &mut WorkerContext) {
        if let ReadPause::Memory { since } = self.read_pause() {
            self.set_read_pause(ReadPause::Output { since });
            self.update_backpressure(worker);
        }
    }

    /// Pauses reading if what waits is above high water; if the pending output alone is, requests
    /// `on_writable`. Resumes reading if what waits is at low water and memory is not short.
    #[inline]
    pub(crate) fn update_backpressure(&mut self, worker: &mut WorkerContext) {
        // The usual case: no output is pending, no job waits, and no pause is under way.
        if (self.queue.is_empty() && self.cold.is_none() && self.jobs == 0) || self.phase != Phase::Open {
            return;
        }
        let WorkerContext { limits, stats, clock, .. } = worker;
        let (waiting, now) = (self.waiting_bytes(), clock.timestamp);
        self.writable_requested |= self.queue.pending_bytes() > limits.high_water_bytes();
        match self.read_pause() {
            ReadPause::NotPaused if self.is_above_high_water(limits) => {
                stats.read_pauses += 1;
                self.set_read_pause(ReadPause::Output { since: now });
            }
            ReadPause::Output { since } if waiting <= limits.low_water_bytes() && !self.has_most_jobs(limits) => {
                self.set_read_pause(ReadPause::NotPaused);
                self.timestamps.reading_resumed(since, now);
            }
            _ => {}
        }
        if self.queue.pending_bytes() <= limits.low_water_bytes() {
            self.end_dropping();
        }
    }

    /// Notes that frames were dropped. Returns true if they are the first since the pending output
    /// was at low water, so that a warning is due. An operator's console is not worth one.
    pub(crate) fn begin_dropping(&mut self) -> bool {
        if self.peer == Peer::Console || self.phase != Phase::Open {
            return false;
        }
        !std::mem::replace(&mut self.cold.get_or_insert_default().is_dropping, true)
    }

    fn end_dropping(&mut self) {
        if let Some(cold) = &mut self.cold
            && std::mem::take(&mut cold.is_dropping)
        {
            self.free_cold();
        }
    }

    /// Returns how much output is pending, and for how long the peer has taken none of it.
    pub(crate) fn output_backlog(&self, now: Timestamp) -> OutputBacklog {
        let stalled = self.timestamps.stalled(now);
        OutputBacklog { pending_bytes: self.queue.pending_bytes(), stalled }
    }

    #[inline]
    pub(super) fn read_pause(&self) -> ReadPause {
        self.cold.as_ref().map_or(ReadPause::NotPaused, |cold| cold.read_pause)
    }

    fn set_read_pause(&mut self, pause: ReadPause) {
        self.cold.get_or_insert_default().read_pause = pause;
        self.free_cold();
    }
}
