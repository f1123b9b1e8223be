//! The result of `bench echo` as an HTML page: figures, verdicts, plots, and how to read them.

use maud::{Markup, html};

use super::record::{EchoRecord, SearchRecord};
use super::{format, plots};
use crate::cli::report::figure::{self, Unit};
use crate::cli::report::page::{self, Page, Tone};
use crate::cli::report::plot::{Plot, Scale, Series};
use crate::cli::report::text::{capitalized, machine_facts};

/// Returns the whole file.
pub(super) fn page(record: &EchoRecord) -> String {
    let verdicts: Vec<(Tone, String)> =
        record.verdicts.iter().map(|verdict| (verdict.tone, verdict.text.clone())).collect();
    let by_percentile = plots::by_percentile("messages", &record.percentiles, record.latency_ns.as_ref());
    let distributions = [
        ("Latency", &record.latency_ns),
        ("Connect", &record.connections.connect_ns),
        ("Send lag", &record.generator.send_lag_ns),
    ];
    let page = Page {
        title: format::title(record),
        about: format::about(record),
        command: record.command.clone(),
        at: record.started_at.clone(),
        machine: machine_facts(&record.machine, record.target.pinned.as_ref()),
        body: vec![
            page::headline(&headline(record)),
            page::verdicts(&verdicts),
            page::section("How to read it", &how_to_read(record)),
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

fn headline(record: &EchoRecord) -> Vec<(&'static str, String)> {
    let mut figures = Vec::new();
    if record.load.activity == "idle" {
        figures.push(("Connections", figure::count(record.connections.open_at_end as u64)));
        let each = record.server.as_ref().and_then(|server| server.bytes_per_connection);
        figures.extend(each.map(|bytes| ("Memory per connection", figure::bytes(bytes))));
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

/// Returns an introduction for first-time readers.
fn how_to_read(record: &EchoRecord) -> Markup {
    let activity = match record.load.activity {
        "open" => {
            "Latency counts from the time at which a message was due, so a stall of the server appears in the latency of every \
             message that it delays."
        }
        "churn" => "Latency covers the connect, one exchange and the close together.",
        "idle" => "Each connection exchanged one message and was then only held, so the memory figures are the result.",
        _ => {
            "In a closed loop each answer triggers the next message, so the rate is the maximum of the server. Stalls are \
             undercounted: users at a steady rate (--rate) would see more of them."
        }
    };
    page::paragraph(&format!(
        "A percentile is a latency that the given part of the messages does not exceed: 1 % of the messages take longer than \
         p99. {activity} Compare the figures of two runs only if both ran on the same machine, one right after the other."
    ))
}

/// Returns the plot and the table of the rates that the search tried.
fn search(search: &SearchRecord) -> Markup {
    let percentile = format::percentile(&search.slo);
    let mut points: Vec<_> =
        search.steps.iter().filter_map(|step| Some((step.rate_per_second, figure::float(step.latency_ns?)))).collect();
    points.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let limit = figure::float(search.slo.below_ns);
    let ends = [points.first(), points.last()].into_iter().flatten().map(|(rate, _)| (*rate, limit)).collect();
    let plot = Plot {
        title: format!("{percentile} by rate"),
        x: plots::axis("target rate, messages per second", Unit::Number, Scale::Linear),
        y: plots::axis(&percentile, Unit::Nanos, Scale::Log),
        series: vec![
            Series { name: percentile.clone(), points, marks: true, ..Series::default() },
            Series { name: format!("objective {}", search.slo.text), points: ends, ..Series::default() },
        ],
    };
    let rows: Vec<_> = search.steps.iter().map(format::search_step).collect();
    let head = ["Tried", "Answered", &percentile, "Generator busy", "Server, of a core", &search.slo.text];
    page::section("Search", &html! { (plot.figure()) (page::table(&head, &rows)) })
}

fn faults(record: &EchoRecord) -> Vec<(String, String)> {
    let named = record.faults.named().into_iter();
    named.map(|(name, count)| (capitalized(name), figure::count(count))).collect()
}

fn generator(record: &EchoRecord) -> Vec<(&'static str, String)> {
    let generator = &record.generator;
    let mut rows = Vec::new();
    if let Some(each) = generator.cpu_ns_per_message {
        rows.push(("CPU per message", figure::nanos(each)));
    }
    rows.push(("Of a core", figure::percent(generator.cores)));
    rows.push(("Busy", figure::percent(generator.busy)));
    rows.push(("All connected after", figure::nanos_of(record.connections.all_open_after_ns)));
    rows
}

fn server(record: &EchoRecord) -> Markup {
    let Some(server) = &record.server else {
        return page::paragraph(
            "No figures, because the server process is unknown. If it runs on this machine, name it with --server-pid.",
        );
    };
    let mut rows = Vec::new();
    if let Some(each) = server.cpu_ns_per_message {
        rows.push(("CPU per message", figure::nanos(each)));
    }
    rows.extend([
        ("Of a core", figure::percent(server.cores)),
        ("Memory (RSS)", figure::bytes(figure::float(server.rss_bytes))),
    ]);
    if let Some(each) = server.bytes_per_connection {
        rows.push(("Memory per connection", figure::bytes(each)));
    }
    rows.push(("Threads", figure::count(server.threads)));
    if let Some(each) = server.context_switches_per_message {
        rows.push(("Switches per message", figure::number(each)));
    }
    page::facts(&rows)
}
