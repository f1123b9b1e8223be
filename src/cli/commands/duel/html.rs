//! A duel as a page: what it shows, plots of both engines, the figures of each point, and how they came about.

use maud::{Markup, html};

use super::metric::{Better, Metric};
use super::record::{Engine, Point, Record};
use super::statistics::Spread;
use super::{table, words};
use crate::cli::report::figure::{self, Unit};
use crate::cli::report::page::{self, Page, Tone};
use crate::cli::report::plot::{self, Axis, Plot, Scale, Series};
use crate::cli::report::words::{capital, connections as in_words, unbroken};

/// The whole file.
pub(super) fn page(record: &Record) -> String {
    let mut body = vec![findings(record), remarks(record)];
    if record.whole().next().is_some() {
        body.push(page::section("Both engines", &engines(record)));
        body.push(page::section("Who is ahead, and by how much", &ratios(record)));
        body.push(page::section("Figures", &figures(record)));
    }
    body.push(page::section("How it was measured", &method(record)));
    let page = Page {
        title: words::title(record),
        about: words::setup(record),
        command: record.command.clone(),
        at: record.started_at.clone(),
        machine: words::facts(record),
        body,
    };
    page.render()
}

fn findings(record: &Record) -> Markup {
    let rows: Vec<_> =
        record.findings.iter().map(|finding| (capital(finding.name), unbroken(&capital(&finding.text)))).collect();
    if rows.is_empty() {
        html! {}
    } else {
        page::section("What it shows", &html! { div.words { (page::facts(&rows)) } })
    }
}

fn remarks(record: &Record) -> Markup {
    let said: Vec<(Tone, String)> = record.remarks.iter().map(|remark| (remark.tone, remark.text.clone())).collect();
    page::verdicts(&said)
}

/// A plot of each headline, with a line for each engine.
fn engines(record: &Record) -> Markup {
    let plots = Metric::HEADLINES.map(|metric| both(record, metric).figure());
    html! {
        (page::paragraph("Lines join the medians of the rounds; bars are their ranges."))
        @for plot in &plots { (plot) }
    }
}

fn both(record: &Record, metric: Metric) -> Plot {
    let better = match metric.better() {
        Better::More => ", more is better",
        Better::Less => ", less is better",
        Better::Neither => "",
    };
    let series = |engine: Engine| {
        let spreads = record.whole().filter_map(|point| Some((connections(point), spread(point, metric, engine)?)));
        let spreads: Vec<_> = spreads.collect();
        Series {
            name: engine.name().to_owned(),
            points: spreads.iter().map(|(x, spread)| (*x, spread.median)).collect(),
            spread: spreads.iter().map(|(x, spread)| (*x, spread.min, spread.max)).collect(),
            shape: plot::Spread::Bars,
            marks: true,
        }
    };
    let all =
        record.whole().flat_map(|point| [Engine::Reactor, Engine::Threads].map(|engine| spread(point, metric, engine)));
    // All but throughput spread over orders of magnitude; but what is nothing at all has no place among those.
    let positive = all.flatten().all(|spread| spread.min > 0.0);
    let scale = if metric == Metric::Throughput || !positive { Scale::Linear } else { Scale::Log };
    // Powers of 1024 would stand between the lines of a logarithmic axis.
    let (name, unit) = match metric {
        Metric::Memory => ("bytes per connection", Unit::Number),
        _ => (metric.name(), metric.unit()),
    };
    Plot {
        title: format!("{}{better}", capital(metric.name())),
        x: by_connections(),
        y: Axis { name: name.to_owned(), unit, scale },
        series: vec![series(Engine::Reactor), series(Engine::Threads)],
    }
}

/// The ratios that are of one size, over the line at which neither is ahead. That of memory would make the others flat.
const RATIOS: [Metric; 3] = [Metric::Cpu, Metric::Throughput, Metric::P99];

fn ratios(record: &Record) -> Markup {
    let plot = Plot {
        title: "How many times better the reactor is".to_owned(),
        x: by_connections(),
        y: Axis { name: "ratio".to_owned(), unit: Unit::Number, scale: Scale::Log },
        series: RATIOS
            .iter()
            .enumerate()
            .map(|(index, metric)| ratio(record, *metric, index))
            .chain([level(record)])
            .collect(),
    };
    html! {
        (page::paragraph(&format!(
            "Above 1 the reactor is ahead, below it threads are. A bar is the interval of the ratio (confidence {}): where it \
             crosses 1, it is a draw. The lines stand a little apart so that their bars can be told from each other.",
            figure::percent(record.confidence)
        )))
        (plot.figure())
    }
}

fn ratio(record: &Record, metric: Metric, index: usize) -> Series {
    let beside = 1.04_f64.powi(i32::try_from(index).unwrap_or(0));
    let found = record.whole().filter_map(|point| {
        let comparison = point.comparisons.iter().find(|comparison| comparison.metric == metric.key())?;
        Some((connections(point) * beside, comparison.reactor_advantage?))
    });
    let found: Vec<_> = found.collect();
    Series {
        name: metric.name().to_owned(),
        points: found.iter().map(|(x, ratio)| (*x, ratio.median)).collect(),
        spread: found.iter().map(|(x, ratio)| (*x, ratio.low, ratio.high)).collect(),
        shape: plot::Spread::Bars,
        marks: true,
    }
}

fn level(record: &Record) -> Series {
    let ends = record.whole().take(1).chain(record.whole().last());
    Series {
        name: "level".to_owned(),
        points: ends.map(|point| (connections(point), 1.0)).collect(),
        ..Series::default()
    }
}

fn by_connections() -> Axis {
    Axis { name: "connections".to_owned(), unit: Unit::Number, scale: Scale::Log }
}

fn connections(point: &Point) -> f64 {
    figure::float(point.connections as u64)
}

fn spread(point: &Point, metric: Metric, engine: Engine) -> Option<Spread> {
    let comparison = point.comparisons.iter().find(|comparison| comparison.metric == metric.key())?;
    match engine {
        Engine::Reactor => comparison.reactor,
        Engine::Threads => comparison.threads,
    }
}

fn figures(record: &Record) -> Markup {
    let head = ["", "reactor", "threads", "ratio", "ahead"];
    let row = |row: [String; 8]| {
        let [name, reactor, reactor_reach, threads, threads_reach, ratio, interval, verdict] = row;
        let reach =
            |median: String, reach: String| if reach.is_empty() { median } else { format!("{median} ({reach})") };
        vec![name, reach(reactor, reactor_reach), reach(threads, threads_reach), format!("{ratio} {interval}"), verdict]
    };
    html! {
        @for point in record.whole() {
            section {
                h3 { (capital(&in_words(point.connections))) }
                (page::table(&head, &table::rows(point).into_iter().map(row).collect::<Vec<_>>()))
            }
        }
    }
}

fn method(record: &Record) -> Markup {
    let setup = &record.setup;
    let placed = match &setup.pinned {
        Some(_) => "The server and the load were kept on different processors for the whole of the run.",
        None => "The server and the load were not kept apart.",
    };
    let loop_kind = if setup.rate_per_second.is_some() {
        "The load was an open loop: messages were due at a steady rate, and latency counts from when each was due."
    } else {
        "The load was a closed loop: the next message is sent when an answer has come. It shows how much a server can do; \
         stalls are seen less often than users at a steady rate (--rate) would see them."
    };
    let paragraphs = [
        format!(
            "Both engines ran the same service, framing and limits, each run in a fresh process of the same program. {placed} \
             In every round both were measured, one right after the other, and each was first in every other round, so that what \
             drifts does not always meet the same one. Every answer was compared with what was sent. {loop_kind}"
        ),
        "Each round gives one ratio of the two; the ratio shown is their median, so that what both runs of a round had in common \
         cancels out. Its interval is a percentile bootstrap over the rounds, with percentiles widened for small samples \
         (Hesterberg 2015). Where a change of the lead is given as a number of connections, it was interpolated between two \
         points; nothing is claimed beyond the points."
            .to_owned(),
        "CPU per message is the server's processor time, in the kernel and outside, over the answers that came in the measured time. It is affected \
         least on a busy machine. Memory per connection is by how much the process's resident memory \
         grew from before the first connection to the end of the measured time, over the connections; with few connections it is \
         mostly the engine's own. It leaves out what the kernel holds: socket buffers, which are the same for both, and the \
         kernel stack of each thread (16 KiB on x86-64), which only threads have. Before Linux 6.2 the resident memory of a thread that sleeps may be understated by up to 64 pages. Context switches of more than 33 threads \
         are estimated from 33 of them."
            .to_owned(),
        "Not measured: other machines, real networks, services that block, which threads can do and a reactor must hand to \
         workers, and services that need several processors, unless --work-us stands for one. Loopback makes the kernel's part of \
         each message large, and it is the same for both."
            .to_owned(),
    ];
    html! { @for text in &paragraphs { (page::paragraph(text)) } }
}

#[cfg(test)]
mod tests {
    use super::super::compare::{compare, tests::run};
    use std::time::Duration;

    use super::super::record::tests::record;
    use super::super::remark;
    use super::*;
    use crate::cli::report::rates::nanos;

    /// Five points as they might be.
    fn duel() -> Record {
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
            let mut one = |engine, round, rate: f64, micros: f64| {
                let mut run = run(engine, round, rate * noise(), micros * 1e3 * noise());
                let latency = figure::float(connections as u64) / run.messages_per_second * 1e9;
                let of = |factor: f64| Some(nanos(Duration::from_secs_f64(latency * factor / 1e9)));
                (run.p50_ns, run.p99_ns, run.p99_9_ns) = (of(1.0), of(1.9 * noise()), of(3.2));
                let server = run.server.as_mut().unwrap();
                server.rss_bytes_per_connection = 260.0 * noise();
                if engine == Engine::Threads {
                    server.threads = connections as u64 + 1;
                    server.rss_bytes_per_connection = 9_300.0 * noise();
                    server.context_switches_per_message = Some(1.01);
                }
                run
            };
            let runs: Vec<_> = (1..=5)
                .flat_map(|round| {
                    [one(Engine::Reactor, round, reactor, reactor_us), one(Engine::Threads, round, threads, threads_us)]
                })
                .collect();
            Point { connections, skipped: None, whole: true, comparisons: compare(&runs), runs }
        });
        let mut record = record(points.to_vec());
        record.setup.rounds = 5;
        record.confidence = 0.9375;
        record.findings = remark::findings(&record);
        record.remarks = remark::remarks(&record);
        record
    }

    #[test]
    fn both_engines_are_in_each_plot_and_each_ratio_has_its_line_at_one() {
        let html = page(&duel());
        assert_eq!(html.matches("<svg class=\"drawing\"").count(), Metric::HEADLINES.len() + 1);
        for words in ["CPU per message, less is better", "Throughput, more is better", "5,000 connections", ">level<"] {
            assert!(html.contains(words), "{words}");
        }
        assert!(!html.contains("http:") && !html.contains("https:") && !html.contains("<script"));
    }

    #[test]
    fn without_a_whole_point_there_is_the_reason_and_no_plot() {
        let mut record = duel();
        for point in &mut record.points {
            (point.whole, point.skipped) = (false, Some("no".to_owned()));
        }
        (record.findings, record.remarks) = (remark::findings(&record), remark::remarks(&record));
        let html = page(&record);
        assert!(!html.contains("class=\"drawing\"") && html.contains("5,000 connections could not be measured: no."));
    }
}
