//! What follows from the figures, in words: what went wrong, and what is not to be read into them.

use serde::Serialize;

use super::record::{Faults, FindMax, Record};
use crate::cli::report::{figure, page::Tone};

/// A sentence about a result.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Verdict {
    pub(super) tone: Tone,
    pub(super) text: String,
}

/// A server that uses more than this of a core, or of all it has, is taken to be at its limit.
const FULL: f64 = 0.95;
/// An open loop with fewer answers than this part of those that were due was too much.
const KEPT_UP: f64 = 0.99;

/// All that is to be said.
pub(super) fn of(record: &Record) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let mut say = |tone, text| verdicts.push(Verdict { tone, text });
    if let Some(search) = &record.find_max {
        let (tone, text) = found(search);
        say(tone, text);
    }
    match wrong(&record.faults) {
        Some(what) => say(Tone::Bad, format!("Something went wrong: {what}.")),
        None if record.messages == 0 => say(Tone::Bad, "Not one message was answered.".to_owned()),
        None => {
            let messages = figure::count(record.messages);
            say(
                Tone::Good,
                format!("All {messages} answers came, in their order, and are what was sent, byte for byte."),
            );
        }
    }
    let notes =
        [interrupted(record), debug(record), busy(record), lag(record), behind(record), full(record), together(record)];
    notes.into_iter().flatten().for_each(|text| say(Tone::Note, text));
    verdicts
}

/// Why the exit code is not zero, if it is not.
pub(super) fn failure(record: &Record) -> Option<String> {
    let Some(search) = &record.find_max else {
        let nothing = record.messages == 0 && record.load.activity != "idle";
        return wrong(&record.faults).or(nothing.then(|| "not one message was answered".to_owned()));
    };
    // A search goes beyond what a server can carry, and what is lost there is what it looks for. A wrong answer is wrong anywhere.
    let lies = |faults: &Faults| Faults { lost: 0, refused: 0, broken: 0, ..*faults };
    let lie = search.steps.iter().find_map(|step| wrong(&lies(&step.faults)));
    lie.or(search.rate_per_second.is_none().then(|| found(search).1))
}

/// What went wrong, counted in words; none if nothing did.
pub(super) fn wrong(faults: &Faults) -> Option<String> {
    let words = |(name, count): (&str, u64)| {
        let (thing, things) = match name {
            "lost" => ("answer never came", "answers never came"),
            "duplicated" => ("answer came twice", "answers came twice"),
            "reordered" => ("answer came after a later one", "answers came after later ones"),
            "corrupted" => ("answer differs from what was sent", "answers differ from what was sent"),
            "refused" => ("connection could not be opened", "connections could not be opened"),
            _ => ("connection was broken off by the server", "connections were broken off by the server"),
        };
        format!("{} {}", figure::count(count), if count == 1 { thing } else { things })
    };
    let said: Vec<_> = faults.named().into_iter().filter(|(_, count)| *count > 0).map(words).collect();
    (!said.is_empty()).then(|| said.join(", "))
}

/// What a search has come to.
fn found(search: &FindMax) -> (Tone, String) {
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
        (Some(rate), _) => {
            (Tone::Note, format!("{objective} holds at {rate}; the search was ended before it was over."))
        }
        (None, "generator") => (Tone::Bad, format!("{objective} held at no rate, and the generator was the limit.")),
        (None, "stopped") => (Tone::Note, format!("The search was ended before {objective} held at any rate.")),
        (None, _) => (Tone::Bad, format!("{objective} holds at no rate that was tried.")),
    }
}

fn interrupted(record: &Record) -> Option<String> {
    let (elapsed, planned) = (record.elapsed_ns, record.load.duration_ns);
    let nanos = |nanos: u64| figure::short_time(std::time::Duration::from_nanos(nanos));
    record.interrupted.then(|| format!("It was ended early, after {} of {}.", nanos(elapsed), nanos(planned)))
}

fn debug(record: &Record) -> Option<String> {
    let what = "This program was built without optimisation: its figures are not to be compared with anything.";
    record.machine.is_debug_build().then(|| what.to_owned())
}

/// Its own limit may be what was measured.
fn busy(record: &Record) -> Option<String> {
    let busy = figure::percent(record.generator.busy);
    (record.generator.bottleneck == Some("busy")).then(|| {
        format!(
            "The generator was busy {busy} of the time, so its own limit is what was measured: the server may be able to do more."
        )
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
    (figure::float(record.messages) < figure::float(due) * KEPT_UP).then(|| {
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
    (part >= FULL).then(|| {
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
