//! What all threads of the engine share: services, connections by name, timers, memory, and whether it goes on.

use std::any::Any;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use super::connection_slots::{Crew, Places};
use super::memory::Budget;
use super::semaphore::Permits;
use super::shared_connection::Line;
use super::socket::{Plug, Socket};
use super::spawn::Spawn;
use super::thread_stats::Tally;
use super::timer_table::Alarms;
use crate::connection::Connection;
use crate::engine::jobs::{WakeFn, WorkerPools};
use crate::engine::limits::Limits;
use crate::engine::setup::RegisteredService;
use crate::engine::slab::GenerationalSlab;
use crate::engine::stats::Stats;
use crate::net::Notifier;
use crate::service::context::Clock;
use crate::service::time::Timestamp;
use crate::service::{ConnId, Peer, RejectionReply, Service, ServiceId};

/// The engine's common things.
pub(super) struct Exchange {
    pub(super) limits: Limits,
    pub(super) booths: Vec<Arc<Booth>>,
    pub(super) mailboxes: Vec<Mailbox>,
    pub(super) directory: RwLock<GenerationalSlab<Entry>>,
    pub(super) places: Places,
    pub(super) budget: Budget,
    pub(super) alarms: Alarms,
    pub(super) numbers: Arc<AtomicU64>,
    pub(super) spawn: Box<dyn Spawn>,
    /// They do the work that is about nobody.
    pub(super) workers: Mutex<WorkerPools>,
    pub(super) crew: Arc<Crew>,
    /// Newcomers that were turned away and are still to be seen off.
    pub(super) refused: Mutex<Vec<Connection<Plug>>>,
    pub(super) refused_open: AtomicUsize,
    /// The last newcomer was turned away, and the log has been told.
    pub(super) refusing: AtomicBool,
    /// Rung when there is something for the thread that runs the engine.
    pub(super) control: Arc<Notifier>,
    pub(super) drain_asked: AtomicBool,
    /// Services that have asked for one more `on_turn_end` in their `on_turn_end`.
    turn_end_requested: Mutex<Vec<ServiceId>>,
    /// Connections that were cut off although they were owed something.
    pub(super) unflushed: AtomicUsize,
    run: AtomicU8,
    is_closing: AtomicBool,
    /// Rung once when no more newcomers are let in, and never hushed.
    pub(super) closing: Notifier,
    /// The threads that let newcomers in.
    pub(super) porters: Arc<Crew>,
    /// The threads that carry to consoles what they are told.
    pub(super) carriers: Arc<Crew>,
    /// Rung once when the engine drains.
    pub(super) draining: Notifier,
    /// Rung once when it stops.
    pub(super) stopping: Notifier,
    /// Rung where accepting has paused and a descriptor may be free.
    pub(super) accepting: Vec<Notifier>,
    /// How many listeners have paused.
    pub(super) paused: AtomicUsize,
    threads: AtomicU64,
    /// What those have counted who have gone.
    totals: Mutex<Stats>,
    /// Counters of the threads that are no connection's.
    staff: Mutex<Vec<Arc<Tally>>>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    start: Instant,
}

/// A service, where all threads that need it find it.
pub(super) struct Booth {
    pub(super) name: String,
    pub(super) id: ServiceId,
    /// Each connection has an instance of its own.
    pub(super) per_connection: bool,
    /// Its words for newcomers that are turned away.
    pub(super) rejection: Option<RejectionReply>,
    /// Where no more than so much of its work may be done at once.
    pub(super) permits: Option<Permits>,
    service: Mutex<Box<dyn Service + Send>>,
}

/// A UDP socket.
pub(super) struct Mailbox {
    pub(super) socket: UdpSocket,
    pub(super) local: SocketAddr,
    pub(super) service: ServiceId,
}

/// A connection, as others know it.
pub(super) struct Entry {
    pub(super) tally: Arc<Tally>,
    pub(super) reach: Reach,
    pub(super) peer: Peer,
}

pub(super) enum Reach {
    /// It is its thread's alone. The socket is there to wake the thread when there is no other way.
    Private(Arc<Socket>),
    Shared(Arc<Line>),
}

/// Whether the engine goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Run {
    Serving,
    /// No newcomers, no further requests; what is owed is flushed.
    Draining,
    Stopped,
}

/// What is needed to begin.
pub(super) struct Parts {
    pub(super) limits: Limits,
    pub(super) services: Vec<RegisteredService>,
    pub(super) mailboxes: Vec<Mailbox>,
    pub(super) listeners: usize,
    pub(super) control: Arc<Notifier>,
    pub(super) spawn: Box<dyn Spawn>,
}

impl Exchange {
    pub(super) fn new(parts: Parts) -> std::io::Result<Self> {
        let Parts { limits, services, mailboxes, listeners, control, spawn } = parts;
        let rung = Arc::clone(&control);
        let wake: WakeFn = Arc::new(move || rung.notify());
        let workers = WorkerPools::new(&limits, services.iter().map(|it| it.service.job_threads()), &wake);
        let booths = services.into_iter().enumerate().map(|(number, RegisteredService { name, service })| {
            let (per_connection, rejection) = (service.per_connection().is_some(), service.rejection());
            let permits = service.job_threads().map(Permits::new);
            let id = ServiceId(number);
            Arc::new(Booth { name, id, per_connection, rejection, permits, service: Mutex::new(service) })
        });
        Ok(Self {
            workers: Mutex::new(workers),
            booths: booths.collect(),
            mailboxes,
            directory: RwLock::new(GenerationalSlab::new()),
            places: Places::new(limits.max_connections),
            budget: Budget::new(&limits),
            alarms: Alarms::new(),
            numbers: Arc::default(),
            spawn,
            crew: Crew::new(Arc::clone(&control)),
            porters: Crew::new(Arc::clone(&control)),
            carriers: Crew::new(Arc::clone(&control)),
            refused: Mutex::default(),
            refused_open: AtomicUsize::new(0),
            refusing: AtomicBool::new(false),
            control,
            drain_asked: AtomicBool::new(false),
            turn_end_requested: Mutex::default(),
            unflushed: AtomicUsize::new(0),
            run: AtomicU8::new(Run::Serving as u8),
            closing: Notifier::new()?,
            is_closing: AtomicBool::new(false),
            draining: Notifier::new()?,
            stopping: Notifier::new()?,
            accepting: (0..listeners).map(|_| Notifier::new()).collect::<Result<_, _>>()?,
            paused: AtomicUsize::new(0),
            threads: AtomicU64::new(0),
            totals: Mutex::default(),
            staff: Mutex::default(),
            panic: Mutex::default(),
            start: Instant::now(),
            limits,
        })
    }

    #[inline]
    pub(super) fn clock(&self) -> Clock {
        let now = Instant::now();
        Clock { now, moment: Timestamp::new(self.start, now) }
    }

    #[inline]
    pub(super) fn run(&self) -> Run {
        match self.run.load(Ordering::Acquire) {
            0 => Run::Serving,
            1 => Run::Draining,
            _ => Run::Stopped,
        }
    }

    /// Lets no more newcomers in. The listeners are closed when the last porter has gone.
    pub(super) fn close(&self) {
        self.is_closing.store(true, Ordering::Release);
        self.closing.notify();
        self.places.close();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }

    /// Goes over to draining or to the end, and wakes everybody who waits.
    pub(super) fn set_run(&self, run: Run) {
        self.close();
        self.run.fetch_max(run as u8, Ordering::AcqRel);
        self.draining.notify();
        if run == Run::Stopped {
            self.stopping.notify();
            self.booths.iter().filter_map(|booth| booth.permits.as_ref()).for_each(Permits::close);
        }
    }

    /// What is rung when the engine goes over from `run` to something else.
    pub(super) fn next_change(&self, run: Run) -> &Notifier {
        if run == Run::Serving { &self.draining } else { &self.stopping }
    }

    /// A callback panicked, on whatever thread: the engine is at its end, and services are not called any more.
    pub(super) fn fail(&self, panic: Box<dyn Any + Send>) {
        lock(&self.panic).get_or_insert(panic);
        self.set_run(Run::Stopped);
        self.control.notify();
    }

    pub(super) fn has_failed(&self) -> bool {
        lock(&self.panic).is_some()
    }

    pub(super) fn take_panic(&self) -> Option<Box<dyn Any + Send>> {
        lock(&self.panic).take()
    }

    pub(super) fn booth(&self, service: ServiceId) -> Option<&Arc<Booth>> {
        self.booths.get(service.0)
    }

    /// What a callback says to another connection is said through this; nothing if it has gone or is not to be reached.
    pub(super) fn line(&self, id: ConnId) -> Option<(Arc<Line>, Arc<Tally>)> {
        let directory = self.directory.read().unwrap_or_else(PoisonError::into_inner);
        let entry = directory.get(id.0)?;
        let Reach::Shared(line) = &entry.reach else { return None };
        Some((Arc::clone(line), Arc::clone(&entry.tally)))
    }

    pub(super) fn enter(&self, entry: Entry) -> ConnId {
        ConnId(self.directory.write().unwrap_or_else(PoisonError::into_inner).insert(entry))
    }

    /// Forgets a connection, and adds what its thread has counted to the total, at one moment for whoever looks.
    pub(super) fn strike_out(&self, id: ConnId, tally: &Tally) {
        let mut directory = self.directory.write().unwrap_or_else(PoisonError::into_inner);
        directory.remove(id.0);
        tally.add_to(&mut lock(&self.totals));
    }

    /// A console has become a connection.
    pub(super) fn count_attached(&self) {
        lock(&self.totals).accepted += 1;
    }

    /// A descriptor was closed: listeners that waited for one may go on.
    pub(super) fn descriptor_is_free(&self) {
        if self.paused.load(Ordering::Acquire) > 0 {
            self.accepting.iter().for_each(Notifier::notify);
        }
    }

    /// Has the thread that runs the engine call a service's `on_turn_end` once more, when it gets to it.
    pub(super) fn flush_again(&self, service: ServiceId) {
        let mut asked = lock(&self.turn_end_requested);
        if !asked.contains(&service) {
            asked.push(service);
            self.control.notify();
        }
    }

    pub(super) fn take_flushes(&self) -> Vec<ServiceId> {
        std::mem::take(&mut *lock(&self.turn_end_requested))
    }

    /// Numbers threads for their names.
    pub(super) fn next_number(&self) -> u64 {
        self.threads.fetch_add(1, Ordering::Relaxed)
    }

    /// The counters of a thread that is no connection's.
    pub(super) fn staff_tally(&self) -> Arc<Tally> {
        let tally = Arc::new(Tally::default());
        lock(&self.staff).push(Arc::clone(&tally));
        tally
    }

    /// What has been done by all who are at work and all who have gone.
    pub(super) fn stats(&self) -> Stats {
        let directory = self.directory.read().unwrap_or_else(PoisonError::into_inner);
        let mut sum = lock(&self.totals).clone();
        directory.iter().for_each(|(_, entry)| entry.tally.add_to(&mut sum));
        lock(&self.staff).iter().for_each(|tally| tally.add_to(&mut sum));
        sum.open = self.places.open() as u64;
        sum.buffered_bytes = self.budget.held_bytes();
        sum
    }
}

impl Booth {
    /// The service, which nobody else calls meanwhile. Nothing once a callback has panicked.
    pub(super) fn lock(&self) -> Option<MutexGuard<'_, Box<dyn Service + Send>>> {
        self.service.lock().ok()
    }
}

/// For what nothing panics with the lock of held.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
