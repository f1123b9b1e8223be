//! What is said about a duel: what its figures show, and what is not to be read into them.

use serde::Serialize;
use switchboard::load::Faults;

use super::metric::Metric;
use super::record::{Engine, Finding, Point, Record, Run};
use super::statistics::CONFIDENCE;
use super::verdict::{self, Found};
use crate::cli::report::figure;
use crate::cli::report::page::Tone;
use crate::cli::report::rates;
use crate::cli::report::words::{self, connections as at};

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
    let counts = |point: &&Point| !(metric.is_of_both_sides() && point.is_limited());
    let (counted, limited): (Vec<&Point>, Vec<&Point>) = record.whole().partition(counts);
    let with_ratio = |point: &&Point| Some((point.connections, advantage(metric, point)?));
    let found: Vec<Found> = counted.iter().filter_map(with_ratio).collect();
    let point = match (limited.is_empty(), found.len() == counted.len()) {
        (true, true) => "point measured",
        (true, false) => "point that has a ratio",
        (false, _) => "point that counts",
    };
    let text = match (verdict::sentence(&found, point), places(&limited)) {
        (said, None) => said?,
        (Some(said), Some(places)) => {
            format!("{said}; without {places}, where the load generator was the limit")
        }
        (None, Some(places)) => format!("cannot be told: at {places} the load generator was the limit"),
    };
    Some(Finding { metric: metric.key(), name: metric.name(), text: text + "." })
}

/// At how many connections some points are: `1, 9 and 10 connections`; none if there are none.
fn places(points: &[&Point]) -> Option<String> {
    let (last, others) = points.split_last()?;
    if others.is_empty() {
        return Some(at(last.connections));
    }
    let others: Vec<_> = others.iter().map(|point| figure::count(point.connections as u64)).collect();
    Some(format!("{} and {}", others.join(", "), at(last.connections)))
}

fn advantage(metric: Metric, point: &Point) -> Option<super::statistics::Ratio> {
    point.comparisons.iter().find(|comparison| comparison.metric == metric.key())?.reactor_advantage
}

/// All that has to be known besides, the worst first.
pub(super) fn remarks(record: &Record) -> Vec<Remark> {
    let bad = [wrong(record), debug(record)].into_iter().flatten().map(|text| Remark { tone: Tone::Bad, text });
    let good = right(record).into_iter().map(|text| Remark { tone: Tone::Good, text });
    let behind = [Engine::Reactor, Engine::Threads].map(|engine| behind(record, engine));
    let notes = [interrupted(record)].into_iter().chain(behind).chain(bottlenecks(record).into_iter().map(Some));
    let notes = notes.chain([Some(placed(record)), unseen(record), few(record)]).flatten();
    let notes = record.points.iter().filter_map(skipped).chain(notes);
    bad.chain(good).chain(notes.map(|text| Remark { tone: Tone::Note, text })).collect()
}

fn wrong(record: &Record) -> Option<String> {
    let mut said = Vec::new();
    for point in &record.points {
        for engine in [Engine::Reactor, Engine::Threads] {
            let mut sum = Faults::default();
            point.runs_of(engine).for_each(|run| sum += run.faults);
            said.extend(
                rates::words(&sum).map(|what| format!("{what} ({}, {})", at(point.connections), engine.name())),
            );
        }
    }
    (!said.is_empty()).then(|| format!("Something went wrong, so these figures do not count: {}.", said.join("; ")))
}

fn right(record: &Record) -> Option<String> {
    let runs = || record.points.iter().flat_map(|point| &point.runs);
    let answers: u64 = runs().map(|run| run.messages).sum();
    let none_is_awaited = runs().all(|run| run.unanswered.unwrap_or(0) == 0);
    let rightly = words::rightly(record.setup.payload_min_bytes);
    let all = format!("All {} answers came, {rightly}.", figure::count(answers));
    (answers > 0 && record.is_faultless() && none_is_awaited).then_some(all)
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

/// Where the generator had a part in what was measured, by the library's rule, and which.
fn bottlenecks(record: &Record) -> Vec<String> {
    let full = |run: &Run| run.server.as_ref().is_some_and(|server| server.at_limit);
    let is = |run: &Run, name: &str| run.generator.bottleneck == Some(name);
    let figures = if record.setup.rate_per_second.is_some() { "latency" } else { "throughput and latency" };
    let least = "CPU per message is affected least.";
    let said = [
        where_any(record, |run| is(run, "busy") && !full(run)).map(|places| {
            format!(
                "At {places} the load generator was at its limit in some run and the server was not: the faster engine may be \
                 faster than {figures} there can show. {least}"
            )
        }),
        where_any(record, |run| is(run, "busy") && full(run)).map(|places| {
            format!(
                "At {places} the server and the load generator were both at their limits in some run: the faster engine may \
                 have been capped, in {figures}. {least}"
            )
        }),
        where_any(record, |run| is(run, "late")).map(|places| {
            format!(
                "At {places} one message in a hundred left the load generator late in some run, by a millisecond or more and a \
                 quarter of the latency: that latency is not all the server's."
            )
        }),
    ];
    said.into_iter().flatten().collect()
}

/// The whole points in which some run is such.
fn where_any(record: &Record, is: impl Fn(&Run) -> bool) -> Option<String> {
    places(&record.whole().filter(|point| point.runs.iter().any(&is)).collect::<Vec<_>>())
}

/// An open loop that was too much for an engine.
fn behind(record: &Record, engine: Engine) -> Option<String> {
    let asked = figure::rate(record.setup.rate_per_second?);
    let runs = |point: &&Point| point.runs_of(engine).any(|run| !run.kept_up());
    let points: Vec<_> = record.points.iter().filter(runs).collect();
    let slow = points.iter().flat_map(|point| point.runs_of(engine)).filter(|run| !run.kept_up());
    let slow: Vec<_> = slow.collect();
    let least = slow.iter().map(|run| run.messages_per_second).fold(f64::INFINITY, f64::min);
    let awaited: u64 = slow.iter().filter_map(|run| run.unanswered).sum();
    let awaited = if awaited > 0 {
        format!(" {} answers were still awaited when a run ended.", figure::count(awaited))
    } else {
        String::new()
    };
    places(&points).map(|places| {
        format!(
            "At {places} the {} engine did not keep up with {asked} in some run, and answered as few as {}: latency there grows \
             as long as a run goes on.{awaited}",
            engine.name(),
            figure::rate(least)
        )
    })
}

fn placed(record: &Record) -> String {
    match &record.setup.pinned {
        None => "Servers and load were not given processors of their own, so each figure also measures how the other was scheduled."
            .to_owned(),
        Some(pinned) if pinned.server_cpus.len() > 1 => format!(
            "Each server had {} processors. Threads can use them all; the reactor is one thread and uses one, which is its \
             nature and no fault of the measurement.",
            pinned.server_cpus.len()
        ),
        Some(_) => "Each server had one processor, so threads could not run side by side, as they could on a larger machine."
            .to_owned(),
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
            said.starts_with("Bad: Something went wrong")
                && said.contains("3 answers never came (100 connections, threads)"),
            "{said}"
        );
        assert!(!said.contains("Good:") && !record.is_faultless());
    }

    #[test]
    fn what_limits_the_figures_is_named() {
        let mut record = record(vec![point(1, 100.0), point(10, 100.0), point(100, 200.0)]);
        record.setup.pinned = None;
        record.points[0].runs[0].generator.bottleneck = Some("busy");
        record.points[1].runs[1].generator.bottleneck = Some("busy");
        record.points.push(Point {
            connections: 9,
            skipped: Some("no".into()),
            whole: false,
            runs: vec![],
            comparisons: vec![],
        });
        let said = texts(&record);
        for words in [
            "Note: At 1 and 10 connections the load generator was at its limit in some run and the server was not",
            "Note: 9 connections could not be measured: no.",
            "Note: Servers and load were not given processors of their own",
            "With 3 rounds an interval is the range of their ratios, and holds the true one in 75 of 100 cases",
        ] {
            assert!(said.contains(words), "{words} is not in {said}");
        }
    }

    #[test]
    fn points_at_the_generators_limit_are_not_in_the_sentences_that_it_has_a_part_in() {
        let mut record = record(vec![point(1, 100.0), point(10, 200.0), point(100, 300.0)]);
        let limit = |record: &mut Record, index: usize, runs: usize| {
            record.points[index].runs.iter_mut().filter(|run| run.engine == Engine::Reactor).take(runs).for_each(
                |run| {
                    run.generator.bottleneck = Some("busy");
                },
            );
        };
        // One of three leaves the median alone.
        limit(&mut record, 1, 1);
        assert!(findings(&record).iter().all(|finding| !finding.text.contains("generator")));
        limit(&mut record, 1, 2);
        limit(&mut record, 2, 2);
        for finding in findings(&record) {
            let shared = ["messages_per_second", "p99_ns"].contains(&finding.metric);
            let left_out =
                finding.text.ends_with("; without 10 and 100 connections, where the load generator was the limit.");
            assert_eq!(left_out, shared, "{}", finding.text);
        }
        limit(&mut record, 0, 3);
        let found = findings(&record);
        assert_eq!(found[1].text, "cannot be told: at 1, 10 and 100 connections the load generator was the limit.");
        assert!(found[0].text.starts_with("the reactor leads"), "{}", found[0].text);
    }

    #[test]
    fn a_generator_that_is_late_and_a_server_that_is_full_too_have_their_own_words() {
        let mut record = record(vec![point(10, 100.0)]);
        record.setup.rate_per_second = Some(1_000.0);
        record.points[0].runs[0].generator.bottleneck = Some("late");
        let said = texts(&record);
        assert!(
            said.contains("Note: At 10 connections one message in a hundred left the load generator late"),
            "{said}"
        );
        record.points[0].runs[0].generator.bottleneck = Some("busy");
        record.points[0].runs[0].server.as_mut().unwrap().at_limit = true;
        let said = texts(&record);
        assert!(
            said.contains("both at their limits in some run: the faster engine may have been capped, in latency."),
            "{said}"
        );
    }

    #[test]
    fn an_engine_that_does_not_keep_the_rate_is_named_and_nothing_is_said_to_be_all() {
        let mut record = record(vec![point(10, 100.0)]);
        record.setup.rate_per_second = Some(1_000.0);
        for run in &mut record.points[0].runs {
            (run.due, run.unanswered) = (Some(1_000), Some(0));
        }
        assert!(texts(&record).contains("Good: All ") && !texts(&record).contains("keep up"), "{}", texts(&record));
        // All came in the end, but not in time.
        record.points[0].runs[1].answered = 500;
        let said = texts(&record);
        assert!(said.contains("Note: At 10 connections the threads engine did not keep up with 1,000 /s"), "{said}");
        record.points[0].runs[1].unanswered = Some(1_234);
        let said = texts(&record);
        assert!(said.contains("1,234 answers were still awaited") && !said.contains("Good:"), "{said}");
    }
}
