//! The verdicts of a duel: one line for each headline metric.

use super::metric::{HEADLINES, Metric, THROUGHPUT};
use super::record::{DuelPoint, DuelRecord, DuelVerdict, MetricVerdict};
use super::statistics::Ratio;
use crate::cli::report::figure;

/// Returns one verdict for each headline metric that the load leaves open.
pub(super) fn verdicts(record: &DuelRecord) -> Vec<MetricVerdict> {
    // The rate of an open loop fixes the throughput.
    let is_fixed = |metric: &Metric| metric.key == THROUGHPUT.key && record.setup.load.rate_per_second.is_some();
    let metrics = HEADLINES.into_iter().filter(|metric| !is_fixed(metric));
    metrics.filter_map(|metric| verdict(metric, record)).collect()
}

/// Returns the verdict on a metric at each point that has one, in ascending order of connections.
fn verdict(metric: &'static Metric, record: &DuelRecord) -> Option<MetricVerdict> {
    let points: Vec<_> = record.complete_points().filter_map(|point| at_point(metric, point)).collect();
    let groups = points.chunk_by(|(one, _), (next, _)| one == next).map(|points| {
        let names: Vec<_> = points.iter().map(|(_, at)| at.as_str()).collect();
        format!("{} {}", points.first().map_or("", |(verdict, _)| verdict), names.join(", "))
    });
    let text = groups.collect::<Vec<_>>().join("; ");
    (!points.is_empty()).then_some(MetricVerdict { metric: metric.key, name: metric.name, text })
}

/// Returns the verdict at a point, and the point with the leader's advantage.
fn at_point(metric: &'static Metric, point: &DuelPoint) -> Option<(&'static str, String)> {
    let at = figure::count(point.connections as u64);
    if metric.includes_generator && point.is_generator_limited() {
        return Some(("unknown (limited by the load generator) at", at));
    }
    let ratio = point.comparison(metric.key)?.reactor_advantage?;
    let by = |ratio: Ratio| format!("{} at {at}", ratio.median_text());
    Some(match DuelVerdict::of(ratio) {
        DuelVerdict::Draw => ("draw at", at),
        DuelVerdict::Reactor => ("reactor", by(ratio)),
        DuelVerdict::Threads => ("threads", by(ratio.inverse())),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{point, record};
    use super::*;
    use crate::cli::engine::EngineName;

    #[test]
    fn each_headline_has_a_verdict_and_processor_time_is_first() {
        let mut record = record(vec![point(1, 100.0), point(100, 200.0), point(1_000, 50.0)]);
        let found = verdicts(&record);
        assert_eq!(found.iter().map(|found| found.metric).collect::<Vec<_>>(), HEADLINES.map(|metric| metric.key)[..3]);
        assert_eq!(found[0].text, "reactor 100× at 1, 200× at 100, 50.0× at 1,000");
        assert_eq!(found[1].text, "draw at 1; reactor 2.00× at 100; threads 2.00× at 1,000");
        record.setup.load.rate_per_second = Some(100.0);
        assert!(verdicts(&record).iter().all(|found| found.metric != "messages_per_second"));
    }

    #[test]
    fn a_leader_is_ahead_in_the_digits_that_are_shown() {
        let found = verdicts(&record(vec![point(1, 100.4), point(10, 99.7)]));
        assert_eq!(found[1].text, "reactor 1.004× at 1; threads 1.003× at 10");
    }

    #[test]
    fn generator_limited_points_have_no_verdict_on_throughput_and_latency() {
        let mut record = record(vec![point(1, 100.0), point(10, 200.0), point(100, 300.0)]);
        let limit = |record: &mut DuelRecord, index: usize, runs: usize| {
            let of_reactor = record.points[index].runs.iter_mut().filter(|run| run.engine == EngineName::Reactor);
            of_reactor.take(runs).for_each(|run| run.result.generator.bottleneck = Some("busy"));
        };
        // One limited run of three leaves the median unchanged.
        limit(&mut record, 1, 1);
        assert!(verdicts(&record).iter().all(|found| !found.text.contains("generator")));
        limit(&mut record, 1, 2);
        limit(&mut record, 2, 2);
        let unknown = "; unknown (limited by the load generator) at 10, 100";
        for found in verdicts(&record) {
            let includes_generator = ["messages_per_second", "p99_ns"].contains(&found.metric);
            assert_eq!(found.text.ends_with(unknown), includes_generator, "{}", found.text);
        }
        limit(&mut record, 0, 3);
        let found = verdicts(&record);
        assert_eq!(found[1].text, "unknown (limited by the load generator) at 1, 10, 100");
        assert!(found[0].text.starts_with("reactor 100×"), "{}", found[0].text);
    }
}
