//! The state of a thread that makes callbacks, and how it applies their actions.
//!
//! Output for other connections goes into their inboxes while the service's lock is held.
//! Datagrams, jobs and socket writes wait until the lock is released. Under it a thread makes no
//! call that may wait for a peer; it only locks inboxes and tables and wakes other threads.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::current_connection::CurrentConnection;
use super::lifecycle::lock;
use super::offloaded_job::OffloadedJob;
use super::routes::{SharedRoute, ThreadStats};
use super::shared::EngineShared;
use super::socket::{ConnStream, UdpBinding};
use crate::connection::{Phase, WorkerContext};
use crate::engine::jobs::JobOwner;
use crate::engine::timers::TimerOwner;
use crate::frame::Payload;
use crate::frame::{BufferPool, SharedFrames};
use crate::service::CloseReason;
use crate::service::context::{Action, Context, JobFn, PendingActions};
use crate::service::reply_buffer::{ReplyBuffer, ReplySource};
use crate::service::{ConnId, GuardedService, JobOutput, ServiceId};

/// Bytes of free frame buffers that a thread keeps. It is small because there may be thousands of
/// threads.
const BUFFER_POOL_BYTES: usize = 256 * 1024;

/// The state of one thread that makes callbacks.
pub(super) struct Worker {
    pub(super) shared: Arc<EngineShared>,
    pub(super) context: WorkerContext,
    pub(super) thread_stats: Arc<ThreadStats>,
    /// The receivers of the output that is being sent; empty otherwise.
    receivers: Vec<SharedRoute>,
    /// Connections whose inboxes this thread has to deliver.
    undelivered: Vec<SharedRoute>,
    /// Datagrams that are not direct replies to another datagram.
    pub(super) datagrams: Vec<(ServiceId, SocketAddr, Payload)>,
    /// Jobs of this thread's connection that wait to run.
    pub(super) jobs: VecDeque<OffloadedJob>,
    /// Jobs without a connection.
    engine_jobs: Vec<OffloadedJob>,
    /// The reason to close this thread's connection: a callback's action, or a full write queue.
    pub(super) requested_close: Option<CloseReason>,
    /// True if this thread's connection may have timers.
    pub(super) has_timers: bool,
    /// The number of the group of callbacks under way, once it has sent to another connection.
    group: Option<u64>,
}

impl Worker {
    pub(super) fn new(shared: Arc<EngineShared>, thread_stats: Arc<ThreadStats>) -> Self {
        let pending_actions = PendingActions::shared(&shared.id_counter, &shared.warnings);
        let context = WorkerContext::new(
            shared.limits.clone(),
            shared.clock(),
            pending_actions,
            BufferPool::with_max_bytes(BUFFER_POOL_BYTES),
        );
        Self {
            shared,
            context,
            thread_stats,
            receivers: Vec::new(),
            undelivered: Vec::new(),
            datagrams: Vec::new(),
            jobs: VecDeque::new(),
            engine_jobs: Vec::new(),
            requested_close: None,
            has_timers: false,
            group: None,
        }
    }

    /// Reads the clock. All callbacks until the next reading see this time.
    #[inline]
    pub(super) fn read_clock(&mut self) {
        self.context.clock = self.shared.clock();
    }

    /// Makes one callback other than `on_frame` and applies its actions. The caller holds the
    /// service's lock, and calls [`run_turn_end`](Self::run_turn_end) before it releases it.
    pub(super) fn call_service(
        &mut self,
        service: &mut GuardedService,
        (service_id, conn_id): (ServiceId, ConnId),
        current: Option<CurrentConnection<'_>>,
        callback: impl FnOnce(&mut GuardedService, &mut Context<'_>),
    ) {
        let conn = current.as_ref().map(|current| &*current.conn);
        callback(service, &mut self.context.callback_context(conn_id, conn));
        self.apply(service_id, conn_id, current);
    }

    /// Calls `on_turn_end` if the service requested it. Runs before the service's lock is released.
    #[inline]
    pub(super) fn run_turn_end(
        &mut self,
        service: &mut GuardedService,
        service_id: ServiceId,
        current: Option<CurrentConnection<'_>>,
    ) {
        if std::mem::take(&mut self.context.pending_actions.turn_end_requested) {
            self.call_on_turn_end(service, service_id, current);
        }
    }

    fn call_on_turn_end(
        &mut self,
        service: &mut GuardedService,
        service_id: ServiceId,
        current: Option<CurrentConnection<'_>>,
    ) {
        service.on_turn_end(&mut self.context.callback_context::<ConnStream>(ConnId::NONE, None));
        // An instance's requests belong to its connection, because only this thread has the
        // instance.
        let instance = current.as_ref().filter(|current| current.shared_conn.is_none()).map(|current| current.id);
        self.apply(service_id, instance.unwrap_or(ConnId::NONE), current);
        // `on_turn_end` requested another call. The control thread makes it in a later turn.
        if instance.is_none() && std::mem::take(&mut self.context.pending_actions.turn_end_requested) {
            self.shared.control.request_turn_end(service_id);
        }
    }

    /// Applies the actions of a callback of `service` about `callback_conn`, in order. `current` is
    /// this thread's connection; its replies are still in the reply buffer. The caller holds the
    /// service's lock, so this function writes to no socket and runs no job.
    #[inline]
    pub(super) fn apply(&mut self, service: ServiceId, callback_conn: ConnId, current: Option<CurrentConnection<'_>>) {
        if !self.context.pending_actions.actions.is_empty() {
            self.apply_all(service, callback_conn, current);
        }
    }

    fn apply_all(&mut self, service: ServiceId, callback_conn: ConnId, mut current: Option<CurrentConnection<'_>>) {
        let mut actions = std::mem::take(&mut self.context.pending_actions.actions);
        for action in actions.drain(..) {
            match action {
                Action::Reply(frame) => self.context.replies.push_encoded(&frame, 1),
                Action::Send(to, payloads, batch) => {
                    let frames = SharedFrames::new(&payloads, batch, &self.shared.memory.batches);
                    self.send_frames(&to, frames, callback_conn, current.as_mut());
                }
                Action::Datagram(to, payload) => self.datagrams.push((service, to, payload)),
                Action::Close(id, reason) if current.as_ref().is_some_and(|current| current.id == id) => {
                    self.requested_close.get_or_insert(reason);
                }
                Action::Close(id, reason) => {
                    self.shared.routes.find([id].into_iter(), &mut self.receivers);
                    if let Some(route) = self.receivers.pop()
                        && route.conn.enqueue_close(reason)
                    {
                        self.undelivered.push(route);
                    }
                }
                Action::SetTimer(timer) if callback_conn == ConnId::NONE => {
                    lock(&self.shared.timers).set(timer, TimerOwner { service, conn: callback_conn });
                    // The control thread fires the timers without a connection, whichever thread
                    // set them.
                    self.shared.control.notify();
                }
                // If the connection has closed, its timers have ended with it, so this one is not
                // set.
                Action::SetTimer(timer) if current.as_ref().is_some_and(|current| current.conn.accepts_output()) => {
                    self.has_timers = true;
                    lock(&self.shared.timers).set(timer, TimerOwner { service, conn: callback_conn });
                }
                Action::SetTimer(_) => {}
                Action::CancelTimer(timer) => _ = lock(&self.shared.timers).remove(timer),
                Action::Hold(id, bytes) => match &mut current {
                    Some(current) if current.id == id => current.conn.hold(bytes),
                    _ => {
                        self.shared.routes.find([id].into_iter(), &mut self.receivers);
                        let route = self.receivers.pop();
                        self.undelivered.extend(route.filter(|route| route.conn.enqueue_hold(bytes)));
                    }
                },
                Action::Offload(id, bytes, work) => {
                    self.context.stats.jobs += 1;
                    let job = OffloadedJob::new(service, id, bytes, work, &self.shared.jobs);
                    match &mut current {
                        Some(current) if callback_conn == current.id => {
                            current.conn.job_started(bytes);
                            self.jobs.push_back(job);
                        }
                        _ => self.engine_jobs.push(job),
                    }
                }
                Action::RequestStats(job) => match &mut current {
                    Some(current) if callback_conn == current.id => {
                        current.conn.job_started(0);
                        let shared = Arc::clone(&self.shared);
                        let work: JobFn = Box::new(move || Box::new(shared.stats()));
                        self.jobs.push_back(OffloadedJob::new(service, job, 0, work, &self.shared.jobs));
                    }
                    _ => {
                        let stats = self.shared.stats();
                        let output = JobOutput::of(Box::new(|| Box::new(stats)));
                        let owner = JobOwner { service, conn: ConnId::NONE, job, bytes: 0 };
                        self.shared.control.add_done_job(owner, output);
                    }
                },
                Action::NotifyWritable => {
                    if let Some(current) = current.as_mut().filter(|current| callback_conn == current.id) {
                        current.conn.request_writable();
                    }
                }
                Action::Drain => self.shared.control.request_drain(),
                Action::Panicked(panic) => {
                    let own = current.as_ref().filter(|current| current.id == callback_conn);
                    let name = self.shared.service_slot(service).map_or("", |slot| &slot.name);
                    self.context.note_panic(name, own.map(|current| current.conn.peer()), &panic);
                    if panic.stops_service {
                        self.context.note_service_stop(name);
                        self.shared.stop_service(service);
                    }
                }
            }
        }
        // Applying actions makes no callback, so no action was added meanwhile. The allocation is
        // kept for the next callback.
        self.context.pending_actions.actions = actions;
    }

    /// Puts `frames` into each receiver's inbox; for this thread's connection, into its replies or
    /// write queue.
    fn send_frames(
        &mut self,
        to: &[ConnId],
        mut frames: SharedFrames<'_>,
        callback_conn: ConnId,
        current: Option<&mut CurrentConnection<'_>>,
    ) {
        let own_id = current.as_ref().map_or(ConnId::NONE, |current| current.id);
        let mut others = to.iter().copied().filter(|id| *id != own_id).peekable();
        let mut group = 0;
        if others.peek().is_some() {
            let groups = &self.shared.groups;
            group = *self.group.get_or_insert_with(|| groups.fetch_add(1, Ordering::Relaxed) + 1);
            self.shared.routes.find(others, &mut self.receivers);
        }
        for route in self.receivers.drain(..) {
            if let Some(batch) = frames.encode_with(route.conn.framing)
                && route.conn.enqueue(batch, group, &self.context.limits)
            {
                self.undelivered.push(route);
            }
        }
        let Some(current) = current else {
            self.context.warn_of_unsent(frames.take_failure());
            return;
        };
        // A connection still receives output from its own `on_close`.
        let receives =
            current.conn.phase() == Phase::Open || (callback_conn == own_id && current.conn.accepts_output());
        for _ in to.iter().filter(|id| receives && **id == own_id) {
            if let Some(batch) = frames.encode_with(current.conn.framing())
                && let Err(reason) =
                    current.conn.reply_shared(batch, ReplySource::received(current.received), &mut self.context)
            {
                self.requested_close.get_or_insert(reason);
            }
            current.note_dropped(&mut self.context);
        }
        self.context.warn_of_unsent(frames.take_failure());
    }

    /// Delivers inboxes, sends datagrams, and starts jobs without a connection, whose results go to
    /// the control thread. The caller has released the service's lock.
    #[inline]
    pub(super) fn deliver(&mut self) {
        self.group = None;
        if !self.undelivered.is_empty() || !self.datagrams.is_empty() || !self.engine_jobs.is_empty() {
            self.deliver_all();
        }
    }

    fn deliver_all(&mut self) {
        let mut undelivered = std::mem::take(&mut self.undelivered);
        for route in undelivered.drain(..) {
            route.deliver(&mut self.context, &self.shared.memory);
        }
        self.undelivered = undelivered;
        for (service, to, payload) in std::mem::take(&mut self.datagrams) {
            let fits = |udp_binding: &&UdpBinding| {
                udp_binding.service == service && udp_binding.local.is_ipv4() == to.is_ipv4()
            };
            let sent = self.shared.udp_bindings.iter().find(fits).map(|udp_binding| udp_binding.send(&payload, to));
            if let Some(Ok(())) = sent {
                self.context.stats.datagrams_out += 1;
            } else {
                self.context.stats.datagrams_dropped += 1;
                let name = self.shared.service_slot(service).map_or("", |slot| &slot.name);
                self.context.warn_of_lost_datagram(name, to);
            }
        }
        for OffloadedJob { service, id: job, bytes, work, .. } in self.engine_jobs.drain(..) {
            self.shared.memory.adjust(0, bytes as u64);
            self.shared.control.start_job(JobOwner { service, conn: ConnId::NONE, job, bytes }, work);
        }
    }

    /// Writes the queued output, then the replies. Replies before an unsendable one are still sent.
    ///
    /// # Errors
    /// The reason why the connection has to close.
    pub(super) fn send_replies(&mut self, current: &mut CurrentConnection<'_>) -> Result<(), CloseReason> {
        let unsendable = self.context.replies.take_failure().map(CloseReason::UnsendableReply);
        let sent = current.conn.send_replies(ReplySource::received(current.received), &mut self.context);
        current.note_dropped(&mut self.context);
        sent.and_then(|()| current.conn.flush(&mut self.context))?;
        unsendable.map_or(Ok(()), Err)
    }

    /// Frees the buffers that an idle thread does not need.
    pub(super) fn free_buffers(&mut self) {
        self.context.replies = ReplyBuffer::default();
        self.context.buffer_pool.clear();
        (self.receivers, self.undelivered) = (Vec::new(), Vec::new());
    }

    #[inline]
    pub(super) fn publish(&mut self) {
        let stats = &mut self.context.stats;
        self.thread_stats.publish(stats);
        if !stats.ends.is_empty() || !stats.refusals.is_empty() {
            self.shared.routes.count_causes(stats);
        }
    }
}
