//! What came of a load.

use std::fmt;
use std::ops::{AddAssign, SubAssign};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::config::Activity;

/// What came of a load, in its measured time.
#[derive(Clone)]
#[non_exhaustive]
pub struct LoadOutcome {
    /// What the connections did.
    pub activity: Activity,
    /// The measured time.
    pub elapsed: Duration,
    /// Messages answered rightly. In an open loop those that were due in the measured time, however late their answers came.
    pub messages: u64,
    /// Right answers that came in the measured time, whenever their messages were due. What processor time, switches and
    /// throughput are to be divided by: `messages` would credit a server that falls behind with work done after that time.
    pub answered: u64,
    /// Payload bytes of `messages`, one way.
    pub bytes: u64,
    /// Open loop: messages due in the measured time.
    pub due: u64,
    /// Open loop: those of them that had neither been answered nor lost when the run ended. The load was more than the server,
    /// or the generator, could carry.
    pub unanswered: u64,
    /// From when a message was due to when its answer was whole, in nanoseconds, whether it came in its turn, after a later
    /// message's or too late. Open loop: of those unanswered or lost, how long they had waited when the run or their connection
    /// ended.
    pub latency: Histogram<u64>,
    /// From the call of connect to the connection, in nanoseconds, over the whole run.
    pub connects: Histogram<u64>,
    /// From the first call of connect to the last connection that was planned.
    pub connecting: Duration,
    /// Connections open at the end, without slow readers.
    pub connections: usize,
    /// Slow readers that the server has cut off, over the whole run. It may.
    pub cut_off: usize,
    /// All that went wrong, over the whole run.
    pub faults: Faults,
    /// What happened in each part of the measured time, oldest first; of an open loop the last may be about answers that came
    /// after it.
    pub samples: Vec<LoadSample>,
    /// What the load cost the generator itself.
    pub generator: GeneratorStats,
}

impl LoadOutcome {
    /// Whether the generator measured itself rather than the server, and how that shows.
    pub fn bottleneck(&self) -> Option<Bottleneck> {
        self.generator.bottleneck(matches!(self.activity, Activity::Open { .. }), &self.latency)
    }
}

/// An open loop's generator may be so late without a word.
const LATE: Duration = Duration::from_millis(1);

/// How a generator was itself the limit. Shown as a sentence.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Bottleneck {
    /// It was busy for this part of the time, from 0 to 1, so the server, or an answer, may have waited for it.
    Busy(f64),
    /// Open loop: one message in a hundred was handed to the system later than due by this much or more.
    Late(Duration),
}

impl Bottleneck {
    /// A generator that is busy for this part of the time, or more, is the limit.
    pub const BUSY: f64 = 0.95;
}

impl fmt::Display for Bottleneck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the generator was the limit: ")?;
        match self {
            Self::Busy(part) => write!(f, "it was busy {:.0} % of the time", part * 100.0),
            Self::Late(lag) => write!(f, "one message in a hundred left {lag:.1?} late or later"),
        }
    }
}

/// What went wrong, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// Messages whose answer never came.
    pub lost: u64,
    /// Answers that came again.
    pub duplicated: u64,
    /// Answers that came after a later message's.
    pub reordered: u64,
    /// Answers that differ from what was sent.
    pub corrupted: u64,
    /// Connections that could not be opened.
    pub refused: u64,
    /// Connections that the server broke off.
    pub broken: u64,
}

impl Faults {
    /// Whether nothing went wrong.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Each with its name, in the order in which they are told.
    pub fn named(&self) -> [(&'static str, u64); 6] {
        let Self { lost, duplicated, reordered, corrupted, refused, broken } = *self;
        [
            ("lost", lost),
            ("duplicated", duplicated),
            ("reordered", reordered),
            ("corrupted", corrupted),
            ("refused", refused),
            ("broken", broken),
        ]
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.named().iter().map(|(_, count)| count).sum()
    }
}

impl AddAssign for Faults {
    fn add_assign(&mut self, other: Self) {
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.corrupted += other.corrupted;
        self.refused += other.refused;
        self.broken += other.broken;
    }
}

impl SubAssign for Faults {
    fn sub_assign(&mut self, other: Self) {
        self.lost -= other.lost;
        self.duplicated -= other.duplicated;
        self.reordered -= other.reordered;
        self.corrupted -= other.corrupted;
        self.refused -= other.refused;
        self.broken -= other.broken;
    }
}

/// One part of the measured time, a tenth of a second or longer.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct LoadSample {
    /// When it ended, from the start of measuring.
    pub at: Duration,
    /// How long it was.
    pub length: Duration,
    /// Right answers that came in it, whenever their messages were due.
    pub messages: u64,
    /// Of those that count in the outcome, half took at most this long.
    pub p50: Duration,
    /// 99 of a hundred of these took at most this long.
    pub p99: Duration,
    /// None of these took longer than this; of what is lost, nothing is known yet.
    pub max: Duration,
    /// What went wrong.
    pub faults: Faults,
}

/// What a load cost its generator, in the measured time. A generator that is busy all the time, or late with what it sends,
/// measures itself.
#[derive(Clone)]
#[non_exhaustive]
pub struct GeneratorStats {
    /// Processor time of the generator's thread.
    pub cpu: Duration,
    /// The part of the measured time in which it did not wait for anything, or which it spent on a processor, whichever is more;
    /// from 0 to 1. Asking the system for events costs processor time, and asking in vain looks like waiting.
    pub busy: f64,
    /// Open loop: how much later than due messages were handed to the system, in nanoseconds.
    pub send_lag: Histogram<u64>,
}

impl GeneratorStats {
    /// Whether it measured itself rather than the server, in an open loop or not.
    pub(super) fn bottleneck(&self, is_open: bool, latency: &Histogram<u64>) -> Option<Bottleneck> {
        if self.busy >= Bottleneck::BUSY {
            // In a closed loop whoever is busy is the limit: a server that is slower makes its clients wait. In an open loop
            // such a generator may still send in time, and read late, which looks like latency of the server.
            return Some(Bottleneck::Busy(self.busy));
        }
        let lag = Duration::from_nanos(self.send_lag.value_at_quantile(0.99));
        let latency = Duration::from_nanos(latency.value_at_quantile(0.99));
        (is_open && lag > LATE.max(latency / 4)).then_some(Bottleneck::Late(lag))
    }
}

/// A histogram's own is thousands of numbers.
pub(super) struct HistogramSummary<'a>(pub(super) &'a Histogram<u64>);

impl fmt::Debug for HistogramSummary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quantile = |of| Duration::from_nanos(self.0.value_at_quantile(of));
        let (count, max) = (self.0.len(), Duration::from_nanos(self.0.max()));
        write!(f, "{count} of p50 {:?}, p99 {:?}, max {max:?}", quantile(0.5), quantile(0.99))
    }
}

impl fmt::Debug for LoadOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { activity, elapsed, messages, answered, bytes, due, unanswered, latency, connects, .. } = self;
        let Self { connecting, connections, cut_off, faults, samples, generator, .. } = self;
        f.debug_struct("LoadOutcome")
            .field("activity", activity)
            .field("elapsed", elapsed)
            .field("messages", messages)
            .field("answered", answered)
            .field("bytes", bytes)
            .field("due", due)
            .field("unanswered", unanswered)
            .field("latency", &HistogramSummary(latency))
            .field("connects", &HistogramSummary(connects))
            .field("connecting", connecting)
            .field("connections", connections)
            .field("cut_off", cut_off)
            .field("faults", faults)
            .field("samples", &samples.len())
            .field("generator", generator)
            .finish()
    }
}

impl fmt::Debug for GeneratorStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu, busy, send_lag } = self;
        let mut shown = f.debug_struct("GeneratorStats");
        shown.field("cpu", cpu).field("busy", busy).field("send_lag", &HistogramSummary(send_lag)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(activity: Activity, busy: f64, lag: Duration) -> LoadOutcome {
        let histogram = || Histogram::new(3).unwrap();
        let mut send_lag = histogram();
        send_lag.record(u64::try_from(lag.as_nanos()).unwrap()).unwrap();
        LoadOutcome {
            activity,
            elapsed: Duration::from_secs(1),
            messages: 1,
            answered: 1,
            bytes: 1,
            // As of an open loop that was interrupted before anything was due.
            due: 0,
            unanswered: 0,
            latency: histogram(),
            connects: histogram(),
            connecting: Duration::ZERO,
            connections: 1,
            cut_off: 0,
            faults: Faults::default(),
            samples: Vec::new(),
            generator: GeneratorStats { cpu: Duration::ZERO, busy, send_lag },
        }
    }

    #[test]
    fn a_generator_that_is_busy_is_the_limit_of_any_load_and_one_that_is_late_of_an_open_loop() {
        let (open, closed) = (Activity::Open { rate: 1.0 }, Activity::Closed { in_flight: 1 });
        let late = Duration::from_millis(20);
        for activity in [open, closed, Activity::Churn, Activity::Idle] {
            let bottleneck = |busy, lag| outcome(activity, busy, lag).bottleneck();
            assert_eq!(bottleneck(Bottleneck::BUSY, Duration::ZERO), Some(Bottleneck::Busy(Bottleneck::BUSY)));
            assert_eq!(bottleneck(0.94, Duration::ZERO), None);
            assert_eq!(bottleneck(0.94, late).is_some(), activity == open, "{activity:?}");
        }
    }
}
