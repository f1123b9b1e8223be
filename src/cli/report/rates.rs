//! What every result has in common, as it is written down: faults, placement, and the arithmetic of costs.

use std::time::Duration;

use switchboard::load::{Bottleneck, Faults};

use super::figure::{count, float};

/// Who is at work for this part of the time, or longer, is taken to be at its limit.
pub(in crate::cli) const FULL: f64 = 0.95;
/// An open loop with fewer answers than this part of the messages that were due was too much.
const KEPT_UP: f64 = 0.99;
/// So few answers may be under way when the measured time ends, however short it is.
const UNDER_WAY: f64 = 10.0;

/// Those faults that there were, in words; none if there were none.
pub(in crate::cli) fn words(faults: &Faults) -> Option<String> {
    let words = |(name, number): (&str, u64)| {
        let (thing, things) = match name {
            "lost" => ("answer never came", "answers never came"),
            "duplicated" => ("answer came twice", "answers came twice"),
            "reordered" => ("answer came after a later one", "answers came after later ones"),
            "corrupted" => ("answer differs from what was sent", "answers differ from what was sent"),
            "refused" => ("connection could not be opened", "connections could not be opened"),
            _ => ("connection was broken off by the server", "connections were broken off by the server"),
        };
        format!("{} {}", count(number), if number == 1 { thing } else { things })
    };
    let said: Vec<_> = faults.named().into_iter().filter(|(_, number)| *number > 0).map(words).collect();
    (!said.is_empty()).then(|| said.join(", "))
}

/// How the generator was itself the limit, in a word.
pub(in crate::cli) fn bottleneck(bottleneck: Bottleneck) -> &'static str {
    match bottleneck {
        Bottleneck::Late(_) => "late",
        _ => "busy",
    }
}

/// Whether so many answers in the measured time are what was asked for in it.
pub(in crate::cli) fn kept_up(answered: u64, due: u64, unanswered: u64) -> bool {
    unanswered == 0 && float(answered) + UNDER_WAY >= float(due) * KEPT_UP
}

pub(in crate::cli) fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}

/// So many a second.
pub(in crate::cli) fn per_second(count: u64, over: Duration) -> f64 {
    if over.is_zero() { 0.0 } else { float(count) / over.as_secs_f64() }
}

/// So much for each of so many, if there are any.
pub(in crate::cli) fn each(amount: u64, count: u64) -> Option<f64> {
    (count > 0).then(|| float(amount) / float(count))
}

/// Processor time by time; 1 is a whole processor.
pub(in crate::cli) fn cores(cpu: Duration, over: Duration) -> f64 {
    if over.is_zero() { 0.0 } else { cpu.as_secs_f64() / over.as_secs_f64() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_told_in_words_and_none_are_not() {
        let mut faults = Faults { lost: 1, ..Faults::default() };
        faults += Faults { lost: 1_000, corrupted: 1, ..Faults::default() };
        assert_eq!(words(&faults).unwrap(), "1,001 answers never came, 1 answer differs from what was sent");
        assert_eq!((faults.total(), words(&Faults::default())), (1_002, None));
    }

    #[test]
    fn a_rate_is_kept_when_nothing_is_awaited_and_as_much_came_as_was_due() {
        assert!(kept_up(100_000, 100_000, 0) && kept_up(99_000, 100_000, 0) && kept_up(15, 25, 0));
        // All was answered, but half of it when the measured time was over.
        assert!(!kept_up(50_000, 100_000, 0));
        assert!(!kept_up(100_000, 100_000, 1));
    }
}
