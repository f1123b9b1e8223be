//! What is counted, and when it counts. Knows no connection and no clock: the caller says what time it is.
//!
//! Faults count over the whole run. Of the rest, a closed loop counts what was answered in the measured time; an open loop what
//! was due in it, however late the answer, and how long it waited in vain for what never came; idle connections what they exchanged at all.

use std::ops::Range;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::config::Activity;
use super::in_flight::{AnswerVerdict, SentMessage};
use super::outcome::{Faults, LoadSample};

/// The shortest part of the measured time that is told apart.
pub(super) const SAMPLE: Duration = Duration::from_millis(100);
/// More samples than this are not kept: they become longer.
const MAX_SAMPLES: u32 = 600;

/// Which moment decides whether a message counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CountRule {
    WhenAnswered,
    WhenDue,
    Always,
}

/// A run's counters.
pub(super) struct Recorder {
    counts: CountRule,
    /// The measured time; empty before it.
    window: Range<u64>,
    pub(super) messages: u64,
    /// Right answers that came in the measured time.
    pub(super) answered: u64,
    pub(super) bytes: u64,
    pub(super) faults: Faults,
    pub(super) latency: Histogram<u64>,
    pub(super) connects: Histogram<u64>,
    pub(super) send_lag: Histogram<u64>,
    pub(super) samples: Vec<LoadSample>,
    /// Latencies since the last sample; then added to all.
    part: Histogram<u64>,
    /// Right answers since the last sample that came in the measured time, or count although they came after it.
    part_answered: u64,
    part_began_ns: u64,
    part_faults: Faults,
}

impl Recorder {
    pub(super) fn new(activity: Activity) -> Result<Self, hdrhistogram::CreationError> {
        let counts = match activity {
            Activity::Closed { .. } | Activity::Churn => CountRule::WhenAnswered,
            Activity::Open { .. } => CountRule::WhenDue,
            Activity::Idle => CountRule::Always,
        };
        Ok(Self {
            counts,
            window: u64::MAX..u64::MAX,
            messages: 0,
            answered: 0,
            bytes: 0,
            faults: Faults::default(),
            latency: histogram()?,
            connects: histogram()?,
            send_lag: histogram()?,
            samples: Vec::new(),
            part: histogram()?,
            part_answered: 0,
            part_began_ns: 0,
            part_faults: Faults::default(),
        })
    }

    /// From now on it counts.
    pub(super) fn begin(&mut self, now_ns: u64, end_ns: u64) {
        self.window = now_ns..end_ns;
        self.part_began_ns = now_ns;
        self.part_faults = self.faults;
    }

    /// The measured time is over.
    pub(super) fn end(&mut self, now_ns: u64) {
        self.window.end = now_ns;
    }

    pub(super) fn window(&self) -> &Range<u64> {
        &self.window
    }

    #[inline]
    pub(super) fn answered(&mut self, answer: AnswerVerdict, bytes: usize, now_ns: u64) {
        match answer {
            AnswerVerdict::Right(sent) => self.right(sent, bytes, now_ns),
            AnswerVerdict::Reordered(sent) => {
                self.faults.reordered += 1;
                self.took(sent, now_ns);
            }
            AnswerVerdict::Duplicated => self.faults.duplicated += 1,
            AnswerVerdict::Corrupted => self.faults.corrupted += 1,
            // It counts as lost already.
            AnswerVerdict::Late(sent) => _ = self.took(sent, now_ns),
        }
    }

    #[inline]
    pub(super) fn right(&mut self, sent: SentMessage, bytes: usize, now_ns: u64) {
        let counts = self.took(sent, now_ns);
        let in_time = self.window.contains(&now_ns);
        self.answered += u64::from(in_time);
        self.part_answered += u64::from(in_time || counts);
        if counts {
            self.messages += 1;
            self.bytes += bytes as u64;
        }
    }

    /// Records how long a message took, if it counts; returns whether it does.
    #[inline]
    fn took(&mut self, sent: SentMessage, now_ns: u64) -> bool {
        let counts = match self.counts {
            CountRule::WhenAnswered => self.window.contains(&now_ns),
            CountRule::WhenDue => self.window.contains(&sent.due_ns),
            CountRule::Always => true,
        };
        if counts {
            record(&mut self.part, now_ns.saturating_sub(sent.due_ns));
        }
        counts
    }

    /// Open loop: a message has been waited for until now, and will not be any more; returns whether it counts. Without those a
    /// server that stalls for longer than the answer timeout would be judged by the messages that it kept waiting for less.
    pub(super) fn waited(&mut self, sent: SentMessage, now_ns: u64) -> bool {
        self.waited_by(sent, now_ns, 1)
    }

    /// The same of a message for which `who` wait.
    pub(super) fn waited_by(&mut self, sent: SentMessage, now_ns: u64, who: u64) -> bool {
        let counts = self.counts == CountRule::WhenDue && self.window.contains(&sent.due_ns);
        if counts {
            // It grows by itself, so there is nothing that it could refuse.
            let _ = self.latency.record_n(now_ns.saturating_sub(sent.due_ns), who);
        }
        counts
    }

    /// The same of `count` messages that count, have been waited for `shortest_ns` and `step_ns` longer each, and `who` wait for
    /// each. Takes a step for each value that the histogram tells apart: what was due and never sent may be any number.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "53 bits of nanoseconds are a hundred days"
    )]
    pub(super) fn waited_in_steps(&mut self, shortest_ns: u64, step_ns: f64, count: u64, who: u64) {
        let mut done = 0;
        while done < count {
            let nanos = shortest_ns.saturating_add((done as f64 * step_ns) as u64);
            let room_ns = self.latency.highest_equivalent(nanos).saturating_sub(nanos);
            let alike = ((room_ns as f64 / step_ns) as u64).saturating_add(1).min(count - done);
            // It grows by itself, as above.
            let _ = self.latency.record_n(nanos, alike.saturating_mul(who));
            done += alike;
        }
    }

    /// A message was handed to the system so much later than it could have been.
    #[inline]
    pub(super) fn sent(&mut self, due_ns: u64, lag_ns: u64) {
        if self.window.contains(&due_ns) {
            record(&mut self.send_lag, lag_ns);
        }
    }

    pub(super) fn connected(&mut self, took_ns: u64) {
        record(&mut self.connects, took_ns);
    }

    /// Ends a part of the measured time.
    pub(super) fn take_sample(&mut self, now_ns: u64) {
        let quantile = |of| Duration::from_nanos(self.part.value_at_quantile(of));
        let mut faults = self.faults;
        faults -= self.part_faults;
        self.samples.push(LoadSample {
            at: Duration::from_nanos(now_ns.saturating_sub(self.window.start)),
            length: Duration::from_nanos(now_ns.saturating_sub(self.part_began_ns)),
            messages: self.part_answered,
            p50: quantile(0.5),
            p99: quantile(0.99),
            max: Duration::from_nanos(self.part.max()),
            faults,
        });
        self.settle();
        self.part_answered = 0;
        self.part_began_ns = now_ns;
        self.part_faults = self.faults;
    }

    /// Adds what is in no sample to the whole.
    pub(super) fn settle(&mut self) {
        // This one grows by itself, too.
        let _ = self.latency.add(&self.part);
        self.part.reset();
    }

    /// Whether something was counted since the last sample.
    pub(super) fn has_part(&self) -> bool {
        !self.part.is_empty()
    }
}

/// How long samples are in a measured time of `duration`.
pub(super) fn sample_length(duration: Duration) -> Duration {
    let parts = (duration.as_millis() / SAMPLE.as_millis()).div_ceil(MAX_SAMPLES.into()).max(1);
    SAMPLE * u32::try_from(parts).unwrap_or(u32::MAX)
}

fn record(histogram: &mut Histogram<u64>, nanos: u64) {
    // It grows by itself, so there is nothing that it could refuse.
    let _ = histogram.record(nanos);
}

/// Nanoseconds to three digits. It grows to what it is given.
fn histogram() -> Result<Histogram<u64>, hdrhistogram::CreationError> {
    Histogram::new(3)
}

#[cfg(test)]
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small numbers"
)]
mod tests {
    use super::*;

    #[test]
    fn messages_never_sent_are_recorded_as_if_one_by_one_and_however_many_they_are() {
        for (shortest_ns, step_ns, count) in
            [(5, 1.0, 10_000), (0, 1234.5, 9_999), (70_000_000, 10.0, 100_000), (3, 9e9, 3)]
        {
            let mut recorder = Recorder::new(Activity::Open { rate: 1.0 }).unwrap();
            recorder.waited_in_steps(shortest_ns, step_ns, count, 1);
            let mut each = histogram().unwrap();
            (0..count).for_each(|number| record(&mut each, shortest_ns + (number as f64 * step_ns) as u64));
            assert_eq!(recorder.latency.len(), count);
            assert_eq!((recorder.latency.min(), recorder.latency.max()), (each.min(), each.max()));
            for tenth in 0..10 {
                let quantile = |of: &Histogram<u64>| of.value_at_quantile(f64::from(tenth) / 10.0) as f64;
                let (ours, theirs) = (quantile(&recorder.latency), quantile(&each));
                assert!((ours - theirs).abs() <= theirs * 0.002 + 1.0, "{ours} for {theirs}");
            }
        }
        let mut recorder = Recorder::new(Activity::Open { rate: 1.0 }).unwrap();
        recorder.waited_in_steps(0, 10.0, 1 << 40, 3);
        assert_eq!(recorder.latency.len(), 3 << 40);
    }

    #[test]
    fn samples_are_a_tenth_of_a_second_or_as_long_as_keeps_them_few() {
        for (seconds, millis) in [(0, 100), (1, 100), (60, 100), (61, 200), (120, 200), (3600, 6000)] {
            assert_eq!(sample_length(Duration::from_secs(seconds)), Duration::from_millis(millis), "{seconds}");
        }
    }
}
