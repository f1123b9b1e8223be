//! Bounded pools of worker threads for work that blocks: one pool shared by all services, and one
//! for each service with [`job_threads`](crate::ServiceOptions::job_threads).
//!
//! A thread starts when a job is queued and no thread of the pool is idle, up to the limit. An
//! engine whose services offload no work starts no worker thread.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use log::Level;

use crate::engine::job_queue::{Client, JobQueue};
use crate::engine::limits::Limits;
use crate::engine::stats::Stats;
use crate::engine::threads;
use crate::service::JobOptions;
use crate::service::context::JobFn;
use crate::service::warning_limit::log_limited;
use crate::service::{ConnId, JobError, JobId, JobOutput, ServiceId};

/// The owner of a job, to which its output goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JobOwner {
    pub(crate) service: ServiceId,
    pub(crate) conn: ConnId,
    pub(crate) job: JobId,
    /// The bytes that the job holds until its output is delivered.
    pub(crate) bytes: usize,
}

impl JobOwner {
    fn client(self) -> Client {
        (self.service, self.conn)
    }
}

/// Wakes the engine from another thread.
pub(crate) type WakeFn = Arc<dyn Fn() + Send + Sync>;

/// All worker pools of an engine.
pub(crate) struct WorkerPools {
    shared: WorkerPool,
    /// One entry per service; `None` if it uses the shared pool.
    own: Vec<Option<WorkerPool>>,
    /// One entry per service.
    options: Vec<JobOptions>,
}

impl WorkerPools {
    /// Creates the pools for services with these options.
    pub(crate) fn new(limits: &Limits, services: impl Iterator<Item = JobOptions>, wake: &WakeFn) -> Self {
        let pool = |threads: usize| WorkerPool::new(threads, limits.max_queued_jobs, Arc::clone(wake));
        let options: Vec<_> = services.collect();
        let own = options.iter().map(|service| Some(pool(service.threads?.get()))).collect();
        Self { own, shared: pool(limits.workers), options }
    }

    /// Queues a job. Its output, or its rejection, is returned by [`take_done`](Self::take_done).
    pub(crate) fn start(&mut self, owner: JobOwner, work: JobFn) {
        let own = self.own.get_mut(owner.service.0).and_then(Option::as_mut);
        let waits = owner.conn != ConnId::NONE && self.options.get(owner.service.0).is_some_and(|jobs| jobs.wait);
        own.unwrap_or(&mut self.shared).start(owner, work, waits);
    }

    /// Adds the output of a job that took no thread.
    pub(crate) fn add_done(&mut self, owner: JobOwner, output: JobOutput) {
        self.shared.shared.lock().done.push((owner, output));
    }

    /// Rejects the queued jobs of a service that is stopped. Its running jobs go on.
    pub(crate) fn reject_queued(&self, service: ServiceId) {
        for pool in [&self.shared].into_iter().chain(self.own.iter().flatten()) {
            let mut state = pool.shared.lock();
            let jobs = state.queue.take_waiting_of(service);
            state.rejected += jobs.len() as u64;
            state.done.extend(jobs.iter().map(|(owner, _)| (*owner, JobOutput::refused(JobError::Rejected))));
            // What the jobs have captured is dropped without the lock.
            drop(state);
        }
    }

    /// Adds the numbers of queued, running and rejected jobs to `stats`.
    pub(crate) fn add_counts(&self, stats: &mut Stats) {
        for pool in [&self.shared].into_iter().chain(self.own.iter().flatten()) {
            let pool = pool.shared.lock();
            stats.jobs_queued += pool.queue.queued() as u64;
            stats.jobs_running += pool.running;
            stats.jobs_refused += pool.rejected;
        }
    }

    /// Makes the pools queue jobs without starting a thread, for a test that runs them in an order
    /// of its own with [`run_queued`](Self::run_queued).
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn remove_threads(&mut self) {
        for pool in self.own.iter_mut().flatten().chain([&mut self.shared]) {
            pool.threads = pool.max_threads;
        }
    }

    /// Returns the bytes that the jobs of some connections hold, without the jobs that are running.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn bytes_of(&self, owns: impl Fn(ConnId) -> bool) -> usize {
        self.own.iter().flatten().chain([&self.shared]).map(|pool| pool.shared.bytes_of(&owns)).sum()
    }

    /// Runs one queued job: the next after `pick` turns. Returns false if none is queued.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn run_queued(&self, pick: usize) -> bool {
        let mut pools = self.own.iter().flatten().chain([&self.shared]);
        pools.any(|pool| {
            let mut state = pool.shared.lock();
            state.queue.skip_turns(pick);
            let Some((owner, work)) = state.queue.pop() else { return false };
            state.running += 1;
            drop(state);
            pool.shared.run(owner, work);
            true
        })
    }

    /// Returns the jobs that have ended since the last call.
    pub(crate) fn take_done(&mut self) -> Vec<(JobOwner, JobOutput)> {
        let mut done = self.shared.take_done();
        self.own.iter_mut().flatten().for_each(|workers| done.append(&mut workers.take_done()));
        done
    }
}

/// One pool.
struct WorkerPool {
    shared: Arc<PoolShared>,
    threads: usize,
    max_threads: usize,
    max_queued: usize,
}

/// The state that the engine and the threads of a pool share.
struct PoolShared {
    state: Mutex<PoolState>,
    job_queued: Condvar,
    wake: WakeFn,
}

struct PoolState {
    queue: JobQueue<(JobOwner, JobFn)>,
    /// Outputs that the engine has not collected yet. Their number is bounded, because the engine
    /// collects on every turn.
    done: Vec<(JobOwner, JobOutput)>,
    idle: usize,
    running: u64,
    /// Jobs rejected since the start.
    rejected: u64,
    stopping: bool,
}

impl WorkerPool {
    fn new(max_threads: usize, max_queued: usize, wake: WakeFn) -> Self {
        let queue = JobQueue::new(max_threads);
        let state = PoolState { queue, done: Vec::new(), idle: 0, running: 0, rejected: 0, stopping: false };
        let shared = PoolShared { state: Mutex::new(state), job_queued: Condvar::new(), wake };
        Self { shared: Arc::new(shared), threads: 0, max_threads, max_queued }
    }

    /// Queues a job. One that `waits` is queued however many are queued before it.
    fn start(&mut self, owner: JobOwner, work: JobFn, waits: bool) {
        let mut state = self.shared.lock();
        if state.idle <= state.queue.queued() && self.threads < self.max_threads {
            match spawn(&self.shared, self.threads) {
                Ok(()) => self.threads += 1,
                Err(error) => {
                    log_limited(Level::Warn, "worker threads", format_args!("worker thread not started: {error}"));
                }
            }
        }
        let refusal = match self.threads {
            0 => Some(JobError::NoThread),
            _ => (state.queue.queued() >= self.max_queued && !waits).then_some(JobError::Rejected),
        };
        if let Some(error) = refusal {
            state.rejected += 1;
            state.done.push((owner, JobOutput::refused(error)));
            drop(state);
            (self.shared.wake)();
            return;
        }
        state.queue.push(owner.client(), (owner, work));
        drop(state);
        self.shared.job_queued.notify_one();
    }

    fn take_done(&mut self) -> Vec<(JobOwner, JobOutput)> {
        std::mem::take(&mut self.shared.lock().done)
    }
}

impl Drop for WorkerPool {
    /// Discards queued jobs. A busy thread ends after its current job.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.stopping = true;
        state.queue.clear();
        drop(state);
        self.shared.job_queued.notify_all();
    }
}

impl PoolShared {
    /// Locks the state. No code panics while it holds the lock, so a poisoned lock would still
    /// guard a consistent state.
    fn lock(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(any(test, feature = "fuzzing"))]
    fn bytes_of(&self, owns: impl Fn(ConnId) -> bool) -> usize {
        let state = self.lock();
        let owners = state.queue.waiting().map(|(owner, _)| owner).chain(state.done.iter().map(|(owner, _)| owner));
        owners.filter(|owner| owns(owner.conn)).map(|owner| owner.bytes).sum()
    }

    /// Runs a job, keeps its output for the engine, and wakes the engine.
    fn run(&self, owner: JobOwner, work: JobFn) {
        let output = JobOutput::of(work);
        let mut state = self.lock();
        state.queue.ended(owner.client());
        state.running -= 1;
        state.done.push((owner, output));
        drop(state);
        (self.wake)();
    }

    /// Waits for the next job; `None` if the pool is stopping.
    fn next(&self) -> Option<(JobOwner, JobFn)> {
        let mut state = self.lock();
        loop {
            if state.stopping {
                return None;
            }
            if let Some(job) = state.queue.pop() {
                state.running += 1;
                return Some(job);
            }
            state.idle += 1;
            state = self.job_queued.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }
}

/// Starts a worker thread.
fn spawn(shared: &Arc<PoolShared>, number: usize) -> io::Result<()> {
    let shared = Arc::clone(shared);
    let task = move || {
        while let Some((owner, work)) = shared.next() {
            shared.run(owner, work);
        }
    };
    threads::spawn(format!("worker-{number}"), None, Box::new(task))
}

#[cfg(test)]
mod tests;
