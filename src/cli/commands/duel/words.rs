//! The circumstances of a duel, in words.

use std::time::Duration;

use super::record::Record;
use crate::cli::report::{figure, words};

/// What was compared.
pub(super) fn title(record: &Record) -> String {
    format!("Reactor and threads, {}", record.setup.service)
}

/// What both were put through, in a sentence.
pub(super) fn setup(record: &Record) -> String {
    let setup = &record.setup;
    let bytes = |size: usize| figure::bytes(figure::float(size as u64));
    let payload = match (setup.payload_min_bytes, setup.payload_max_bytes) {
        (low, high) if low == high => bytes(low),
        (low, high) => format!("{} to {}", bytes(low), bytes(high)),
    };
    let load = match (setup.rate_per_second, setup.in_flight.unwrap_or(1)) {
        (Some(rate), _) => format!("{} of {payload} in all, whether or not answers come", figure::rate(rate)),
        (None, 1) => format!("1 message of {payload} under way on each connection"),
        (None, n) => format!("{} messages of {payload} under way on each connection", figure::count(n as u64)),
    };
    let work = match setup.work_us {
        0 => String::new(),
        micros => format!(", {} µs of work on each", figure::count(micros.into())),
    };
    let time = |nanos| figure::short_time(Duration::from_nanos(nanos));
    format!(
        "{load}{work}, {}; {} rounds of {} after {} of warm-up, each engine first in every other round.",
        setup.framing,
        setup.rounds,
        time(setup.duration_ns),
        time(setup.warm_up_ns),
    )
}

/// On what, in a sentence.
pub(super) fn machine(record: &Record) -> String {
    let facts: Vec<_> = facts(record).into_iter().map(|(_, value)| value).collect();
    facts.join("; ") + "."
}

/// On what: what it is called, and what it is.
pub(super) fn facts(record: &Record) -> Vec<(String, String)> {
    words::machine(&record.machine, record.setup.pinned.as_ref())
}

/// How the columns are meant.
pub(super) fn how_to_read(record: &Record) -> String {
    format!(
        "Figures are the median of {} rounds, and their range. A ratio above 1 is in the reactor's favour, below 1 in favour of \
         threads; brackets hold its interval (confidence {}), and where they hold 1 it is a draw; among so many comparisons a lead or two may be \
         chance.",
        record.setup.rounds,
        figure::percent(record.confidence)
    )
}
