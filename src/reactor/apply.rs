//! What callbacks asked for beyond replying, done once they have returned.

use super::driver::Net;
use super::event_loop::{Run, TimerOwner, Turn};
use crate::connection::{Connection, Phase};
use crate::engine::jobs::Owner;
use crate::frame::SharedFrames;
use crate::service::context::Action;
use crate::service::reply_buffer::ReplySource;
use crate::service::{ConnId, ServiceId, TimerId};

impl<N: Net> Turn<N> {
    /// Applies the actions of a callback of `service` about `current`, whose replies are still in the outbox. What is sent to
    /// `current` joins them there, so that it sees everything in the order in which it was said.
    pub(super) fn apply(&mut self, service: ServiceId, current: ConnId) {
        if std::mem::take(&mut self.desk.pending_actions.turn_end_requested) {
            self.owed.ask_flush(service);
        }
        if self.desk.pending_actions.actions.is_empty() {
            return;
        }
        let mut actions = std::mem::take(&mut self.desk.pending_actions.actions);
        for action in actions.drain(..) {
            match action {
                Action::Reply(frame) => self.desk.replies.push_encoded(&frame, 1),
                Action::Send(to, payloads, ticket) => {
                    self.deliver(to.as_slice(), SharedFrames::new(payloads.as_slice(), ticket), current);
                }
                Action::Datagram(to, payload) => self.post_datagram(service, to, &payload),
                Action::Close(id, reason) => self.close(id, reason, current),
                Action::SetTimer(id) => self.set_timer(id, TimerOwner { service, conn: current }),
                Action::CancelTimer(id) => {
                    if let Some(TimerOwner { conn, .. }) = self.timers.cancel(id) {
                        self.timers_by_conn.remove(&(conn, id));
                    }
                }
                Action::Offload(job, work) => {
                    if let Some(conn) = self.conns.get_mut(current.0) {
                        conn.job_started();
                    }
                    self.desk.stats.jobs += 1;
                    self.workers.start(Owner { service, conn: current, job }, work);
                }
                Action::NotifyWritable => {
                    if let Some(conn) = self.conns.get_mut(current.0) {
                        conn.flags().writable_requested = true;
                    }
                }
                Action::Shutdown if self.run == Run::Serving => self.drain(),
                Action::Shutdown => {}
            }
        }
        // Nothing above makes a callback, so nothing was added meanwhile; the allocation is kept for the next.
        self.desk.pending_actions.actions = actions;
    }

    /// Queues `frames` for each receiver; the turn's end writes them.
    fn deliver(&mut self, to: &[ConnId], mut frames: SharedFrames<'_>, current: ConnId) {
        for id in to {
            let hears = |conn: &&mut Connection<N::Stream>| match conn.phase() {
                Phase::Open => true,
                // In its own goodbye it may still be spoken to, in whatever way.
                _ => *id == current && conn.accepts_output(),
            };
            let Some(conn) = self.conns.get_mut(id.0).filter(hears) else { continue };
            let Some(batch) = frames.encode_with(conn.framing()) else { continue };
            // More is said in one turn than may wait: whoever reads has room for what was said before.
            if conn.is_queue_full(&self.desk.limits)
                && let Err(reason) = conn.flush(self.desk.clock.moment, &mut self.desk.stats)
            {
                self.end(id.0, reason);
                continue;
            }
            let said = if *id == current {
                // Whatever reply could lie in what was received has been written: actions come after it.
                conn.reply_shared(batch, ReplySource::NONE, &mut self.desk)
            } else {
                conn.enqueue_shared(batch, &mut self.desk)
            };
            self.owed.note_missed(id.0, &mut self.desk.dropped);
            match said {
                Ok(()) if conn.pending_bytes() > 0 => self.owed.mark_dirty(id.0, conn),
                Ok(()) => {}
                Err(reason) => self.end(id.0, reason),
            }
        }
    }

    fn set_timer(&mut self, id: TimerId, owner: TimerOwner) {
        if owner.conn != ConnId::NONE {
            // It would have ended with its connection, which has ended already.
            if !self.conns.get_mut(owner.conn.0).is_some_and(|conn| conn.accepts_output()) {
                return;
            }
            self.timers_by_conn.insert((owner.conn, id));
        }
        self.timers.set(id, owner);
    }

    fn close(&mut self, id: ConnId, reason: crate::service::CloseReason, current: ConnId) {
        if id == current {
            // Its replies precede its end.
            self.send_replies(id.0, &[]);
        }
        self.end(id.0, reason);
    }
}
