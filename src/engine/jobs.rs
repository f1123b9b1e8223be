//! Bounded pools of worker threads for work that blocks: one pool shared by all services, and one
//! for each service with [`job_threads`](crate::ServiceOptions::job_threads).
//!
//! A thread starts when a job is queued and no thread of the pool is idle, up to the limit. An
//! engine whose services offload no work starts no worker thread.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::engine::limits::Limits;
use crate::engine::threads;
use crate::service::context::JobFn;
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

/// Wakes the engine from another thread.
pub(crate) type WakeFn = Arc<dyn Fn() + Send + Sync>;

/// All worker pools of an engine.
pub(crate) struct WorkerPools {
    shared: WorkerPool,
    /// One entry per service; `None` if it uses the shared pool.
    own: Vec<Option<WorkerPool>>,
}

impl WorkerPools {
    /// Creates the pools. `services` gives, in order, the number of threads that each service
    /// requests for itself.
    pub(crate) fn new(limits: &Limits, services: impl Iterator<Item = Option<NonZeroUsize>>, wake: &WakeFn) -> Self {
        let pool = |threads: usize| WorkerPool::new(threads, limits.max_queued_jobs, Arc::clone(wake));
        let own = services.map(|threads| Some(pool(threads?.get())));
        Self { own: own.collect(), shared: pool(limits.workers) }
    }

    /// Queues a job. Its output, or its rejection, is returned by [`take_done`](Self::take_done).
    pub(crate) fn start(&mut self, owner: JobOwner, work: JobFn) {
        let own = self.own.get_mut(owner.service.0).and_then(Option::as_mut);
        own.unwrap_or(&mut self.shared).start(owner, work);
    }

    /// Makes the pools queue jobs without starting a thread, for a test that runs them in an order
    /// of its own with [`run_queued`](Self::run_queued).
    #[cfg(test)]
    pub(crate) fn remove_threads(&mut self) {
        for pool in self.own.iter_mut().flatten().chain([&mut self.shared]) {
            pool.threads = pool.max_threads;
        }
    }

    /// Runs one queued job: number `pick`, modulo their number. Returns false if none is queued.
    #[cfg(test)]
    pub(crate) fn run_queued(&self, pick: usize) -> bool {
        let mut pools = self.own.iter().flatten().chain([&self.shared]);
        pools.any(|pool| {
            let mut state = pool.shared.lock();
            let queued = state.queue.len();
            let Some((owner, work)) = state.queue.remove(pick % queued.max(1)) else { return false };
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

#[derive(Default)]
struct PoolState {
    queue: VecDeque<(JobOwner, JobFn)>,
    /// Outputs that the engine has not collected yet. Their number is bounded, because the engine
    /// collects on every turn.
    done: Vec<(JobOwner, JobOutput)>,
    idle: usize,
    stopping: bool,
}

impl WorkerPool {
    fn new(max_threads: usize, max_queued: usize, wake: WakeFn) -> Self {
        let shared = PoolShared { state: Mutex::default(), job_queued: Condvar::new(), wake };
        Self { shared: Arc::new(shared), threads: 0, max_threads, max_queued }
    }

    fn start(&mut self, owner: JobOwner, work: JobFn) {
        let mut state = self.shared.lock();
        let needs_thread = state.idle <= state.queue.len() && self.threads < self.max_threads;
        if needs_thread && spawn(&self.shared, self.threads) {
            self.threads += 1;
        }
        if self.threads == 0 || state.queue.len() >= self.max_queued {
            state.done.push((owner, JobOutput(Err(JobError::Rejected))));
            drop(state);
            (self.shared.wake)();
            return;
        }
        state.queue.push_back((owner, work));
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

    /// Runs a job, keeps its output for the engine, and wakes the engine.
    fn run(&self, owner: JobOwner, work: JobFn) {
        let output = catch_unwind(AssertUnwindSafe(work)).map_err(|_| JobError::Panicked);
        self.lock().done.push((owner, JobOutput(output)));
        (self.wake)();
    }

    /// Waits for the next job; `None` if the pool is stopping.
    fn next(&self) -> Option<(JobOwner, JobFn)> {
        let mut state = self.lock();
        loop {
            if state.stopping {
                return None;
            }
            if let Some(job) = state.queue.pop_front() {
                return Some(job);
            }
            state.idle += 1;
            state = self.job_queued.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }
}

/// Starts a worker thread; returns false if the system refuses.
fn spawn(shared: &Arc<PoolShared>, number: usize) -> bool {
    let shared = Arc::clone(shared);
    let task = move || {
        while let Some((owner, work)) = shared.next() {
            shared.run(owner, work);
        }
    };
    let spawned = threads::spawn(format!("worker-{number}"), None, Box::new(task));
    spawned.inspect_err(|error| log::warn!("worker thread not started: {error}")).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::guard;
    use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
    use std::thread;

    /// A pool and the receiver of its wake-ups.
    struct TestPool {
        workers: WorkerPool,
        woken: Receiver<()>,
        done: VecDeque<(u64, JobOutput)>,
    }

    impl TestPool {
        fn new(workers: usize, max_queued_jobs: usize) -> Self {
            let (waker, woken) = channel();
            let workers =
                WorkerPool::new(workers, max_queued_jobs, Arc::new(move || waker.send(()).unwrap_or_default()));
            Self { workers, woken, done: VecDeque::new() }
        }

        fn start<T: Send + 'static>(&mut self, job: u64, work: impl FnOnce() -> T + Send + 'static) {
            let owner = JobOwner { service: ServiceId(0), conn: ConnId::NONE, job: JobId(job), bytes: 0 };
            self.workers.start(owner, Box::new(|| Box::new(work())));
        }

        /// Returns the output of the next job to end, collected after a wake-up as an engine does.
        fn next<T: 'static>(&mut self) -> (u64, Result<T, JobError>) {
            loop {
                if let Some((job, output)) = self.done.pop_front() {
                    return (job, output.take());
                }
                self.woken.recv_timeout(guard()).expect("the loop is woken when a job ends");
                self.done.extend(self.workers.take_done().into_iter().map(|(owner, output)| (owner.job.0, output)));
            }
        }

        fn wait_until_idle(&self, threads: usize) {
            while self.workers.shared.lock().idle < threads {
                thread::yield_now();
            }
        }
    }

    #[test]
    fn a_job_runs_on_another_thread_and_returns_its_value() {
        let mut pool = TestPool::new(2, 10);
        pool.start(7, || thread::current().id());
        let (job, ran_on) = pool.next::<thread::ThreadId>();
        assert_eq!(job, 7);
        assert_ne!(ran_on.unwrap(), thread::current().id());
    }

    #[test]
    fn taking_another_type_is_an_error() {
        let mut pool = TestPool::new(1, 10);
        pool.start(1, || "text");
        assert_eq!(pool.next::<u32>(), (1, Err(JobError::WrongType)));
    }

    #[test]
    fn a_thread_starts_only_if_none_is_idle() {
        let mut pool = TestPool::new(4, 10);
        assert_eq!(pool.workers.threads, 0);
        for job in 0..3 {
            pool.start(job, move || job);
            assert_eq!(pool.next(), (job, Ok(job)));
            pool.wait_until_idle(1);
            assert_eq!(pool.workers.threads, 1);
        }
    }

    #[test]
    fn running_jobs_are_bounded_by_the_workers() {
        let mut pool = TestPool::new(3, 100);
        let (started, starts) = channel();
        let mut gates = Vec::new();
        for job in 0..10 {
            let (open, gate) = channel::<()>();
            let started = started.clone();
            gates.push(open);
            pool.start(job, move || {
                started.send(job).unwrap();
                gate.recv().unwrap_err();
            });
            assert!(pool.workers.threads <= 3);
        }
        for running in 0..3 {
            assert!(starts.recv_timeout(guard()).is_ok(), "only {running} run at the same time");
        }
        assert_eq!(pool.workers.threads, 3);
        // All three threads wait at their gates, so no thread can start a fourth job.
        assert!(starts.try_recv().is_err());
        drop(gates);
        let mut ended: Vec<u64> = (0..10).map(|_| pool.next::<()>().0).collect();
        ended.sort_unstable();
        assert_eq!(ended, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn jobs_over_the_queue_limit_are_rejected() {
        let mut pool = TestPool::new(1, 2);
        let (started, starts) = channel();
        let (open, gate) = channel::<()>();
        pool.start(0, move || {
            started.send(()).unwrap();
            gate.recv().unwrap_err();
        });
        starts.recv_timeout(guard()).unwrap();
        (1..=4).for_each(|job| pool.start(job, || ()));
        assert_eq!(pool.next::<()>(), (3, Err(JobError::Rejected)));
        assert_eq!(pool.next::<()>(), (4, Err(JobError::Rejected)));
        drop(open);
        for job in 0..3 {
            assert_eq!(pool.next(), (job, Ok(())));
        }
        pool.start(5, || ());
        assert_eq!(pool.next(), (5, Ok(())), "the queue has space again");
    }

    #[test]
    fn a_panicking_job_is_reported_and_the_pool_continues() {
        let mut pool = TestPool::new(1, 10);
        for job in 0..3 {
            // `resume_unwind` panics without printing a message.
            pool.start(job, || -> () { std::panic::resume_unwind(Box::new("on purpose")) });
            assert_eq!(pool.next::<()>(), (job, Err(JobError::Panicked)));
        }
        pool.start(3, || "still here");
        assert_eq!(pool.next(), (3, Ok("still here")));
        assert_eq!(pool.workers.threads, 1);
    }

    #[test]
    fn dropping_a_pool_discards_jobs_and_ends_its_threads() {
        let mut pool = TestPool::new(1, 10);
        let (started, starts) = channel();
        let (open, gate) = channel::<()>();
        let (waiting, never_ran) = channel::<()>();
        pool.start(0, move || {
            started.send(()).unwrap();
            gate.recv().unwrap_err();
        });
        starts.recv_timeout(guard()).unwrap();
        pool.start(1, move || waiting.send(()).unwrap());
        let TestPool { workers, woken, .. } = pool;
        drop(workers);
        assert_eq!(never_ran.recv_timeout(guard()), Err(RecvTimeoutError::Disconnected));
        drop(open);
        // The last thread drops the sender.
        assert_eq!(woken.recv_timeout(guard()), Ok(()));
        assert_eq!(woken.recv_timeout(guard()), Err(RecvTimeoutError::Disconnected));
    }

    #[test]
    fn a_service_with_its_own_threads_delays_no_other() {
        let (waker, woken) = channel();
        let wake: WakeFn = Arc::new(move || waker.send(()).unwrap_or_default());
        let limits = Limits { workers: 1, ..Limits::default() };
        let mut pools = WorkerPools::new(&limits, [None, NonZeroUsize::new(2)].into_iter(), &wake);
        let owner =
            |service, job| JobOwner { service: ServiceId(service), conn: ConnId::NONE, job: JobId(job), bytes: 0 };
        let (started, starts) = channel();
        let (open, gate) = channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        for job in 0..3 {
            let (started, gate) = (started.clone(), Arc::clone(&gate));
            pools.start(
                owner(1, job),
                Box::new(move || {
                    started.send(job).unwrap();
                    Box::new(gate.lock().unwrap().recv())
                }),
            );
        }
        let running = [(); 2].map(|()| starts.recv_timeout(guard()).unwrap());
        assert_eq!(running.iter().max(), Some(&1), "two at the same time, in order");
        pools.start(owner(0, 9), Box::new(|| Box::new(())));
        woken.recv_timeout(guard()).unwrap();
        let done: Vec<_> = pools.take_done().iter().map(|(owner, _)| owner.job.0).collect();
        assert_eq!(done, [9]);
        assert!(starts.try_recv().is_err(), "the third waits for one of the two");
        drop(open);
        assert_eq!(starts.recv_timeout(guard()), Ok(2));
    }
}
