//! Starting threads. A trait, so that a test can have it fail.
//!
//! A thread that finds no memory while it starts ends the whole process: the standard library maps a signal stack on the new
//! thread itself, and panics where nothing can catch it. So where the address space is bounded, we see that enough is left first.

use std::fs;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::param::page_size;
use rustix::process::{Resource, getrlimit};

/// Stack of a thread, in bytes. What is not touched costs address space only, so it is not cut to the last page: a test runs our
/// deepest paths, logging and a panic's backtrace included, on half of it, and services' callbacks and jobs have the other
/// half. Without optimisation frames are far larger.
pub(super) const STACK_BYTES: usize = if cfg!(debug_assertions) { 256 * 1024 } else { 128 * 1024 };

/// What an allocator may take for a new thread, in bytes: glibc reserves a heap of this size for it if it can, and works without
/// one where it cannot (mallopt(3), `M_ARENA_MAX`).
const HEAP_BYTES: usize = 64 << 20;

/// What has to be left for everybody else when a thread has started, and while it does, in bytes.
const SPARE_BYTES: usize = 32 << 20;

/// What a start may take while it goes on, and must leave: a heap is cut out of a mapping of twice its size.
const EACH_BYTES: usize = 2 * HEAP_BYTES + SPARE_BYTES;

/// A little more, so that what others give back meanwhile does not make room for a heap after all.
const BALLAST_MORE_BYTES: usize = 4 << 20;

/// How long a start that finds memory short waits for those under way.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a thread does.
pub(super) type Task = Box<dyn FnOnce() + Send>;

/// Starts threads.
pub(super) trait Spawn: Send + Sync {
    fn spawn(&self, name: String, task: Task) -> io::Result<()>;
}

/// As the operating system does it.
#[derive(Default)]
pub(super) struct OsThreads(Arc<Starts>);

/// Threads that are starting: what they will have taken in a moment does not show yet.
#[derive(Default)]
struct Starts {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    under_way: usize,
    /// Address space kept so that no heap fits into what is left, see [`State::can_start_one`]. Never touched.
    ballast: Vec<Vec<u8>>,
}

/// One thread's start.
struct Start(Arc<Starts>);

impl Spawn for OsThreads {
    fn spawn(&self, name: String, task: Task) -> io::Result<()> {
        let start = self.begin()?;
        let thread = thread::Builder::new().name(name).stack_size(STACK_BYTES);
        // Where there is no thread, the start ends with the closure.
        let started = thread.spawn(move || {
            drop(start);
            task();
        });
        started.map(drop)
    }
}

impl OsThreads {
    fn begin(&self) -> io::Result<Start> {
        let starts = &self.0;
        let mut state = starts.lock();
        if room_for_mappings().is_some_and(|room| room < EACH_BYTES.saturating_mul(state.under_way + 1)) {
            // One at a time, what a start takes can be told.
            let waited = starts.ended.wait_timeout_while(state, PATIENCE, |state| state.under_way > 0);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.under_way > 0 || !state.can_start_one() {
                return Err(io::ErrorKind::OutOfMemory.into());
            }
        }
        state.under_way += 1;
        Ok(Start(Arc::clone(starts)))
    }
}

impl State {
    /// Whether enough is left for everybody else, whether or not the new thread's allocator finds room for a heap, and while it
    /// holds two. Where that hangs on the heap, so much is put aside that there is no room for it.
    fn can_start_one(&mut self) -> bool {
        let is_enough = |room: usize| room >= EACH_BYTES || room % HEAP_BYTES >= SPARE_BYTES;
        let Some(room) = room_for_mappings() else { return true };
        if is_enough(room) || room < HEAP_BYTES {
            return is_enough(room);
        }
        let mut ballast = Vec::new();
        if ballast.try_reserve_exact(room % HEAP_BYTES + BALLAST_MORE_BYTES).is_ok() {
            self.ballast.push(ballast);
        }
        room_for_mappings().is_none_or(is_enough)
    }
}

impl Starts {
    /// Nothing panics with the lock held.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Start {
    fn drop(&mut self) {
        self.0.lock().under_way -= 1;
        self.0.ended.notify_all();
    }
}

/// How much address space the process may still take, where that is bounded and known (setrlimit(2), `RLIMIT_AS`). To try it out
/// would take it from those who need it at that moment.
fn room_for_mappings() -> Option<usize> {
    let bound = usize::try_from(getrlimit(Resource::As).current?).ok()?;
    // In pages (proc_pid_statm(5)).
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = statm.split(' ').next()?.parse().ok()?;
    Some(bound.saturating_sub(pages.saturating_mul(page_size())))
}
