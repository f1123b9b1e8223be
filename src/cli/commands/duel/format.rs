//! The circumstances of a duel as text.

use std::time::Duration;

use super::record::DuelRecord;
use crate::cli::report::{figure, text};

/// Returns the title.
pub(super) fn title(record: &DuelRecord) -> String {
    format!("Reactor and threads, {}", record.setup.service)
}

/// Returns one sentence about the load and the rounds.
pub(super) fn setup(record: &DuelRecord) -> String {
    let setup = &record.setup;
    let bytes = |size: usize| figure::bytes(figure::float(size as u64));
    let payload = match (setup.payload_min_bytes, setup.payload_max_bytes) {
        (min, max) if min == max => bytes(min),
        (min, max) => format!("{} to {}", bytes(min), bytes(max)),
    };
    let load = match (setup.rate_per_second, setup.in_flight.unwrap_or(1)) {
        (Some(rate), _) => {
            let rate = figure::rate(rate);
            format!("{rate} of {payload} over all connections, whether or not answers arrive")
        }
        (None, 1) => format!("1 message of {payload} in flight on each connection"),
        (None, n) => format!("{} messages of {payload} in flight on each connection", figure::count(n as u64)),
    };
    let work = match setup.work_us {
        0 => String::new(),
        micros => format!(", {} µs of work on each message", figure::count(micros.into())),
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

/// Returns one sentence about the machine.
pub(super) fn machine(record: &DuelRecord) -> String {
    let facts: Vec<_> = machine_facts(record).into_iter().map(|(_, value)| value).collect();
    facts.join("; ") + "."
}

/// Returns the names and values of the facts about the machine.
pub(super) fn machine_facts(record: &DuelRecord) -> Vec<(String, String)> {
    text::machine_facts(&record.machine, record.setup.pinned.as_ref())
}

/// Returns the explanation of the columns.
pub(super) fn how_to_read(record: &DuelRecord) -> String {
    format!(
        "Figures are the median of {} rounds, and their range. A ratio above 1 favours the reactor, below 1 threads. \
         Brackets hold the interval of the ratio (confidence {}); if it includes 1, the result is a draw. Among so many \
         comparisons one or two leads may be chance.",
        record.setup.rounds,
        figure::percent(record.confidence)
    )
}
