//! The actions that a callback asked for, applied after it has returned.
//!
//! No action makes a callback here, so callbacks never nest.

use super::driver::Driver;
use super::event_loop::EventLoop;
use super::state::TimerOwner;
use crate::connection::{Connection, Phase};
use crate::engine::jobs::JobOwner;
use crate::engine::run_state::RunState;
use crate::frame::SharedFrames;
use crate::service::context::Action;
use crate::service::reply_buffer::ReplySource;
use crate::service::{CloseReason, ConnId, ServiceId, TimerId};

impl<D: Driver> EventLoop<D> {
    /// Applies the actions of a callback of `service` about `current`, in order. The replies of
    /// `current` are still in the reply buffer, and what is sent to `current` joins them there, so
    /// that its peer receives everything in the order in which the service sent it.
    pub(super) fn apply_actions(&mut self, service: ServiceId, current: ConnId) {
        if std::mem::take(&mut self.worker.pending_actions.turn_end_requested) {
            self.turn_end.request(service);
        }
        if self.worker.pending_actions.actions.is_empty() {
            return;
        }
        let mut actions = std::mem::take(&mut self.worker.pending_actions.actions);
        for action in actions.drain(..) {
            match action {
                Action::Reply(frame) => self.worker.replies.push_encoded(&frame, 1),
                Action::Send(to, payloads, batch) => {
                    self.send_frames(&to, SharedFrames::new(&payloads, batch), current);
                }
                Action::Datagram(to, payload) => self.queue_datagram(service, to, &payload),
                Action::Close(id, reason) => self.close_requested(id, reason, current),
                Action::SetTimer(id) => self.set_timer(id, TimerOwner { service, conn: current }),
                Action::CancelTimer(id) => {
                    if let Some(TimerOwner { conn, .. }) = self.timers.cancel(id) {
                        self.timers_by_connection.remove(&(conn, id));
                    }
                }
                Action::Offload(job, work) => {
                    if let Some(conn) = self.connections.get_mut(current.0) {
                        conn.job_started();
                    }
                    self.worker.stats.jobs += 1;
                    self.job_pools.start(JobOwner { service, conn: current, job }, work);
                }
                Action::NotifyWritable => {
                    if let Some(conn) = self.connections.get_mut(current.0) {
                        conn.request_writable();
                    }
                }
                Action::Drain if self.run_state == RunState::Serving => self.drain(),
                Action::Drain => {}
            }
        }
        // Applying actions makes no callback, so no action was added meanwhile. The allocation is
        // kept for the next callback.
        self.worker.pending_actions.actions = actions;
    }

    /// Queues `frames` for each receiver; the turn's end writes them.
    fn send_frames(&mut self, to: &[ConnId], mut frames: SharedFrames<'_>, current: ConnId) {
        for id in to {
            let receives = |conn: &&mut Connection<D::Stream>| match conn.phase() {
                Phase::Open => true,
                // In its own `on_close` a connection can still be sent to.
                _ => *id == current && conn.accepts_output(),
            };
            let Some(conn) = self.connections.get_mut(id.0).filter(receives) else { continue };
            let Some(batch) = frames.encode_with(conn.framing()) else { continue };
            // One turn has queued more than the limit. Flush first: a peer that reads has room for
            // what was queued before.
            if conn.is_queue_full(&self.worker.limits)
                && let Err(reason) = conn.flush(&mut self.worker)
            {
                self.begin_close(id.0, reason);
                continue;
            }
            let queued = if *id == current {
                // No reply is borrowed from the input now: borrowed replies are written before
                // actions are applied.
                conn.reply_shared(batch, ReplySource::NONE, &mut self.worker)
            } else {
                conn.enqueue_shared(batch, &mut self.worker)
            };
            self.turn_end.take_dropped(id.0, &mut self.worker.dropped);
            match queued {
                Ok(()) if conn.pending_bytes() > 0 => self.turn_end.mark_dirty(id.0, conn),
                Ok(()) => {}
                Err(reason) => self.begin_close(id.0, reason),
            }
        }
    }

    fn set_timer(&mut self, id: TimerId, owner: TimerOwner) {
        if owner.conn != ConnId::NONE {
            // A timer ends with its connection, which has closed already.
            if !self.connections.get_mut(owner.conn.0).is_some_and(|conn| conn.accepts_output()) {
                return;
            }
            self.timers_by_connection.insert((owner.conn, id));
        }
        self.timers.set(id, owner);
    }

    /// Closes a connection for a service. The replies of `current` are sent before its close.
    fn close_requested(&mut self, id: ConnId, reason: CloseReason, current: ConnId) {
        if id == current {
            self.send_replies(id.0, &[]);
        }
        self.begin_close(id.0, reason);
    }
}
