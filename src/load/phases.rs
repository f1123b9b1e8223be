//! The phases of a run, the time of its next tick and sample, and the generator's own usage. Knows
//! neither connections nor messages, and reads no clock: the caller passes the time.

use std::time::Duration;

use super::outcome::GeneratorStats;
use super::recorder::{Recorder, SAMPLE, sample_length};
use crate::services::cpu_time::thread_cpu_time;

/// The time for which the generator listens after the last expected answer, because a duplicate
/// follows its original.
pub(super) const LISTEN_ON: Duration = Duration::from_millis(10);

/// A phase of a run, in the order in which a run passes through them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadPhase {
    /// Connections are being opened.
    Connecting,
    /// The load is on, and nothing is recorded yet.
    WarmingUp,
    /// The load is on, and the results count.
    Measuring,
    /// Nothing more is sent; the last answers are awaited.
    Finishing,
}

/// The current phase of a run and its times, in nanoseconds since the start of the run.
pub(super) struct Phases {
    pub(super) phase: LoadPhase,
    phase_began_ns: u64,
    next_tick_ns: u64,
    next_sample_ns: u64,
    warm_up: Duration,
    duration: Duration,
    /// Time spent waiting in the poll since measuring began.
    pub(super) waited_ns: u64,
    cpu_at_start: Duration,
    /// The generator's usage in the measured time; zero until that ends.
    usage: MeasuredUsage,
}

/// The generator's own usage in the measured time.
#[derive(Clone, Copy, Default)]
struct MeasuredUsage {
    cpu: Duration,
    waited_ns: u64,
}

/// Returns the duration in nanoseconds, 292 years at most: the sum of a time and a duration is no
/// more than `u64::MAX`.
pub(super) fn nanos(duration: Duration) -> u64 {
    const MAX_NANOS: u64 = u64::MAX / 2;
    u64::try_from(duration.as_nanos()).map_or(MAX_NANOS, |nanos| nanos.min(MAX_NANOS))
}

impl Phases {
    pub(super) fn new(warm_up: Duration, duration: Duration) -> Self {
        Self {
            phase: LoadPhase::Connecting,
            phase_began_ns: 0,
            next_tick_ns: 0,
            next_sample_ns: u64::MAX,
            warm_up,
            duration,
            waited_ns: 0,
            cpu_at_start: Duration::ZERO,
            usage: MeasuredUsage::default(),
        }
    }

    /// Returns the time since the phase began.
    pub(super) fn elapsed(&self, now_ns: u64) -> Duration {
        Duration::from_nanos(now_ns.saturating_sub(self.phase_began_ns))
    }

    /// Returns the time at which the phase began.
    pub(super) fn began_ns(&self) -> u64 {
        self.phase_began_ns
    }

    /// Returns the elapsed part of a phase that lasts `whole`, from 0 to 1.
    pub(super) fn fraction(&self, now_ns: u64, whole: Duration) -> f64 {
        if whole.is_zero() { 1.0 } else { self.elapsed(now_ns).div_duration_f64(whole).min(1.0) }
    }

    pub(super) fn enter(&mut self, phase: LoadPhase, now_ns: u64) {
        self.phase = phase;
        self.phase_began_ns = now_ns;
    }

    /// Returns true if a tick is due (ten a second), and schedules the next.
    pub(super) fn take_tick(&mut self, now_ns: u64) -> bool {
        let is_due = now_ns >= self.next_tick_ns;
        if is_due {
            self.next_tick_ns = now_ns + nanos(SAMPLE);
        }
        is_due
    }

    /// Returns true if a sample is due.
    pub(super) fn is_sample_due(&self, now_ns: u64) -> bool {
        now_ns >= self.next_sample_ns
    }

    /// Takes a sample, except where the rest of the measured time is shorter than one: the last
    /// sample then includes it. So no sample is shorter than the others, even after a late one.
    pub(super) fn take_sample(&mut self, now_ns: u64, recorder: &mut Recorder) {
        let length_ns = nanos(sample_length(self.duration));
        if now_ns + length_ns <= recorder.window().end {
            recorder.take_sample(now_ns);
            self.next_sample_ns = now_ns + length_ns;
        } else {
            self.next_sample_ns = u64::MAX;
        }
    }

    /// Returns true if the warm-up is over.
    pub(super) fn is_warm(&self, now_ns: u64) -> bool {
        self.elapsed(now_ns) >= self.warm_up
    }

    /// Begins the measured time; returns its end.
    pub(super) fn begin_measuring(&mut self, now_ns: u64, recorder: &mut Recorder) -> u64 {
        self.enter(LoadPhase::Measuring, now_ns);
        let end_ns = now_ns + nanos(self.duration);
        recorder.begin(now_ns, end_ns);
        self.next_sample_ns = now_ns + nanos(sample_length(self.duration));
        self.waited_ns = 0;
        self.cpu_at_start = thread_cpu_time();
        end_ns
    }

    /// Ends the measured time.
    pub(super) fn end_measuring(&mut self, now_ns: u64, recorder: &mut Recorder) {
        let cpu = thread_cpu_time().saturating_sub(self.cpu_at_start);
        self.usage = MeasuredUsage { cpu, waited_ns: self.waited_ns };
        let now_ns = now_ns.min(recorder.window().end);
        recorder.end(now_ns);
        recorder.take_sample(now_ns);
        self.next_sample_ns = u64::MAX;
    }

    /// Returns the time of the next tick, sample or phase change, whichever is first. `finished_ns`
    /// is the end of the last phase, if that is known.
    pub(super) fn next_ns(&self, recorder: &Recorder, finished_ns: Option<u64>) -> u64 {
        let phase_end_ns = match self.phase {
            LoadPhase::Connecting => u64::MAX,
            LoadPhase::WarmingUp => self.phase_began_ns + nanos(self.warm_up),
            LoadPhase::Measuring => recorder.window().end,
            LoadPhase::Finishing => finished_ns.unwrap_or(u64::MAX),
        };
        self.next_tick_ns.min(self.next_sample_ns).min(phase_end_ns)
    }

    /// Returns the length of the measured time, and the generator's usage in it.
    pub(super) fn generator_stats(&self, recorder: &Recorder) -> (Duration, GeneratorStats) {
        let window = recorder.window();
        let elapsed = Duration::from_nanos(if window.start == u64::MAX { 0 } else { window.end - window.start });
        let fraction = |of: Duration| if elapsed.is_zero() { 0.0 } else { of.div_duration_f64(elapsed).min(1.0) };
        let waited = Duration::from_nanos(self.usage.waited_ns);
        // A poll that returns immediately counts as waiting, but costs processor time: the larger
        // of the two measures is the right one.
        let busy = fraction(elapsed.saturating_sub(waited)).max(fraction(self.usage.cpu));
        (elapsed, GeneratorStats { cpu: self.usage.cpu, busy, send_lag: recorder.send_lag.clone() })
    }
}
