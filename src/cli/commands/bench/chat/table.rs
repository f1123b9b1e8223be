//! The result of `bench chat` as text for a terminal.

use super::format;
use super::record::ChatRecord;
use crate::cli::commands::bench::table::{distributions, table};
use crate::cli::report::figure;
use crate::cli::report::text::{NONE, finding_line, wrap_hanging};

/// Returns the report for a terminal.
pub(super) fn render(record: &ChatRecord) -> String {
    let mut parts = vec![[format::title(record), format::about(record)].map(|line| wrap_hanging("", &line)).join("\n")];
    parts.push(if record.load.activity == "idle" { held_members_table(record) } else { throughput_table(record) });
    parts.push(distributions([
        ("delivery", &record.latency_ns),
        ("join", &record.members.join_ns),
        ("send lag", &record.generator.process.send_lag_ns),
    ]));
    parts.extend(fault_table(record));
    parts.push(cost_table(record));
    let verdicts = record.verdicts.iter().map(|verdict| finding_line(verdict.tone, &verdict.text));
    parts.push(verdicts.collect::<Vec<_>>().join("\n"));
    parts.join("\n\n") + "\n"
}

fn held_members_table(record: &ChatRecord) -> String {
    let members = figure::count(record.members.joined_at_end as u64);
    let row = vec!["held".to_owned(), members, figure::nanos_of(record.members.all_joined_after_ns)];
    table(&["", "members", "all joined after"], &[row])
}

fn throughput_table(record: &ChatRecord) -> String {
    let rows = [vec![
        "throughput".to_owned(),
        figure::rate(record.deliveries_per_second),
        figure::count(record.delivered),
        figure::rate(record.messages_per_second),
        format!("{}/s", figure::bytes(record.payload_bytes_per_second)),
        figure::count(record.members.joined_at_end as u64),
        figure::nanos_of(record.members.all_joined_after_ns),
    ]];
    table(&["", "deliveries", "delivered", "messages", "payload", "members", "all joined after"], &rows)
}

/// Returns the table of the faults that occurred. All 11 kinds would not fit on one line.
fn fault_table(record: &ChatRecord) -> Option<String> {
    let named: Vec<_> = record.faults.named().into_iter().filter(|(_, count)| *count > 0).collect();
    let mut head = vec![""];
    head.extend(named.iter().map(|(name, _)| *name));
    let mut row = vec!["faults".to_owned()];
    row.extend(named.iter().map(|(_, count)| figure::count(*count)));
    (!named.is_empty()).then(|| table(&head, &[row]))
}

/// Returns the table of the costs of the generator and of the server.
fn cost_table(record: &ChatRecord) -> String {
    let nanos = |each: Option<f64>| each.map_or_else(|| NONE.to_owned(), figure::nanos);
    let none = || NONE.to_owned();
    let generator = &record.generator;
    let mut rows = vec![vec![
        "generator".to_owned(),
        nanos(generator.cpu_ns_per_delivery),
        nanos(generator.process.cpu_ns_per_message),
        figure::percent(generator.process.cores),
        figure::percent(generator.process.busy),
        none(),
        none(),
        none(),
    ]];
    if let Some(server) = &record.server {
        rows.push(vec![
            "server".to_owned(),
            nanos(server.cpu_ns_per_delivery),
            nanos(server.process.cpu_ns_per_message),
            figure::percent(server.process.cores),
            none(),
            figure::bytes(figure::float(server.process.rss_bytes)),
            server.process.bytes_per_connection.map_or_else(none, figure::bytes),
            figure::count(server.process.threads),
        ]);
    }
    table(&["", "CPU/delivery", "CPU/message", "of a core", "busy", "memory", "per member", "threads"], &rows)
}
