//! The conclusions from a result, one sentence each: faults, the proof of a chat, the outcome of a
//! search, and what limits the figures.

use switchboard::load::Faults;

use super::notes::notes;
use super::result::{BenchRecord, ChatResult, SearchRecord};
use super::watcher::early_end_reason;
use crate::cli::report::document::{Finding, Tone};
use crate::cli::report::rates::faults_text;
use crate::cli::report::text::capitalized;
use crate::cli::report::{figure, text};

/// Returns all conclusions, the outcome first.
pub(super) fn verdicts(record: &BenchRecord) -> Vec<Finding> {
    let mut verdicts: Vec<_> = record.find_max.iter().map(|search| search_verdict(record, search)).collect();
    verdicts.extend(match (faults_text(record.target.service, &record.run.faults), &record.run.chat) {
        (Some(faults), _) => Some(Finding::new(Tone::Bad, format!("Something went wrong: {faults}."))),
        (None, Some(chat)) => proof_verdict(record, chat),
        (None, None) if record.run.messages == 0 => no_message_verdict(record, "answered"),
        (None, None) => Some(faultless_verdict(record)),
    });
    verdicts.extend(record.run.chat.iter().flat_map(server_faults));
    verdicts.extend(notes(record).into_iter().map(|text| Finding::new(Tone::Note, text)));
    verdicts
}

/// Returns the reason for a nonzero exit code.
pub(super) fn failure(record: &BenchRecord) -> Option<String> {
    let is_idle = record.load.activity == "idle";
    let faults = || faults_text(record.target.service, &record.run.faults);
    if let Some(chat) = &record.run.chat {
        let outstanding = chat.proof.awaited;
        return faults()
            .or((outstanding > 0).then(|| {
                let were = figure::counted(outstanding, "delivery was", "deliveries were");
                format!("{were} outstanding at the end")
            }))
            .or((chat.deliveries == 0 && !is_idle).then(|| "no message was delivered".to_owned()));
    }
    let Some(search) = &record.find_max else {
        return faults().or((record.run.messages == 0 && !is_idle).then(|| "no message was answered".to_owned()));
    };
    // A search overloads the server on purpose, so answers lost there are expected. A wrong answer
    // is a fault at any rate.
    let wrong_answers = |faults: &Faults| Faults { lost: 0, refused: 0, broken: 0, ..*faults };
    let wrong = search.steps.iter().find_map(|step| faults_text("echo", &wrong_answers(&step.faults).named()));
    wrong.or(search.rate_per_second.is_none().then(|| search_verdict(record, search).text))
}

/// Returns the verdict of a run without any answer or delivery. `None` if the run ended before the
/// measured time, in which case the note about that says enough.
fn no_message_verdict(record: &BenchRecord, verb: &str) -> Option<Finding> {
    match (record.ended_early(), record.run.elapsed_ns) {
        (None, _) => Some(Finding::new(Tone::Bad, format!("No message was {verb}."))),
        (Some(_), 0) => None,
        (Some(_), _) => Some(Finding::new(Tone::Note, format!("No message was {verb} before the run ended."))),
    }
}

/// Returns the verdict of a run without faults on an echo server.
fn faultless_verdict(record: &BenchRecord) -> Finding {
    let (messages, payload_min_bytes) = (record.run.messages, record.load.payload_min_bytes);
    match record.run.unanswered.unwrap_or(0) {
        0 => Finding::new(Tone::Good, text::all_answers_text(messages, payload_min_bytes)),
        unanswered => {
            let answers = figure::counted(messages, "answer", "answers");
            let correctly = text::correctness_text(payload_min_bytes);
            let were = figure::counted(unanswered, "was", "were");
            Finding::new(Tone::Note, format!("{answers} arrived, {correctly}; {were} outstanding when the run ended."))
        }
    }
}

/// Returns the verdict of a run without faults on a chat server.
fn proof_verdict(record: &BenchRecord, chat: &ChatResult) -> Option<Finding> {
    let proof = &chat.proof;
    let open = figure::count(record.run.connections.open_at_end as u64);
    let members = if open == "1" { "The one member".to_owned() } else { format!("Every one of {open} members") };
    let (ids, received) = (proof.ids, proof.received);
    let counts =
        format!("({}, {})", figure::counted(ids, "id", "ids"), figure::counted(received, "delivery", "deliveries"));
    if record.load.activity == "idle" {
        Some(joined_verdict(record))
    } else if proof.received == 0 {
        no_message_verdict(record, "delivered")
    } else if proof.awaited > 0 {
        let were = figure::counted(proof.awaited, "more delivery was", "more deliveries were");
        Some(Finding::new(
            Tone::Note,
            format!(
                "{members} received every id so far of its room once, in order {counts}; {were} outstanding when the run ended."
            ),
        ))
    } else {
        Some(Finding::new(Tone::Good, format!("{members} received every id of its room once, in order {counts}.")))
    }
}

/// Returns the verdict of a run without faults whose members only joined.
fn joined_verdict(record: &BenchRecord) -> Finding {
    let (open, wanted) = (record.run.connections.open_at_end, record.load.connections.unwrap_or(0));
    let members = figure::counted(wanted as u64, "member", "members");
    let after = figure::nanos_of(record.run.connections.all_open_after_ns);
    match record.ended_early() {
        Some(_) if open < wanted => {
            let open = figure::count(open as u64);
            Finding::new(Tone::Note, format!("{open} of {members} had joined when the run ended."))
        }
        Some(_) => Finding::new(Tone::Good, format!("All {members} had joined after {after}.")),
        None => Finding::new(Tone::Good, format!("All {members} had joined after {after} and stayed until the end.")),
    }
}

/// Returns the violations of the proof and the errors that the server reported.
fn server_faults(chat: &ChatResult) -> Vec<Finding> {
    let violations = chat.proof.violations.iter().map(|violation| format!("{}.", capitalized(&violation.text)));
    let errors = chat.server_errors.iter();
    let errors =
        errors.map(|error| format!("Server error for member {}: {}: {}", error.member, error.code, error.text));
    let mut faults: Vec<_> = violations.chain(errors).map(|text| Finding::new(Tone::Bad, text)).collect();
    if chat.server_errors.iter().any(|error| error.code == "flood") {
        faults.push(Finding::new(
            Tone::Note,
            "The server limits the message rate of a member: start it with --messages-per-second 0 to measure it.",
        ));
    }
    faults
}

/// Returns the outcome of a search.
fn search_verdict(record: &BenchRecord, search: &SearchRecord) -> Finding {
    let reason = record.run.ended_early.map(early_end_reason);
    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    let objective = &search.slo.text;
    let (tone, text) = match (search.rate_per_second.map(figure::rough_rate), search.ended) {
        (Some(rate), "found") => {
            let figures = "the figures are those of this rate, the highest that held";
            (Tone::Good, format!("{objective} holds at about {rate}; {figures}."))
        }
        (Some(rate), "generator") => {
            let last = search.steps.last().map(|step| figure::rough_rate(step.rate_per_second)).unwrap_or_default();
            let limit = format!("at {last} the load generator was the limit");
            (Tone::Note, format!("{objective} holds at {rate}; {limit}, and the server may carry more."))
        }
        (Some(rate), _) => (Tone::Note, format!("{objective} holds at {rate}; the search ended early{reason}.")),
        (None, "generator") => {
            (Tone::Bad, format!("{objective} held at no rate, and the load generator was the limit."))
        }
        (None, "stopped") => {
            (Tone::Note, format!("The search ended early, before {objective} held at any rate{reason}."))
        }
        (None, _) => (Tone::Bad, format!("{objective} holds at no rate that was tried.")),
    };
    Finding::new(tone, text)
}
