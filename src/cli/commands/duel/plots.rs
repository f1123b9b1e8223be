//! The plots of a duel: both engines by metric, and the ratios of the engines.

use super::metric::{CPU, Direction, HEADLINES, Metric, P99, THROUGHPUT};
use super::record::{DuelPoint, DuelRecord, ENGINES};
use crate::cli::report::figure::{self, Unit};
use crate::cli::report::plot::{Axis, Plot, Scale, Series, SpreadShape};
use crate::cli::report::text::capitalized;

/// The metrics of the ratio plot. The ratio of memory is left out: it is so large that the others
/// would look flat.
static RATIO_METRICS: [&Metric; 3] = [&CPU, &THROUGHPUT, &P99];

/// Returns a plot for each headline metric, with a line for each engine.
pub(super) fn engine_plots(record: &DuelRecord) -> Vec<Plot> {
    HEADLINES.map(|metric| engine_plot(record, metric)).to_vec()
}

fn engine_plot(record: &DuelRecord, metric: &Metric) -> Plot {
    let direction = match metric.direction {
        Direction::HigherIsBetter => ", more is better",
        Direction::LowerIsBetter => ", less is better",
        Direction::Neutral => "",
    };
    let series = ENGINES.map(|engine| {
        let ranges = record.complete_points().filter_map(|point| {
            let range = point.comparison(metric.key)?.range_of(engine)?;
            Some((connections(point), range.median, range.min, range.max))
        });
        bars(engine.name(), ranges.collect())
    });
    // All metrics but throughput span orders of magnitude. A logarithmic axis has no place for 0.
    let positive = series.iter().flat_map(|series| &series.spread).all(|(_, min, _)| *min > 0.0);
    let scale = if metric.key == THROUGHPUT.key || !positive { Scale::Linear } else { Scale::Log };
    let (name, unit) = metric.axis;
    Plot {
        title: format!("{}{direction}", capitalized(metric.name)),
        x: by_connections(),
        y: Axis { name: name.to_owned(), unit, scale },
        series: series.to_vec(),
    }
}

/// Returns the plot of the ratios at all points, with a line at a ratio of 1.
pub(super) fn ratio_plot(record: &DuelRecord) -> Plot {
    let ratios = (0..).zip(RATIO_METRICS).map(|(index, metric)| {
        // Lines are shifted to the right, so that their bars do not overlap.
        let shift = 1.04_f64.powi(index);
        let ratios = record.complete_points().filter_map(|point| {
            let ratio = point.comparison(metric.key)?.reactor_advantage?;
            Some((connections(point) * shift, ratio.median, ratio.low, ratio.high))
        });
        bars(metric.name, ratios.collect())
    });
    let ends = record.complete_points().take(1).chain(record.complete_points().last());
    let level = Series {
        name: "level".to_owned(),
        points: ends.map(|point| (connections(point), 1.0)).collect(),
        ..Series::default()
    };
    Plot {
        title: "How many times better the reactor is".to_owned(),
        x: by_connections(),
        y: Axis { name: "ratio".to_owned(), unit: Unit::Number, scale: Scale::Log },
        series: ratios.chain([level]).collect(),
    }
}

/// Returns a line with a bar at each point: x, the middle, the low and the high end.
fn bars(name: &str, points: Vec<(f64, f64, f64, f64)>) -> Series {
    Series {
        name: name.to_owned(),
        points: points.iter().map(|(x, middle, ..)| (*x, *middle)).collect(),
        spread: points.into_iter().map(|(x, _, low, high)| (x, low, high)).collect(),
        shape: SpreadShape::Bars,
        marks: true,
    }
}

fn by_connections() -> Axis {
    Axis { name: "connections".to_owned(), unit: Unit::Number, scale: Scale::Log }
}

fn connections(point: &DuelPoint) -> f64 {
    figure::float(point.connections as u64)
}
