//! Notes on the limits of a result: an early end, an overloaded side, a shared processor.

use super::load_text::time;
use super::result::{BenchRecord, RunResult};
use super::watcher::early_end_reason;
use crate::cli::report::{figure, rates};

/// The note on a server and a load that share processors.
pub(crate) const SHARED_PROCESSORS: &str =
    "Servers and load shared processors, so each figure also depends on how the system scheduled the two.";
/// The note on a build without optimisation.
pub(crate) const DEBUG_BUILD: &str = "This is a debug build: do not compare its figures with others.";

/// Returns all notes.
pub(super) fn notes(record: &BenchRecord) -> Vec<String> {
    let run = &record.run;
    let shares_processors = record.target.own && record.target.pinned.is_none();
    let notes = [
        early_end(record),
        record.header.machine.is_debug_build().then(|| DEBUG_BUILD.to_owned()),
        generator_busy(run),
        generator_late(run),
        rate_note(record),
        server_at_limit(run),
        shares_processors.then(|| SHARED_PROCESSORS.to_owned()),
    ];
    notes.into_iter().flatten().collect()
}

fn early_end(record: &BenchRecord) -> Option<String> {
    // The result of a search belongs to a rate whose run was completed.
    let reason = early_end_reason(record.run.ended_early.filter(|_| record.find_max.is_none())?);
    let after = match record.run.elapsed_ns {
        0 => "before the measured time".to_owned(),
        nanos => format!("after {} of {}", time(nanos), time(record.load.duration_ns)),
    };
    Some(format!("The run ended early: {reason}, {after}."))
}

fn generator_busy(run: &RunResult) -> Option<String> {
    let busy = figure::percent(run.generator.busy);
    let generator = format!("The load generator was busy {busy} of the time");
    (run.generator.bottleneck == Some("busy")).then(|| {
        if run.server_at_limit() {
            format!("{generator}, and the server was at its limit too: each may have slowed the other down.")
        } else {
            format!("{generator}, so the figures show its own limit: the server may be able to do more.")
        }
    })
}

fn generator_late(run: &RunResult) -> Option<String> {
    let lag = run.generator.send_lag_ns.as_ref()?;
    (run.generator.bottleneck == Some("late")).then(|| {
        format!(
            "The load generator sent 1 % of the messages {} or more after they were due, and the latency includes that \
             delay: the generator or its machine was late, not the server.",
            figure::nanos_of(lag.p99)
        )
    })
}

/// Returns a note if an open loop did not reach its rate.
fn rate_note(record: &BenchRecord) -> Option<String> {
    let (asked, due) = (record.load.rate_per_second?, record.run.due?);
    let reached = match &record.run.chat {
        _ if record.run.kept_up() => return None,
        None => {
            format!("of {}, {} were answered", figure::rate(asked), figure::rate(record.run.messages_per_second))
        }
        Some(chat) => {
            let per_message = rates::per_item(chat.deliveries, record.run.messages.max(1)).unwrap_or(0.0);
            format!(
                "at {}, {} of {} deliveries arrived in the measured time",
                figure::rate(asked),
                figure::count(chat.delivered),
                figure::number(figure::float(due) * per_message)
            )
        }
    };
    Some(format!(
        "The rate was not reached: {reached}. The server or the load generator is overloaded, and latency grows with the \
         length of the run."
    ))
}

fn server_at_limit(run: &RunResult) -> Option<String> {
    let server = run.server.as_ref().filter(|server| server.at_limit)?;
    let all = match server.usable_cpus {
        1 => "its processor".to_owned(),
        cpus => format!("its {cpus} processors"),
    };
    let used = server.cores / figure::float(server.usable_cpus as u64);
    Some(format!("The server used {} of {all}: this is about its maximum.", figure::percent(used.min(1.0))))
}
