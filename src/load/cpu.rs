//! Processor time of the thread that asks.

use std::time::Duration;

/// Processor time that this thread has used, if the system tells.
#[cfg(unix)]
pub(super) fn thread_time() -> Option<Duration> {
    use rustix::time::{ClockId, clock_gettime};
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).ok()
}

/// Processor time that this thread has used, if the system tells.
#[cfg(not(unix))]
pub(super) fn thread_time() -> Option<Duration> {
    None
}
