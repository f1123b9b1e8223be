//! Figures that all results share: faults as text, rates, and costs per message.

use std::time::Duration;

use switchboard::load::Bottleneck;

use super::figure::{counted, float};

/// Fraction of the time from which a busy thread or CPU counts as saturated.
pub(in crate::cli) const SATURATED: f64 = 0.95;
/// Fraction of the due messages whose replies an open loop must receive; with fewer, the rate was
/// too high.
const KEPT_UP: f64 = 0.99;
/// Messages that may be in flight at the end of the measured time, however short it is.
const IN_FLIGHT_ALLOWANCE: f64 = 10.0;

/// Returns counts of faults, each with its kind, as text; `None` if no fault was counted. The
/// service `chat` has kinds of its own, and members instead of connections.
pub(in crate::cli) fn faults_text(service: &str, faults: &[(&'static str, u64)]) -> Option<String> {
    let text = |(kind, number): &(&str, u64)| {
        let (thing, things) = match (*kind, service == "chat") {
            ("lost", _) => ("answer never arrived", "answers never arrived"),
            ("duplicated", false) => ("answer arrived twice", "answers arrived twice"),
            ("reordered", false) => ("answer arrived out of order", "answers arrived out of order"),
            ("corrupted", false) => ("answer differs from what was sent", "answers differ from what was sent"),
            ("refused", false) => ("connection could not be opened", "connections could not be opened"),
            ("missing", _) => ("id never reached a member", "ids never reached members"),
            ("duplicated", true) => ("message arrived twice", "messages arrived twice"),
            ("reordered", true) => ("message arrived after a later one", "messages arrived after later ones"),
            ("corrupted", true) => ("message arrived with another text", "messages arrived with other texts"),
            ("strayed", _) => ("message reached a member of another room", "messages reached members of other rooms"),
            ("unsaid", _) => ("message was sent and never delivered", "messages were sent and never delivered"),
            ("misnumbered", _) => ("message has the wrong id", "messages have the wrong ids"),
            ("uncompared", _) => {
                ("message arrived too late to be compared", "messages arrived too late to be compared")
            }
            ("complaints", _) => ("error sent by the server", "errors sent by the server"),
            ("refused", true) => ("member could not join", "members could not join"),
            (_, true) => ("member was disconnected by the server", "members were disconnected by the server"),
            (_, false) => ("connection was closed by the server", "connections were closed by the server"),
        };
        counted(*number, thing, things)
    };
    let texts: Vec<_> = faults.iter().filter(|(_, number)| *number > 0).map(text).collect();
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
/// measured time. Each due message has `per_message` answers.
pub(in crate::cli) fn kept_up(answered: u64, due: u64, unanswered: u64, per_message: f64) -> bool {
    let in_time = float(answered) + IN_FLIGHT_ALLOWANCE * per_message;
    unanswered == 0 && in_time >= float(due) * per_message * KEPT_UP
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
        let text = |service, faults: &[_]| faults_text(service, faults).unwrap();
        let faults = [("lost", 1_001), ("refused", 0), ("corrupted", 1)];
        assert_eq!(text("echo", &faults), "1,001 answers never arrived, 1 answer differs from what was sent");
        assert_eq!(faults_text("echo", &[("lost", 0)]), None);
        assert_eq!(text("echo", &[("broken", 2)]), "2 connections were closed by the server");
        assert_eq!(text("chat", &[("broken", 2)]), "2 members were disconnected by the server");
    }

    #[test]
    fn kept_up_needs_all_replies_and_most_in_time() {
        let kept_up = |answered, due, unanswered| kept_up(answered, due, unanswered, 1.0);
        assert!(kept_up(100_000, 100_000, 0) && kept_up(99_000, 100_000, 0) && kept_up(15, 25, 0));
        // All replies came, but half of them after the measured time.
        assert!(!kept_up(50_000, 100_000, 0));
        assert!(!kept_up(100_000, 100_000, 1));
        let delivered = |delivered| super::kept_up(delivered, 10_000, 0, 1_000.0);
        assert!(delivered(9_995_000) && !delivered(9_800_000));
    }
}
