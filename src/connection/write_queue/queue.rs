//! The queue of one connection, and the limit on it.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use super::chunk_queue::{Chunk, ChunkQueue};
use super::dropped::DroppedBatch;
use super::watch::Watch;
use crate::engine::limits::{QueueBound, SlowConsumer};
use crate::frame::Batch;
use crate::frame::BatchId;
use crate::service::reply_buffer::FLUSH_BYTES;
use crate::service::time::Timestamp;

/// Output that waits for one peer.
#[derive(Debug, Default)]
pub(crate) struct WriteQueue {
    pub(super) pending: Pending,
}

/// No, one or many pending chunks.
#[derive(Debug, Default)]
pub(super) enum Pending {
    #[default]
    Empty,
    /// One shared batch of which no byte is sent. A broadcast leaves this with nearly every member,
    /// and it is gone at the turn's end, so it must cost no allocation.
    One(Arc<Batch>),
    Many(Box<ChunkQueue>),
}

/// Frames to queue.
#[derive(Clone, Copy, Debug)]
struct NewFrames {
    /// The id for the report, in case that they are dropped.
    batch: BatchId,
    frames: u32,
    is_reply: bool,
}

/// The result of queueing frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EnqueueResult {
    /// The frames are queued.
    Queued,
    /// The queue was full: this many frames, queued earlier or new, were dropped.
    Dropped(u32),
    /// Nothing was queued: the queue is full and the policy is to disconnect, or replies alone
    /// fill it.
    Full,
}

/// The result of a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WriteOutcome {
    /// Bytes that the socket took.
    pub(crate) bytes: usize,
    /// True if the socket is full: an event reports when it has room again.
    pub(crate) blocked: bool,
}

impl WriteQueue {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self.pending, Pending::Empty)
    }

    /// Returns the memory that the queue has to itself: copied bytes, by their capacity, and the
    /// cost of each chunk beside its bytes, which is the larger part for tiny frames.
    #[inline]
    pub(crate) fn own_bytes(&self) -> usize {
        match &self.pending {
            Pending::Empty | Pending::One(_) => 0,
            Pending::Many(chunks) => chunks.own_bytes(),
        }
    }

    /// Returns the bytes of the batches that it shares with other queues.
    #[inline]
    pub(crate) fn shared_bytes(&self) -> usize {
        match &self.pending {
            Pending::Empty => 0,
            Pending::One(batch) => batch.bytes().len(),
            Pending::Many(chunks) => chunks.shared_bytes(),
        }
    }

    #[inline]
    pub(crate) fn pending_bytes(&self) -> usize {
        match &self.pending {
            Pending::Empty => 0,
            Pending::One(batch) => batch.bytes().len(),
            Pending::Many(chunks) => chunks.bytes(),
        }
    }

    /// Queues the rest of frames whose first bytes the socket has just taken. The limit does not
    /// apply, because the bytes already sent cannot be taken back.
    pub(crate) fn push_rest<'a>(&mut self, rest: impl Iterator<Item = &'a [u8]>, len: usize) {
        self.push(Chunk::rest(rest, len));
    }

    /// Queues a copy of `frames` whole frames, `len` bytes in `pieces`, if the limit allows. These
    /// are replies, which no policy drops: batches make room for them, and are added to `dropped`.
    /// The replies of one step may be queued in parts, so replies have 64 KiB more
    /// ([`FLUSH_BYTES`]).
    pub(crate) fn enqueue_copy<'a>(
        &mut self,
        pieces: impl Iterator<Item = &'a [u8]>,
        len: usize,
        frames: u32,
        bound: QueueBound,
        dropped: &mut Vec<DroppedBatch>,
    ) -> EnqueueResult {
        let new = NewFrames { batch: BatchId::NONE, frames, is_reply: true };
        self.enqueue(new, bound, dropped, |queue| queue.push_copy(pieces, len, frames))
    }

    /// Queues a batch that is shared with other connections, if the limit allows. Batches that are
    /// dropped, this one or others, are added to `dropped`.
    #[inline]
    pub(crate) fn enqueue_shared(
        &mut self,
        batch: &Arc<Batch>,
        bound: QueueBound,
        dropped: &mut Vec<DroppedBatch>,
    ) -> EnqueueResult {
        let new = NewFrames { batch: batch.id(), frames: batch.frames(), is_reply: false };
        self.enqueue(new, bound, dropped, |queue| queue.push_shared(batch))
    }

    /// Applies the limit, then calls `push`. Only what is queued already counts against the limit,
    /// so that a frame of any size passes when there is room at all.
    #[inline]
    fn enqueue(
        &mut self,
        new: NewFrames,
        bound: QueueBound,
        dropped: &mut Vec<DroppedBatch>,
        push: impl FnOnce(&mut Self),
    ) -> EnqueueResult {
        let mut dropped_frames = 0;
        if self.is_full(bound.max_bytes) {
            let is_kept = new.is_reply && !bound.may_drop_replies;
            let max_reply_bytes = bound.max_bytes.saturating_add(FLUSH_BYTES);
            match bound.policy {
                SlowConsumer::Disconnect if is_kept && !self.is_full(max_reply_bytes) => {}
                SlowConsumer::Disconnect => return EnqueueResult::Full,
                SlowConsumer::DropNewest if !is_kept => {}
                _ => dropped_frames = self.with_chunks(|chunks| chunks.make_room(bound, dropped)),
            }
            if is_kept {
                if self.with_chunks(|chunks| chunks.is_full_of_replies(max_reply_bytes)) {
                    return EnqueueResult::Full;
                }
            } else if self.is_full(bound.max_bytes) {
                // The policy drops the new frames, or what is queued has to stay: it is partly
                // sent, or replies.
                DroppedBatch::report(dropped, new.batch, new.frames);
                return EnqueueResult::Dropped(dropped_frames + new.frames);
            }
        }
        push(self);
        if dropped_frames == 0 { EnqueueResult::Queued } else { EnqueueResult::Dropped(dropped_frames) }
    }

    /// Returns true if the queue has reached its limit, so that the policy decides about new
    /// frames.
    #[inline]
    pub(crate) fn is_full(&self, max_bytes: usize) -> bool {
        match &self.pending {
            Pending::Empty => false,
            Pending::One(batch) => batch.bytes().len() >= max_bytes,
            Pending::Many(chunks) => chunks.is_full(max_bytes),
        }
    }

    #[inline]
    fn push_shared(&mut self, batch: &Arc<Batch>) {
        if self.is_empty() && !batch.bytes().is_empty() {
            self.pending = Pending::One(Arc::clone(batch));
        } else {
            self.push(Chunk::shared(Arc::clone(batch)));
        }
    }

    fn push(&mut self, chunk: Chunk) {
        // A raw frame may be empty. Writing it would return 0, which a broken socket returns too.
        if chunk.is_empty() {
            return;
        }
        self.with_chunks(|chunks| chunks.push(chunk));
    }

    fn push_copy<'a>(&mut self, pieces: impl Iterator<Item = &'a [u8]>, len: usize, frames: u32) {
        match &mut self.pending {
            Pending::Many(chunks) if chunks.can_append(len) => chunks.append(pieces, len, frames),
            _ => self.push(Chunk::copied(pieces, len, frames)),
        }
    }

    /// Writes until the queue is empty or the socket is full. With `short_write_means_full`, a
    /// short write proves the socket full; otherwise only `WouldBlock` does.
    ///
    /// # Errors
    /// The error of the write, except `WouldBlock` and `Interrupted`.
    pub(crate) fn write_to(
        &mut self,
        socket: &mut impl Write,
        short_write_means_full: bool,
    ) -> io::Result<WriteOutcome> {
        let mut outcome = WriteOutcome::default();
        loop {
            let (offered, result) = match &self.pending {
                Pending::Empty => break,
                Pending::One(batch) => (batch.bytes().len(), socket.write(batch.bytes())),
                Pending::Many(chunks) => chunks.write_to(socket),
            };
            match result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => {
                    outcome.bytes += bytes;
                    self.advance(bytes);
                    if !self.is_empty() && bytes < offered && short_write_means_full {
                        outcome.blocked = true;
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    outcome.blocked = true;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(outcome)
    }

    /// Returns what is known of the peer's progress, if it was looked at since the queue was last
    /// empty.
    #[inline]
    pub(crate) fn watch(&self) -> Option<&Watch> {
        match &self.pending {
            Pending::Many(chunks) => chunks.watch.as_ref(),
            Pending::Empty | Pending::One(_) => None,
        }
    }

    /// Notes a look at the peer, which was due `interval` after the last. `received` counts the
    /// bytes that it has received; without it, those that the socket has taken count. Returns the
    /// watch, and true if `received` may have grown since the last look.
    ///
    /// The queue must not be empty.
    pub(crate) fn look(
        &mut self,
        received: Option<u64>,
        interval: Duration,
        now: Timestamp,
    ) -> (Option<&mut Watch>, bool) {
        let has_progress = self.with_chunks(|chunks| {
            let count = received.unwrap_or(chunks.taken);
            if let Some(watch) = &mut chunks.watch {
                return watch.look(count, interval, now);
            }
            // What the peer has received before the first look is not known.
            chunks.watch = Some(Watch::new(count, now));
            true
        }) && received.is_some();
        let watch = match &mut self.pending {
            Pending::Many(chunks) => chunks.watch.as_mut(),
            Pending::Empty | Pending::One(_) => None,
        };
        (watch, has_progress)
    }

    /// Drops all output behind the frames that are partly sent.
    pub(crate) fn keep_started(&mut self) {
        self.with_chunks(ChunkQueue::keep_started);
    }

    /// Removes `bytes` bytes that the socket took from the front.
    #[inline]
    fn advance(&mut self, bytes: usize) {
        if matches!(&self.pending, Pending::One(batch) if batch.bytes().len() == bytes) {
            self.pending = Pending::Empty;
            return;
        }
        self.with_chunks(|chunks| chunks.advance(bytes));
    }

    /// Calls `change` with the pending output as a chunk queue, and frees the queue if it is then
    /// empty.
    fn with_chunks<T>(&mut self, change: impl FnOnce(&mut ChunkQueue) -> T) -> T {
        let mut chunks = match std::mem::take(&mut self.pending) {
            Pending::Empty => Box::default(),
            Pending::One(batch) => Box::new(ChunkQueue::from(Chunk::shared(batch))),
            Pending::Many(chunks) => chunks,
        };
        let changed = change(&mut chunks);
        if !chunks.is_empty() {
            self.pending = Pending::Many(chunks);
        }
        changed
    }
}
