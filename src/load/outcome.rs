//! The outcome of a load.

use std::fmt;
use std::ops::{AddAssign, SubAssign};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::config::Activity;

/// The outcome of a load in its measured time. `W` holds the results that only one workload has: it
/// is empty for echo, and [`ChatOutcome`](super::chat::ChatOutcome) for chat. An answer is the echo
/// of a message, or its delivery to one member.
#[derive(Clone)]
#[non_exhaustive]
pub struct LoadOutcome<W = ()> {
    /// The traffic on the connections.
    pub activity: Activity,
    /// The measured time.
    pub elapsed: Duration,
    /// Correct answers that count. Closed loop: those in the measured time. Open loop: those to
    /// messages due in it, however late they arrived.
    pub messages: u64,
    /// Correct answers that arrived in the measured time, whenever their messages were due. Divide
    /// processor time, context switches and throughput by this. `messages` would credit a server
    /// that falls behind with work done after the measured time.
    pub answered: u64,
    /// Payload bytes of `messages`, in one direction.
    pub bytes: u64,
    /// Open loop: messages due in the measured time.
    pub due: u64,
    /// Answers that were neither received nor lost when the run ended. Echo: only those to messages
    /// due in the measured time of an open loop; the load was more than the server, or the
    /// generator, could carry. Chat: every outstanding delivery; the run was ended early, or the
    /// server was still delivering long after the last message.
    pub unanswered: u64,
    /// Nanoseconds from the time when a message was due to the end of each of its answers, late and
    /// reordered ones included. Open loop: for an unanswered or lost message, the time it had
    /// waited when the run or its connection ended.
    pub latency: Histogram<u64>,
    /// Nanoseconds from the call of `connect` to the established connection, over the whole run. A
    /// chat member's connection is established when the member has joined its room.
    pub connects: Histogram<u64>,
    /// Time from the first call of `connect` until the last planned connection was established.
    pub connecting: Duration,
    /// Connections open at the end, without slow readers.
    pub connections: usize,
    /// Slow readers that the server has disconnected, over the whole run. These are not faults.
    pub cut_off: usize,
    /// Faults over the whole run, in the categories that all workloads share.
    pub faults: Faults,
    /// The measured time in samples, oldest first. Open loop: the last sample may cover answers
    /// that arrived after the measured time.
    pub samples: Vec<LoadSample>,
    /// The generator's own usage.
    pub generator: GeneratorStats,
    /// The workload's own results.
    pub workload: W,
}

impl<W> LoadOutcome<W> {
    /// Returns the reason if the generator was the limit instead of the server.
    pub fn bottleneck(&self) -> Option<Bottleneck> {
        let Self { activity, latency, generator, .. } = self;
        if generator.busy >= Bottleneck::BUSY {
            // In a closed loop the busy side is the limit: a slower server makes its clients wait.
            // In an open loop a busy generator may send on time and read late, which looks like
            // latency of the server.
            return Some(Bottleneck::Busy(generator.busy));
        }
        let lag = Duration::from_nanos(generator.send_lag.value_at_quantile(0.99));
        let latency = Duration::from_nanos(latency.value_at_quantile(0.99));
        let is_late = matches!(activity, Activity::Open { .. }) && lag > ACCEPTABLE_LAG.max(latency / 4);
        is_late.then_some(Bottleneck::Late(lag))
    }
}

/// Open loop: the send lag that is always acceptable.
const ACCEPTABLE_LAG: Duration = Duration::from_millis(1);

/// The reason why the generator was the limit. Displayed as a clause.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Bottleneck {
    /// The generator was busy for this part of the time, from 0 to 1. The server, or an answer, may
    /// have waited for it.
    Busy(f64),
    /// Open loop: 1 % of the messages were sent this late, or later.
    Late(Duration),
}

impl Bottleneck {
    /// The busy part of the time from which the generator is the limit.
    pub const BUSY: f64 = 0.95;
}

impl fmt::Display for Bottleneck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the generator was the limit: ")?;
        match self {
            Self::Busy(part) => write!(f, "it was busy {:.0} % of the time", part * 100.0),
            Self::Late(lag) => write!(f, "it sent 1 % of the messages at least {lag:.1?} late"),
        }
    }
}

/// Counts of faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// Messages without an answer.
    pub lost: u64,
    /// Second answers to a message.
    pub duplicated: u64,
    /// Answers that arrived after the answer to a later message.
    pub reordered: u64,
    /// Answers that differ from the sent message.
    pub corrupted: u64,
    /// Connections that could not be opened.
    pub refused: u64,
    /// Connections that the server closed or reset.
    pub broken: u64,
}

impl Faults {
    /// Returns true if all counts are zero.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Returns each count with its name, in the order of reports.
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

    fn zip(self, other: Self, each: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            lost: each(self.lost, other.lost),
            duplicated: each(self.duplicated, other.duplicated),
            reordered: each(self.reordered, other.reordered),
            corrupted: each(self.corrupted, other.corrupted),
            refused: each(self.refused, other.refused),
            broken: each(self.broken, other.broken),
        }
    }

    /// Returns the sum of all counts.
    pub fn total(&self) -> u64 {
        self.named().iter().map(|(_, count)| count).sum()
    }
}

impl AddAssign for Faults {
    fn add_assign(&mut self, other: Self) {
        *self = self.zip(other, |own, other| own + other);
    }
}

impl SubAssign for Faults {
    fn sub_assign(&mut self, other: Self) {
        *self = self.zip(other, |own, other| own - other);
    }
}

/// A part of the measured time, 100 ms or longer.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct LoadSample {
    /// End of the sample, from the start of the measured time.
    pub at: Duration,
    /// Length of the sample.
    pub length: Duration,
    /// Correct answers that arrived in the sample, whenever their messages were due.
    pub messages: u64,
    /// Median latency of the messages that count.
    pub p50: Duration,
    /// 99th percentile of their latency.
    pub p99: Duration,
    /// Maximum of their latency. It does not include messages that are later lost.
    pub max: Duration,
    /// Faults in the sample.
    pub faults: Faults,
}

/// The generator's own usage in the measured time. A generator that is always busy, or sends late,
/// measures itself.
#[derive(Clone)]
#[non_exhaustive]
pub struct GeneratorStats {
    /// Processor time of the generator's thread.
    pub cpu: Duration,
    /// The busy part of the measured time, from 0 to 1: the larger of the part spent outside of
    /// polls and the part spent on a processor. Polls that return no event look like waiting, but
    /// cost processor time.
    pub busy: f64,
    /// Open loop: nanoseconds between the time when a message was due and the time it was sent.
    pub send_lag: Histogram<u64>,
}

/// A histogram's debug form in one line; the derived one prints thousands of numbers.
struct HistogramSummary<'a>(&'a Histogram<u64>);

impl fmt::Debug for HistogramSummary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quantile = |of| Duration::from_nanos(self.0.value_at_quantile(of));
        let (count, max) = (self.0.len(), Duration::from_nanos(self.0.max()));
        write!(f, "{count} values: p50 {:?}, p99 {:?}, max {max:?}", quantile(0.5), quantile(0.99))
    }
}

impl<W: fmt::Debug> fmt::Debug for LoadOutcome<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { activity, elapsed, messages, answered, bytes, due, unanswered, latency, connects, .. } = self;
        let Self { connecting, connections, cut_off, faults, samples, generator, workload, .. } = self;
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
            .field("workload", workload)
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

    impl LoadOutcome {
        /// Creates the outcome of a second without messages.
        pub(in crate::load) fn empty(activity: Activity) -> Self {
            let histogram = || Histogram::new(3).unwrap();
            Self {
                activity,
                elapsed: Duration::from_secs(1),
                messages: 0,
                answered: 0,
                bytes: 0,
                due: 0,
                unanswered: 0,
                latency: histogram(),
                connects: histogram(),
                connecting: Duration::ZERO,
                connections: 1,
                cut_off: 0,
                faults: Faults::default(),
                samples: Vec::new(),
                generator: GeneratorStats { cpu: Duration::ZERO, busy: 0.0, send_lag: histogram() },
                workload: (),
            }
        }
    }

    fn outcome(activity: Activity, busy: f64, lag: Duration) -> LoadOutcome {
        let mut outcome = LoadOutcome::empty(activity);
        outcome.generator.busy = busy;
        outcome.generator.send_lag.record(u64::try_from(lag.as_nanos()).unwrap()).unwrap();
        outcome
    }

    #[test]
    fn a_busy_or_late_generator_is_the_bottleneck() {
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
