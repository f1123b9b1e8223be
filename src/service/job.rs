//! What comes back of offloaded work.

use std::any::Any;
use std::{fmt, io};

/// What offloaded work returned.
pub struct JobOutput(pub(crate) Result<Box<dyn Any + Send>, JobError>);

impl JobOutput {
    /// The value that the work returned.
    ///
    /// # Errors
    /// [`JobError`] when there is none, or none of type `T`.
    pub fn take<T: 'static>(self) -> Result<T, JobError> {
        self.0?.downcast().map(|value| *value).map_err(|_| JobError::OtherType)
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

/// Why offloaded work has no output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobError {
    /// Too much work waits already (`Limits::max_queued_jobs`), or no worker could be started; it was not begun.
    Refused,
    /// It panicked.
    Panicked,
    /// It returned a value of another type than asked for.
    OtherType,
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "too much work waits already",
            Self::Panicked => "the work panicked",
            Self::OtherType => "the work returned another type",
        })
    }
}

impl std::error::Error for JobError {}

impl From<JobError> for io::Error {
    fn from(error: JobError) -> Self {
        Self::other(error)
    }
}
