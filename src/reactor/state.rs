//! The small parts of the loop's state. They know nothing of the loop itself.

use crate::connection::write_queue::DroppedBatch;
use crate::connection::{Connection, Readiness, Stream};
use crate::engine::limits::Limits;
use crate::engine::memory::MemoryPolicy;
use crate::engine::slab::reserved_key;
use crate::net::udp_batch::{ReceiveBatch, SendBatch};
use crate::service::time::Timestamp;
use crate::service::{ConnId, ServiceId};

use super::driver::Source;

/// The key of the drain deadline among the loop's deadlines.
pub(super) const DRAIN_KEY: usize = reserved_key(usize::MAX) - 1;

/// The key of the memory deadline: by then the buffered bytes must have fallen.
pub(super) const MEMORY_KEY: usize = reserved_key(usize::MAX) - 2;

/// The service and connection that a timer belongs to.
#[derive(Clone, Copy)]
pub(super) struct TimerOwner {
    pub(super) service: ServiceId,
    pub(super) conn: ConnId,
}

/// A listener, UDP socket or command pipe, and its remembered readiness.
pub(super) struct SourceState {
    pub(super) source: Source,
    pub(super) readiness: Readiness,
    /// The source is in the ready queue.
    pub(super) scheduled: bool,
    pub(super) accepting: AcceptState,
}

/// The state of a listener. Other sources stay in the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AcceptState {
    Accepting,
    /// An accept failed. Accepting is paused until a connection closes or the pause has passed.
    Paused,
    /// Accepting goes on after a pause. Until an accept succeeds, a failure is logged at debug
    /// level only.
    Retrying,
}

impl SourceState {
    pub(super) fn new(source: Source) -> Self {
        Self { source, readiness: Readiness::WRITABLE, scheduled: false, accepting: AcceptState::Accepting }
    }

    /// Notes that the source is in the ready queue. Returns true if it was not before.
    pub(super) fn mark_scheduled(&mut self) -> bool {
        !std::mem::replace(&mut self.scheduled, true)
    }
}

/// Datagrams on their way in and out.
pub(super) struct UdpState {
    /// The receive batch, shared by all sockets; `None` without a UDP socket.
    pub(super) incoming: Option<ReceiveBatch>,
    /// The datagrams that each source has to send, by source number.
    pub(super) outgoing: Vec<SendBatch>,
    /// The socket whose datagrams are being dispatched.
    pub(super) current: Option<usize>,
}

impl UdpState {
    pub(super) fn new(has_udp: bool, sources: usize) -> Self {
        let outgoing = (0..sources).map(|_| SendBatch::default()).collect();
        Self { incoming: has_udp.then(ReceiveBatch::new), outgoing, current: None }
    }
}

/// The connections that are paused because all together hold too many bytes.
pub(super) struct MemoryPressure {
    pub(super) policy: MemoryPolicy,
    /// The deadline for the buffered bytes to fall; `None` while they are within their bound.
    pub(super) grace_ends: Option<Timestamp>,
    pub(super) paused: Vec<usize>,
}

impl MemoryPressure {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { policy: MemoryPolicy::new(limits), grace_ends: None, paused: Vec::new() }
    }
}

/// Work to do at the turn's end.
#[derive(Default)]
pub(super) struct TurnEnd {
    /// Connections with output that other connections' callbacks have queued.
    pub(super) dirty: Vec<usize>,
    /// Services that requested `on_turn_end`, each once.
    pub(super) requested: Vec<ServiceId>,
    /// `on_shutdown` has to be called.
    pub(super) shutdown: bool,
    /// Dropped batches to report, with the key of the connection that they were for.
    pub(super) dropped: Vec<(usize, DroppedBatch)>,
    /// Services that requested `on_turn_end` for the next turn.
    pub(super) requested_next: Vec<ServiceId>,
    /// Dropped batches to report in the next turn.
    pub(super) dropped_next: Vec<(usize, DroppedBatch)>,
}

impl TurnEnd {
    /// Requests a call of `on_turn_end`.
    pub(super) fn request(&mut self, service: ServiceId) {
        if !self.requested.contains(&service) {
            self.requested.push(service);
        }
    }

    /// Takes the batches that the current connection's queue has just dropped.
    #[inline]
    pub(super) fn take_dropped(&mut self, key: usize, dropped: &mut Vec<DroppedBatch>) {
        if !dropped.is_empty() {
            self.dropped.extend(dropped.drain(..).map(|dropped| (key, dropped)));
        }
    }

    /// Adds the connection to those that are flushed at the turn's end.
    #[inline]
    pub(super) fn mark_dirty<S: Stream>(&mut self, key: usize, conn: &mut Connection<S>) {
        if !conn.set_dirty(true) {
            self.dirty.push(key);
        }
    }

    /// Returns true if the next turn has callbacks to make without any event.
    pub(super) fn has_work(&self) -> bool {
        !self.requested.is_empty() || !self.dropped.is_empty()
    }

    /// Makes the next turn's work the current work.
    pub(super) fn start_next_turn(&mut self) {
        for service in std::mem::take(&mut self.requested_next) {
            self.request(service);
        }
        self.dropped.append(&mut self.dropped_next);
    }
}
