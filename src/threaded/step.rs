//! The work of a connection's thread between two waits: write, read within a budget, dispatch
//! frames, fire due timers. Order and names are those of the reactor's turn.

use std::sync::atomic::Ordering;

use super::connection_thread::{ConnectionThread, MEMORY_RECHECK, SocketWait, TurnOutcome};
use super::socket::ConnStream;
use crate::connection::{Connection, Phase, ReadOutcome};
use crate::engine::run_state::RunState;
use crate::service::CloseReason;
use crate::service::Peer;

/// Turns for which a peer with unread input is not late.
const MAX_PARTIAL_READS: u32 = 64;

impl ConnectionThread {
    pub(super) fn open(&mut self, conn: &mut Connection<ConnStream>, peer: &Peer) {
        // Nothing is written under a shared service's lock, so replies must not borrow from the
        // request.
        self.worker.context.may_borrow_request = self.shared_conn.is_none();
        log::debug!("{} {peer} opened", self.service_slot.name);
        let peer = *peer;
        self.call_service(conn, |service, cx| service.on_open(cx, &peer));
        self.reschedule(conn);
    }

    pub(super) fn run_turn(&mut self, conn: &mut Connection<ConnStream>) -> TurnOutcome {
        self.mark_ready(conn);
        self.jobs_at_turn_start = self.worker.jobs.len();
        self.worker.context.stats.turns += 1;
        self.handle_requests(conn);
        if let Err(reason) = conn.flush(&mut self.worker.context) {
            self.begin_close(conn, reason);
        } else {
            if conn.take_writable_due(&self.worker.context.limits) && conn.phase() == Phase::Open {
                self.call_service(conn, |service, cx| service.on_writable(cx));
            }
            if self.worker.context.pending_actions.turn_end_requested {
                self.call_service(conn, |_, _| {});
            }
            self.read(conn);
        }
        self.report_dropped(conn);
        self.reschedule(conn);
        self.check_deadline(conn);
        if self.worker.has_timers {
            self.fire_timers(conn);
        }
        self.worker.publish();
        self.turn_outcome(conn)
    }

    /// Handles the requests of other threads: relief of memory, a close for memory, the inbox, and
    /// the state of the engine.
    fn handle_requests(&mut self, conn: &mut Connection<ConnStream>) {
        if self.relief.is_none() {
            conn.end_memory_pause(&mut self.worker.context);
        }
        if self.worker.thread_stats.must_close.load(Ordering::Relaxed) {
            self.close_for_memory(conn);
        }
        if let Some(shared_conn) = &self.shared_conn
            && let Err(reason) = shared_conn.process_inbox(conn, &mut self.worker.context)
        {
            self.begin_close(conn, reason);
        }
        let state = self.worker.shared.state();
        if state != self.seen_state {
            self.seen_state = state;
            if state == RunState::Draining {
                conn.close_when_answered(CloseReason::ShuttingDown);
            }
        }
        if state == RunState::Stopped {
            self.close_now(conn);
        }
    }

    /// Reads until the socket is empty, the read budget is spent, or reading is paused.
    fn read(&mut self, conn: &mut Connection<ConnStream>) {
        let mut budget = self.worker.context.limits.read_budget_bytes;
        while budget > 0 && conn.wants_read(&self.worker.context.limits) && self.may_dispatch() {
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
                ReadOutcome::Bytes { total, buffered } => {
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

    /// Closes the connection if its deadline is due. A peer is late only if all its input has been
    /// read, or after [`MAX_PARTIAL_READS`] turns.
    fn check_deadline(&mut self, conn: &mut Connection<ConnStream>) {
        self.partial_reads = if conn.is_readable() { self.partial_reads + 1 } else { 0 };
        if (1..MAX_PARTIAL_READS).contains(&self.partial_reads) {
            return;
        }
        let context = &self.worker.context;
        if let Some((at, deadline)) = conn.deadline(&context.limits)
            && at <= context.clock.timestamp
        {
            let reason = conn.timeout_reason(deadline, &context.limits);
            self.begin_close(conn, reason);
            self.reschedule(conn);
        }
    }

    /// Classifies the connection anew after any change to it: its close, and the bytes it holds.
    pub(super) fn reschedule(&mut self, conn: &mut Connection<ConnStream>) {
        loop {
            let now = self.worker.context.clock.timestamp;
            if conn.is_answered()
                && let Some(reason) = conn.close_reason().cloned()
            {
                self.begin_close(conn, reason);
            }
            if self.close_pending {
                self.deliver_close(conn);
                continue;
            }
            // A read into an empty buffer would look like the peer's end of stream.
            if conn.phase() == Phase::Lingering || conn.phase() == Phase::Flushing {
                self.allocate_buffer(conn.framing());
            }
            conn.advance_close(&mut self.receive_buffer, now);
            self.recount_memory(conn);
            if self.worker.shared.memory.is_over_limit() {
                self.pause_for_memory(conn);
            }
            return;
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
        let limits = &self.worker.context.limits;
        let write = conn.pending_bytes() > 0;
        // While this thread waits to write, other threads need not wake it.
        conn.set_scheduled(write);
        let in_read = conn.may_receive(limits) && conn.close_reason().is_none();
        let read = in_read || conn.phase() == Phase::Lingering;
        let conn_deadline = conn.deadline(limits).map(|(at, _)| at);
        let timer = self.worker.has_timers.then(|| self.worker.shared.timers.next_of(self.id)).flatten();
        let lacks_notifier = conn.is_paused_for_memory() && self.relief.is_none();
        let recheck = lacks_notifier.then(|| self.worker.context.clock.timestamp + MEMORY_RECHECK);
        let deadline = [conn_deadline, timer, recheck].into_iter().flatten().min();
        SocketWait { read, in_read, write, eof: !read && !conn.is_end_reported(), deadline }
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
}
