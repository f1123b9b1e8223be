//! Uses CPU time, to stand for work in measurements.

use std::time::Duration;

/// Uses the processor until this thread's CPU time has grown by `work`. On Unix, time in which the
/// thread does not run does not count, so the work is the same on a busy machine.
pub(crate) fn spend_cpu_time(work: Duration) {
    if work.is_zero() {
        return;
    }
    let end = now() + work;
    while now() < end {
        // Reading the clock is a system call; the loop between two calls keeps their share small.
        for _ in 0..64 {
            std::hint::spin_loop();
        }
    }
}

fn now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spend_cpu_time_takes_at_least_the_given_time() {
        let start = now();
        spend_cpu_time(Duration::from_millis(3));
        assert!(now() >= start + Duration::from_millis(3));
        spend_cpu_time(Duration::ZERO);
    }
}
