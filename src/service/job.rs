//! The result of offloaded work.

use std::any::Any;
use std::{fmt, io};

use super::context::JobFn;
use super::panics::{PanicReport, catch};

/// The output of a job, or the error that took its place.
pub struct JobOutput {
    result: Result<Box<dyn Any + Send>, JobError>,
    /// The panic of the work, until the engine has logged it.
    panic: Option<PanicReport>,
}

impl JobOutput {
    /// Runs the work of a job on the calling thread.
    pub(crate) fn of(work: JobFn) -> Self {
        match catch(work) {
            Ok(value) => Self { result: Ok(value), panic: None },
            Err(panic) => Self { result: Err(JobError::Panicked), panic: Some(panic) },
        }
    }

    /// Returns the output of a job that did not run.
    pub(crate) fn refused(error: JobError) -> Self {
        Self { result: Err(error), panic: None }
    }

    /// Removes and returns the panic of the work.
    pub(crate) fn take_panic(&mut self) -> Option<PanicReport> {
        self.panic.take()
    }

    /// Returns the value that the work returned.
    ///
    /// # Errors
    /// [`JobError`] if the work did not return a value of type `T`.
    pub fn take<T: 'static>(self) -> Result<T, JobError> {
        self.result?.downcast().map(|value| *value).map_err(|_| JobError::WrongType)
    }
}

impl fmt::Debug for JobOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.result {
            Ok(_) => f.write_str("JobOutput(..)"),
            Err(error) => write!(f, "JobOutput({error})"),
        }
    }
}

/// The reason why a job has no output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobError {
    /// The queue is full (`Limits::max_queued_jobs`). The work did not run.
    Rejected,
    /// There is no worker thread, and the system starts none. The work did not run.
    NoThread,
    /// The work panicked.
    Panicked,
    /// The work returned a value of another type than requested.
    WrongType,
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rejected => "job rejected: too many jobs are queued",
            Self::NoThread => "job rejected: the server can start no thread for it",
            Self::Panicked => "the job panicked",
            Self::WrongType => "the job returned a value of another type",
        })
    }
}

impl std::error::Error for JobError {}

impl From<JobError> for io::Error {
    fn from(error: JobError) -> Self {
        Self::other(error)
    }
}
