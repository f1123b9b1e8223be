//! The result of `bench` as a report: figures, plots, and how to read them.

use super::result::{BenchRecord, Distribution, SearchRecord, SearchStepRecord};
use super::{load_text, plots};
use crate::cli::report::document::{Medium, Report, ReportTable, Section};
use crate::cli::report::figure::{self, Unit};
use crate::cli::report::plot::{Plot, Scale, Series};
use crate::cli::report::text::NONE;

/// Kinds of faults that fit on one line of a terminal.
const FAULTS_IN_LINE: usize = 6;

/// The words for the parts of a load, by service.
pub(super) struct ServiceWords {
    /// Units of throughput.
    answers: &'static str,
    latency: &'static str,
    /// The tag of connects in the latency log, and their name in the table.
    pub(super) connect: &'static str,
    connections: &'static str,
    all_open: &'static str,
    per_connection: &'static str,
}

impl ServiceWords {
    pub(super) fn of(record: &BenchRecord) -> Self {
        match record.run.chat {
            None => Self {
                answers: "messages",
                latency: "latency",
                connect: "connect",
                connections: "connections",
                all_open: "all connected after",
                per_connection: "memory/connection",
            },
            Some(_) => Self {
                answers: "deliveries",
                latency: "delivery",
                connect: "join",
                connections: "members",
                all_open: "all joined after",
                per_connection: "memory/member",
            },
        }
    }
}

/// Returns the report of a record.
pub(super) fn report(record: &BenchRecord) -> Report {
    let words = ServiceWords::of(record);
    let mut sections = vec![Section {
        medium: Medium::Page,
        heading: "How to read it",
        text: vec![how_to_read(record, &words)],
        ..Section::default()
    }];
    sections.extend(record.find_max.as_ref().map(search));
    let run = &record.run;
    let distributions = [
        (words.latency, &run.latency_ns),
        (words.connect, &run.connections.connect_ns),
        ("send lag", &run.generator.send_lag_ns),
    ];
    let tables = |heading, tables| Section { heading, tables, ..Section::default() };
    sections.extend([
        tables("Throughput", vec![throughput(record, &words)]),
        Section {
            plots: vec![plots::by_percentile(words.answers, &record.percentiles, run.latency_ns.as_ref())],
            ..tables("Latency", vec![distribution_table(&distributions)])
        },
        Section {
            medium: Medium::Page,
            heading: "Over time",
            plots: plots::over_time(words.answers, &record.samples, run.elapsed_ns),
            ..Section::default()
        },
        Section { medium: Medium::Page, ..tables("Faults", vec![faults(&run.faults)]) },
        Section { medium: Medium::Text, ..tables("Faults", faults_in_line(record).into_iter().collect()) },
        tables("Costs", vec![costs(record, &words)]),
    ]);
    Report {
        title: load_text::title(record),
        about: load_text::about(record),
        command: record.header.command.clone(),
        at: record.header.started_at.clone(),
        machine: record.header.machine_facts(record.target.pinned.as_ref()),
        headline: headline(record),
        sections,
        findings: record.verdicts.clone(),
    }
}

fn headline(record: &BenchRecord) -> Vec<(&'static str, String)> {
    let (run, is_chat) = (&record.run, record.run.chat.is_some());
    let mut figures = Vec::new();
    if is_chat || record.load.activity == "idle" {
        let name = if is_chat { "Members" } else { "Connections" };
        figures.push((name, figure::count(run.connections.open_at_end as u64)));
    }
    if record.load.activity == "idle" {
        figures.extend(is_chat.then(|| ("All joined after", figure::nanos_of(run.connections.all_open_after_ns))));
        let name = if is_chat { "Memory per member" } else { "Memory per connection" };
        let each = run.server.as_ref().and_then(|server| server.bytes_per_connection);
        figures.extend(each.map(|bytes| (name, figure::bytes(bytes))));
    } else {
        figures.push(match &run.chat {
            Some(chat) => ("Deliveries", figure::rate(chat.deliveries_per_second)),
            None => ("Messages", figure::rate(run.messages_per_second)),
        });
    }
    if let Some(latency) = &run.latency_ns {
        let named = [("p50", latency.p50), ("p99", latency.p99), ("p99.9", latency.p99_9)];
        figures.extend(named.map(|(name, nanos)| (name, figure::nanos_of(nanos))));
    }
    let faults = run.fault_count();
    figures.push(("Faults", if faults == 0 { "none".to_owned() } else { figure::count(faults) }));
    figures
}

/// Returns an introduction for first-time readers.
fn how_to_read(record: &BenchRecord, words: &ServiceWords) -> String {
    let delivery = if record.run.chat.is_some() { "A delivery is one message received by one member. " } else { "" };
    let activity = match record.load.activity {
        "open" => {
            "Latency counts from the time at which a message was due, so a stall of the server appears in the latency of every \
             message that it delays."
        }
        "churn" => "Latency covers the connect, one exchange and the close together.",
        "idle" => {
            "Connections were only held in the measured time, so the memory and the time of the connects are the result."
        }
        _ => {
            "In a closed loop the next message waits for an answer, or in a chat for the slowest member, so the rate is the \
             maximum of the server. Stalls are undercounted: users at a steady rate (--rate) would see more of them."
        }
    };
    let server = match &record.run.server {
        Some(_) => "",
        None => {
            " The figures of the server are missing, because its process is unknown. If it runs on this machine, name it with \
             --server-pid."
        }
    };
    format!(
        "{delivery}A percentile is a latency that the given part of the {0} does not exceed: 1 % of the {0} take longer than p99. \
         {activity} Among the costs, 100 % of a core is one processor for the whole measured time, and busy is the part of the \
         time in which the load generator was not waiting. Compare the figures of two runs only if both ran on the same machine, \
         one right after the other.{server}",
        words.answers
    )
}

/// Returns the plot and the table of the rates that the search tried.
fn search(search: &SearchRecord) -> Section {
    // The objective is a percentile and its bound, such as p99<5ms.
    let percentile = search.slo.text.split('<').next().unwrap_or_default();
    let mut points: Vec<_> =
        search.steps.iter().filter_map(|step| Some((step.rate_per_second, figure::float(step.latency_ns?)))).collect();
    points.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let limit = figure::float(search.slo.below_ns);
    let ends = [points.first(), points.last()].into_iter().flatten().map(|(rate, _)| (*rate, limit)).collect();
    let plot = Plot {
        title: format!("{percentile} by rate"),
        x: plots::axis("target rate, messages per second", Unit::Number, Scale::Linear),
        y: plots::axis(percentile, Unit::Nanos, Scale::Log),
        series: vec![
            Series { name: percentile.to_owned(), points, marks: true, ..Series::default() },
            Series { name: format!("objective {}", search.slo.text), points: ends, ..Series::default() },
        ],
    };
    let head = ["", "answered", percentile, "generator", "server CPU", &search.slo.text];
    let table = ReportTable::new(&head, search.steps.iter().map(search_step).collect());
    Section { heading: "Search", plots: vec![plot], tables: vec![table], ..Section::default() }
}

fn search_step(step: &SearchStepRecord) -> Vec<String> {
    let verdict = match step.verdict {
        "holds" => "holds".to_owned(),
        "too_slow" => "too slow".to_owned(),
        "too_few" => "too few answers".to_owned(),
        "generator" => "generator's limit".to_owned(),
        _ => {
            let counted = step.faults.named().into_iter().filter(|(_, count)| *count > 0);
            counted.map(|(kind, count)| format!("{} {kind}", figure::count(count))).collect::<Vec<_>>().join(", ")
        }
    };
    vec![
        figure::rate(step.rate_per_second),
        figure::rate(step.answered_per_second),
        or_none(step.latency_ns.map(figure::nanos_of)),
        figure::percent(step.generator_busy),
        or_none(step.server_cores.map(figure::percent)),
        verdict,
    ]
}

fn throughput(record: &BenchRecord, words: &ServiceWords) -> ReportTable {
    let run = &record.run;
    let row = |name: &str, rate: String, total: String| vec![name.to_owned(), rate, total];
    let mut rows = Vec::new();
    if record.load.activity != "idle" {
        if let Some(chat) = &run.chat {
            rows.push(row(words.answers, figure::rate(chat.deliveries_per_second), figure::count(chat.delivered)));
        }
        let messages = run.answered.unwrap_or(run.messages);
        rows.push(row("messages", figure::rate(run.messages_per_second), figure::count(messages)));
        let bytes = figure::bytes(figure::float(run.payload_bytes));
        rows.push(row("payload", format!("{}/s", figure::bytes(run.payload_bytes_per_second)), bytes));
    }
    let open = figure::count(run.connections.open_at_end as u64);
    rows.push(row(words.connections, String::new(), open));
    rows.push(row(words.all_open, String::new(), figure::nanos_of(run.connections.all_open_after_ns)));
    ReportTable::new(&["", "per second", "total"], rows)
}

/// Returns a table with one row for each measured distribution.
fn distribution_table(all: &[(&str, &Option<Distribution>)]) -> ReportTable {
    let row = |name: &str, values: &Distribution| {
        let Distribution { min, p50, p90, p99, p99_9, p99_99, max, mean, .. } = *values;
        let figures = [min, p50, p90, p99, p99_9, p99_99, max].map(figure::nanos_of);
        std::iter::once(name.to_owned()).chain(figures).chain([figure::nanos(mean)]).collect()
    };
    let rows = all.iter().filter_map(|(name, values)| Some(row(name, values.as_ref()?))).collect();
    ReportTable::new(&["", "min", "p50", "p90", "p99", "p99.9", "p99.99", "max", "mean"], rows)
}

fn faults(counts: &[(&'static str, u64)]) -> ReportTable {
    let head: Vec<_> = std::iter::once("").chain(counts.iter().map(|(kind, _)| *kind)).collect();
    let row = std::iter::once("faults".to_owned()).chain(counts.iter().map(|(_, count)| figure::count(*count)));
    ReportTable::new(&head, vec![row.collect()])
}

/// Returns the table of all faults, or if that does not fit on a line, of those that occurred.
fn faults_in_line(record: &BenchRecord) -> Option<ReportTable> {
    let fits = record.run.faults.len() <= FAULTS_IN_LINE;
    let shown: Vec<_> = record.run.faults.iter().filter(|(_, count)| fits || *count > 0).copied().collect();
    (!shown.is_empty()).then(|| faults(&shown))
}

/// Returns the costs of the generator and of the server.
fn costs(record: &BenchRecord, words: &ServiceWords) -> ReportTable {
    let (generator, server) = (&record.run.generator, record.run.server.as_ref());
    let rows = [
        (
            "CPU/delivery",
            generator.cpu_ns_per_delivery.map(figure::nanos),
            server.and_then(|server| server.cpu_ns_per_delivery).map(figure::nanos),
        ),
        (
            "CPU/message",
            generator.cpu_ns_per_message.map(figure::nanos),
            server.and_then(|server| server.cpu_ns_per_message).map(figure::nanos),
        ),
        ("of a core", Some(figure::percent(generator.cores)), server.map(|server| figure::percent(server.cores))),
        ("busy", Some(figure::percent(generator.busy)), None),
        ("memory", None, server.map(|server| figure::bytes(figure::float(server.rss_bytes)))),
        (words.per_connection, None, server.and_then(|server| server.bytes_per_connection).map(figure::bytes)),
        ("threads", None, server.map(|server| figure::count(server.threads))),
        ("switches/message", None, server.and_then(|server| server.context_switches_per_message).map(figure::number)),
    ];
    let rows = rows.into_iter().filter(|(_, generator, server)| generator.is_some() || server.is_some());
    let rows = rows.map(|(name, generator, server)| vec![name.to_owned(), or_none(generator), or_none(server)]);
    ReportTable::new(&["", "generator", "server"], rows.collect())
}

fn or_none(figure: Option<String>) -> String {
    figure.unwrap_or_else(|| NONE.to_owned())
}
