//! The metrics of a comparison: their names, their values in a run, and which direction is better.

use crate::cli::commands::bench::result::RunResult;
use crate::cli::report::figure::{self, Unit, float};

/// A figure of a run.
#[derive(Debug)]
pub(super) struct Metric {
    /// The value of `metric` in the JSON, which ends in the unit.
    pub(super) key: &'static str,
    /// The name in the table and on the page.
    pub(super) name: &'static str,
    pub(super) direction: Direction,
    /// True if a limit of the generator changes the metric as a limit of the server would.
    pub(super) includes_generator: bool,
    /// Returns the value in a run.
    pub(super) value: fn(&RunResult) -> Option<f64>,
    /// Formats a value with its unit.
    pub(super) format: fn(f64) -> String,
    /// The name and the unit of its axis.
    pub(super) axis: (&'static str, Unit),
}

/// The direction in which a metric improves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    HigherIsBetter,
    LowerIsBetter,
    /// The metric explains others and is neither good nor bad by itself.
    Neutral,
}

pub(super) static THROUGHPUT: Metric = Metric {
    key: "messages_per_second",
    name: "throughput",
    direction: Direction::HigherIsBetter,
    includes_generator: true,
    value: |run| Some(run.messages_per_second),
    format: |value| figure::number(value) + "/s",
    axis: ("throughput", Unit::Number),
};
pub(super) static CPU: Metric = Metric {
    includes_generator: false,
    ..time("cpu_ns_per_message", "CPU/message", |run| run.server.as_ref()?.cpu_ns_per_message)
};
pub(super) static P50: Metric =
    time("p50_ns", "latency p50", |run| run.latency_ns.as_ref().map(|latency| float(latency.p50)));
pub(super) static P99: Metric =
    time("p99_ns", "latency p99", |run| run.latency_ns.as_ref().map(|latency| float(latency.p99)));
static P99_9: Metric =
    time("p99_9_ns", "latency p99.9", |run| run.latency_ns.as_ref().map(|latency| float(latency.p99_9)));
pub(super) static MEMORY: Metric = Metric {
    key: "bytes_per_connection",
    name: "memory/connection",
    direction: Direction::LowerIsBetter,
    includes_generator: false,
    value: |run| run.server.as_ref()?.bytes_per_connection,
    format: |value| figure::bytes(value.round()),
    // A logarithmic axis has its lines at powers of 10, so binary units would not match them.
    axis: ("bytes per connection", Unit::Number),
};
pub(super) static THREADS: Metric = Metric {
    key: "threads",
    name: "threads",
    direction: Direction::Neutral,
    includes_generator: false,
    value: |run| run.server.as_ref().map(|server| float(server.threads)),
    // The median of two rounds may have a fraction.
    format: |value| if value < 999.5 { format!("{value:.0}") } else { figure::number(value) },
    axis: ("threads", Unit::Number),
};
static SWITCHES: Metric = Metric {
    key: "context_switches_per_message",
    name: "switches/message",
    direction: Direction::Neutral,
    includes_generator: false,
    value: |run| run.server.as_ref()?.context_switches_per_message,
    format: figure::number,
    axis: ("switches/message", Unit::Number),
};

/// All metrics, in the order of the table.
pub(super) static METRICS: [&Metric; 8] = [&THROUGHPUT, &CPU, &P50, &P99, &P99_9, &MEMORY, &THREADS, &SWITCHES];
/// The metrics with a verdict and a plot. Processor time is first, because a busy machine affects
/// it least.
pub(super) static HEADLINES: [&Metric; 4] = [&CPU, &THROUGHPUT, &P99, &MEMORY];

/// Returns a metric in nanoseconds that includes the generator.
const fn time(key: &'static str, name: &'static str, value: fn(&RunResult) -> Option<f64>) -> Metric {
    let axis = (name, Unit::Nanos);
    Metric {
        key,
        name,
        direction: Direction::LowerIsBetter,
        includes_generator: true,
        value,
        format: figure::nanos,
        axis,
    }
}

impl Metric {
    /// Formats a range, with the unit once if both ends share it.
    pub(super) fn format_range(&self, low: f64, high: f64) -> String {
        let (low, high) = ((self.format)(low), (self.format)(high));
        if low == high {
            return low;
        }
        match (low.split_once(' '), high.split_once(' ')) {
            (Some((number, unit)), Some((_, other))) if unit == other => format!("{number}–{high}"),
            _ => format!("{low}–{high}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_names_its_unit_once() {
        assert_eq!(P50.format_range(1_200.0, 3_400.0), "1.20–3.40 µs");
        assert_eq!(P50.format_range(800.0, 1_200.0), "800 ns–1.20 µs");
        assert_eq!(THROUGHPUT.format_range(50_000.0, 51_234.0), "50,000/s–51,234/s");
        assert_eq!(THREADS.format_range(2.0, 2.0), "2");
        assert_eq!(THREADS.format_range(1.0, 2.0), "1–2");
        assert_eq!(MEMORY.format_range(-1024.0, 1024.0), "-1.00–1.00 KiB");
    }
}
