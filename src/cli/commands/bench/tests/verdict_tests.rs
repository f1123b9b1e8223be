//! The verdicts and notes on a result, and the exit code.

use super::super::result::{BenchRecord, SearchRecord};
use super::super::{load_text, verdicts};
use super::{NO_FAULTS, distribution, record, search};
use crate::cli::report::document::Tone;
use switchboard::load::Faults;

/// Returns the verdicts of a changed record, except the good ones.
fn notes(change: impl FnOnce(&mut BenchRecord)) -> Vec<(Tone, String)> {
    let mut record = record();
    change(&mut record);
    let verdicts = verdicts::verdicts(&record).into_iter();
    verdicts.filter(|verdict| verdict.tone != Tone::Good).map(|verdict| (verdict.tone, verdict.text)).collect()
}

#[test]
fn a_good_result_has_no_note() {
    assert_eq!(notes(|_| ()), []);
    assert!(record().verdicts[0].text.starts_with("All 617,280 answers arrived"));
}

#[test]
fn each_limit_of_the_figures_has_a_note() {
    type Change = fn(&mut BenchRecord);
    let changes: [(Change, Tone, &str); 9] = [
        (
            |record| (record.run.generator.busy, record.run.generator.bottleneck) = (0.97, Some("busy")),
            Tone::Note,
            "The load generator was busy 97 % of the time",
        ),
        (
            |record| {
                (record.run.generator.send_lag_ns, record.run.generator.bottleneck) =
                    (Some(distribution(9_000)), Some("late"));
            },
            Tone::Note,
            "The load generator sent 1 % of the messages 1.08 ms or more",
        ),
        (
            |record| (record.run.due, record.load.rate_per_second) = (Some(1_000_000), Some(200e3)),
            Tone::Note,
            "The rate was not reached: of 200,000 /s, 123,456 /s",
        ),
        (
            |record| record.run.server.iter_mut().for_each(|server| (server.cores, server.at_limit) = (0.99, true)),
            Tone::Note,
            "The server used 99 % of its processor",
        ),
        (|record| record.target.pinned = None, Tone::Note, "Servers and load shared processors"),
        (|record| record.header.machine.profile = "debug".to_owned(), Tone::Note, "This is a debug build"),
        (
            |record| (record.run.ended_early, record.run.elapsed_ns) = (Some("signal"), 300_000_000),
            Tone::Note,
            "The run ended early: a signal stopped it, after 300 ms of 5 s",
        ),
        (|record| record.run.messages = 0, Tone::Bad, "No message was answered"),
        (
            |record| record.run.faults = Faults { lost: 2, corrupted: 1, broken: 1_000, ..NO_FAULTS }.named().to_vec(),
            Tone::Bad,
            "Something went wrong: 2 answers never arrived, 1 answer differs from what was sent, 1,000 connections were",
        ),
    ];
    for (change, tone, prefix) in changes {
        let notes = notes(change);
        let [(of, text)] = &notes[..] else { panic!("{prefix}: {notes:?}") };
        assert!(*of == tone && text.starts_with(prefix), "{prefix}: {text}");
    }
}

#[test]
fn generator_and_server_can_both_be_at_their_limit() {
    let notes = notes(|record| {
        (record.run.generator.busy, record.run.generator.bottleneck) = (0.97, Some("busy"));
        record.run.server.as_mut().unwrap().at_limit = true;
    });
    assert!(
        notes[0]
            .1
            .ends_with("97 % of the time, and the server was at its limit too: each may have slowed the other down.")
    );
}

#[test]
fn outstanding_answers_are_noted() {
    let asked = |record: &mut BenchRecord| {
        (record.load.rate_per_second, record.run.due, record.run.unanswered) = (Some(130e3), Some(617_380), Some(100));
    };
    let notes = notes(asked);
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].1.ends_with("byte for byte; 100 were outstanding when the run ended."), "{notes:?}");
    assert!(notes[1].1.starts_with("The rate was not reached: of 130,000 /s, 123,456 /s were answered"), "{notes:?}");
}

#[test]
fn late_answers_do_not_count_toward_the_rate() {
    let late = |record: &mut BenchRecord| {
        (record.load.rate_per_second, record.run.due, record.run.unanswered) =
            (Some(123_456.0), Some(617_280), Some(0));
        (record.run.answered, record.run.messages_per_second) = (Some(300_000), 60_000.0);
    };
    assert!(notes(late)[0].1.starts_with("The rate was not reached: of 123,456 /s,"));
}

/// Returns the figures of a text with their units, and fails if two neighbours are equal.
fn assert_compares_different_figures(text: &str) {
    let mut figures = Vec::new();
    let words: Vec<_> = text.split_whitespace().collect();
    for (index, word) in words.iter().enumerate().filter(|(_, word)| word.starts_with(|c: char| c.is_ascii_digit())) {
        let unit = words.get(index + 1).copied().unwrap_or_default();
        let unit = unit.trim_end_matches(['.', ',', ';', ':']);
        let is_unit = ["/s", "s", "ms", "µs", "ns", "%", "B", "KiB", "MiB"].contains(&unit);
        let number = word.trim_end_matches(['.', ',', ';', ':']).to_owned();
        figures.push(if is_unit { format!("{number} {unit}") } else { number });
    }
    assert!(figures.windows(2).all(|pair| pair[0] != pair[1]), "equal figures: {text}");
}

#[test]
fn no_sentence_compares_equal_figures() {
    let open = |record: &mut BenchRecord| {
        (record.load.rate_per_second, record.run.due, record.run.unanswered) =
            (Some(123_456.2), Some(617_281), Some(1));
    };
    for elapsed_ns in [4_999_999_999, 5_000_000_000, 5_000_000_001] {
        let mut early = record();
        (early.run.ended_early, early.run.elapsed_ns) = (Some("signal"), elapsed_ns);
        let mut kept = record();
        open(&mut kept);
        for verdict in verdicts::verdicts(&early).into_iter().chain(verdicts::verdicts(&kept)) {
            assert_compares_different_figures(&verdict.text);
        }
    }
    let notes = notes(open);
    assert!(notes.iter().all(|(_, text)| !text.contains("rate was not reached")), "{notes:?}");
}

#[test]
fn a_run_that_ended_early_is_not_judged_by_its_rate() {
    let notes = notes(|record| {
        (record.load.rate_per_second, record.run.due, record.run.unanswered) =
            (Some(200e3), Some(400_000), Some(153_088));
        (record.run.ended_early, record.run.elapsed_ns) = (Some("signal"), 2_000_000_000);
    });
    let texts: Vec<_> = notes.iter().map(|(_, text)| text.as_str()).collect();
    assert!(texts.iter().any(|text| text.contains("153,088 were outstanding when the run ended")), "{texts:?}");
    assert!(texts.iter().all(|text| !text.contains("rate was not reached")), "{texts:?}");
}

#[test]
fn a_search_names_only_rates_that_it_tried() {
    let verdict = |ended| {
        let search = SearchRecord { ended, ..search() };
        verdicts::verdicts(&BenchRecord { find_max: Some(search), ..record() })[0].text.clone()
    };
    assert_eq!(
        verdict("generator"),
        "p99<5ms holds at 20,000 /s; at 40,000 /s the load generator was the limit, and the server may carry more."
    );
    let found = "p99<5ms holds at about 20,000 /s; the figures are those of this rate, the highest that held.";
    assert_eq!(verdict("found"), found);
}

#[test]
fn a_run_stopped_before_its_measured_time_is_not_wrong() {
    let notes = notes(|record| {
        (record.run.messages, record.run.answered, record.run.latency_ns) = (0, Some(0), None);
        (record.run.ended_early, record.run.elapsed_ns) = (Some("signal"), 0);
    });
    assert_eq!(notes, [(Tone::Note, "The run ended early: a signal stopped it, before the measured time.".to_owned())]);
}

#[test]
fn counts_of_one_are_singular() {
    let mut record = record();
    record.run.messages = 1;
    assert!(verdicts::verdicts(&record)[0].text.starts_with("1 answer arrived, in order and equal"));
    (record.run.unanswered, record.run.messages) = (Some(1), 2);
    let text = verdicts::verdicts(&record)[0].text.clone();
    assert!(text.ends_with("2 answers arrived, in order and equal to what was sent, byte for byte; 1 was outstanding when the run ended."), "{text}");
}

#[test]
fn an_early_end_is_noted_with_its_reason() {
    let left = |record: &mut BenchRecord| (record.run.ended_early, record.run.elapsed_ns) = (Some("no_connections"), 0);
    let text = "The run ended early: the server had no connection for a second, before the measured time.";
    assert_eq!(notes(left), [(Tone::Note, text.to_owned())]);
    let mut record = record();
    left(&mut record);
    assert!(
        load_text::load(&record).ends_with("in flight on each; ended early, in the warm-up."),
        "{}",
        load_text::load(&record)
    );
    record.run.elapsed_ns = record.load.duration_ns;
    (record.find_max, record.header.interrupted, record.run.ended_early) = (Some(search()), true, Some("signal"));
    record.find_max.as_mut().unwrap().ended = "stopped";
    let texts: Vec<_> = verdicts::verdicts(&record).into_iter().map(|verdict| verdict.text).collect();
    assert_eq!(texts[0], "p99<5ms holds at 20,000 /s; the search ended early: a signal stopped it.");
    assert!(texts.iter().skip(1).all(|text| !text.contains("ended early")), "{texts:?}");
}

#[test]
fn a_search_fails_if_no_rate_holds_or_an_answer_is_wrong() {
    let failure = |change: fn(&mut SearchRecord)| {
        let mut search = search();
        change(&mut search);
        verdicts::failure(&BenchRecord { find_max: Some(search), ..record() })
    };
    assert_eq!(failure(|_| ()), None);
    let lost = Faults { lost: 7, broken: 1, ..NO_FAULTS };
    let mut faulty = record();
    faulty.run.faults = lost.named().to_vec();
    assert_eq!(verdicts::failure(&faulty).unwrap().split(',').count(), 2);
    assert_eq!(failure(|search| search.steps[1].faults = Faults { lost: 7, broken: 1, ..NO_FAULTS }), None);
    let wrong = failure(|search| search.steps[1].faults = Faults { reordered: 1, ..NO_FAULTS });
    assert_eq!(wrong.as_deref(), Some("1 answer arrived out of order"));
    let no_rate = failure(|search| search.rate_per_second = None);
    assert_eq!(no_rate.as_deref(), Some("p99<5ms holds at no rate that was tried."));
}
