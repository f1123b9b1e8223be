//! The result of a duel as text for a terminal: a block for each point, then the findings, then the
//! notes.

use comfy_table::{Row, Table};

use super::format;
use super::metric::Metric;
use super::record::{Comparison, DuelPoint, DuelRecord};
use super::statistics::MedianRange;
use super::verdict::{DuelVerdict, ratio_text};
use crate::cli::report::text::{NONE, connections_text, finding_line, right_aligned_table, wrap_hanging};

/// Returns the whole text.
pub(super) fn render(record: &DuelRecord) -> String {
    let about = [format::title(record), format::setup(record), format::machine(record)];
    let mut parts = vec![about.map(|line| wrap_hanging("", &line)).join("\n")];
    if record.complete_points().next().is_some() {
        parts.push(figures(record));
        parts.push(wrap_hanging("", &format::how_to_read(record)));
    }
    let name_width = record.findings.iter().map(|finding| finding.name.len()).max().unwrap_or(0);
    let findings =
        record.findings.iter().map(|finding| wrap_hanging(&format!("{:<name_width$}  ", finding.name), &finding.text));
    parts.push(findings.collect::<Vec<_>>().join("\n"));
    let notes = record.notes.iter().map(|note| finding_line(note.tone, &note.text));
    parts.push(notes.collect::<Vec<_>>().join("\n"));
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n") + "\n"
}

/// Returns one table for all points, so that their columns align.
fn figures(record: &DuelRecord) -> String {
    let mut table = Table::new();
    for (index, point) in record.complete_points().enumerate() {
        if index > 0 {
            table.add_row(Row::from([""]));
        }
        table.add_row(Row::from([
            connections_text(point.connections).as_str(),
            "reactor",
            "",
            "threads",
            "",
            "ratio",
            "",
            "",
        ]));
        for row in rows(point) {
            table.add_row(Row::from(row));
        }
    }
    right_aligned_table(table)
}

/// Returns one row for each metric of a point: its name, the median and range of both engines, the
/// ratio, its interval, the verdict.
pub(super) fn rows(point: &DuelPoint) -> Vec<[String; 8]> {
    Metric::ALL.into_iter().zip(&point.comparisons).map(|(metric, comparison)| row(metric, comparison)).collect()
}

fn row(metric: Metric, comparison: &Comparison) -> [String; 8] {
    let engine = |range: Option<MedianRange>| match range {
        Some(MedianRange { median, min, max }) => {
            let (median, range) = (metric.format(median), metric.format_range(min, max));
            // Equal texts add no information.
            let range = if range == median { String::new() } else { range };
            [median, range]
        }
        None => [NONE.to_owned(), String::new()],
    };
    let ([reactor, reactor_range], [threads, threads_range]) = (engine(comparison.reactor), engine(comparison.threads));
    let ratio = comparison.reactor_advantage.map(ratio_text).unwrap_or_default();
    let (ratio, interval) = ratio.split_once(' ').unwrap_or_default();
    let verdict = comparison.verdict.map(DuelVerdict::name).unwrap_or_default();
    let name = metric.name().to_owned();
    [name, reactor, reactor_range, threads, threads_range, ratio.to_owned(), interval.to_owned(), verdict.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::super::compare::compare;
    use super::super::record::DuelEngine;
    use super::super::tests::{record, run};
    use super::super::{findings, notes};
    use super::*;

    #[test]
    fn table_has_points_then_findings_then_notes() {
        let both =
            |round| [run(DuelEngine::Reactor, round, 240_000.0, 5e3), run(DuelEngine::Threads, round, 1e5, 1.2e4)];
        let runs: Vec<_> = (1..=3).flat_map(both).collect();
        let point = |connections| {
            let comparisons = compare(&runs);
            DuelPoint { connections, skipped: None, complete: true, comparisons, runs: runs.clone() }
        };
        let mut record = record(vec![point(1), point(1_000)]);
        record.points.push(DuelPoint {
            connections: 100_000,
            skipped: Some("it needs a larger machine".to_owned()),
            complete: false,
            comparisons: Vec::new(),
            runs: Vec::new(),
        });
        (record.findings, record.notes) = (findings::findings(&record), notes::notes(&record));
        let text = render(&record);
        let position = |words: &str| text.find(words).unwrap_or_else(|| panic!("{words} is not in\n{text}"));
        let positions = [
            position("1 connection  "),
            position("1,000 connections  "),
            position("Figures are the median of 3 rounds"),
            position("CPU per message        the reactor leads at every point"),
            position("note   100,000 connections could not be measured: it needs a larger machine."),
        ];
        assert!(positions.is_sorted(), "{text}");
        let row = text.lines().find(|line| line.starts_with("throughput ")).unwrap();
        let cells: Vec<_> = row.split_whitespace().collect();
        assert_eq!(cells, ["throughput", "240,000", "/s", "100,000", "/s", "2.40×", "[2.40,", "2.40]", "reactor"]);
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    }
}
