//! Bytes owed to one peer. Bounded, in order, and cut only between frames.
//!
//! What is queued is a row of chunks, each one or more whole frames: a run of replies copied once, or a batch shared with
//! every other member. A chunk that the socket has begun to take can no longer be dropped, whatever the policy, because half
//! a frame is worse for its reader than none; and a batch is dropped whole, because its sender knows it by one name. An empty
//! queue owns no heap, and one shared batch alone needs none either.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::sync::Arc;

use crate::frame::Batch;
use crate::limits::{MAX_SHARED_FRAMES, QueueBound, SlowConsumer};
use crate::payload::Ticket;

/// Slices handed to one vectored write. Linux takes 1024 (`IOV_MAX`); the gain ends long before.
const MAX_SLICES: usize = 64;

/// A run of replies grows up to this many bytes before the next begins.
const RUN_BYTES: usize = 16 * 1024;

/// Pending output of one connection.
#[derive(Debug, Default)]
pub(crate) struct WriteQueue {
    owed: Owed,
}

#[derive(Debug, Default)]
enum Owed {
    #[default]
    Nothing,
    /// A batch of which nothing has gone out. This is what a broadcast leaves with nearly every member, and it is gone again at
    /// the turn's end: it must cost no allocation.
    One(Arc<Batch>),
    Several(Box<Waiting>),
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
    fn shared(batch: Arc<Batch>) -> Self {
        Self { frames: batch.frames(), bytes: Bytes::Shared(batch), begun: false }
    }

    fn ticket(&self) -> Ticket {
        match &self.bytes {
            Bytes::Own(_) => Ticket::NONE,
            Bytes::Shared(batch) => batch.ticket(),
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

/// A batch that was dropped, whose sender wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Missed {
    pub(crate) ticket: Ticket,
    pub(crate) frames: u32,
}

impl Missed {
    /// Notes what was dropped, if it has a name.
    pub(crate) fn note(list: &mut Vec<Self>, ticket: Ticket, frames: u32) {
        if ticket != Ticket::NONE {
            list.push(Self { ticket, frames });
        }
    }
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
        matches!(self.owed, Owed::Nothing)
    }

    /// Memory that it holds: the bytes owed, and what each chunk costs beyond its bytes. For tiny frames that is most of it.
    #[inline]
    pub(crate) fn held_bytes(&self) -> usize {
        let chunks = match &self.owed {
            Owed::Nothing => 0,
            Owed::One(_) => 1,
            Owed::Several(waiting) => waiting.chunks.len(),
        };
        self.pending_bytes() + chunks * size_of::<Chunk>()
    }

    #[inline]
    pub(crate) fn pending_bytes(&self) -> usize {
        match &self.owed {
            Owed::Nothing => 0,
            Owed::One(batch) => batch.bytes().len(),
            Owed::Several(waiting) => waiting.bytes,
        }
    }

    /// Queues the rest of frames whose first bytes the socket has just taken. Nothing is checked: they cannot be taken back.
    pub(crate) fn push_begun<'a>(&mut self, rest: impl Iterator<Item = &'a [u8]>, len: usize) {
        self.push(Chunk { bytes: Bytes::Own(gather(rest, len)), frames: 1, begun: true });
    }

    /// Queues a copy of `frames` whole frames, `len` bytes in `pieces`, if the limit allows. Batches that have to go for that are
    /// noted in `missed`.
    pub(crate) fn offer<'a>(
        &mut self,
        pieces: impl Iterator<Item = &'a [u8]>,
        len: usize,
        frames: u32,
        bound: QueueBound,
        missed: &mut Vec<Missed>,
    ) -> Offered {
        let new = Missed { ticket: Ticket::NONE, frames };
        self.admit(new, bound, missed, |queue| queue.push_run(pieces, len, frames))
    }

    /// Queues frames that others share, if the limit allows. Batches that are dropped, these or others, are noted in `missed`.
    #[inline]
    pub(crate) fn offer_shared(&mut self, batch: &Arc<Batch>, bound: QueueBound, missed: &mut Vec<Missed>) -> Offered {
        let new = Missed { ticket: batch.ticket(), frames: batch.frames() };
        self.admit(new, bound, missed, |queue| queue.push_shared(batch))
    }

    /// The limit is held against what waits already, so that one frame of any size passes when there is room at all.
    #[inline]
    fn admit(
        &mut self,
        new: Missed,
        bound: QueueBound,
        missed: &mut Vec<Missed>,
        push: impl FnOnce(&mut Self),
    ) -> Offered {
        let mut dropped = 0;
        if self.is_full(bound.max_bytes) {
            match bound.policy {
                SlowConsumer::Disconnect => return Offered::Full,
                SlowConsumer::DropNewest => {}
                SlowConsumer::DropOldest => dropped = self.drop_oldest(bound.max_bytes, missed),
            }
            if self.is_full(bound.max_bytes) {
                // Either what waits has been begun and cannot be dropped, or the new is what is to be dropped.
                Missed::note(missed, new.ticket, new.frames);
                return Offered::Dropped(dropped + new.frames);
            }
        }
        push(self);
        if dropped == 0 { Offered::Queued } else { Offered::Dropped(dropped) }
    }

    #[inline]
    fn is_full(&self, cap: usize) -> bool {
        match &self.owed {
            Owed::Nothing => false,
            Owed::One(batch) => batch.bytes().len() >= cap,
            Owed::Several(waiting) => waiting.is_full(cap),
        }
    }

    #[inline]
    fn push_shared(&mut self, batch: &Arc<Batch>) {
        if self.is_empty() && !batch.bytes().is_empty() {
            self.owed = Owed::One(Arc::clone(batch));
        } else {
            self.push(Chunk::shared(Arc::clone(batch)));
        }
    }

    fn push(&mut self, chunk: Chunk) {
        // A raw frame may have no bytes. To write nothing is to be told "0 bytes", which is what a socket that broke says.
        if chunk.bytes.as_slice().is_empty() {
            return;
        }
        let mut waiting = self.take_waiting();
        waiting.push(chunk);
        self.owed = Owed::Several(waiting);
    }

    fn push_run<'a>(&mut self, pieces: impl Iterator<Item = &'a [u8]>, len: usize, frames: u32) {
        if let Owed::Several(waiting) = &mut self.owed
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
    fn drop_oldest(&mut self, cap: usize, missed: &mut Vec<Missed>) -> u32 {
        let mut waiting = self.take_waiting();
        let mut dropped = 0;
        while waiting.is_full(cap) {
            let Some(oldest) = waiting.chunks.iter().position(|chunk| !chunk.begun) else { break };
            let Some(chunk) = waiting.chunks.remove(oldest) else { break };
            waiting.bytes -= chunk.bytes.as_slice().len();
            dropped += chunk.frames;
            Missed::note(missed, chunk.ticket(), chunk.frames);
        }
        self.put(waiting);
        dropped
    }

    /// Writes until nothing waits or the socket is full.
    ///
    /// # Errors
    /// What the socket said, except that it would block or was interrupted.
    pub(crate) fn write_to(&mut self, socket: &mut impl Write, short_is_full: bool) -> io::Result<Wrote> {
        let mut wrote = Wrote::default();
        loop {
            let (offered, result) = match &self.owed {
                Owed::Nothing => break,
                Owed::One(batch) => (batch.bytes().len(), socket.write(batch.bytes())),
                Owed::Several(waiting) => waiting.write_to(socket),
            };
            match result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => {
                    wrote.bytes += bytes;
                    self.advance(bytes);
                    if !self.is_empty() && bytes < offered && short_is_full {
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

    #[inline]
    fn advance(&mut self, bytes: usize) {
        if matches!(&self.owed, Owed::One(batch) if batch.bytes().len() == bytes) {
            self.owed = Owed::Nothing;
            return;
        }
        let mut waiting = self.take_waiting();
        waiting.advance(bytes);
        self.put(waiting);
    }

    /// What waits, as a row; to be [put](Self::put) back.
    fn take_waiting(&mut self) -> Box<Waiting> {
        match std::mem::take(&mut self.owed) {
            Owed::Nothing => Box::default(),
            Owed::One(batch) => {
                let mut waiting = Box::<Waiting>::default();
                waiting.push(Chunk::shared(batch));
                waiting
            }
            Owed::Several(waiting) => waiting,
        }
    }

    fn put(&mut self, waiting: Box<Waiting>) {
        if !waiting.chunks.is_empty() {
            self.owed = Owed::Several(waiting);
        }
    }
}

fn gather<'a>(pieces: impl Iterator<Item = &'a [u8]>, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len);
    pieces.for_each(|piece| bytes.extend_from_slice(piece));
    bytes
}

impl Waiting {
    fn push(&mut self, chunk: Chunk) {
        self.bytes += chunk.bytes.as_slice().len();
        self.chunks.push_back(chunk);
    }

    fn is_full(&self, cap: usize) -> bool {
        self.bytes >= cap || self.chunks.len() >= MAX_SHARED_FRAMES
    }

    fn first_slices_bytes(&self) -> usize {
        let first: usize = self.chunks.iter().take(MAX_SLICES).map(|chunk| chunk.bytes.as_slice().len()).sum();
        first - self.taken
    }

    /// One write, and what it was offered.
    fn write_to(&self, socket: &mut impl Write) -> (usize, io::Result<usize>) {
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
