//! A job that runs on a connection's thread, after the callback that has offloaded it.

use crate::service::context::JobFn;
use crate::service::{JobId, JobOutput, ServiceId};

/// A job that a callback has offloaded.
pub(super) struct OffloadedJob {
    pub(super) service: ServiceId,
    pub(super) id: JobId,
    pub(super) bytes: usize,
    pub(super) work: JobFn,
}

/// A finished job.
pub(super) struct JobResult {
    pub(super) job: JobId,
    /// The bytes that it held.
    pub(super) bytes: usize,
    pub(super) output: JobOutput,
}

impl OffloadedJob {
    /// Runs the job on this thread, which serves only this connection.
    pub(super) fn run(self) -> JobResult {
        JobResult { job: self.id, bytes: self.bytes, output: JobOutput::of(self.work) }
    }

    /// Rejects the job.
    pub(super) fn reject(self) -> JobResult {
        JobResult { job: self.id, bytes: self.bytes, output: JobOutput::rejected() }
    }
}
