//! Step 8, the end of a turn: stop services that have panicked repeatedly, deliver closes, call
//! `on_turn_end` and `on_dropped`, then flush the output that callbacks have queued for other
//! connections.
//!
//! Each of these may make callbacks, and a callback may give more to do, so the step repeats. It
//! ends because a connection closes once, and because two things wait for the next turn: an
//! `on_turn_end` that is requested in `on_turn_end` or `on_dropped`, and the report of a batch that
//! is dropped because of an `on_dropped`.

use super::driver::Driver;
use super::event_loop::EventLoop;
use super::turn_meter::WorkOwner;
use crate::connection::Phase;
use crate::connection::write_queue::DroppedBatch;
use crate::engine::budget::Budget;
use crate::engine::lag::Work;
use crate::service::{ConnId, GuardedService, ServiceId};

impl<D: Driver> EventLoop<D> {
    /// Runs the end-of-turn callbacks, then writes the queued output, as far as the budget goes.
    /// The output that is left is written in the next turn.
    pub(super) fn finish_turn(&mut self, mut budget: Budget) {
        loop {
            // Output may be too much for a slow reader, and a write may find its peer gone. The
            // `on_close` for that runs within this turn: the output it queues for other connections
            // must not wait for an event.
            self.close_largest_if_exceeded();
            self.stop_services();
            self.deliver_closes();
            self.drain_if_requested();
            if !(self.call_on_shutdown()
                || self.call_on_turn_end()
                || self.call_on_dropped()
                || self.flush_dirty(&mut budget))
                && self.shared.turn_end.stopped_services.is_empty()
            {
                break;
            }
        }
        self.shared.turn_end.start_next_turn();
    }

    /// Calls `on_shutdown` if a drain has begun. Returns true if it did.
    fn call_on_shutdown(&mut self) -> bool {
        let any = std::mem::take(&mut self.shared.turn_end.shutdown);
        for number in 0..if any { self.shared.services.len() } else { 0 } {
            self.call_service(Work::SHUTDOWN, ServiceId(number), ConnId::NONE, GuardedService::on_shutdown);
        }
        any
    }

    /// Calls `on_turn_end` of each service that requested it. Returns true if any did. Batches that
    /// are dropped because of it are reported within this turn.
    fn call_on_turn_end(&mut self) -> bool {
        let mut requested = std::mem::take(&mut self.shared.turn_end.requested);
        let any = !requested.is_empty();
        for service in requested.drain(..) {
            self.call_service(Work::TURN_END, service, ConnId::NONE, GuardedService::on_turn_end);
        }
        let again = std::mem::replace(&mut self.shared.turn_end.requested, requested);
        self.shared.turn_end.requested_next.extend(again);
        any
    }

    /// Reports each dropped batch. Returns true if there was one.
    fn call_on_dropped(&mut self) -> bool {
        let mut dropped = std::mem::take(&mut self.shared.turn_end.dropped);
        let any = !dropped.is_empty();
        for (key, report) in dropped.drain(..) {
            self.report_dropped(key, report);
        }
        let again = std::mem::replace(&mut self.shared.turn_end.dropped, dropped);
        self.shared.turn_end.dropped_next.extend(again);
        self.shared.turn_end.requested_next.append(&mut self.shared.turn_end.requested);
        any
    }

    /// Reports the dropped batches of connections that have begun to close.
    pub(super) fn report_dropped_of_closing(&mut self) {
        let connections = &self.connections;
        let is_closing = |key: usize| connections.get(key).is_some_and(|conn| conn.phase() != Phase::Open);
        let dropped = &mut self.shared.turn_end.dropped;
        let reports: Vec<_> = dropped.extract_if(.., |(key, _)| is_closing(*key)).collect();
        for (key, report) in reports {
            self.report_dropped(key, report);
        }
    }

    /// Logs the first drop of a connection, and calls `on_dropped`, unless `on_close` has run.
    fn report_dropped(&mut self, key: usize, report: DroppedBatch) {
        let Some(mut step) = self.step_of(key).filter(|step| step.conn.accepts_output()) else { return };
        if step.conn.begin_dropping() {
            step.warn_of_drop();
        }
        if report.is_named() {
            let DroppedBatch { batch, frames } = report;
            step.call_service(|service, cx| service.on_dropped(cx, batch, frames));
            step.end();
            self.note_work(Work::DROPPED, WorkOwner::Connection(key));
            self.drain_if_requested();
        }
    }

    /// Writes the output that other connections' callbacks have queued: one write for each
    /// connection, for any number of batches. Returns false if there was none, or no time for it.
    fn flush_dirty(&mut self, budget: &mut Budget) -> bool {
        if self.shared.turn_end.dirty.is_empty() || budget.is_spent() {
            return false;
        }
        let mut dirty = std::mem::take(&mut self.shared.turn_end.dirty);
        let mut flushed = 0;
        while let Some(&key) = dirty.get(flushed)
            && budget.has_time(|| self.driver.now())
        {
            flushed += 1;
            budget.count(1);
            let Some(conn) = self.connections.get_mut(key) else { continue };
            conn.clear_dirty();
            match conn.flush(&mut self.shared.worker) {
                Ok(()) => self.shared.end_step(key, conn),
                Err(reason) => self.shared.begin_close(key, conn, reason),
            }
        }
        // Flushing makes no callback, so nothing was added meanwhile. The allocation is kept for
        // the next turn.
        dirty.drain(..flushed);
        self.shared.turn_end.dirty = dirty;
        self.note_work(Work::FLUSH, WorkOwner::Loop);
        true
    }
}
