//! The actions that a callback asked for, applied after it has returned.
//!
//! No action makes a callback here, so callbacks never nest.

use super::shared::{Shared, name_of};
use super::targets::Targets;
use crate::connection::Stream;
use crate::engine::jobs::JobOwner;
use crate::engine::timers::TimerOwner;
use crate::frame::SharedFrames;
use crate::service::context::Action;
use crate::service::reply_buffer::ReplySource;
use crate::service::{CloseReason, ConnId, JobOutput, ServiceId};

impl Shared {
    /// Applies the actions of a callback of `service`, in order. The replies of the current
    /// connection are still in the reply buffer. What is sent to it joins them there, or is queued
    /// after them if it has a batch id, so its peer receives everything in the order of sending.
    #[inline]
    pub(super) fn apply_actions<S: Stream>(&mut self, service: ServiceId, targets: &mut Targets<'_, '_, S>) {
        if std::mem::take(&mut self.worker.pending_actions.turn_end_requested) {
            self.turn_end.request(service);
        }
        if !self.worker.pending_actions.actions.is_empty() {
            self.apply_all(service, targets);
        }
    }

    fn apply_all<S: Stream>(&mut self, service: ServiceId, targets: &mut Targets<'_, '_, S>) {
        let conn = targets.id;
        let mut actions = std::mem::take(&mut self.worker.pending_actions.actions);
        for action in actions.drain(..) {
            match action {
                Action::Reply(frame) => self.worker.replies.push_encoded(&frame, 1),
                Action::Send(to, payloads, batch) => {
                    let frames = SharedFrames::new(&payloads, batch, &self.memory.batches);
                    self.send_frames(&to, frames, targets);
                }
                Action::Datagram(to, payload) => self.queue_datagram(service, to, &payload),
                Action::Close(id, reason) => self.close_requested(id, reason, targets),
                // A timer ends with its connection, which may have closed already.
                Action::SetTimer(id) => {
                    let is_open = targets.current.as_ref().is_some_and(|conn| conn.accepts_output());
                    if conn == ConnId::NONE || is_open {
                        self.timers.set(id, TimerOwner { service, conn });
                    }
                }
                Action::CancelTimer(id) => _ = self.timers.remove(id),
                Action::Hold(id, bytes) => {
                    let is_current = id == targets.id;
                    let Some(conn) = targets.get_mut(id) else { continue };
                    conn.hold(bytes);
                    // Another connection's bytes are counted at the turn's end, where it may
                    // resume.
                    if !is_current {
                        self.turn_end.mark_dirty(id.0, conn);
                    }
                }
                Action::Offload(job, bytes, work) => {
                    match &mut targets.current {
                        Some(conn) => conn.job_started(bytes),
                        None => self.worker.stats.buffered_bytes += bytes as u64,
                    }
                    self.worker.stats.jobs += 1;
                    self.threads.job_pools.start(JobOwner { service, conn, job, bytes }, work);
                }
                Action::RequestStats(job) => {
                    if let Some(conn) = &mut targets.current {
                        conn.job_started(0);
                    }
                    let stats = self.stats();
                    let output = JobOutput::of(Box::new(|| Box::new(stats)));
                    self.threads.job_pools.add_done(JobOwner { service, conn, job, bytes: 0 }, output);
                    // Step 7 of this turn or the next delivers it.
                    self.threads.woken = true;
                }
                Action::NotifyWritable => {
                    if let Some(conn) = &mut targets.current {
                        conn.request_writable();
                    }
                }
                Action::Drain if self.is_serving() => {
                    self.drain_requested = true;
                    if let Some(conn) = &mut targets.current {
                        conn.close_when_answered(CloseReason::ShuttingDown);
                    }
                }
                Action::Drain => {}
                Action::Panicked(panic) => {
                    let peer = targets.current.as_ref().map(|conn| conn.peer());
                    self.worker.note_panic(name_of(&self.services, service), peer, &panic);
                    // At the turn's end, when no callback is under way.
                    self.turn_end.stopped_services.extend(panic.stops_service.then_some(service));
                }
            }
        }
        // Applying actions makes no callback, so no action was added meanwhile. The allocation is
        // kept for the next callback.
        self.worker.pending_actions.actions = actions;
    }

    /// Queues `frames` for each receiver; the turn's end writes them.
    fn send_frames<S: Stream>(
        &mut self,
        to: &[ConnId],
        mut frames: SharedFrames<'_>,
        targets: &mut Targets<'_, '_, S>,
    ) {
        let current = targets.id;
        for id in to {
            let Some(conn) = targets.receiver(*id) else { continue };
            let Some(batch) = frames.encode_with(conn.framing()) else { continue };
            // One turn has queued more than the limit. Flush first: a peer that reads has room for
            // what was queued before.
            if conn.is_queue_full(&self.worker.limits)
                && let Err(reason) = conn.flush_full(&mut self.worker)
            {
                self.begin_close(id.0, conn, reason);
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
                Err(reason) => self.begin_close(id.0, conn, reason),
            }
        }
        self.worker.warn_of_unsent(frames.take_failure());
    }

    /// Closes a connection for a service. The replies of the current connection are sent before its
    /// close.
    fn close_requested<S: Stream>(&mut self, id: ConnId, reason: CloseReason, targets: &mut Targets<'_, '_, S>) {
        let is_current = id == targets.id;
        let Some(conn) = targets.get_mut(id) else { return };
        if is_current {
            self.send_replies(id.0, conn, &[]);
        }
        self.begin_close(id.0, conn, reason);
    }
}
