//! The findings of a duel: one sentence for each headline metric.

use super::metric::Metric;
use super::record::{DuelFinding, DuelPoint, DuelRecord};
use super::statistics::Ratio;
use super::verdict::{self, PointRatio};
use crate::cli::report::figure;
use crate::cli::report::text::connections_text;

/// Returns one finding for each headline metric that the load leaves open.
pub(super) fn findings(record: &DuelRecord) -> Vec<DuelFinding> {
    // The rate of an open loop fixes the throughput.
    let is_fixed = |metric: Metric| metric == Metric::Throughput && record.setup.rate_per_second.is_some();
    let metrics = Metric::HEADLINES.into_iter().filter(|metric| !is_fixed(*metric));
    metrics.filter_map(|metric| finding(metric, record)).collect()
}

fn finding(metric: Metric, record: &DuelRecord) -> Option<DuelFinding> {
    let is_valid = |point: &&DuelPoint| !(metric.includes_generator() && point.is_generator_limited());
    let (valid, limited): (Vec<&DuelPoint>, Vec<&DuelPoint>) = record.complete_points().partition(is_valid);
    let with_ratio = |point: &&DuelPoint| Some((point.connections, reactor_advantage(metric, point)?));
    let ratios: Vec<PointRatio> = valid.iter().filter_map(with_ratio).collect();
    let point_kind = match (limited.is_empty(), ratios.len() == valid.len()) {
        (true, true) => "point measured",
        (true, false) => "point that has a ratio",
        (false, _) => "valid point",
    };
    let text = match (verdict::sentence(&ratios, point_kind), list_points(&limited)) {
        (sentence, None) => sentence?,
        (Some(sentence), Some(points)) => {
            format!("{sentence}; without {points}, where the load generator was the limit")
        }
        (None, Some(points)) => format!("unknown, because at {points} the load generator was the limit"),
    };
    Some(DuelFinding { metric: metric.key(), name: metric.name(), text: text + "." })
}

fn reactor_advantage(metric: Metric, point: &DuelPoint) -> Option<Ratio> {
    point.comparisons.iter().find(|comparison| comparison.metric == metric.key())?.reactor_advantage
}

/// Lists the connections of some points, as in `1, 9 and 10 connections`. `None` without points.
pub(super) fn list_points(points: &[&DuelPoint]) -> Option<String> {
    let (last, others) = points.split_last()?;
    if others.is_empty() {
        return Some(connections_text(last.connections));
    }
    let others: Vec<_> = others.iter().map(|point| figure::count(point.connections as u64)).collect();
    Some(format!("{} and {}", others.join(", "), connections_text(last.connections)))
}

#[cfg(test)]
mod tests {
    use super::super::record::DuelEngine;
    use super::super::tests::{point, record};
    use super::*;

    #[test]
    fn each_headline_has_a_finding_and_processor_time_is_first() {
        let mut record = record(vec![point(1, 100.0), point(100, 200.0)]);
        let found = findings(&record);
        assert_eq!(found.iter().map(|finding| finding.metric).collect::<Vec<_>>(), Metric::HEADLINES.map(Metric::key));
        assert!(found[0].text.starts_with("the reactor leads at every point measured"), "{}", found[0].text);
        assert!(found[1].text.starts_with("level up to about 1 connection;"), "{}", found[1].text);
        record.setup.rate_per_second = Some(100.0);
        assert!(findings(&record).iter().all(|finding| finding.metric != "messages_per_second"));
    }

    #[test]
    fn generator_limited_points_are_left_out() {
        let mut record = record(vec![point(1, 100.0), point(10, 200.0), point(100, 300.0)]);
        let limit = |record: &mut DuelRecord, index: usize, runs: usize| {
            record.points[index].runs.iter_mut().filter(|run| run.engine == DuelEngine::Reactor).take(runs).for_each(
                |run| {
                    run.generator.bottleneck = Some("busy");
                },
            );
        };
        // One limited run of three leaves the median unchanged.
        limit(&mut record, 1, 1);
        assert!(findings(&record).iter().all(|finding| !finding.text.contains("generator")));
        limit(&mut record, 1, 2);
        limit(&mut record, 2, 2);
        for finding in findings(&record) {
            let includes_generator = ["messages_per_second", "p99_ns"].contains(&finding.metric);
            let is_left_out =
                finding.text.ends_with("; without 10 and 100 connections, where the load generator was the limit.");
            assert_eq!(is_left_out, includes_generator, "{}", finding.text);
        }
        limit(&mut record, 0, 3);
        let found = findings(&record);
        assert_eq!(found[1].text, "unknown, because at 1, 10 and 100 connections the load generator was the limit.");
        assert!(found[0].text.starts_with("the reactor leads"), "{}", found[0].text);
    }
}
