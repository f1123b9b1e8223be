//! A duel as it stands in a terminal: a block for each point, then what it shows, then what is to be known.

use comfy_table::{Row, Table};

use super::compare::Comparison;
use super::metric::Metric;
use super::record::{Point, Record};
use super::statistics::Spread;
use super::verdict::bounds;
use super::words;
use crate::cli::report::words::{NONE, connections, hanging, plain, remark};

/// The whole text.
pub(super) fn text(record: &Record) -> String {
    let about = [words::title(record), words::setup(record), words::machine(record)];
    let mut parts = vec![about.map(|line| hanging("", &line)).join("\n")];
    if record.whole().next().is_some() {
        parts.push(figures(record));
        parts.push(hanging("", &words::how_to_read(record)));
    }
    let name_width = record.findings.iter().map(|finding| finding.name.len()).max().unwrap_or(0);
    let findings =
        record.findings.iter().map(|finding| hanging(&format!("{:<name_width$}  ", finding.name), &finding.text));
    parts.push(findings.collect::<Vec<_>>().join("\n"));
    let remarks = record.remarks.iter().map(|said| remark(said.tone, &said.text));
    parts.push(remarks.collect::<Vec<_>>().join("\n"));
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n") + "\n"
}

/// One table, so that the blocks are aligned.
fn figures(record: &Record) -> String {
    let mut table = Table::new();
    for (index, point) in record.whole().enumerate() {
        if index > 0 {
            table.add_row(Row::from([""]));
        }
        table.add_row(Row::from([
            connections(point.connections).as_str(),
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
    plain(table)
}

/// The figures of a point: the name of each metric, both engines' medians and ranges, the ratio, its interval, the verdict.
pub(super) fn rows(point: &Point) -> Vec<[String; 8]> {
    Metric::ALL.into_iter().zip(&point.comparisons).map(|(metric, comparison)| row(metric, comparison)).collect()
}

fn row(metric: Metric, comparison: &Comparison) -> [String; 8] {
    let engine = |spread: Option<Spread>| match spread {
        Some(Spread { median, min, max }) => {
            let (median, reach) = (metric.show(median), metric.reach(min, max));
            // A range of nothing is none.
            let reach = if reach == median { String::new() } else { reach };
            [median, reach]
        }
        None => [NONE.to_owned(), String::new()],
    };
    let ([reactor, reactor_reach], [threads, threads_reach]) = (engine(comparison.reactor), engine(comparison.threads));
    let ratio = comparison.reactor_advantage.map(bounds).unwrap_or_default();
    let (ratio, interval) = ratio.split_once(' ').unwrap_or_default();
    let verdict = comparison.verdict.map(super::verdict::Verdict::name).unwrap_or_default();
    let name = metric.name().to_owned();
    [name, reactor, reactor_reach, threads, threads_reach, ratio.to_owned(), interval.to_owned(), verdict.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::super::compare::{compare, tests::run};
    use super::super::record::{Engine, tests::record};
    use super::super::remark;
    use super::*;

    #[test]
    fn a_block_for_each_point_then_what_it_shows_then_what_is_to_be_known() {
        let both = |round| [run(Engine::Reactor, round, 240_000.0, 5e3), run(Engine::Threads, round, 1e5, 1.2e4)];
        let runs: Vec<_> = (1..=3).flat_map(both).collect();
        let point = |connections| {
            let comparisons = compare(&runs);
            Point { connections, skipped: None, whole: true, comparisons, runs: runs.clone() }
        };
        let mut record = record(vec![point(1), point(1_000)]);
        record.points.push(Point {
            connections: 100_000,
            skipped: Some("it needs a larger machine".to_owned()),
            whole: false,
            comparisons: Vec::new(),
            runs: Vec::new(),
        });
        (record.findings, record.remarks) = (remark::findings(&record), remark::remarks(&record));
        let text = text(&record);
        let at = |words: &str| text.find(words).unwrap_or_else(|| panic!("{words} is not in\n{text}"));
        let places = [
            at("1 connection  "),
            at("1,000 connections  "),
            at("Figures are the median of 3 rounds"),
            at("CPU per message        the reactor leads at every point"),
            at("note   100,000 connections could not be measured: it needs a larger machine."),
        ];
        assert!(places.is_sorted(), "{text}");
        let row = text.lines().find(|line| line.starts_with("throughput ")).unwrap();
        let cells: Vec<_> = row.split_whitespace().collect();
        assert_eq!(cells, ["throughput", "240,000", "/s", "100,000", "/s", "2.40×", "[2.40,", "2.40]", "reactor"]);
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    }
}
