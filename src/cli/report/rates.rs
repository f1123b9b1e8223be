//! Figures that all results share: faults as text, rates, and costs per message.

use std::time::Duration;

use switchboard::load::{Bottleneck, Faults};

use super::figure::{count, float};

/// Fraction of the time from which a busy thread or CPU counts as saturated.
pub(in crate::cli) const SATURATED: f64 = 0.95;
/// Fraction of the due messages whose replies an open loop must receive; with fewer, the rate was
/// too high.
const KEPT_UP: f64 = 0.99;
/// Replies that may be in flight at the end of the measured time, however short it is.
const IN_FLIGHT_ALLOWANCE: f64 = 10.0;

/// Returns the faults as text; `None` if no fault was counted.
pub(in crate::cli) fn faults_text(faults: &Faults) -> Option<String> {
    let text = |(name, number): (&str, u64)| {
        let (thing, things) = match name {
            "lost" => ("answer never arrived", "answers never arrived"),
            "duplicated" => ("answer arrived twice", "answers arrived twice"),
            "reordered" => ("answer arrived out of order", "answers arrived out of order"),
            "corrupted" => ("answer differs from what was sent", "answers differ from what was sent"),
            "refused" => ("connection could not be opened", "connections could not be opened"),
            _ => ("connection was closed by the server", "connections were closed by the server"),
        };
        format!("{} {}", count(number), if number == 1 { thing } else { things })
    };
    let texts: Vec<_> = faults.named().into_iter().filter(|(_, number)| *number > 0).map(text).collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

/// Returns the name of the load generator's bottleneck.
pub(in crate::cli) fn bottleneck_name(bottleneck: Bottleneck) -> &'static str {
    match bottleneck {
        Bottleneck::Late(_) => "late",
        _ => "busy",
    }
}

/// Returns true if the server kept up with the load: all answers arrived, and enough of them in the
/// measured time.
pub(in crate::cli) fn kept_up(answered: u64, due: u64, unanswered: u64) -> bool {
    unanswered == 0 && float(answered) + IN_FLIGHT_ALLOWANCE >= float(due) * KEPT_UP
}

/// Returns a duration in nanoseconds, saturating.
pub(in crate::cli) fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}

/// Returns the rate per second; 0 for a duration of zero.
pub(in crate::cli) fn per_second(count: u64, over: Duration) -> f64 {
    if over.is_zero() { 0.0 } else { float(count) / over.as_secs_f64() }
}

/// Returns the amount per item; `None` without items.
pub(in crate::cli) fn per_item(amount: u64, count: u64) -> Option<f64> {
    (count > 0).then(|| float(amount) / float(count))
}

/// Returns CPU time divided by time: 1 is one busy CPU.
pub(in crate::cli) fn cores(cpu: Duration, over: Duration) -> f64 {
    if over.is_zero() { 0.0 } else { cpu.as_secs_f64() / over.as_secs_f64() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_have_a_text_unless_there_are_none() {
        let mut faults = Faults { lost: 1, ..Faults::default() };
        faults += Faults { lost: 1_000, corrupted: 1, ..Faults::default() };
        assert_eq!(faults_text(&faults).unwrap(), "1,001 answers never arrived, 1 answer differs from what was sent");
        assert_eq!((faults.total(), faults_text(&Faults::default())), (1_002, None));
    }

    #[test]
    fn kept_up_needs_all_replies_and_most_in_time() {
        assert!(kept_up(100_000, 100_000, 0) && kept_up(99_000, 100_000, 0) && kept_up(15, 25, 0));
        // All replies came, but half of them after the measured time.
        assert!(!kept_up(50_000, 100_000, 0));
        assert!(!kept_up(100_000, 100_000, 1));
    }
}
