//! Step 5 for a connection: write, read within the budget, then decide what follows.
//!
//! A step ends when its share of the turn is spent: its bytes, or its time. Input that was received
//! and not dispatched then waits for the next turn.
//!
//! The connection is looked up once, when its step begins. Everything below is given it.

use super::driver::Driver;
use super::shared::Shared;
use super::targets::Targets;
use crate::connection::{Connection, DispatchOutcome, Phase, ReadOutcome};
use crate::engine::budget::{COST_OF_ACTING, COST_OF_WRITING};
use crate::engine::slab::Others;
use crate::service::{CloseReason, ConnId, Context, GuardedService, ServiceId};

/// One connection at work, and all that its callbacks may act on.
pub(super) struct Step<'a, D: Driver> {
    pub(super) key: usize,
    pub(super) service: ServiceId,
    pub(super) conn: &'a mut Connection<D::Stream>,
    pub(super) others: Others<'a, Connection<D::Stream>>,
    pub(super) shared: &'a mut Shared,
    pub(super) driver: &'a D,
}

impl<D: Driver> Step<'_, D> {
    /// Runs the step.
    pub(super) fn run(mut self) {
        match self.conn.begin_step(&mut self.shared.worker) {
            Ok(start) => {
                let stride = self.shared.services.get(self.service.0).map_or(1, |registered| registered.stride);
                self.shared.worker.budget.begin(stride);
                if start.writable_due {
                    self.call_service(GuardedService::on_writable);
                }
                if start.has_deferred_input {
                    self.dispatch_deferred();
                }
                if !self.shared.worker.budget.is_spent() {
                    self.read();
                }
                if let Some(registered) = self.shared.services.get_mut(self.service.0) {
                    registered.stride = self.shared.worker.budget.stride();
                }
                self.end();
            }
            Err(reason) => self.begin_close(reason),
        }
    }

    /// Ends the step: the connection waits, continues in the next turn, closes, or is over.
    pub(super) fn end(self) {
        self.shared.end_step(self.key, self.conn);
    }

    /// Makes one callback that is not about a frame.
    pub(super) fn call_service(&mut self, callback: impl FnOnce(&mut GuardedService, &mut Context<'_>)) {
        let Self { key, service, conn, others, shared, .. } = self;
        shared.call_service(*service, &mut Targets { id: ConnId(*key), current: Some(conn), others }, callback);
    }

    /// Logs that frames for the peer are dropped.
    pub(super) fn warn_of_drop(&mut self) {
        let mut name = None;
        self.call_service(|service, cx| name = service.peer_name(cx));
        let worker = &self.shared.worker;
        let backlog = self.conn.output_backlog(worker.clock.timestamp);
        worker.warn_of_drop(self.shared.service_name(self.service), self.conn.peer(), name.as_deref(), backlog);
    }

    pub(super) fn begin_close(&mut self, reason: CloseReason) {
        self.shared.begin_close(self.key, self.conn, reason);
    }

    fn apply_actions(&mut self) {
        let Self { key, service, conn, others, shared, .. } = self;
        shared.apply_actions(*service, &mut Targets { id: ConnId(*key), current: Some(conn), others });
    }

    fn send_replies(&mut self, received: &[u8]) {
        self.shared.send_replies(self.key, self.conn, received);
    }

    /// Returns true if the step has time left.
    #[inline]
    fn has_time(&mut self) -> bool {
        self.shared.worker.budget.has_time(|| self.driver.now())
    }

    /// Reads until the socket is empty, the budget is spent, or reading is paused.
    fn read(&mut self) {
        let mut buffer = std::mem::take(&mut self.shared.receive_buffer);
        let mut budget = self.shared.worker.limits.read_budget_bytes;
        while let Some(max_bytes) = self.shared.read_allowance(self.key, self.conn, budget) {
            match self.conn.read(&mut buffer, max_bytes, &mut self.shared.worker) {
                ReadOutcome::Bytes { total, buffered, more } => {
                    budget = budget.saturating_sub(total);
                    let input = buffer.get(..buffered).unwrap_or_default();
                    let rest = self.dispatch_frames(input);
                    if rest > 0 {
                        self.conn.defer_input(input.get(buffered - rest..).unwrap_or_default());
                    }
                    // A socket that is short of input each time costs a read for a few bytes.
                    self.shared.worker.budget.count(1);
                    if !more || !self.has_time() {
                        break;
                    }
                }
                ReadOutcome::WouldBlock => break,
                ReadOutcome::Eof => {
                    self.finish_input();
                    break;
                }
                ReadOutcome::Failed(reason) => {
                    self.begin_close(reason);
                    break;
                }
            }
        }
        self.shared.receive_buffer = buffer;
    }

    /// Dispatches the frames in the input that an earlier step has received, if the connection may
    /// receive again.
    #[cold]
    fn dispatch_deferred(&mut self) {
        if self.conn.may_receive(&self.shared.worker.limits)
            && let Some((bytes, used)) = self.conn.take_deferred()
        {
            let rest = self.dispatch_frames(bytes.get(used..).unwrap_or_default());
            let used = bytes.len() - rest;
            self.conn.put_back_deferred(bytes, used);
        }
    }

    /// Dispatches the frames in `bytes` to the connection's service, applies its actions and sends
    /// its replies. Returns the number of bytes left undecoded, because the connection has to flush
    /// before it may receive more, or because its time is spent.
    fn dispatch_frames(&mut self, bytes: &[u8]) -> usize {
        let mut input = bytes;
        loop {
            let Self { key, service, conn, shared, .. } = self;
            let Some(registered) = shared.services.get_mut(service.0) else { return 0 };
            let called = &mut registered.service;
            let outcome = conn.dispatch(&mut input, bytes, ConnId(*key), called, &mut shared.worker);
            shared.turn_end.take_dropped(*key, &mut shared.worker.dropped);
            // Replies that borrow from the input come before the actions. Others stay in the reply
            // buffer, so that a pipeline of requests is answered with one write even if each
            // request also acts.
            let may_act = matches!(outcome, DispatchOutcome::ActionsPending | DispatchOutcome::Failed(_));
            if may_act && shared.worker.replies.has_borrowed() {
                self.send_replies(bytes);
            }
            self.apply_actions();
            match outcome {
                DispatchOutcome::ActionsPending => _ = self.shared.worker.budget.count(COST_OF_ACTING),
                DispatchOutcome::FlushNeeded => _ = self.shared.worker.budget.count(COST_OF_WRITING),
                _ => {}
            }
            if matches!(outcome, DispatchOutcome::ActionsPending | DispatchOutcome::BudgetDue) {
                if self.shared.drain_requested && self.conn.reason_if_answered().is_some() {
                    self.send_replies(bytes);
                    return 0;
                }
                if self.conn.may_dispatch_next(&self.shared.worker) && self.has_time() {
                    continue;
                }
            }
            self.send_replies(bytes);
            if let DispatchOutcome::Failed(reason) = outcome {
                self.begin_close(reason);
                return 0;
            }
            self.conn.update_backpressure(&mut self.shared.worker);
            if matches!(outcome, DispatchOutcome::InputUsed) || self.conn.phase() != Phase::Open {
                return 0;
            }
            if !self.conn.may_receive(&self.shared.worker.limits) || !self.has_time() {
                return input.len();
            }
        }
    }

    /// Handles the peer's end of stream: the connection closes once its last requests are answered.
    fn finish_input(&mut self) {
        let Self { key, service, conn, shared, .. } = self;
        let Some(registered) = shared.services.get_mut(service.0) else { return };
        match conn.finish_input(ConnId(*key), &mut registered.service, &mut shared.worker) {
            Ok(()) => {
                self.apply_actions();
                self.send_replies(&[]);
            }
            Err(reason) => self.begin_close(reason),
        }
    }
}
