//! The event loop: its whole state, and one turn of it, in the nine steps of `docs/turn.md`.
//!
//! A connection or source is named by its key, which is also its poll token: a connection's key is
//! its slot and generation, a source's key is its number as a [`reserved_key`]. A key whose owner
//! is gone resolves to `None`, so a late event or action does no harm.
//!
//! [`reserved_key`]: crate::engine::slab::reserved_key

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use super::driver::{Driver, PollCoverage, WAKE_KEY};
use super::shared::{PHASE_SHARES, Shared};
use super::state::OtherThreads;
use super::step::Step;
use super::targets::Targets;
use super::timers::{DRAIN_KEY, MEMORY_KEY};
use super::turn_meter::WorkOwner;
use crate::connection::{Connection, DeadlineCheck};
use crate::engine::error::Error;
use crate::engine::handle::Command;
use crate::engine::jobs::{WakeFn, WorkerPools};
use crate::engine::lag::Work;
use crate::engine::run_state::RunState;
use crate::engine::setup::EngineSetup;
use crate::engine::slab::{GenerationalSlab, reserved_number};
use crate::engine::stats::Stats;
use crate::engine::timers::TimerOwner;
use crate::service::context::Context;
use crate::service::{ConnId, GuardedService, ServiceId};

/// The loop and its whole state.
pub(super) struct EventLoop<D: Driver> {
    pub(super) driver: D,
    pub(super) connections: GenerationalSlab<Connection<D::Stream>>,
    pub(super) shared: Shared,
}

impl<D: Driver> EventLoop<D> {
    pub(super) fn new(driver: D, mut setup: EngineSetup, wake: &WakeFn) -> Self {
        let clients = setup.clients(|_| 1);
        let EngineSetup { limits, services, inbox, .. } = setup;
        let job_pools = WorkerPools::new(&limits, services.iter().map(|it| it.options.jobs), wake);
        // The first turn looks for posts and finished jobs without waiting for a wake-up.
        let threads = OtherThreads { job_pools, done_jobs: VecDeque::new(), inbox, woken: true };
        let shared = Shared::new(limits, services, driver.sources(), clients, threads, driver.now());
        Self { driver, connections: GenerationalSlab::new(), shared }
    }

    /// Runs the loop until it is stopped, or drained and its last connection is closed.
    pub(super) fn run(mut self) -> Result<Stats, Error> {
        // A drain or stop that was asked for before the loop ran takes effect before it begins.
        self.handle_inbox();
        self.drain_if_requested();
        if self.shared.run_state == RunState::Serving {
            self.attach_consoles();
        }
        while self.is_running() {
            self.run_turn().map_err(Error::Poll)?;
        }
        self.close_all();
        self.shared.worker.pending_actions.warnings.report_all();
        let stats = self.shared.stats();
        if self.shared.all_stopped { Err(Error::ServicesStopped { stats: Box::new(stats) }) } else { Ok(stats) }
    }

    pub(super) fn is_running(&self) -> bool {
        match self.shared.run_state {
            RunState::Serving => true,
            RunState::Draining => !self.connections.is_empty() || self.shared.udp.has_pending_datagrams(),
            RunState::Stopped => false,
        }
    }

    /// Runs one turn. The numbers are those of `docs/turn.md`.
    pub(super) fn run_turn(&mut self) -> io::Result<()> {
        // 1 to 4: wait for events, read the clock, and mark what is ready.
        self.poll()?;
        // 5: step the ready connections and sources, each at most once.
        self.step_ready();
        // 6: fire the timers that are due.
        if self.shared.backlog.all_reported() {
            self.fire_timers();
        }
        // 7: deliver finished jobs, messages and commands from other threads.
        if std::mem::take(&mut self.shared.threads.woken) {
            self.deliver_jobs();
            self.handle_inbox();
        }
        // 8: stop services, deliver closes, call on_turn_end and on_dropped, flush what others have
        // queued.
        self.finish_turn(self.shared.budget(PHASE_SHARES));
        // 9: free what is over, and resume what waited for that.
        self.remove_closed();
        self.relieve_memory();
        self.note_work(Work::REAP, WorkOwner::Loop);
        self.shared.worker.stats.turns += 1;
        Ok(())
    }

    /// Waits for events, marks their owners ready, and reads the clock.
    ///
    /// A peer is late only if its bytes did not arrive before the deadline. After a pause of this
    /// process, more events may be ready than one poll reports, so no timer fires until all are.
    fn poll(&mut self) -> io::Result<()> {
        let has_work = self.has_work();
        let timeout = if has_work { Some(Duration::ZERO) } else { self.time_to_sleep() }; // 1
        let coverage = match self.poll_and_mark(timeout) {
            Ok(coverage) => Some(coverage),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
            Err(error) => return Err(error),
        };
        self.shared.backlog.note_poll(coverage, self.connections.len());
        let now = self.driver.now(); // 3
        if has_work {
            self.end_turn(now);
        }
        let before = std::mem::replace(&mut self.shared.worker.clock, self.shared.clock.at(now));
        let slept = self.shared.worker.clock.timestamp.saturating_since(before.timestamp);
        self.shared.backlog.note_lateness(slept.saturating_sub(timeout.unwrap_or(Duration::MAX)));
        self.begin_turn(now);
        Ok(())
    }

    /// Polls (2), and for each event marks its owner ready and queues it, once (4).
    fn poll_and_mark(&mut self, timeout: Option<Duration>) -> io::Result<PollCoverage> {
        let Self { driver, connections, shared: Shared { sources, ready, threads, .. } } = self;
        driver.poll(timeout, |event| match reserved_number(event.key) {
            None => {
                let Some(conn) = connections.get_mut(event.key) else { return };
                if conn.mark_ready(event.readiness, event.end) {
                    ready.push(event.key);
                }
            }
            Some(_) if event.key == WAKE_KEY => threads.woken = true,
            Some(number) => {
                if let Some(source) = sources.get_mut(number) {
                    source.readiness.add(event.readiness);
                    if source.mark_scheduled() {
                        ready.push(event.key);
                    }
                }
            }
        })
    }

    /// Returns true if this turn has work already, so that the poll must not wait.
    pub(super) fn has_work(&self) -> bool {
        let Shared { ready, threads, turn_end, .. } = &self.shared;
        !ready.is_empty() || threads.woken || turn_end.has_work()
    }

    /// Ends the measurement of the last turn, and returns the time until the next deadline.
    fn time_to_sleep(&mut self) -> Option<Duration> {
        // The turn's own reading of the clock is as old as the last turn is long.
        let now = self.driver.now();
        self.end_turn(now);
        let Shared { deadlines, timers, clock, worker, .. } = &self.shared;
        let report = worker.pending_actions.warnings.next_report();
        let next = [deadlines.next_deadline(), timers.next_deadline(), report].into_iter().flatten().min()?;
        Some(clock.until(next, now))
    }

    /// Looks a connection up, for all that one step does with it.
    pub(super) fn step_of(&mut self, key: usize) -> Option<Step<'_, D>> {
        let (conn, others) = self.connections.split(key);
        let conn = conn?;
        Some(Step { key, service: conn.service(), conn, others, shared: &mut self.shared, driver: &self.driver })
    }

    fn fire_timers(&mut self) {
        let now = self.shared.worker.clock.timestamp;
        let mut budget = self.shared.budget(1);
        while budget.has_time(|| self.driver.now())
            && let Some(key) = self.shared.deadlines.take_due(now)
        {
            budget.count(1);
            match key {
                DRAIN_KEY => self.expire_drain(),
                MEMORY_KEY => self.close_largest(),
                _ => match reserved_number(key) {
                    Some(number) => self.shared.resume_accepting(number),
                    None => self.check_deadline(key),
                },
            }
        }
        self.note_work(Work::DEADLINES, WorkOwner::Loop);
        // Timers that are set from here on wait for the next turn. A timer that sets another for
        // the same time would otherwise keep the loop here.
        let newest = self.shared.worker.pending_actions.newest_number();
        let mut budget = self.shared.budget(1);
        while budget.has_time(|| self.driver.now())
            && let Some((id, TimerOwner { service, conn })) = self.shared.timers.take_due(now, newest)
        {
            budget.count(1);
            self.call_service(Work::TIMER, service, conn, |service, cx| service.on_timer(cx, id));
        }
        self.shared.worker.pending_actions.warnings.report(now);
    }

    /// Closes a connection whose timer is due, unless its deadline has moved since the timer was
    /// set.
    fn check_deadline(&mut self, key: usize) {
        let Some(mut step) = self.step_of(key) else { return };
        step.conn.timer_fired();
        match step.conn.check_deadline(&mut step.shared.worker) {
            DeadlineCheck::NotDue | DeadlineCheck::Met => step.end(),
            // If the ready queue owes the connection a step already, its end sets the timer.
            DeadlineCheck::AfterRead => {
                if step.conn.mark_scheduled() {
                    let change = step.conn.set_timer_after(step.shared.worker.clock.timestamp);
                    step.shared.deadlines.change(key, change);
                    step.shared.ready.push(key);
                }
            }
            DeadlineCheck::Expired(reason) => step.begin_close(reason),
        }
    }

    fn deliver_jobs(&mut self) {
        let OtherThreads { job_pools, done_jobs, .. } = &mut self.shared.threads;
        done_jobs.extend(job_pools.take_done());
        let mut budget = self.shared.budget(1);
        while let Some((owner, output)) = self.shared.threads.done_jobs.pop_front() {
            if let Some(conn) = self.connections.get_mut(owner.conn.0) {
                conn.job_ended(owner.bytes);
            } else {
                // The bytes of a removed connection's job have stayed in the sum.
                let sum = &mut self.shared.worker.stats.buffered_bytes;
                *sum = sum.saturating_sub(owner.bytes as u64);
            }
            self.call_service(Work::JOB, owner.service, owner.conn, |service, cx| {
                service.on_job(cx, owner.job, output);
            });
            budget.count(1);
            if !budget.has_time(|| self.driver.now()) {
                self.shared.threads.woken = true;
                break;
            }
        }
    }

    /// Delivers the messages that other threads have posted, then runs their commands. If there is
    /// no time for all messages, the next turn goes on.
    fn handle_inbox(&mut self) {
        self.shared.threads.inbox.begin();
        let mut budget = self.shared.budget(1);
        loop {
            if !budget.has_time(|| self.driver.now()) {
                self.shared.threads.woken = true;
                return;
            }
            let Some((service, message)) = self.shared.threads.inbox.next_message() else { break };
            budget.count(1);
            self.call_service(Work::POST, service, ConnId::NONE, |service, cx| service.on_post(cx, message));
        }
        for command in self.shared.threads.inbox.take_commands() {
            self.run_command(command);
        }
        self.shared.threads.woken |= self.shared.threads.inbox.may_have_more();
    }

    pub(super) fn run_command(&mut self, command: Command) {
        match command {
            Command::LogStats => log::info!("{}", self.shared.stats()),
            Command::Post(service) => {
                self.call_service(Work::POST, service, ConnId::NONE, |service, cx| service.on_post(cx, Box::new(())));
            }
            Command::Drain => self.drain(),
            Command::Stop => self.shared.run_state = RunState::Stopped,
        }
    }

    /// Makes one callback that is not about a frame, about connection `id` if it is one. Then
    /// applies its actions, sends its replies, and decides what follows for its connection.
    pub(super) fn call_service(
        &mut self,
        work: Work,
        service: ServiceId,
        id: ConnId,
        callback: impl FnOnce(&mut GuardedService, &mut Context<'_>),
    ) {
        let (current, mut others) = self.connections.split(id.0);
        let mut targets = Targets { id, current, others: &mut others };
        self.shared.call_service(service, &mut targets, callback);
        if let Some(conn) = targets.current {
            self.shared.end_step(id.0, conn);
        }
        let owner = if id == ConnId::NONE { WorkOwner::Service(service) } else { WorkOwner::Connection(id.0) };
        self.note_work(work, owner);
        self.drain_if_requested();
    }
}
