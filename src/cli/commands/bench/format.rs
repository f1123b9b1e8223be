//! The circumstances of a `bench echo` as text.

use std::time::Duration;

use super::record::{EchoRecord, ObjectiveRecord, SearchStepRecord};
use crate::cli::report::figure;
use crate::cli::report::rates;
use crate::cli::report::text::{NONE, connections_text};

/// Returns the title: the service and its address.
pub(super) fn title(record: &EchoRecord) -> String {
    let target = &record.target;
    format!("{} at {} {}", target.service, target.transport, target.address)
}

/// Returns one sentence about the load and one about the server.
pub(super) fn about(record: &EchoRecord) -> String {
    let engine = record.target.engine.as_ref().map(|engine| format!("Own server, {engine} engine"));
    let framing = record.target.framing.as_ref().map(|framing| format!("{framing} frames"));
    let server: Vec<_> = [engine, framing].into_iter().flatten().collect();
    let server = if server.is_empty() { String::new() } else { format!(" {}.", server.join("; ")) };
    load(record) + &server
}

/// Returns one sentence about the load.
pub(super) fn load(record: &EchoRecord) -> String {
    let load = &record.load;
    let connections = match (record.target.transport, load.connections) {
        ("udp", 1) => "1 socket".to_owned(),
        ("udp", n) => format!("{} sockets", figure::count(n as u64)),
        (_, n) => connections_text(n),
    };
    let payload = match (load.payload_min_bytes, load.payload_max_bytes) {
        (min, max) if min == max => figure::short_bytes(min),
        (min, max) => format!("{} to {}", figure::short_bytes(min), figure::short_bytes(max)),
    };
    let activity = match (load.activity, load.in_flight.unwrap_or(1), load.rate_per_second) {
        ("closed", 1, _) => format!("1 message of {payload} in flight on each"),
        ("closed", n, _) => format!("{} messages of {payload} in flight on each", figure::count(n as u64)),
        ("open", _, Some(rate)) => {
            let rate = figure::number(rate);
            format!("{rate} messages of {payload} per second over all of them, whether or not answers arrive")
        }
        ("churn", ..) => format!("each opened, used for one exchange of {payload} and closed, repeatedly"),
        _ => format!("held after one exchange of {payload}"),
    };
    let slow_readers = match load.slow_readers {
        0 => String::new(),
        1 => "; 1 more that never reads".to_owned(),
        n => format!("; {} more that never read", figure::count(n as u64)),
    };
    let time = |nanos| figure::short_time(Duration::from_nanos(nanos));
    let warm_up = match load.warm_up_ns {
        0 => String::new(),
        nanos => format!(" after {} of warm-up", time(nanos)),
    };
    // The result of a search belongs to a rate whose run was completed.
    let ended_early = record.ended_early.is_some() && record.find_max.is_none();
    let length = match (ended_early, record.elapsed_ns) {
        (true, 0) => "ended early, in the warm-up".to_owned(),
        (true, nanos) => format!("ended early, {}{warm_up}", time(nanos)),
        (false, nanos) => format!("{}{warm_up}", time(nanos)),
    };
    format!("{connections}, {activity}{slow_readers}; {length}.")
}

/// Returns the table row of a search step: rate, answers, latency, generator, server, verdict.
pub(super) fn search_step(step: &SearchStepRecord) -> Vec<String> {
    let verdict = match step.verdict {
        "holds" => "holds".to_owned(),
        "too_slow" => "too slow".to_owned(),
        "too_few" => "too few answers".to_owned(),
        "generator" => "generator's limit".to_owned(),
        _ => rates::faults_text(&step.faults).unwrap_or_else(|| "faulty".to_owned()),
    };
    vec![
        figure::rate(step.rate_per_second),
        figure::rate(step.answered_per_second),
        step.latency_ns.map_or_else(|| NONE.to_owned(), figure::nanos_of),
        figure::percent(step.generator_busy),
        step.server_cores.map_or_else(|| NONE.to_owned(), figure::percent),
        verdict,
    ]
}

/// Returns the name of an objective's percentile, such as `p99`.
pub(super) fn percentile(slo: &ObjectiveRecord) -> String {
    slo.text.split('<').next().unwrap_or_default().to_owned()
}
