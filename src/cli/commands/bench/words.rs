//! A result's circumstances, in words.

use std::time::Duration;

use super::record::{Objective, Record, Step};
use crate::cli::report::figure;
use crate::cli::report::rates;
use crate::cli::report::words::{NONE, connections};

/// What was measured, as a title.
pub(super) fn title(record: &Record) -> String {
    let target = &record.target;
    format!("{} at {} {}", target.service, target.transport, target.address)
}

/// How, in two sentences.
pub(super) fn about(record: &Record) -> String {
    let whose = record.target.engine.as_ref().map(|engine| format!("Own server, {engine} engine"));
    let framing = record.target.framing.as_ref().map(|framing| format!("{framing} frames"));
    let server: Vec<_> = [whose, framing].into_iter().flatten().collect();
    let server = if server.is_empty() { String::new() } else { format!(" {}.", server.join("; ")) };
    load(record) + &server
}

/// Under which load, as a sentence.
pub(super) fn load(record: &Record) -> String {
    let load = &record.load;
    let connections = match (record.target.transport, load.connections) {
        ("udp", 1) => "1 socket".to_owned(),
        ("udp", n) => format!("{} sockets", figure::count(n as u64)),
        (_, n) => connections(n),
    };
    let payload = match (load.payload_min_bytes, load.payload_max_bytes) {
        (low, high) if low == high => figure::short_bytes(low),
        (low, high) => format!("{} to {}", figure::short_bytes(low), figure::short_bytes(high)),
    };
    let what = match (load.activity, load.in_flight.unwrap_or(1), load.rate_per_second) {
        ("closed", 1, _) => format!("1 message of {payload} under way on each"),
        ("closed", n, _) => format!("{} messages of {payload} under way on each", figure::count(n as u64)),
        ("open", _, Some(rate)) => {
            let rate = figure::number(rate);
            format!("{rate} messages of {payload} a second over all of them, whether or not answers come")
        }
        ("churn", ..) => format!("each opened, used for one exchange of {payload} and closed, again and again"),
        _ => format!("held after one exchange of {payload}"),
    };
    let slow = match load.slow_readers {
        0 => String::new(),
        1 => "; 1 more that never reads".to_owned(),
        n => format!("; {} more that never read", figure::count(n as u64)),
    };
    let time = |nanos| figure::short_time(Duration::from_nanos(nanos));
    let warm_up = match load.warm_up_ns {
        0 => String::new(),
        nanos => format!(" after {} of warm-up", time(nanos)),
    };
    // Of a search, the result is that of a rate that was tried to its end.
    let early = record.ended_early.is_some() && record.find_max.is_none();
    let length = match (early, record.elapsed_ns) {
        (true, 0) => "ended early, in the warm-up".to_owned(),
        (true, nanos) => format!("ended early, {}{warm_up}", time(nanos)),
        (false, nanos) => format!("{}{warm_up}", time(nanos)),
    };
    format!("{connections}, {what}{slow}; {length}.")
}

/// A rate that was tried, as a row: the rate, what was answered, the latency that counts, generator, server, and how it did.
pub(super) fn step(step: &Step) -> Vec<String> {
    let verdict = match step.verdict {
        "holds" => "holds".to_owned(),
        "too_slow" => "too slow".to_owned(),
        "too_few" => "too few answers".to_owned(),
        "generator" => "generator's limit".to_owned(),
        _ => rates::words(&step.faults).unwrap_or_else(|| "faulty".to_owned()),
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

/// The percentile that an objective is about.
pub(super) fn percentile(slo: &Objective) -> String {
    slo.text.split('<').next().unwrap_or_default().to_owned()
}
