//! What every thread that makes callbacks has of its own, and how it does what they asked for.
//!
//! What is said to others is put into their posts while the service's lock is held; datagrams, jobs and writes wait until it
//! is not, because none of them may be done under it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::exchange::{Exchange, lock};
use super::line::Line;
use super::socket::Plug;
use super::tally::Tally;
use crate::connection::{Connection, Desk};
use crate::context::{Action, Context, Effects, ReplyTo, Work};
use crate::error::CloseReason;
use crate::frame::{Framing, SharedFrames, Spares};
use crate::jobs::Owner;
use crate::outbox::Origin;
use crate::payload::Payload;
use crate::service::{ConnId, JobError, JobId, JobOutput, Service, ServiceId};

/// Memory that a thread keeps for large frames, in bytes: there may be thousands of threads.
const SPARE_BYTES: usize = 256 * 1024;

/// One thread's means.
pub(super) struct Agent {
    pub(super) exchange: Arc<Exchange>,
    pub(super) desk: Desk,
    pub(super) tally: Arc<Tally>,
    /// Connections whose post waits for this thread to deliver it.
    undelivered: Vec<(Arc<Line>, Arc<Tally>)>,
    /// Datagrams that are no direct answer to another.
    pub(super) mail: Vec<(ServiceId, SocketAddr, Payload)>,
    /// Work that was asked for and not begun.
    pub(super) jobs: VecDeque<Job>,
    /// The callback asked for the end of the very connection it was about.
    pub(super) own_end: Option<CloseReason>,
    /// The connection that this thread is for may have timers.
    pub(super) has_timers: bool,
}

/// Offloaded work.
pub(super) struct Job {
    service: ServiceId,
    id: JobId,
    work: Work,
}

/// What came of it.
pub(super) type Done = (JobId, JobOutput);

impl Agent {
    pub(super) fn new(exchange: Arc<Exchange>, tally: Arc<Tally>) -> Self {
        let effects = Effects::numbered_by(&exchange.numbers);
        let desk = Desk::new(exchange.limits.clone(), exchange.clock(), effects, Spares::at_most(SPARE_BYTES));
        let (undelivered, mail, jobs) = (Vec::new(), Vec::new(), VecDeque::new());
        Self { exchange, desk, tally, undelivered, mail, jobs, own_end: None, has_timers: false }
    }

    /// Reads the clock: every callback until the next reading sees this time.
    #[inline]
    pub(super) fn look_at_the_clock(&mut self) {
        self.desk.clock = self.exchange.clock();
    }

    /// Makes one callback that is not about a frame, of a service whose lock is held.
    pub(super) fn call(
        &mut self,
        service: &mut dyn Service,
        id: (ServiceId, ConnId),
        conn: Option<&mut Connection<Plug>>,
        callback: impl FnOnce(&mut dyn Service, &mut Context<'_>),
    ) {
        let Desk { clock, effects, .. } = &mut self.desk;
        match conn {
            Some(conn) if conn.takes_output() => {
                let mut cx = self.desk.context(id.1, conn.framing(), Origin::NONE, conn.pending_bytes());
                callback(service, &mut cx);
                self.apply(id.0, id.1, Some(conn));
            }
            conn => {
                callback(service, &mut Context { conn: id.1, clock: *clock, reply_to: ReplyTo::Nobody, effects });
                self.apply(id.0, id.1, conn);
            }
        }
    }

    /// Applies the actions of a callback of `service` about `current`, whose replies are still in the outbox. The service's
    /// lock is held, so nothing here may wait.
    #[inline]
    pub(super) fn apply(&mut self, service: ServiceId, current: ConnId, conn: Option<&mut Connection<Plug>>) {
        if !self.desk.effects.actions.is_empty() {
            self.apply_all(service, current, conn);
        }
    }

    fn apply_all(&mut self, service: ServiceId, current: ConnId, mut conn: Option<&mut Connection<Plug>>) {
        let mut actions = std::mem::take(&mut self.desk.effects.actions);
        let takes_output = conn.as_ref().is_some_and(|conn| conn.takes_output());
        let framing = conn.as_ref().filter(|_| takes_output).map(|conn| conn.framing());
        for action in actions.drain(..) {
            match action {
                Action::Reply(frame) => self.desk.outbox.push_encoded(&frame),
                Action::Send(to, payload) => self.say(&[to], &payload, current, framing),
                Action::Broadcast(to, payload) => self.say(&to, &payload, current, framing),
                Action::Datagram(to, payload) => self.mail.push((service, to, payload)),
                Action::Close(id, reason) if id == current => _ = self.own_end.get_or_insert(reason),
                Action::Close(id, reason) => {
                    if let Some((line, tally)) = self.exchange.line(id)
                        && line.close(reason)
                    {
                        self.undelivered.push((line, tally));
                    }
                }
                Action::SetTimer(timer) if current == ConnId::NOBODY => {
                    self.exchange.alarms.set(timer, service, current);
                    // Whoever set it, it is fired by the thread that runs the engine.
                    self.exchange.control.ring();
                }
                // The timer of one who has gone would have ended with it.
                Action::SetTimer(timer) if takes_output => {
                    self.has_timers = true;
                    self.exchange.alarms.set(timer, service, current);
                }
                Action::SetTimer(_) => {}
                Action::CancelTimer(timer) => _ = self.exchange.alarms.take(timer),
                Action::Offload(id, work) => {
                    if let Some(conn) = &mut conn {
                        conn.job_started();
                    }
                    self.desk.stats.jobs += 1;
                    self.jobs.push_back(Job { service, id, work });
                }
                Action::NotifyDrain => {
                    if let Some(conn) = &mut conn {
                        conn.flags().drain_watched = true;
                    }
                }
                Action::Shutdown => {
                    self.exchange.drain_asked.store(true, Ordering::Release);
                    self.exchange.control.ring();
                }
            }
        }
        // Nothing above makes a callback, so nothing was added meanwhile; the allocation is kept for the next.
        self.desk.effects.actions = actions;
    }

    /// Frames `payload` once for each framing among the receivers and puts it into each one's post.
    fn say(&mut self, to: &[ConnId], payload: &Payload, current: ConnId, current_framing: Option<Framing>) {
        let mut frames = SharedFrames::of(payload);
        for id in to {
            if *id == current {
                if let Some(frame) = current_framing.and_then(|framing| frames.under(framing)) {
                    self.desk.outbox.push_encoded(frame);
                }
            } else if let Some((line, tally)) = self.exchange.line(*id)
                && let Some(frame) = frames.under(line.framing)
                && line.say(frame, &self.desk.limits)
            {
                self.undelivered.push((line, tally));
            }
        }
    }

    /// Does what had to wait until the service's lock was let go of: writes to others, and sends datagrams.
    #[inline]
    pub(super) fn deliver(&mut self) {
        if !self.undelivered.is_empty() || !self.mail.is_empty() {
            self.deliver_all();
        }
    }

    fn deliver_all(&mut self) {
        let mut undelivered = std::mem::take(&mut self.undelivered);
        for (line, tally) in undelivered.drain(..) {
            line.deliver(&mut self.desk, &self.exchange.budget, &tally);
        }
        self.undelivered = undelivered;
        for (service, to, payload) in std::mem::take(&mut self.mail) {
            let fits = |mailbox: &&super::exchange::Mailbox| {
                mailbox.service == service && mailbox.local.is_ipv4() == to.is_ipv4()
            };
            let sent = self.exchange.mailboxes.iter().find(fits).map(|mailbox| mailbox.send(&payload, to));
            match sent {
                Some(Ok(())) => self.desk.stats.datagrams_out += 1,
                _ => self.desk.stats.datagrams_dropped += 1,
            }
        }
    }

    /// Writes the replies in the outbox, which may lie in what was `received`, to the connection they are for.
    pub(super) fn send_replies(
        &mut self,
        conn: Option<&mut Connection<Plug>>,
        received: &[u8],
    ) -> Result<(), CloseReason> {
        let unsendable = self.desk.outbox.take_failure().map(CloseReason::UnsendableReply);
        let Some(conn) = conn else {
            self.desk.outbox.clear();
            return Ok(());
        };
        conn.send(Origin::received(received), &mut self.desk)?;
        unsendable.map_or(Ok(()), Err)
    }

    /// Gives work that is about nobody to those who have nothing else to do. The thread that runs the engine hears of its end.
    pub(super) fn give_away_jobs(&mut self) {
        while let Some(Job { service, id: job, work }) = self.jobs.pop_front() {
            lock(&self.exchange.workers).start(Owner { service, conn: ConnId::NOBODY, job }, work);
        }
    }

    #[inline]
    pub(super) fn publish(&mut self) {
        self.tally.publish(&mut self.desk.stats);
    }
}

impl Job {
    /// Does the work here and now: the thread has nobody else to serve.
    pub(super) fn run(self) -> Done {
        let output = catch_unwind(AssertUnwindSafe(self.work)).map_err(|_| JobError::Panicked);
        (self.id, JobOutput(output))
    }
}
