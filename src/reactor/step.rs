//! One connection's share of a turn: write, then read within its budget, then see what is left to wait for.

use super::driver::Net;
use super::event_loop::Turn;
use crate::connection::{DispatchOutcome, Phase, ReadOutcome};
use crate::service::CloseReason;
use crate::service::ConnId;
use crate::service::TimerId;
use crate::service::reply_buffer::ReplySource;

impl<N: Net> Turn<N> {
    pub(super) fn step(&mut self, key: usize) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        conn.flags().scheduled = false;
        if let Err(reason) = conn.flush(self.desk.clock.moment, &mut self.desk.stats) {
            self.end(key, reason);
        } else {
            conn.update_backpressure(&self.desk.limits, self.desk.clock.moment, &mut self.desk.stats);
            if conn.take_writable_due(&self.desk.limits) && conn.phase() == Phase::Open {
                let service = conn.service();
                self.call(service, ConnId(key), |service, cx| service.on_writable(cx));
            }
            self.read(key);
        }
        self.settle(key);
    }

    /// Reads until the socket is empty, the budget is spent, or the connection must not be read.
    fn read(&mut self, key: usize) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut budget = self.desk.limits.read_budget_bytes;
        while let Some(conn) = self.conns.get_mut(key)
            && budget > 0
            && conn.wants_read(&self.desk.limits)
        {
            if let Some((bytes, used)) = conn.take_deferred() {
                let rest = self.hand_over(key, bytes.get(used..).unwrap_or_default());
                if let Some(conn) = self.conns.get_mut(key) {
                    let used = bytes.len() - rest;
                    conn.put_back_deferred(bytes, used);
                }
                continue;
            }
            let Some(most) = self.read_allowance(key, budget) else { break };
            let Some(conn) = self.conns.get_mut(key) else { break };
            match conn.read(&mut buffer, most, &mut self.desk) {
                ReadOutcome::Bytes { total, buffered } => {
                    budget = budget.saturating_sub(total);
                    let input = buffer.get(..buffered).unwrap_or_default();
                    let rest = self.hand_over(key, input);
                    if let Some(conn) = self.conns.get_mut(key) {
                        conn.defer_input(input.get(buffered - rest..).unwrap_or_default());
                    }
                }
                ReadOutcome::WouldBlock => break,
                ReadOutcome::Eof => {
                    self.finish(key);
                    break;
                }
                ReadOutcome::Failed(reason) => {
                    self.end(key, reason);
                    break;
                }
            }
        }
        self.buffer = buffer;
    }

    /// Has the connection's service answer the frames in `input`; returns how many of its bytes have to wait.
    fn hand_over(&mut self, key: usize, bytes: &[u8]) -> usize {
        let mut input = bytes;
        loop {
            let Self { conns, services, desk, .. } = self;
            let Some(conn) = conns.get_mut(key) else { return 0 };
            let id = conn.service();
            let Some(registered) = services.get_mut(id.0) else { return 0 };
            let received = conn.dispatch(&mut input, bytes, ConnId(key), registered.service.as_mut(), desk);
            self.owed.note_missed(key, &mut self.desk.dropped);
            match received {
                DispatchOutcome::ActionsPending => {
                    // Replies stay in the outbox: a pipeline of requests that also act is still answered with one write.
                    if self.desk.replies.has_lent() {
                        self.send_replies(key, bytes);
                    }
                    self.apply(id, ConnId(key));
                    if self.may_go_on(key) && !self.desk.replies.is_worth_a_write() {
                        continue;
                    }
                }
                DispatchOutcome::InputUsed | DispatchOutcome::FlushNeeded => self.apply(id, ConnId(key)),
                DispatchOutcome::Failed(reason) => {
                    self.send_replies(key, bytes);
                    self.apply(id, ConnId(key));
                    self.end(key, reason);
                    return 0;
                }
            }
            self.send_replies(key, bytes);
            let Some(conn) = self.conns.get_mut(key) else { return 0 };
            conn.update_backpressure(&self.desk.limits, self.desk.clock.moment, &mut self.desk.stats);
            if matches!(received, DispatchOutcome::InputUsed) || conn.phase() != Phase::Open {
                return 0;
            }
            if !conn.may_receive(&self.desk.limits) {
                return input.len();
            }
        }
    }

    /// The peer has sent all it wanted: once that is answered, the connection ends.
    fn finish(&mut self, key: usize) {
        let Self { conns, services, desk, .. } = self;
        let Some(conn) = conns.get_mut(key) else { return };
        let id = conn.service();
        let Some(registered) = services.get_mut(id.0) else { return };
        match conn.finish_input(ConnId(key), registered.service.as_mut(), desk) {
            Ok(reason) => {
                conn.close_when_answered(reason);
                self.apply(id, ConnId(key));
                self.send_replies(key, &[]);
            }
            Err(reason) => self.end(key, reason),
        }
    }

    /// Whether the next frame may be handed over before anything is written.
    fn may_go_on(&mut self, key: usize) -> bool {
        let high_water_bytes = self.desk.limits.high_water_bytes();
        let conn = self.conns.get_mut(key);
        conn.is_some_and(|conn| conn.phase() == Phase::Open && conn.pending_bytes() <= high_water_bytes)
    }

    /// Writes the replies in the outbox, which may lie in what was `received`, to the connection they are for.
    pub(super) fn send_replies(&mut self, key: usize, received: &[u8]) {
        let Some(conn) = self.conns.get_mut(key) else {
            self.desk.replies.clear();
            self.desk.replies.take_failure();
            return;
        };
        let unsendable = self.desk.replies.take_failure().map(CloseReason::UnsendableReply);
        let sent = conn.send_replies(ReplySource::received(received), &mut self.desk);
        self.owed.note_missed(key, &mut self.desk.dropped);
        if let Some(reason) = sent.err().or(unsendable) {
            self.end(key, reason);
        }
    }

    /// After anything was done with a connection: what it waits for now, what it holds, and whether it goes on.
    pub(super) fn settle(&mut self, key: usize) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        let now = self.desk.clock.moment;
        conn.update_backpressure(&self.desk.limits, now, &mut self.desk.stats);
        if conn.is_answered()
            && let Some(reason) = conn.close_reason().cloned()
        {
            self.end(key, reason);
            return;
        }
        conn.advance_close(&mut self.buffer, now);
        conn.recount_into(&mut self.desk.stats.buffered_bytes);
        if conn.phase() == Phase::Closed {
            self.closed.push(key);
            return;
        }
        let wants_step = conn.wants_step(&self.desk.limits);
        if let Some(at) = conn.timer_to_set(&self.desk.limits) {
            let replaced = conn.replace_timer(Some(at));
            if let Some(old) = replaced {
                self.deadlines.cancel(TimerId::new(old, key as u64));
            }
            self.deadlines.set(TimerId::new(at, key as u64), ());
        }
        if wants_step {
            self.enqueue(key);
        }
        self.check_budget(key);
    }

    /// A connection's timer is due. Its deadline may have moved since the timer was set.
    pub(super) fn check_deadline(&mut self, key: usize) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        conn.replace_timer(None);
        if let Some((at, due)) = conn.deadline(&self.desk.limits)
            && at <= self.desk.clock.moment
        {
            let reason = conn.timeout_reason(due, &self.desk.limits);
            self.end(key, reason);
        } else {
            self.settle(key);
        }
    }
}
