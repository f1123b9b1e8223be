//! The connection of a shared service, as other threads reach it: they may send to it or close it.
//!
//! Output goes into the connection's inbox, under a lock that is never held during a system call.
//! The sender holds the service's lock meanwhile, so all members of a room receive messages in the
//! order of the callbacks. After releasing the service's lock, the sender delivers: it moves the
//! inbox into the write queue and writes. If another thread is at work on the connection, that
//! thread delivers instead.

use super::inbox::{Inbox, InboxItem};
use super::lifecycle::lock;
use super::socket::ConnStream;
use crate::connection::write_queue::DroppedBatch;
use crate::connection::{Connection, Phase, WorkerContext};
use crate::engine::limits::{Limits, SlowConsumer};
use crate::frame::{Batch, Framing};
use crate::net::Notifier;
use crate::service::{CloseReason, OutputBacklog, Peer};
use crate::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A connection that other threads reach.
pub(super) struct SharedConnection {
    conn: Mutex<Connection<ConnStream>>,
    inbox: Mutex<Inbox>,
    /// Wakes the connection's own thread.
    pub(super) notifier: Notifier,
    pub(super) framing: Framing,
    peer: Peer,
}

/// The connection, as its thread uses it.
pub(super) enum ConnectionAccess {
    Private(Box<Connection<ConnStream>>),
    Shared(Arc<SharedConnection>),
}

impl SharedConnection {
    pub(super) fn new(conn: Connection<ConnStream>, notifier: Notifier) -> Self {
        let (framing, peer) = (conn.framing(), *conn.peer());
        Self { conn: Mutex::new(conn), inbox: Mutex::default(), notifier, framing, peer }
    }

    /// Locks the connection, for its own thread. Other threads hold the lock only for a nonblocking
    /// write.
    pub(super) fn conn(&self) -> MutexGuard<'_, Connection<ConnStream>> {
        self.conn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a batch to the inbox. Returns true if the caller has to [deliver](Self::deliver) it.
    /// Returns false if the inbox was not empty, because another thread is about to deliver.
    /// `group` is the number of the caller's group of callbacks, in which it holds the service's
    /// lock.
    #[must_use]
    pub(super) fn enqueue(&self, batch: &Arc<Batch>, group: u64, limits: &Limits) -> bool {
        let mut inbox = lock(&self.inbox);
        if inbox.is_closed {
            return false;
        }
        let first = !inbox.has_items();
        inbox.begin_group(group);
        // The write queue has the same bound. Without one here, the inbox of a thread that waits
        // long for its service would grow without limit.
        if inbox.is_full(limits) {
            match limits.queue_bound(&self.peer).policy {
                SlowConsumer::Disconnect => inbox.close(CloseReason::SlowConsumer(OutputBacklog::default())),
                SlowConsumer::DropNewest => inbox.drop_batch(batch),
                SlowConsumer::DropOldest => {
                    while inbox.is_full(limits) && inbox.drop_oldest() {}
                    inbox.push(batch);
                }
            }
        } else {
            inbox.push(batch);
        }
        first
    }

    /// Adds a close to the inbox. Returns the same as [`enqueue`](Self::enqueue).
    #[must_use]
    pub(super) fn enqueue_close(&self, reason: CloseReason) -> bool {
        let mut inbox = lock(&self.inbox);
        let first = !inbox.has_items();
        inbox.close(reason);
        first
    }

    /// Notes the bytes that the service keeps for the connection. Returns the same as
    /// [`enqueue`](Self::enqueue).
    #[must_use]
    pub(super) fn enqueue_hold(&self, bytes: usize) -> bool {
        let mut inbox = lock(&self.inbox);
        let first = !inbox.has_items();
        inbox.held = Some(bytes);
        first
    }

    /// Returns true if the connection's own thread has work from other threads.
    pub(super) fn has_pending(&self) -> bool {
        let inbox = lock(&self.inbox);
        inbox.has_items() || !inbox.dropped_batches.is_empty()
    }

    /// Removes and returns the dropped batches to report.
    pub(super) fn take_dropped(&self) -> Vec<DroppedBatch> {
        std::mem::take(&mut lock(&self.inbox).dropped_batches)
    }

    /// Stores dropped batches for the connection's own thread to report.
    pub(super) fn note_dropped(&self, dropped: &mut Vec<DroppedBatch>) {
        let mut inbox = lock(&self.inbox);
        dropped.drain(..).for_each(|dropped| inbox.note_dropped(dropped));
    }

    /// Moves the inbox into the write queue. Returns an error with the reason if the connection has
    /// to close.
    pub(super) fn process_inbox(
        &self,
        conn: &mut Connection<ConnStream>,
        context: &mut WorkerContext,
    ) -> Result<(), CloseReason> {
        let mut inbox = lock(&self.inbox);
        if !inbox.has_items() && inbox.dropped_frames == 0 {
            return Ok(());
        }
        if let Some(bytes) = inbox.held.take() {
            conn.hold(bytes);
            // Wakes the connection's own thread, which may read again.
            self.notifier.notify();
        }
        let items = inbox.take_items();
        context.stats.frames_dropped += std::mem::take(&mut inbox.dropped_frames);
        drop(inbox);
        // The context may hold dropped batches of the calling thread's own connection.
        let others = std::mem::take(&mut context.dropped);
        let taken = items.into_iter().try_for_each(|item| match item {
            // A closing connection receives no output of other connections.
            InboxItem::Frames(_) if conn.phase() != Phase::Open => Ok(()),
            InboxItem::Frames(batch) => {
                // The inbox may hold more than the limit. A peer that reads has room for what was
                // queued before.
                if conn.is_queue_full(&context.limits) {
                    conn.flush_full(context)?;
                }
                conn.enqueue_shared(&batch, context)
            }
            // The inbox was full. The connection knows what the peer has not taken.
            InboxItem::Close(CloseReason::SlowConsumer(_)) => {
                Err(CloseReason::SlowConsumer(conn.output_backlog(context.clock.timestamp)))
            }
            InboxItem::Close(reason) => Err(reason),
        });
        if !context.dropped.is_empty() {
            self.note_dropped(&mut context.dropped);
        }
        context.dropped = others;
        taken
    }

    /// Moves the inbox into the write queue and writes as far as the socket takes it. The
    /// connection's own thread writes the rest. `recount` counts the bytes that the connection
    /// holds.
    pub(super) fn deliver(&self, context: &mut WorkerContext, recount: impl Fn(&mut Connection<ConnStream>)) {
        loop {
            // The thread that holds the lock looks into the inbox after releasing it.
            let Ok(mut conn) = self.conn.try_lock() else { return };
            let taken = self.process_inbox(&mut conn, context);
            let flushed = taken.and_then(|()| conn.flush(context));
            let left_over = conn.pending_bytes() > 0 && conn.mark_scheduled();
            recount(&mut conn);
            drop(conn);
            if let Err(reason) = flushed {
                // The service's `on_close` must run on the connection's own thread.
                lock(&self.inbox).put_back(reason);
                self.notifier.notify();
                return;
            }
            let inbox = lock(&self.inbox);
            if left_over || !inbox.dropped_batches.is_empty() {
                self.notifier.notify();
            }
            if !inbox.has_items() {
                return;
            }
        }
    }
}

impl ConnectionAccess {
    /// Calls `work` with the connection, locked if other threads reach it.
    #[inline]
    pub(super) fn with<R>(&mut self, work: impl FnOnce(&mut Connection<ConnStream>) -> R) -> R {
        match self {
            Self::Private(conn) => work(conn),
            Self::Shared(shared_conn) => work(&mut shared_conn.conn()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::time::Instant;

    use super::*;
    use crate::engine::limits::{MAX_DROPPED_REPORTS, MAX_SHARED_FRAMES};
    use crate::frame::BatchId;
    use crate::net::SocketStream;
    use crate::service::ServiceId;
    use crate::service::time::Timestamp;

    fn shared_conn(limits: &Limits, peer: Peer) -> SharedConnection {
        let instant = Instant::now();
        let socket = Arc::new(SocketStream::from(UnixStream::pair().unwrap().0));
        let (stream, now) = (ConnStream::new(socket), Timestamp::new(instant, instant));
        SharedConnection::new(
            Connection::new(stream, peer, ServiceId(0), Framing::Raw, limits, now),
            Notifier::new().unwrap(),
        )
    }

    /// Enqueues a batch in a group of its own.
    fn enqueue(shared_conn: &SharedConnection, batch: u64, bytes: &str, limits: &Limits) {
        let _ = shared_conn.enqueue(&Batch::encoded(bytes, 2, BatchId(batch)), batch + 1, limits);
    }

    /// Returns the inbox's contents and the ids of the dropped batches.
    fn contents(shared_conn: &SharedConnection) -> (String, Vec<u64>) {
        let inbox = lock(&shared_conn.inbox);
        let items = inbox.items.iter().map(|item| match item {
            InboxItem::Frames(batch) => String::from_utf8(batch.bytes().to_vec()).unwrap(),
            InboxItem::Close(reason) => format!("({reason})"),
        });
        (items.collect(), inbox.dropped_batches.iter().map(|dropped| dropped.batch.0).collect())
    }

    #[test]
    fn empty_batches_are_bounded_by_their_number() {
        let policies = [SlowConsumer::Disconnect, SlowConsumer::DropNewest, SlowConsumer::DropOldest];
        for (slow_consumer, peer) in policies.into_iter().flat_map(|it| [(it, Peer::Unix), (it, Peer::Console)]) {
            let limits = Limits { slow_consumer, ..Limits::default() };
            let shared_conn = shared_conn(&limits, peer);
            let empty = Batch::encoded(b"", 1, BatchId::NONE);
            (1..=2 * MAX_SHARED_FRAMES as u64).for_each(|group| _ = shared_conn.enqueue(&empty, group, &limits));
            let inbox = lock(&shared_conn.inbox);
            assert!(inbox.items.len() <= MAX_SHARED_FRAMES + 1);
            assert_eq!(inbox.is_closed, slow_consumer == SlowConsumer::Disconnect && peer != Peer::Console);
            assert_eq!(inbox.dropped_frames, if inbox.is_closed { 0 } else { MAX_SHARED_FRAMES as u64 });
        }
    }

    #[test]
    fn a_full_inbox_drops_whole_batches_and_keeps_their_ids() {
        for (slow_consumer, kept, dropped_ids, dropped_frames) in [
            (SlowConsumer::DropNewest, "[0][1]", vec![2, 3, 4], 6),
            // Batch 0 has no id: its report is for the log.
            (SlowConsumer::DropOldest, "[4 is large]", vec![0, 1, 2, 3], 8),
        ] {
            let limits = Limits { slow_consumer, max_write_buffer_bytes: 6, ..Limits::default() };
            let shared_conn = shared_conn(&limits, Peer::Unix);
            for (batch, bytes) in [(0, "[0]"), (1, "[1]"), (2, "[2]"), (3, "[3 is larger]"), (4, "[4 is large]")] {
                enqueue(&shared_conn, batch, bytes, &limits);
            }
            let reports = dropped_ids.len();
            assert_eq!(contents(&shared_conn), (kept.to_owned(), dropped_ids));
            assert_eq!(
                lock(&shared_conn.inbox).dropped_frames,
                dropped_frames,
                "all frames are counted, also of batches without an id"
            );
            assert!(shared_conn.has_pending());
            assert_eq!(shared_conn.take_dropped().len(), reports);
            assert_eq!(shared_conn.take_dropped(), []);
        }
    }

    #[test]
    fn output_of_one_group_is_not_cut() {
        let limits = Limits { max_write_buffer_bytes: 4, ..Limits::default() };
        let shared_conn = shared_conn(&limits, Peer::Unix);
        let batch = Batch::encoded("[a]", 1, BatchId::NONE);
        (0..100).for_each(|_| _ = shared_conn.enqueue(&batch, 1, &limits));
        assert_eq!(contents(&shared_conn).0, "[a]".repeat(100));
        let _ = shared_conn.enqueue(&batch, 2, &limits);
        assert!(lock(&shared_conn.inbox).is_closed, "the next group finds a full inbox");
    }

    #[test]
    fn dropped_batches_over_the_limit_are_counted_without_ids() {
        let limits = Limits { slow_consumer: SlowConsumer::DropNewest, max_write_buffer_bytes: 1, ..Limits::default() };
        let shared_conn = shared_conn(&limits, Peer::Unix);
        let last = MAX_DROPPED_REPORTS as u64 + 100;
        (0..=last).for_each(|batch| enqueue(&shared_conn, batch, "x", &limits));
        let mut dropped = shared_conn.take_dropped();
        assert_eq!(dropped.pop(), Some(DroppedBatch { batch: BatchId::NONE, frames: 2 * 100 }));
        let named = (1..=MAX_DROPPED_REPORTS as u64).map(|batch| DroppedBatch { batch: BatchId(batch), frames: 2 });
        assert_eq!(dropped, named.collect::<Vec<_>>());
    }
}
