//! The output path: replies → one write → the rest to the write queue → the socket again.
//!
//! The replies of a step collect in the worker's reply buffer and leave with one write. Only what
//! the socket does not take is copied into the connection's queue.

use std::io::{self, IoSlice, Write};
use std::sync::Arc;

use super::phase::Phase;
use super::readiness::Readiness;
use super::state::Connection;
use super::stream::Stream;
use super::timestamps::Timestamps;
use super::worker_context::WorkerContext;
use super::write_queue::{DroppedBatch, EnqueueResult, WriteOutcome, WriteQueue};
use crate::engine::limits::{Limits, QueueBound, SlowConsumer};
use crate::frame::BatchId;
use crate::frame::{Batch, Framing, encode};
use crate::service::CloseReason;
use crate::service::reply_buffer::{MAX_PIECES, ReplyBuffer, ReplySource};
use crate::service::{OutputBacklog, Peer, RejectionReply};

/// The parts of a connection that a write touches. The decoder is not among them, so a reply can be
/// written while it is borrowed from the decoder's frame.
pub(super) struct WriteHalf<'a, S> {
    pub(super) stream: &'a mut S,
    pub(super) queue: &'a mut WriteQueue,
    pub(super) readiness: &'a mut Readiness,
    pub(super) timestamps: &'a mut Timestamps,
    pub(super) peer: &'a Peer,
    pub(super) phase: Phase,
}

impl<S: Stream> WriteHalf<'_, S> {
    /// Sends the collected replies and empties the reply buffer. Borrowed replies lie in `source`.
    pub(super) fn send_replies(
        mut self,
        source: ReplySource<'_>,
        worker: &mut WorkerContext,
    ) -> Result<(), CloseReason> {
        let result = if self.queue.is_empty() && self.readiness.writable {
            self.write_replies(source, worker)
        } else {
            self.enqueue_replies(source, worker).and_then(|()| self.flush(worker))
        };
        worker.replies.clear();
        result
    }

    /// Writes the replies straight to the socket. This is the common case: the queue is empty and
    /// the socket has room.
    fn write_replies(&mut self, source: ReplySource<'_>, worker: &mut WorkerContext) -> Result<(), CloseReason> {
        let (replies, now) = (&worker.replies, worker.clock.timestamp);
        let sent = match write_reply_buffer(self.stream, replies, source) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readiness.writable = false;
                0
            }
            Err(error) => return Err(io_failure(&error)),
        };
        worker.stats.bytes_out += sent as u64;
        if sent == replies.len() {
            self.timestamps.output_changed(true, false, now);
            return Ok(());
        }
        if sent == 0 {
            // No byte has gone out, so the frames are whole and the queue's bound applies to them.
            self.timestamps.output_changed(false, true, now);
            return self.enqueue_replies(source, worker);
        }
        self.queue.push_rest(skip_bytes(replies.pieces(source), sent), replies.len() - sent);
        self.timestamps.output_changed(true, true, now);
        if self.stream.short_io_means_would_block() {
            self.readiness.writable = false;
        }
        self.flush(worker)
    }

    /// Queues a copy of the collected replies.
    fn enqueue_replies(&mut self, source: ReplySource<'_>, worker: &mut WorkerContext) -> Result<(), CloseReason> {
        let bound = self.bound(&worker.limits);
        let WorkerContext { replies, dropped, .. } = &mut *worker;
        let pieces = replies.pieces(source);
        let result = self.queue.enqueue_copy(pieces, replies.len(), replies.frames(), bound, dropped);
        self.check_enqueued(result, worker)
    }

    /// Returns the bound of the queue. The last output of a connection that closes has no limit: it
    /// is that of one callback, and the output queued before it must not be lost with it.
    fn bound(&self, limits: &Limits) -> QueueBound {
        let bound = limits.queue_bound(self.peer);
        if self.phase == Phase::Open { bound } else { QueueBound { max_bytes: usize::MAX, ..bound } }
    }

    fn flush(&mut self, worker: &mut WorkerContext) -> Result<(), CloseReason> {
        let now = worker.clock.timestamp;
        if !self.readiness.writable || self.queue.is_empty() {
            self.timestamps.output_changed(false, !self.queue.is_empty(), now);
            return Ok(());
        }
        let short_write_means_full = self.stream.short_io_means_would_block();
        let WriteOutcome { bytes, blocked } =
            self.queue.write_to(self.stream, short_write_means_full).map_err(|error| io_failure(&error))?;
        worker.stats.bytes_out += bytes as u64;
        self.readiness.writable = !blocked;
        self.timestamps.output_changed(bytes > 0, !self.queue.is_empty(), now);
        Ok(())
    }

    /// Counts dropped frames. Fails if the queue is full and the connection has to close.
    fn check_enqueued(&mut self, result: EnqueueResult, worker: &mut WorkerContext) -> Result<(), CloseReason> {
        match result {
            EnqueueResult::Queued => Ok(()),
            EnqueueResult::Dropped(frames) => {
                worker.stats.frames_dropped += u64::from(frames);
                DroppedBatch::note_unnamed(&mut worker.dropped);
                Ok(())
            }
            EnqueueResult::Full => Err(CloseReason::SlowConsumer(OutputBacklog {
                pending_bytes: self.queue.pending_bytes(),
                stalled: self.timestamps.stalled(worker.clock.timestamp),
            })),
        }
    }
}

impl<S: Stream> Connection<S> {
    fn write_half(&mut self) -> WriteHalf<'_, S> {
        let Self { stream, queue, readiness, timestamps, peer, phase, .. } = self;
        WriteHalf { stream, queue, readiness, timestamps, peer, phase: *phase }
    }

    /// Sends the replies that have collected in this step, then updates backpressure.
    #[inline]
    pub(crate) fn send_replies(
        &mut self,
        source: ReplySource<'_>,
        worker: &mut WorkerContext,
    ) -> Result<(), CloseReason> {
        if !worker.replies.is_empty() {
            self.write_half().send_replies(source, worker)?;
        }
        Ok(())
    }

    /// Rejects a pending connection: sends the reason, in its service's words if the service has
    /// any, and begins to close.
    pub(crate) fn reject(&mut self, reason: CloseReason, reply: Option<RejectionReply>, worker: &mut WorkerContext) {
        let framing = self.framing();
        let plain = |reason: &CloseReason| {
            vec![if framing == Framing::Raw { format!("{reason}\n") } else { reason.to_string() }.into()]
        };
        for payload in reply.map_or_else(|| plain(&reason), |reply| reply(framing, &reason)) {
            let mut frame = Vec::new();
            // A length prefix too small for the sentence leaves the peer without it.
            if encode(framing, &payload, &mut frame).is_ok() {
                worker.replies.push_encoded(&frame, 1);
            }
        }
        let sent = self.send_replies(ReplySource::NONE, worker);
        self.start_close(reason, worker.clock.timestamp);
        if sent.is_ok() {
            self.close_delivered();
        } else {
            self.abandon();
        }
    }

    /// Rejects a pending connection that is closed at once, because too many others wait for their
    /// peers to close. What has arrived is discarded, so that the close is no reset.
    pub(crate) fn reject_at_once(
        &mut self,
        reason: CloseReason,
        reply: Option<RejectionReply>,
        scratch: &mut [u8],
        worker: &mut WorkerContext,
    ) {
        self.reject(reason, reply, worker);
        self.readiness.readable = true;
        self.advance_close(scratch, worker.clock.timestamp);
    }

    /// Returns true if the write queue holds as much as its limit allows.
    #[inline]
    pub(crate) fn is_queue_full(&self, limits: &Limits) -> bool {
        self.queue.is_full(limits.max_write_buffer_bytes)
    }

    /// Writes pending output before the policy decides about a full queue. Within one turn, or
    /// while a thread waits for its service, the peer may have made room that no event has
    /// reported. So before a close the socket is tried once more.
    pub(crate) fn flush_full(&mut self, worker: &mut WorkerContext) -> Result<(), CloseReason> {
        if self.phase == Phase::Open && worker.limits.queue_bound(&self.peer).policy == SlowConsumer::Disconnect {
            self.readiness.writable = true;
        }
        self.flush(worker)
    }

    /// Queues a batch that is shared with other connections. The engine flushes it at the turn's
    /// end, when every connection has its batches.
    #[inline]
    pub(crate) fn enqueue_shared(&mut self, batch: &Arc<Batch>, worker: &mut WorkerContext) -> Result<(), CloseReason> {
        let mut half = self.write_half();
        let bound = half.bound(&worker.limits);
        let result = half.queue.enqueue_shared(batch, bound, &mut worker.dropped);
        let checked = half.check_enqueued(result, worker);
        half.timestamps.output_changed(false, !half.queue.is_empty(), worker.clock.timestamp);
        checked
    }

    /// Sends a shared batch to the connection that is being answered, after the replies so far.
    ///
    /// Frames without a batch id join the replies while the queue has room. A batch with an id must
    /// keep it, to be reported if it is dropped, and at a full queue the policy may drop the
    /// frames. So the replies so far are queued before them, and the caller flushes the queue.
    pub(crate) fn reply_shared(
        &mut self,
        batch: &Arc<Batch>,
        source: ReplySource<'_>,
        worker: &mut WorkerContext,
    ) -> Result<(), CloseReason> {
        if batch.id() == BatchId::NONE && !self.is_queue_full(&worker.limits) {
            worker.replies.push_encoded(batch.bytes(), batch.frames());
            return Ok(());
        }
        let replied =
            if worker.replies.is_empty() { Ok(()) } else { self.write_half().enqueue_replies(source, worker) };
        worker.replies.clear();
        replied.and_then(|()| self.enqueue_shared(batch, worker))
    }

    /// Writes the pending output, as far as the socket takes it, then updates backpressure.
    #[inline]
    pub(crate) fn flush(&mut self, worker: &mut WorkerContext) -> Result<(), CloseReason> {
        if self.queue.is_empty() {
            return Ok(());
        }
        self.write_half().flush(worker)
    }

    /// Requests one call of `on_writable`, when the pending output is at low water.
    pub(crate) fn request_writable(&mut self) {
        self.writable_requested = true;
    }
}

fn write_reply_buffer(stream: &mut impl Write, replies: &ReplyBuffer, source: ReplySource<'_>) -> io::Result<usize> {
    loop {
        let result = match replies.as_one_slice() {
            Some(bytes) => stream.write(bytes),
            None => write_pieces(stream, replies.pieces(source)),
        };
        match result {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Writes the pieces with one vectored write. Not inlined, because its slices would then take stack
/// in every thread that ever writes.
#[inline(never)]
fn write_pieces<'a>(stream: &mut impl Write, pieces: impl Iterator<Item = &'a [u8]>) -> io::Result<usize> {
    let mut slices = [IoSlice::new(&[]); MAX_PIECES];
    let mut count = 0;
    for (slice, piece) in slices.iter_mut().zip(pieces) {
        *slice = IoSlice::new(piece);
        count += 1;
    }
    stream.write_vectored(slices.get(..count).unwrap_or_default())
}

/// Returns the pieces without their first `skip` bytes.
fn skip_bytes<'a>(pieces: impl Iterator<Item = &'a [u8]>, mut skip: usize) -> impl Iterator<Item = &'a [u8]> {
    pieces.map(move |piece| {
        let (skipped, rest) = piece.split_at(skip.min(piece.len()));
        skip -= skipped.len();
        rest
    })
}

/// Returns the reason for closing after a failed read or write.
pub(super) fn io_failure(error: &io::Error) -> CloseReason {
    CloseReason::PeerReset(error.kind())
}
