//! Plots of any load: latency by percentile, throughput and latency over time.

use super::result::{Distribution, PercentileRecord, SampleRecord};
use crate::cli::report::figure::{self, Unit};
use crate::cli::report::plot::{Axis, Plot, Scale, Series, SpreadShape};

/// Returns the plot of latency by percentile. `messages` names the measured unit, such as
/// deliveries.
pub(super) fn by_percentile(messages: &str, percentiles: &[PercentileRecord], latency: Option<&Distribution>) -> Plot {
    let count = latency.map_or(1, |latency| latency.count);
    // The curve ends at the rarest event that was measured: one in `count`.
    let one_of = |percentile: f64| (1.0 / (1.0 - percentile / 100.0)).min(figure::float(count));
    let points = percentiles.iter().map(|point| (one_of(point.percentile), figure::float(point.latency_ns)));
    Plot {
        title: "Latency by percentile".to_owned(),
        x: axis(&format!("percentile of {messages}"), Unit::OneOf, Scale::Log),
        y: axis("latency", Unit::Nanos, Scale::Log),
        series: vec![Series { name: "latency".to_owned(), points: points.collect(), ..Series::default() }],
    }
}

/// Returns the plots of throughput and latency over the measured time.
pub(super) fn over_time(messages: &str, samples: &[SampleRecord], elapsed_ns: u64) -> Vec<Plot> {
    // The last sample may hold answers that arrived after the measured time. It is left out.
    let samples: Vec<_> = samples.iter().filter(|sample| sample.at_ns <= elapsed_ns).collect();
    vec![throughput(messages, &samples), latency(&samples)]
}

fn throughput(messages: &str, samples: &[&SampleRecord]) -> Plot {
    let rate = format!("{messages} per second");
    Plot {
        title: "Throughput".to_owned(),
        x: axis("measured time", Unit::Seconds, Scale::Linear),
        y: axis(&rate, Unit::Number, Scale::Linear),
        series: vec![series(samples, &rate, |sample| Some(sample.messages_per_second))],
    }
}

fn latency(samples: &[&SampleRecord]) -> Plot {
    // A sample without messages has no latency. Zero would read as one.
    let of = |messages: u64, nanos: u64| (messages > 0).then_some(figure::float(nanos));
    let mut median = series(samples, "p50", |sample| of(sample.messages, sample.p50_ns));
    let p99 = series(samples, "p99", |sample| of(sample.messages, sample.p99_ns));
    median.spread = median.points.iter().zip(&p99.points).map(|((at, low), (_, high))| (*at, *low, *high)).collect();
    median.shape = SpreadShape::Band;
    Plot {
        title: "Latency".to_owned(),
        x: axis("measured time", Unit::Seconds, Scale::Linear),
        y: axis("latency", Unit::Nanos, Scale::Log),
        series: vec![median, p99, series(samples, "longest", |sample| of(sample.messages, sample.max_ns))],
    }
}

fn series(samples: &[&SampleRecord], name: &str, value: impl Fn(&SampleRecord) -> Option<f64>) -> Series {
    let points = samples.iter().filter_map(|sample| {
        // A sample covers an interval, so its point is in the middle.
        let middle = (figure::float(sample.at_ns) - figure::float(sample.length_ns) / 2.0) / 1e9;
        Some((middle, value(sample)?))
    });
    Series { name: name.to_owned(), points: points.collect(), ..Series::default() }
}

pub(super) fn axis(name: &str, unit: Unit, scale: Scale) -> Axis {
    Axis { name: name.to_owned(), unit, scale }
}
