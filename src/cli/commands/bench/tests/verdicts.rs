//! What is said about a result.

use super::super::record::{FindMax, Record};
use super::super::{verdict, words};
use super::{NONE, distribution, record, search};
use crate::cli::report::page::Tone;
use switchboard::load::Faults;

/// What is said about a result besides that all is well.
fn notes(change: impl FnOnce(&mut Record)) -> Vec<(Tone, String)> {
    let mut record = record();
    change(&mut record);
    let verdicts = verdict::of(&record).into_iter();
    verdicts.filter(|verdict| verdict.tone != Tone::Good).map(|verdict| (verdict.tone, verdict.text)).collect()
}

#[test]
fn a_good_result_needs_no_note() {
    assert_eq!(notes(|_| ()), []);
    assert!(record().verdicts[0].text.starts_with("All 617,280 answers came"));
}

#[test]
fn what_is_not_to_be_read_into_the_figures_is_said() {
    type Change = fn(&mut Record);
    let changes: [(Change, Tone, &str); 9] = [
        (
            |record| (record.generator.busy, record.generator.bottleneck) = (0.97, Some("busy")),
            Tone::Note,
            "The generator was busy 97 % of the time",
        ),
        (
            |record| {
                (record.generator.send_lag_ns, record.generator.bottleneck) = (Some(distribution(9_000)), Some("late"));
            },
            Tone::Note,
            "One in a hundred messages left the generator 1.08 ms or more",
        ),
        (
            |record| (record.due, record.load.rate_per_second) = (Some(1_000_000), Some(200e3)),
            Tone::Note,
            "Of 200,000 /s that were asked for, 123,456 /s",
        ),
        (|record| record.server.as_mut().unwrap().cores = 0.99, Tone::Note, "The server used 99 % of its processor"),
        (|record| record.target.pinned = None, Tone::Note, "The server and the load were not given processors"),
        (
            |record| record.machine.profile = "debug".to_owned(),
            Tone::Note,
            "This program was built without optimisation",
        ),
        (
            |record| (record.ended_early, record.elapsed_ns) = (Some("signal"), 300_000_000),
            Tone::Note,
            "It ended early: it was told to end, after 300 ms of 5 s",
        ),
        (|record| record.messages = 0, Tone::Bad, "Not one message was answered"),
        (
            |record| record.faults = Faults { lost: 2, corrupted: 1, broken: 1_000, ..NONE },
            Tone::Bad,
            "Something went wrong: 2 answers never came, 1 answer differs from what was sent, 1,000 connections were",
        ),
    ];
    for (change, tone, says) in changes {
        let notes = notes(change);
        let [(of, text)] = &notes[..] else { panic!("{says}: {notes:?}") };
        assert!(*of == tone && text.starts_with(says), "{says}: {text}");
    }
}

#[test]
fn of_two_that_are_full_neither_is_said_to_have_room() {
    let notes = notes(|record| {
        (record.generator.busy, record.generator.bottleneck) = (0.97, Some("busy"));
        record.server.as_mut().unwrap().cores = 0.99;
    });
    assert!(
        notes[0]
            .1
            .ends_with("97 % of the time and the server was at its limit too: each may have held the other back.")
    );
}

#[test]
fn not_all_came_while_some_are_awaited() {
    let asked = |record: &mut Record| {
        (record.load.rate_per_second, record.due, record.unanswered) = (Some(130e3), Some(617_380), Some(100));
    };
    let notes = notes(asked);
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].1.ends_with("byte for byte; 100 were still awaited when the run ended."), "{notes:?}");
    assert!(notes[1].1.starts_with("Of 130,000 /s that were asked for, 123,456 /s were answered"), "{notes:?}");
}

#[test]
fn what_came_after_the_measured_time_does_not_keep_a_rate() {
    let late = |record: &mut Record| {
        (record.load.rate_per_second, record.due, record.unanswered) = (Some(123_456.0), Some(617_280), Some(0));
        record.answered = 300_000;
    };
    assert!(notes(late)[0].1.starts_with("Of 123,456 /s that were asked for"));
}

#[test]
fn a_run_that_ended_early_says_why_and_a_search_only_that_it_did() {
    let left = |record: &mut Record| (record.ended_early, record.elapsed_ns) = (Some("no_connections"), 0);
    let text = "It ended early: there was no connection for a second, before the measured time.";
    assert_eq!(notes(left), [(Tone::Note, text.to_owned())]);
    let mut record = record();
    left(&mut record);
    assert!(
        words::load(&record).ends_with("under way on each; ended early, in the warm-up."),
        "{}",
        words::load(&record)
    );
    record.elapsed_ns = record.load.duration_ns;
    (record.find_max, record.interrupted, record.ended_early) = (Some(search()), true, Some("signal"));
    record.find_max.as_mut().unwrap().ended = "stopped";
    let said: Vec<_> = verdict::of(&record).into_iter().map(|verdict| verdict.text).collect();
    assert_eq!(said[0], "p99<5ms holds at 20,000 /s; the search ended early: it was told to end.");
    assert!(said.iter().skip(1).all(|text| !text.contains("ended early")), "{said:?}");
}

#[test]
fn a_search_fails_when_nothing_holds_or_an_answer_was_wrong_at_any_rate() {
    let failure = |change: fn(&mut FindMax)| {
        let mut search = search();
        change(&mut search);
        verdict::failure(&Record { find_max: Some(search), ..record() })
    };
    assert_eq!(failure(|_| ()), None);
    let lost = Faults { lost: 7, broken: 1, ..NONE };
    assert_eq!(verdict::failure(&Record { faults: lost, ..record() }).unwrap().split(',').count(), 2);
    assert_eq!(failure(|search| search.steps[1].faults = Faults { lost: 7, broken: 1, ..NONE }), None);
    let wrong = failure(|search| search.steps[1].faults = Faults { reordered: 1, ..NONE });
    assert_eq!(wrong.as_deref(), Some("1 answer came after a later one"));
    let nothing = failure(|search| search.rate_per_second = None);
    assert_eq!(nothing.as_deref(), Some("p99<5ms holds at no rate that was tried."));
}
