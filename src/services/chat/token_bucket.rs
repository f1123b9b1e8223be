//! How much one peer may ask: a bucket that fills with time and that each request takes one from.
//!
//! Only one point in time is kept, at which the bucket will be full again (the generic cell rate algorithm).

use std::time::{Duration, Instant};

/// A peer's bucket. A new one is full.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    full_at: Option<Instant>,
}

impl Bucket {
    /// Takes one, if there is one.
    pub(super) fn take(&mut self, now: Instant, per_second: u32, burst: u32) -> bool {
        if per_second == 0 {
            return true;
        }
        let each = Duration::from_secs(1) / per_second;
        let full_at = self.full_at.unwrap_or(now).max(now) + each;
        let allowed = full_at.saturating_duration_since(now) <= each * burst;
        if allowed {
            self.full_at = Some(full_at);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_does() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut bucket = Bucket::default();
        let mut take = |now| bucket.take(now, 20, 40);
        assert_eq!((0..100).filter(|_| take(at(0))).count(), 40);
        assert!(!take(at(49)) && take(at(50)) && !take(at(99)));
        // After a long silence it is full, and no more than full.
        assert_eq!((0..100).filter(|_| take(at(60_000))).count(), 40);
    }

    #[test]
    fn no_rate_is_no_limit() {
        let now = Instant::now();
        let mut bucket = Bucket::default();
        assert!((0..1000).all(|_| bucket.take(now, 0, 0)));
    }
}
