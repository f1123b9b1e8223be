//! The state of one connection: its running command and its queued requests. Commands run one at a
//! time and are answered in order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::kill_handle::KillHandle;
use crate::service::{Peer, TimerId};

/// Requests of one connection that may wait for an earlier one.
const MAX_QUEUED: usize = 16;

/// Requests beyond [`MAX_QUEUED`] that each get a rejection, in order. A connection that sends more
/// is closed.
const MAX_REJECTED: usize = 64;

/// Bytes of all answers that wait for a `Start`, over all connections.
const MAX_PENDING_BYTES: usize = 64 << 20;

/// The state of one connection.
#[derive(Default)]
pub(super) struct ExecSession {
    /// The peer's address, for the log.
    pub(super) peer: String,
    pub(super) state: ExecState,
    queue: VecDeque<QueuedRequest>,
    /// The bytes of the queued requests.
    queued_bytes: usize,
    /// The connection has closed, and the session waits for the end of its command.
    pub(super) is_closed: bool,
}

/// The request that is being handled.
#[derive(Default)]
pub(super) enum ExecState {
    #[default]
    Idle,
    /// A command runs, or waits for a worker thread.
    Running { name: String, kill_handle: Arc<KillHandle> },
    /// An answer waits for the client's `Start`.
    AwaitingStart { answer: PendingAnswer, closes: bool, timer: TimerId },
}

/// A request that waits for an earlier one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum QueuedRequest {
    Message(Vec<u8>),
    /// The queue was full: the request gets a rejection in its turn.
    Rejected,
}

impl ExecSession {
    pub(super) fn new(peer: &Peer) -> Self {
        Self { peer: peer.to_string(), ..Self::default() }
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self.state, ExecState::Running { .. })
    }

    /// Queues a request, or its rejection if the queue is full. Returns false if the rejections are
    /// bounded, too, and their bound is reached.
    pub(super) fn add(&mut self, message: &[u8]) -> bool {
        let rejected = self.queue.iter().filter(|queue| **queue == QueuedRequest::Rejected).count();
        if self.queue.len() - rejected < MAX_QUEUED {
            self.queue.push_back(QueuedRequest::Message(message.to_vec()));
            self.queued_bytes += message.len();
        } else if rejected < MAX_REJECTED {
            self.queue.push_back(QueuedRequest::Rejected);
        } else {
            return false;
        }
        true
    }

    /// Removes and returns the oldest queued request.
    pub(super) fn next_request(&mut self) -> Option<QueuedRequest> {
        let request = self.queue.pop_front();
        if let Some(QueuedRequest::Message(message)) = &request {
            self.queued_bytes -= message.len();
        }
        request
    }

    /// Returns the bytes of the queued requests.
    pub(super) fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// Discards the queued requests.
    pub(super) fn clear_queue(&mut self) {
        self.queue.clear();
        self.queued_bytes = 0;
    }
}

/// An answer that waits for the client's `Start`.
pub(super) struct PendingAnswer {
    pub(super) bytes: Vec<u8>,
    /// The sum of the bytes of all pending answers.
    total_bytes: Arc<AtomicUsize>,
}

impl PendingAnswer {
    /// Adds the length of `bytes` to `total_bytes` until the value is dropped. Returns `None` if
    /// [`MAX_PENDING_BYTES`] is reached.
    pub(super) fn new(bytes: Vec<u8>, total_bytes: &Arc<AtomicUsize>) -> Option<Self> {
        let before = total_bytes.fetch_add(bytes.len(), Ordering::Relaxed);
        let answer = Self { bytes, total_bytes: Arc::clone(total_bytes) };
        (before < MAX_PENDING_BYTES).then_some(answer)
    }
}

impl Drop for PendingAnswer {
    fn drop(&mut self) {
        self.total_bytes.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queued_and_rejected_requests_are_bounded() {
        let mut session = ExecSession::default();
        for number in 0..MAX_QUEUED + MAX_REJECTED {
            assert!(session.add(&number.to_le_bytes()), "{number}");
        }
        assert!(!session.add(b"one too many"));
        assert_eq!(session.queued_bytes(), MAX_QUEUED * size_of::<usize>());
        for number in 0..MAX_QUEUED {
            assert_eq!(session.next_request(), Some(QueuedRequest::Message(number.to_le_bytes().to_vec())));
        }
        assert!(session.add(b"the queue has space again"));
        assert_eq!(session.queued_bytes(), b"the queue has space again".len());
        assert_eq!(session.next_request(), Some(QueuedRequest::Rejected), "in the order of arrival");
        session.clear_queue();
        assert_eq!(session.queued_bytes(), 0);
    }

    #[test]
    fn pending_answers_are_counted() {
        let total_bytes = Arc::default();
        let first = PendingAnswer::new(vec![0; MAX_PENDING_BYTES], &total_bytes);
        assert!(first.is_some());
        assert!(PendingAnswer::new(vec![0; 1], &total_bytes).is_none());
        drop(first);
        assert!(PendingAnswer::new(vec![0; 1], &total_bytes).is_some());
        assert_eq!(total_bytes.load(Ordering::Relaxed), 0);
    }
}
