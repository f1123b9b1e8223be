//! When the next request may be sent without the server calling it a flood, whatever delays the network adds.
//!
//! The server counts requests when they arrive, and the network may gather what was sent evenly into one burst. So a request is
//! charged not when it is sent but when an answer proves that it has arrived, and until then a token is kept for it: the bucket here
//! never holds more than the server's.

use std::collections::VecDeque;
use std::time::Duration;

/// Requests whose arrival may be unknown at one time.
const MAX_FLYING: usize = 64;

/// A request without an answer for this long is taken to have arrived: not everything is answered.
const UNANSWERED: Duration = Duration::from_secs(5);

/// What is assumed of a server that has said nothing: half of what ours allows by itself.
const UNTOLD: Allowance = Allowance { per_second: 10.0, burst: 20.0 };

/// What kind of answer a request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Hello,
    Join,
    Say,
    Ping,
    Other,
}

#[derive(Clone, Copy, Debug)]
struct Allowance {
    per_second: f64,
    burst: f64,
}

#[derive(Debug)]
struct Flying {
    label: u64,
    kind: Kind,
    sent_at: Duration,
}

/// A token bucket that is never fuller than the server's.
#[derive(Debug)]
pub(super) struct Pace {
    /// None: as many as one likes.
    allowance: Option<Allowance>,
    tokens: f64,
    filled_at: Duration,
    /// Sent and not known to have arrived, in order.
    flying: VecDeque<Flying>,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { allowance: Some(UNTOLD), tokens: UNTOLD.burst, filled_at: Duration::ZERO, flying: VecDeque::new() }
    }

    /// A new connection, of which the server has counted nothing yet.
    pub(super) fn begin(&mut self, now: Duration) {
        self.flying.clear();
        self.filled_at = now;
        self.tokens = self.allowance.map_or(0.0, |allowance| allowance.burst);
    }

    /// The server has said what it allows. What was spent stays spent.
    pub(super) fn allow(&mut self, per_second: Option<u32>, burst: Option<u32>, now: Duration) {
        self.fill(now);
        let spent = self.allowance.map_or(0.0, |allowance| allowance.burst - self.tokens);
        self.allowance = per_second.filter(|number| *number > 0).map(|number| {
            let burst = burst.unwrap_or(number).max(1);
            Allowance { per_second: number.into(), burst: burst.into() }
        });
        self.tokens = self.allowance.map_or(0.0, |allowance| allowance.burst - spent);
    }

    /// The server found it too fast all the same.
    pub(super) fn slow_down(&mut self) {
        if let Some(Allowance { per_second, burst }) = self.allowance {
            self.allowance = Some(Allowance { per_second: (per_second / 2.0).max(0.1), burst: (burst / 2.0).max(1.0) });
        }
    }

    pub(super) fn may_send(&mut self, now: Duration) -> bool {
        while self.flying.front().is_some_and(|first| now >= first.sent_at + UNANSWERED) {
            self.charge_first(now);
        }
        self.fill(now);
        self.flying.len() < MAX_FLYING && (self.allowance.is_none() || self.lacking() <= 0.0)
    }

    pub(super) fn sent(&mut self, label: u64, kind: Kind, now: Duration) {
        self.flying.push_back(Flying { label, kind, sent_at: now });
    }

    /// The request with this label has arrived, and with it all before it.
    pub(super) fn arrived(&mut self, label: u64, now: Duration) {
        while self.flying.front().is_some_and(|first| first.label <= label) {
            self.charge_first(now);
        }
    }

    /// The first request of this kind has been answered.
    pub(super) fn answered(&mut self, kind: Kind, now: Duration) {
        let label = self.flying.iter().find(|flying| flying.kind == kind).map(|flying| flying.label);
        if let Some(label) = label {
            self.arrived(label, now);
        }
    }

    /// When it is worth asking again whether something may be sent, if no answer comes before.
    pub(super) fn next_at(&self, now: Duration) -> Duration {
        let unanswered = self.flying.front().map(|first| first.sent_at + UNANSWERED);
        let refilled = self.allowance.filter(|_| self.lacking() > 0.0).map(|allowance| {
            // A microsecond more than it takes, so that no rounding makes it a matter of a hundred wake-ups.
            now + Duration::from_secs_f64(self.lacking() / allowance.per_second) + Duration::from_micros(1)
        });
        unanswered.into_iter().chain(refilled).min().unwrap_or(now + UNANSWERED)
    }

    /// How many tokens are lacking for one more request.
    #[expect(clippy::cast_precision_loss, reason = "there are 64 at most")]
    fn lacking(&self) -> f64 {
        self.flying.len() as f64 + 1.0 - self.tokens
    }

    fn charge_first(&mut self, now: Duration) {
        self.fill(now);
        self.flying.pop_front();
        if self.allowance.is_some() {
            self.tokens -= 1.0;
        }
    }

    fn fill(&mut self, now: Duration) {
        if let Some(Allowance { per_second, burst }) = self.allowance {
            let passed = now.saturating_sub(self.filled_at).as_secs_f64();
            self.tokens = burst.min(self.tokens + passed * per_second);
        }
        self.filled_at = now;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_burst_then_as_many_as_are_refilled() {
        let mut pace = Pace::new();
        pace.begin(at(0));
        pace.allow(Some(10), Some(3), at(0));
        let mut sent = Vec::new();
        for millis in 0..1000 {
            while pace.may_send(at(millis)) {
                pace.sent(sent.len() as u64, Kind::Say, at(millis));
                pace.arrived(sent.len() as u64, at(millis));
                sent.push(millis);
            }
        }
        assert_eq!(sent, [0, 0, 0, 100, 200, 300, 400, 500, 600, 700, 800, 900]);
    }

    #[test]
    fn what_is_under_way_keeps_its_token_until_it_has_arrived() {
        let mut pace = Pace::new();
        pace.begin(at(0));
        pace.allow(Some(1), Some(1), at(0));
        pace.sent(1, Kind::Say, at(0));
        // Had it been charged when it was sent, a second one could follow after a second, and the two could arrive together.
        assert!(!pace.may_send(at(1500)));
        pace.arrived(1, at(1500));
        assert!(!pace.may_send(at(2499)));
        assert!(pace.may_send(at(2500)));
        pace.sent(2, Kind::Other, at(2500));
        assert_eq!(pace.next_at(at(2500)), at(3500) + Duration::from_micros(1));
        // Not everything is answered.
        assert!(!pace.may_send(at(2500) + UNANSWERED));
        assert!(pace.may_send(at(3500) + UNANSWERED));
    }

    #[test]
    fn a_server_without_limits_is_told_as_much_as_it_answers() {
        let mut pace = Pace::new();
        pace.begin(at(0));
        pace.allow(None, None, at(0));
        let mut sent = 0;
        while pace.may_send(at(0)) {
            pace.sent(sent, Kind::Say, at(0));
            sent += 1;
        }
        assert_eq!(sent, MAX_FLYING as u64);
        pace.arrived(9, at(0));
        assert!(pace.may_send(at(0)));
    }

    proptest! {
        /// The server's own bucket, filled by the time of arrival, is never overdrawn, however the network delays each way.
        #[test]
        fn no_delay_makes_it_a_flood(
            per_second in 1u32..50, burst in 1u32..20,
            // Together less than what is taken for no answer.
            delays in proptest::collection::vec((0u64..2400, 0u64..2400), 1..80),
        ) {
            let mut pace = Pace::new();
            pace.begin(at(0));
            pace.allow(Some(per_second), Some(burst), at(0));
            let (mut now, mut arrived_at, mut answered_at) = (at(0), at(0), at(0));
            let mut answers = VecDeque::<(Duration, u64)>::new();
            let (mut level, mut filled) = (f64::from(burst), at(0));
            for (label, (there, back)) in (0..).zip(delays) {
                while !pace.may_send(now) {
                    let next = pace.next_at(now);
                    now = match answers.front() {
                        Some((due, label)) if *due <= next => {
                            let (due, label) = (*due, *label);
                            answers.pop_front();
                            pace.arrived(label, due.max(now));
                            due.max(now)
                        }
                        _ => next,
                    };
                }
                pace.sent(label, Kind::Say, now);
                // Neither direction reorders.
                arrived_at = arrived_at.max(now + at(there));
                answered_at = answered_at.max(arrived_at + at(back));
                answers.push_back((answered_at, label));
                level = f64::from(burst).min(level + arrived_at.saturating_sub(filled).as_secs_f64() * f64::from(per_second));
                filled = arrived_at;
                level -= 1.0;
                prop_assert!(level > -1e-6, "{level} after {label}");
            }
        }
    }
}
