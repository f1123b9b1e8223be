//! The result of a duel as an HTML page: findings, notes, plots of both engines, the figures of
//! each point, and the method.

use maud::{Markup, html};

use super::metric::{Direction, Metric};
use super::record::{DuelEngine, DuelPoint, DuelRecord};
use super::statistics::MedianRange;
use super::{format, table};
use crate::cli::report::figure::{self, Unit};
use crate::cli::report::page::{self, Page, Tone};
use crate::cli::report::plot::{self, Axis, Plot, Scale, Series};
use crate::cli::report::text::{capitalized, connections_text, keep_intervals_together};

/// Returns the whole file.
pub(super) fn page(record: &DuelRecord) -> String {
    let mut body = vec![findings(record), notes(record)];
    if record.complete_points().next().is_some() {
        body.push(page::section("Both engines", &engine_plots(record)));
        body.push(page::section("Ratio of the engines", &ratio_plot(record)));
        body.push(page::section("Figures", &figures(record)));
    }
    body.push(page::section("How it was measured", &method(record)));
    let page = Page {
        title: format::title(record),
        about: format::setup(record),
        command: record.command.clone(),
        at: record.started_at.clone(),
        machine: format::machine_facts(record),
        body,
    };
    page.render()
}

fn findings(record: &DuelRecord) -> Markup {
    let rows: Vec<_> = record
        .findings
        .iter()
        .map(|finding| (capitalized(finding.name), keep_intervals_together(&capitalized(&finding.text))))
        .collect();
    if rows.is_empty() {
        html! {}
    } else {
        page::section("Findings", &html! { div.words { (page::facts(&rows)) } })
    }
}

fn notes(record: &DuelRecord) -> Markup {
    let notes: Vec<(Tone, String)> = record.notes.iter().map(|note| (note.tone, note.text.clone())).collect();
    page::verdicts(&notes)
}

/// Returns a plot for each headline metric, with a line for each engine.
fn engine_plots(record: &DuelRecord) -> Markup {
    let plots = Metric::HEADLINES.map(|metric| engine_plot(record, metric).figure());
    html! {
        (page::paragraph("Lines connect the medians of the rounds; bars show their ranges."))
        @for plot in &plots { (plot) }
    }
}

fn engine_plot(record: &DuelRecord, metric: Metric) -> Plot {
    let direction = match metric.direction() {
        Direction::HigherIsBetter => ", more is better",
        Direction::LowerIsBetter => ", less is better",
        Direction::Neutral => "",
    };
    let series = |engine: DuelEngine| {
        let ranges =
            record.complete_points().filter_map(|point| Some((connections(point), range(point, metric, engine)?)));
        let ranges: Vec<_> = ranges.collect();
        Series {
            name: engine.name().to_owned(),
            points: ranges.iter().map(|(x, range)| (*x, range.median)).collect(),
            spread: ranges.iter().map(|(x, range)| (*x, range.min, range.max)).collect(),
            shape: plot::SpreadShape::Bars,
            marks: true,
        }
    };
    let all = record
        .complete_points()
        .flat_map(|point| [DuelEngine::Reactor, DuelEngine::Threads].map(|engine| range(point, metric, engine)));
    // All metrics but throughput span orders of magnitude. A logarithmic axis has no place for 0.
    let positive = all.flatten().all(|range| range.min > 0.0);
    let scale = if metric == Metric::Throughput || !positive { Scale::Linear } else { Scale::Log };
    // A logarithmic axis has its lines at powers of 10, so binary units would not match them.
    let (name, unit) = match metric {
        Metric::Memory => ("bytes per connection", Unit::Number),
        _ => (metric.name(), metric.unit()),
    };
    Plot {
        title: format!("{}{direction}", capitalized(metric.name())),
        x: by_connections(),
        y: Axis { name: name.to_owned(), unit, scale },
        series: vec![series(DuelEngine::Reactor), series(DuelEngine::Threads)],
    }
}

/// The metrics of the ratio plot. The ratio of memory is left out: it is so large that the others
/// would look flat.
const RATIO_METRICS: [Metric; 3] = [Metric::Cpu, Metric::Throughput, Metric::P99];

fn ratio_plot(record: &DuelRecord) -> Markup {
    let plot = Plot {
        title: "How many times better the reactor is".to_owned(),
        x: by_connections(),
        y: Axis { name: "ratio".to_owned(), unit: Unit::Number, scale: Scale::Log },
        series: RATIO_METRICS
            .iter()
            .enumerate()
            .map(|(index, metric)| ratio_series(record, *metric, index))
            .chain([level_line(record)])
            .collect(),
    };
    html! {
        (page::paragraph(&format!(
            "Above 1 the reactor leads, below 1 threads do. A bar is the interval of the ratio (confidence {}): if it crosses 1, \
             the result is a draw. The lines are shifted slightly so that their bars do not overlap.",
            figure::percent(record.confidence)
        )))
        (plot.figure())
    }
}

/// Returns the line of one metric. `index` shifts it to the right, so that bars do not overlap.
fn ratio_series(record: &DuelRecord, metric: Metric, index: usize) -> Series {
    let shift = 1.04_f64.powi(i32::try_from(index).unwrap_or(0));
    let ratios = record.complete_points().filter_map(|point| {
        let comparison = point.comparisons.iter().find(|comparison| comparison.metric == metric.key())?;
        Some((connections(point) * shift, comparison.reactor_advantage?))
    });
    let ratios: Vec<_> = ratios.collect();
    Series {
        name: metric.name().to_owned(),
        points: ratios.iter().map(|(x, ratio)| (*x, ratio.median)).collect(),
        spread: ratios.iter().map(|(x, ratio)| (*x, ratio.low, ratio.high)).collect(),
        shape: plot::SpreadShape::Bars,
        marks: true,
    }
}

/// Returns the line at a ratio of 1.
fn level_line(record: &DuelRecord) -> Series {
    let ends = record.complete_points().take(1).chain(record.complete_points().last());
    Series {
        name: "level".to_owned(),
        points: ends.map(|point| (connections(point), 1.0)).collect(),
        ..Series::default()
    }
}

fn by_connections() -> Axis {
    Axis { name: "connections".to_owned(), unit: Unit::Number, scale: Scale::Log }
}

fn connections(point: &DuelPoint) -> f64 {
    figure::float(point.connections as u64)
}

fn range(point: &DuelPoint, metric: Metric, engine: DuelEngine) -> Option<MedianRange> {
    let comparison = point.comparisons.iter().find(|comparison| comparison.metric == metric.key())?;
    match engine {
        DuelEngine::Reactor => comparison.reactor,
        DuelEngine::Threads => comparison.threads,
    }
}

fn figures(record: &DuelRecord) -> Markup {
    let head = ["", "reactor", "threads", "ratio", "leader"];
    let row = |row: [String; 8]| {
        let [name, reactor, reactor_range, threads, threads_range, ratio, interval, verdict] = row;
        let with_range =
            |median: String, range: String| if range.is_empty() { median } else { format!("{median} ({range})") };
        vec![
            name,
            with_range(reactor, reactor_range),
            with_range(threads, threads_range),
            format!("{ratio} {interval}"),
            verdict,
        ]
    };
    html! {
        @for point in record.complete_points() {
            section {
                h3 { (capitalized(&connections_text(point.connections))) }
                (page::table(&head, &table::rows(point).into_iter().map(row).collect::<Vec<_>>()))
            }
        }
    }
}

fn method(record: &DuelRecord) -> Markup {
    let setup = &record.setup;
    let placement = match &setup.pinned {
        Some(_) => "The server and the load ran on different processors.",
        None => "The system placed the server and the load, possibly on the same processors.",
    };
    let loop_kind = if setup.rate_per_second.is_some() {
        "The load was an open loop: messages were due at a steady rate, and latency counts from the time at which each was due."
    } else {
        "The load was a closed loop: each answer triggers the next message. It shows the maximum throughput of a server. Stalls \
         are undercounted: users at a steady rate (--rate) would see more of them."
    };
    let paragraphs = [
        format!(
            "Both engines ran the same service, framing and limits, each run in a fresh process of the same program. {placement} \
             Every round measured both, one right after the other. Each was first in every other round, so that a drift of the \
             machine affects both. Every answer was compared with what was sent. {loop_kind}"
        ),
        "Each round gives one ratio of the engines, so that influences on both runs of a round cancel out. The ratio shown is the \
         median over the rounds. Its interval is a percentile bootstrap over the rounds, with percentiles widened for small \
         samples (Hesterberg 2015). The number of connections at which the lead changes is interpolated between two points. No \
         sentence extends beyond the points."
            .to_owned(),
        "CPU per message is the server's processor time, in the kernel and in user space, divided by the answers that arrived in \
         the measured time. A busy machine affects it least. Memory per connection is the growth of the resident memory from \
         before the first connection to the end of the measured time, divided by the connections; with few connections it is \
         mostly the engine's own. It excludes kernel memory: socket buffers, which are the same for both engines, and the kernel \
         stack of each thread (16 KiB on x86-64), which only threads have. Before Linux 6.2 the resident memory of a sleeping \
         thread may be understated by up to 64 pages. Context switches of more than 33 threads are estimated from 33 of them."
            .to_owned(),
        "Not measured: other machines, real networks, services that block (threads may block, a reactor must offload such work), \
         and services that need several processors, unless --work-us simulates one. On loopback the kernel's share of each \
         message is large, and it is the same for both engines."
            .to_owned(),
    ];
    html! { @for text in &paragraphs { (page::paragraph(text)) } }
}

#[cfg(test)]
mod tests {
    use super::super::compare::compare;
    use std::time::Duration;

    use super::super::tests::{record, run};
    use super::super::{findings, notes};
    use super::*;
    use crate::cli::report::rates::nanos;

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
                let latency = figure::float(connections as u64) / run.messages_per_second * 1e9;
                let scaled = |factor: f64| Some(nanos(Duration::from_secs_f64(latency * factor / 1e9)));
                (run.p50_ns, run.p99_ns, run.p99_9_ns) = (scaled(1.0), scaled(1.9 * noise()), scaled(3.2));
                let server = run.server.as_mut().unwrap();
                server.rss_bytes_per_connection = 260.0 * noise();
                if engine == DuelEngine::Threads {
                    server.threads = connections as u64 + 1;
                    server.rss_bytes_per_connection = 9_300.0 * noise();
                    server.context_switches_per_message = Some(1.01);
                }
                run
            };
            let runs: Vec<_> = (1..=5)
                .flat_map(|round| {
                    [
                        noisy_run(DuelEngine::Reactor, round, reactor, reactor_us),
                        noisy_run(DuelEngine::Threads, round, threads, threads_us),
                    ]
                })
                .collect();
            DuelPoint { connections, skipped: None, complete: true, comparisons: compare(&runs), runs }
        });
        let mut record = record(points.to_vec());
        record.setup.rounds = 5;
        record.confidence = 0.9375;
        record.findings = findings::findings(&record);
        record.notes = notes::notes(&record);
        record
    }

    #[test]
    fn page_has_plots_of_both_engines_and_of_the_ratios() {
        let html = page(&duel());
        assert_eq!(html.matches("<svg class=\"drawing\"").count(), Metric::HEADLINES.len() + 1);
        for words in ["CPU per message, less is better", "Throughput, more is better", "5,000 connections", ">level<"] {
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
        (record.findings, record.notes) = (findings::findings(&record), notes::notes(&record));
        let html = page(&record);
        assert!(!html.contains("class=\"drawing\"") && html.contains("5,000 connections could not be measured: no."));
    }
}
