//! The end of a connection: no more frames, then `on_close`, then flush, shut down, linger.
//!
//! On `close(2)` with unread input the kernel sends a reset (RFC 2525, section 2.17), and the peer
//! may then lose output that it has not read. Therefore the connection first shuts down its writing
//! side, then discards input until the peer closes too (at most `linger_timeout`), and only then
//! closes the socket.

use super::phase::Phase;
use super::readiness::PeerEnd;
use super::state::{ColdState, Connection};
use super::stream::Stream;
use super::worker_context::WorkerContext;
use super::write_queue::WriteQueue;
use crate::frame::FrameDecoder;
use crate::service::CloseReason;
use crate::service::time::Timestamp;

impl<S: Stream> Connection<S> {
    /// Stops reading. The connection closes for `reason` once it [is
    /// answered](Self::reason_if_answered).
    pub(crate) fn close_when_answered(&mut self, reason: CloseReason) {
        self.cold.get_or_insert_default().close_reason.get_or_insert(reason);
    }

    /// Returns the reason for the close that was requested, if no job, deferred input or
    /// `on_writable` request is left.
    #[inline]
    pub(crate) fn reason_if_answered(&self) -> Option<CloseReason> {
        let reason = self.close_reason()?;
        let more_to_come = self.jobs > 0 || self.has_deferred_input() || self.writable_requested;
        (self.phase == Phase::Open && !more_to_come).then(|| reason.clone())
    }

    /// Closes the connection for `reason`; `service` is the service's name for the log. Returns
    /// true if the close begins now, so that `on_close` has to be called, and a fault logged. A
    /// close under way goes on without a flush if the peer is now unreachable, or with `Closed` if
    /// it is in its last phases.
    pub(crate) fn begin_close(&mut self, reason: CloseReason, service: &str, worker: &mut WorkerContext) -> bool {
        match self.phase {
            Phase::Open => {
                worker.stats.ends.add(reason.cause(), 1);
                if reason.is_fault() {
                    worker.stats.faulted += 1;
                } else {
                    worker.stats.closed += 1;
                    log::debug!("{service} {} closed: {reason}", self.peer);
                }
                self.start_close(reason, worker.clock.timestamp);
                return true;
            }
            // The close is under way, for the reason that was logged.
            Phase::Closing | Phase::Aborting => self.mark_unreachable(&reason),
            // For its service the connection is closed already; the output queued so far is still
            // flushed.
            Phase::Flushing | Phase::Lingering if matches!(reason, CloseReason::Service(_)) => {}
            Phase::Flushing | Phase::Lingering => {
                let unsent_bytes = self.pending_bytes();
                if unsent_bytes > 0 && reason.is_fault() {
                    self.stream.abort_on_close();
                    // A close for a fault is logged already.
                    if self.close_reason().is_some_and(|first| !first.is_fault()) {
                        worker.warn(
                            service,
                            "lost output",
                            format_args!("{service} {} lost {unsent_bytes} bytes of output: {reason}", self.peer),
                        );
                    }
                }
                self.abandon();
            }
            Phase::Closed => {}
        }
        false
    }

    /// Takes no more frames, and drops the input that is not decoded yet. The pending output is
    /// still flushed, unless `reason` means that the peer is unreachable.
    pub(super) fn start_close(&mut self, reason: CloseReason, now: Timestamp) {
        self.phase = Phase::Closing;
        self.decoder = FrameDecoder::new(self.framing(), 0);
        self.mark_unreachable(&reason);
        self.timestamps.reading_ended(now);
        let ColdState { service_bytes, drain, .. } = self.cold.take().map(|cold| *cold).unwrap_or_default();
        let close_reason = Some(reason);
        self.cold = Some(Box::new(ColdState { close_reason, drain, service_bytes, ..ColdState::default() }));
    }

    /// Drops the pending output if `reason` means that the peer is unreachable, or if its memory is
    /// the reason. A later reason changes nothing else about a close that is under way.
    fn mark_unreachable(&mut self, reason: &CloseReason) {
        if is_unreachable(reason) || (matches!(reason, CloseReason::BufferBudget(_)) && !self.queue.is_empty()) {
            self.phase = Phase::Aborting;
            self.queue = WriteQueue::default();
            // The socket may have taken half a frame, and the peer would read any further output
            // as its other half.
            self.readiness.writable = false;
            // The kernel would offer the peer for minutes what it has not sent.
            self.stream.abort_on_close();
        }
    }

    /// Returns true if the connection ends with its `on_close`, because no flush and no linger
    /// follow.
    pub(crate) fn is_peer_gone(&self) -> bool {
        self.phase == Phase::Aborting || self.peer_end == PeerEnd::Read
    }

    /// Starts the flush: `on_close` has run and its last reply is queued, or the connection was
    /// rejected. What the service has declared to keep is released.
    pub(crate) fn close_delivered(&mut self) {
        self.release_service_bytes();
        if self.phase == Phase::Aborting {
            self.abandon();
        } else {
            self.phase = Phase::Flushing;
        }
    }

    /// Closes without flushing. The pending output is dropped, so it no longer counts as held.
    pub(crate) fn abandon(&mut self) {
        self.phase = Phase::Closed;
        self.queue = WriteQueue::default();
    }

    /// Continues an orderly close until the socket would block. `scratch` is the buffer for input
    /// to discard.
    pub(crate) fn advance_close(&mut self, scratch: &mut [u8], now: Timestamp) {
        if self.phase == Phase::Flushing && self.queue.is_empty() {
            // No unread input can follow the peer's end of stream, so no linger is needed. If the
            // shutdown fails, the connection is already broken.
            let linger = self.peer_end != PeerEnd::Read && self.stream.shutdown_write().is_ok();
            self.phase = if linger { Phase::Lingering } else { Phase::Closed };
            self.timestamps.reading_ended(now);
        }
        // The buffer is empty while another connection's read has borrowed it. A read into an empty
        // buffer returns 0, which would look like the end of the stream.
        if self.phase == Phase::Lingering && !scratch.is_empty() {
            self.discard(scratch);
        }
    }
}

/// Returns true if `reason` means that the peer reads no more output.
fn is_unreachable(reason: &CloseReason) -> bool {
    matches!(
        reason,
        CloseReason::PeerReset(_)
            | CloseReason::WriteTimeout(_)
            | CloseReason::ReadRate { .. }
            | CloseReason::SlowConsumer(_)
    )
}
