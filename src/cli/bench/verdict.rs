//! What follows from the figures, in words: what went wrong, and what is not to be read into them.

use serde::Serialize;
use switchboard::bench::Faults;

use super::record::{FindMax, Record};
use crate::cli::measure::record;
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
    match record::words(&record.faults) {
        Some(what) => say(Tone::Bad, format!("Something went wrong: {what}.")),
        None if record.messages == 0 => say(Tone::Bad, "Not one message was answered.".to_owned()),
        None => {
            let (tone, text) = right(record);
            say(tone, text);
        }
    }
    let notes =
        [ended_early(record), debug(record), busy(record), lag(record), behind(record), full(record), together(record)];
    notes.into_iter().flatten().for_each(|text| say(Tone::Note, text));
    verdicts
}

/// Why the exit code is not zero, if it is not.
pub(super) fn failure(record: &Record) -> Option<String> {
    let Some(search) = &record.find_max else {
        let nothing = record.messages == 0 && record.load.activity != "idle";
        return record::words(&record.faults).or(nothing.then(|| "not one message was answered".to_owned()));
    };
    // A search goes beyond what a server can carry, and what is lost there is what it looks for. A wrong answer is wrong anywhere.
    let lies = |faults: &Faults| Faults { lost: 0, refused: 0, broken: 0, ..*faults };
    let lie = search.steps.iter().find_map(|step| record::words(&lies(&step.faults)));
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
    let why = why_early(record).map(|why| format!(": {why}")).unwrap_or_default();
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

fn ended_early(record: &Record) -> Option<String> {
    // The result of a search is that of a rate that was tried to its end.
    let why = why_early(record).filter(|_| record.find_max.is_none())?;
    let (elapsed, planned) = (record.elapsed_ns, record.load.duration_ns);
    let nanos = |nanos: u64| figure::short_time(std::time::Duration::from_nanos(nanos));
    let after = match elapsed {
        0 => "before the measured time".to_owned(),
        _ => format!("after {} of {}", nanos(elapsed), nanos(planned)),
    };
    Some(format!("It ended early: {why}, {after}."))
}

/// Why there was no more of it.
pub(super) fn why_early(record: &Record) -> Option<&'static str> {
    match record.ended_early {
        Some("no_connections") => Some("there was no connection for a second"),
        Some("server_ended") => Some("the server ended"),
        Some(_) => Some("it was told to end"),
        None => None,
    }
}

fn debug(record: &Record) -> Option<String> {
    let what = "This program was built without optimisation: its figures are not to be compared with anything.";
    record.machine.is_debug_build().then(|| what.to_owned())
}

/// Its own limit may be what was measured.
fn busy(record: &Record) -> Option<String> {
    let busy = figure::percent(record.generator.busy);
    let generator = format!("The generator was busy {busy} of the time");
    (record.generator.bottleneck == Some("busy")).then(|| match full(record) {
        None => format!("{generator}, so its own limit is what was measured: the server may be able to do more."),
        Some(_) => format!("{generator} and the server was at its limit too: each may have held the other back."),
    })
}

fn lag(record: &Record) -> Option<String> {
    let lag = record.generator.send_lag_ns.as_ref()?;
    (record.generator.bottleneck == Some("late")).then(|| {
        format!(
            "One in a hundred messages left the generator {} or more after it was due, which is part of the latency: the \
             generator or its machine was late, not the server.",
            figure::nanos_of(lag.p99)
        )
    })
}

/// An open loop that was too much.
fn behind(record: &Record) -> Option<String> {
    let (asked, due) = (record.load.rate_per_second?, record.due?);
    (!record::kept_up(record.answered, due, record.unanswered.unwrap_or(0))).then(|| {
        format!(
            "Of {} that were asked for, {} were answered: the server or the generator does not keep up, and latency grows as \
             long as that goes on.",
            figure::rate(asked),
            figure::rate(record.messages_per_second)
        )
    })
}

fn full(record: &Record) -> Option<String> {
    let server = record.server.as_ref()?;
    let has = if server.threads == 1 { 1 } else { record.target.pinned.as_ref()?.server_cpus.len() };
    let part = server.cores / figure::float(has as u64);
    (part >= record::FULL).then(|| {
        let all = if has == 1 { "its processor".to_owned() } else { format!("its {has} processors") };
        format!("The server used {} of {all}: this is about as much as it can do.", figure::percent(part.min(1.0)))
    })
}

/// A server of its own that could not be kept apart.
fn together(record: &Record) -> Option<String> {
    (record.target.own && record.target.pinned.is_none()).then(|| {
        "The server and the load were not given processors of their own, so each also measures how the other was scheduled."
            .to_owned()
    })
}
