//! The result of a soak as a report.

use std::time::Duration;

use super::record::SoakRecord;
use super::resources::Resources;
use crate::cli::report::document::{Report, ReportTable, Section};
use crate::cli::report::figure;

pub(super) fn report(record: &SoakRecord) -> Report {
    let elapsed = figure::short_time(Duration::from_secs_f64(record.elapsed_s.round()));
    let answers = record.clients.iter().map(|client| client.answers).sum();
    let clients = record
        .clients
        .iter()
        .map(|client| vec![client.name.to_owned(), figure::count(client.answers), figure::count(client.faults)]);
    let attacks = record.attacks.iter().map(|attack| vec![attack.name.to_owned(), figure::count(attack.rounds)]);
    let mut sections = vec![
        section("Honest clients", &["client", "answers", "faults"], clients.collect()),
        section("Attacks", &["attack", "times"], attacks.collect()),
    ];
    if let (Some(before), Some(after)) = (&record.before, &record.after) {
        sections.push(section("The server's process", &["the server held", "before", "after"], held(before, after)));
    }
    Report {
        title: "soak of every service".to_owned(),
        about: format!(
            "The {} engine, with honest and hostile clients at once; {elapsed}, seed {}.",
            record.engine, record.seed
        ),
        command: record.header.command.clone(),
        at: record.header.started_at.clone(),
        machine: record.header.machine_facts(None),
        headline: vec![("answers", figure::count(answers))],
        sections,
        findings: record.verdicts.clone(),
    }
}

fn section(heading: &'static str, head: &[&str], rows: Vec<Vec<String>>) -> Section {
    Section { heading, tables: vec![ReportTable::new(head, rows)], ..Section::default() }
}

fn held(before: &Resources, after: &Resources) -> Vec<Vec<String>> {
    let bytes = |bytes| figure::bytes(figure::float(bytes));
    let counts = before.counts().into_iter().zip(after.counts());
    let counts =
        counts.map(|((name, before, _), (_, after, _))| [name.to_owned(), figure::count(before), figure::count(after)]);
    let memory = ["memory".to_owned(), bytes(before.rss_bytes), bytes(after.rss_bytes)];
    counts.chain([memory]).map(Vec::from).collect()
}
