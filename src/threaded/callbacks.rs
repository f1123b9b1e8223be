//! Callbacks on a connection's thread: under the service's lock if it is shared, with the writes
//! after the lock is released. The last is `on_close`; the last flush and the end of the thread
//! follow it.
//!
//! The lock is held for a group of callbacks. `on_turn_end` ends the group.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::connection_thread::ConnectionThread;
use super::current_connection::CurrentConnection;
use super::lifecycle::lock;
use super::offloaded_job::JobResult;
use super::socket::ConnStream;
use super::worker::Worker;
use crate::connection::write_queue::DroppedBatch;
use crate::connection::{Connection, DispatchOutcome, Phase};
use crate::engine::budget::COST_OF_ACTING;
use crate::engine::lag::Work;
use crate::service::{CloseReason, Context, GuardedService};

impl ConnectionThread {
    /// Dispatches the frames in `bytes` to the service, applies its actions and sends its replies.
    /// Returns the number of bytes left undecoded, because the connection has to flush before it
    /// may receive more, or because its share of the turn is spent: other threads may wait for the
    /// service, and for this turn's end.
    pub(super) fn dispatch_frames(&mut self, conn: &mut Connection<ConnStream>, bytes: &[u8]) -> usize {
        let mut input = bytes;
        loop {
            let max_jobs = self.jobs_at_turn_start;
            let outcome = self.with_service(Work::FRAMES, conn, bytes, |worker, service, current, inbox| {
                inbox?;
                loop {
                    let dispatched = current.conn.dispatch(&mut input, bytes, current.id, service, &mut worker.context);
                    worker.apply(current.conn.service(), current.id, Some(current.reborrow()));
                    let goes_on = match dispatched {
                        DispatchOutcome::ActionsPending => {
                            worker.context.budget.count(COST_OF_ACTING);
                            true
                        }
                        DispatchOutcome::BudgetDue => true,
                        _ => false,
                    };
                    if !goes_on
                        || !worker.has_time()
                        || worker.jobs.len() > max_jobs
                        || !may_dispatch_next(current.conn, worker)
                    {
                        break if let DispatchOutcome::Failed(reason) = dispatched {
                            Err(reason)
                        } else {
                            Ok(dispatched)
                        };
                    }
                }
            });
            let Some(outcome) = outcome else { return 0 };
            conn.update_backpressure(&mut self.worker.context);
            if matches!(outcome, DispatchOutcome::InputUsed) || conn.phase() != Phase::Open {
                return 0;
            }
            if !conn.may_receive(&self.worker.context.limits) || !self.may_dispatch() || !self.worker.has_time() {
                return input.len();
            }
        }
    }

    /// Finishes the input at the peer's end of stream. The connection closes once all requests are
    /// answered.
    pub(super) fn finish_input(&mut self, conn: &mut Connection<ConnStream>) {
        self.with_service(Work::FRAMES, conn, &[], |worker, service, current, inbox| {
            let finished = inbox.and_then(|()| current.conn.finish_input(current.id, service, &mut worker.context));
            worker.apply(current.conn.service(), current.id, Some(current.reborrow()));
            finished
        });
    }

    /// Makes one callback that is not about a frame, and applies its actions.
    pub(super) fn call_service(
        &mut self,
        work: Work,
        conn: &mut Connection<ConnStream>,
        callback: impl FnOnce(&mut GuardedService, &mut Context<'_>),
    ) {
        self.with_service(work, conn, &[], |worker, service, current, inbox| {
            let (service_id, conn_id) = (current.conn.service(), current.id);
            worker.call_service(service, (service_id, conn_id), Some(current.reborrow()), callback);
            inbox
        });
    }

    /// Calls `on_turn_end` if an instance requested it in its last `on_turn_end`.
    pub(super) fn run_pending_turn_end(&mut self, conn: &mut Connection<ConnStream>) {
        if self.worker.context.pending_actions.turn_end_requested {
            // A group without callbacks of its own.
            self.with_service(Work::TURN_END, conn, &[], |_, _, _, inbox| inbox);
        }
    }

    /// Locks the service and calls `callbacks`, which makes callbacks and applies their actions.
    /// Then releases the lock and writes the output; replies may borrow from `received`. Closes the
    /// connection if `callbacks` fails. Returns `None` if it fails or the service has panicked.
    ///
    /// `callbacks` receives the result of moving the inbox into the write queue: output of other
    /// connections that came earlier goes before the replies. `work` names them.
    #[inline]
    fn with_service<R>(
        &mut self,
        work: Work,
        conn: &mut Connection<ConnStream>,
        received: &[u8],
        callbacks: impl FnOnce(
            &mut Worker,
            &mut GuardedService,
            &mut CurrentConnection<'_>,
            Result<(), CloseReason>,
        ) -> Result<R, CloseReason>,
    ) -> Option<R> {
        let Self { worker, service, own, .. } = self;
        let mut service = service.lock()?;
        // Only this thread calls an instance, and its turn has begun with its last reading of the
        // clock. A shared service is free from when it is locked.
        let began = if own.shared_conn.is_some() { worker.shared.system.now() } else { worker.context.clock.now };
        let inbox = own.process_inbox(conn, &mut worker.context);
        let mut current = own.current(conn, received);
        let result = callbacks(worker, service.get(), &mut current, inbox);
        worker.run_turn_end(service.get(), own.service_slot.id, Some(current));
        drop(service);
        worker.note_callbacks(began, work, &own.service_slot.name, Some(conn.peer()));
        self.send_output(conn, received);
        result.map_err(|reason| self.begin_close(conn, reason)).ok()
    }

    /// Writes the replies, which may borrow from `received`, and delivers output for other
    /// connections. Runs after callbacks, without the service's lock.
    fn send_output(&mut self, conn: &mut Connection<ConnStream>, received: &[u8]) {
        let sent = self.worker.send_replies(&mut self.own.current(conn, received));
        self.worker.deliver();
        if let Err(reason) = sent {
            self.begin_close(conn, reason);
        }
        if let Some(reason) = self.worker.requested_close.take() {
            self.begin_close(conn, reason);
        }
    }

    /// Passes the result of a job to the service.
    pub(super) fn handle_job_result(&mut self, conn: &mut Connection<ConnStream>, result: JobResult) {
        let JobResult { job, bytes, output } = result;
        self.worker.read_clock();
        conn.job_ended(bytes);
        self.call_service(Work::JOB, conn, |service, cx| service.on_job(cx, job, output));
        self.end_step(conn);
        self.worker.publish();
    }

    pub(super) fn fire_timers(&mut self, conn: &mut Connection<ConnStream>) {
        let shared = Arc::clone(&self.worker.shared);
        let due = lock(&shared.timers).due_of(self.own.id, self.worker.context.clock.timestamp);
        for timer in due {
            // Removed under the service's lock, so that a cancelled timer never fires.
            self.call_service(Work::TIMER, conn, |service, cx| {
                if lock(&shared.timers).remove(timer).is_some() {
                    service.on_timer(cx, timer);
                }
            });
            self.end_step(conn);
        }
    }

    /// Logs the first drop, and reports the dropped batches of this connection to the service.
    /// Batches dropped because of these callbacks are reported in the next turn.
    pub(super) fn report_dropped(&mut self, conn: &mut Connection<ConnStream>) {
        let dropped = match &self.own.shared_conn {
            Some(shared_conn) => shared_conn.take_dropped(),
            None => std::mem::take(&mut self.worker.context.dropped),
        };
        if !dropped.is_empty() && conn.begin_dropping() {
            let mut name = None;
            self.call_service(Work::DROPPED, conn, |service, cx| name = service.peer_name(cx));
            let (context, service) = (&self.worker.context, &self.own.service_slot.name);
            context.warn_of_drop(service, conn.peer(), name.as_deref(), conn.output_backlog(context.clock.timestamp));
        }
        for report in dropped {
            if conn.accepts_output() && report.is_named() {
                let DroppedBatch { batch, frames } = report;
                self.call_service(Work::DROPPED, conn, |service, cx| service.on_dropped(cx, batch, frames));
            }
        }
    }

    /// Begins to close the connection. Its `on_close` runs when no other callback is under way.
    pub(super) fn begin_close(&mut self, conn: &mut Connection<ConnStream>, reason: CloseReason) {
        if conn.begin_close(reason, &self.own.service_slot.name, &mut self.worker.context) {
            // `on_close` may read the engine's statistics, so they are updated before it.
            self.recount_memory(conn);
            self.worker.publish();
        }
    }

    /// Calls `on_close`, in which the service may send its last output.
    pub(super) fn deliver_close(&mut self, conn: &mut Connection<ConnStream>) {
        let shared = Arc::clone(&self.worker.shared);
        // If the peer is unreachable, the connection ends after this callback.
        if conn.is_peer_gone() {
            self.release_announced = true;
            shared.slots.announce_release();
        }
        self.report_dropped(conn);
        if let Some(reason) = conn.close_reason().cloned()
            && !shared.lifecycle.has_failed()
        {
            let mut name = None;
            self.call_service(Work::CLOSE, conn, |service, cx| {
                name = if reason.is_fault() { service.peer_name(cx) } else { None };
                service.on_close(cx, &reason);
            });
            if reason.is_fault() {
                let service = &self.own.service_slot.name;
                self.worker.context.warn_of_close(service, conn.peer(), name.as_deref(), &reason);
            }
        }
        if std::mem::take(&mut self.worker.has_timers) {
            lock(&shared.timers).cancel_all_of(self.own.id);
        }
        conn.close_delivered();
        let done = (conn.phase() == Phase::Closed || conn.pending_bytes() == 0) && self.worker.jobs.is_empty();
        if !done && std::mem::take(&mut self.release_announced) {
            shared.slots.withdraw_release();
        }
    }

    /// Closes the connection without a flush, because the engine has stopped.
    pub(super) fn close_now(&mut self, conn: &mut Connection<ConnStream>) {
        if conn.pending_bytes() > 0 {
            self.worker.shared.lifecycle.unflushed.fetch_add(1, Ordering::Relaxed);
        }
        self.begin_close(conn, CloseReason::ShuttingDown);
        if matches!(conn.phase(), Phase::Closing | Phase::Aborting) {
            self.deliver_close(conn);
        }
        // The last output was written as far as the socket took it. The thread does not wait for
        // the rest.
        conn.abandon();
    }

    /// Ends the connection and publishes its counters.
    pub(super) fn finish(&mut self, conn: &mut Connection<ConnStream>) {
        self.close_now(conn);
        self.worker.jobs.clear();
        conn.jobs_discarded();
        self.free_buffers();
        self.recount_memory(conn);
        self.worker.publish();
    }
}

/// Returns true if the next frame may be dispatched before anything is written.
fn may_dispatch_next(conn: &Connection<ConnStream>, worker: &Worker) -> bool {
    conn.may_dispatch_next(&worker.context) && worker.requested_close.is_none()
}
