//! Rate limit of one peer: a token bucket that refills with time. Each request takes one token.
//!
//! The bucket stores one instant, at which it will be full again (the generic cell rate algorithm).

use std::time::{Duration, Instant};

/// The token bucket of one peer. A new bucket is full.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TokenBucket {
    full_at: Option<Instant>,
}

impl TokenBucket {
    /// Takes one token. Returns false if the bucket is empty.
    pub(crate) fn try_take(&mut self, now: Instant, per_second: u32, burst: u32) -> bool {
        if per_second == 0 {
            return true;
        }
        let refill_time = Duration::from_secs(1) / per_second;
        let full_at = self.full_at.unwrap_or(now).max(now) + refill_time;
        let is_allowed = full_at.saturating_duration_since(now) <= refill_time * burst;
        if is_allowed {
            self.full_at = Some(full_at);
        }
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_allows_the_burst_and_then_the_rate() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut bucket = TokenBucket::default();
        let mut try_take = |now| bucket.try_take(now, 20, 40);
        assert_eq!((0..100).filter(|_| try_take(at(0))).count(), 40);
        assert!(!try_take(at(49)) && try_take(at(50)) && !try_take(at(99)));
        // After a long pause the bucket is full again and holds no more than the burst.
        assert_eq!((0..100).filter(|_| try_take(at(60_000))).count(), 40);
    }

    #[test]
    fn bucket_with_rate_zero_has_no_limit() {
        let now = Instant::now();
        let mut bucket = TokenBucket::default();
        assert!((0..1000).all(|_| bucket.try_take(now, 0, 0)));
    }
}
