//! Loop lag: the turns that took long, and the work that made them long.

use std::time::Duration;

/// Turns that take longer than this are counted with their cause. Whoever waits for the loop
/// notices such a turn.
pub(crate) const LONG_TURN: Duration = Duration::from_millis(10);

/// A kind of work in a turn: its step in `docs/turn.md`, and its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Work {
    step: u8,
    name: &'static str,
}

impl Work {
    pub(crate) const FRAMES: Self = Self { step: 5, name: "on_frame" };
    pub(crate) const DATAGRAMS: Self = Self { step: 5, name: "on_datagram" };
    pub(crate) const ACCEPT: Self = Self { step: 5, name: "accept" };
    pub(crate) const OPEN: Self = Self { step: 5, name: "on_open" };
    pub(crate) const WRITABLE: Self = Self { step: 5, name: "on_writable" };
    pub(crate) const TIMER: Self = Self { step: 6, name: "on_timer" };
    pub(crate) const DEADLINES: Self = Self { step: 6, name: "deadlines" };
    pub(crate) const JOB: Self = Self { step: 7, name: "on_job" };
    pub(crate) const POST: Self = Self { step: 7, name: "on_post" };
    pub(crate) const COMMAND: Self = Self { step: 7, name: "command" };
    pub(crate) const CLOSE: Self = Self { step: 8, name: "on_close" };
    pub(crate) const TURN_END: Self = Self { step: 8, name: "on_turn_end" };
    pub(crate) const DROPPED: Self = Self { step: 8, name: "on_dropped" };
    pub(crate) const SHUTDOWN: Self = Self { step: 8, name: "on_shutdown" };
    pub(crate) const FLUSH: Self = Self { step: 8, name: "flush" };
    pub(crate) const REAP: Self = Self { step: 9, name: "reap" };
}

/// The turns of more than 10 ms that spent most of their time on the same work.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LongTurns {
    /// The service that was called; empty if none was.
    pub service: String,
    /// The step of the turn, 5 to 9, as the book numbers them.
    pub step: u8,
    /// The callback, such as `on_frame`; without one the kind of work, such as `accept` or `flush`.
    pub work: &'static str,
    /// The number of these turns.
    pub turns: u64,
    /// The longest of them.
    pub longest: Duration,
}

impl LongTurns {
    /// Counts a turn in its entry of `all`. There are few entries: each service has few callbacks.
    pub(crate) fn count(all: &mut Vec<Self>, service: &str, Work { step, name }: Work, took: Duration) {
        match all.iter_mut().find(|it| it.work == name && it.service == service) {
            Some(known) => {
                known.turns += 1;
                known.longest = known.longest.max(took);
            }
            None => all.push(Self { service: service.to_owned(), step, work: name, turns: 1, longest: took }),
        }
    }
}

impl std::fmt::Display for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "step {}, {}", self.step, self.name)
    }
}

/// Returns the reading of a clock that is cheap to read. On Linux it advances every 1 to 10 ms, see
/// `CLOCK_MONOTONIC_COARSE` in `clock_gettime(2)`.
#[inline]
pub(crate) fn coarse_time() -> Duration {
    // Not rustix on Linux: it looks for the vDSO by itself, which fails under valgrind.
    #[cfg(target_os = "linux")]
    let (seconds, nanos) = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC_COARSE)
        .map_or((0, 0), |time| (time.tv_sec(), time.tv_nsec()));
    #[cfg(not(target_os = "linux"))]
    let (seconds, nanos) = {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        (time.tv_sec, time.tv_nsec)
    };
    Duration::new(seconds.unsigned_abs(), u32::try_from(nanos).unwrap_or(0))
}
