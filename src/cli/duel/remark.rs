//! What is said about a duel: what its figures show, and what is not to be read into them.

use serde::Serialize;

use super::metric::Metric;
use super::record::{Engine, Faults, Finding, Point, Record};
use super::statistics::CONFIDENCE;
use super::verdict::{self, Found};
use crate::cli::report::figure;
use crate::cli::report::page::Tone;

/// A sentence about how the figures came about.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Remark {
    pub(super) tone: Tone,
    pub(super) text: String,
}

/// With less confidence than this a lead is as good as none.
const ENOUGH: f64 = 0.9;

/// A sentence for each metric that matters.
pub(super) fn findings(record: &Record) -> Vec<Finding> {
    // In an open loop throughput is what was asked for.
    let asked_for = |metric: Metric| metric == Metric::Throughput && record.setup.rate_per_second.is_some();
    let metrics = Metric::HEADLINES.into_iter().filter(|metric| !asked_for(*metric));
    metrics.filter_map(|metric| finding(metric, record)).collect()
}

fn finding(metric: Metric, record: &Record) -> Option<Finding> {
    let with_ratio = |point: &Point| Some((point.connections, advantage(metric, point)?));
    let found: Vec<Found> = record.whole().filter_map(with_ratio).collect();
    let all = found.len() == record.whole().count();
    Some(Finding { metric: metric.key(), name: metric.name(), text: verdict::sentence(&found, all)? + "." })
}

fn advantage(metric: Metric, point: &Point) -> Option<super::statistics::Ratio> {
    point.comparisons.iter().find(|comparison| comparison.metric == metric.key())?.reactor_advantage
}

/// All that has to be known besides, the worst first.
pub(super) fn remarks(record: &Record) -> Vec<Remark> {
    let bad = [wrong(record), debug(record)].into_iter().flatten().map(|text| Remark { tone: Tone::Bad, text });
    let good = right(record).into_iter().map(|text| Remark { tone: Tone::Good, text });
    let notes = [interrupted(record), bottleneck(record), placed(record), unseen(record), few(record)];
    let notes = record.points.iter().filter_map(skipped).chain(notes.into_iter().flatten());
    bad.chain(good).chain(notes.map(|text| Remark { tone: Tone::Note, text })).collect()
}

fn wrong(record: &Record) -> Option<String> {
    let mut said = Vec::new();
    for point in &record.points {
        for engine in [Engine::Reactor, Engine::Threads] {
            let mut sum = Faults::default();
            point.runs_of(engine).for_each(|run| sum.add(&run.faults));
            said.extend(sum.words().map(|what| format!("{what} ({}, {})", at(point.connections), engine.name())));
        }
    }
    (!said.is_empty()).then(|| format!("Something went wrong, so these figures do not count: {}.", said.join("; ")))
}

fn right(record: &Record) -> Option<String> {
    let answers: u64 = record.points.iter().flat_map(|point| &point.runs).map(|run| run.messages).sum();
    let all =
        format!("All {} answers came, in their order, and are what was sent, byte for byte.", figure::count(answers));
    (answers > 0 && record.is_faultless()).then_some(all)
}

fn debug(record: &Record) -> Option<String> {
    let what = "This program was built without optimisation: its figures say nothing about either engine.";
    record.machine.is_debug_build().then(|| what.to_owned())
}

fn skipped(point: &Point) -> Option<String> {
    point.skipped.as_ref().map(|why| format!("{} could not be measured: {why}.", at(point.connections)))
}

fn interrupted(record: &Record) -> Option<String> {
    let what = "It was ended early: only points of which every round was run are compared.";
    record.interrupted.then(|| what.to_owned())
}

/// Where throughput is not the servers'.
fn bottleneck(record: &Record) -> Option<String> {
    let points: Vec<_> =
        record.whole().filter(|point| point.runs.iter().any(|run| run.generator.is_bottleneck)).collect();
    let (last, others) = points.split_last()?;
    let mut places = figure::count(last.connections as u64);
    if !others.is_empty() {
        let others: Vec<_> = others.iter().map(|point| figure::count(point.connections as u64)).collect();
        places = format!("{} and {places}", others.join(", "));
    }
    let noun = if points.len() == 1 && last.connections == 1 { "connection" } else { "connections" };
    Some(format!(
        "At {places} {noun} the load generator was at its limit in some run and the server was not: throughput there is the \
         generator's, and its ratio says too little about the faster engine. CPU per message holds all the same."
    ))
}

fn placed(record: &Record) -> Option<String> {
    match &record.setup.pinned {
        None => Some(
            "Servers and load were not given processors of their own, so each figure also measures how the other was scheduled."
                .to_owned(),
        ),
        Some(pinned) if pinned.server_cpus.len() > 1 => Some(format!(
            "Each server had {} processors. Threads can use them all; the reactor is one thread and uses one, which is its \
             nature and no fault of the measurement.",
            pinned.server_cpus.len()
        )),
        Some(_) => None,
    }
}

fn unseen(record: &Record) -> Option<String> {
    let blind = record.points.iter().flat_map(|point| &point.runs).any(|run| run.server.is_none());
    blind.then(|| "This system does not tell what another process uses, so there is no CPU and no memory.".to_owned())
}

/// Too few rounds for the usual confidence.
fn few(record: &Record) -> Option<String> {
    let rounds = record.setup.rounds;
    let chance = (1.0 - record.confidence) * 100.0;
    let advice = if record.confidence < ENOUGH {
        "too many to believe one; take more rounds"
    } else {
        "with 6 rounds or more it is 5"
    };
    (record.confidence < CONFIDENCE).then(|| {
        format!(
            "With {rounds} rounds an interval is the range of their ratios, and holds the true one in {:.0} of 100 cases at best: \
             of 100 draws, {chance:.0} look like a lead, {advice}.",
            record.confidence * 100.0
        )
    })
}

/// So many connections.
pub(super) fn at(connections: usize) -> String {
    if connections == 1 {
        "1 connection".to_owned()
    } else {
        format!("{} connections", figure::count(connections as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::super::compare::{compare, tests::run};
    use super::super::record::tests::record;
    use super::*;

    fn point(connections: usize, reactor: f64) -> Point {
        let both =
            |round| [run(Engine::Reactor, round, reactor, 10.0), run(Engine::Threads, round, 100.0, 10.0 * reactor)];
        let runs: Vec<_> = (1..=3).flat_map(both).collect();
        Point { connections, skipped: None, whole: true, comparisons: compare(&runs), runs }
    }

    fn texts(record: &Record) -> String {
        let lines = remarks(record).into_iter().map(|remark| format!("{:?}: {}\n", remark.tone, remark.text));
        lines.collect::<Vec<_>>().concat()
    }

    #[test]
    fn each_headline_has_its_sentence_and_processor_time_is_first() {
        let mut record = record(vec![point(1, 100.0), point(100, 200.0)]);
        let found = findings(&record);
        assert_eq!(found.iter().map(|finding| finding.metric).collect::<Vec<_>>(), Metric::HEADLINES.map(Metric::key));
        assert!(found[0].text.starts_with("the reactor leads at every point measured"), "{}", found[0].text);
        assert!(found[1].text.starts_with("level up to about 1 connection;"), "{}", found[1].text);
        record.setup.rate_per_second = Some(100.0);
        assert!(findings(&record).iter().all(|finding| finding.metric != "messages_per_second"));
    }

    #[test]
    fn all_is_well_or_it_is_said_what_is_not() {
        let mut record = record(vec![point(1, 100.0), point(100, 200.0)]);
        assert!(texts(&record).contains("Good: All 12,000 answers came"), "{}", texts(&record));
        record.points[1].runs[1].faults.lost = 2;
        record.points[1].runs[3].faults.lost = 1;
        let said = texts(&record);
        assert!(
            said.starts_with("Bad: Something went wrong") && said.contains("3 lost (100 connections, threads)"),
            "{said}"
        );
        assert!(!said.contains("Good:") && !record.is_faultless());
    }

    #[test]
    fn what_limits_the_figures_is_named() {
        let mut record = record(vec![point(1, 100.0), point(10, 100.0), point(100, 200.0)]);
        record.setup.pinned = None;
        record.points[0].runs[0].generator.is_bottleneck = true;
        record.points[1].runs[1].generator.is_bottleneck = true;
        record.points.push(Point {
            connections: 9,
            skipped: Some("no".into()),
            whole: false,
            runs: vec![],
            comparisons: vec![],
        });
        let said = texts(&record);
        for words in [
            "Note: At 1 and 10 connections the load generator was at its limit",
            "Note: 9 connections could not be measured: no.",
            "Note: Servers and load were not given processors of their own",
            "With 3 rounds an interval is the range of their ratios, and holds the true one in 75 of 100 cases",
        ] {
            assert!(said.contains(words), "{words} is not in {said}");
        }
    }
}
