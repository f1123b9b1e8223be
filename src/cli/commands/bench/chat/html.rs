//! The result of `bench chat` as an HTML page.

use maud::{Markup, html};

use super::format;
use super::record::ChatRecord;
use crate::cli::commands::bench::plots;
use crate::cli::report::figure;
use crate::cli::report::page::{self, Page, Tone};
use crate::cli::report::text::{capitalized, machine_facts};

/// Returns the whole file.
pub(super) fn page(record: &ChatRecord) -> String {
    let verdicts: Vec<(Tone, String)> =
        record.verdicts.iter().map(|verdict| (verdict.tone, verdict.text.clone())).collect();
    let by_percentile = plots::by_percentile("deliveries", &record.percentiles, record.latency_ns.as_ref());
    let distributions = [
        ("Delivery", &record.latency_ns),
        ("Join", &record.members.join_ns),
        ("Send lag", &record.generator.process.send_lag_ns),
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

fn headline(record: &ChatRecord) -> Vec<(&'static str, String)> {
    let mut figures = vec![("Members", figure::count(record.members.joined_at_end as u64))];
    if record.load.activity == "idle" {
        figures.push(("All joined after", figure::nanos_of(record.members.all_joined_after_ns)));
        let each = record.server.as_ref().and_then(|server| server.process.bytes_per_connection);
        figures.extend(each.map(|bytes| ("Memory per member", figure::bytes(bytes))));
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

/// Returns an introduction for first-time readers.
fn how_to_read(record: &ChatRecord) -> Markup {
    let activity = match record.load.activity {
        "open" => {
            "Latency counts from the time at which a message was due, so a stall of the server appears in the latency of every \
             message that it delays."
        }
        "idle" => "No messages were sent, so the join times and the memory figures are the result.",
        _ => {
            "In a closed loop the next message is sent when all members of the room have the oldest, so the rate is the maximum \
             of the server. Stalls are undercounted: users at a steady rate (--rate) would see more of them."
        }
    };
    page::paragraph(&format!(
        "A delivery is one message received by one member. A percentile is a latency that the given part of the deliveries does \
         not exceed: 1 % of the deliveries take longer than p99. {activity} Compare the figures of two runs only if both ran on \
         the same machine, one right after the other."
    ))
}

fn faults(record: &ChatRecord) -> Vec<(String, String)> {
    let named = record.faults.named().into_iter();
    named.map(|(name, count)| (capitalized(name), figure::count(count))).collect()
}

fn generator(record: &ChatRecord) -> Vec<(&'static str, String)> {
    let generator = &record.generator;
    let mut rows = Vec::new();
    rows.extend(generator.cpu_ns_per_delivery.map(|each| ("CPU per delivery", figure::nanos(each))));
    rows.push(("Of a core", figure::percent(generator.process.cores)));
    rows.push(("Busy", figure::percent(generator.process.busy)));
    rows.push(("All joined after", figure::nanos_of(record.members.all_joined_after_ns)));
    rows
}

fn server(record: &ChatRecord) -> Markup {
    let Some(server) = &record.server else {
        return page::paragraph(
            "No figures, because the server process is unknown. If it runs on this machine, name it with --server-pid.",
        );
    };
    let mut rows = Vec::new();
    rows.extend(server.cpu_ns_per_delivery.map(|each| ("CPU per delivery", figure::nanos(each))));
    rows.extend(server.process.cpu_ns_per_message.map(|each| ("CPU per message", figure::nanos(each))));
    rows.push(("Of a core", figure::percent(server.process.cores)));
    rows.push(("Memory (RSS)", figure::bytes(figure::float(server.process.rss_bytes))));
    rows.extend(server.process.bytes_per_connection.map(|each| ("Memory per member", figure::bytes(each))));
    rows.push(("Threads", figure::count(server.process.threads)));
    page::facts(&rows)
}
