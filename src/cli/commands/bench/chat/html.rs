//! A result as a page.

use maud::{Markup, html};

use super::record::Record;
use super::words;
use crate::cli::commands::bench::plots;
use crate::cli::report::figure;
use crate::cli::report::page::{self, Page, Tone};
use crate::cli::report::words::{capital, machine};

/// The whole file.
pub(super) fn page(record: &Record) -> String {
    let verdicts: Vec<(Tone, String)> =
        record.verdicts.iter().map(|verdict| (verdict.tone, verdict.text.clone())).collect();
    let by_percentile = plots::by_percentile("deliveries", &record.percentiles, record.latency_ns.as_ref());
    let distributions = [
        ("Delivery", &record.latency_ns),
        ("Join", &record.members.join_ns),
        ("Send lag", &record.generator.side.send_lag_ns),
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
            page::section("Latency", &html! { (by_percentile.figure()) (plots::distributions(&distributions)) }),
            page::section("Over time", &plots::over_time("deliveries", &record.samples, record.elapsed_ns)),
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
    let mut figures = vec![("Members", figure::count(record.members.in_at_end as u64))];
    if record.load.activity == "idle" {
        figures.push(("All in after", figure::nanos_of(record.members.all_in_after_ns)));
        let each = record.server.as_ref().and_then(|server| server.side.bytes_per_connection);
        figures.extend(each.map(|bytes| ("Memory a member", figure::bytes(bytes))));
    } else {
        figures.push(("Deliveries", figure::rate(record.deliveries_per_second)));
    }
    if let Some(latency) = &record.latency_ns {
        let named = [("p50", latency.p50), ("p99", latency.p99), ("p99.9", latency.p99_9)];
        figures.extend(named.map(|(name, nanos)| (name, figure::nanos_of(nanos))));
    }
    let faults = record.faults.total();
    figures.push(("Faults", if faults == 0 { "none".to_owned() } else { figure::count(faults) }));
    figures
}

/// For who has not read such a page before.
fn reading(record: &Record) -> Markup {
    let from = match record.load.activity {
        "open" => {
            "Latency counts from the moment at which a message was due, so a server that stalls is charged for every message \
             that it kept waiting."
        }
        "idle" => "Nobody said anything, so the figures to look at are how long it took to get in, and memory.",
        _ => {
            "In a closed loop the next message is said when all members of the room have the oldest, so the rate is what the \
             server can do, and stalls are seen less often than people at a steady rate (--rate) would see them."
        }
    };
    page::paragraph(&format!(
        "A delivery is one message that has come to one member. A percentile says how long the slowest of so many deliveries \
         took: p99 is the time that one in a hundred exceeds. {from} Figures of two runs compare only if they were taken on the \
         same machine, side by side."
    ))
}

fn faults(record: &Record) -> Vec<(String, String)> {
    let named = record.faults.named().into_iter();
    named.map(|(name, count)| (capital(name), figure::count(count))).collect()
}

fn generator(record: &Record) -> Vec<(&'static str, String)> {
    let generator = &record.generator;
    let mut rows = Vec::new();
    rows.extend(generator.cpu_ns_per_delivery.map(|each| ("CPU a delivery", figure::nanos(each))));
    rows.push(("Of a core", figure::percent(generator.side.cores)));
    rows.push(("Busy", figure::percent(generator.side.busy)));
    rows.push(("All in after", figure::nanos_of(record.members.all_in_after_ns)));
    rows
}

fn server(record: &Record) -> Markup {
    let Some(server) = &record.server else {
        return page::paragraph(
            "Nothing is known of its process: give it with --server-pid, if it is on this machine.",
        );
    };
    let mut rows = Vec::new();
    rows.extend(server.cpu_ns_per_delivery.map(|each| ("CPU a delivery", figure::nanos(each))));
    rows.extend(server.side.cpu_ns_per_message.map(|each| ("CPU a message", figure::nanos(each))));
    rows.push(("Of a core", figure::percent(server.side.cores)));
    rows.push(("Memory (RSS)", figure::bytes(figure::float(server.side.rss_bytes))));
    rows.extend(server.side.bytes_per_connection.map(|each| ("Memory a member", figure::bytes(each))));
    rows.push(("Threads", figure::count(server.side.threads)));
    page::facts(&rows)
}
