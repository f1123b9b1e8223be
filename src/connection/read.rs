//! The input path: socket → receive buffer → decoder → service.
//!
//! A read fills the engine's receive buffer. The decoder finds whole frames there, and the service
//! borrows them. Only an unfinished frame is copied, into the decoder's own buffer. While that
//! buffer has room for the frame's next bytes, a read fills it first.

use std::io::{self, IoSliceMut};

use super::phase::Phase;
use super::readiness::PeerEnd;
use super::state::{Connection, DeferredInput};
use super::stream::Stream;
use super::worker_context::WorkerContext;
use super::write::{WriteHalf, io_failure};
use crate::engine::limits::Limits;
use crate::frame::BufferPool;
use crate::service::CloseReason;
use crate::service::reply_buffer::ReplySource;
use crate::service::{ConnId, GuardedService};

/// The result of one read.
#[derive(Debug)]
pub(crate) enum ReadOutcome {
    /// `total` bytes were read. `buffered` of them are in the receive buffer; the others went
    /// straight to the unfinished frame. `more` if another read may return further bytes.
    Bytes { total: usize, buffered: usize, more: bool },
    /// The socket is empty, or the connection must not be read now.
    WouldBlock,
    /// The peer has closed its writing side.
    Eof,
    /// The read failed; the connection closes.
    Failed(CloseReason),
}

/// The result of one read before the connection has noted it.
#[derive(Debug)]
pub(crate) struct RawRead {
    result: io::Result<usize>,
    /// The room that the read was given, in bytes.
    offered: usize,
    /// The part of `offered` that was room in the unfinished frame, in bytes.
    direct: usize,
}

impl RawRead {
    /// Returns true if the read returned `WouldBlock`; a blocking read returns it after the
    /// socket's receive timeout.
    #[inline]
    pub(crate) fn would_block(&self) -> bool {
        self.result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Returns true if the read filled all of its room, so that a larger buffer may be worthwhile.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.result.as_ref().is_ok_and(|bytes| *bytes == self.offered)
    }
}

/// The reason why dispatching frames stopped.
#[derive(Debug)]
pub(crate) enum DispatchOutcome {
    /// All input is decoded; the decoder keeps the start of an unfinished frame.
    InputUsed,
    /// The service asked for an action, which has to be applied before the next frame.
    ActionsPending,
    /// A stride of the budget is used up: see whether it has time left.
    BudgetDue,
    /// The reply buffer is full (64 KiB, or 16 borrowed replies), or pending output is above high
    /// water. It is written before the next frame.
    FlushNeeded,
    /// The connection cannot go on.
    Failed(CloseReason),
}

impl<S: Stream> Connection<S> {
    /// Returns true if a read, or decoding deferred input, may make progress now.
    #[inline]
    pub(crate) fn wants_read(&self, limits: &Limits) -> bool {
        self.may_receive(limits)
            && (self.has_deferred_input() || (self.readiness.readable && self.close_reason().is_none()))
    }

    /// Returns true if a short read proves that the socket is empty.
    #[inline]
    fn short_read_means_empty(&self) -> bool {
        self.peer_end == PeerEnd::Open && self.stream.short_io_means_would_block()
    }

    /// Reads once, at most `max_bytes`, and notes the result. Does not read if reading is paused or
    /// over, if the socket is empty, or if earlier input is not decoded yet.
    #[inline]
    pub(crate) fn read(&mut self, buffer: &mut [u8], max_bytes: usize, worker: &mut WorkerContext) -> ReadOutcome {
        if !self.wants_read(&worker.limits) || self.has_deferred_input() {
            return ReadOutcome::WouldBlock;
        }
        let raw = self.read_raw(buffer, max_bytes, &mut worker.buffer_pool);
        self.finish_read(raw, worker)
    }

    /// Reads once, at most `max_bytes`. The room in the unfinished frame is filled first, then
    /// `buffer`. Pass the result to [`finish_read`](Self::finish_read). An engine with blocking
    /// reads updates the clock between the two calls.
    #[inline]
    pub(crate) fn read_raw(&mut self, buffer: &mut [u8], max_bytes: usize, buffer_pool: &mut BufferPool) -> RawRead {
        loop {
            let spare = self.decoder.spare_with(buffer_pool);
            let direct = spare.len().min(max_bytes);
            let spare = spare.get_mut(..direct).unwrap_or_default();
            let offered = buffer.len().min(max_bytes - direct) + direct;
            let buffer = buffer.get_mut(..offered - direct).unwrap_or_default();
            let result = if spare.is_empty() {
                self.stream.read(buffer)
            } else {
                self.stream.read_vectored(&mut [IoSliceMut::new(spare), IoSliceMut::new(buffer)])
            };
            if !result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::Interrupted) {
                return RawRead { result, offered, direct };
            }
        }
    }

    /// Notes the result of a read: readiness, time, counters.
    #[inline]
    pub(crate) fn finish_read(&mut self, raw: RawRead, worker: &mut WorkerContext) -> ReadOutcome {
        let RawRead { result, offered, direct } = raw;
        match result {
            Ok(0) => {
                self.readiness.readable = false;
                self.peer_end = PeerEnd::Read;
                ReadOutcome::Eof
            }
            Ok(bytes) => {
                if bytes < offered && self.short_read_means_empty() {
                    self.readiness.readable = false;
                }
                self.decoder.filled(bytes.min(direct));
                self.timestamps.bytes_received(worker.clock.timestamp);
                worker.stats.bytes_in += bytes as u64;
                if self.cold.is_some() {
                    self.note_drain_read(Some(bytes));
                }
                let more = self.readiness.readable;
                ReadOutcome::Bytes { total: bytes, buffered: bytes.saturating_sub(direct), more }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readiness.readable = false;
                self.note_drain_read(None);
                ReadOutcome::WouldBlock
            }
            Err(error) => ReadOutcome::Failed(io_failure(&error)),
        }
    }

    /// Dispatches the frames in `input` to the service, one by one. Stops for one of the reasons in
    /// [`DispatchOutcome`]. `input` is the undecoded end of `received`: the bytes of this read, or
    /// deferred bytes. Replies may borrow from `received`.
    #[inline]
    pub(crate) fn dispatch(
        &mut self,
        input: &mut &[u8],
        received: &[u8],
        id: ConnId,
        service: &mut GuardedService,
        worker: &mut WorkerContext,
    ) -> DispatchOutcome {
        let framing = self.framing();
        let mut completed = false;
        let outcome = loop {
            match self.decoder.decode_with(input, &mut worker.buffer_pool) {
                Ok(Some(payload)) => {
                    completed = true;
                    worker.stats.frames_in += 1;
                    let is_look_due = worker.budget.count(1);
                    let request = if worker.may_borrow_request { payload } else { &[] };
                    let source = ReplySource { received, request };
                    let pending_bytes = self.queue.pending_bytes();
                    service.on_frame(&mut worker.service_context(id, framing, source, pending_bytes), payload);
                    if worker.replies.borrows_request() {
                        // The decoder overwrites the request with the next frame, so the reply that
                        // is borrowed from it is written first.
                        let Self { stream, queue, readiness, timestamps, peer, phase, .. } = self;
                        let write_half = WriteHalf { stream, queue, readiness, timestamps, peer, phase: *phase };
                        if let Err(reason) = write_half.send_replies(source, worker) {
                            break DispatchOutcome::Failed(reason);
                        }
                    }
                    if let Some(error) = worker.replies.take_failure() {
                        break DispatchOutcome::Failed(CloseReason::UnsendableReply(error));
                    }
                    if !worker.pending_actions.actions.is_empty() {
                        break DispatchOutcome::ActionsPending;
                    }
                    if worker.replies.should_write() || self.is_above_high_water(&worker.limits) {
                        break DispatchOutcome::FlushNeeded;
                    }
                    if is_look_due {
                        break DispatchOutcome::BudgetDue;
                    }
                }
                Ok(None) => break DispatchOutcome::InputUsed,
                Err(error) => break DispatchOutcome::Failed(CloseReason::BadFrame(error)),
            }
        };
        self.timestamps.frames_decoded(completed, self.decoder.unfinished_bytes().is_some(), worker.clock.timestamp);
        outcome
    }

    /// Handles the peer's end of stream. A last line without its line feed is dispatched. The
    /// connection closes once its last requests are answered.
    ///
    /// # Errors
    /// [`CloseReason::TruncatedFrame`] if the stream ends inside a frame.
    pub(crate) fn finish_input(
        &mut self,
        id: ConnId,
        service: &mut GuardedService,
        worker: &mut WorkerContext,
    ) -> Result<(), CloseReason> {
        let framing = self.framing();
        let received_bytes = self.decoder.unfinished_bytes();
        let looks_like = self.decoder.looks_like();
        if let Some(payload) = self.decoder.finish() {
            worker.stats.frames_in += 1;
            let pending_bytes = self.queue.pending_bytes();
            service.on_frame(&mut worker.service_context(id, framing, ReplySource::NONE, pending_bytes), payload);
        } else if let Some(received_bytes) = received_bytes {
            return Err(CloseReason::TruncatedFrame { received_bytes, looks_like });
        }
        self.close_when_answered(CloseReason::PeerClosed);
        Ok(())
    }

    /// Returns true if the next frame may be dispatched before the replies are written.
    pub(crate) fn may_dispatch_next(&self, worker: &WorkerContext) -> bool {
        self.phase == Phase::Open && !self.is_above_high_water(&worker.limits) && !worker.replies.should_write()
    }

    /// Keeps a copy of undecoded input until frames may be dispatched again: the output is at low
    /// water, the connection has its next share of a turn and, on the threaded engine, the queued
    /// job has run. What is dispatched later is not copied again.
    pub(crate) fn defer_input(&mut self, input: &[u8]) {
        if !input.is_empty() {
            self.put_back_deferred(input.to_vec(), 0);
        }
    }

    /// Takes the input that [`defer_input`](Self::defer_input) kept, with the number of bytes that
    /// are decoded already.
    pub(crate) fn take_deferred(&mut self) -> Option<(Vec<u8>, usize)> {
        let cold = self.cold.as_mut()?;
        let deferred = cold.deferred.take();
        self.free_cold();
        deferred.map(|deferred| (deferred.bytes, deferred.used))
    }

    /// Puts back the input from [`take_deferred`](Self::take_deferred), of which `used` bytes are
    /// now decoded.
    pub(crate) fn put_back_deferred(&mut self, bytes: Vec<u8>, used: usize) {
        if used < bytes.len() {
            self.cold.get_or_insert_default().deferred = Some(DeferredInput { bytes, used });
        }
    }

    /// Reads and discards input. Unread input would turn the close into a reset, see the module's
    /// documentation in `close.rs`.
    pub(super) fn discard(&mut self, scratch: &mut [u8]) {
        let short_read_means_empty = self.short_read_means_empty();
        // A read into an empty buffer returns 0, which would look like the end of the stream.
        while self.readiness.readable && !scratch.is_empty() {
            match self.stream.read(scratch) {
                Ok(0) => self.phase = Phase::Closed,
                Ok(bytes) if short_read_means_empty && bytes < scratch.len() => {}
                // More input may follow: `readable` stays set, and the next step continues.
                Ok(_) => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => self.phase = Phase::Closed,
            }
            self.readiness.readable = false;
        }
    }
}
