//! The state that all threads of the engine share: services, connections, and requests for the
//! control thread. Each part has its own locks and methods.

use std::any::Any;
use std::io;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use super::held_memory::HeldMemory;
use super::lag::Lag;
use super::lifecycle::{AcceptControl, ConnectionSlots, Lifecycle, System, lock};
use super::offloaded_job::JobGauges;
use super::routes::{RejectedConnections, Routes, ThreadStats};
use super::service_slot::{Semaphore, ServiceSlot};
use super::socket::UdpBinding;
use crate::engine::clients::Clients;
use crate::engine::jobs::{JobOwner, WakeFn, WorkerPools};
use crate::engine::limits::Limits;
use crate::engine::run_state::RunState;
use crate::engine::setup::RegisteredService;
use crate::engine::stats::Stats;
use crate::engine::timers::ServiceTimers;
use crate::net::Notifier;
use crate::service::context::{JobFn, TurnTime};
use crate::service::time::Timestamp;
use crate::service::warning_limit::WarningLimit;
use crate::service::{ConnId, JobOutput, Peer, ServiceId};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, Mutex};

/// The state shared by all threads.
pub(super) struct EngineShared {
    pub(super) limits: Limits,
    pub(super) system: Box<dyn System>,
    started_at: Instant,
    pub(super) services: Vec<Arc<ServiceSlot>>,
    pub(super) udp_bindings: Vec<UdpBinding>,
    pub(super) timers: Mutex<ServiceTimers>,
    pub(super) routes: Routes,
    pub(super) memory: HeldMemory,
    pub(super) slots: ConnectionSlots,
    pub(super) rejected: RejectedConnections,
    pub(super) accepting: AcceptControl,
    pub(super) lifecycle: Lifecycle,
    pub(super) control: ControlRequests,
    /// The jobs that connections have offloaded.
    pub(super) jobs: JobGauges,
    pub(super) lag: Lag,
    /// Keeps the ids of timers and jobs unique.
    pub(super) id_counter: Arc<AtomicU64>,
    /// Numbers the groups of callbacks that send to other connections.
    pub(super) groups: AtomicU64,
    pub(super) warnings: Arc<WarningLimit>,
}

/// The parts that the state is built from.
pub(super) struct EngineParts {
    pub(super) limits: Limits,
    pub(super) services: Vec<RegisteredService>,
    pub(super) clients: Clients,
    pub(super) udp_bindings: Vec<UdpBinding>,
    pub(super) listeners: usize,
    pub(super) control: Arc<Notifier>,
    pub(super) system: Box<dyn System>,
}

impl EngineShared {
    pub(super) fn new(parts: EngineParts) -> io::Result<Self> {
        let EngineParts { limits, services, clients, udp_bindings, listeners, control, system } = parts;
        let accepting = AcceptControl::new(listeners, &control)?;
        let lifecycle = Lifecycle::new(&control)?;
        // The control thread reports the warnings that any thread has left out.
        let notifier = Arc::clone(&control);
        let warnings = Arc::new(WarningLimit::new(Some(Box::new(move || notifier.notify()))));
        let control = ControlRequests::new(control, &limits, &services);
        let slots = services.into_iter().enumerate();
        let slots = slots.map(|(number, registered)| ServiceSlot::new(ServiceId(number), registered).map(Arc::new));
        Ok(Self {
            started_at: system.now(),
            system,
            services: slots.collect::<io::Result<_>>()?,
            udp_bindings,
            timers: Mutex::new(ServiceTimers::new()),
            routes: Routes::new(),
            memory: HeldMemory::new(&limits),
            slots: ConnectionSlots::new(clients),
            rejected: RejectedConnections::default(),
            accepting,
            lifecycle,
            control,
            jobs: JobGauges::default(),
            lag: Lag::default(),
            id_counter: Arc::default(),
            groups: AtomicU64::new(0),
            warnings,
            limits,
        })
    }

    #[inline]
    pub(super) fn clock(&self) -> TurnTime {
        let now = self.system.now();
        TurnTime { now, timestamp: Timestamp::new(self.started_at, now) }
    }

    #[inline]
    pub(super) fn state(&self) -> RunState {
        self.lifecycle.state()
    }

    /// Ends accepting, and the wait of pending connections for a slot.
    pub(super) fn stop_accepting(&self) {
        self.accepting.stop();
        self.slots.close();
    }

    /// Advances the state and wakes all threads that wait for a change.
    pub(super) fn advance_state(&self, state: RunState) {
        self.stop_accepting();
        self.lifecycle.advance(state);
        if state == RunState::Stopped {
            self.services.iter().filter_map(|slot| slot.job_semaphore.as_ref()).for_each(Semaphore::close);
        }
    }

    /// Stops the engine because a callback panicked. No service is called again.
    pub(super) fn fail(&self, panic: Box<dyn Any + Send>) {
        self.lifecycle.note_panic(panic);
        self.advance_state(RunState::Stopped);
        self.control.notify();
    }

    /// Stops a service that has panicked repeatedly: its threads close its listeners, UDP sockets
    /// and connections. If peers can reach no other service, the engine drains. A drain under way
    /// ends the connections by itself.
    #[cold]
    pub(super) fn stop_service(&self, service: ServiceId) {
        self.control.reject_jobs(service);
        let Some(service_slot) = self.service_slot(service) else { return };
        if self.state() != RunState::Serving || self.accepting.is_stopped() {
            return;
        }
        service_slot.close();
        self.routes.wake_all_of(service);
        if !self.services.iter().any(|slot| slot.is_reachable && !slot.is_closed()) {
            self.lifecycle.all_stopped.store(true, Ordering::Release);
            self.control.request_drain();
        }
    }

    /// Removes a connection that is over, and frees its slot.
    pub(super) fn release(
        &self,
        (id, peer, service): (ConnId, Peer, ServiceId),
        thread_stats: &ThreadStats,
        was_announced: bool,
    ) {
        self.routes.remove(id, thread_stats);
        self.slots.release(was_announced, &peer, service);
        self.accepting.resume();
    }

    pub(super) fn service_slot(&self, service: ServiceId) -> Option<&Arc<ServiceSlot>> {
        self.services.get(service.0)
    }

    /// Returns the sum of the counters of all threads, running and ended, and the gauges.
    pub(super) fn stats(&self) -> Stats {
        let mut stats = self.routes.stats();
        (stats.open, stats.buffered_bytes) = (self.slots.open() as u64, self.memory.held_bytes());
        stats.shared_bytes = self.memory.batches.bytes();
        stats.timers = lock(&self.timers).len() as u64;
        self.control.add_job_counts(&mut stats);
        self.jobs.add_to(&mut stats);
        stats.log_lines_left_out = self.warnings.left_out();
        self.lag.add_to(&mut stats);
        stats
    }
}

/// The work that other threads leave for the control thread.
pub(super) struct ControlRequests {
    /// Wakes the control thread.
    pub(super) notifier: Arc<Notifier>,
    drain: AtomicBool,
    /// Services that requested `on_turn_end` again during `on_turn_end`.
    turn_ends: Mutex<Vec<ServiceId>>,
    /// Runs the jobs without a connection. The control thread passes on their outputs.
    job_pools: Mutex<WorkerPools>,
}

impl ControlRequests {
    fn new(notifier: Arc<Notifier>, limits: &Limits, services: &[RegisteredService]) -> Self {
        let waker = Arc::clone(&notifier);
        let wake: WakeFn = Arc::new(move || waker.notify());
        let job_pools = WorkerPools::new(limits, services.iter().map(|it| it.options.jobs), &wake);
        Self { notifier, drain: AtomicBool::new(false), turn_ends: Mutex::default(), job_pools: Mutex::new(job_pools) }
    }

    pub(super) fn notify(&self) {
        self.notifier.notify();
    }

    pub(super) fn request_drain(&self) {
        self.drain.store(true, Ordering::Release);
        self.notify();
    }

    pub(super) fn take_drain(&self) -> bool {
        self.drain.swap(false, Ordering::AcqRel)
    }

    /// Requests a call of the service's `on_turn_end` on the control thread.
    pub(super) fn request_turn_end(&self, service: ServiceId) {
        let mut turn_ends = lock(&self.turn_ends);
        if !turn_ends.contains(&service) {
            turn_ends.push(service);
            self.notify();
        }
    }

    pub(super) fn take_turn_ends(&self) -> Vec<ServiceId> {
        std::mem::take(&mut *lock(&self.turn_ends))
    }

    pub(super) fn start_job(&self, owner: JobOwner, work: JobFn) {
        lock(&self.job_pools).start(owner, work);
    }

    /// Adds the output of a job that took no thread.
    pub(super) fn add_done_job(&self, owner: JobOwner, output: JobOutput) {
        lock(&self.job_pools).add_done(owner, output);
        self.notify();
    }

    /// Rejects the queued jobs of a service without a connection.
    fn reject_jobs(&self, service: ServiceId) {
        lock(&self.job_pools).reject_queued(service);
        self.notify();
    }

    fn add_job_counts(&self, stats: &mut Stats) {
        lock(&self.job_pools).add_counts(stats);
    }

    pub(super) fn take_done_jobs(&self) -> Vec<(JobOwner, JobOutput)> {
        lock(&self.job_pools).take_done()
    }
}
