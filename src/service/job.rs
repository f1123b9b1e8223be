//! The result of offloaded work.

use std::any::Any;
use std::{fmt, io};

/// The output of a job, or the error that took its place.
pub struct JobOutput(pub(crate) Result<Box<dyn Any + Send>, JobError>);

impl JobOutput {
    /// Returns the value that the work returned.
    ///
    /// # Errors
    /// [`JobError`] if the work did not return a value of type `T`.
    pub fn take<T: 'static>(self) -> Result<T, JobError> {
        self.0?.downcast().map(|value| *value).map_err(|_| JobError::WrongType)
    }
}

impl fmt::Debug for JobOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
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
