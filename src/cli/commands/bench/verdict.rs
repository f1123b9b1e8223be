//! What follows from the figures, in words: what went wrong, and what is not to be read into them.

use serde::Serialize;
use switchboard::load::Faults;

use super::notes::{self, Circumstances};
use super::record::{FindMax, Record};
use crate::cli::report::rates;
use crate::cli::report::{figure, page::Tone, words};

/// A sentence about a result.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Verdict {
    pub(super) tone: Tone,
    pub(super) text: String,
}

/// All that is to be said.
pub(super) fn of(record: &Record) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let mut say = |tone, text| verdicts.push(Verdict { tone, text });
    if let Some(search) = &record.find_max {
        let (tone, text) = found(record, search);
        say(tone, text);
    }
    match rates::words(&record.faults) {
        Some(what) => say(Tone::Bad, format!("Something went wrong: {what}.")),
        None if record.messages == 0 => say(Tone::Bad, "Not one message was answered.".to_owned()),
        None => {
            let (tone, text) = right(record);
            say(tone, text);
        }
    }
    let circumstances = Circumstances {
        // The result of a search is that of a rate that was tried to its end.
        ended_early: record.ended_early.filter(|_| record.find_max.is_none()),
        elapsed_ns: record.elapsed_ns,
        duration_ns: record.load.duration_ns,
        machine: &record.machine,
        target: &record.target,
        generator: &record.generator,
        server: record.server.as_ref(),
    };
    circumstances.notes(behind(record)).into_iter().for_each(|text| say(Tone::Note, text));
    verdicts
}

/// Why the exit code is not zero, if it is not.
pub(super) fn failure(record: &Record) -> Option<String> {
    let Some(search) = &record.find_max else {
        let nothing = record.messages == 0 && record.load.activity != "idle";
        return rates::words(&record.faults).or(nothing.then(|| "not one message was answered".to_owned()));
    };
    // A search goes beyond what a server can carry, and what is lost there is what it looks for. A wrong answer is wrong anywhere.
    let lies = |faults: &Faults| Faults { lost: 0, refused: 0, broken: 0, ..*faults };
    let lie = search.steps.iter().find_map(|step| rates::words(&lies(&step.faults)));
    lie.or(search.rate_per_second.is_none().then(|| found(record, search).1))
}

/// Of a run in which nothing went wrong: whether that is all that can be said.
fn right(record: &Record) -> (Tone, String) {
    let messages = figure::count(record.messages);
    let rightly = words::rightly(record.load.payload_min_bytes);
    match record.unanswered.unwrap_or(0) {
        0 => (Tone::Good, format!("All {messages} answers came, {rightly}.")),
        awaited => (
            Tone::Note,
            format!(
                "{messages} answers came, {rightly}; {} were still awaited when the run ended.",
                figure::count(awaited)
            ),
        ),
    }
}

/// What a search has come to.
fn found(record: &Record, search: &FindMax) -> (Tone, String) {
    let why = record.ended_early.map(notes::why_early).map(|why| format!(": {why}")).unwrap_or_default();
    let objective = &search.slo.text;
    let rate = search.rate_per_second.map(figure::rough_rate);
    match (rate, search.ended) {
        (Some(rate), "found") => {
            (Tone::Good, format!("{objective} holds up to about {rate}; the figures are those of that rate."))
        }
        (Some(rate), "generator") => (
            Tone::Note,
            format!(
                "{objective} holds at {rate}; beyond that the generator is the limit, and the server may carry more."
            ),
        ),
        (Some(rate), _) => (Tone::Note, format!("{objective} holds at {rate}; the search ended early{why}.")),
        (None, "generator") => (Tone::Bad, format!("{objective} held at no rate, and the generator was the limit.")),
        (None, "stopped") => (Tone::Note, format!("The search ended early, before {objective} held at any rate{why}.")),
        (None, _) => (Tone::Bad, format!("{objective} holds at no rate that was tried.")),
    }
}

/// An open loop that was too much.
fn behind(record: &Record) -> Option<String> {
    let (asked, due) = (record.load.rate_per_second?, record.due?);
    (!rates::kept_up(record.answered, due, record.unanswered.unwrap_or(0))).then(|| {
        format!(
            "Of {} that were asked for, {} were answered: the server or the generator does not keep up, and latency grows as \
             long as that goes on.",
            figure::rate(asked),
            figure::rate(record.messages_per_second)
        )
    })
}
