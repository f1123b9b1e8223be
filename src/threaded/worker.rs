//! What every thread that makes callbacks has of its own, and how it does what they asked for.
//!
//! What is said to others is put into their posts while the service's lock is held; datagrams, jobs and writes wait until it
//! is not, because none of them may be done under it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::shared::{Exchange, lock};
use super::shared_connection::Line;
use super::socket::Plug;
use super::thread_stats::Tally;
use crate::connection::{Connection, Phase, WorkerContext};
use crate::engine::jobs::JobOwner;
use crate::frame::Payload;
use crate::frame::{BufferPool, SharedFrames};
use crate::service::CloseReason;
use crate::service::context::{Action, Context, PendingActions, ReplyTo, Work};
use crate::service::reply_buffer::ReplySource;
use crate::service::{ConnId, JobError, JobId, JobOutput, Service, ServiceId};

/// Memory that a thread keeps for large frames, in bytes: there may be thousands of threads.
const SPARE_BYTES: usize = 256 * 1024;

/// One thread's means.
pub(super) struct Agent {
    pub(super) exchange: Arc<Exchange>,
    pub(super) desk: WorkerContext,
    pub(super) tally: Arc<Tally>,
    /// Connections whose post waits for this thread to deliver it.
    undelivered: Vec<(Arc<Line>, Arc<Tally>)>,
    /// Datagrams that are no direct answer to another.
    pub(super) mail: Vec<(ServiceId, SocketAddr, Payload)>,
    /// Work that was asked for the connection and not begun.
    pub(super) jobs: VecDeque<Job>,
    /// Work that is about nobody.
    errands: Vec<Job>,
    /// The callback asked for the end of the very connection it was about.
    pub(super) own_end: Option<CloseReason>,
    /// The connection that this thread is for may have timers.
    pub(super) has_timers: bool,
}

/// The connection that a thread is for, while callbacks are made that may speak to it.
pub(super) struct Own<'a> {
    pub(super) id: ConnId,
    pub(super) conn: &'a mut Connection<Plug>,
    pub(super) line: Option<&'a Line>,
    /// What was received, in which replies may lie.
    pub(super) received: &'a [u8],
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
        let effects = PendingActions::numbered_by(&exchange.numbers);
        let desk = WorkerContext::new(
            exchange.limits.clone(),
            exchange.clock(),
            effects,
            BufferPool::with_max_bytes(SPARE_BYTES),
        );
        let (undelivered, mail, jobs, errands) = (Vec::new(), Vec::new(), VecDeque::new(), Vec::new());
        Self { exchange, desk, tally, undelivered, mail, jobs, errands, own_end: None, has_timers: false }
    }

    /// Reads the clock: every callback until the next reading sees this time.
    #[inline]
    pub(super) fn look_at_the_clock(&mut self) {
        self.desk.clock = self.exchange.clock();
    }

    /// Makes one callback that is not about a frame, of a service whose lock is held, as the last one before it is let go of.
    pub(super) fn call(
        &mut self,
        service: &mut dyn Service,
        id: (ServiceId, ConnId),
        mut own: Option<Own<'_>>,
        callback: impl FnOnce(&mut dyn Service, &mut Context<'_>),
    ) {
        let WorkerContext { clock, pending_actions: effects, .. } = &mut self.desk;
        match &own {
            Some(Own { conn, .. }) if conn.accepts_output() => {
                callback(
                    service,
                    &mut self.desk.service_context(id.1, conn.framing(), ReplySource::NONE, conn.pending_bytes()),
                );
            }
            _ => callback(service, &mut Context { conn: id.1, clock: *clock, reply_to: ReplyTo::None, effects }),
        }
        self.apply(id.0, id.1, own.as_mut().map(Own::again));
        self.let_flush(service, id.0, own);
    }

    /// Before a service's lock is let go of: has it say what it has collected, if it has asked for that.
    #[inline]
    pub(super) fn let_flush(&mut self, service: &mut dyn Service, id: ServiceId, own: Option<Own<'_>>) {
        if std::mem::take(&mut self.desk.pending_actions.turn_end_requested) {
            self.flush(service, id, own);
        }
    }

    fn flush(&mut self, service: &mut dyn Service, id: ServiceId, own: Option<Own<'_>>) {
        let WorkerContext { clock, pending_actions: effects, .. } = &mut self.desk;
        let nobody = ConnId::NONE;
        service.on_turn_end(&mut Context { conn: nobody, clock: *clock, reply_to: ReplyTo::None, effects });
        // What an instance asks for has to come back to it, and its thread is the only one that knows it.
        let instance = own.as_ref().filter(|own| own.line.is_none()).map(|own| own.id);
        self.apply(id, instance.unwrap_or(nobody), own);
        if instance.is_none() && std::mem::take(&mut self.desk.pending_actions.turn_end_requested) {
            self.exchange.flush_again(id);
        }
    }

    /// Applies the actions of a callback of `service` about `about`, on the thread that is for `own`, whose replies are still in
    /// the outbox. The service's lock is held, so nothing here may wait.
    #[inline]
    pub(super) fn apply(&mut self, service: ServiceId, about: ConnId, own: Option<Own<'_>>) {
        if !self.desk.pending_actions.actions.is_empty() {
            self.apply_all(service, about, own);
        }
    }

    fn apply_all(&mut self, service: ServiceId, about: ConnId, mut own: Option<Own<'_>>) {
        let mut actions = std::mem::take(&mut self.desk.pending_actions.actions);
        for action in actions.drain(..) {
            match action {
                Action::Reply(frame) => self.desk.replies.push_encoded(&frame, 1),
                Action::Send(to, payloads, ticket) => {
                    self.say(to.as_slice(), SharedFrames::new(payloads.as_slice(), ticket), about, own.as_mut());
                }
                Action::Datagram(to, payload) => self.mail.push((service, to, payload)),
                Action::Close(id, reason) if own.as_ref().is_some_and(|own| own.id == id) => {
                    self.own_end.get_or_insert(reason);
                }
                Action::Close(id, reason) => {
                    if let Some((line, tally)) = self.exchange.line(id)
                        && line.close(reason)
                    {
                        self.undelivered.push((line, tally));
                    }
                }
                Action::SetTimer(timer) if about == ConnId::NONE => {
                    self.exchange.alarms.set(timer, service, about);
                    // Whoever set it, it is fired by the thread that runs the engine.
                    self.exchange.control.notify();
                }
                // The timer of one who has gone would have ended with it.
                Action::SetTimer(timer) if own.as_ref().is_some_and(|own| own.conn.accepts_output()) => {
                    self.has_timers = true;
                    self.exchange.alarms.set(timer, service, about);
                }
                Action::SetTimer(_) => {}
                Action::CancelTimer(timer) => _ = self.exchange.alarms.take(timer),
                Action::Offload(id, work) => {
                    self.desk.stats.jobs += 1;
                    let job = Job { service, id, work };
                    match &mut own {
                        Some(own) if about == own.id => {
                            own.conn.job_started();
                            self.jobs.push_back(job);
                        }
                        _ => self.errands.push(job),
                    }
                }
                Action::NotifyWritable => {
                    if let Some(own) = own.as_mut().filter(|own| about == own.id) {
                        own.conn.flags().writable_requested = true;
                    }
                }
                Action::Shutdown => {
                    self.exchange.drain_asked.store(true, Ordering::Release);
                    self.exchange.control.notify();
                }
            }
        }
        // Nothing above makes a callback, so nothing was added meanwhile; the allocation is kept for the next.
        self.desk.pending_actions.actions = actions;
    }

    /// Puts `frames` into each receiver's post.
    fn say(&mut self, to: &[ConnId], mut frames: SharedFrames<'_>, about: ConnId, mut own: Option<&mut Own<'_>>) {
        for id in to {
            if let Some(own) = own.as_mut().filter(|own| own.id == *id) {
                // In its own goodbye it may still be spoken to, in whatever way.
                let hears = own.conn.phase() == Phase::Open || (about == *id && own.conn.accepts_output());
                if hears
                    && let Some(batch) = frames.encode_with(own.conn.framing())
                    && let Err(reason) =
                        own.conn.reply_shared(batch, ReplySource::received(own.received), &mut self.desk)
                {
                    self.own_end.get_or_insert(reason);
                }
                own.note_missed(&mut self.desk);
            } else if let Some((line, tally)) = self.exchange.line(*id)
                && let Some(batch) = frames.encode_with(line.framing)
                && line.say(batch, &self.desk.limits)
            {
                self.undelivered.push((line, tally));
            }
        }
    }

    /// Does what had to wait until the service's lock was let go of: writes to others, sends datagrams, and gives work that is
    /// about nobody to those who have nothing else to do. The thread that runs the engine hears of its end.
    #[inline]
    pub(super) fn deliver(&mut self) {
        if !self.undelivered.is_empty() || !self.mail.is_empty() || !self.errands.is_empty() {
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
            let fits = |mailbox: &&super::shared::Mailbox| {
                mailbox.service == service && mailbox.local.is_ipv4() == to.is_ipv4()
            };
            let sent = self.exchange.mailboxes.iter().find(fits).map(|mailbox| mailbox.send(&payload, to));
            match sent {
                Some(Ok(())) => self.desk.stats.datagrams_out += 1,
                _ => self.desk.stats.datagrams_dropped += 1,
            }
        }
        for Job { service, id: job, work } in self.errands.drain(..) {
            lock(&self.exchange.workers).start(JobOwner { service, conn: ConnId::NONE, job }, work);
        }
    }

    /// Writes the replies in the outbox, and what they had to be queued for.
    pub(super) fn send_replies(&mut self, own: &mut Own<'_>) -> Result<(), CloseReason> {
        let unsendable = self.desk.replies.take_failure().map(CloseReason::UnsendableReply);
        let sent = own.conn.send_replies(ReplySource::received(own.received), &mut self.desk);
        own.note_missed(&mut self.desk);
        sent.and_then(|()| own.conn.flush(self.desk.clock.moment, &mut self.desk.stats))?;
        unsendable.map_or(Ok(()), Err)
    }

    #[inline]
    pub(super) fn publish(&mut self) {
        self.tally.publish(&mut self.desk.stats);
    }
}

impl Own<'_> {
    /// The same, for somebody who comes first.
    pub(super) fn again(&mut self) -> Own<'_> {
        Own { id: self.id, conn: self.conn, line: self.line, received: self.received }
    }

    /// Has what it has just missed told to its service, when no callback is under way. Without a line, nobody but its thread
    /// makes it miss anything, and finds that on its desk.
    fn note_missed(&self, desk: &mut WorkerContext) {
        if let Some(line) = self.line
            && !desk.dropped.is_empty()
        {
            line.note_missed(&mut desk.dropped);
        }
    }
}

impl Job {
    /// Does the work here and now: the thread has nobody else to serve.
    pub(super) fn run(self) -> Done {
        let output = catch_unwind(AssertUnwindSafe(self.work)).map_err(|_| JobError::Panicked);
        (self.id, JobOutput(output))
    }

    /// Leaves it undone.
    pub(super) fn refuse(self) -> Done {
        (self.id, JobOutput(Err(JobError::Rejected)))
    }
}
