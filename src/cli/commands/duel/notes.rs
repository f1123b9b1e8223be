//! Notes on a duel: whether every answer was right, and what limits the figures. Each is one fact.

use super::record::{DuelPoint, DuelRecord, ENGINES};
use super::statistics::CONFIDENCE;
use crate::cli::commands::bench::notes::{DEBUG_BUILD, SHARED_PROCESSORS};
use crate::cli::commands::bench::result::{FaultCounts, RunResult};
use crate::cli::engine::EngineName;
use crate::cli::report::document::{Finding, Tone};
use crate::cli::report::text::{self, connections_text};
use crate::cli::report::{figure, rates};

/// Returns all notes: the bad ones, then the good one, then the limits of the figures.
pub(super) fn notes(record: &DuelRecord) -> Vec<Finding> {
    let mut notes: Vec<_> = faults(record).into_iter().map(|text| Finding::new(Tone::Bad, text)).collect();
    notes.extend(record.header.machine.is_debug_build().then(|| Finding::new(Tone::Note, DEBUG_BUILD)));
    notes.extend(all_right(record).map(|text| Finding::new(Tone::Good, text)));
    let mut push = |text: Option<String>| notes.extend(text.map(|text| Finding::new(Tone::Note, text)));
    record.points.iter().map(skipped).for_each(&mut push);
    push(record.header.interrupted.then(|| "The duel ended early: only complete points are compared.".to_owned()));
    for engine in ENGINES {
        push(rate_note(record, engine));
    }
    limits(record).into_iter().for_each(&mut push);
    push(Some(processors(record)));
    let mut runs = record.points.iter().flat_map(|point| &point.runs);
    push(runs.any(|run| run.result.server.is_none()).then(|| {
        "This system does not report the usage of other processes: CPU and memory figures are missing.".to_owned()
    }));
    push(few_rounds(record));
    notes
}

/// Returns a note for each point and engine with faults.
fn faults(record: &DuelRecord) -> Vec<String> {
    let places = record.points.iter().flat_map(|point| ENGINES.map(|engine| (point, engine)));
    let notes = places.filter_map(|(point, engine)| {
        let mut sum = FaultCounts::new();
        for (kind, count) in point.runs_of(engine).flat_map(|run| &run.faults) {
            match sum.iter_mut().find(|(known, _)| known == kind) {
                Some((_, total)) => *total += count,
                None => sum.push((*kind, *count)),
            }
        }
        let faults = rates::faults_text(record.setup.service, &sum)?;
        Some(format!("Something went wrong at {}, {}: {faults}.", connections_text(point.connections), engine.name()))
    });
    notes.collect()
}

fn all_right(record: &DuelRecord) -> Option<String> {
    let runs = || record.points.iter().flat_map(|point| &point.runs).map(|run| &run.result);
    let answers: u64 = runs().map(|run| run.messages).sum();
    let none_outstanding = runs().all(|run| run.unanswered.unwrap_or(0) == 0);
    let text = text::all_answers_text(answers, record.setup.load.payload_min_bytes);
    (answers > 0 && record.is_faultless() && none_outstanding).then_some(text)
}

fn skipped(point: &DuelPoint) -> Option<String> {
    let reason = point.skipped.as_ref()?;
    Some(format!("{} could not be measured: {reason}.", connections_text(point.connections)))
}

/// Returns a note for each kind of limit, with the points at which a run reached it.
fn limits(record: &DuelRecord) -> [Option<String>; 3] {
    let note = |limit: &str, has_limit: fn(&RunResult) -> bool| {
        let points = points_with(record.complete_points(), |point| point.runs.iter().any(|run| has_limit(&run.result)));
        points.map(|points| format!("{limit} in at least one run at {points}."))
    };
    [
        note("The load generator was the limit, not the server,", |run| {
            run.generator.bottleneck == Some("busy") && !run.server_at_limit()
        }),
        note("The load generator and the server were both at their limits", |run| {
            run.generator.bottleneck == Some("busy") && run.server_at_limit()
        }),
        note("The load generator sent late, which the latency includes,", |run| {
            run.generator.bottleneck == Some("late")
        }),
    ]
}

/// Lists the points that `predicate` selects, as in `1, 9, 10 connections`. `None` without points.
fn points_with<'a>(
    points: impl Iterator<Item = &'a DuelPoint>,
    predicate: impl Fn(&DuelPoint) -> bool,
) -> Option<String> {
    let selected: Vec<_> = points.filter(|point| predicate(point)).map(|point| point.connections).collect();
    let (last, others) = selected.split_last()?;
    let others = others.iter().map(|number| figure::count(*number as u64) + ", ");
    Some(others.chain([connections_text(*last)]).collect())
}

/// Returns a note if an engine did not reach the rate of an open loop.
fn rate_note(record: &DuelRecord, engine: EngineName) -> Option<String> {
    let asked = figure::rate(record.setup.load.rate_per_second?);
    let slow_runs =
        |point: &DuelPoint| point.runs_of(engine).filter(|run| run.missed_rate()).cloned().collect::<Vec<_>>();
    let points = points_with(record.points.iter(), |point| !slow_runs(point).is_empty())?;
    let slow_runs: Vec<_> = record.points.iter().flat_map(slow_runs).collect();
    let lowest = slow_runs.iter().map(|run| run.messages_per_second).fold(f64::INFINITY, f64::min);
    let lowest = Some(figure::rate(lowest)).filter(|lowest| *lowest != asked);
    let unanswered = || slow_runs.iter().filter_map(|run| run.unanswered).filter(|unanswered| *unanswered > 0);
    let outstanding = Some(unanswered().sum()).filter(|sum| *sum > 0).map(|sum| {
        let ends = if unanswered().count() == 1 { "the end of a run" } else { "the ends of runs" };
        format!("{} outstanding at {ends}", figure::counted(sum, "answer", "answers"))
    });
    let missed = if lowest.is_some() { format!("reach {asked}") } else { "keep up".to_owned() };
    let facts: Vec<_> = lowest.map(|lowest| format!("lowest rate {lowest}")).into_iter().chain(outstanding).collect();
    Some(format!("The {} engine did not {missed} at {points}: {}.", engine.name(), facts.join(", ")))
}

fn processors(record: &DuelRecord) -> String {
    match record.setup.pinned.as_ref().map(|pinned| pinned.server_cpus.len()) {
        None => SHARED_PROCESSORS.to_owned(),
        Some(1) => "Each server had one processor, so threads could not run in parallel.".to_owned(),
        Some(cpus) => format!("Each server had {cpus} processors; the reactor uses one of them."),
    }
}

/// Returns a note if the rounds are too few for the intended confidence.
fn few_rounds(record: &DuelRecord) -> Option<String> {
    (record.confidence < CONFIDENCE).then(|| {
        format!(
            "With {} rounds an interval holds the true ratio in at most {:.0} of 100 cases; with 6 or more in 95.",
            record.setup.rounds,
            record.confidence * 100.0
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{point, record};
    use super::*;

    fn texts(record: &DuelRecord) -> String {
        let lines = notes(record).into_iter().map(|note| format!("{:?}: {}\n", note.tone, note.text));
        lines.collect::<Vec<_>>().concat()
    }

    #[test]
    fn faults_replace_the_good_note() {
        let mut record = record(vec![point(1, 100.0), point(100, 200.0)]);
        assert!(texts(&record).contains("Good: All 12,000 answers arrived"), "{}", texts(&record));
        record.points[1].runs[1].result.faults = vec![("lost", 2)];
        record.points[1].runs[3].result.faults = vec![("lost", 1)];
        record.points[1].runs[5].result.faults = vec![("lost", 0)];
        let text = texts(&record);
        let bad = "Bad: Something went wrong at 100 connections, threads: 3 answers never arrived.";
        assert!(text.starts_with(bad), "{text}");
        assert!(!text.contains("Good:") && !record.is_faultless());
    }

    #[test]
    fn each_limit_of_the_figures_has_a_note() {
        let mut record = record(vec![point(1, 100.0), point(10, 100.0), point(100, 200.0)]);
        record.setup.pinned = None;
        record.points[0].runs[0].result.generator.bottleneck = Some("busy");
        record.points[1].runs[1].result.generator.bottleneck = Some("busy");
        record.points.push(DuelPoint {
            connections: 9,
            skipped: Some("no".into()),
            complete: false,
            runs: vec![],
            comparisons: vec![],
        });
        let text = texts(&record);
        for words in [
            "Note: The load generator was the limit, not the server, in at least one run at 1, 10 connections.",
            "Note: 9 connections could not be measured: no.",
            "Note: Servers and load shared processors",
            "Note: With 3 rounds an interval holds the true ratio in at most 75 of 100 cases; with 6 or more in 95.",
        ] {
            assert!(text.contains(words), "{words} is not in {text}");
        }
    }

    #[test]
    fn a_late_generator_and_a_full_server_have_their_notes() {
        let mut record = record(vec![point(10, 100.0)]);
        record.setup.load.rate_per_second = Some(1_000.0);
        record.points[0].runs[0].result.generator.bottleneck = Some("late");
        let late =
            "Note: The load generator sent late, which the latency includes, in at least one run at 10 connections.";
        assert!(texts(&record).contains(late), "{}", texts(&record));
        record.points[0].runs[0].result.generator.bottleneck = Some("busy");
        record.points[0].runs[0].result.server.as_mut().unwrap().at_limit = true;
        let both =
            "Note: The load generator and the server were both at their limits in at least one run at 10 connections.";
        assert!(texts(&record).contains(both), "{}", texts(&record));
    }

    #[test]
    fn an_engine_below_the_rate_is_noted() {
        let mut record = record(vec![point(10, 100.0)]);
        record.setup.load.rate_per_second = Some(1_000.0);
        for run in &mut record.points[0].runs {
            (run.result.due, run.result.unanswered) = (Some(1_000), Some(0));
        }
        let text = texts(&record);
        assert!(text.contains("Good: All ") && !text.contains("did not reach"), "{text}");
        // Every answer arrived, but half of them after the measured time.
        record.points[0].runs[1].result.answered = Some(500);
        let text = texts(&record);
        assert!(text.contains("Note: The threads engine did not reach 1,000 /s at 10 connections"), "{text}");
        record.points[0].runs[1].result.unanswered = Some(1_234);
        let text = texts(&record);
        assert!(text.contains("1,234 answers outstanding") && !text.contains("Good:"), "{text}");
    }

    #[test]
    fn a_rate_is_not_compared_with_an_equal_one_or_with_that_of_a_shortened_run() {
        let mut record = record(vec![point(10, 100.0)]);
        record.setup.load.rate_per_second = Some(100.0);
        for run in &mut record.points[0].runs {
            (run.result.due, run.result.unanswered) = (Some(1_000), Some(0));
        }
        record.points[0].runs[1].result.unanswered = Some(1);
        let text = texts(&record);
        let words = "The threads engine did not keep up at 10 connections: 1 answer outstanding at the end of a run.";
        assert!(text.contains(words), "{text}");
        record.points[0].runs[1].result.ended_early = Some("no_connections");
        let text = texts(&record);
        assert!(!text.contains("did not"), "{text}");
    }
}
