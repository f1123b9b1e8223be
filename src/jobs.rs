//! A small fixed pool of threads for work that blocks. A thread starts when there is work and none is idle, up to the limit;
//! an engine whose services offload nothing has no thread but its own.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::context::Work;
use crate::limits::Limits;
use crate::service::{ConnId, JobError, JobId, JobOutput, ServiceId};

/// Whose job it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner {
    pub(crate) service: ServiceId,
    pub(crate) conn: ConnId,
    pub(crate) job: JobId,
}

/// Wakes the loop from another thread.
pub(crate) type Wake = Arc<dyn Fn() + Send + Sync>;

/// The pool, as its engine sees it.
pub(crate) struct Workers {
    shared: Arc<Shared>,
    threads: usize,
    max_threads: usize,
    max_queued: usize,
}

struct Shared {
    state: Mutex<State>,
    work_came: Condvar,
    wake: Wake,
}

#[derive(Default)]
struct State {
    queue: VecDeque<(Owner, Work)>,
    /// Ended and not collected yet. Each came from the queue, and the engine collects on every turn.
    done: Vec<(Owner, JobOutput)>,
    idle: usize,
    stopping: bool,
}

impl Workers {
    pub(crate) fn new(limits: &Limits, wake: Wake) -> Self {
        let shared = Shared { state: Mutex::default(), work_came: Condvar::new(), wake };
        Self { shared: Arc::new(shared), threads: 0, max_threads: limits.workers, max_queued: limits.max_queued_jobs }
    }

    /// Queues work; what became of it, a refusal included, is collected later.
    pub(crate) fn start(&mut self, owner: Owner, work: Work) {
        let mut state = self.shared.lock();
        let needs_thread = state.idle <= state.queue.len() && self.threads < self.max_threads;
        if needs_thread && spawn(&self.shared, self.threads) {
            self.threads += 1;
        }
        if self.threads == 0 || state.queue.len() >= self.max_queued {
            state.done.push((owner, JobOutput(Err(JobError::Refused))));
            drop(state);
            (self.shared.wake)();
            return;
        }
        state.queue.push_back((owner, work));
        drop(state);
        self.shared.work_came.notify_one();
    }

    /// Jobs that have ended since the last call.
    pub(crate) fn take_done(&mut self) -> Vec<(Owner, JobOutput)> {
        std::mem::take(&mut self.shared.lock().done)
    }
}

impl Drop for Workers {
    /// Work that has not begun is forgotten; a thread that works ends when its work does.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.stopping = true;
        state.queue.clear();
        drop(state);
        self.shared.work_came.notify_all();
    }
}

impl Shared {
    /// Nothing panics with the lock held; were it poisoned all the same, the state is still whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<(Owner, Work)> {
        let mut state = self.lock();
        loop {
            if state.stopping {
                return None;
            }
            if let Some(job) = state.queue.pop_front() {
                return Some(job);
            }
            state.idle += 1;
            state = self.work_came.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }
}

fn spawn(shared: &Arc<Shared>, number: usize) -> bool {
    let shared = Arc::clone(shared);
    let thread = thread::Builder::new().name(format!("worker-{number}"));
    let spawned = thread.spawn(move || {
        while let Some((owner, work)) = shared.next() {
            let output = catch_unwind(AssertUnwindSafe(work)).map_err(|_| JobError::Panicked);
            shared.lock().done.push((owner, JobOutput(output)));
            (shared.wake)();
        }
    });
    if let Err(error) = &spawned {
        log::warn!("no worker thread could be started: {error}");
    }
    spawned.is_ok()
}
