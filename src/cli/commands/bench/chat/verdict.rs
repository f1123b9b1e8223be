//! What follows from the figures, in words: whether everybody heard everything, and what is not to be read into them.

use super::record::Record;
use super::words;
use crate::cli::commands::bench::notes::Circumstances;
use crate::cli::commands::bench::verdict::Verdict;
use crate::cli::report::figure;
use crate::cli::report::page::Tone;
use crate::cli::report::words::capital;

/// A publisher that keeps up may still have so many messages unsaid when the measured time ends.
const KEPT_UP: f64 = 0.99;

/// All that is to be said.
pub(super) fn of(record: &Record) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let mut say = |tone, text| verdicts.push(Verdict { tone, text });
    let (tone, text) = proof(record);
    say(tone, text);
    for violation in &record.proof.violations {
        say(Tone::Bad, format!("{}.", capital(&violation.text)));
    }
    for complaint in &record.complaints {
        let text = format!("The server to member {}: {}: {}", complaint.member, complaint.code, complaint.text);
        say(Tone::Bad, text);
    }
    if record.complaints.iter().any(|complaint| complaint.code == "flood") {
        let advice =
            "The server limits how much a member may say: start it with --messages-per-second 0 to measure it.";
        say(Tone::Note, advice.to_owned());
    }
    let circumstances = Circumstances {
        ended_early: record.ended_early,
        elapsed_ns: record.elapsed_ns,
        duration_ns: record.load.duration_ns,
        machine: &record.machine,
        target: &record.target,
        generator: &record.generator.side,
        server: record.server.as_ref().map(|server| &server.side),
    };
    circumstances.notes(behind(record)).into_iter().for_each(|text| say(Tone::Note, text));
    verdicts
}

/// Why the exit code is not zero, if it is not.
pub(super) fn failure(record: &Record) -> Option<String> {
    let awaited = record.proof.awaited;
    let nothing = record.deliveries == 0 && record.load.activity != "idle";
    words::faults(&record.faults)
        .or((awaited > 0).then(|| format!("{} deliveries were still awaited at the end", figure::count(awaited))))
        .or(nothing.then(|| "not one message was delivered".to_owned()))
}

fn proof(record: &Record) -> (Tone, String) {
    let awaited = record.proof.awaited;
    if let Some(what) = words::faults(&record.faults) {
        (Tone::Bad, format!("Something went wrong: {what}."))
    } else if record.load.activity == "idle" {
        let after = figure::nanos_of(record.members.all_in_after_ns);
        let members = figure::count(record.members.in_at_end as u64);
        (Tone::Good, format!("All {members} members were in after {after}, and were there at the end."))
    } else if record.proof.received == 0 {
        (Tone::Bad, "Not one message was delivered.".to_owned())
    } else if awaited > 0 {
        let awaited = figure::count(awaited);
        let so_far = words::proved(record).replace("every id", "every id so far");
        (Tone::Note, format!("{}; {awaited} more deliveries were awaited when the run ended.", capital(&so_far)))
    } else {
        (Tone::Good, format!("{}.", capital(&words::proved(record))))
    }
}

/// An open loop that was too much.
fn behind(record: &Record) -> Option<String> {
    let (asked, due) = (record.load.rate_per_second?, figure::float(record.due?));
    // As many deliveries have to come in the measured time as belong to what was due in it, but for those under way.
    let each = figure::float(record.deliveries) / figure::float(record.messages.max(1));
    let (wanted, came) = (due * each, figure::float(record.delivered));
    let is_behind = record.proof.awaited > 0 || came + 10.0 * each < wanted * KEPT_UP;
    is_behind.then(|| {
        format!(
            "At {} that were asked for, {} of {} deliveries came in the measured time: the server or the generator does not keep \
             up, and latency grows as long as that goes on.",
            figure::rate(asked),
            figure::count(record.delivered),
            figure::number(wanted)
        )
    })
}
