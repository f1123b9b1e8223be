//! A client-side rate limiter that stays below the server's limit, whatever the network delays.
//!
//! The server counts requests on arrival, and the network may deliver evenly sent requests in one
//! burst. So a request is charged when an answer proves its arrival, not when it is sent. Until
//! then a token is reserved for it. This bucket therefore never holds more tokens than the
//! server's.

use std::collections::VecDeque;
use std::time::Duration;

/// Maximum number of requests without proof of arrival.
const MAX_IN_FLIGHT: usize = 64;

/// Time after which a request without an answer counts as arrived, because some requests have no
/// answer.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// Limit for a server that announced none: half of the default of this crate's server.
const DEFAULT_LIMIT: RateLimit = RateLimit { per_second: 10.0, burst: 20.0 };

/// The kinds of requests, by the answer that they get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestKind {
    Hello,
    Join,
    Say,
    Ping,
    Other,
}

/// A limit in requests per second, and in requests at once.
#[derive(Clone, Copy, Debug)]
struct RateLimit {
    per_second: f64,
    burst: f64,
}

/// A request without proof of arrival.
#[derive(Debug)]
struct InFlightRequest {
    label: u64,
    kind: RequestKind,
    sent_at: Duration,
}

/// A token bucket that holds at most as many tokens as the server's.
#[derive(Debug)]
pub(super) struct RateLimiter {
    /// The server's limit; `None`: unlimited.
    limit: Option<RateLimit>,
    tokens: f64,
    filled_at: Duration,
    /// Requests without proof of arrival, in the order of sending.
    in_flight: VecDeque<InFlightRequest>,
}

impl RateLimiter {
    pub(super) fn new() -> Self {
        Self {
            limit: Some(DEFAULT_LIMIT),
            tokens: DEFAULT_LIMIT.burst,
            filled_at: Duration::ZERO,
            in_flight: VecDeque::new(),
        }
    }

    /// Starts a new connection, whose bucket is full.
    pub(super) fn start_connection(&mut self, now: Duration) {
        self.in_flight.clear();
        self.filled_at = now;
        self.tokens = self.limit.map_or(0.0, |limit| limit.burst);
    }

    /// Sets the limit that the server announced. Tokens already spent stay spent.
    pub(super) fn set_limit(&mut self, per_second: Option<u32>, burst: Option<u32>, now: Duration) {
        self.refill(now);
        let spent = self.limit.map_or(0.0, |limit| limit.burst - self.tokens);
        self.limit = per_second.filter(|number| *number > 0).map(|number| {
            let burst = burst.unwrap_or(number).max(1);
            RateLimit { per_second: number.into(), burst: burst.into() }
        });
        self.tokens = self.limit.map_or(0.0, |limit| limit.burst - spent);
    }

    /// Halves the limit after the server reported a flood.
    pub(super) fn halve_limit(&mut self) {
        if let Some(RateLimit { per_second, burst }) = self.limit {
            self.limit = Some(RateLimit { per_second: (per_second / 2.0).max(0.1), burst: (burst / 2.0).max(1.0) });
        }
    }

    /// Returns true if a request may be sent now.
    pub(super) fn can_send(&mut self, now: Duration) -> bool {
        while self.in_flight.front().is_some_and(|first| now >= first.sent_at + REPLY_TIMEOUT) {
            self.charge_oldest(now);
        }
        self.refill(now);
        self.in_flight.len() < MAX_IN_FLIGHT && (self.limit.is_none() || self.missing_tokens() <= 0.0)
    }

    /// Records a request that was sent.
    pub(super) fn record_sent(&mut self, label: u64, kind: RequestKind, now: Duration) {
        self.in_flight.push_back(InFlightRequest { label, kind, sent_at: now });
    }

    /// Records that the request with this label has arrived, and all requests before it.
    pub(super) fn mark_arrived(&mut self, label: u64, now: Duration) {
        while self.in_flight.front().is_some_and(|first| first.label <= label) {
            self.charge_oldest(now);
        }
    }

    /// Records an answer to the oldest request of this kind.
    pub(super) fn mark_answered(&mut self, kind: RequestKind, now: Duration) {
        let label = self.in_flight.iter().find(|in_flight| in_flight.kind == kind).map(|in_flight| in_flight.label);
        if let Some(label) = label {
            self.mark_arrived(label, now);
        }
    }

    /// Returns the time at which [`can_send`](Self::can_send) may become true, if no answer arrives
    /// before.
    pub(super) fn next_send_at(&self, now: Duration) -> Duration {
        let unanswered = self.in_flight.front().map(|first| first.sent_at + REPLY_TIMEOUT);
        let refilled = self.limit.filter(|_| self.missing_tokens() > 0.0).map(|limit| {
            // One extra microsecond, so that rounding does not cause repeated early wake-ups.
            now + Duration::from_secs_f64(self.missing_tokens() / limit.per_second) + Duration::from_micros(1)
        });
        unanswered.into_iter().chain(refilled).min().unwrap_or(now + REPLY_TIMEOUT)
    }

    /// Returns the number of tokens that one more request lacks.
    #[expect(clippy::cast_precision_loss, reason = "at most MAX_IN_FLIGHT")]
    fn missing_tokens(&self) -> f64 {
        self.in_flight.len() as f64 + 1.0 - self.tokens
    }

    /// Charges the oldest request in flight, which has arrived.
    fn charge_oldest(&mut self, now: Duration) {
        self.refill(now);
        self.in_flight.pop_front();
        if self.limit.is_some() {
            self.tokens -= 1.0;
        }
    }

    fn refill(&mut self, now: Duration) {
        if let Some(RateLimit { per_second, burst }) = self.limit {
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
    fn burst_is_followed_by_the_refill_rate() {
        let mut limiter = RateLimiter::new();
        limiter.start_connection(at(0));
        limiter.set_limit(Some(10), Some(3), at(0));
        let mut sent = Vec::new();
        for millis in 0..1000 {
            while limiter.can_send(at(millis)) {
                limiter.record_sent(sent.len() as u64, RequestKind::Say, at(millis));
                limiter.mark_arrived(sent.len() as u64, at(millis));
                sent.push(millis);
            }
        }
        assert_eq!(sent, [0, 0, 0, 100, 200, 300, 400, 500, 600, 700, 800, 900]);
    }

    #[test]
    fn request_in_flight_reserves_its_token() {
        let mut limiter = RateLimiter::new();
        limiter.start_connection(at(0));
        limiter.set_limit(Some(1), Some(1), at(0));
        limiter.record_sent(1, RequestKind::Say, at(0));
        // If it were charged on sending, a second request could follow after 1 s, and both could
        // arrive together.
        assert!(!limiter.can_send(at(1500)));
        limiter.mark_arrived(1, at(1500));
        assert!(!limiter.can_send(at(2499)));
        assert!(limiter.can_send(at(2500)));
        limiter.record_sent(2, RequestKind::Other, at(2500));
        assert_eq!(limiter.next_send_at(at(2500)), at(3500) + Duration::from_micros(1));
        // A request without an answer counts as arrived after the timeout.
        assert!(!limiter.can_send(at(2500) + REPLY_TIMEOUT));
        assert!(limiter.can_send(at(3500) + REPLY_TIMEOUT));
    }

    #[test]
    fn unlimited_server_bounds_requests_in_flight() {
        let mut limiter = RateLimiter::new();
        limiter.start_connection(at(0));
        limiter.set_limit(None, None, at(0));
        let mut sent = 0;
        while limiter.can_send(at(0)) {
            limiter.record_sent(sent, RequestKind::Say, at(0));
            sent += 1;
        }
        assert_eq!(sent, MAX_IN_FLIGHT as u64);
        limiter.mark_arrived(9, at(0));
        assert!(limiter.can_send(at(0)));
    }

    proptest! {
        /// The server's bucket, which counts on arrival, is never overdrawn, whatever the delays in
        /// each direction.
        #[test]
        fn no_delay_causes_a_flood(
            per_second in 1u32..50, burst in 1u32..20,
            // Both delays together are shorter than REPLY_TIMEOUT.
            delays in proptest::collection::vec((0u64..2400, 0u64..2400), 1..80),
        ) {
            let mut limiter = RateLimiter::new();
            limiter.start_connection(at(0));
            limiter.set_limit(Some(per_second), Some(burst), at(0));
            let (mut now, mut arrived_at, mut answered_at) = (at(0), at(0), at(0));
            let mut answers = VecDeque::<(Duration, u64)>::new();
            let (mut level, mut filled) = (f64::from(burst), at(0));
            for (label, (there, back)) in (0..).zip(delays) {
                while !limiter.can_send(now) {
                    let next = limiter.next_send_at(now);
                    now = match answers.front() {
                        Some((due, label)) if *due <= next => {
                            let (due, label) = (*due, *label);
                            answers.pop_front();
                            limiter.mark_arrived(label, due.max(now));
                            due.max(now)
                        }
                        _ => next,
                    };
                }
                limiter.record_sent(label, RequestKind::Say, now);
                // TCP keeps the order in each direction.
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
