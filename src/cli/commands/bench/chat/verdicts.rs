//! The conclusions from a result of `bench chat`, one sentence each: the proof, its violations,
//! server errors, and what limits the figures.

use super::format;
use super::record::ChatRecord;
use crate::cli::commands::bench::notes::NoteInputs;
use crate::cli::commands::bench::record::BenchVerdict;
use crate::cli::report::figure;
use crate::cli::report::page::Tone;
use crate::cli::report::text::capitalized;

/// Fraction of the due deliveries that counts as reaching the rate. The rest covers messages in
/// flight at the end.
const MIN_DELIVERED: f64 = 0.99;

/// Returns all conclusions, the proof first.
pub(super) fn verdicts(record: &ChatRecord) -> Vec<BenchVerdict> {
    let mut verdicts = Vec::new();
    let mut push = |tone, text| verdicts.push(BenchVerdict { tone, text });
    let (tone, text) = proof_verdict(record);
    push(tone, text);
    for violation in &record.proof.violations {
        push(Tone::Bad, format!("{}.", capitalized(&violation.text)));
    }
    for error in &record.server_errors {
        let text = format!("Server error for member {}: {}: {}", error.member, error.code, error.text);
        push(Tone::Bad, text);
    }
    if record.server_errors.iter().any(|error| error.code == "flood") {
        let advice =
            "The server limits the message rate of a member: start it with --messages-per-second 0 to measure it.";
        push(Tone::Note, advice.to_owned());
    }
    let inputs = NoteInputs {
        ended_early: record.ended_early,
        elapsed_ns: record.elapsed_ns,
        duration_ns: record.load.duration_ns,
        machine: &record.machine,
        target: &record.target,
        generator: &record.generator.process,
        server: record.server.as_ref().map(|server| &server.process),
    };
    inputs.notes(rate_note(record)).into_iter().for_each(|text| push(Tone::Note, text));
    verdicts
}

/// Returns the reason for a nonzero exit code.
pub(super) fn failure(record: &ChatRecord) -> Option<String> {
    let outstanding = record.proof.awaited;
    let is_undelivered = record.deliveries == 0 && record.load.activity != "idle";
    format::faults(&record.faults)
        .or((outstanding > 0).then(|| format!("{} deliveries were outstanding at the end", figure::count(outstanding))))
        .or(is_undelivered.then(|| "no message was delivered".to_owned()))
}

fn proof_verdict(record: &ChatRecord) -> (Tone, String) {
    let outstanding = record.proof.awaited;
    if let Some(faults) = format::faults(&record.faults) {
        (Tone::Bad, format!("Something went wrong: {faults}."))
    } else if record.load.activity == "idle" {
        let after = figure::nanos_of(record.members.all_joined_after_ns);
        let members = figure::count(record.members.joined_at_end as u64);
        (Tone::Good, format!("All {members} members had joined after {after} and stayed until the end."))
    } else if record.proof.received == 0 {
        (Tone::Bad, "No message was delivered.".to_owned())
    } else if outstanding > 0 {
        let outstanding = figure::count(outstanding);
        let so_far = format::proof(record).replace("every id", "every id so far");
        (
            Tone::Note,
            format!("{}; {outstanding} more deliveries were outstanding when the run ended.", capitalized(&so_far)),
        )
    } else {
        (Tone::Good, format!("{}.", capitalized(&format::proof(record))))
    }
}

/// Returns a note if an open loop did not reach its rate.
fn rate_note(record: &ChatRecord) -> Option<String> {
    let (asked, due) = (record.load.rate_per_second?, figure::float(record.due?));
    // Each due message needs its deliveries within the measured time, except for those in flight at
    // the end.
    let per_message = figure::float(record.deliveries) / figure::float(record.messages.max(1));
    let (expected, delivered) = (due * per_message, figure::float(record.delivered));
    let is_behind = record.proof.awaited > 0 || delivered + 10.0 * per_message < expected * MIN_DELIVERED;
    is_behind.then(|| {
        format!(
            "The rate was not reached: at {}, {} of {} deliveries arrived in the measured time. The server or the load \
             generator is overloaded, and latency grows with the length of the run.",
            figure::rate(asked),
            figure::count(record.delivered),
            figure::number(expected)
        )
    })
}
