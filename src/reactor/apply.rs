//! What callbacks asked for beyond replying, done once they have returned.

use super::net::Net;
use super::turn::{Run, TimerOwner, Turn};
use crate::connection::{Connection, Phase};
use crate::context::Action;
use crate::frame::SharedFrames;
use crate::jobs::Owner;
use crate::payload::Payload;
use crate::service::{ConnId, ServiceId, TimerId};

impl<N: Net> Turn<N> {
    /// Applies the actions of a callback of `service` about `current`, whose replies are still in the outbox. What is sent to
    /// `current` joins them there, so that it sees everything in the order in which it was said.
    pub(super) fn apply(&mut self, service: ServiceId, current: ConnId) {
        if self.desk.effects.actions.is_empty() {
            return;
        }
        let mut actions = std::mem::take(&mut self.desk.effects.actions);
        for action in actions.drain(..) {
            match action {
                Action::Reply(frame) => self.desk.outbox.push_encoded(&frame),
                Action::Send(to, payload) => self.deliver(&[to], &payload, current),
                Action::Broadcast(to, payload) => self.deliver(&to, &payload, current),
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
                Action::NotifyDrain => {
                    if let Some(conn) = self.conns.get_mut(current.0) {
                        conn.flags().drain_watched = true;
                    }
                }
                Action::Shutdown if self.run == Run::Serving => self.drain(),
                Action::Shutdown => {}
            }
        }
        // Nothing above makes a callback, so nothing was added meanwhile; the allocation is kept for the next.
        self.desk.effects.actions = actions;
    }

    /// Frames `payload` once for each framing among the receivers and queues it for each; the turn's end writes it.
    fn deliver(&mut self, to: &[ConnId], payload: &Payload, current: ConnId) {
        let mut frames = SharedFrames::of(payload);
        let moment = self.desk.clock.moment;
        for id in to {
            let hears = |conn: &&mut Connection<N::Stream>| match conn.phase() {
                Phase::Open => true,
                // In its own goodbye it may still be spoken to, in whatever way.
                _ => *id == current && conn.takes_output(),
            };
            let Some(conn) = self.conns.get_mut(id.0).filter(hears) else { continue };
            let Some(frame) = frames.under(conn.framing()) else { continue };
            if *id == current {
                self.desk.outbox.push_encoded(frame);
                continue;
            }
            match conn.offer_shared(frame, &self.desk.limits, moment, &mut self.desk.stats) {
                Ok(()) => Self::mark_dirty(&mut self.dirty, id.0, conn),
                Err(reason) => self.end(id.0, reason),
            }
        }
    }

    fn set_timer(&mut self, id: TimerId, owner: TimerOwner) {
        if owner.conn != ConnId::NOBODY {
            // It would have ended with its connection, which has ended already.
            if !self.conns.get_mut(owner.conn.0).is_some_and(|conn| conn.takes_output()) {
                return;
            }
            self.timers_by_conn.insert((owner.conn, id));
        }
        self.timers.set(id, owner);
    }

    fn close(&mut self, id: ConnId, reason: crate::error::CloseReason, current: ConnId) {
        if id == current {
            // Its replies precede its end.
            self.send_replies(id.0, &[]);
        }
        self.end(id.0, reason);
    }
}
