//! The life of the engine: its state, the end of accepting, the threads that it waits for, and the
//! slots of its connections.

use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};

use super::socket::poll;
use crate::engine::clients::Clients;
use crate::engine::limits::ACCEPT_PAUSE;
use crate::engine::run_state::RunState;
use crate::engine::threads::{self, ThreadTask};
use crate::net::Notifier;
use crate::service::{CloseReason, Peer, ServiceId};
use crate::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes of a thread's stack. Untouched pages cost address space only, so the size is generous: a
/// test runs the engine's deepest paths, with logging and a panic's backtrace, on half of it. The
/// callbacks and jobs of services have the other half. Without optimization, frames are far larger.
pub(super) const STACK_BYTES: usize = if cfg!(debug_assertions) { 256 * 1024 } else { 128 * 1024 };

/// The threads and the clock of the operating system. Tests script them.
pub(super) trait System: Send + Sync {
    fn spawn(&self, name: String, task: ThreadTask) -> io::Result<()>;
    fn now(&self) -> Instant;
}

/// The operating system itself.
pub(super) struct OsSystem;

impl System for OsSystem {
    fn spawn(&self, name: String, task: ThreadTask) -> io::Result<()> {
        threads::spawn(name, Some(STACK_BYTES), task)
    }

    #[inline]
    fn now(&self) -> Instant {
        Instant::now()
    }
}

/// The state of the engine as all threads see it.
pub(super) struct Lifecycle {
    state: AtomicU8,
    /// Signaled once when the engine drains, and never cleared.
    drain: Notifier,
    /// Signaled once when the engine stops, and never cleared.
    stop: Notifier,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    /// The threads that `run` waits for, except those of consoles.
    pub(super) threads: Arc<WaitGroup>,
    /// The threads that write to consoles.
    pub(super) console_writers: Arc<WaitGroup>,
    /// Connections that were closed with unsent output.
    pub(super) unflushed: AtomicUsize,
    /// Every service that peers can reach was stopped, and the engine drains because of it.
    pub(super) all_stopped: AtomicBool,
    thread_numbers: AtomicU64,
}

impl Lifecycle {
    pub(super) fn new(control: &Arc<Notifier>) -> io::Result<Self> {
        Ok(Self {
            state: AtomicU8::new(RunState::Serving as u8),
            drain: Notifier::new()?,
            stop: Notifier::new()?,
            panic: Mutex::default(),
            threads: WaitGroup::new(Arc::clone(control)),
            console_writers: WaitGroup::new(Arc::clone(control)),
            unflushed: AtomicUsize::new(0),
            all_stopped: AtomicBool::new(false),
            thread_numbers: AtomicU64::new(0),
        })
    }

    /// Returns the next number for a thread's name.
    pub(super) fn next_thread_number(&self) -> u64 {
        self.thread_numbers.fetch_add(1, Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn state(&self) -> RunState {
        match self.state.load(Ordering::Acquire) {
            0 => RunState::Serving,
            1 => RunState::Draining,
            _ => RunState::Stopped,
        }
    }

    /// Advances the state and wakes all threads that wait for a change. A state never goes back.
    pub(super) fn advance(&self, state: RunState) {
        self.state.fetch_max(state as u8, Ordering::AcqRel);
        self.drain.notify();
        if state == RunState::Stopped {
            self.stop.notify();
        }
    }

    /// Returns the notifier that is signaled when the engine leaves `state`.
    pub(super) fn change_notifier(&self, state: RunState) -> &Notifier {
        if state == RunState::Serving { &self.drain } else { &self.stop }
    }

    /// Keeps the first panic of a callback. No service is called after it.
    pub(super) fn note_panic(&self, panic: Box<dyn Any + Send>) {
        lock(&self.panic).get_or_insert(panic);
    }

    pub(super) fn has_failed(&self) -> bool {
        lock(&self.panic).is_some()
    }

    pub(super) fn take_panic(&self) -> Option<Box<dyn Any + Send>> {
        lock(&self.panic).take()
    }
}

/// The end and the pauses of accepting, for all listeners.
pub(super) struct AcceptControl {
    is_stopped: AtomicBool,
    /// Signaled once when accepting ends, and never cleared.
    pub(super) stop: Notifier,
    /// One per listener, signaled when a descriptor may be free and it is the listener's turn.
    retry: Vec<Notifier>,
    /// The listeners that have found no descriptor, each once. The first has waited longest.
    starved: Mutex<VecDeque<usize>>,
    /// The accept threads.
    pub(super) threads: Arc<WaitGroup>,
}

impl AcceptControl {
    pub(super) fn new(listeners: usize, control: &Arc<Notifier>) -> io::Result<Self> {
        Ok(Self {
            is_stopped: AtomicBool::new(false),
            stop: Notifier::new()?,
            retry: (0..listeners).map(|_| Notifier::new()).collect::<Result<_, _>>()?,
            starved: Mutex::default(),
            threads: WaitGroup::new(Arc::clone(control)),
        })
    }

    /// Ends accepting. Each listener is closed when its accept thread ends.
    pub(super) fn stop(&self) {
        self.is_stopped.store(true, Ordering::Release);
        self.stop.notify();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Acquire)
    }

    /// Waits until listener number `number` may retry: a connection has closed, [`ACCEPT_PAUSE`]
    /// has passed, or accepting has ended.
    ///
    /// A listener that `keeps_turn` was woken and found no descriptor: it is the next again.
    pub(super) fn pause(&self, number: usize, keeps_turn: bool) {
        let Some(retry) = self.retry.get(number) else { return };
        let stop = PollFd::new(&self.stop, PollFlags::IN);
        let mut starved = lock(&self.starved);
        match starved.contains(&number) {
            true => {}
            false if keeps_turn => starved.push_front(number),
            false => starved.push_back(number),
        }
        drop(starved);
        poll(&mut [stop, PollFd::new(retry, PollFlags::IN)], Some(ACCEPT_PAUSE));
        retry.clear();
    }

    /// Notes that a listener has accepted a connection after a pause, or has none to accept.
    /// Returns true if others wait.
    pub(super) fn note_served(&self, number: usize) -> bool {
        let mut starved = lock(&self.starved);
        starved.retain(|starved| *starved != number);
        !starved.is_empty()
    }

    /// Wakes the listener that has waited longest, because a descriptor was closed. Each closed
    /// descriptor wakes one, so that the listeners take turns. A listener that finds nothing to
    /// accept passes the turn on.
    pub(super) fn resume(&self) {
        let next = lock(&self.starved).pop_front();
        if let Some(retry) = next.and_then(|number| self.retry.get(number)) {
            retry.notify();
        }
    }
}

/// A count of running threads. The control thread is woken when it falls to zero.
pub(super) struct WaitGroup {
    running: Mutex<usize>,
    control: Arc<Notifier>,
}

/// One running thread, until it is dropped.
pub(super) struct WaitGuard(Arc<WaitGroup>);

impl WaitGroup {
    pub(super) fn new(control: Arc<Notifier>) -> Arc<Self> {
        Arc::new(Self { running: Mutex::new(0), control })
    }

    pub(super) fn enter(self: &Arc<Self>) -> WaitGuard {
        *lock(&self.running) += 1;
        WaitGuard(Arc::clone(self))
    }

    pub(super) fn is_idle(&self) -> bool {
        *lock(&self.running) == 0
    }
}

impl Drop for WaitGuard {
    fn drop(&mut self) {
        let mut running = lock(&self.0.running);
        *running -= 1;
        if *running == 0 {
            self.0.control.notify();
        }
    }
}

/// Counts the open connections, and bounds those of clients.
pub(super) struct ConnectionSlots {
    counts: Mutex<SlotCounts>,
    changed: Condvar,
}

struct SlotCounts {
    clients: Clients,
    consoles: usize,
    /// Open connections whose slots become free after a callback that is under way.
    announced: usize,
    /// Accepting has ended, so no pending connection waits for a slot.
    is_closed: bool,
}

impl ConnectionSlots {
    pub(super) fn new(clients: Clients) -> Self {
        let counts = SlotCounts { clients, consoles: 0, announced: 0, is_closed: false };
        Self { counts: Mutex::new(counts), changed: Condvar::new() }
    }

    /// Takes a slot for a connection of `service`. If none is left for it and one is announced to
    /// become free, waits for that: the peer may have connected because it saw the other connection
    /// close.
    ///
    /// # Errors
    /// The reason why none is left.
    pub(super) fn acquire(&self, peer: &Peer, service: ServiceId) -> Result<(), CloseReason> {
        let must_wait = |counts: &mut SlotCounts| {
            !counts.is_closed && counts.announced > 0 && counts.clients.refusal(peer, service).is_some()
        };
        let mut counts = self.changed.wait_while(lock(&self.counts), must_wait).unwrap_or_else(PoisonError::into_inner);
        if let Some(reason) = counts.clients.refusal(peer, service) {
            return Err(reason);
        }
        counts.clients.add(peer, service);
        Ok(())
    }

    /// Adds a slot for a console, which does not count against the bounds.
    pub(super) fn add_console(&self) {
        lock(&self.counts).consoles += 1;
    }

    /// Announces that a slot becomes free after a callback.
    pub(super) fn announce_release(&self) {
        lock(&self.counts).announced += 1;
    }

    /// Withdraws an announcement, because the connection stays open for a while.
    pub(super) fn withdraw_release(&self) {
        lock(&self.counts).announced -= 1;
        self.changed.notify_all();
    }

    /// Frees a slot, or removes the one that was added for a console.
    pub(super) fn release(&self, was_announced: bool, peer: &Peer, service: ServiceId) {
        let mut counts = lock(&self.counts);
        counts.consoles -= usize::from(*peer == Peer::Console);
        counts.clients.remove(peer, service);
        counts.announced -= usize::from(was_announced);
        drop(counts);
        self.changed.notify_all();
    }

    pub(super) fn close(&self) {
        lock(&self.counts).is_closed = true;
        self.changed.notify_all();
    }

    pub(super) fn open(&self) -> usize {
        let counts = lock(&self.counts);
        counts.clients.connections() + counts.consoles
    }

    /// Returns the number of slots that are announced to become free.
    #[cfg(test)]
    pub(super) fn announced(&self) -> usize {
        lock(&self.counts).announced
    }
}

/// Locks a mutex whose holders never panic.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
