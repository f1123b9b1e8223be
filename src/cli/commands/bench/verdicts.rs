//! The conclusions from a result of `bench echo`, one sentence each: faults, the outcome of a
//! search, and what limits the figures.

use switchboard::load::Faults;

use super::notes::{self, NoteInputs};
use super::record::{BenchVerdict, EchoRecord, SearchRecord};
use crate::cli::report::rates;
use crate::cli::report::{figure, page::Tone, text};

/// Returns all conclusions, the outcome first.
pub(super) fn verdicts(record: &EchoRecord) -> Vec<BenchVerdict> {
    let mut verdicts = Vec::new();
    let mut push = |tone, text| verdicts.push(BenchVerdict { tone, text });
    if let Some(search) = &record.find_max {
        let (tone, text) = search_verdict(record, search);
        push(tone, text);
    }
    match rates::faults_text(&record.faults) {
        Some(faults) => push(Tone::Bad, format!("Something went wrong: {faults}.")),
        None if record.messages == 0 => push(Tone::Bad, "No message was answered.".to_owned()),
        None => {
            let (tone, text) = faultless_verdict(record);
            push(tone, text);
        }
    }
    let inputs = NoteInputs {
        // The result of a search belongs to a rate whose run was completed.
        ended_early: record.ended_early.filter(|_| record.find_max.is_none()),
        elapsed_ns: record.elapsed_ns,
        duration_ns: record.load.duration_ns,
        machine: &record.machine,
        target: &record.target,
        generator: &record.generator,
        server: record.server.as_ref(),
    };
    inputs.notes(rate_note(record)).into_iter().for_each(|text| push(Tone::Note, text));
    verdicts
}

/// Returns the reason for a nonzero exit code.
pub(super) fn failure(record: &EchoRecord) -> Option<String> {
    let Some(search) = &record.find_max else {
        let is_unanswered = record.messages == 0 && record.load.activity != "idle";
        return rates::faults_text(&record.faults).or(is_unanswered.then(|| "no message was answered".to_owned()));
    };
    // A search overloads the server on purpose, so answers lost there are expected. A wrong answer
    // is a fault at any rate.
    let wrong_answers = |faults: &Faults| Faults { lost: 0, refused: 0, broken: 0, ..*faults };
    let wrong = search.steps.iter().find_map(|step| rates::faults_text(&wrong_answers(&step.faults)));
    wrong.or(search.rate_per_second.is_none().then(|| search_verdict(record, search).1))
}

/// Returns the verdict of a run without faults.
fn faultless_verdict(record: &EchoRecord) -> (Tone, String) {
    let messages = figure::count(record.messages);
    let correctly = text::correctness_text(record.load.payload_min_bytes);
    match record.unanswered.unwrap_or(0) {
        0 => (Tone::Good, format!("All {messages} answers arrived, {correctly}.")),
        unanswered => (
            Tone::Note,
            format!(
                "{messages} answers arrived, {correctly}; {} were outstanding when the run ended.",
                figure::count(unanswered)
            ),
        ),
    }
}

/// Returns the outcome of a search.
fn search_verdict(record: &EchoRecord, search: &SearchRecord) -> (Tone, String) {
    let reason = record.ended_early.map(notes::early_end_reason);
    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    let objective = &search.slo.text;
    let rate = search.rate_per_second.map(figure::rough_rate);
    match (rate, search.ended) {
        (Some(rate), "found") => {
            (Tone::Good, format!("{objective} holds up to about {rate}; the figures are those of that rate."))
        }
        (Some(rate), "generator") => (
            Tone::Note,
            format!(
                "{objective} holds at {rate}; above that the load generator is the limit, and the server may carry more."
            ),
        ),
        (Some(rate), _) => (Tone::Note, format!("{objective} holds at {rate}; the search ended early{reason}.")),
        (None, "generator") => {
            (Tone::Bad, format!("{objective} held at no rate, and the load generator was the limit."))
        }
        (None, "stopped") => {
            (Tone::Note, format!("The search ended early, before {objective} held at any rate{reason}."))
        }
        (None, _) => (Tone::Bad, format!("{objective} holds at no rate that was tried.")),
    }
}

/// Returns a note if an open loop did not reach its rate.
fn rate_note(record: &EchoRecord) -> Option<String> {
    let (asked, due) = (record.load.rate_per_second?, record.due?);
    (!rates::kept_up(record.answered, due, record.unanswered.unwrap_or(0))).then(|| {
        format!(
            "The rate was not reached: of {}, {} were answered. The server or the load generator is overloaded, and latency \
             grows with the length of the run.",
            figure::rate(asked),
            figure::rate(record.messages_per_second)
        )
    })
}
