//! The start of threads, behind a trait so that a test can make it fail; and what threads wait for:
//! the end of others, and a permit.
//!
//! A new thread that finds no memory aborts the process: the standard library maps a signal stack
//! on that thread and panics where nothing can catch it. So if the address space is limited, a
//! start first checks that enough of it is left.

use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::param::page_size;
use rustix::process::{Resource, getrlimit};

use crate::net::Notifier;

/// Bytes of a thread's stack. Untouched pages cost address space only, so the size is generous: a
/// test runs the engine's deepest paths, with logging and a panic's backtrace, on half of it. The
/// callbacks and jobs of services have the other half. Without optimization, frames are far larger.
pub(super) const STACK_BYTES: usize = if cfg!(debug_assertions) { 256 * 1024 } else { 128 * 1024 };

/// Bytes that an allocator may reserve for a new thread. glibc reserves a heap of this size if it
/// can, and works without one if it cannot (mallopt(3), `M_ARENA_MAX`).
const HEAP_BYTES: usize = 64 << 20;

/// Bytes of address space that must be left for all other threads, during and after a start.
const RESERVE_BYTES: usize = 32 << 20;

/// Bytes that a start may take while it runs, and must leave: a heap is cut out of a mapping of
/// twice its size.
const START_BYTES: usize = 2 * HEAP_BYTES + RESERVE_BYTES;

/// Bytes added to the padding, so that memory freed by other threads meanwhile does not make room
/// for a heap.
const PADDING_EXTRA_BYTES: usize = 4 << 20;

/// The longest time that a start with too little address space waits for the running starts.
const START_TIMEOUT: Duration = Duration::from_secs(1);

/// The function of a thread.
pub(super) type ThreadTask = Box<dyn FnOnce() + Send>;

/// Starts threads.
pub(super) trait ThreadSpawner: Send + Sync {
    fn spawn(&self, name: String, task: ThreadTask) -> io::Result<()>;
}

/// Starts threads of the operating system.
#[derive(Default)]
pub(super) struct OsThreads(Arc<ThreadStarts>);

/// The starts under way. The address space that they take does not show yet.
#[derive(Default)]
struct ThreadStarts {
    state: Mutex<StartState>,
    ended: Condvar,
}

#[derive(Default)]
struct StartState {
    starting: usize,
    /// Address space reserved so that no heap fits into the rest, see [`StartState::make_room`].
    /// Its pages are never touched.
    padding: Vec<Vec<u8>>,
}

/// One start under way, until it is dropped.
struct StartGuard(Arc<ThreadStarts>);

impl ThreadSpawner for OsThreads {
    fn spawn(&self, name: String, task: ThreadTask) -> io::Result<()> {
        let start = self.begin_start()?;
        let thread = thread::Builder::new().name(name).stack_size(STACK_BYTES);
        // If the thread cannot start, dropping the closure ends the start.
        let started = thread.spawn(move || {
            drop(start);
            task();
        });
        started.map(drop)
    }
}

impl OsThreads {
    fn begin_start(&self) -> io::Result<StartGuard> {
        let starts = &self.0;
        let mut state = starts.lock();
        if free_address_space().is_some_and(|free_bytes| free_bytes < START_BYTES.saturating_mul(state.starting + 1)) {
            // With one start at a time, the address space that it takes can be measured.
            let waited = starts.ended.wait_timeout_while(state, START_TIMEOUT, |state| state.starting > 0);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.starting > 0 || !state.make_room() {
                return Err(io::ErrorKind::OutOfMemory.into());
            }
        }
        state.starting += 1;
        Ok(StartGuard(Arc::clone(starts)))
    }
}

impl StartState {
    /// Returns true if enough address space is left for all other threads: with or without a heap
    /// for the new thread, and while the allocator maps two. If that depends on the heap, reserves
    /// padding so that no heap fits.
    fn make_room(&mut self) -> bool {
        let suffices = |free_bytes: usize| free_bytes >= START_BYTES || free_bytes % HEAP_BYTES >= RESERVE_BYTES;
        let Some(free_bytes) = free_address_space() else { return true };
        if suffices(free_bytes) || free_bytes < HEAP_BYTES {
            return suffices(free_bytes);
        }
        let mut padding = Vec::new();
        if padding.try_reserve_exact(free_bytes % HEAP_BYTES + PADDING_EXTRA_BYTES).is_ok() {
            self.padding.push(padding);
        }
        free_address_space().is_none_or(suffices)
    }
}

impl ThreadStarts {
    /// Locks the state. No holder of the lock panics.
    fn lock(&self) -> MutexGuard<'_, StartState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for StartGuard {
    fn drop(&mut self) {
        self.0.lock().starting -= 1;
        self.0.ended.notify_all();
    }
}

/// Returns the bytes of address space that the process may still map; `None` if it is unlimited or
/// unknown (setrlimit(2), `RLIMIT_AS`). A trial allocation would take them from other threads.
fn free_address_space() -> Option<usize> {
    let limit = usize::try_from(getrlimit(Resource::As).current?).ok()?;
    // In pages (proc_pid_statm(5)).
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = statm.split(' ').next()?.parse().ok()?;
    Some(limit.saturating_sub(pages.saturating_mul(page_size())))
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
        *self.lock() += 1;
        WaitGuard(Arc::clone(self))
    }

    pub(super) fn is_idle(&self) -> bool {
        *self.lock() == 0
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for WaitGuard {
    fn drop(&mut self) {
        let mut running = self.0.lock();
        *running -= 1;
        if *running == 0 {
            self.0.control.notify();
        }
    }
}

/// A counting semaphore that can be closed.
pub(super) struct Semaphore {
    /// The number of free permits; `None` after [`close`](Semaphore::close).
    free: Mutex<Option<usize>>,
    changed: Condvar,
}

/// A permit, released on drop.
pub(super) struct SemaphorePermit<'a>(&'a Semaphore);

impl Semaphore {
    pub(super) fn new(max: NonZeroUsize) -> Self {
        Self { free: Mutex::new(Some(max.get())), changed: Condvar::new() }
    }

    /// Waits for a permit. Returns `None` if the semaphore is closed.
    pub(super) fn acquire(&self) -> Option<SemaphorePermit<'_>> {
        let is_exhausted = |free: &mut Option<usize>| *free == Some(0);
        let mut free = self.changed.wait_while(self.lock(), is_exhausted).unwrap_or_else(PoisonError::into_inner);
        *free = Some((*free)? - 1);
        Some(SemaphorePermit(self))
    }

    /// Closes the semaphore: no permit is given, and no thread waits any more.
    pub(super) fn close(&self) {
        *self.lock() = None;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Option<usize>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SemaphorePermit<'_> {
    fn drop(&mut self) {
        if let Some(free) = self.0.lock().as_mut() {
            *free += 1;
        }
        self.0.changed.notify_one();
    }
}
