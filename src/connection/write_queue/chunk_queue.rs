//! Chunks in the order in which they are written.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::sync::Arc;

use super::dropped::DroppedBatch;
use super::watch::Watch;
use crate::engine::limits::{MAX_SHARED_FRAMES, QueueBound, SlowConsumer};
use crate::frame::Batch;
use crate::frame::BatchId;

/// Slices in one vectored write. Linux takes 1024 (`IOV_MAX`), but beyond 64 the gain is small.
pub(super) const MAX_SLICES: usize = 64;

/// Bytes up to which copied replies are appended to the last chunk.
pub(super) const COPY_CHUNK_BYTES: usize = 16 * 1024;

/// A queue of chunks, the first of which may be partly written.
#[derive(Debug, Default)]
pub(super) struct ChunkQueue {
    chunks: VecDeque<Chunk>,
    /// Bytes of the first chunk that the socket has taken.
    sent: usize,
    /// Pending bytes: the sum over all chunks, less `sent`.
    bytes: usize,
    /// The memory of the copied chunks.
    copied_bytes: usize,
    /// The bytes of the shared chunks.
    shared_bytes: usize,
    /// Bytes that the socket has taken since the queue was last empty.
    pub(super) taken: u64,
    /// The peer's progress, since it was first looked at. It ends when the queue is empty.
    pub(super) watch: Option<Watch>,
}

/// Whole frames that are dropped together or not at all.
#[derive(Debug)]
pub(super) struct Chunk {
    bytes: ChunkBytes,
    frames: u32,
    /// True if a byte of its first frame is sent, from here or before the chunk was queued.
    started: bool,
}

/// The storage of a chunk.
#[derive(Debug)]
enum ChunkBytes {
    Owned(Vec<u8>),
    Shared(Arc<Batch>),
}

impl ChunkBytes {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Shared(batch) => batch.bytes(),
        }
    }

    /// Returns the memory that the bytes take; of a batch, as if it were not shared.
    fn memory(&self) -> usize {
        match self {
            Self::Owned(bytes) => bytes.capacity(),
            Self::Shared(batch) => batch.bytes().len(),
        }
    }
}

impl Chunk {
    /// Returns a chunk that shares a batch.
    pub(super) fn shared(batch: Arc<Batch>) -> Self {
        Self { frames: batch.frames(), bytes: ChunkBytes::Shared(batch), started: false }
    }

    /// Returns a chunk with a copy of whole frames.
    pub(super) fn copied<'a>(pieces: impl Iterator<Item = &'a [u8]>, len: usize, frames: u32) -> Self {
        Self { bytes: ChunkBytes::Owned(concat(pieces, len)), frames, started: false }
    }

    /// Returns a chunk with a copy of the rest of frames whose first bytes are sent.
    pub(super) fn rest<'a>(rest: impl Iterator<Item = &'a [u8]>, len: usize) -> Self {
        Self { bytes: ChunkBytes::Owned(concat(rest, len)), frames: 1, started: true }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.as_slice().is_empty()
    }

    fn is_reply(&self) -> bool {
        matches!(self.bytes, ChunkBytes::Owned(_))
    }

    fn batch_id(&self) -> BatchId {
        match &self.bytes {
            ChunkBytes::Owned(_) => BatchId::NONE,
            ChunkBytes::Shared(batch) => batch.id(),
        }
    }
}

impl From<Chunk> for ChunkQueue {
    fn from(only: Chunk) -> Self {
        let mut chunks = Self::default();
        chunks.push(only);
        chunks
    }
}

impl ChunkQueue {
    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Returns the memory that the queue has to itself.
    pub(super) fn own_bytes(&self) -> usize {
        size_of::<Self>() + self.chunks.capacity() * size_of::<Chunk>() + self.copied_bytes
    }

    /// Returns the bytes of the batches that it shares with other queues.
    pub(super) fn shared_bytes(&self) -> usize {
        self.shared_bytes
    }

    /// Returns the pending bytes.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn push(&mut self, chunk: Chunk) {
        self.bytes += chunk.bytes.as_slice().len();
        *self.memory_of(&chunk.bytes) += chunk.bytes.memory();
        self.chunks.push_back(chunk);
    }

    /// Returns the counter of the memory that such chunks take.
    fn memory_of(&mut self, bytes: &ChunkBytes) -> &mut usize {
        match bytes {
            ChunkBytes::Owned(_) => &mut self.copied_bytes,
            ChunkBytes::Shared(_) => &mut self.shared_bytes,
        }
    }

    /// Returns true if the last chunk is copied, unsent, and has room for `len` more bytes.
    pub(super) fn can_append(&self, len: usize) -> bool {
        let last = self.chunks.back().filter(|chunk| !chunk.started);
        last.is_some_and(
            |chunk| matches!(&chunk.bytes, ChunkBytes::Owned(bytes) if bytes.len() + len <= COPY_CHUNK_BYTES),
        )
    }

    /// Appends a copy of whole frames to the last chunk, which [has room](Self::can_append) for
    /// them.
    pub(super) fn append<'a>(&mut self, pieces: impl Iterator<Item = &'a [u8]>, len: usize, frames: u32) {
        if let Some(Chunk { bytes: ChunkBytes::Owned(bytes), frames: held, .. }) = self.chunks.back_mut() {
            self.copied_bytes -= bytes.capacity();
            pieces.for_each(|piece| bytes.extend_from_slice(piece));
            self.copied_bytes += bytes.capacity();
            *held += frames;
            self.bytes += len;
        }
    }

    /// Drops batches of which no byte is sent until the queue is below its limit: the newest first
    /// or the oldest first, as the policy is. Returns the number of frames dropped.
    pub(super) fn make_room(&mut self, bound: QueueBound, dropped: &mut Vec<DroppedBatch>) -> u32 {
        let may_drop = |chunk: &Chunk| !chunk.started && (bound.may_drop_replies || !chunk.is_reply());
        let mut frames = 0;
        while self.is_full(bound.max_bytes) {
            let at = match bound.policy {
                SlowConsumer::DropNewest => self.chunks.iter().rposition(may_drop),
                _ => self.chunks.iter().position(may_drop),
            };
            let Some(chunk) = at.and_then(|at| self.chunks.remove(at)) else { break };
            self.bytes -= chunk.bytes.as_slice().len();
            *self.memory_of(&chunk.bytes) -= chunk.bytes.memory();
            frames += chunk.frames;
            DroppedBatch::report(dropped, chunk.batch_id(), chunk.frames);
        }
        frames
    }

    /// Drops the chunks of which no byte is sent.
    pub(super) fn keep_started(&mut self) {
        self.chunks.retain(|chunk| chunk.started);
        self.bytes = self.chunks.iter().map(|chunk| chunk.bytes.as_slice().len()).sum::<usize>() - self.sent;
    }

    /// Returns true if the replies alone have reached the limit.
    pub(super) fn is_full_of_replies(&self, max_bytes: usize) -> bool {
        let replies = self.chunks.iter().filter(|chunk| chunk.is_reply());
        let bytes: usize = replies.map(|chunk| chunk.bytes.as_slice().len()).sum();
        let sent = self.chunks.front().filter(|chunk| chunk.is_reply()).map_or(0, |_| self.sent);
        bytes - sent >= max_bytes || self.chunks.len() >= MAX_SHARED_FRAMES
    }

    /// Returns true if the queue has reached its limit, in bytes or in chunks.
    pub(super) fn is_full(&self, max_bytes: usize) -> bool {
        self.bytes >= max_bytes || self.chunks.len() >= MAX_SHARED_FRAMES
    }

    /// Returns the pending bytes of the chunks that fit into one vectored write.
    fn first_slices_bytes(&self) -> usize {
        let first: usize = self.chunks.iter().take(MAX_SLICES).map(|chunk| chunk.bytes.as_slice().len()).sum();
        first - self.sent
    }

    /// Writes once. Returns the number of bytes offered to the socket, and the result.
    pub(super) fn write_to(&self, socket: &mut impl Write) -> (usize, io::Result<usize>) {
        let offered = self.bytes.min(self.first_slices_bytes());
        let result = match self.chunks.front() {
            Some(only) if self.chunks.len() == 1 => {
                socket.write(only.bytes.as_slice().get(self.sent..).unwrap_or_default())
            }
            _ => self.write_vectored_to(socket),
        };
        (offered, result)
    }

    /// Writes the first chunks with one vectored write. Not inlined, because its slices would then
    /// take stack in every thread that ever writes.
    #[inline(never)]
    fn write_vectored_to(&self, socket: &mut impl Write) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let mut skip = self.sent;
        let mut count = 0;
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            *slice = IoSlice::new(chunk.bytes.as_slice().get(skip..).unwrap_or_default());
            skip = 0;
            count += 1;
        }
        socket.write_vectored(slices.get(..count).unwrap_or_default())
    }

    /// Removes `bytes` bytes that the socket took from the front.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.sent += bytes;
        self.taken += bytes as u64;
        while let Some(first) = self.chunks.front_mut() {
            let len = first.bytes.as_slice().len();
            if self.sent < len {
                first.started |= self.sent > 0;
                break;
            }
            self.sent -= len;
            if let Some(first) = self.chunks.pop_front() {
                *self.memory_of(&first.bytes) -= first.bytes.memory();
            }
        }
    }
}

fn concat<'a>(pieces: impl Iterator<Item = &'a [u8]>, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len);
    pieces.for_each(|piece| bytes.extend_from_slice(piece));
    bytes
}
