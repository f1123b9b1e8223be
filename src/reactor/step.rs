//! Step 5 for a connection: write, read within the budget, then reschedule.

use super::driver::Driver;
use super::event_loop::EventLoop;
use crate::connection::{DispatchOutcome, Phase, ReadOutcome};
use crate::service::CloseReason;
use crate::service::ConnId;
use crate::service::TimerId;
use crate::service::reply_buffer::ReplySource;

impl<D: Driver> EventLoop<D> {
    pub(super) fn step(&mut self, key: usize) {
        let Some(conn) = self.connections.get_mut(key) else { return };
        conn.set_scheduled(false);
        if let Err(reason) = conn.flush(&mut self.worker) {
            self.begin_close(key, reason);
        } else {
            if conn.take_writable_due(&self.worker.limits) && conn.phase() == Phase::Open {
                let service = conn.service();
                self.call_service(service, ConnId(key), |service, cx| service.on_writable(cx));
            }
            self.read(key);
        }
        self.reschedule(key);
    }

    /// Reads until the socket is empty, the read budget is spent, or reading is paused.
    fn read(&mut self, key: usize) {
        let mut buffer = std::mem::take(&mut self.receive_buffer);
        let mut budget = self.worker.limits.read_budget_bytes;
        while let Some(conn) = self.connections.get_mut(key)
            && budget > 0
            && conn.wants_read(&self.worker.limits)
        {
            if let Some((bytes, used)) = conn.take_deferred() {
                let rest = self.dispatch_frames(key, bytes.get(used..).unwrap_or_default());
                if let Some(conn) = self.connections.get_mut(key) {
                    let used = bytes.len() - rest;
                    conn.put_back_deferred(bytes, used);
                }
                continue;
            }
            let Some(max_bytes) = self.read_allowance(key, budget) else { break };
            let Some(conn) = self.connections.get_mut(key) else { break };
            match conn.read(&mut buffer, max_bytes, &mut self.worker) {
                ReadOutcome::Bytes { total, buffered } => {
                    budget = budget.saturating_sub(total);
                    let input = buffer.get(..buffered).unwrap_or_default();
                    let rest = self.dispatch_frames(key, input);
                    if let Some(conn) = self.connections.get_mut(key) {
                        conn.defer_input(input.get(buffered - rest..).unwrap_or_default());
                    }
                }
                ReadOutcome::WouldBlock => break,
                ReadOutcome::Eof => {
                    self.finish_input(key);
                    break;
                }
                ReadOutcome::Failed(reason) => {
                    self.begin_close(key, reason);
                    break;
                }
            }
        }
        self.receive_buffer = buffer;
    }

    /// Dispatches the frames in `bytes` to the connection's service, applies its actions and sends
    /// its replies. Returns the number of bytes left undecoded, because the connection has to flush
    /// before it may receive more.
    fn dispatch_frames(&mut self, key: usize, bytes: &[u8]) -> usize {
        let mut input = bytes;
        loop {
            let Self { connections, services, worker, .. } = self;
            let Some(conn) = connections.get_mut(key) else { return 0 };
            let id = conn.service();
            let Some(registered) = services.get_mut(id.0) else { return 0 };
            let outcome = conn.dispatch(&mut input, bytes, ConnId(key), registered.service.as_mut(), worker);
            self.turn_end.take_dropped(key, &mut self.worker.dropped);
            match outcome {
                DispatchOutcome::ActionsPending => {
                    // The replies stay in the reply buffer, so that a pipeline of requests is
                    // answered with one write even if each request also acts.
                    if self.worker.replies.has_borrowed() {
                        self.send_replies(key, bytes);
                    }
                    self.apply_actions(id, ConnId(key));
                    if self.may_dispatch_next(key) && !self.worker.replies.should_write() {
                        continue;
                    }
                }
                DispatchOutcome::InputUsed | DispatchOutcome::FlushNeeded => self.apply_actions(id, ConnId(key)),
                DispatchOutcome::Failed(reason) => {
                    self.send_replies(key, bytes);
                    self.apply_actions(id, ConnId(key));
                    self.begin_close(key, reason);
                    return 0;
                }
            }
            self.send_replies(key, bytes);
            let Some(conn) = self.connections.get_mut(key) else { return 0 };
            if matches!(outcome, DispatchOutcome::InputUsed) || conn.phase() != Phase::Open {
                return 0;
            }
            if !conn.may_receive(&self.worker.limits) {
                return input.len();
            }
        }
    }

    /// Handles the peer's end of stream: the connection closes once its last requests are answered.
    fn finish_input(&mut self, key: usize) {
        let Self { connections, services, worker, .. } = self;
        let Some(conn) = connections.get_mut(key) else { return };
        let id = conn.service();
        let Some(registered) = services.get_mut(id.0) else { return };
        match conn.finish_input(ConnId(key), registered.service.as_mut(), worker) {
            Ok(reason) => {
                conn.close_when_answered(reason);
                self.apply_actions(id, ConnId(key));
                self.send_replies(key, &[]);
            }
            Err(reason) => self.begin_close(key, reason),
        }
    }

    /// Returns true if the next frame may be dispatched before the replies are written.
    fn may_dispatch_next(&mut self, key: usize) -> bool {
        let high_water_bytes = self.worker.limits.high_water_bytes();
        let conn = self.connections.get_mut(key);
        conn.is_some_and(|conn| conn.phase() == Phase::Open && conn.pending_bytes() <= high_water_bytes)
    }

    /// Sends the collected replies to their connection. Borrowed replies lie in `received`.
    pub(super) fn send_replies(&mut self, key: usize, received: &[u8]) {
        let Some(conn) = self.connections.get_mut(key) else {
            self.worker.replies.clear();
            self.worker.replies.take_failure();
            return;
        };
        let unsendable = self.worker.replies.take_failure().map(CloseReason::UnsendableReply);
        let sent = conn.send_replies(ReplySource::received(received), &mut self.worker);
        self.turn_end.take_dropped(key, &mut self.worker.dropped);
        if let Some(reason) = sent.err().or(unsendable) {
            self.begin_close(key, reason);
        }
    }

    /// Classifies a connection anew after any change to it: its close, the bytes it holds, its
    /// deadline, and whether it needs another step.
    pub(super) fn reschedule(&mut self, key: usize) {
        let Some(conn) = self.connections.get_mut(key) else { return };
        let now = self.worker.clock.timestamp;
        if conn.is_answered()
            && let Some(reason) = conn.close_reason().cloned()
        {
            self.begin_close(key, reason);
            return;
        }
        conn.advance_close(&mut self.receive_buffer, now);
        conn.recount_into(&mut self.worker.stats.buffered_bytes);
        if conn.phase() == Phase::Closed {
            self.closed.push(key);
            return;
        }
        let wants_step = conn.wants_step(&self.worker.limits);
        if let Some(at) = conn.timer_to_set(&self.worker.limits) {
            let replaced = conn.replace_timer(Some(at));
            if let Some(old) = replaced {
                self.deadlines.cancel(TimerId::new(old, key as u64));
            }
            self.deadlines.set(TimerId::new(at, key as u64), ());
        }
        if wants_step {
            self.schedule(key);
        }
        self.check_memory(key);
    }

    /// Closes a connection whose timer is due, unless its deadline has moved since the timer was
    /// set.
    pub(super) fn check_deadline(&mut self, key: usize) {
        let Some(conn) = self.connections.get_mut(key) else { return };
        conn.replace_timer(None);
        if let Some((at, deadline)) = conn.deadline(&self.worker.limits)
            && at <= self.worker.clock.timestamp
        {
            let reason = conn.timeout_reason(deadline, &self.worker.limits);
            self.begin_close(key, reason);
        } else {
            self.reschedule(key);
        }
    }
}
