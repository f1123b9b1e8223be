//! The state that the loop and the steps of its connections share: everything but the driver and
//! the connections themselves.
//!
//! Its functions about a connection are given that connection, so nothing here looks one up.

use std::time::Instant;

use super::driver::Source;
use super::state::{
    Admission, EndingConnections, EventBacklog, LoopClock, MemoryPressure, OtherThreads, ReadyQueue, SourceState,
    TurnEnd, UdpState,
};
use super::targets::Targets;
use super::timers::Deadlines;
use super::turn_meter::TurnMeter;
use crate::connection::{Connection, Next, Phase, StepEnd, Stream, WorkerContext};
use crate::engine::budget::Budget;
use crate::engine::clients::Clients;
use crate::engine::limits::Limits;
use crate::engine::run_state::RunState;
use crate::engine::setup::RegisteredService;
use crate::engine::slab::reserved_key;
use crate::engine::stats::Stats;
use crate::engine::timers::ServiceTimers;
use crate::frame::BufferPool;
use crate::service::context::{Context, PendingActions};
use crate::service::reply_buffer::ReplySource;
use crate::service::{CloseReason, GuardedService, ServiceId};

/// The size of the receive buffer. All connections share it: a read's whole frames are dispatched
/// from it without a copy.
const RECEIVE_BUFFER_BYTES: usize = 256 * 1024;

/// The shares of a turn that stepping the owners with news takes at most, and flushing the output
/// for others.
pub(super) const PHASE_SHARES: u32 = 8;

/// The loop's state. The types of its parts have the functions that concern one part only.
pub(super) struct Shared {
    pub(super) services: Vec<RegisteredService>,
    /// Listeners, UDP sockets and command pipes, by source number.
    pub(super) sources: Vec<SourceState>,
    pub(super) ready: ReadyQueue,
    pub(super) worker: WorkerContext,
    /// Empty while a step reads.
    pub(super) receive_buffer: Box<[u8]>,
    pub(super) udp: UdpState,
    pub(super) deadlines: Deadlines,
    pub(super) timers: ServiceTimers,
    pub(super) turn_end: TurnEnd,
    pub(super) ending: EndingConnections,
    pub(super) admission: Admission,
    pub(super) memory: MemoryPressure,
    pub(super) threads: OtherThreads,
    pub(super) clock: LoopClock,
    pub(super) meter: TurnMeter,
    pub(super) backlog: EventBacklog,
    pub(super) run_state: RunState,
    /// Every service that peers can reach was stopped, and the loop drains because of it.
    pub(super) all_stopped: bool,
    /// A callback requested a drain, which begins when the step of the callback is over.
    pub(super) drain_requested: bool,
}

impl Shared {
    pub(super) fn new(
        limits: Limits,
        services: Vec<RegisteredService>,
        sources: Vec<Source>,
        clients: Clients,
        threads: OtherThreads,
        start: Instant,
    ) -> Self {
        let clock = LoopClock::new(start);
        let memory = MemoryPressure::new(&limits);
        let udp = UdpState::new(&sources, &services);
        Self {
            services,
            ready: ReadyQueue::default(),
            worker: WorkerContext::new(limits, clock.at(start), PendingActions::default(), BufferPool::default()),
            receive_buffer: vec![0; RECEIVE_BUFFER_BYTES].into_boxed_slice(),
            udp,
            sources: sources.into_iter().map(SourceState::new).collect(),
            deadlines: Deadlines::new(),
            timers: ServiceTimers::new(),
            turn_end: TurnEnd::default(),
            ending: EndingConnections::default(),
            admission: Admission::new(clients),
            memory,
            threads,
            clock,
            meter: TurnMeter::new(start),
            backlog: EventBacklog::default(),
            run_state: RunState::Serving,
            all_stopped: false,
            drain_requested: false,
        }
    }

    /// Returns true if the loop accepts connections and requests.
    pub(super) fn is_serving(&self) -> bool {
        self.run_state == RunState::Serving && !self.drain_requested
    }

    /// Returns true if a service is stopped, because it has panicked repeatedly.
    pub(super) fn is_stopped(&self, service: ServiceId) -> bool {
        self.services.get(service.0).is_some_and(|registered| registered.service.history().is_stopped())
    }

    /// Returns the name of a service for the log.
    pub(super) fn service_name(&self, service: ServiceId) -> &str {
        name_of(&self.services, service)
    }

    /// Returns the counters, and the gauges and counters that others keep.
    pub(super) fn stats(&self) -> Stats {
        let mut stats = self.worker.stats.clone();
        stats.shared_bytes = self.memory.batches.bytes();
        stats.timers = self.timers.len() as u64;
        self.threads.job_pools.add_counts(&mut stats);
        stats.log_lines_left_out = self.worker.pending_actions.warnings.left_out();
        stats
    }

    /// Returns the number of connections that have a slot.
    pub(super) fn connection_count(&self) -> usize {
        usize::try_from(self.worker.stats.open).unwrap_or(usize::MAX) + self.admission.rejected.len()
    }

    /// Puts a source into the ready queue, once.
    pub(super) fn schedule_source(&mut self, number: usize) {
        if self.sources.get_mut(number).is_some_and(SourceState::mark_scheduled) {
            self.ready.push(reserved_key(number));
        }
    }

    /// Puts a source that has used up its share into the ready queue.
    pub(super) fn continue_source(&mut self, number: usize) {
        if self.sources.get_mut(number).is_some_and(SourceState::mark_scheduled) {
            self.ready.push_continued(reserved_key(number));
        }
    }

    /// Returns a budget of `shares` shares of a turn.
    pub(super) fn budget(&self, shares: u32) -> Budget {
        Budget::new(self.worker.limits.turn_budget.saturating_mul(shares))
    }

    /// Makes one callback that is not about a frame, applies its actions, and sends its replies.
    pub(super) fn call_service<S: Stream>(
        &mut self,
        service: ServiceId,
        targets: &mut Targets<'_, '_, S>,
        callback: impl FnOnce(&mut GuardedService, &mut Context<'_>),
    ) {
        let Some(registered) = self.services.get_mut(service.0) else { return };
        let mut cx = self.worker.callback_context(targets.id, targets.current.as_deref());
        callback(&mut registered.service, &mut cx);
        self.apply_actions(service, targets);
        if let Some(conn) = &mut targets.current {
            self.send_replies(targets.id.0, conn, &[]);
        }
    }

    /// Sends the collected replies to their connection. Borrowed replies lie in `received`.
    pub(super) fn send_replies<S: Stream>(&mut self, key: usize, conn: &mut Connection<S>, received: &[u8]) {
        let unsendable = self.worker.replies.take_failure().map(CloseReason::UnsendableReply);
        let sent = conn.send_replies(ReplySource::received(received), &mut self.worker);
        self.turn_end.take_dropped(key, &mut self.worker.dropped);
        if let Some(reason) = sent.err().or(unsendable) {
            self.begin_close(key, conn, reason);
        }
    }

    /// Begins to close a connection. Its `on_close` runs in step 8 of this turn, when no other
    /// callback is under way. No [`end_step`](Self::end_step) has to follow: the one after
    /// `on_close` decides how the close goes on, and a connection that is over now is ended here.
    pub(super) fn begin_close<S: Stream>(&mut self, key: usize, conn: &mut Connection<S>, reason: CloseReason) {
        let name = name_of(&self.services, conn.service());
        if conn.begin_close(reason, name, &mut self.worker) {
            self.ending.closing.push_back(key);
        } else if conn.phase() == Phase::Closed {
            self.end_step(key, conn);
        }
    }

    /// Ends a step of a connection, or decides what follows after any other change to it.
    pub(super) fn end_step<S: Stream>(&mut self, key: usize, conn: &mut Connection<S>) {
        let StepEnd { next, timer } = conn.end_step(&mut self.receive_buffer, &mut self.worker);
        if let Some(change) = timer {
            self.deadlines.change(key, change);
        }
        match next {
            Next::Wait => {}
            Next::Queue => self.ready.push_continued(key),
            Next::Close(reason) => {
                self.begin_close(key, conn, reason);
                return;
            }
            Next::Remove => {
                self.ending.closed.push(key);
                return;
            }
        }
        if self.is_over_memory_limit() {
            self.limit_memory(key, conn);
        }
    }
}

/// Returns the name of a service for the log.
pub(super) fn name_of(services: &[RegisteredService], service: ServiceId) -> &str {
    services.get(service.0).map_or("", |registered| &registered.options.name)
}
