//! The work of a connection's thread between two waits: write, read within a budget, dispatch
//! frames, fire due timers. Order and names are those of the reactor's turn.
//!
//! Above the memory limit a connection that holds more than its share is not read, see
//! [`MemoryPolicy`](crate::engine::memory::MemoryPolicy). The control thread closes the largest
//! holders.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::event::PollFlags;

use super::connection_thread::{ConnectionThread, PEER_END, SocketWait, TurnOutcome};
use super::lifecycle::lock;
use super::shared::EngineShared;
use super::socket::ConnStream;
use super::worker::Worker;
use crate::connection::{Connection, DeadlineCheck, Phase, ReadOutcome};
use crate::engine::lag::Work;
use crate::engine::run_state::RunState;
use crate::frame::{Framing, MAX_RAW_BYTES};
use crate::service::{CloseReason, GuardedService};

/// Bytes of the first receive buffer. It grows with each read that fills it, up to
/// [`MAX_BUFFER_BYTES`].
const MIN_BUFFER_BYTES: usize = 4 * 1024;
const MAX_BUFFER_BYTES: usize = 256 * 1024;

/// Time until a connection paused for memory checks again, if it has no notifier to wait for.
const MEMORY_RECHECK: Duration = Duration::from_millis(100);

impl ConnectionThread {
    pub(super) fn open(&mut self, conn: &mut Connection<ConnStream>) {
        // Nothing is written under a shared service's lock, so replies must not borrow from the
        // request.
        self.worker.context.may_borrow_request = self.own.shared_conn.is_none();
        let peer = *conn.peer();
        log::debug!("{} {peer} opened", self.own.service_slot.name);
        let mut is_known = true;
        self.call_service(Work::OPEN, conn, |service, cx| is_known = service.on_open(cx, &peer));
        if !is_known {
            // The service was stopped after this connection was accepted. No `on_close` is due.
            self.begin_close(conn, CloseReason::ServiceStopped);
            conn.close_delivered();
        }
        self.end_step(conn);
    }

    pub(super) fn run_turn(&mut self, conn: &mut Connection<ConnStream>) -> TurnOutcome {
        self.mark_ready(conn);
        self.jobs_at_turn_start = self.worker.jobs.len();
        self.worker.context.stats.turns += 1;
        self.worker.begin_share();
        self.handle_requests(conn);
        match conn.begin_step(&mut self.worker.context) {
            Ok(start) => {
                if start.writable_due {
                    self.call_service(Work::WRITABLE, conn, GuardedService::on_writable);
                }
                self.run_pending_turn_end(conn);
                self.read(conn);
            }
            Err(reason) => self.begin_close(conn, reason),
        }
        self.report_dropped(conn);
        self.end_step(conn);
        self.check_deadline(conn);
        if self.worker.has_timers {
            self.fire_timers(conn);
        }
        self.worker.publish();
        self.turn_outcome(conn)
    }

    /// Handles the requests of other threads: relief of memory, a close for memory, the inbox, the
    /// stop of the service, and the state of the engine.
    fn handle_requests(&mut self, conn: &mut Connection<ConnStream>) {
        if self.relief.is_none() {
            conn.end_memory_pause(&mut self.worker.context);
        }
        if self.worker.thread_stats.must_close.load(Ordering::Relaxed) {
            self.close_for_memory(conn);
        }
        if let Err(reason) = self.own.process_inbox(conn, &mut self.worker.context) {
            self.begin_close(conn, reason);
        }
        if self.own.service_slot.is_closed() {
            self.own.has_seen_stop = true;
            // A close under way goes on.
            if conn.phase() == Phase::Open {
                self.begin_close(conn, CloseReason::ServiceStopped);
            }
        }
        let state = self.worker.shared.state();
        if state != self.seen_state {
            self.seen_state = state;
            if state == RunState::Draining {
                conn.drain(self.own.id, &self.worker.context);
            }
        }
        if state == RunState::Stopped {
            self.close_now(conn);
        }
    }

    /// Reads until the socket is empty, the budget is spent, or reading is paused.
    fn read(&mut self, conn: &mut Connection<ConnStream>) {
        let mut budget = self.worker.context.limits.read_budget_bytes;
        while budget > 0
            && conn.wants_read(&self.worker.context.limits)
            && self.may_dispatch()
            && self.worker.has_time()
        {
            self.worker.context.budget.count(1);
            if let Some((bytes, used)) = conn.take_deferred() {
                let rest = self.dispatch_frames(conn, bytes.get(used..).unwrap_or_default());
                let used = bytes.len() - rest;
                conn.put_back_deferred(bytes, used);
                continue;
            }
            let Some(max_bytes) = self.read_allowance(conn, budget) else { break };
            let framing = conn.framing();
            self.allocate_buffer(framing);
            let blocks = std::mem::take(&mut self.waits_in_read);
            conn.stream_mut().set_blocking(blocks);
            let raw = conn.read_raw(&mut self.receive_buffer, max_bytes, &mut self.worker.context.buffer_pool);
            if blocks {
                conn.stream_mut().set_blocking(false);
                self.worker.read_clock();
                self.is_busy = !raw.would_block();
            }
            let is_full = raw.is_full();
            match conn.finish_read(raw, &mut self.worker.context) {
                ReadOutcome::Bytes { total, buffered, .. } => {
                    self.is_busy = true;
                    budget = budget.saturating_sub(total);
                    let buffer = std::mem::take(&mut self.receive_buffer);
                    let input = buffer.get(..buffered).unwrap_or_default();
                    let rest = self.dispatch_frames(conn, input);
                    conn.defer_input(input.get(buffered - rest..).unwrap_or_default());
                    self.receive_buffer = buffer;
                    if is_full {
                        self.grow_buffer(framing);
                    }
                }
                ReadOutcome::WouldBlock => break,
                // The control thread shut down reading to wake this thread.
                ReadOutcome::Eof if self.worker.thread_stats.must_close.load(Ordering::Relaxed) => {
                    self.close_for_memory(conn);
                    break;
                }
                ReadOutcome::Eof => {
                    self.finish_input(conn);
                    break;
                }
                ReadOutcome::Failed(reason) => {
                    self.begin_close(conn, reason);
                    break;
                }
            }
        }
        self.waits_in_read = false;
    }

    /// Closes the connection if its peer is late.
    fn check_deadline(&mut self, conn: &mut Connection<ConnStream>) {
        match conn.check_deadline(&mut self.worker.context) {
            DeadlineCheck::NotDue | DeadlineCheck::AfterRead => {}
            DeadlineCheck::Met => self.end_step(conn),
            DeadlineCheck::Expired(reason) => {
                self.begin_close(conn, reason);
                self.end_step(conn);
            }
        }
    }

    /// Ends a step, or decides what follows after any other change to the connection: its close,
    /// and a pause for the bytes it holds.
    pub(super) fn end_step(&mut self, conn: &mut Connection<ConnStream>) {
        conn.update_backpressure(&mut self.worker.context);
        if let Some(reason) = conn.reason_if_answered() {
            self.begin_close(conn, reason);
        }
        if matches!(conn.phase(), Phase::Closing | Phase::Aborting) {
            self.deliver_close(conn);
        }
        // A read into an empty buffer would look like the peer's end of stream.
        if matches!(conn.phase(), Phase::Lingering | Phase::Flushing) {
            self.allocate_buffer(conn.framing());
        }
        conn.advance_close(&mut self.receive_buffer, self.worker.context.clock.timestamp);
        self.recount_memory(conn);
        if self.worker.shared.memory.is_over_limit() {
            self.limit_memory(conn);
        }
    }

    fn turn_outcome(&mut self, conn: &mut Connection<ConnStream>) -> TurnOutcome {
        if self.worker.shared.state() == RunState::Stopped {
            return TurnOutcome::Finish;
        }
        // `on_close` may have offloaded jobs. They run although the connection is over.
        let is_closed = conn.phase() == Phase::Closed;
        if !self.worker.jobs.is_empty() {
            if is_closed {
                self.shut_down();
            }
            return TurnOutcome::RunJob;
        }
        if is_closed {
            return TurnOutcome::Finish;
        }
        // No other thread calls an instance, so this one makes its pending callbacks.
        let context = &self.worker.context;
        let has_callbacks =
            conn.phase() == Phase::Open && (context.pending_actions.turn_end_requested || !context.dropped.is_empty());
        if has_callbacks || conn.wants_step(&context.limits) {
            // A peer whose input never ends keeps this thread from waiting, so deadlines need the
            // clock here.
            self.worker.read_clock();
            return TurnOutcome::RunAgain;
        }
        TurnOutcome::Wait(self.next_wait(conn))
    }

    fn next_wait(&mut self, conn: &mut Connection<ConnStream>) -> SocketWait {
        let Worker { shared, context, has_timers, .. } = &self.worker;
        let writes = conn.pending_bytes() > 0;
        // While this thread waits to write, other threads need not wake it.
        conn.set_scheduled(writes);
        let in_read = conn.may_receive(&context.limits) && conn.close_reason().is_none();
        let reads = in_read || conn.phase() == Phase::Lingering;
        let mut events = PollFlags::empty();
        events.set(PollFlags::IN, reads);
        events.set(PollFlags::OUT, writes);
        events.set(PEER_END, !reads && !conn.is_end_reported());
        let conn_deadline = conn.deadline(&context.limits).map(|(at, _)| at);
        let timer = has_timers.then(|| lock(&shared.timers).next_of(self.own.id)).flatten();
        let lacks_notifier = conn.is_paused_for_memory() && self.relief.is_none();
        let recheck = lacks_notifier.then(|| context.clock.timestamp + MEMORY_RECHECK);
        let deadline = [conn_deadline, timer, recheck].into_iter().flatten().min();
        let on_socket = reads || writes || !conn.is_end_reported();
        SocketWait { events, in_read, on_socket, deadline }
    }

    /// Returns a wait that does not block, for the time between two jobs; `None` if no job waits.
    pub(super) fn next_poll(&mut self, conn: &mut Connection<ConnStream>) -> Option<SocketWait> {
        if self.worker.jobs.is_empty() || conn.phase() == Phase::Closed {
            return None;
        }
        let now = self.worker.context.clock.timestamp;
        Some(SocketWait { deadline: Some(now), ..self.next_wait(conn) })
    }

    /// Returns true if the service may receive further frames. A request that offloads a job is the
    /// last one of the turn. Jobs that were offloaded before this turn, or by `on_job`, do not
    /// count. At most `max_queued_jobs` jobs wait.
    pub(super) fn may_dispatch(&self) -> bool {
        let queued = self.worker.jobs.len();
        queued <= self.jobs_at_turn_start && queued < self.worker.context.limits.max_queued_jobs
    }

    /// Counts the bytes of the connection, and those of the thread's buffers.
    #[inline]
    pub(super) fn recount_memory(&mut self, conn: &mut Connection<ConnStream>) {
        let Worker { shared, context, thread_stats, .. } = &self.worker;
        shared.memory.recount(conn, &thread_stats.held_bytes);
        // The first buffer belongs to the thread, like its stack.
        let beyond_first = self.receive_buffer.capacity().saturating_sub(MIN_BUFFER_BYTES);
        let scratch = (beyond_first + context.buffer_pool.bytes()) as u64;
        let before = std::mem::replace(&mut self.counted_scratch, scratch);
        if scratch != before {
            shared.memory.adjust(before, scratch);
        }
    }

    /// Returns the number of bytes that may be read from the connection now: the `budget`, or less
    /// above the limit. Returns `None` and pauses the connection if it holds more than its share.
    fn read_allowance(&mut self, conn: &mut Connection<ConnStream>, budget: usize) -> Option<usize> {
        let EngineShared { memory, slots, .. } = &*self.worker.shared;
        let is_over = memory.is_over_limit();
        self.worker.context.buffer_pool.set_saving(is_over);
        if !is_over {
            return Some(budget);
        }
        let allowance = memory.policy.read_allowance(slots.open(), conn.held_bytes(), budget, conn.is_end_reported());
        if allowance.is_none() {
            self.limit_memory(conn);
        }
        allowance
    }

    #[cold]
    fn limit_memory(&mut self, conn: &mut Connection<ConnStream>) {
        let Worker { shared, context, .. } = &mut self.worker;
        let (memory, open) = (&shared.memory, shared.slots.open());
        let (relief, news) = memory.begin_pressure(context.clock.timestamp);
        if news.is_new {
            memory.policy.log_reached(memory.sum(), open as u64);
        }
        if news.is_new || news.exceeds {
            shared.control.notify();
        }
        if conn.held_bytes() > memory.policy.share_bytes(open) && conn.pause_for_memory(context) {
            self.relief = relief;
        }
    }

    /// Closes the connection, because the control thread chose it as one of the largest holders.
    fn close_for_memory(&mut self, conn: &mut Connection<ConnStream>) {
        self.begin_close(conn, self.worker.shared.memory.policy.close_reason());
    }

    fn allocate_buffer(&mut self, framing: Framing) {
        if self.receive_buffer.is_empty() {
            // In a raw stream each read is a message, so the buffer has a fixed size.
            let bytes = if framing == Framing::Raw { MAX_RAW_BYTES } else { MIN_BUFFER_BYTES };
            self.receive_buffer = vec![0; bytes];
        }
    }

    /// Grows the receive buffer, because a read filled it. Not while half of the memory limit is
    /// used: the larger buffer is only faster.
    fn grow_buffer(&mut self, framing: Framing) {
        let bytes = (self.receive_buffer.len() * 4).min(MAX_BUFFER_BYTES);
        if framing != Framing::Raw && bytes > self.receive_buffer.len() && !self.worker.shared.memory.is_half_used() {
            self.receive_buffer = vec![0; bytes];
        }
    }

    /// Frees the buffers that an idle thread does not need.
    pub(super) fn free_buffers(&mut self) {
        if self.receive_buffer.capacity() > 0 {
            self.receive_buffer = Vec::new();
            self.worker.free_buffers();
            let counted = std::mem::take(&mut self.counted_scratch);
            self.worker.shared.memory.adjust(counted, 0);
        }
    }
}
