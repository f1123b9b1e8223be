//! The processor time of the calling thread.

use std::time::Duration;

/// Returns the processor time that this thread has used; `None` if the system does not report it.
pub(super) fn thread_time() -> Option<Duration> {
    use rustix::time::{ClockId, clock_gettime};
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).ok()
}
