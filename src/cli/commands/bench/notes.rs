//! Notes on the limits of a result: an early end, an overloaded side, a shared processor.

use super::build_result::MIN_CONNECTIONS_FOR_MEMORY;
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
        few_connections(record),
        shares_processors.then(|| SHARED_PROCESSORS.to_owned()),
    ];
    notes.into_iter().flatten().collect()
}

fn early_end(record: &BenchRecord) -> Option<String> {
    let reason = early_end_reason(record.ended_early()?);
    let (elapsed_ns, whole_ns) = (record.run.elapsed_ns, record.load.duration_ns);
    let (elapsed, whole) = (time(elapsed_ns), time(whole_ns));
    let after = if elapsed_ns == 0 {
        "before the measured time".to_owned()
    } else if elapsed_ns >= whole_ns {
        "after the measured time, while the last answers were awaited".to_owned()
    } else if elapsed == whole {
        "just before the end of the measured time".to_owned()
    } else {
        format!("after {elapsed} of {whole}")
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

/// Returns a note if an open loop did not reach its rate, and the figures show it. If they are
/// equal after rounding, the verdict before it has the number of outstanding answers.
fn rate_note(record: &BenchRecord) -> Option<String> {
    let (asked, due) = (figure::rate(record.load.rate_per_second?), record.run.due?);
    if !record.run.missed_rate() {
        return None;
    }
    let reached = match &record.run.chat {
        None => {
            let answered = figure::rate(record.run.messages_per_second);
            (answered != asked).then(|| format!("of {asked}, {answered} were answered"))?
        }
        Some(chat) => {
            let per_message = rates::per_item(chat.deliveries, record.run.messages.max(1)).unwrap_or(0.0);
            let (delivered, expected) =
                (figure::count(chat.delivered), figure::number(figure::float(due) * per_message));
            (delivered != expected)
                .then(|| format!("at {asked}, {delivered} of {expected} deliveries arrived in the measured time"))?
        }
    };
    Some(format!(
        "The rate was not reached: {reached}. The server or the load generator is overloaded, and latency grows with the \
         length of the run."
    ))
}

/// Returns a note if idle connections are too few for the figure that they are held for.
fn few_connections(record: &BenchRecord) -> Option<String> {
    let (run, slow_readers) = (&record.run, record.load.slow_readers);
    run.server.as_ref().filter(|_| record.load.activity == "idle" && record.target.transport != "udp")?;
    (run.connections.open_at_end + slow_readers < MIN_CONNECTIONS_FOR_MEMORY).then(|| {
        format!(
            "The memory of a connection is given from {MIN_CONNECTIONS_FOR_MEMORY} connections on: with fewer, the growth of the \
             server's memory is mostly its own."
        )
    })
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
