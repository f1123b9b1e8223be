//! Bounds, order and ends of jobs.

use super::*;
use crate::guard::guard;
use std::collections::VecDeque;
use std::num::NonZeroUsize;
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
        let workers = WorkerPool::new(workers, max_queued_jobs, Arc::new(move || waker.send(()).unwrap_or_default()));
        Self { workers, woken, done: VecDeque::new() }
    }

    fn start<T: Send + 'static>(&mut self, job: u64, work: impl FnOnce() -> T + Send + 'static) {
        let owner = JobOwner { service: ServiceId(0), conn: ConnId::NONE, job: JobId(job), bytes: 0 };
        self.workers.start(owner, Box::new(|| Box::new(work())), false);
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
fn jobs_that_wait_are_queued_over_the_limit() {
    let (waker, woken) = channel();
    let wake: WakeFn = Arc::new(move || waker.send(()).unwrap_or_default());
    let limits = Limits { workers: 1, max_queued_jobs: 1, ..Limits::default() };
    let services = [false, true].map(|wait| JobOptions { threads: None, wait });
    let mut pools = WorkerPools::new(&limits, services.into_iter(), &wake);
    pools.remove_threads();
    for (service, conn, job) in [(1, 1, 1), (1, 2, 2), (0, 3, 3), (1, 4, 4), (1, ConnId::NONE.0, 5)] {
        let owner = JobOwner { service: ServiceId(service), conn: ConnId(conn), job: JobId(job), bytes: 0 };
        pools.start(owner, Box::new(|| Box::new(())));
    }
    assert_eq!(pools.take_done().iter().map(|(owner, _)| owner.job.0).collect::<Vec<_>>(), [3, 5], "are rejected");
    woken.recv_timeout(guard()).unwrap();
    while pools.run_queued(0) {}
    assert_eq!(pools.take_done().iter().map(|(owner, _)| owner.job.0).collect::<Vec<_>>(), [1, 2, 4]);
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
    let mut pools = WorkerPools::new(
        &limits,
        [None, NonZeroUsize::new(2)].map(|threads| JobOptions { threads, wait: false }).into_iter(),
        &wake,
    );
    let owner = |service, job| JobOwner { service: ServiceId(service), conn: ConnId::NONE, job: JobId(job), bytes: 0 };
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
