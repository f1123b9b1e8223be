//! What is compared: each metric with its name, its figures, and which way is better.

use super::record::Run;
use crate::cli::report::figure::{self, Unit, float};

/// A figure that each run has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Metric {
    Throughput,
    P50,
    P99,
    P999,
    Cpu,
    Memory,
    Threads,
    Switches,
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Better {
    More,
    Less,
    /// It explains the others and is no merit by itself.
    Neither,
}

impl Metric {
    /// In the order in which they are told.
    pub(super) const ALL: [Self; 8] =
        [Self::Throughput, Self::Cpu, Self::P50, Self::P99, Self::P999, Self::Memory, Self::Threads, Self::Switches];
    /// Those of which there is a sentence and a plot. Processor time first: a busy machine affects it least.
    pub(super) const HEADLINES: [Self; 4] = [Self::Cpu, Self::Throughput, Self::P99, Self::Memory];

    /// As in the JSON, with its unit.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Throughput => "messages_per_second",
            Self::P50 => "p50_ns",
            Self::P99 => "p99_ns",
            Self::P999 => "p99_9_ns",
            Self::Cpu => "cpu_ns_per_message",
            Self::Memory => "rss_bytes_per_connection",
            Self::Threads => "threads",
            Self::Switches => "context_switches_per_message",
        }
    }

    /// For people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::P50 => "latency p50",
            Self::P99 => "latency p99",
            Self::P999 => "latency p99.9",
            Self::Cpu => "CPU per message",
            Self::Memory => "memory per connection",
            Self::Threads => "threads",
            Self::Switches => "switches per message",
        }
    }

    pub(super) fn better(self) -> Better {
        match self {
            Self::Throughput => Better::More,
            Self::P50 | Self::P99 | Self::P999 | Self::Cpu | Self::Memory => Better::Less,
            Self::Threads | Self::Switches => Better::Neither,
        }
    }

    /// Whether a generator that is at its limit shows in it as if it were the server.
    pub(super) fn is_of_both_sides(self) -> bool {
        matches!(self, Self::Throughput | Self::P50 | Self::P99 | Self::P999)
    }

    /// What it was in a run.
    pub(super) fn of(self, run: &Run) -> Option<f64> {
        let server = run.server.as_ref();
        match self {
            Self::Throughput => Some(run.messages_per_second),
            Self::P50 => run.p50_ns.map(float),
            Self::P99 => run.p99_ns.map(float),
            Self::P999 => run.p99_9_ns.map(float),
            Self::Cpu => server?.cpu_ns_per_message,
            Self::Memory => Some(server?.rss_bytes_per_connection),
            Self::Threads => Some(float(server?.threads)),
            Self::Switches => server?.context_switches_per_message,
        }
    }

    /// A figure of it.
    pub(super) fn show(self, value: f64) -> String {
        match self {
            Self::Throughput => figure::rate(value),
            Self::P50 | Self::P99 | Self::P999 | Self::Cpu => figure::nanos(value),
            Self::Memory => figure::bytes(value.round()),
            Self::Threads => whole(value),
            Self::Switches => figure::number(value),
        }
    }

    /// From one figure to another; the unit once if both have the same.
    pub(super) fn reach(self, low: f64, high: f64) -> String {
        let (low, high) = (self.show(low), self.show(high));
        if low == high {
            return low;
        }
        match (low.split_once(' '), high.split_once(' ')) {
            (Some((number, unit)), Some((_, other))) if unit == other => format!("{number}–{high}"),
            _ => format!("{low}–{high}"),
        }
    }

    /// What stands along its axis.
    pub(super) fn unit(self) -> Unit {
        match self {
            Self::Throughput | Self::Threads | Self::Switches => Unit::Number,
            Self::P50 | Self::P99 | Self::P999 | Self::Cpu => Unit::Nanos,
            Self::Memory => Unit::Bytes,
        }
    }
}

/// Of threads there are only whole ones, even in the middle between two rounds.
fn whole(value: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, and a cast saturates")]
    let whole = value.round() as u64;
    figure::count(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reach_names_its_unit_once() {
        assert_eq!(Metric::P50.reach(1_200.0, 3_400.0), "1.20–3.40 µs");
        assert_eq!(Metric::P50.reach(800.0, 1_200.0), "800 ns–1.20 µs");
        assert_eq!(Metric::Throughput.reach(50_000.0, 51_234.0), "50,000–51,234 /s");
        assert_eq!(Metric::Threads.reach(2.0, 2.0), "2");
        assert_eq!(Metric::Threads.reach(1.0, 2.0), "1–2");
        assert_eq!(Metric::Memory.reach(-1024.0, 1024.0), "-1.00–1.00 KiB");
    }
}
