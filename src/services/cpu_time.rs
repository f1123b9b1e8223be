//! The CPU time of a thread, and its use to stand for work in measurements.

use std::time::Duration;

/// Uses the processor until this thread's CPU time has grown by `work`. Time in which the thread
/// does not run does not count, so the work is the same on a busy machine.
pub(crate) fn spend_cpu_time(work: Duration) {
    if work.is_zero() {
        return;
    }
    let end = thread_cpu_time().saturating_add(work);
    while thread_cpu_time() < end {
        // Reading the clock is a system call; the loop between two calls keeps their share small.
        for _ in 0..64 {
            std::hint::spin_loop();
        }
    }
}

/// Returns the CPU time that this thread has used.
pub(crate) fn thread_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spend_cpu_time_takes_at_least_the_given_time() {
        let start = thread_cpu_time();
        spend_cpu_time(Duration::from_millis(3));
        assert!(thread_cpu_time() >= start + Duration::from_millis(3));
        spend_cpu_time(Duration::ZERO);
    }
}
