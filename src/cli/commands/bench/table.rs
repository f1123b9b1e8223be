//! The result of `bench echo` as text for a terminal.

use comfy_table::{Row, Table};

use super::format;
use super::record::{Distribution, EchoRecord, SearchRecord};
use crate::cli::report::figure;
use crate::cli::report::text::{NONE, finding_line, right_aligned_table, wrap_hanging};

/// Width of the first column, equal in all tables so that they align.
const NAME_WIDTH: usize = 12;

/// Returns the whole text.
pub(super) fn render(record: &EchoRecord) -> String {
    let mut parts = vec![[format::title(record), format::about(record)].map(|line| wrap_hanging("", &line)).join("\n")];
    parts.extend(record.find_max.as_ref().map(search_steps));
    parts.push(throughput(record));
    parts.push(distributions([
        ("latency", &record.latency_ns),
        ("connect", &record.connections.connect_ns),
        ("send lag", &record.generator.send_lag_ns),
    ]));
    parts.push(faults(record));
    parts.push(costs(record));
    let verdicts = record.verdicts.iter().map(|verdict| finding_line(verdict.tone, &verdict.text));
    parts.push(verdicts.collect::<Vec<_>>().join("\n"));
    parts.join("\n\n") + "\n"
}

/// Returns the table of the rates that the search tried.
fn search_steps(search: &SearchRecord) -> String {
    let rows: Vec<_> = search.steps.iter().map(format::search_step).collect();
    let percentile = format::percentile(&search.slo);
    table(&["", "answered", &percentile, "generator busy", "server, of a core", &search.slo.text], &rows)
}

fn throughput(record: &EchoRecord) -> String {
    let connections = figure::count(record.connections.open_at_end as u64);
    if record.load.activity == "idle" {
        let row = vec!["held".to_owned(), connections, figure::count(record.messages)];
        return table(&["", "connections", "messages"], &[row]);
    }
    let payload = format!("{}/s", figure::bytes(record.payload_bytes_per_second));
    let rows = [vec![
        "throughput".to_owned(),
        figure::rate(record.messages_per_second),
        figure::count(record.answered),
        payload,
        connections,
    ]];
    table(&["", "messages", "total", "payload", "connections"], &rows)
}

/// Returns a table with one row for each measured distribution.
pub(super) fn distributions(all: [(&str, &Option<Distribution>); 3]) -> String {
    let measured = all.into_iter().filter_map(|(name, values)| Some((name, values.as_ref()?)));
    let rows: Vec<_> = measured.map(|(name, values)| distribution(name, values)).collect();
    table(&["", "p50", "p90", "p99", "p99.9", "p99.99", "max", "mean"], &rows)
}

/// Returns one row of [`distributions`].
fn distribution(name: &str, values: &Distribution) -> Vec<String> {
    let Distribution { p50, p90, p99, p99_9, p99_99, max, mean, .. } = values;
    let figures = [p50, p90, p99, p99_9, p99_99, max].map(|nanos| figure::nanos_of(*nanos));
    let name = std::iter::once(name.to_owned());
    name.chain(figures).chain([figure::nanos(*mean)]).collect()
}

fn faults(record: &EchoRecord) -> String {
    let named = record.faults.named();
    let mut head = vec![""];
    head.extend(named.iter().map(|(name, _)| *name));
    let mut row = vec!["faults".to_owned()];
    row.extend(named.iter().map(|(_, count)| figure::count(*count)));
    table(&head, &[row])
}

/// Returns the costs of the generator and of the server.
fn costs(record: &EchoRecord) -> String {
    let nanos = |each: Option<f64>| each.map_or_else(|| NONE.to_owned(), figure::nanos);
    let none = || NONE.to_owned();
    let generator = &record.generator;
    let mut rows = vec![vec![
        "generator".to_owned(),
        nanos(generator.cpu_ns_per_message),
        figure::percent(generator.cores),
        figure::percent(generator.busy),
        none(),
        none(),
        none(),
        none(),
    ]];
    if let Some(server) = &record.server {
        let rss = figure::bytes(figure::float(server.rss_bytes));
        rows.push(vec![
            "server".to_owned(),
            nanos(server.cpu_ns_per_message),
            figure::percent(server.cores),
            none(),
            rss,
            server.bytes_per_connection.map_or_else(none, figure::bytes),
            figure::count(server.threads),
            server.context_switches_per_message.map_or_else(none, figure::number),
        ]);
    }
    table(&["", "CPU/message", "of a core", "busy", "memory", "per connection", "threads", "switches/message"], &rows)
}

/// Returns a table whose first column has [`NAME_WIDTH`].
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.set_header(Row::from(head.iter().copied()));
    for row in rows {
        let mut row = row.clone();
        if let Some(name) = row.first_mut() {
            *name = format!("{name:<NAME_WIDTH$}");
        }
        table.add_row(Row::from(row));
    }
    right_aligned_table(table)
}
