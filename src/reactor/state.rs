//! The small parts of the loop's state. They know nothing of the loop itself.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::connection::write_queue::DroppedBatch;
use crate::connection::{Connection, Readiness, Stream};
use crate::engine::clients::Clients;
use crate::engine::datagram_limit::DatagramLimit;
use crate::engine::handle::HandleReceiver;
use crate::engine::jobs::{JobOwner, WorkerPools};
use crate::engine::limits::Limits;
use crate::engine::memory::{ClosedHolders, MemoryPolicy};
use crate::engine::setup::RegisteredService;
use crate::frame::BatchMemory;
use crate::net::udp_batch::{BATCH, ReceiveBatch, SendBatch};
use crate::service::context::TurnTime;
use crate::service::time::Timestamp;
use crate::service::{JobOutput, Peer, ServiceId};

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
    /// The last poll was followed by a pause of this process.
    overslept: bool,
}

/// The time by which a turn may begin late before it counts as a pause of this process.
const PUNCTUAL: Duration = Duration::from_millis(10);

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

    /// Notes that the turn began `late`, that much after the poll should have returned. Events may
    /// have come between the two. The next poll reports them, so it counts whenever it returns.
    pub(super) fn note_lateness(&mut self, late: Duration) {
        self.overslept = !self.overslept && late > PUNCTUAL;
    }

    /// Returns false if events may be unreported.
    pub(super) fn all_reported(&self) -> bool {
        self.partial_polls == 0 && !self.overslept
    }
}

/// The keys of connections and sources that may make progress, each at most once.
#[derive(Default)]
pub(super) struct ReadyQueue {
    /// Those that have news: an event, or a pause that is over.
    fresh: VecDeque<usize>,
    /// Those that have used up a share and have more to do. They come after those with news, so
    /// that any number of them delays the others by one share of a turn.
    continued: VecDeque<usize>,
}

impl ReadyQueue {
    /// Frees memory beyond that of `entries` keys.
    pub(super) fn shrink_to(&mut self, entries: usize) {
        self.fresh.shrink_to(entries);
        self.continued.shrink_to(entries);
    }

    pub(super) fn push(&mut self, key: usize) {
        self.fresh.push_back(key);
    }

    pub(super) fn push_continued(&mut self, key: usize) {
        self.continued.push_back(key);
    }

    pub(super) fn pop(&mut self) -> Option<usize> {
        self.fresh.pop_front()
    }

    pub(super) fn pop_continued(&mut self) -> Option<usize> {
        self.continued.pop_front()
    }

    /// Returns the number of keys with news, and of those that continue.
    pub(super) fn len(&self) -> (usize, usize) {
        (self.fresh.len(), self.continued.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.continued.is_empty()
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn contains(&self, key: usize) -> bool {
        self.iter().any(|queued| *queued == key)
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn iter(&self) -> impl Iterator<Item = &usize> {
        self.fresh.iter().chain(&self.continued)
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

/// The state of a listener. Other sources and closed ones stay in the first.
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
pub(super) struct SocketState {
    /// The most datagrams to receive at a time: fewer if the last ones were large.
    pub(super) batch_limit: usize,
    /// The datagrams to send.
    pub(super) outgoing: SendBatch,
    /// The limit on the datagrams of one source, if the service has one.
    pub(super) limit: Option<DatagramLimit>,
}

impl UdpState {
    pub(super) fn new(sources: &[Source], services: &[RegisteredService]) -> Self {
        let socket_state = |source: &Source| {
            let registered = services.get(source.service.0).filter(|_| matches!(source.kind, SourceKind::Udp { .. }));
            let limit = registered.and_then(|it| DatagramLimit::new(it.options.answers_per_second));
            SocketState { batch_limit: BATCH, outgoing: SendBatch::default(), limit }
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
            is_exceeded: false,
            closed_holders: ClosedHolders::default(),
        }
    }
}

/// The other threads' way to the loop.
pub(super) struct OtherThreads {
    pub(super) job_pools: WorkerPools,
    /// Finished jobs whose output no service has seen yet.
    pub(super) done_jobs: VecDeque<(JobOwner, JobOutput)>,
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
    /// Connections with output that other connections' callbacks have queued. Those that the turn
    /// had no time for are the first of the next turn.
    pub(super) dirty: Vec<usize>,
    /// Services that requested `on_turn_end`, each once.
    pub(super) requested: Vec<ServiceId>,
    /// `on_shutdown` has to be called.
    pub(super) shutdown: bool,
    /// Services to stop, because they have panicked repeatedly.
    pub(super) stopped_services: Vec<ServiceId>,
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
        !self.requested.is_empty() || !self.dropped.is_empty() || !self.dirty.is_empty()
    }

    /// Makes the next turn's work the current work.
    pub(super) fn start_next_turn(&mut self) {
        for service in std::mem::take(&mut self.requested_next) {
            self.request(service);
        }
        self.dropped.append(&mut self.dropped_next);
    }
}
