//! The small parts of the loop's state. They know nothing of the loop itself.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::connection::write_queue::DroppedBatch;
use crate::connection::{Connection, Readiness, Stream};
use crate::engine::clients::Clients;
use crate::engine::datagram_limit::DatagramLimit;
use crate::engine::handle::HandleReceiver;
use crate::engine::jobs::WorkerPools;
use crate::engine::limits::Limits;
use crate::engine::memory::{ClosedHolders, MemoryPolicy};
use crate::engine::setup::RegisteredService;
use crate::frame::BatchMemory;
use crate::net::udp_batch::{ReceiveBatch, SendBatch};
use crate::service::context::TurnTime;
use crate::service::time::Timestamp;
use crate::service::{Peer, ServiceId};

use super::driver::{PollCoverage, Source, SourceKind};

/// The loop's clock. It is given each reading of the system's clock.
pub(super) struct LoopClock {
    start: Instant,
}

impl LoopClock {
    pub(super) fn new(start: Instant) -> Self {
        Self { start }
    }

    pub(super) fn at(&self, now: Instant) -> TurnTime {
        TurnTime { now, timestamp: Timestamp::new(self.start, now) }
    }

    /// Returns the time from `now` to `deadline`.
    pub(super) fn until(&self, deadline: Timestamp, now: Instant) -> Duration {
        deadline.saturating_since(Timestamp::new(self.start, now))
    }
}

/// The ready events that no poll has reported yet: none, or possibly some.
#[derive(Default)]
pub(super) struct EventBacklog {
    /// Polls in a row that may have left events unreported.
    partial_polls: usize,
}

impl EventBacklog {
    /// Notes a poll; `None` for an interrupted one.
    pub(super) fn note_poll(&mut self, coverage: Option<PollCoverage>, connections: usize) {
        self.partial_polls = match coverage {
            // Each poll reports other events first, so after this many polls each connection has
            // been reported, even if every poll is full.
            Some(PollCoverage::Partial(events)) if self.partial_polls <= connections / events.max(1) => {
                self.partial_polls + 1
            }
            Some(PollCoverage::Complete | PollCoverage::Partial(_)) => 0,
            // A signal arrived, or the process was stopped and continued (epoll_wait(2), EINTR). No
            // event is reported yet.
            None => 1,
        };
    }

    /// Returns false if events may be unreported.
    pub(super) fn all_reported(&self) -> bool {
        self.partial_polls == 0
    }
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
    /// The state of each socket, by source number. That of other sources is not used.
    pub(super) sockets: Vec<SocketState>,
    /// The socket whose datagrams are being dispatched.
    pub(super) current: Option<usize>,
}

/// The state of one UDP socket.
#[derive(Default)]
pub(super) struct SocketState {
    /// The datagrams to send.
    pub(super) outgoing: SendBatch,
    /// The limit on the datagrams of one source, if the service has one.
    pub(super) limit: Option<DatagramLimit>,
}

impl UdpState {
    pub(super) fn new(sources: &[Source], services: &[RegisteredService]) -> Self {
        let socket_state = |source: &Source| match source.kind {
            SourceKind::Udp { .. } => {
                let registered = services.get(source.service.0);
                let limit = registered.and_then(|it| DatagramLimit::new(it.options.answers_per_second));
                SocketState { limit, ..SocketState::default() }
            }
            _ => SocketState::default(),
        };
        let has_udp = sources.iter().any(|source| matches!(source.kind, SourceKind::Udp { .. }));
        let sockets = sources.iter().map(socket_state).collect();
        Self { incoming: has_udp.then(ReceiveBatch::new), sockets, current: None }
    }

    pub(super) fn has_pending_datagrams(&self) -> bool {
        self.sockets.iter().any(|socket| !socket.outgoing.is_empty())
    }
}

/// The connections that were admitted, and those that were not.
pub(super) struct Admission {
    pub(super) clients: Clients,
    /// Rejected connections that are still open, to send them the reason. No service has seen them.
    pub(super) rejected: BTreeSet<usize>,
    /// The listeners that have found no descriptor, each once. The first has waited longest.
    pub(super) starved_listeners: Vec<usize>,
}

impl Admission {
    pub(super) fn new(clients: Clients) -> Self {
        Self { clients, rejected: BTreeSet::new(), starved_listeners: Vec::new() }
    }

    /// Notes that a listener has found no descriptor. It keeps its place until it is served.
    pub(super) fn note_starved(&mut self, number: usize) {
        if !self.starved_listeners.contains(&number) {
            self.starved_listeners.push(number);
        }
    }

    /// Notes that a listener has accepted a connection, or has none to accept.
    pub(super) fn note_served(&mut self, number: usize) {
        self.starved_listeners.retain(|starved| *starved != number);
    }

    /// Notes that a connection was removed. Returns true if a service had seen it.
    pub(super) fn removed(&mut self, key: usize, peer: &Peer, service: ServiceId) -> bool {
        let was_open = !self.rejected.remove(&key);
        if was_open {
            self.clients.remove(peer, service);
        }
        was_open
    }
}

/// The connections that are paused because all together hold too many bytes.
pub(super) struct MemoryPressure {
    pub(super) policy: MemoryPolicy,
    /// The deadline for the buffered bytes to fall; `None` while they are within their bound.
    pub(super) grace_ends: Option<Timestamp>,
    pub(super) paused: Vec<usize>,
    /// The memory of the batches in all write queues.
    pub(super) batches: BatchMemory,
    /// The part of `buffered_bytes` that jobs without a connection hold, among them those whose
    /// connection was removed.
    pub(super) orphaned_bytes: u64,
    /// The sum has reached the limit.
    pub(super) is_exceeded: bool,
    pub(super) closed_holders: ClosedHolders,
}

impl MemoryPressure {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            policy: MemoryPolicy::new(limits),
            grace_ends: None,
            paused: Vec::new(),
            batches: BatchMemory::default(),
            orphaned_bytes: 0,
            is_exceeded: false,
            closed_holders: ClosedHolders::default(),
        }
    }
}

/// The other threads' way to the loop.
pub(super) struct OtherThreads {
    pub(super) job_pools: WorkerPools,
    pub(super) inbox: HandleReceiver,
    /// Another thread has woken the loop: the inbox or the job pools have something.
    pub(super) woken: bool,
}

/// Connections that end.
#[derive(Default)]
pub(super) struct EndingConnections {
    /// Connections whose `on_close` has yet to be called.
    pub(super) closing: VecDeque<usize>,
    /// Connections that are over and have yet to be removed.
    pub(super) closed: Vec<usize>,
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
        if conn.mark_dirty() {
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
