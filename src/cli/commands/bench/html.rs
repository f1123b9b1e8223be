//! A result as a page: figures, what follows from them, plots, and what one needs to know to read them.

use maud::{Markup, html};

use super::record::{FindMax, Record};
use super::{plots, words};
use crate::cli::report::figure::{self, Unit};
use crate::cli::report::page::{self, Page, Tone};
use crate::cli::report::plot::{Plot, Scale, Series};
use crate::cli::report::words::{capital, machine};

/// The whole file.
pub(super) fn page(record: &Record) -> String {
    let verdicts: Vec<(Tone, String)> =
        record.verdicts.iter().map(|verdict| (verdict.tone, verdict.text.clone())).collect();
    let by_percentile = plots::by_percentile("messages", &record.percentiles, record.latency_ns.as_ref());
    let distributions = [
        ("Latency", &record.latency_ns),
        ("Connect", &record.connections.connect_ns),
        ("Send lag", &record.generator.send_lag_ns),
    ];
    let page = Page {
        title: words::title(record),
        about: words::about(record),
        command: record.command.clone(),
        at: record.started_at.clone(),
        machine: machine(&record.machine, record.target.pinned.as_ref()),
        body: vec![
            page::headline(&headline(record)),
            page::verdicts(&verdicts),
            page::section("How to read it", &reading(record)),
            record.find_max.as_ref().map(search).unwrap_or_default(),
            page::section("Latency", &html! { (by_percentile.figure()) (plots::distributions(&distributions)) }),
            page::section("Over time", &plots::over_time("messages", &record.samples, record.elapsed_ns)),
            page::columns(&[
                page::section("Generator", &page::facts(&generator(record))),
                page::section("Server", &server(record)),
                page::section("Faults", &page::facts(&faults(record))),
            ]),
        ],
    };
    page.render()
}

fn headline(record: &Record) -> Vec<(&'static str, String)> {
    let mut figures = Vec::new();
    if record.load.activity == "idle" {
        figures.push(("Connections", figure::count(record.connections.open_at_end as u64)));
        let each = record.server.as_ref().and_then(|server| server.bytes_per_connection);
        figures.extend(each.map(|bytes| ("Memory a connection", figure::bytes(bytes))));
    } else {
        figures.push(("Messages", figure::rate(record.messages_per_second)));
    }
    if let Some(latency) = &record.latency_ns {
        figures.extend(
            [("p50", latency.p50), ("p99", latency.p99), ("p99.9", latency.p99_9)]
                .map(|(name, nanos)| (name, figure::nanos_of(nanos))),
        );
    }
    figures.push((
        "Faults",
        if record.faults.total() == 0 { "none".to_owned() } else { figure::count(record.faults.total()) },
    ));
    figures
}

/// Three sentences for who has not read such a page before.
fn reading(record: &Record) -> Markup {
    let from = match record.load.activity {
        "open" => {
            "Latency counts from the moment at which a message was due, so a server that stalls is charged for every message \
             that it kept waiting."
        }
        "churn" => "Latency is that of connecting, one exchange and closing together.",
        "idle" => {
            "Each connection had one exchange and was then only held, so the figures to look at are those of memory."
        }
        _ => {
            "In a closed loop the next message is sent when an answer has come, so the rate is what the server can do, and \
             stalls are seen less often than users at a steady rate (--rate) would see them."
        }
    };
    page::paragraph(&format!(
        "A percentile says how long the slowest of so many messages took: p99 is the time that one in a hundred exceeds. {from} \
         Figures of two runs compare only if they were taken on the same machine, side by side."
    ))
}

/// What a search has tried.
fn search(search: &FindMax) -> Markup {
    let percentile = words::percentile(&search.slo);
    let mut points: Vec<_> =
        search.steps.iter().filter_map(|step| Some((step.rate_per_second, figure::float(step.latency_ns?)))).collect();
    points.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let limit = figure::float(search.slo.below_ns);
    let ends = [points.first(), points.last()].into_iter().flatten().map(|(rate, _)| (*rate, limit)).collect();
    let plot = Plot {
        title: format!("{percentile} by rate"),
        x: plots::axis("messages a second asked for", Unit::Number, Scale::Linear),
        y: plots::axis(&percentile, Unit::Nanos, Scale::Log),
        series: vec![
            Series { name: percentile.clone(), points, marks: true, ..Series::default() },
            Series { name: format!("{} is to hold", search.slo.text), points: ends, ..Series::default() },
        ],
    };
    let rows: Vec<_> = search.steps.iter().map(words::step).collect();
    let head = ["Tried", "Answered", &percentile, "Generator busy", "Server, of a core", &search.slo.text];
    page::section("Search", &html! { (plot.figure()) (page::table(&head, &rows)) })
}

fn faults(record: &Record) -> Vec<(String, String)> {
    let named = record.faults.named().into_iter();
    named.map(|(name, count)| (capital(name), figure::count(count))).collect()
}

fn generator(record: &Record) -> Vec<(&'static str, String)> {
    let generator = &record.generator;
    let mut rows = Vec::new();
    if let Some(each) = generator.cpu_ns_per_message {
        rows.push(("CPU a message", figure::nanos(each)));
    }
    rows.push(("Of a core", figure::percent(generator.cores)));
    rows.push(("Busy", figure::percent(generator.busy)));
    rows.push(("All connected after", figure::nanos_of(record.connections.all_open_after_ns)));
    rows
}

fn server(record: &Record) -> Markup {
    let Some(server) = &record.server else {
        return page::paragraph(
            "Nothing is known of its process: give it with --server-pid, if it is on this machine.",
        );
    };
    let mut rows = Vec::new();
    if let Some(each) = server.cpu_ns_per_message {
        rows.push(("CPU a message", figure::nanos(each)));
    }
    rows.extend([
        ("Of a core", figure::percent(server.cores)),
        ("Memory (RSS)", figure::bytes(figure::float(server.rss_bytes))),
    ]);
    if let Some(each) = server.bytes_per_connection {
        rows.push(("Memory a connection", figure::bytes(each)));
    }
    rows.push(("Threads", figure::count(server.threads)));
    if let Some(each) = server.context_switches_per_message {
        rows.push(("Switches a message", figure::number(each)));
    }
    page::facts(&rows)
}
