//! Callbacks on a connection's thread: under the service's lock if it is shared, with the writes
//! after the lock is released. The last is `on_close`; the last flush and the end of the thread
//! follow it.
//!
//! The lock is held for a group of callbacks. `on_turn_end` ends the group.

use std::sync::atomic::Ordering;

use super::connection_thread::ConnectionThread;
use super::socket::ConnStream;
use super::worker::{CurrentConnection, JobResult, Worker};
use crate::connection::write_queue::DroppedBatch;
use crate::connection::{Connection, DispatchOutcome, Phase};
use crate::service::{CloseReason, Context, Service};

impl ConnectionThread {
    /// Dispatches the frames in `bytes` to the service, applies its actions and sends its replies.
    /// Returns the number of bytes left undecoded, because the connection has to flush before it
    /// may receive more.
    pub(super) fn dispatch_frames(&mut self, conn: &mut Connection<ConnStream>, bytes: &[u8]) -> usize {
        let mut input = bytes;
        loop {
            let Self { worker, service, shared_conn, id, service_slot, jobs_at_turn_start, .. } = self;
            let Some(mut service) = service.lock() else { return 0 };
            // Output of other connections that came earlier goes before the replies.
            let mut outcome = match shared_conn
                .as_ref()
                .map_or(Ok(()), |shared_conn| shared_conn.process_inbox(conn, &mut worker.context))
            {
                Ok(()) => Ok(()),
                Err(reason) => Err(DispatchOutcome::Failed(reason)),
            };
            while outcome.is_ok() {
                let dispatched = conn.dispatch(&mut input, bytes, *id, service.get(), &mut worker.context);
                worker.apply(
                    service_slot.id,
                    *id,
                    Some(CurrentConnection { id: *id, conn, shared_conn: shared_conn.as_deref(), received: bytes }),
                );
                if !matches!(dispatched, DispatchOutcome::ActionsPending)
                    || worker.jobs.len() > *jobs_at_turn_start
                    || !may_dispatch_next(conn, worker)
                {
                    outcome = Err(dispatched);
                }
            }
            worker.run_turn_end(
                service.get(),
                service_slot.id,
                Some(CurrentConnection { id: *id, conn, shared_conn: shared_conn.as_deref(), received: bytes }),
            );
            drop(service);
            let outcome = outcome.err().unwrap_or(DispatchOutcome::InputUsed);
            self.send_output(conn, bytes);
            if let DispatchOutcome::Failed(reason) = outcome {
                self.begin_close(conn, reason);
                return 0;
            }
            let context = &self.worker.context;
            if matches!(outcome, DispatchOutcome::InputUsed) || conn.phase() != Phase::Open {
                return 0;
            }
            if !conn.may_receive(&context.limits) || !self.may_dispatch() {
                return input.len();
            }
        }
    }

    /// Writes the replies, which may borrow from `received`, and delivers output for other
    /// connections. Runs after callbacks, without the service's lock.
    fn send_output(&mut self, conn: &mut Connection<ConnStream>, received: &[u8]) {
        let sent = self.worker.send_replies(&mut CurrentConnection {
            id: self.id,
            conn,
            shared_conn: self.shared_conn.as_deref(),
            received,
        });
        self.worker.deliver();
        if let Err(reason) = sent {
            self.begin_close(conn, reason);
        }
        if let Some(reason) = self.worker.requested_close.take() {
            self.begin_close(conn, reason);
        }
    }

    /// Finishes the input at the peer's end of stream. The connection closes once all requests are
    /// answered.
    pub(super) fn finish_input(&mut self, conn: &mut Connection<ConnStream>) {
        let Self { worker, service, shared_conn, id, service_slot, .. } = self;
        let Some(mut service) = service.lock() else { return };
        let processed =
            shared_conn.as_ref().map_or(Ok(()), |shared_conn| shared_conn.process_inbox(conn, &mut worker.context));
        let finished = processed.and_then(|()| conn.finish_input(*id, service.get(), &mut worker.context));
        let mut current = CurrentConnection { id: *id, conn, shared_conn: shared_conn.as_deref(), received: &[] };
        worker.apply(service_slot.id, *id, Some(current.reborrow()));
        worker.run_turn_end(service.get(), service_slot.id, Some(current));
        drop(service);
        match finished {
            Ok(reason) => {
                conn.close_when_answered(reason);
                self.send_output(conn, &[]);
            }
            Err(reason) => self.begin_close(conn, reason),
        }
    }

    /// Makes one callback that is not about a frame, and applies its actions.
    pub(super) fn call_service(
        &mut self,
        conn: &mut Connection<ConnStream>,
        callback: impl FnOnce(&mut dyn Service, &mut Context<'_>),
    ) {
        let Self { worker, service, shared_conn, id, service_slot, .. } = self;
        let Some(mut service) = service.lock() else { return };
        let processed =
            shared_conn.as_ref().map_or(Ok(()), |shared_conn| shared_conn.process_inbox(conn, &mut worker.context));
        let current = CurrentConnection { id: *id, conn, shared_conn: shared_conn.as_deref(), received: &[] };
        worker.call_service(service.get(), (service_slot.id, *id), Some(current), callback);
        drop(service);
        self.send_output(conn, &[]);
        if let Err(reason) = processed {
            self.begin_close(conn, reason);
        }
    }

    /// Passes the result of a job to the service.
    pub(super) fn handle_job_result(&mut self, conn: &mut Connection<ConnStream>, (job, output): JobResult) {
        self.worker.read_clock();
        conn.job_ended();
        self.call_service(conn, |service, cx| service.on_job(cx, job, output));
        self.reschedule(conn);
        self.worker.publish();
    }

    pub(super) fn fire_timers(&mut self, conn: &mut Connection<ConnStream>) {
        for timer in self.worker.shared.timers.due(self.id, self.worker.context.clock.timestamp) {
            let Self { worker, service, shared_conn, id, service_slot, .. } = self;
            // Removed under the service's lock, so that a cancelled timer never fires.
            let Some(mut service) = service.lock() else { return };
            if worker.shared.timers.remove(timer).is_none() {
                continue;
            }
            let processed =
                shared_conn.as_ref().map_or(Ok(()), |shared_conn| shared_conn.process_inbox(conn, &mut worker.context));
            let current = CurrentConnection { id: *id, conn, shared_conn: shared_conn.as_deref(), received: &[] };
            worker.call_service(service.get(), (service_slot.id, *id), Some(current), |service, cx| {
                service.on_timer(cx, timer);
            });
            drop(service);
            self.send_output(conn, &[]);
            if let Err(reason) = processed {
                self.begin_close(conn, reason);
            }
            self.reschedule(conn);
        }
    }

    /// Reports the dropped batches of this connection to the service. Batches dropped because of
    /// these callbacks are reported in the next turn.
    pub(super) fn report_dropped(&mut self, conn: &mut Connection<ConnStream>) {
        let dropped = match &self.shared_conn {
            Some(shared_conn) => shared_conn.take_dropped(),
            None => std::mem::take(&mut self.worker.context.dropped),
        };
        for DroppedBatch { batch, frames } in dropped {
            if conn.phase() == Phase::Open {
                self.call_service(conn, |service, cx| service.on_dropped(cx, batch, frames));
            }
        }
    }
}

/// Returns true if the next frame may be dispatched before anything is written.
fn may_dispatch_next(conn: &Connection<ConnStream>, worker: &Worker) -> bool {
    conn.phase() == Phase::Open
        && conn.pending_bytes() <= worker.context.limits.high_water_bytes()
        && !worker.context.replies.should_write()
        && worker.requested_close.is_none()
}

impl ConnectionThread {
    /// Begins to close the connection. Its `on_close` runs when no other callback is under way.
    pub(super) fn begin_close(&mut self, conn: &mut Connection<ConnStream>, reason: CloseReason) {
        match conn.phase() {
            Phase::Open => {
                let context = &mut self.worker.context;
                let (fault, level) = if reason.is_fault() { (1, log::Level::Warn) } else { (0, log::Level::Debug) };
                context.stats.faulted += fault;
                context.stats.closed += 1 - fault;
                log::log!(level, "{} {} closed: {reason}", self.service_slot.name, conn.peer());
                conn.begin_close(reason, context.clock.timestamp);
                self.close_pending = true;
                // `on_close` may read the engine's statistics, so they are updated before it.
                self.recount_memory(conn);
                self.worker.publish();
            }
            // The close is under way, for the reason that was logged.
            Phase::Closing | Phase::Aborting => conn.mark_unreachable(&reason),
            // For its service the connection is closed already; the output queued so far is still
            // flushed.
            Phase::Flushing | Phase::Lingering if matches!(reason, CloseReason::Service(_)) => {}
            Phase::Flushing | Phase::Lingering => conn.abandon(),
            Phase::Closed => {}
        }
    }

    /// Calls `on_close`, in which the service may send its last output.
    pub(super) fn deliver_close(&mut self, conn: &mut Connection<ConnStream>) {
        self.close_pending = false;
        let Some(reason) = conn.close_reason().cloned() else { return };
        // If the peer is unreachable, the connection ends after this callback.
        if conn.is_peer_gone() {
            self.release_announced = true;
            self.worker.shared.connection_slots.announce_release();
        }
        if !self.worker.shared.has_failed() {
            self.call_service(conn, |service, cx| service.on_close(cx, &reason));
        }
        if self.worker.has_timers {
            self.worker.shared.timers.cancel_all_of(self.id);
            self.worker.has_timers = false;
        }
        conn.close_delivered();
        let done = (conn.phase() == Phase::Closed || conn.pending_bytes() == 0) && self.worker.jobs.is_empty();
        if !done && std::mem::take(&mut self.release_announced) {
            self.worker.shared.connection_slots.withdraw_release();
        }
    }

    /// Closes the connection without a flush, because the engine has stopped.
    pub(super) fn close_now(&mut self, conn: &mut Connection<ConnStream>) {
        if conn.pending_bytes() > 0 {
            self.worker.shared.unflushed.fetch_add(1, Ordering::Relaxed);
        }
        self.begin_close(conn, CloseReason::ShuttingDown);
        if self.close_pending {
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
        self.recount_memory(conn);
        self.worker.publish();
    }
}
