//! What others may do to the connection of a shared service: say something to it, or end it.
//!
//! What is said is put into the connection's post, under a lock that is never held during a system call. That happens while the
//! service's lock is held, so every member of a room gets what callbacks said in the order of the callbacks. Afterwards,
//! without the service's lock, whoever has posted delivers: it sees to it that the post is emptied into the write queue and
//! written. If the connection's own thread, or another deliverer, is at work on it, that one does.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::memory::Budget;
use super::socket::Plug;
use super::thread_stats::Tally;
use crate::connection::write_queue::DroppedBatch;
use crate::connection::{Connection, Phase, WorkerContext};
use crate::engine::limits::{Limits, MAX_DROPPED_REPORTS, MAX_SHARED_FRAMES, SlowConsumer};
use crate::frame::BatchId;
use crate::frame::{Batch, Framing};
use crate::net::Notifier;
use crate::service::CloseReason;
use crate::service::Peer;

/// A connection that others reach.
pub(super) struct Line {
    conn: Mutex<Connection<Plug>>,
    post: Mutex<Post>,
    /// Wakes the connection's own thread.
    pub(super) bell: Notifier,
    pub(super) framing: Framing,
    peer: Peer,
}

/// What others have said and nobody has queued yet.
#[derive(Default)]
struct Post {
    letters: VecDeque<Letter>,
    bytes: usize,
    dropped: u64,
    /// Batches that were dropped, here or on their way to the socket, and that its service is to be told of.
    missed: Vec<DroppedBatch>,
    /// The last letter ends the connection: nothing that follows would be read.
    closed: bool,
}

enum Letter {
    /// Encoded as the connection is framed.
    Frames(Arc<Batch>),
    Close(CloseReason),
}

impl Line {
    pub(super) fn new(conn: Connection<Plug>, bell: Notifier) -> Self {
        let (framing, peer) = (conn.framing(), *conn.peer());
        Self { conn: Mutex::new(conn), post: Mutex::default(), bell, framing, peer }
    }

    /// The connection, for its own thread. Nobody else keeps it for longer than a write that does not wait.
    pub(super) fn conn(&self) -> MutexGuard<'_, Connection<Plug>> {
        self.conn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says something to it. Whether it has to be [delivered](Self::deliver) by who said it: where something was waiting
    /// already, somebody is about to.
    #[must_use]
    pub(super) fn say(&self, batch: &Arc<Batch>, limits: &Limits) -> bool {
        let mut post = self.post();
        if post.closed {
            return false;
        }
        let first = post.letters.is_empty();
        // The queue has this bound, too. Without one here, who waits long for the service would be owed without end.
        if post.is_full(limits) {
            match limits.queue_bound(&self.peer).policy {
                SlowConsumer::Disconnect => {
                    let pending_bytes = post.bytes;
                    post.close(CloseReason::SlowConsumer { pending_bytes });
                }
                SlowConsumer::DropNewest => post.drop_batch(batch),
                SlowConsumer::DropOldest => {
                    while post.is_full(limits) && post.drop_oldest() {}
                    post.push(batch);
                }
            }
        } else {
            post.push(batch);
        }
        first
    }

    /// Ends it. As [`say`](Self::say).
    #[must_use]
    pub(super) fn close(&self, reason: CloseReason) -> bool {
        let mut post = self.post();
        let first = post.letters.is_empty();
        post.close(reason);
        first
    }

    /// Whether its own thread has something to do for others.
    pub(super) fn has_post(&self) -> bool {
        let post = self.post();
        !post.letters.is_empty() || !post.missed.is_empty()
    }

    /// Batches that it has missed since this was last asked.
    pub(super) fn take_missed(&self) -> Vec<DroppedBatch> {
        std::mem::take(&mut self.post().missed)
    }

    /// Keeps what it has just missed for its own thread to tell.
    pub(super) fn note_missed(&self, missed: &mut Vec<DroppedBatch>) {
        let mut post = self.post();
        missed.drain(..).for_each(|missed| post.note_missed(missed));
    }

    /// Queues what others have said; gives the reason when the connection has to end.
    pub(super) fn take_post(&self, conn: &mut Connection<Plug>, desk: &mut WorkerContext) -> Result<(), CloseReason> {
        let mut post = self.post();
        if post.letters.is_empty() && post.dropped == 0 {
            return Ok(());
        }
        let letters = std::mem::take(&mut post.letters);
        desk.stats.frames_dropped += std::mem::take(&mut post.dropped);
        post.bytes = 0;
        drop(post);
        // Whoever does this may have missed something itself.
        let others = std::mem::take(&mut desk.dropped);
        let taken = letters.into_iter().try_for_each(|letter| match letter {
            // Who ends is not spoken to by others.
            Letter::Frames(_) if conn.phase() != Phase::Open => Ok(()),
            Letter::Frames(batch) => conn.enqueue_shared(&batch, desk),
            Letter::Close(reason) => Err(reason),
        });
        if !desk.dropped.is_empty() {
            self.note_missed(&mut desk.dropped);
        }
        desk.dropped = others;
        taken
    }

    /// Writes what has been said, as far as the socket takes it; what is left over is its own thread's affair.
    pub(super) fn deliver(&self, desk: &mut WorkerContext, budget: &Budget, tally: &Tally) {
        loop {
            // Who has it looks into the post when it has let go of it.
            let Ok(mut conn) = self.conn.try_lock() else { return };
            let taken = self.take_post(&mut conn, desk);
            let flushed = taken.and_then(|()| conn.flush(desk.clock.moment, &mut desk.stats));
            let left_over = conn.pending_bytes() > 0 && conn.mark_scheduled();
            budget.count(&mut conn, tally);
            drop(conn);
            if let Err(reason) = flushed {
                // Its service hears of it, so its own thread has to see to it.
                self.post().put_back(reason);
                self.bell.notify();
                return;
            }
            let post = self.post();
            if left_over || !post.missed.is_empty() {
                self.bell.notify();
            }
            if post.letters.is_empty() {
                return;
            }
        }
    }

    /// Nothing panics with the lock held.
    fn post(&self) -> MutexGuard<'_, Post> {
        self.post.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Post {
    fn is_full(&self, limits: &Limits) -> bool {
        self.bytes >= limits.max_write_buffer_bytes || self.letters.len() >= MAX_SHARED_FRAMES
    }

    fn push(&mut self, batch: &Arc<Batch>) {
        self.bytes += batch.bytes().len();
        self.letters.push_back(Letter::Frames(Arc::clone(batch)));
    }

    /// Whether there was one.
    fn drop_oldest(&mut self) -> bool {
        let Some(Letter::Frames(batch)) = self.letters.pop_front() else { return false };
        self.bytes -= batch.bytes().len();
        self.drop_batch(&batch);
        true
    }

    fn drop_batch(&mut self, batch: &Batch) {
        let frames = batch.frames();
        self.dropped += u64::from(frames);
        if batch.id() != BatchId::NONE {
            self.note_missed(DroppedBatch { batch: batch.id(), frames });
        }
    }

    /// Its thread may be at work for long. Of what is then too much to be kept one by one, the frames are counted.
    fn note_missed(&mut self, missed: DroppedBatch) {
        if let Some(rest) = self.missed.get_mut(MAX_DROPPED_REPORTS) {
            rest.frames = rest.frames.saturating_add(missed.frames);
        } else {
            let has_room = self.missed.len() < MAX_DROPPED_REPORTS;
            self.missed.push(if has_room { missed } else { DroppedBatch { batch: BatchId::NONE, ..missed } });
        }
    }

    /// For the connection's own thread, which heeds no other letter after it.
    fn put_back(&mut self, reason: CloseReason) {
        self.closed = true;
        self.letters.push_front(Letter::Close(reason));
    }

    fn close(&mut self, reason: CloseReason) {
        if !self.closed {
            self.closed = true;
            self.letters.push_back(Letter::Close(reason));
        }
    }
}

#[cfg(test)]
mod tests;
