//! Bytes owed to one peer. Bounded, in order, and cut only between frames.
//!
//! What is queued is a row of chunks, each one or more whole frames: a run of replies copied once, or a batch shared with
//! every other member. A chunk that the socket has begun to take can no longer be dropped, whatever the policy, because half
//! a frame is worse for its reader than none; and a batch is dropped whole, because its sender knows it by one name. An empty
//! queue owns no heap, and one shared batch alone needs none either.

mod waiting;

use std::io::{self, Write};
use std::sync::Arc;

use crate::engine::limits::{QueueBound, SlowConsumer};
use crate::frame::Batch;
use crate::frame::BatchId;

use waiting::{Chunk, Waiting};

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
    pub(crate) ticket: BatchId,
    pub(crate) frames: u32,
}

impl Missed {
    /// Notes what was dropped, if it has a name.
    pub(crate) fn note(list: &mut Vec<Self>, ticket: BatchId, frames: u32) {
        if ticket != BatchId::NONE {
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
            Owed::Several(waiting) => waiting.len(),
        };
        self.pending_bytes() + chunks * size_of::<Chunk>()
    }

    #[inline]
    pub(crate) fn pending_bytes(&self) -> usize {
        match &self.owed {
            Owed::Nothing => 0,
            Owed::One(batch) => batch.bytes().len(),
            Owed::Several(waiting) => waiting.bytes(),
        }
    }

    /// Queues the rest of frames whose first bytes the socket has just taken. Nothing is checked: they cannot be taken back.
    pub(crate) fn push_begun<'a>(&mut self, rest: impl Iterator<Item = &'a [u8]>, len: usize) {
        self.push(Chunk::begun(rest, len));
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
        let new = Missed { ticket: BatchId::NONE, frames };
        self.admit(new, bound, missed, |queue| queue.push_run(pieces, len, frames))
    }

    /// Queues frames that others share, if the limit allows. Batches that are dropped, these or others, are noted in `missed`.
    #[inline]
    pub(crate) fn offer_shared(&mut self, batch: &Arc<Batch>, bound: QueueBound, missed: &mut Vec<Missed>) -> Offered {
        let new = Missed { ticket: batch.id(), frames: batch.frames() };
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
                SlowConsumer::DropOldest => {
                    dropped = self.with_waiting(|it| it.drop_oldest(bound.max_bytes, missed));
                }
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

    /// Whether more is admitted only by the policy.
    #[inline]
    pub(crate) fn is_full(&self, cap: usize) -> bool {
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
        if chunk.is_empty() {
            return;
        }
        self.with_waiting(|waiting| waiting.push(chunk));
    }

    fn push_run<'a>(&mut self, pieces: impl Iterator<Item = &'a [u8]>, len: usize, frames: u32) {
        match &mut self.owed {
            Owed::Several(waiting) if waiting.has_room_in_run(len) => waiting.extend_run(pieces, len, frames),
            _ => self.push(Chunk::run(pieces, len, frames)),
        }
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
        self.with_waiting(|waiting| waiting.advance(bytes));
    }

    /// Does something with what waits, as a row.
    fn with_waiting<T>(&mut self, change: impl FnOnce(&mut Waiting) -> T) -> T {
        let mut waiting = match std::mem::take(&mut self.owed) {
            Owed::Nothing => Box::default(),
            Owed::One(batch) => Box::new(Waiting::from(Chunk::shared(batch))),
            Owed::Several(waiting) => waiting,
        };
        let changed = change(&mut waiting);
        if !waiting.is_empty() {
            self.owed = Owed::Several(waiting);
        }
        changed
    }
}

#[cfg(test)]
mod tests;
