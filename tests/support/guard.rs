//! Time limits of tests, by the load of the machine.
//!
//! A hang and a busy machine look alike: the expected event does not come. The difference is the
//! load. If twenty threads want each CPU, every step takes up to twenty times as long, so a limit
//! must be twenty times as long as well. [`guard`] ends a test that hangs. [`scaled`] is for a time
//! limit of the program that the test itself must keep, such as an idle timeout.

use std::time::Duration;

/// The limit on an idle machine. A test waits less than a second there, so the limit also covers a
/// load that begins after a wait.
const IDLE_MACHINE_GUARD: Duration = Duration::from_secs(30);

/// Largest factor by which a busy machine extends a limit.
const MAX_SLOWDOWN: u32 = 50;

/// Returns the longest wait for one expected event. It depends on the load at the time of the call:
/// a loop that waits in steps calls it at each step.
pub(crate) fn guard() -> Duration {
    scaled(IDLE_MACHINE_GUARD)
}

/// Returns `idle_machine`, a time that is long enough on an idle machine, for the present load.
pub(crate) fn scaled(idle_machine: Duration) -> Duration {
    idle_machine * slowdown()
}

/// Returns the number of threads that want each CPU, rounded up. Where the load is unknown, it is
/// 1.
fn slowdown() -> u32 {
    let load = std::fs::read_to_string("/proc/loadavg").ok().and_then(|text| most_runnable(&text)).unwrap_or(1);
    let cpus = std::thread::available_parallelism().map_or(1, |cpus| u32::try_from(cpus.get()).unwrap_or(1));
    load.div_ceil(cpus).clamp(1, MAX_SLOWDOWN)
}

/// Returns the larger of the average of the last minute and the number of threads that are runnable
/// now. The fields are those of `proc_loadavg(5)`: `20.00 18.24 15.12 41/203 11206`.
fn most_runnable(load: &str) -> Option<u32> {
    let mut fields = load.split(' ');
    let average: u32 = fields.next()?.split('.').next()?.parse().ok()?;
    let now: u32 = fields.nth(2)?.split('/').next()?.parse().ok()?;
    Some(average.saturating_add(1).max(now))
}
