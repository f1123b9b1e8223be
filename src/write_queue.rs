//! Bytes owed to one peer. Bounded, in order, and cut only between frames.
//!
//! What is queued is a row of chunks, each one or more whole frames: a run of replies copied once, or a broadcast shared with
//! every other member. A chunk that the socket has begun to take can no longer be dropped, whatever the policy, because half
//! a frame is worse for its reader than none. An empty queue owns no heap.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};

use crate::limits::{Limits, MAX_SHARED_FRAMES, SlowConsumer};
use crate::payload::Payload;

/// Slices handed to one vectored write. Linux takes 1024 (`IOV_MAX`); the gain ends long before.
const MAX_SLICES: usize = 64;

/// A run of replies grows up to this many bytes before the next begins.
const RUN_BYTES: usize = 16 * 1024;

/// Pending output of one connection.
#[derive(Debug, Default)]
pub(crate) struct WriteQueue {
    waiting: Option<Box<Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    chunks: VecDeque<Chunk>,
    /// Bytes of the first chunk that the socket has taken.
    taken: usize,
    /// Bytes that are still owed: all chunks, less `taken`.
    bytes: usize,
}

#[derive(Debug)]
struct Chunk {
    bytes: Bytes,
    frames: u32,
    /// Its first bytes have gone out already, here or before it was queued.
    begun: bool,
}

/// A chunk's storage.
#[derive(Debug)]
enum Bytes {
    Own(Vec<u8>),
    Shared(Payload),
}

impl Bytes {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// What became of frames offered to a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    /// They wait.
    Queued,
    /// They wait or do not, and so many frames, old or new, were dropped.
    Dropped(u32),
    /// The queue is full and its policy is to disconnect; nothing was queued.
    Full,
}

/// What a write achieved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wrote {
    /// Bytes that the socket took.
    pub(crate) bytes: usize,
    /// The socket took less than it was offered: it has no room until it says so.
    pub(crate) blocked: bool,
}

impl WriteQueue {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_none()
    }

    /// Memory that it holds: the bytes owed, and what each chunk costs beyond its bytes. For tiny frames that is most of it.
    #[inline]
    pub(crate) fn held_bytes(&self) -> usize {
        self.waiting.as_ref().map_or(0, |waiting| waiting.bytes + waiting.chunks.len() * size_of::<Chunk>())
    }

    #[inline]
    pub(crate) fn pending_bytes(&self) -> usize {
        self.waiting.as_ref().map_or(0, |waiting| waiting.bytes)
    }

    /// Queues the rest of frames whose first bytes the socket has just taken. Nothing is checked: they cannot be taken back.
    pub(crate) fn push_begun<'a>(&mut self, rest: impl Iterator<Item = &'a [u8]>, len: usize) {
        self.push(Chunk { bytes: Bytes::Own(gather(rest, len)), frames: 1, begun: true });
    }

    /// Queues a copy of `frames` whole frames, `len` bytes in `pieces`, if the limit allows.
    pub(crate) fn offer<'a>(
        &mut self,
        pieces: impl Iterator<Item = &'a [u8]>,
        len: usize,
        frames: u32,
        limits: &Limits,
        policy: SlowConsumer,
    ) -> Offered {
        self.admit(frames, limits, policy, |queue| queue.push_run(pieces, len, frames))
    }

    /// Queues one encoded frame that others share, if the limit allows.
    pub(crate) fn offer_shared(&mut self, frame: &Payload, limits: &Limits, policy: SlowConsumer) -> Offered {
        let chunk = Chunk { bytes: Bytes::Shared(frame.clone()), frames: 1, begun: false };
        self.admit(1, limits, policy, |queue| queue.push(chunk))
    }

    /// The limit is held against what waits already, so that one frame of any size passes when there is room at all.
    fn admit(&mut self, frames: u32, limits: &Limits, policy: SlowConsumer, push: impl FnOnce(&mut Self)) -> Offered {
        let mut dropped = 0;
        if self.is_full(limits.max_write_buffer_bytes) {
            match policy {
                SlowConsumer::Disconnect => return Offered::Full,
                SlowConsumer::DropNewest => return Offered::Dropped(frames),
                SlowConsumer::DropOldest => dropped = self.drop_oldest(limits.max_write_buffer_bytes),
            }
            if self.is_full(limits.max_write_buffer_bytes) {
                // What waits has been begun: it cannot be dropped, so the new frames are.
                return Offered::Dropped(dropped + frames);
            }
        }
        push(self);
        if dropped == 0 { Offered::Queued } else { Offered::Dropped(dropped) }
    }

    fn is_full(&self, cap: usize) -> bool {
        self.waiting.as_ref().is_some_and(|waiting| waiting.is_full(cap))
    }

    fn push(&mut self, chunk: Chunk) {
        // A raw frame may have no bytes. To write nothing is to be told "0 bytes", which is what a socket that broke says.
        if chunk.bytes.as_slice().is_empty() {
            return;
        }
        let waiting = self.waiting.get_or_insert_default();
        waiting.bytes += chunk.bytes.as_slice().len();
        waiting.chunks.push_back(chunk);
    }

    fn push_run<'a>(&mut self, pieces: impl Iterator<Item = &'a [u8]>, len: usize, frames: u32) {
        if let Some(waiting) = self.waiting.as_deref_mut()
            && let Some(Chunk { bytes: Bytes::Own(run), frames: held, begun: false }) = waiting.chunks.back_mut()
            && run.len() + len <= RUN_BYTES
        {
            pieces.for_each(|piece| run.extend_from_slice(piece));
            *held += frames;
            waiting.bytes += len;
            return;
        }
        self.push(Chunk { bytes: Bytes::Own(gather(pieces, len)), frames, begun: false });
    }

    /// Drops chunks that no byte of has gone out, oldest first, until less than `cap` bytes wait. Returns the frames dropped.
    fn drop_oldest(&mut self, cap: usize) -> u32 {
        let Some(waiting) = self.waiting.as_deref_mut() else { return 0 };
        let mut dropped = 0;
        while waiting.is_full(cap) {
            let Some(oldest) = waiting.chunks.iter().position(|chunk| !chunk.begun) else { break };
            let Some(chunk) = waiting.chunks.remove(oldest) else { break };
            waiting.bytes -= chunk.bytes.as_slice().len();
            dropped += chunk.frames;
        }
        if waiting.chunks.is_empty() {
            self.waiting = None;
        }
        dropped
    }

    /// Writes until nothing waits or the socket is full.
    ///
    /// # Errors
    /// What the socket said, except that it would block or was interrupted.
    pub(crate) fn write_to(&mut self, socket: &mut impl Write, short_is_full: bool) -> io::Result<Wrote> {
        let mut wrote = Wrote::default();
        while let Some(waiting) = self.waiting.as_deref_mut() {
            let offered = waiting.bytes.min(waiting.first_slices_bytes());
            let result = match waiting.chunks.front() {
                Some(only) if waiting.chunks.len() == 1 => {
                    socket.write(only.bytes.as_slice().get(waiting.taken..).unwrap_or_default())
                }
                _ => waiting.write_vectored_to(socket),
            };
            match result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => {
                    wrote.bytes += bytes;
                    waiting.advance(bytes);
                    if waiting.chunks.is_empty() {
                        self.waiting = None;
                    } else if bytes < offered && short_is_full {
                        wrote.blocked = true;
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wrote.blocked = true;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(wrote)
    }
}

fn gather<'a>(pieces: impl Iterator<Item = &'a [u8]>, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len);
    pieces.for_each(|piece| bytes.extend_from_slice(piece));
    bytes
}

impl Waiting {
    fn is_full(&self, cap: usize) -> bool {
        self.bytes >= cap || self.chunks.len() >= MAX_SHARED_FRAMES
    }

    fn first_slices_bytes(&self) -> usize {
        let first: usize = self.chunks.iter().take(MAX_SLICES).map(|chunk| chunk.bytes.as_slice().len()).sum();
        first - self.taken
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

    fn advance(&mut self, bytes: usize) {
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

#[cfg(test)]
mod tests;
