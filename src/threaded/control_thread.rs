//! The thread that called `run`. It starts the other threads and does the work without a
//! connection: posts and commands, timers, rejected connections, memory above its limit, the drain
//! and its deadline.

use std::collections::VecDeque;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};

use super::lifecycle::lock;
use super::shared::EngineShared;
use super::socket::{ConnStream, poll};
use super::worker::Worker;
use crate::connection::{Connection, DeadlineCheck, PeerEnd, Phase, Readiness};
use crate::engine::budget::COST_OF_ACTING;
use crate::engine::handle::{Command, HandleReceiver};
use crate::engine::jobs::JobOwner;
use crate::engine::lag::Work;
use crate::engine::run_state::RunState;
use crate::frame::plural::counted;
use crate::service::time::Timestamp;
use crate::service::{ConnId, Context, GuardedService, JobOutput, ServiceId};

/// Bytes of the buffer into which input of rejected connections is discarded.
pub(super) const DISCARD_BUFFER_BYTES: usize = 4 * 1024;

/// The thread that runs the engine.
pub(super) struct ControlThread {
    worker: Worker,
    receiver: HandleReceiver,
    pipes: Vec<(UnixStream, Command)>,
    rejected: Vec<Connection<ConnStream>>,
    drain_ends: Option<Timestamp>,
    /// The drain timeout has passed.
    drain_timed_out: bool,
    /// Finished jobs whose output no service has seen yet.
    done_jobs: VecDeque<(JobOwner, JobOutput)>,
    /// The last turn has left work for the next one.
    has_work: bool,
}

impl ControlThread {
    pub(super) fn new(shared: Arc<EngineShared>, receiver: HandleReceiver, pipes: Vec<(UnixStream, Command)>) -> Self {
        let thread_stats = shared.routes.add_engine_thread();
        let worker = Worker::new(shared, thread_stats);
        Self {
            worker,
            receiver,
            pipes,
            rejected: Vec::new(),
            drain_ends: None,
            drain_timed_out: false,
            done_jobs: VecDeque::new(),
            has_work: false,
        }
    }

    /// Handles the commands given before the start. Returns true if the engine is to start.
    pub(super) fn begin(&mut self) -> bool {
        self.take_commands();
        self.worker.shared.state() == RunState::Serving
    }

    /// Runs until the engine is stopped, or is drained and all threads have ended.
    pub(super) fn run(&mut self) {
        while self.is_running() {
            self.worker.publish();
            self.wait();
            self.run_turn();
        }
        self.worker.shared.advance_state(RunState::Stopped);
        self.rejected.clear();
        self.worker.publish();
    }

    /// Does all work that is due, in the order of the reactor's turn.
    pub(super) fn run_turn(&mut self) {
        self.worker.read_clock();
        self.worker.context.stats.turns += 1;
        self.has_work = false;
        self.call_on_job();
        self.take_commands();
        for service in self.worker.shared.control.take_turn_ends() {
            self.call_service(Work::TURN_END, service, GuardedService::on_turn_end);
        }
        self.continue_drain();
        self.step_rejected();
        self.fire_timers();
        self.worker.shared.warnings.report(self.worker.context.clock.timestamp);
        self.close_largest();
        if self.drain_ends.is_some_and(|at| at <= self.worker.context.clock.timestamp) {
            self.drain_timed_out = true;
            self.worker.shared.advance_state(RunState::Stopped);
        }
    }

    /// Waits until all threads have ended. The state is `Stopped` already.
    pub(super) fn wait_for_threads(&mut self) {
        let shared = Arc::clone(&self.worker.shared);
        while !shared.lifecycle.threads.is_idle() {
            poll(&mut [PollFd::new(&shared.control.notifier, PollFlags::IN)], None);
            shared.control.notifier.clear();
        }
        self.wait_for_console_writers();
        shared.warnings.report_all();
        let unflushed = shared.lifecycle.unflushed.load(Ordering::Relaxed);
        if self.drain_timed_out && unflushed > 0 {
            let connections = counted(unflushed as u64, "connection", "connections");
            log::warn!("drain timeout: closed {connections} with unsent output");
        }
    }

    /// Waits until the console threads have written all output, at most until the drain deadline.
    fn wait_for_console_writers(&mut self) {
        let shared = Arc::clone(&self.worker.shared);
        while let Some(at) = self.drain_ends
            && !shared.lifecycle.console_writers.is_idle()
            && !shared.lifecycle.has_failed()
        {
            let left = at.saturating_since(shared.clock().timestamp);
            if left.is_zero() {
                self.drain_timed_out = true;
                shared.lifecycle.unflushed.fetch_add(1, Ordering::Relaxed);
                return;
            }
            poll(&mut [PollFd::new(&shared.control.notifier, PollFlags::IN)], Some(left));
            shared.control.notifier.clear();
        }
    }

    pub(super) fn is_running(&self) -> bool {
        match self.worker.shared.state() {
            RunState::Serving => true,
            RunState::Draining => !self.worker.shared.lifecycle.threads.is_idle() || !self.rejected.is_empty(),
            RunState::Stopped => false,
        }
    }

    fn wait(&mut self) {
        let shared = &self.worker.shared;
        let limits = &shared.limits;
        let rejected_deadlines = self.rejected.iter().filter_map(|conn| conn.deadline(limits).map(|(at, _)| at));
        let timer = lock(&shared.timers).next_of(ConnId::NONE);
        let others = [self.drain_ends, timer, shared.memory.grace_ends(), shared.warnings.next_report()];
        let next = others.into_iter().flatten().chain(rejected_deadlines).min();
        let now = shared.clock().timestamp;
        let timeout = if self.has_work { Some(Duration::ZERO) } else { next.map(|at| at.saturating_since(now)) };
        let mut poll_fds = vec![PollFd::new(&shared.control.notifier, PollFlags::IN)];
        poll_fds.extend(self.pipes.iter().map(|(pipe, _)| PollFd::new(pipe, PollFlags::IN)));
        poll_fds.extend(self.rejected.iter().map(|conn| {
            let events = if conn.pending_bytes() > 0 { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
            PollFd::new(conn.stream(), events)
        }));
        poll(&mut poll_fds, timeout);
        let ready: Vec<bool> = poll_fds.iter().map(|poll_fd| !poll_fd.revents().is_empty()).collect();
        drop(poll_fds);
        let (is_notified, others) =
            ready.split_first().map_or((false, &[][..]), |(notified, others)| (*notified, others));
        if is_notified {
            shared.control.notifier.clear();
        }
        let mut commands = Vec::new();
        for ((pipe, command), _) in self.pipes.iter_mut().zip(others).filter(|(_, ready)| **ready) {
            // Read all bytes: poll(2) reports the pipe for as long as it holds any.
            while matches!(pipe.read(&mut [0; 64]), Ok(1..)) {}
            commands.push(*command);
        }
        for command in commands {
            self.handle_command(command);
        }
    }

    fn take_commands(&mut self) {
        self.receiver.begin();
        self.worker.begin_share();
        loop {
            if !self.worker.has_time() {
                self.has_work = true;
                break;
            }
            let Some((service, message)) = self.receiver.next_message() else {
                for command in self.receiver.take_commands() {
                    self.handle_command(command);
                }
                self.has_work |= self.receiver.may_have_more();
                break;
            };
            self.worker.context.budget.count(COST_OF_ACTING);
            self.call_service(Work::POST, service, |service, cx| service.on_post(cx, message));
        }
        if self.worker.shared.control.take_drain() {
            self.drain();
        }
    }

    fn handle_command(&mut self, command: Command) {
        match command {
            Command::LogStats => {
                self.worker.publish();
                log::info!("{}", self.worker.shared.stats());
            }
            Command::Post(service) => {
                self.call_service(Work::POST, service, |service, cx| service.on_post(cx, Box::new(())));
            }
            Command::Drain => self.drain(),
            Command::Stop => self.worker.shared.advance_state(RunState::Stopped),
        }
    }

    /// Begins a graceful stop. The engine accepts no connections and no further requests. Until
    /// `drain_timeout` it still answers what was received, waits for running jobs, and flushes
    /// output.
    fn drain(&mut self) {
        let shared = &self.worker.shared;
        if shared.state() != RunState::Serving || self.drain_ends.is_some() {
            return;
        }
        let drain_timeout = shared.limits.drain_timeout;
        let connections = counted(shared.slots.open() as u64, "connection", "connections");
        log::info!("draining {connections}, for at most {drain_timeout:?}");
        shared.stop_accepting();
        self.drain_ends = Some(shared.clock().timestamp + drain_timeout);
        self.continue_drain();
    }

    /// Begins to drain the connections once all listeners are closed, so that a client that is
    /// closed cannot connect again. The last accept thread to end wakes this thread. If a service
    /// blocks an accept thread, the drain timeout bounds this wait.
    fn continue_drain(&mut self) {
        let shared = Arc::clone(&self.worker.shared);
        if self.drain_ends.is_some() && shared.state() == RunState::Serving && shared.accepting.threads.is_idle() {
            shared.advance_state(RunState::Draining);
            for number in 0..shared.services.len() {
                self.call_service(Work::SHUTDOWN, ServiceId(number), GuardedService::on_shutdown);
            }
        }
    }

    /// Makes a callback that is not about a connection.
    fn call_service(
        &mut self,
        work: Work,
        service: ServiceId,
        callback: impl FnOnce(&mut GuardedService, &mut Context<'_>),
    ) {
        let Some(service_slot) = self.worker.shared.service_slot(service).map(Arc::clone) else { return };
        let Some(mut service_guard) = service_slot.lock() else { return };
        let began = self.worker.shared.system.now();
        self.worker.call_service(&mut service_guard, (service, ConnId::NONE), None, callback);
        self.worker.run_turn_end(&mut service_guard, service, None);
        drop(service_guard);
        self.worker.note_callbacks(began, work, &service_slot.name, None);
        self.worker.deliver();
    }

    /// Calls `on_job` for each finished job without a connection.
    fn call_on_job(&mut self) {
        self.done_jobs.extend(self.worker.shared.control.take_done_jobs());
        self.worker.begin_share();
        while self.worker.has_time()
            && let Some((owner, output)) = self.done_jobs.pop_front()
        {
            self.worker.context.budget.count(COST_OF_ACTING);
            self.worker.shared.memory.adjust(owner.bytes as u64, 0);
            self.call_service(Work::JOB, owner.service, |service, cx| service.on_job(cx, owner.job, output));
        }
        self.has_work |= !self.done_jobs.is_empty();
    }

    fn fire_timers(&mut self) {
        let shared = Arc::clone(&self.worker.shared);
        let due = lock(&shared.timers).due_of(ConnId::NONE, self.worker.context.clock.timestamp);
        self.worker.begin_share();
        for timer in due {
            // The others stay due, so the next turn does not wait.
            if !self.worker.has_time() {
                return;
            }
            self.worker.context.budget.count(COST_OF_ACTING);
            let Some(owner) = lock(&shared.timers).owner(timer) else { continue };
            // Removed under the service's lock, so that a cancelled timer never fires.
            self.call_service(Work::TIMER, owner.service, |service, cx| {
                if lock(&shared.timers).remove(timer).is_some() {
                    service.on_timer(cx, timer);
                }
            });
        }
    }

    /// Steps the rejected connections: flushes their output, then discards their input until they
    /// close.
    fn step_rejected(&mut self) {
        let shared = &self.worker.shared;
        shared.rejected.take_added(&mut self.rejected);
        let now = self.worker.context.clock.timestamp;
        let context = &mut self.worker.context;
        let before = self.rejected.len();
        let mut buffer = [0; DISCARD_BUFFER_BYTES];
        self.rejected.retain_mut(|conn| {
            // They are few, so each is tried in each turn.
            conn.mark_ready(Readiness { readable: true, writable: true }, PeerEnd::Open);
            if conn.flush(context).is_err() {
                return false;
            }
            conn.advance_close(&mut buffer, now);
            conn.phase() != Phase::Closed && !matches!(conn.check_deadline(context), DeadlineCheck::Expired(_))
        });
        let closed = before - self.rejected.len();
        if closed > 0 {
            shared.rejected.note_closed(closed);
            (0..closed).for_each(|_| shared.accepting.resume());
        }
    }

    /// Closes the largest holders if the memory in use is above its limit at the end of the grace
    /// period. Consoles are spared.
    fn close_largest(&mut self) {
        let shared = &self.worker.shared;
        let now = self.worker.context.clock.timestamp;
        if !shared.memory.grace_has_ended(now) {
            return;
        }
        shared.routes.close_largest(&shared.memory, now);
        shared.memory.restart_grace(now);
    }
}
