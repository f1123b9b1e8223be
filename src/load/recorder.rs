//! The counters and histograms of a run, and the rules that decide which messages count. Knows no
//! connection and reads no clock: the caller passes the time.
//!
//! Faults count over the whole run. For the other figures:
//! - A closed loop counts the messages answered in the measured time.
//! - An open loop counts the messages due in the measured time, however late their answers, and
//!   records the waiting time of those never answered.
//! - Idle connections count every exchange.

use std::ops::Range;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::config::Activity;
use super::outcome::{Faults, LoadSample};
use super::pace::SendSchedule;

/// The shortest length of a sample, and the time between two ticks.
pub(super) const SAMPLE: Duration = Duration::from_millis(100);

/// The most samples of a run. A longer measured time gets longer samples.
const MAX_SAMPLES: u32 = 600;

/// The rule that decides if a message counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CountRule {
    /// It was answered in the measured time.
    AnsweredInWindow,
    /// It was due in the measured time.
    DueInWindow,
    Always,
}

/// The counters and histograms of a run. Histograms hold nanoseconds.
pub(super) struct Recorder {
    rule: CountRule,
    /// The measured time; empty until it begins.
    window: Range<u64>,
    /// Correctly answered messages that count.
    pub(super) messages: u64,
    /// Correct answers that arrived in the measured time.
    pub(super) answered: u64,
    pub(super) bytes: u64,
    pub(super) faults: Faults,
    pub(super) latency: Histogram<u64>,
    pub(super) connects: Histogram<u64>,
    pub(super) send_lag: Histogram<u64>,
    pub(super) samples: Vec<LoadSample>,
    /// Latencies since the last sample. The next sample adds them to `latency`.
    interval: Histogram<u64>,
    /// Correct answers since the last sample that arrived in the measured time or count by the
    /// rule.
    interval_answered: u64,
    interval_began_ns: u64,
    faults_before_interval: Faults,
}

impl Recorder {
    pub(super) fn new(activity: Activity) -> Result<Self, hdrhistogram::CreationError> {
        let rule = match activity {
            Activity::Closed { .. } | Activity::Churn => CountRule::AnsweredInWindow,
            Activity::Open { .. } => CountRule::DueInWindow,
            Activity::Idle => CountRule::Always,
        };
        Ok(Self {
            rule,
            window: u64::MAX..u64::MAX,
            messages: 0,
            answered: 0,
            bytes: 0,
            faults: Faults::default(),
            latency: histogram()?,
            connects: histogram()?,
            send_lag: histogram()?,
            samples: Vec::new(),
            interval: histogram()?,
            interval_answered: 0,
            interval_began_ns: 0,
            faults_before_interval: Faults::default(),
        })
    }

    /// Begins the measured time.
    pub(super) fn begin(&mut self, now_ns: u64, end_ns: u64) {
        self.window = now_ns..end_ns;
        self.interval_began_ns = now_ns;
        self.faults_before_interval = self.faults;
    }

    /// Ends the measured time.
    pub(super) fn end(&mut self, now_ns: u64) {
        self.window.end = now_ns;
    }

    /// Returns the measured time.
    pub(super) fn window(&self) -> &Range<u64> {
        &self.window
    }

    /// Records a correct answer of `bytes` bytes to a message that was due at `due_ns`.
    #[inline]
    pub(super) fn record_correct(&mut self, due_ns: u64, bytes: usize, now_ns: u64) {
        let counts = self.record_latency(due_ns, now_ns);
        let is_in_window = self.window.contains(&now_ns);
        self.answered += u64::from(is_in_window);
        self.interval_answered += u64::from(is_in_window || counts);
        if counts {
            self.messages += 1;
            self.bytes += bytes as u64;
        }
    }

    /// Records the latency of a message if it counts; returns true if it does.
    #[inline]
    pub(super) fn record_latency(&mut self, due_ns: u64, now_ns: u64) -> bool {
        let counts = match self.rule {
            CountRule::AnsweredInWindow => self.window.contains(&now_ns),
            CountRule::DueInWindow => self.window.contains(&due_ns),
            CountRule::Always => true,
        };
        if counts {
            record(&mut self.interval, now_ns.saturating_sub(due_ns));
        }
        counts
    }

    /// Open loop: records the waiting time of a message that has been given up, for each of
    /// `receivers` receivers; returns true if the message counts. Without these, a server that
    /// stalls longer than the answer timeout would be judged only by the messages that waited less.
    pub(super) fn record_wait(&mut self, due_ns: u64, now_ns: u64, receivers: u64) -> bool {
        let counts = self.rule == CountRule::DueInWindow && self.window.contains(&due_ns);
        if counts {
            // An error is impossible: the histogram resizes itself.
            let _ = self.latency.record_n(now_ns.saturating_sub(due_ns), receivers);
        }
        counts
    }

    /// Records the waiting times of one sender's due messages from `next` on, for `receivers`
    /// receivers each; returns the number of messages.
    pub(super) fn record_due(&mut self, schedule: &SendSchedule, next: u64, now_ns: u64, receivers: u64) -> u64 {
        let Some((last, count)) = schedule.due_from(next) else { return 0 };
        let shortest_ns = now_ns.saturating_sub(schedule.due_ns(last));
        self.record_wait_series(shortest_ns, schedule.sender_interval_ns(), count, receivers);
        count
    }

    /// Records the waiting times of `count` messages that count, for `receivers` receivers each.
    /// The first has waited `shortest_ns`, each further one `step_ns` longer. The loop takes one
    /// step for each bucket of the histogram, because any number of messages may be due and unsent.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "53 bits of nanoseconds are 104 days"
    )]
    fn record_wait_series(&mut self, shortest_ns: u64, step_ns: f64, count: u64, receivers: u64) {
        let mut done = 0;
        while done < count {
            let nanos = shortest_ns.saturating_add((done as f64 * step_ns) as u64);
            let bucket_rest_ns = self.latency.highest_equivalent(nanos).saturating_sub(nanos);
            let in_bucket = ((bucket_rest_ns as f64 / step_ns) as u64).saturating_add(1).min(count - done);
            // An error is impossible: the histogram resizes itself.
            let _ = self.latency.record_n(nanos, in_bucket.saturating_mul(receivers));
            done += in_bucket;
        }
    }

    /// Records by how much a message left later than it could have.
    #[inline]
    pub(super) fn record_send_lag(&mut self, due_ns: u64, lag_ns: u64) {
        if self.window.contains(&due_ns) {
            record(&mut self.send_lag, lag_ns);
        }
    }

    /// Records the duration of a connect.
    pub(super) fn record_connect(&mut self, duration_ns: u64) {
        record(&mut self.connects, duration_ns);
    }

    /// Ends a sample, and begins the next.
    pub(super) fn take_sample(&mut self, now_ns: u64) {
        let quantile = |of| Duration::from_nanos(self.interval.value_at_quantile(of));
        let mut faults = self.faults;
        faults -= self.faults_before_interval;
        self.samples.push(LoadSample {
            at: Duration::from_nanos(now_ns.saturating_sub(self.window.start)),
            length: Duration::from_nanos(now_ns.saturating_sub(self.interval_began_ns)),
            messages: self.interval_answered,
            p50: quantile(0.5),
            p99: quantile(0.99),
            max: Duration::from_nanos(self.interval.max()),
            faults,
        });
        self.merge_interval();
        self.interval_answered = 0;
        self.interval_began_ns = now_ns;
        self.faults_before_interval = self.faults;
    }

    /// Adds the latencies since the last sample to the total.
    pub(super) fn merge_interval(&mut self) {
        // An error is impossible: the histogram resizes itself.
        let _ = self.latency.add(&self.interval);
        self.interval.reset();
    }

    /// Returns true if latencies have been recorded since the last sample.
    pub(super) fn has_unsampled(&self) -> bool {
        !self.interval.is_empty()
    }
}

/// Returns the length of the samples in a measured time of `duration`.
pub(super) fn sample_length(duration: Duration) -> Duration {
    let parts = (duration.as_millis() / SAMPLE.as_millis()).div_ceil(MAX_SAMPLES.into()).max(1);
    SAMPLE * u32::try_from(parts).unwrap_or(u32::MAX)
}

fn record(histogram: &mut Histogram<u64>, nanos: u64) {
    // An error is impossible: the histogram resizes itself.
    let _ = histogram.record(nanos);
}

/// Creates a histogram of nanoseconds with three significant digits. It resizes itself.
fn histogram() -> Result<Histogram<u64>, hdrhistogram::CreationError> {
    Histogram::new(3)
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small numbers"
    )]

    use super::*;

    const MILLI: u64 = 1_000_000;

    /// A message a millisecond for two seconds. The server answers after a millisecond, except
    /// during a stall from 500 ms to 1 s.
    #[test]
    fn an_open_loop_charges_a_stall_for_every_late_message() {
        let mut schedule = SendSchedule::new(0, 1000.0, 4);
        schedule.set_end(2000 * MILLI);
        let mut recorder = Recorder::new(Activity::Open { rate: 1000.0 }).unwrap();
        recorder.begin(0, 2000 * MILLI);
        for number in schedule.advance(3000 * MILLI) {
            let due_ns = schedule.due_ns(number);
            let is_late = (500 * MILLI..1000 * MILLI).contains(&due_ns);
            let answered_ns = if is_late { 1000 * MILLI } else { due_ns + MILLI };
            recorder.record_correct(due_ns, 64, answered_ns);
        }
        recorder.merge_interval();
        let Recorder { messages, latency, .. } = &recorder;
        assert_eq!((*messages, latency.len()), (2000, 2000));
        // 400 of the 500 late ones waited longer than 100 ms.
        assert!((399..=401).contains(&latency.count_between(100 * MILLI, u64::MAX)));
        assert_eq!(latency.count_between(0, 2 * MILLI), 1502);
        let near = |quantile, millis: u64| {
            let measured = latency.value_at_quantile(quantile);
            assert!(measured.abs_diff(millis * MILLI) <= MILLI, "{quantile}: {measured} ns");
        };
        near(0.5, 1);
        near(0.999, 498);
        near(1.0, 500);
    }

    /// In a closed loop with four messages in flight, the same stall delays four.
    #[test]
    fn a_closed_loop_hides_a_stall() {
        let mut recorder = Recorder::new(Activity::Closed { in_flight: 1 }).unwrap();
        recorder.begin(0, 2000 * MILLI);
        let mut sent = [0; 4];
        for now_ns in (1..2000).map(|milli| milli * MILLI).filter(|now_ns| !(500..1000).contains(&(now_ns / MILLI))) {
            for sent_ns in &mut sent {
                recorder.record_correct(*sent_ns, 64, now_ns);
                *sent_ns = now_ns;
            }
        }
        recorder.merge_interval();
        assert_eq!(recorder.latency.count_between(100 * MILLI, u64::MAX), 4);
        assert!(recorder.latency.value_at_quantile(0.99) < 2 * MILLI);
    }

    #[test]
    fn record_wait_series_equals_single_records() {
        for (shortest_ns, step_ns, count) in
            [(5, 1.0, 10_000), (0, 1234.5, 9_999), (70_000_000, 10.0, 100_000), (3, 9e9, 3)]
        {
            let mut recorder = Recorder::new(Activity::Open { rate: 1.0 }).unwrap();
            recorder.record_wait_series(shortest_ns, step_ns, count, 1);
            let mut each = histogram().unwrap();
            (0..count).for_each(|number| record(&mut each, shortest_ns + (number as f64 * step_ns) as u64));
            assert_eq!(recorder.latency.len(), count);
            assert_eq!((recorder.latency.min(), recorder.latency.max()), (each.min(), each.max()));
            for tenth in 0..10 {
                let quantile = |of: &Histogram<u64>| of.value_at_quantile(f64::from(tenth) / 10.0) as f64;
                let (actual, expected) = (quantile(&recorder.latency), quantile(&each));
                assert!((actual - expected).abs() <= expected * 0.002 + 1.0, "{actual} instead of {expected}");
            }
        }
        let mut recorder = Recorder::new(Activity::Open { rate: 1.0 }).unwrap();
        recorder.record_wait_series(0, 10.0, 1 << 40, 3);
        assert_eq!(recorder.latency.len(), 3 << 40);
    }

    #[test]
    fn sample_length_limits_the_number_of_samples() {
        for (seconds, millis) in [(0, 100), (1, 100), (60, 100), (61, 200), (120, 200), (3600, 6000)] {
            assert_eq!(sample_length(Duration::from_secs(seconds)), Duration::from_millis(millis), "{seconds}");
        }
    }
}
