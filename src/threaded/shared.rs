//! State that all threads of the engine share: services, connections by id, timers, memory, and the
//! state of the engine.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use super::connection_slots::ConnectionSlots;
use super::memory::HeldMemory;
use super::semaphore::Semaphore;
use super::service_slot::ServiceSlot;
use super::shared_connection::SharedConnection;
use super::socket::{ConnStream, ThreadSocket};
use super::spawn::ThreadSpawner;
use super::thread_stats::ThreadStats;
use super::timer_table::TimerTable;
use super::udp_binding::UdpBinding;
use super::wait_group::WaitGroup;
use crate::connection::Connection;
use crate::engine::jobs::{WakeFn, WorkerPools};
use crate::engine::limits::Limits;
use crate::engine::run_state::RunState;
use crate::engine::setup::RegisteredService;
use crate::engine::slab::GenerationalSlab;
use crate::engine::stats::Stats;
use crate::net::Notifier;
use crate::service::context::TurnTime;
use crate::service::time::Timestamp;
use crate::service::{ConnId, Peer, ServiceId};

/// The state shared by all threads.
pub(super) struct EngineShared {
    pub(super) limits: Limits,
    pub(super) services: Vec<Arc<ServiceSlot>>,
    pub(super) udp_bindings: Vec<UdpBinding>,
    /// The way to reach each connection, by its id.
    pub(super) routes: RwLock<GenerationalSlab<Route>>,
    pub(super) connection_slots: ConnectionSlots,
    pub(super) memory: HeldMemory,
    pub(super) timers: TimerTable,
    /// Keeps the ids of timers and jobs unique.
    pub(super) id_counter: Arc<AtomicU64>,
    pub(super) spawner: Box<dyn ThreadSpawner>,
    /// Runs the jobs without a connection.
    pub(super) job_pools: Mutex<WorkerPools>,
    /// The threads that `run` waits for, except those of consoles.
    pub(super) threads: Arc<WaitGroup>,
    /// Rejected connections that are not closed yet. The control thread takes them.
    pub(super) rejected: Mutex<Vec<Connection<ConnStream>>>,
    /// The number of rejected connections that are not closed yet.
    pub(super) open_rejected: AtomicUsize,
    /// The last pending connection was rejected and the rejection is logged. Further ones are
    /// logged at debug level only.
    pub(super) is_rejecting: AtomicBool,
    /// Wakes the control thread.
    pub(super) control: Arc<Notifier>,
    pub(super) drain_requested: AtomicBool,
    /// Services that requested `on_turn_end` again during `on_turn_end`.
    turn_end_requests: Mutex<Vec<ServiceId>>,
    /// Connections that were closed with unsent output.
    pub(super) unflushed: AtomicUsize,
    state: AtomicU8,
    accepting_stopped: AtomicBool,
    /// Signaled once when accepting ends, and never cleared.
    pub(super) accept_stop: Notifier,
    /// The accept threads.
    pub(super) accept_threads: Arc<WaitGroup>,
    /// The threads that write to consoles.
    pub(super) console_writers: Arc<WaitGroup>,
    /// Signaled once when the engine drains.
    pub(super) drain_notifier: Notifier,
    /// Signaled once when the engine stops.
    pub(super) stop_notifier: Notifier,
    /// One per listener, signaled when a descriptor may be free and a listener has paused.
    pub(super) accept_retry: Vec<Notifier>,
    /// The number of listeners that have paused.
    pub(super) paused_listeners: AtomicUsize,
    thread_numbers: AtomicU64,
    /// Counters of the connection threads that have ended.
    ended_stats: Mutex<Stats>,
    /// Counters of the threads without a connection.
    engine_thread_stats: Mutex<Vec<Arc<ThreadStats>>>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    started_at: Instant,
}

/// The entry of a connection in the table of connections.
pub(super) struct Route {
    pub(super) thread_stats: Arc<ThreadStats>,
    pub(super) reachability: Reachability,
    pub(super) peer: Peer,
}

pub(super) enum Reachability {
    /// Only its own thread uses the connection. Other threads shut the socket down to wake that
    /// thread.
    Private(Arc<ThreadSocket>),
    Shared(Arc<SharedConnection>),
}

/// The parts that the state is built from.
pub(super) struct EngineParts {
    pub(super) limits: Limits,
    pub(super) services: Vec<RegisteredService>,
    pub(super) udp_bindings: Vec<UdpBinding>,
    pub(super) listeners: usize,
    pub(super) control: Arc<Notifier>,
    pub(super) spawner: Box<dyn ThreadSpawner>,
}

impl EngineShared {
    pub(super) fn new(parts: EngineParts) -> std::io::Result<Self> {
        let EngineParts { limits, services, udp_bindings, listeners, control, spawner } = parts;
        let notifier = Arc::clone(&control);
        let wake: WakeFn = Arc::new(move || notifier.notify());
        let job_pools = WorkerPools::new(&limits, services.iter().map(|it| it.options.job_threads), &wake);
        let slots = services.into_iter().enumerate();
        let slots = slots.map(|(number, registered)| Arc::new(ServiceSlot::new(ServiceId(number), registered)));
        Ok(Self {
            job_pools: Mutex::new(job_pools),
            services: slots.collect(),
            udp_bindings,
            routes: RwLock::new(GenerationalSlab::new()),
            connection_slots: ConnectionSlots::new(limits.max_connections),
            memory: HeldMemory::new(&limits),
            timers: TimerTable::new(),
            id_counter: Arc::default(),
            spawner,
            threads: WaitGroup::new(Arc::clone(&control)),
            accept_threads: WaitGroup::new(Arc::clone(&control)),
            console_writers: WaitGroup::new(Arc::clone(&control)),
            rejected: Mutex::default(),
            open_rejected: AtomicUsize::new(0),
            is_rejecting: AtomicBool::new(false),
            control,
            drain_requested: AtomicBool::new(false),
            turn_end_requests: Mutex::default(),
            unflushed: AtomicUsize::new(0),
            state: AtomicU8::new(RunState::Serving as u8),
            accept_stop: Notifier::new()?,
            accepting_stopped: AtomicBool::new(false),
            drain_notifier: Notifier::new()?,
            stop_notifier: Notifier::new()?,
            accept_retry: (0..listeners).map(|_| Notifier::new()).collect::<Result<_, _>>()?,
            paused_listeners: AtomicUsize::new(0),
            thread_numbers: AtomicU64::new(0),
            ended_stats: Mutex::default(),
            engine_thread_stats: Mutex::default(),
            panic: Mutex::default(),
            started_at: Instant::now(),
            limits,
        })
    }

    #[inline]
    pub(super) fn clock(&self) -> TurnTime {
        let now = Instant::now();
        TurnTime { now, timestamp: Timestamp::new(self.started_at, now) }
    }

    #[inline]
    pub(super) fn state(&self) -> RunState {
        match self.state.load(Ordering::Acquire) {
            0 => RunState::Serving,
            1 => RunState::Draining,
            _ => RunState::Stopped,
        }
    }

    /// Ends accepting. Each listener is closed when its accept thread ends.
    pub(super) fn stop_accepting(&self) {
        self.accepting_stopped.store(true, Ordering::Release);
        self.accept_stop.notify();
        self.connection_slots.close();
    }

    pub(super) fn accepting_stopped(&self) -> bool {
        self.accepting_stopped.load(Ordering::Acquire)
    }

    /// Advances the state and wakes all threads that wait for a change. A state never goes back.
    pub(super) fn advance_state(&self, state: RunState) {
        self.stop_accepting();
        self.state.fetch_max(state as u8, Ordering::AcqRel);
        self.drain_notifier.notify();
        if state == RunState::Stopped {
            self.stop_notifier.notify();
            self.services
                .iter()
                .filter_map(|service_slot| service_slot.job_semaphore.as_ref())
                .for_each(Semaphore::close);
        }
    }

    /// Returns the notifier that is signaled when the engine leaves `state`.
    pub(super) fn change_notifier(&self, state: RunState) -> &Notifier {
        if state == RunState::Serving { &self.drain_notifier } else { &self.stop_notifier }
    }

    /// Stops the engine because a callback panicked. No service is called again.
    pub(super) fn fail(&self, panic: Box<dyn Any + Send>) {
        lock(&self.panic).get_or_insert(panic);
        self.advance_state(RunState::Stopped);
        self.control.notify();
    }

    pub(super) fn has_failed(&self) -> bool {
        lock(&self.panic).is_some()
    }

    pub(super) fn take_panic(&self) -> Option<Box<dyn Any + Send>> {
        lock(&self.panic).take()
    }

    pub(super) fn service_slot(&self, service: ServiceId) -> Option<&Arc<ServiceSlot>> {
        self.services.get(service.0)
    }

    /// Returns a connection that other threads may reach, and its thread's counters. Returns `None`
    /// if it has closed or belongs to its thread alone.
    pub(super) fn shared_conn(&self, id: ConnId) -> Option<(Arc<SharedConnection>, Arc<ThreadStats>)> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        let route = routes.get(id.0)?;
        let Reachability::Shared(shared_conn) = &route.reachability else { return None };
        Some((Arc::clone(shared_conn), Arc::clone(&route.thread_stats)))
    }

    pub(super) fn register(&self, route: Route) -> ConnId {
        ConnId(self.routes.write().unwrap_or_else(PoisonError::into_inner).insert(route))
    }

    /// Removes a connection and adds its counters to those of ended threads. Holds the table's
    /// lock, so that a reader of the counters sees both changes or neither.
    pub(super) fn deregister(&self, id: ConnId, thread_stats: &ThreadStats) {
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        routes.remove(id.0);
        thread_stats.add_to(&mut lock(&self.ended_stats));
    }

    /// Counts a console that has become a connection.
    pub(super) fn count_console(&self) {
        lock(&self.ended_stats).accepted += 1;
    }

    /// Wakes the listeners that have paused, because a descriptor was closed.
    pub(super) fn resume_accepting(&self) {
        if self.paused_listeners.load(Ordering::Acquire) > 0 {
            self.accept_retry.iter().for_each(Notifier::notify);
        }
    }

    /// Requests a call of the service's `on_turn_end` on the control thread.
    pub(super) fn request_turn_end(&self, service: ServiceId) {
        let mut requests = lock(&self.turn_end_requests);
        if !requests.contains(&service) {
            requests.push(service);
            self.control.notify();
        }
    }

    pub(super) fn take_turn_end_requests(&self) -> Vec<ServiceId> {
        std::mem::take(&mut *lock(&self.turn_end_requests))
    }

    /// Returns the next number for a thread's name.
    pub(super) fn next_thread_number(&self) -> u64 {
        self.thread_numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns new counters for a thread without a connection.
    pub(super) fn register_engine_thread(&self) -> Arc<ThreadStats> {
        let thread_stats = Arc::new(ThreadStats::default());
        lock(&self.engine_thread_stats).push(Arc::clone(&thread_stats));
        thread_stats
    }

    /// Returns the sum of the counters of all threads, running and ended, and the gauges.
    pub(super) fn stats(&self) -> Stats {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        let mut sum = lock(&self.ended_stats).clone();
        routes.iter().for_each(|(_, route)| route.thread_stats.add_to(&mut sum));
        lock(&self.engine_thread_stats).iter().for_each(|thread_stats| thread_stats.add_to(&mut sum));
        sum.open = self.connection_slots.open() as u64;
        sum.buffered_bytes = self.memory.held_bytes();
        sum
    }
}

/// Locks a mutex whose holders never panic.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
