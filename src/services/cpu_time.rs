//! Processor time, spent on purpose.

use std::time::Duration;

/// Keeps the processor busy until this thread has used up so much of its time. Time in which the thread is not running does
/// not count where the system can tell, so that the work stays the same however many threads want the processor.
pub(crate) fn burn(work: Duration) {
    if work.is_zero() {
        return;
    }
    let end = now() + work;
    while now() < end {
        // The clock is a system call; a little work in between keeps the calls from being most of it.
        for _ in 0..64 {
            std::hint::spin_loop();
        }
    }
}

#[cfg(unix)]
fn now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(not(unix))]
fn now() -> Duration {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_less_is_burnt_than_asked_for() {
        let begun = now();
        burn(Duration::from_millis(3));
        assert!(now() >= begun + Duration::from_millis(3));
        burn(Duration::ZERO);
    }
}
