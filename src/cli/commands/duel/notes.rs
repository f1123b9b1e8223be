//! Notes on a duel: whether every answer was right, and what limits the figures.

use switchboard::load::Faults;

use super::findings::list_points;
use super::record::{DuelEngine, DuelNote, DuelPoint, DuelRecord, DuelRun};
use super::statistics::CONFIDENCE;
use crate::cli::report::figure;
use crate::cli::report::page::Tone;
use crate::cli::report::rates;
use crate::cli::report::text::{self, connections_text};

/// Confidence below which a lead proves nothing.
const MIN_CONFIDENCE: f64 = 0.9;

/// Returns all notes: the bad ones, then the good one, then the limits of the figures.
pub(super) fn notes(record: &DuelRecord) -> Vec<DuelNote> {
    let bad = [faults(record), debug_build(record)].into_iter().flatten();
    let bad = bad.map(|text| DuelNote { tone: Tone::Bad, text });
    let good = all_right(record).into_iter().map(|text| DuelNote { tone: Tone::Good, text });
    let rates = [DuelEngine::Reactor, DuelEngine::Threads].map(|engine| rate_note(record, engine));
    let notes = [interrupted(record)].into_iter().chain(rates).chain(bottlenecks(record).into_iter().map(Some));
    let notes = notes.chain([Some(processors(record)), no_server_figures(record), few_rounds(record)]).flatten();
    let notes = record.points.iter().filter_map(skipped).chain(notes);
    bad.chain(good).chain(notes.map(|text| DuelNote { tone: Tone::Note, text })).collect()
}

fn faults(record: &DuelRecord) -> Option<String> {
    let mut texts = Vec::new();
    for point in &record.points {
        for engine in [DuelEngine::Reactor, DuelEngine::Threads] {
            let mut sum = Faults::default();
            point.runs_of(engine).for_each(|run| sum += run.faults);
            let place = format!("{}, {}", connections_text(point.connections), engine.name());
            texts.extend(rates::faults_text(&sum).map(|faults| format!("{faults} ({place})")));
        }
    }
    (!texts.is_empty()).then(|| format!("Something went wrong, so these figures do not count: {}.", texts.join("; ")))
}

fn all_right(record: &DuelRecord) -> Option<String> {
    let runs = || record.points.iter().flat_map(|point| &point.runs);
    let answers: u64 = runs().map(|run| run.messages).sum();
    let none_outstanding = runs().all(|run| run.unanswered.unwrap_or(0) == 0);
    let correctly = text::correctness_text(record.setup.payload_min_bytes);
    let text = format!("All {} answers arrived, {correctly}.", figure::count(answers));
    (answers > 0 && record.is_faultless() && none_outstanding).then_some(text)
}

fn debug_build(record: &DuelRecord) -> Option<String> {
    let text = "This is a debug build: its figures are valid for neither engine.";
    record.machine.is_debug_build().then(|| text.to_owned())
}

fn skipped(point: &DuelPoint) -> Option<String> {
    let reason = point.skipped.as_ref()?;
    Some(format!("{} could not be measured: {reason}.", connections_text(point.connections)))
}

fn interrupted(record: &DuelRecord) -> Option<String> {
    let text = "The duel ended early: only points whose rounds were all run are compared.";
    record.interrupted.then(|| text.to_owned())
}

/// Returns the points at which the generator limited the figures, with the kind of limit.
fn bottlenecks(record: &DuelRecord) -> Vec<String> {
    let server_at_limit = |run: &DuelRun| run.server.as_ref().is_some_and(|server| server.at_limit);
    let has_bottleneck = |run: &DuelRun, name: &str| run.generator.bottleneck == Some(name);
    let figures = if record.setup.rate_per_second.is_some() { "latency" } else { "throughput and latency" };
    let advice = "CPU per message is affected least.";
    let notes = [
        points_with(record, |run| has_bottleneck(run, "busy") && !server_at_limit(run)).map(|points| {
            format!(
                "At {points} the load generator was at its limit in at least one run and the server was not: the faster engine \
                 may be faster than {figures} there can show. {advice}"
            )
        }),
        points_with(record, |run| has_bottleneck(run, "busy") && server_at_limit(run)).map(|points| {
            format!(
                "At {points} the server and the load generator were both at their limits in at least one run: this may have \
                 capped the {figures} of the faster engine. {advice}"
            )
        }),
        points_with(record, |run| has_bottleneck(run, "late")).map(|points| {
            format!(
                "At {points} the load generator sent 1 % of the messages late in at least one run, by more than a millisecond \
                 and a quarter of the latency: that latency is not the server's alone."
            )
        }),
    ];
    notes.into_iter().flatten().collect()
}

/// Lists the complete points with a run for which `predicate` is true.
fn points_with(record: &DuelRecord, predicate: impl Fn(&DuelRun) -> bool) -> Option<String> {
    list_points(&record.complete_points().filter(|point| point.runs.iter().any(&predicate)).collect::<Vec<_>>())
}

/// Returns a note if an engine did not reach the rate of an open loop.
fn rate_note(record: &DuelRecord, engine: DuelEngine) -> Option<String> {
    let rate = figure::rate(record.setup.rate_per_second?);
    let is_behind = |point: &&DuelPoint| point.runs_of(engine).any(|run| !run.kept_up());
    let points: Vec<_> = record.points.iter().filter(is_behind).collect();
    let slow_runs = points.iter().flat_map(|point| point.runs_of(engine)).filter(|run| !run.kept_up());
    let slow_runs: Vec<_> = slow_runs.collect();
    let lowest = slow_runs.iter().map(|run| run.messages_per_second).fold(f64::INFINITY, f64::min);
    let outstanding: u64 = slow_runs.iter().filter_map(|run| run.unanswered).sum();
    let outstanding = if outstanding > 0 {
        format!(" {} answers were outstanding when a run ended.", figure::count(outstanding))
    } else {
        String::new()
    };
    list_points(&points).map(|points| {
        format!(
            "At {points} the {} engine did not reach {rate} in at least one run; its lowest rate was {}. Latency there grows \
             with the length of a run.{outstanding}",
            engine.name(),
            figure::rate(lowest)
        )
    })
}

fn processors(record: &DuelRecord) -> String {
    match &record.setup.pinned {
        None => "Servers and load shared processors, so each figure also depends on how the system scheduled the two."
            .to_owned(),
        Some(pinned) if pinned.server_cpus.len() > 1 => format!(
            "Each server had {} processors. Threads can use them all. The reactor is one thread and by design uses one.",
            pinned.server_cpus.len()
        ),
        Some(_) => {
            "Each server had one processor, so threads could not run in parallel. On a larger machine they could."
                .to_owned()
        }
    }
}

fn no_server_figures(record: &DuelRecord) -> Option<String> {
    let is_missing = record.points.iter().flat_map(|point| &point.runs).any(|run| run.server.is_none());
    is_missing.then(|| {
        "This system does not report the usage of other processes, so CPU and memory figures are missing.".to_owned()
    })
}

/// Returns a note if the rounds are too few for the intended confidence.
fn few_rounds(record: &DuelRecord) -> Option<String> {
    let rounds = record.setup.rounds;
    let false_leads = (1.0 - record.confidence) * 100.0;
    let advice = if record.confidence < MIN_CONFIDENCE {
        "too many to trust one; take more rounds"
    } else {
        "with 6 rounds or more it is 5"
    };
    (record.confidence < CONFIDENCE).then(|| {
        format!(
            "With {rounds} rounds an interval is the range of their ratios, and holds the true ratio in at most {:.0} of 100 \
             cases: of 100 draws, {false_leads:.0} look like a lead, {advice}.",
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
        record.points[1].runs[1].faults.lost = 2;
        record.points[1].runs[3].faults.lost = 1;
        let text = texts(&record);
        assert!(
            text.starts_with("Bad: Something went wrong")
                && text.contains("3 answers never arrived (100 connections, threads)"),
            "{text}"
        );
        assert!(!text.contains("Good:") && !record.is_faultless());
    }

    #[test]
    fn each_limit_of_the_figures_has_a_note() {
        let mut record = record(vec![point(1, 100.0), point(10, 100.0), point(100, 200.0)]);
        record.setup.pinned = None;
        record.points[0].runs[0].generator.bottleneck = Some("busy");
        record.points[1].runs[1].generator.bottleneck = Some("busy");
        record.points.push(DuelPoint {
            connections: 9,
            skipped: Some("no".into()),
            complete: false,
            runs: vec![],
            comparisons: vec![],
        });
        let text = texts(&record);
        for words in [
            "Note: At 1 and 10 connections the load generator was at its limit in at least one run and the server was not",
            "Note: 9 connections could not be measured: no.",
            "Note: Servers and load shared processors",
            "With 3 rounds an interval is the range of their ratios, and holds the true ratio in at most 75 of 100 cases",
        ] {
            assert!(text.contains(words), "{words} is not in {text}");
        }
    }

    #[test]
    fn a_late_generator_and_a_full_server_have_their_notes() {
        let mut record = record(vec![point(10, 100.0)]);
        record.setup.rate_per_second = Some(1_000.0);
        record.points[0].runs[0].generator.bottleneck = Some("late");
        let text = texts(&record);
        assert!(
            text.contains(
                "Note: At 10 connections the load generator sent 1 % of the messages late in at least one run"
            ),
            "{text}"
        );
        record.points[0].runs[0].generator.bottleneck = Some("busy");
        record.points[0].runs[0].server.as_mut().unwrap().at_limit = true;
        let text = texts(&record);
        assert!(
            text.contains(
                "both at their limits in at least one run: this may have capped the latency of the faster engine."
            ),
            "{text}"
        );
    }

    #[test]
    fn an_engine_below_the_rate_is_noted() {
        let mut record = record(vec![point(10, 100.0)]);
        record.setup.rate_per_second = Some(1_000.0);
        for run in &mut record.points[0].runs {
            (run.due, run.unanswered) = (Some(1_000), Some(0));
        }
        let text = texts(&record);
        assert!(text.contains("Good: All ") && !text.contains("did not reach"), "{text}");
        // Every answer arrived, but half of them after the measured time.
        record.points[0].runs[1].answered = 500;
        let text = texts(&record);
        assert!(text.contains("Note: At 10 connections the threads engine did not reach 1,000 /s"), "{text}");
        record.points[0].runs[1].unanswered = Some(1_234);
        let text = texts(&record);
        assert!(text.contains("1,234 answers were outstanding") && !text.contains("Good:"), "{text}");
    }
}
