//! Small fixed pools of threads for work that blocks: one for all services, and one for each service whose work takes so long
//! that it asked for threads of its own. A thread starts when there is work and none of its pool is idle, up to the limit; an
//! engine whose services offload nothing has no thread but its own.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::engine::limits::Limits;
use crate::service::context::Work;
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

/// All pools, as their engine sees them.
pub(crate) struct WorkerPools {
    common: Workers,
    /// By the number of the service.
    own: Vec<Option<Workers>>,
}

impl WorkerPools {
    /// For services which ask, in this order, for so many threads of their own.
    pub(crate) fn new(limits: &Limits, services: impl Iterator<Item = Option<NonZeroUsize>>, wake: &Wake) -> Self {
        let pool = |threads: usize| Workers::new(threads, limits.max_queued_jobs, Arc::clone(wake));
        let own = services.map(|threads| Some(pool(threads?.get())));
        Self { own: own.collect(), common: pool(limits.workers) }
    }

    /// Queues work; what became of it, a refusal included, is collected later.
    pub(crate) fn start(&mut self, owner: Owner, work: Work) {
        let own = self.own.get_mut(owner.service.0).and_then(Option::as_mut);
        own.unwrap_or(&mut self.common).start(owner, work);
    }

    /// Jobs that have ended since the last call.
    pub(crate) fn take_done(&mut self) -> Vec<(Owner, JobOutput)> {
        let mut done = self.common.take_done();
        self.own.iter_mut().flatten().for_each(|workers| done.append(&mut workers.take_done()));
        done
    }
}

/// One pool.
struct Workers {
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
    fn new(max_threads: usize, max_queued: usize, wake: Wake) -> Self {
        let shared = Shared { state: Mutex::default(), work_came: Condvar::new(), wake };
        Self { shared: Arc::new(shared), threads: 0, max_threads, max_queued }
    }

    fn start(&mut self, owner: Owner, work: Work) {
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

    fn take_done(&mut self) -> Vec<(Owner, JobOutput)> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
    use std::time::Duration;

    /// Long enough for any machine; only a failing test waits for it.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// A pool with its waker's bell.
    struct Pool {
        workers: Workers,
        woken: Receiver<()>,
        done: VecDeque<(u64, JobOutput)>,
    }

    impl Pool {
        fn new(workers: usize, max_queued_jobs: usize) -> Self {
            let (bell, woken) = channel();
            let workers = Workers::new(workers, max_queued_jobs, Arc::new(move || bell.send(()).unwrap_or_default()));
            Self { workers, woken, done: VecDeque::new() }
        }

        fn start<T: Send + 'static>(&mut self, job: u64, work: impl FnOnce() -> T + Send + 'static) {
            let owner = Owner { service: ServiceId(0), conn: ConnId::NONE, job: JobId(job) };
            self.workers.start(owner, Box::new(|| Box::new(work())));
        }

        /// What the next job to end left, collected as an engine does it: when woken.
        fn next<T: 'static>(&mut self) -> (u64, Result<T, JobError>) {
            loop {
                if let Some((job, output)) = self.done.pop_front() {
                    return (job, output.take());
                }
                self.woken.recv_timeout(PATIENCE).expect("the loop is woken when a job ends");
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
    fn work_runs_on_another_thread_and_its_value_comes_back() {
        let mut pool = Pool::new(2, 10);
        pool.start(7, || thread::current().id());
        let (job, ran_on) = pool.next::<thread::ThreadId>();
        assert_eq!(job, 7);
        assert_ne!(ran_on.unwrap(), thread::current().id());
    }

    #[test]
    fn a_value_of_another_type_than_asked_for_is_an_error() {
        let mut pool = Pool::new(1, 10);
        pool.start(1, || "text");
        assert_eq!(pool.next::<u32>(), (1, Err(JobError::OtherType)));
    }

    #[test]
    fn no_thread_starts_before_there_is_work_and_none_while_one_is_idle() {
        let mut pool = Pool::new(4, 10);
        assert_eq!(pool.workers.threads, 0);
        for job in 0..3 {
            pool.start(job, move || job);
            assert_eq!(pool.next(), (job, Ok(job)));
            pool.wait_until_idle(1);
            assert_eq!(pool.workers.threads, 1);
        }
    }

    #[test]
    fn as_many_jobs_run_at_once_as_there_may_be_workers_and_no_more() {
        let mut pool = Pool::new(3, 100);
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
            assert!(starts.recv_timeout(PATIENCE).is_ok(), "only {running} run at once");
        }
        assert_eq!(pool.workers.threads, 3);
        // All three are held at their gates, so nobody is there to begin a fourth.
        assert!(starts.try_recv().is_err());
        drop(gates);
        let mut ended: Vec<u64> = (0..10).map(|_| pool.next::<()>().0).collect();
        ended.sort_unstable();
        assert_eq!(ended, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn work_beyond_what_may_wait_is_refused_at_once_and_the_rest_is_done_in_order() {
        let mut pool = Pool::new(1, 2);
        let (started, starts) = channel();
        let (open, gate) = channel::<()>();
        pool.start(0, move || {
            started.send(()).unwrap();
            gate.recv().unwrap_err();
        });
        starts.recv_timeout(PATIENCE).unwrap();
        (1..=4).for_each(|job| pool.start(job, || ()));
        assert_eq!(pool.next::<()>(), (3, Err(JobError::Refused)));
        assert_eq!(pool.next::<()>(), (4, Err(JobError::Refused)));
        drop(open);
        for job in 0..3 {
            assert_eq!(pool.next(), (job, Ok(())));
        }
        pool.start(5, || ());
        assert_eq!(pool.next(), (5, Ok(())), "there is room again");
    }

    #[test]
    fn work_that_panics_is_reported_and_the_pool_goes_on() {
        let mut pool = Pool::new(1, 10);
        for job in 0..3 {
            // As a panic, but without its message among the tests' output.
            pool.start(job, || -> () { std::panic::resume_unwind(Box::new("on purpose")) });
            assert_eq!(pool.next::<()>(), (job, Err(JobError::Panicked)));
        }
        pool.start(3, || "still here");
        assert_eq!(pool.next(), (3, Ok("still here")));
        assert_eq!(pool.workers.threads, 1);
    }

    #[test]
    fn a_pool_that_is_dropped_forgets_what_waits_and_its_threads_end() {
        let mut pool = Pool::new(1, 10);
        let (started, starts) = channel();
        let (open, gate) = channel::<()>();
        let (waiting, never_ran) = channel::<()>();
        pool.start(0, move || {
            started.send(()).unwrap();
            gate.recv().unwrap_err();
        });
        starts.recv_timeout(PATIENCE).unwrap();
        pool.start(1, move || waiting.send(()).unwrap());
        let Pool { workers, woken, .. } = pool;
        drop(workers);
        assert_eq!(never_ran.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected));
        drop(open);
        // The last thread takes the bell with it.
        assert_eq!(woken.recv_timeout(PATIENCE), Ok(()));
        assert_eq!(woken.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected));
    }

    #[test]
    fn a_service_with_threads_of_its_own_holds_up_nobody_else() {
        let (bell, woken) = channel();
        let wake: Wake = Arc::new(move || bell.send(()).unwrap_or_default());
        let limits = Limits { workers: 1, ..Limits::default() };
        let mut pools = WorkerPools::new(&limits, [None, NonZeroUsize::new(2)].into_iter(), &wake);
        let owner = |service, job| Owner { service: ServiceId(service), conn: ConnId::NONE, job: JobId(job) };
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
        let running = [(); 2].map(|()| starts.recv_timeout(PATIENCE).unwrap());
        assert_eq!(running.iter().max(), Some(&1), "two at once, in order");
        pools.start(owner(0, 9), Box::new(|| Box::new(())));
        woken.recv_timeout(PATIENCE).unwrap();
        let done: Vec<_> = pools.take_done().iter().map(|(owner, _)| owner.job.0).collect();
        assert_eq!(done, [9]);
        assert!(starts.try_recv().is_err(), "the third waits for one of the two");
        drop(open);
        assert_eq!(starts.recv_timeout(PATIENCE), Ok(2));
    }
}
