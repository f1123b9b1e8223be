//! What waits for a socket that has no room, as a row of chunks.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::sync::Arc;

use super::Missed;
use crate::engine::limits::MAX_SHARED_FRAMES;
use crate::frame::Batch;
use crate::frame::BatchId;

/// Slices handed to one vectored write. Linux takes 1024 (`IOV_MAX`); the gain ends long before.
pub(super) const MAX_SLICES: usize = 64;

/// A run of replies grows up to this many bytes before the next begins.
pub(super) const RUN_BYTES: usize = 16 * 1024;

/// A row of chunks.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    chunks: VecDeque<Chunk>,
    /// Bytes of the first chunk that the socket has taken.
    taken: usize,
    /// Bytes that are still owed: all chunks, less `taken`.
    bytes: usize,
}

/// Whole frames that are dropped together, or not at all.
#[derive(Debug)]
pub(super) struct Chunk {
    bytes: Bytes,
    frames: u32,
    /// Its first bytes have gone out already, here or before it was queued.
    begun: bool,
}

/// A chunk's storage.
#[derive(Debug)]
enum Bytes {
    Own(Vec<u8>),
    Shared(Arc<Batch>),
}

impl Bytes {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(batch) => batch.bytes(),
        }
    }
}

impl Chunk {
    pub(super) fn shared(batch: Arc<Batch>) -> Self {
        Self { frames: batch.frames(), bytes: Bytes::Shared(batch), begun: false }
    }

    /// A copy of whole frames.
    pub(super) fn run<'a>(pieces: impl Iterator<Item = &'a [u8]>, len: usize, frames: u32) -> Self {
        Self { bytes: Bytes::Own(gather(pieces, len)), frames, begun: false }
    }

    /// A copy of what is left of frames whose first bytes have gone out.
    pub(super) fn begun<'a>(rest: impl Iterator<Item = &'a [u8]>, len: usize) -> Self {
        Self { bytes: Bytes::Own(gather(rest, len)), frames: 1, begun: true }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.as_slice().is_empty()
    }

    fn ticket(&self) -> BatchId {
        match &self.bytes {
            Bytes::Own(_) => BatchId::NONE,
            Bytes::Shared(batch) => batch.id(),
        }
    }
}

impl From<Chunk> for Waiting {
    fn from(only: Chunk) -> Self {
        let mut waiting = Self::default();
        waiting.push(only);
        waiting
    }
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.chunks.len()
    }

    /// Bytes that are still owed.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn push(&mut self, chunk: Chunk) {
        self.bytes += chunk.bytes.as_slice().len();
        self.chunks.push_back(chunk);
    }

    /// Whether the last chunk is a run of replies to which `len` bytes may still be added.
    pub(super) fn has_room_in_run(&self, len: usize) -> bool {
        let run = self.chunks.back().filter(|chunk| !chunk.begun);
        run.is_some_and(|chunk| matches!(&chunk.bytes, Bytes::Own(run) if run.len() + len <= RUN_BYTES))
    }

    /// Adds replies to the last chunk, which [has room](Self::has_room_in_run) for them.
    pub(super) fn extend_run<'a>(&mut self, pieces: impl Iterator<Item = &'a [u8]>, len: usize, frames: u32) {
        if let Some(Chunk { bytes: Bytes::Own(run), frames: held, .. }) = self.chunks.back_mut() {
            pieces.for_each(|piece| run.extend_from_slice(piece));
            *held += frames;
            self.bytes += len;
        }
    }

    /// Drops chunks that no byte of has gone out, oldest first, until less than `cap` bytes wait. Returns the frames dropped.
    pub(super) fn drop_oldest(&mut self, cap: usize, missed: &mut Vec<Missed>) -> u32 {
        let mut dropped = 0;
        while self.is_full(cap) {
            let Some(oldest) = self.chunks.iter().position(|chunk| !chunk.begun) else { break };
            let Some(chunk) = self.chunks.remove(oldest) else { break };
            self.bytes -= chunk.bytes.as_slice().len();
            dropped += chunk.frames;
            Missed::note(missed, chunk.ticket(), chunk.frames);
        }
        dropped
    }

    pub(super) fn is_full(&self, cap: usize) -> bool {
        self.bytes >= cap || self.chunks.len() >= MAX_SHARED_FRAMES
    }

    fn first_slices_bytes(&self) -> usize {
        let first: usize = self.chunks.iter().take(MAX_SLICES).map(|chunk| chunk.bytes.as_slice().len()).sum();
        first - self.taken
    }

    /// One write, and what it was offered.
    pub(super) fn write_to(&self, socket: &mut impl Write) -> (usize, io::Result<usize>) {
        let offered = self.bytes.min(self.first_slices_bytes());
        let result = match self.chunks.front() {
            Some(only) if self.chunks.len() == 1 => {
                socket.write(only.bytes.as_slice().get(self.taken..).unwrap_or_default())
            }
            _ => self.write_vectored_to(socket),
        };
        (offered, result)
    }

    /// Not inlined: its slices would be on the stack of every thread that ever writes anything.
    #[inline(never)]
    fn write_vectored_to(&self, socket: &mut impl Write) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let mut skip = self.taken;
        let mut count = 0;
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            *slice = IoSlice::new(chunk.bytes.as_slice().get(skip..).unwrap_or_default());
            skip = 0;
            count += 1;
        }
        socket.write_vectored(slices.get(..count).unwrap_or_default())
    }

    /// The socket has taken so many bytes.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.taken += bytes;
        while let Some(first) = self.chunks.front_mut() {
            let len = first.bytes.as_slice().len();
            if self.taken < len {
                first.begun |= self.taken > 0;
                break;
            }
            self.taken -= len;
            self.chunks.pop_front();
        }
    }
}

fn gather<'a>(pieces: impl Iterator<Item = &'a [u8]>, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len);
    pieces.for_each(|piece| bytes.extend_from_slice(piece));
    bytes
}

#[cfg(test)]
impl Waiting {
    /// Bytes of the chunks that can no longer be dropped, and how many of them have gone out.
    pub(super) fn begun_bytes(&self) -> (usize, usize) {
        let begun = self.chunks.iter().take_while(|chunk| chunk.begun);
        (begun.map(|chunk| chunk.bytes.as_slice().len()).sum(), self.taken)
    }
}
