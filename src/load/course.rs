//! The course of a run: its stages, when the next tick and sample are due, and what the generator itself has used. Knows neither
//! connections nor what is said on them; the caller says what time it is.

use std::time::Duration;

use super::outcome::Generator;
use super::tally::{SAMPLE, Tally, sample_length};
use super::{Stage, cpu};

pub(super) struct Course {
    pub(super) stage: Stage,
    stage_began_ns: u64,
    next_tick_ns: u64,
    next_sample_ns: u64,
    warm_up: Duration,
    duration: Duration,
    /// Not busy since measuring began.
    pub(super) waited_ns: u64,
    cpu_at_begin: Option<Duration>,
    /// What the measured time cost, when it is over.
    spent: Spent,
}

/// What the generator itself used.
#[derive(Clone, Copy, Default)]
struct Spent {
    cpu: Duration,
    waited_ns: u64,
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Course {
    pub(super) fn new(warm_up: Duration, duration: Duration) -> Self {
        Self {
            stage: Stage::Connecting,
            stage_began_ns: 0,
            next_tick_ns: 0,
            next_sample_ns: u64::MAX,
            warm_up,
            duration,
            waited_ns: 0,
            cpu_at_begin: None,
            spent: Spent::default(),
        }
    }

    /// How long the stage has lasted.
    pub(super) fn passed(&self, now_ns: u64) -> Duration {
        Duration::from_nanos(now_ns.saturating_sub(self.stage_began_ns))
    }

    /// The part of the stage that is over, if it lasts so long.
    pub(super) fn part(&self, now_ns: u64, whole: Duration) -> f64 {
        if whole.is_zero() { 1.0 } else { self.passed(now_ns).div_duration_f64(whole).min(1.0) }
    }

    pub(super) fn enter(&mut self, stage: Stage, now_ns: u64) {
        self.stage = stage;
        self.stage_began_ns = now_ns;
    }

    /// Whether it is time for what is done ten times a second.
    pub(super) fn take_tick(&mut self, now_ns: u64) -> bool {
        let is_due = now_ns >= self.next_tick_ns;
        if is_due {
            self.next_tick_ns = now_ns + nanos(SAMPLE);
        }
        is_due
    }

    /// Whether a sample is due.
    pub(super) fn wants_sample(&self, now_ns: u64) -> bool {
        now_ns >= self.next_sample_ns
    }

    /// The last sample takes what is left, so that none is shorter than the others, even if one was taken late.
    pub(super) fn take_sample(&mut self, now_ns: u64, tally: &mut Tally) {
        let length_ns = nanos(sample_length(self.duration));
        if now_ns + length_ns <= tally.window().end {
            tally.sample(now_ns);
            self.next_sample_ns = now_ns + length_ns;
        } else {
            self.next_sample_ns = u64::MAX;
        }
    }

    /// Whether the warm-up is over.
    pub(super) fn is_warm(&self, now_ns: u64) -> bool {
        self.passed(now_ns) >= self.warm_up
    }

    /// From now on it counts; returns until when.
    pub(super) fn begin_measuring(&mut self, now_ns: u64, tally: &mut Tally) -> u64 {
        self.enter(Stage::Measuring, now_ns);
        let end_ns = now_ns + nanos(self.duration);
        tally.begin(now_ns, end_ns);
        self.next_sample_ns = now_ns + nanos(sample_length(self.duration));
        self.waited_ns = 0;
        self.cpu_at_begin = cpu::thread_time();
        end_ns
    }

    /// The measured time is over.
    pub(super) fn end_measuring(&mut self, now_ns: u64, tally: &mut Tally) {
        let cpu = self.cpu_at_begin.and_then(|before| Some(cpu::thread_time()?.saturating_sub(before)));
        self.spent = Spent { cpu: cpu.unwrap_or_default(), waited_ns: self.waited_ns };
        let now_ns = now_ns.min(tally.window().end);
        tally.end(now_ns);
        tally.sample(now_ns);
        self.next_sample_ns = u64::MAX;
    }

    /// When something is to be done again, if nothing else happens: `finished_ns` is when what is awaited at the end will have
    /// been awaited for long enough.
    pub(super) fn next_ns(&self, tally: &Tally, finished_ns: Option<u64>) -> u64 {
        let stage_end_ns = match self.stage {
            Stage::Connecting => u64::MAX,
            Stage::WarmingUp => self.stage_began_ns + nanos(self.warm_up),
            Stage::Measuring => tally.window().end,
            Stage::Finishing => finished_ns.unwrap_or(u64::MAX),
        };
        self.next_tick_ns.min(self.next_sample_ns).min(stage_end_ns)
    }

    /// How long was measured, and what that cost the generator.
    pub(super) fn generator(&self, tally: &Tally) -> (Duration, Generator) {
        let window = tally.window();
        let elapsed = Duration::from_nanos(if window.start == u64::MAX { 0 } else { window.end - window.start });
        let part = |of: Duration| if elapsed.is_zero() { 0.0 } else { of.div_duration_f64(elapsed).min(1.0) };
        let waited = Duration::from_nanos(self.spent.waited_ns);
        // What returns at once was no wait, whatever it was meant to be.
        let busy = part(elapsed.saturating_sub(waited)).max(part(self.spent.cpu));
        (elapsed, Generator { cpu: self.spent.cpu, busy, send_lag: tally.send_lag.clone() })
    }
}
