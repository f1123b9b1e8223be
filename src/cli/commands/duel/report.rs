//! The result of a duel as a report: the figures of each point, verdicts, plots of both engines,
//! the method.

use super::metric::{METRICS, Metric};
use super::plots::{engine_plots, ratio_plot};
use super::record::{Comparison, DuelPoint, DuelRecord, DuelVerdict};
use super::statistics::{MedianRange, Ratio};
use crate::cli::commands::bench::load_text;
use crate::cli::report::document::{Medium, Report, ReportTable, Section};
use crate::cli::report::figure;
use crate::cli::report::text::{NONE, connections_text};

/// Returns the report of a record.
pub(super) fn report(record: &DuelRecord) -> Report {
    let facts = record.findings.iter().map(|verdict| (verdict.name, verdict.text.clone())).collect();
    let verdicts = Section { heading: "Verdicts", facts, ..Section::default() };
    let page = |heading| Section { medium: Medium::Page, heading, ..Section::default() };
    let mut sections = Vec::new();
    if record.complete_points().next().is_some() {
        let medians = Section { text: vec![how_to_read(record)], ..Section::default() };
        sections.extend([
            Section { medium: Medium::Text, tables: figures(record, spread_text), ..medians },
            verdicts,
            Section {
                text: vec!["Lines connect the medians of the rounds; bars show their ranges.".to_owned()],
                plots: engine_plots(record),
                ..page("Both engines")
            },
            Section {
                text: vec![format!(
                    "Above 1 the reactor leads, below 1 threads do. A bar is the interval of the ratio (confidence {}): if it \
                     crosses 1, the result is a draw. The lines are shifted slightly so that their bars do not overlap.",
                    figure::percent(record.confidence)
                )],
                plots: vec![ratio_plot(record)],
                ..page("Ratio of the engines")
            },
            Section { tables: figures(record, range_text), ..page("Figures") },
        ]);
    }
    sections.push(Section { text: method(record), ..page("How it was measured") });
    Report {
        title: format!("Reactor and threads, {}", record.setup.service),
        about: about(record),
        command: record.header.command.clone(),
        at: record.header.started_at.clone(),
        machine: record.header.machine_facts(record.setup.pinned.as_ref()),
        headline: Vec::new(),
        sections,
        findings: record.notes.clone(),
    }
}

/// Returns one sentence about the load and the rounds.
fn about(record: &DuelRecord) -> String {
    let setup = &record.setup;
    let work = match setup.work_us {
        0 => String::new(),
        micros => format!(", {} µs of work on each message", figure::count(micros.into())),
    };
    format!(
        "{}{work}, {} frames; {} rounds of {} after {} of warm-up, each engine first in every other round.",
        load_text::messages(&setup.load, "on each connection"),
        setup.framing,
        setup.rounds,
        load_text::time(setup.load.duration_ns),
        load_text::time(setup.load.warm_up_ns),
    )
}

/// Returns the explanation of the columns.
fn how_to_read(record: &DuelRecord) -> String {
    format!(
        "Medians of {} rounds, ± the largest deviation. A ratio above 1 favours the reactor. Its interval has a confidence of {}; \
         if it includes 1, the result is a draw. Among so many comparisons one or two leads may be chance.",
        record.setup.rounds,
        figure::percent(record.confidence)
    )
}

/// Returns a table for each complete point. `spread` formats the spread of the rounds.
fn figures(record: &DuelRecord, spread: fn(&Metric, MedianRange) -> String) -> Vec<ReportTable> {
    let row = |(metric, comparison): (&&Metric, &Comparison)| {
        let engine = |range: Option<MedianRange>| {
            range.map_or_else(|| NONE.to_owned(), |range| (metric.format)(range.median) + &spread(metric, range))
        };
        let ratio = comparison.reactor_advantage;
        vec![
            metric.name.to_owned(),
            engine(comparison.reactor),
            engine(comparison.threads),
            ratio.map(Ratio::median_text).unwrap_or_default(),
            ratio.map(Ratio::interval_text).unwrap_or_default(),
            comparison.verdict.map(DuelVerdict::name).unwrap_or_default().to_owned(),
        ]
    };
    let table = |point: &DuelPoint| {
        let head = [&connections_text(point.connections), "reactor", "threads", "ratio", "interval", "leader"];
        ReportTable::new(&head, METRICS.iter().zip(&point.comparisons).map(row).collect())
    };
    record.complete_points().map(table).collect()
}

/// Returns the largest deviation from the median, as in ` ±6%`. Empty if it rounds to 0.
fn spread_text(_: &Metric, MedianRange { median, min, max }: MedianRange) -> String {
    let percent = (max - median).max(median - min) / median * 100.0;
    if percent.is_finite() && percent >= 0.5 { format!(" ±{percent:.0}%") } else { String::new() }
}

/// Returns the range of the rounds in parentheses. Empty if it adds nothing to the median.
fn range_text(metric: &Metric, MedianRange { median, min, max }: MedianRange) -> String {
    let range = metric.format_range(min, max);
    if range == (metric.format)(median) { String::new() } else { format!(" ({range})") }
}

fn method(record: &DuelRecord) -> Vec<String> {
    let setup = &record.setup;
    let placement = match &setup.pinned {
        Some(_) => "The server and the load ran on different processors.",
        None => "The system placed the server and the load, possibly on the same processors.",
    };
    let loop_kind = if setup.load.rate_per_second.is_some() {
        "The load was an open loop: messages were due at a steady rate, and latency counts from the time at which each was due."
    } else {
        "The load was a closed loop: each answer triggers the next message. It shows the maximum throughput of a server. Stalls \
         are undercounted: users at a steady rate (--rate) would see more of them."
    };
    vec![
        format!(
            "Both engines ran the same service, framing and limits, each run in a fresh process of the same program. {placement} \
             Every round measured both, one right after the other. Each was first in every other round, so that a drift of the \
             machine affects both. Every answer was compared with what was sent. {loop_kind}"
        ),
        "Each round gives one ratio of the engines, so that influences on both runs of a round cancel out. The ratio shown is the \
         median over the rounds. Its interval is a percentile bootstrap over the rounds, with percentiles widened for small \
         samples (Hesterberg 2015)."
            .to_owned(),
        "CPU per message is the server's processor time, in the kernel and in user space, divided by the answers that arrived in \
         the measured time. A busy machine affects it least. Memory per connection is the growth of the resident memory from \
         before the first connection to the end of the measured time, divided by the connections; with fewer than ten \
         connections it would be mostly the engine's own, and is not given. It excludes kernel memory: socket buffers, which are the same for both engines, and the kernel \
         stack of each thread (16 KiB on x86-64), which only threads have. Before Linux 6.2 the resident memory of a sleeping \
         thread may be understated by up to 64 pages. Context switches of more than 33 threads are estimated from 33 of them."
            .to_owned(),
        "Not measured: other machines, real networks, services that block (threads may block, a reactor must offload such work), \
         and services that need several processors, unless --work-us simulates one. On loopback the kernel's share of each \
         message is large, and it is the same for both engines."
            .to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::compare::compare;
    use super::super::metric::HEADLINES;
    use super::super::tests::{record, run};
    use super::super::{notes, verdicts};
    use super::*;
    use crate::cli::engine::EngineName;
    use crate::cli::report::rates::nanos;
    use crate::cli::report::{page, text};

    /// Returns a record of five plausible points.
    fn duel() -> DuelRecord {
        let mut random = fastrand::Rng::with_seed(3);
        let mut noise = || 0.94 + 0.12 * random.f64();
        let points = [
            (1, 11_000.0, 11_500.0, 33.0, 31.0),
            (10, 180_000.0, 160_000.0, 5.0, 5.6),
            (100, 190_000.0, 150_000.0, 5.1, 6.8),
            (1_000, 170_000.0, 98_000.0, 5.6, 9.9),
            (5_000, 140_000.0, 61_000.0, 6.9, 15.0),
        ];
        let points = points.map(|(connections, reactor, threads, reactor_us, threads_us)| {
            let mut noisy_run = |engine, round, rate: f64, micros: f64| {
                let mut run = run(engine, round, rate * noise(), micros * 1e3 * noise());
                let latency = figure::float(connections as u64) / run.result.messages_per_second * 1e9;
                let scaled = |factor: f64| nanos(Duration::from_secs_f64(latency * factor / 1e9));
                let values = run.result.latency_ns.as_mut().unwrap();
                (values.p50, values.p99, values.p99_9) = (scaled(1.0), scaled(1.9 * noise()), scaled(3.2));
                let server = run.result.server.as_mut().unwrap();
                server.bytes_per_connection = Some(260.0 * noise());
                if engine == EngineName::Threads {
                    server.threads = connections as u64 + 1;
                    server.bytes_per_connection = Some(9_300.0 * noise());
                    server.context_switches_per_message = Some(1.01);
                }
                run
            };
            let runs: Vec<_> = (1..=5)
                .flat_map(|round| {
                    [
                        noisy_run(EngineName::Reactor, round, reactor, reactor_us),
                        noisy_run(EngineName::Threads, round, threads, threads_us),
                    ]
                })
                .collect();
            DuelPoint { connections, skipped: None, complete: true, comparisons: compare(&runs), runs }
        });
        let mut record = record(points.to_vec());
        record.setup.rounds = 5;
        record.confidence = 0.9375;
        (record.findings, record.notes) = (verdicts::verdicts(&record), notes::notes(&record));
        record
    }

    #[test]
    fn page_has_plots_of_both_engines_and_of_the_ratios() {
        let html = page::render(&report(&duel()));
        if let Ok(path) = std::env::var("DUEL_DEMO") {
            std::fs::write(path, &html).unwrap();
        }
        assert_eq!(html.matches("<svg class=\"drawing\"").count(), HEADLINES.len() + 1);
        for words in ["CPU/message, less is better", "Throughput, more is better", "5,000 connections", ">level<"] {
            assert!(html.contains(words), "{words}");
        }
        assert!(!html.contains("http:") && !html.contains("https:") && !html.contains("<script"));
    }

    #[test]
    fn without_a_complete_point_the_page_has_no_plot() {
        let mut record = duel();
        for point in &mut record.points {
            (point.complete, point.skipped) = (false, Some("no".to_owned()));
        }
        (record.findings, record.notes) = (verdicts::verdicts(&record), notes::notes(&record));
        let html = page::render(&report(&record));
        assert!(!html.contains("class=\"drawing\"") && html.contains("5,000 connections could not be measured: no."));
    }

    #[test]
    fn text_has_points_then_verdicts_then_notes() {
        let both =
            |round| [run(EngineName::Reactor, round, 240_000.0, 5e3), run(EngineName::Threads, round, 1e5, 1.2e4)];
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
        (record.findings, record.notes) = (verdicts::verdicts(&record), notes::notes(&record));
        let text = text::render(&report(&record));
        let position = |words: &str| text.find(words).unwrap_or_else(|| panic!("{words} is not in\n{text}"));
        let positions = [
            position("Medians of 3 rounds"),
            position("1 connection  "),
            position("1,000 connections  "),
            position("CPU/message  reactor 2.40× at 1, 2.40× at 1,000"),
            position("note   100,000 connections could not be measured: it needs a larger machine."),
        ];
        assert!(positions.is_sorted(), "{text}");
        let row = text.lines().find(|line| line.starts_with("throughput ")).unwrap();
        let cells: Vec<_> = row.split_whitespace().collect();
        assert_eq!(cells, ["throughput", "240,000/s", "100,000/s", "2.40×", "[2.40,", "2.40]", "reactor"]);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn help_shows_a_median_as_the_table_does() {
        let range = MedianRange { median: 181_113.0, min: 170_246.0, max: 185_000.0 };
        let metric = METRICS.iter().find(|metric| metric.name == "throughput").unwrap();
        let figure = (metric.format)(range.median) + &spread_text(metric, range);
        assert!(include_str!("help.txt").contains(&format!("  {figure}  ")), "{figure}");
    }
}
