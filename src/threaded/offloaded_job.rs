//! A job that runs on a connection's thread, after the callback that has offloaded it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::engine::stats::Stats;
use crate::service::context::JobFn;
use crate::service::{JobError, JobId, JobOutput, ServiceId};

/// A job that a callback has offloaded.
pub(super) struct OffloadedJob {
    pub(super) service: ServiceId,
    pub(super) id: JobId,
    pub(super) bytes: usize,
    pub(super) work: JobFn,
    queued: JobGuard,
}

/// A finished job.
pub(super) struct JobResult {
    pub(super) job: JobId,
    /// The bytes that it held.
    pub(super) bytes: usize,
    pub(super) output: JobOutput,
}

impl OffloadedJob {
    pub(super) fn new(service: ServiceId, id: JobId, bytes: usize, work: JobFn, gauges: &JobGauges) -> Self {
        Self { service, id, bytes, work, queued: gauges.enter_queue() }
    }

    /// Runs the job on this thread, which serves only this connection.
    pub(super) fn run(self, gauges: &JobGauges) -> JobResult {
        drop(self.queued);
        let _running = gauges.enter_run();
        JobResult { job: self.id, bytes: self.bytes, output: JobOutput::of(self.work) }
    }

    /// Rejects the job.
    pub(super) fn reject(self, stats: &mut Stats) -> JobResult {
        stats.jobs_refused += 1;
        JobResult { job: self.id, bytes: self.bytes, output: JobOutput::refused(JobError::Rejected) }
    }
}

/// The numbers of jobs that connections have offloaded and that have not ended.
#[derive(Default)]
pub(super) struct JobGauges {
    queued: Arc<AtomicU64>,
    running: Arc<AtomicU64>,
}

/// Counts a job in a gauge until it is dropped.
struct JobGuard(Arc<AtomicU64>);

impl JobGauges {
    pub(super) fn add_to(&self, stats: &mut Stats) {
        stats.jobs_queued += self.queued.load(Ordering::Relaxed);
        stats.jobs_running += self.running.load(Ordering::Relaxed);
    }

    fn enter_queue(&self) -> JobGuard {
        JobGuard::new(&self.queued)
    }

    fn enter_run(&self) -> JobGuard {
        JobGuard::new(&self.running)
    }
}

impl JobGuard {
    fn new(gauge: &Arc<AtomicU64>) -> Self {
        gauge.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(gauge))
    }
}

impl Drop for JobGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
