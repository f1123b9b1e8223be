//! The metrics of a comparison: their names, their values in a run, and which direction is better.

use super::record::DuelRun;
use crate::cli::report::figure::{self, Unit, float};

/// A figure of a run.
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

/// The direction in which a metric improves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    HigherIsBetter,
    LowerIsBetter,
    /// The metric explains others and is neither good nor bad by itself.
    Neutral,
}

impl Metric {
    /// All metrics, in the order of the table.
    pub(super) const ALL: [Self; 8] =
        [Self::Throughput, Self::Cpu, Self::P50, Self::P99, Self::P999, Self::Memory, Self::Threads, Self::Switches];
    /// The metrics with a finding and a plot. Processor time is first, because a busy machine
    /// affects it least.
    pub(super) const HEADLINES: [Self; 4] = [Self::Cpu, Self::Throughput, Self::P99, Self::Memory];

    /// Returns the value of `metric` in the JSON, which ends in the unit.
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

    /// Returns the name in the table and on the page.
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

    pub(super) fn direction(self) -> Direction {
        match self {
            Self::Throughput => Direction::HigherIsBetter,
            Self::P50 | Self::P99 | Self::P999 | Self::Cpu | Self::Memory => Direction::LowerIsBetter,
            Self::Threads | Self::Switches => Direction::Neutral,
        }
    }

    /// Returns true if a limit of the generator changes the metric as a limit of the server would.
    pub(super) fn includes_generator(self) -> bool {
        matches!(self, Self::Throughput | Self::P50 | Self::P99 | Self::P999)
    }

    /// Returns the value in a run.
    pub(super) fn value(self, run: &DuelRun) -> Option<f64> {
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

    /// Formats a value with its unit.
    pub(super) fn format(self, value: f64) -> String {
        match self {
            Self::Throughput => figure::rate(value),
            Self::P50 | Self::P99 | Self::P999 | Self::Cpu => figure::nanos(value),
            Self::Memory => figure::bytes(value.round()),
            Self::Threads => rounded_count(value),
            Self::Switches => figure::number(value),
        }
    }

    /// Formats a range, with the unit once if both ends share it.
    pub(super) fn format_range(self, low: f64, high: f64) -> String {
        let (low, high) = (self.format(low), self.format(high));
        if low == high {
            return low;
        }
        match (low.split_once(' '), high.split_once(' ')) {
            (Some((number, unit)), Some((_, other))) if unit == other => format!("{number}–{high}"),
            _ => format!("{low}–{high}"),
        }
    }

    /// Returns the unit of its axis.
    pub(super) fn unit(self) -> Unit {
        match self {
            Self::Throughput | Self::Threads | Self::Switches => Unit::Number,
            Self::P50 | Self::P99 | Self::P999 | Self::Cpu => Unit::Nanos,
            Self::Memory => Unit::Bytes,
        }
    }
}

/// Formats a count. The median of two rounds may have a fraction, so it is rounded.
fn rounded_count(value: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, and a cast saturates")]
    let count = value.round() as u64;
    figure::count(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_names_its_unit_once() {
        assert_eq!(Metric::P50.format_range(1_200.0, 3_400.0), "1.20–3.40 µs");
        assert_eq!(Metric::P50.format_range(800.0, 1_200.0), "800 ns–1.20 µs");
        assert_eq!(Metric::Throughput.format_range(50_000.0, 51_234.0), "50,000–51,234 /s");
        assert_eq!(Metric::Threads.format_range(2.0, 2.0), "2");
        assert_eq!(Metric::Threads.format_range(1.0, 2.0), "1–2");
        assert_eq!(Metric::Memory.format_range(-1024.0, 1024.0), "-1.00–1.00 KiB");
    }
}
