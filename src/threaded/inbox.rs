//! The inbox of a connection: output, a close, or bytes kept for it, from other threads.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::connection::write_queue::DroppedBatch;
use crate::engine::limits::{Limits, MAX_DROPPED_REPORTS, MAX_SHARED_FRAMES};
use crate::frame::{Batch, BatchId};
use crate::service::CloseReason;

/// Work from other threads that the connection has not taken yet.
#[derive(Default)]
pub(super) struct Inbox {
    pub(super) items: VecDeque<InboxItem>,
    bytes: usize,
    /// The last group of callbacks that has added items, and what the inbox held before it. The
    /// bound applies to that: nothing is delivered while a group holds its service's lock, so the
    /// output of one group proves nothing about the peer.
    group: u64,
    earlier_items: usize,
    earlier_bytes: usize,
    pub(super) dropped_frames: u64,
    /// Dropped batches to report to the service, dropped here or in the write queue.
    pub(super) dropped_batches: Vec<DroppedBatch>,
    /// True if the last item closes the connection. Nothing is added after it.
    pub(super) is_closed: bool,
    /// The bytes that the service now keeps for the connection, if another thread has changed them.
    pub(super) held: Option<usize>,
}

/// One item of an inbox.
pub(super) enum InboxItem {
    /// Encoded with the connection's framing.
    Frames(Arc<Batch>),
    Close(CloseReason),
}

impl Inbox {
    /// Returns true if there is anything to deliver.
    pub(super) fn has_items(&self) -> bool {
        !self.items.is_empty() || self.held.is_some()
    }

    /// Notes which group of callbacks adds the next items.
    pub(super) fn begin_group(&mut self, group: u64) {
        if self.group != group {
            self.group = group;
            (self.earlier_items, self.earlier_bytes) = (self.items.len(), self.bytes);
        }
    }

    /// Removes and returns the items.
    pub(super) fn take_items(&mut self) -> VecDeque<InboxItem> {
        (self.bytes, self.earlier_items, self.earlier_bytes) = (0, 0, 0);
        std::mem::take(&mut self.items)
    }

    pub(super) fn is_full(&self, limits: &Limits) -> bool {
        self.earlier_bytes >= limits.max_write_buffer_bytes || self.earlier_items >= MAX_SHARED_FRAMES
    }

    pub(super) fn push(&mut self, batch: &Arc<Batch>) {
        self.bytes += batch.bytes().len();
        self.items.push_back(InboxItem::Frames(Arc::clone(batch)));
    }

    /// Drops the oldest batch. Returns false if there was none.
    pub(super) fn drop_oldest(&mut self) -> bool {
        let Some(InboxItem::Frames(batch)) = self.items.pop_front() else { return false };
        let bytes = batch.bytes().len();
        self.bytes -= bytes;
        self.earlier_bytes = self.earlier_bytes.saturating_sub(bytes);
        self.earlier_items = self.earlier_items.saturating_sub(1);
        self.drop_batch(&batch);
        true
    }

    pub(super) fn drop_batch(&mut self, batch: &Batch) {
        let frames = batch.frames();
        self.dropped_frames += u64::from(frames);
        if batch.id() == BatchId::NONE {
            DroppedBatch::note_unnamed(&mut self.dropped_batches);
        } else {
            self.note_dropped(DroppedBatch { batch: batch.id(), frames });
        }
    }

    /// Adds a dropped batch to report. The connection's thread may be busy for long, so beyond
    /// [`MAX_DROPPED_REPORTS`] batches only their frames are counted, without ids.
    pub(super) fn note_dropped(&mut self, dropped: DroppedBatch) {
        if let Some(rest) = self.dropped_batches.get_mut(MAX_DROPPED_REPORTS) {
            rest.frames = rest.frames.saturating_add(dropped.frames);
        } else {
            let has_room = self.dropped_batches.len() < MAX_DROPPED_REPORTS;
            self.dropped_batches.push(if has_room {
                dropped
            } else {
                DroppedBatch { batch: BatchId::NONE, ..dropped }
            });
        }
    }

    /// Puts a close at the front, for the connection's own thread. It handles no item after it.
    pub(super) fn put_back(&mut self, reason: CloseReason) {
        self.is_closed = true;
        self.items.push_front(InboxItem::Close(reason));
    }

    pub(super) fn close(&mut self, reason: CloseReason) {
        if !self.is_closed {
            self.is_closed = true;
            self.items.push_back(InboxItem::Close(reason));
        }
    }
}
