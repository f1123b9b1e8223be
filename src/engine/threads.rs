//! The start of threads.
//!
//! A new thread that finds no memory aborts the process: the standard library maps a signal stack
//! on that thread and panics where nothing can catch it. So if the address space is limited, a
//! start first checks that enough of it is left. All engines of the process share one address
//! space, so they share the check.

use std::fs;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::param::page_size;
use rustix::process::{Resource, getrlimit};

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
pub(crate) type ThreadTask = Box<dyn FnOnce() + Send>;

/// The starts under way in this process. The address space that they take does not show yet.
static STARTS: ThreadStarts = ThreadStarts {
    state: Mutex::new(StartState { starting: 0, running: 0, padding: Vec::new() }),
    ended: Condvar::new(),
};

struct ThreadStarts {
    state: Mutex<StartState>,
    ended: Condvar,
}

struct StartState {
    starting: usize,
    /// The threads that are starting or running.
    running: usize,
    /// Address space reserved so that no heap fits into the rest, see [`StartState::make_room`].
    /// Its pages are never touched. Freed when the last of the threads ends.
    padding: Vec<Vec<u8>>,
}

/// One start under way, until it is dropped.
struct StartGuard;

/// One thread that is starting or running, until it is dropped.
struct RunningGuard;

/// Starts a thread, with a stack of `stack_bytes` or of the standard library's size.
///
/// # Errors
/// The error of the system, or `OutOfMemory` if too little address space is left.
pub(crate) fn spawn(name: String, stack_bytes: Option<usize>, task: ThreadTask) -> io::Result<()> {
    let (start, running) = begin_start()?;
    let thread = thread::Builder::new().name(name);
    let thread = if let Some(bytes) = stack_bytes { thread.stack_size(bytes) } else { thread };
    // If the thread cannot start, dropping the closure ends the start.
    let started = thread.spawn(move || {
        let _running = running;
        drop(start);
        task();
    });
    started.map(drop)
}

fn begin_start() -> io::Result<(StartGuard, RunningGuard)> {
    let mut state = STARTS.lock();
    if free_address_space().is_some_and(|free_bytes| free_bytes < START_BYTES.saturating_mul(state.starting + 1)) {
        // With one start at a time, the address space that it takes can be measured.
        let waited = STARTS.ended.wait_timeout_while(state, START_TIMEOUT, |state| state.starting > 0);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
        if state.starting > 0 || !state.make_room() {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
    }
    state.starting += 1;
    state.running += 1;
    Ok((StartGuard, RunningGuard))
}

impl Drop for StartGuard {
    fn drop(&mut self) {
        STARTS.lock().starting -= 1;
        STARTS.ended.notify_all();
    }
}

impl Drop for RunningGuard {
    fn drop(&mut self) {
        let mut state = STARTS.lock();
        state.running -= 1;
        if state.running == 0 {
            state.padding.clear();
        }
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

/// Returns the bytes of address space that the process may still map; `None` if it is unlimited or
/// unknown (setrlimit(2), `RLIMIT_AS`). A trial allocation would take them from other threads.
fn free_address_space() -> Option<usize> {
    let limit = usize::try_from(getrlimit(Resource::As).current?).ok()?;
    // In pages (proc_pid_statm(5)).
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = statm.split(' ').next()?.parse().ok()?;
    Some(limit.saturating_sub(pages.saturating_mul(page_size())))
}
