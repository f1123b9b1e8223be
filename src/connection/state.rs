//! The state of one connection, and the questions that an engine asks about it.

use super::phase::Phase;
use super::readiness::{PeerEnd, ReadPause, Readiness};
use super::stream::Stream;
use super::timestamps::{Drain, DueDeadline, Timestamps};
use super::write_queue::WriteQueue;
use crate::engine::limits::Limits;
use crate::frame::{FrameDecoder, Framing};
use crate::service::CloseReason;
use crate::service::time::Timestamp;
use crate::service::{Peer, ServiceId};

/// One connection.
///
/// There may be 100 000 of them, so the struct stays small: state that few connections have is on
/// the heap, in [`ColdState`].
pub(crate) struct Connection<S> {
    pub(super) stream: S,
    pub(super) peer: Peer,
    service: u32,
    pub(super) decoder: FrameDecoder,
    pub(super) queue: WriteQueue,
    pub(super) phase: Phase,
    /// State that few connections have, each for a short time.
    pub(super) cold: Option<Box<ColdState>>,
    /// Jobs offloaded for this connection that have not come back.
    pub(super) jobs: u32,
    pub(super) timestamps: Timestamps,
    /// The bytes held at the last [`recount`](Self::recount).
    counted_bytes: u32,
    pub(super) readiness: Readiness,
    pub(super) peer_end: PeerEnd,
    membership: Membership,
    /// The service asked for `on_writable`, once the queue is at low water.
    pub(super) writable_requested: bool,
}

/// The lists of an engine that a connection is in.
#[derive(Clone, Copy, Debug, Default)]
struct Membership {
    /// The ready queue; on a thread, it waits to write.
    scheduled: bool,
    /// The connections to flush at the turn's end, because other connections' callbacks have queued
    /// output for them.
    dirty: bool,
}

/// The seldom-used state of a connection.
#[derive(Default)]
pub(super) struct ColdState {
    /// Input that was received and not decoded, because the pending output went above high water or
    /// the share of the turn was spent in the middle of a read.
    pub(super) deferred: Option<DeferredInput>,
    /// The reason for the close, or for the one that follows the last answer.
    pub(super) close_reason: Option<CloseReason>,
    pub(super) read_pause: ReadPause,
    /// The deadline that counts only once the socket was read.
    pub(super) due_deadline: Option<DueDeadline>,
    /// The connection's part in a drain of the engine.
    pub(super) drain: Option<Drain>,
    /// True from the first frame dropped until the pending output is at low water.
    pub(super) is_dropping: bool,
    pub(super) service_bytes: ServiceBytes,
}

/// The memory that a service keeps for a connection.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ServiceBytes {
    /// The bytes that the service has declared, see [`Context::hold`](crate::Context::hold).
    declared: usize,
    /// The bytes of jobs that have not come back.
    jobs: usize,
}

/// Input that waits to be decoded.
pub(super) struct DeferredInput {
    pub(super) bytes: Vec<u8>,
    /// The number of bytes that are decoded already.
    pub(super) used: usize,
}

impl<S: Stream> Connection<S> {
    pub(crate) fn new(
        stream: S,
        peer: Peer,
        service: ServiceId,
        framing: Framing,
        limits: &Limits,
        now: Timestamp,
    ) -> Self {
        Self {
            stream,
            peer,
            service: u32::try_from(service.0).unwrap_or(u32::MAX),
            decoder: FrameDecoder::new(framing, limits.max_frame_bytes),
            queue: WriteQueue::default(),
            phase: Phase::Open,
            cold: None,
            jobs: 0,
            timestamps: Timestamps::new(now),
            counted_bytes: 0,
            // The send buffer of a new socket is empty. An event reports whether input is there.
            readiness: Readiness::WRITABLE,
            peer_end: PeerEnd::Open,
            membership: Membership::default(),
            writable_requested: false,
        }
    }

    pub(crate) fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    pub(crate) fn stream(&self) -> &S {
        &self.stream
    }

    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    #[inline]
    pub(crate) fn service(&self) -> ServiceId {
        ServiceId(self.service as usize)
    }

    #[inline]
    pub(crate) fn framing(&self) -> Framing {
        self.decoder.framing()
    }

    #[inline]
    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// Returns true if the service can still send to this connection.
    pub(crate) fn accepts_output(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Closing | Phase::Aborting)
    }

    /// Returns true if its service has closed it.
    pub(crate) fn is_closed_by_service(&self) -> bool {
        matches!(self.close_reason(), Some(CloseReason::Service(_)))
    }

    #[inline]
    pub(crate) fn close_reason(&self) -> Option<&CloseReason> {
        self.cold.as_ref()?.close_reason.as_ref()
    }

    #[inline]
    pub(crate) fn pending_bytes(&self) -> usize {
        self.queue.pending_bytes()
    }

    /// Returns the memory held for the connection: its [`own_bytes`](Self::own_bytes), and the
    /// batches that it shares with other connections.
    #[inline]
    pub(crate) fn held_bytes(&self) -> usize {
        self.own_bytes() + self.queue.shared_bytes()
    }

    /// Returns the memory held for this connection alone: received and pending bytes, by the
    /// capacity of their buffers, and what the service keeps for it.
    #[inline]
    pub(crate) fn own_bytes(&self) -> usize {
        let deferred =
            self.cold.as_ref().and_then(|cold| cold.deferred.as_ref()).map_or(0, |deferred| deferred.bytes.capacity());
        self.decoder.held_bytes() + self.queue.own_bytes() + deferred + self.service_bytes()
    }

    /// Returns the bytes that the service keeps for the connection, those of its jobs included.
    #[inline]
    pub(super) fn service_bytes(&self) -> usize {
        self.cold.as_ref().map_or(0, |cold| cold.service_bytes.declared.saturating_add(cold.service_bytes.jobs))
    }

    /// Notes that the service keeps `bytes` for the connection, instead of what it declared before.
    /// Has no effect once `on_close` has run.
    pub(crate) fn hold(&mut self, bytes: usize) {
        if self.accepts_output() {
            self.change_service_bytes(|service_bytes| service_bytes.declared = bytes);
        }
    }

    fn change_service_bytes(&mut self, change: impl FnOnce(&mut ServiceBytes)) {
        change(&mut self.cold.get_or_insert_default().service_bytes);
        self.free_cold();
    }

    /// Releases what the service has declared. Jobs hold their bytes until they come back.
    pub(super) fn release_service_bytes(&mut self) {
        self.change_service_bytes(|service_bytes| service_bytes.declared = 0);
    }

    #[inline]
    pub(super) fn has_deferred_input(&self) -> bool {
        self.cold.as_ref().is_some_and(|cold| cold.deferred.is_some())
    }

    /// Updates an engine's sum of held bytes by the change since the last recount.
    #[inline]
    pub(crate) fn recount_into(&mut self, sum: &mut u64) {
        let (before, now) = self.recount();
        *sum = *sum - before + now;
    }

    /// Returns the bytes of its own held at the last recount, and those held now.
    #[inline]
    pub(crate) fn recount(&mut self) -> (u64, u64) {
        let held = u32::try_from(self.own_bytes()).unwrap_or(u32::MAX);
        (std::mem::replace(&mut self.counted_bytes, held).into(), held.into())
    }

    /// Frees the seldom-used state if it holds nothing.
    pub(super) fn free_cold(&mut self) {
        let is_empty = |cold: &mut Box<ColdState>| {
            cold.deferred.is_none()
                && cold.close_reason.is_none()
                && cold.read_pause == ReadPause::NotPaused
                && cold.due_deadline.is_none()
                && cold.drain.is_none()
                && !cold.is_dropping
                && cold.service_bytes == ServiceBytes::default()
        };
        self.cold.take_if(is_empty);
    }

    /// Notes the readiness that an event reports. Returns true if the connection has to be put into
    /// the ready queue: a step can make progress, and none is scheduled yet.
    #[inline]
    pub(crate) fn mark_ready(&mut self, reported: Readiness, end: PeerEnd) -> bool {
        self.readiness.add(reported);
        self.peer_end = self.peer_end.max(end);
        // Room in the send buffer is worth a step only if output waits for it.
        (reported.readable || !self.queue.is_empty()) && self.mark_scheduled()
    }

    #[cfg(test)]
    pub(crate) fn is_readable(&self) -> bool {
        self.readiness.readable
    }

    /// Notes that the connection is in the ready queue. Returns true if it was not before.
    #[inline]
    pub(crate) fn mark_scheduled(&mut self) -> bool {
        !std::mem::replace(&mut self.membership.scheduled, true)
    }

    /// Notes that the connection has left the ready queue, or that its thread waits for the socket.
    #[inline]
    pub(crate) fn set_scheduled(&mut self, is_scheduled: bool) {
        self.membership.scheduled = is_scheduled;
    }

    /// Notes that the connection is flushed at the turn's end. Returns true if it was not before.
    #[inline]
    pub(crate) fn mark_dirty(&mut self) -> bool {
        !std::mem::replace(&mut self.membership.dirty, true)
    }

    /// Notes that the connection is flushed.
    #[inline]
    pub(crate) fn clear_dirty(&mut self) {
        self.membership.dirty = false;
    }

    /// Counts a job that was offloaded for this connection, and the bytes that it holds.
    pub(crate) fn job_started(&mut self, bytes: usize) {
        self.jobs += 1;
        if bytes > 0 {
            self.change_service_bytes(|service_bytes| service_bytes.jobs = service_bytes.jobs.saturating_add(bytes));
        }
    }

    /// Returns true if a job that this connection started has not ended.
    #[cfg(test)]
    pub(crate) fn has_jobs(&self) -> bool {
        self.jobs > 0
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn readiness(&self) -> Readiness {
        self.readiness
    }

    /// Counts a job whose output has come back.
    pub(crate) fn job_ended(&mut self, bytes: usize) {
        self.jobs = self.jobs.saturating_sub(1);
        if bytes > 0 {
            self.change_service_bytes(|service_bytes| service_bytes.jobs = service_bytes.jobs.saturating_sub(bytes));
        }
    }

    /// Notes that the jobs that have not come back are discarded.
    pub(crate) fn jobs_discarded(&mut self) {
        self.jobs = 0;
        self.change_service_bytes(|service_bytes| service_bytes.jobs = 0);
    }
}
