//! The limit on the datagrams that one source gets answered.
//!
//! The sender address of a datagram can be forged. One datagram with the address of another server
//! that answers everything makes the two answer each other, as fast as the network allows, without
//! end. A limit on answers ends an exchange that exceeds it: one datagram is under way at a time,
//! and the one that is not answered is the last. An exchange over a network so slow that it stays
//! below the limit goes on.

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::time::Instant;

use crate::service::token_bucket::TokenBucket;

/// Buckets of one socket. Sources share them by a keyed hash of address and port. So the memory is
/// constant, and a peer that forges many addresses can neither fill a table nor choose the sources
/// that share a bucket.
const BUCKETS: usize = 4096;

/// The rate limit of one UDP socket.
pub(crate) struct DatagramLimit {
    per_second: u32,
    buckets: Box<[TokenBucket]>,
    hasher: RandomState,
}

impl DatagramLimit {
    /// Returns the limit of a socket, see
    /// [`ServiceOptions::answers_per_second`](crate::ServiceOptions::answers_per_second); `None`
    /// for 0.
    pub(crate) fn new(per_second: u32) -> Option<Self> {
        let new = || Self {
            per_second,
            buckets: vec![TokenBucket::default(); BUCKETS].into_boxed_slice(),
            hasher: RandomState::new(),
        };
        (per_second > 0).then(new)
    }

    /// Counts a datagram of `from`. Returns false if it exceeds the source's rate, which may be
    /// used up in a burst of one second's answers.
    pub(crate) fn try_take(&mut self, from: SocketAddr, now: Instant) -> bool {
        // Less than `BUCKETS`, so the index fits and the bucket is there.
        let index = usize::try_from(self.hasher.hash_one(from) % BUCKETS as u64).unwrap_or_default();
        let Some(bucket) = self.buckets.get_mut(index) else { return true };
        bucket.try_take(now, self.per_second, self.per_second)
    }

    pub(crate) fn per_second(&self) -> u32 {
        self.per_second
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_source_has_a_rate_of_its_own() {
        let now = Instant::now();
        let mut limit = DatagramLimit::new(5).unwrap();
        let sources = [([127, 0, 0, 1], 1), ([127, 0, 0, 1], 2), ([127, 0, 0, 2], 1)].map(SocketAddr::from);
        // Two of few sources rarely share a bucket, so one of the three has a bucket for itself.
        let mut answered = |from, now| (0..20).filter(|_| limit.try_take(from, now)).count();
        let counts = sources.map(|from| answered(from, now));
        assert_eq!(counts[0], 5);
        assert!(counts.contains(&5) && counts.iter().sum::<usize>() >= 10, "{counts:?}");
        assert_eq!(answered(sources[0], now + Duration::from_millis(400)), 2, "the rate goes on");
    }

    #[test]
    fn a_service_without_a_rate_has_no_limit() {
        assert!(DatagramLimit::new(0).is_none());
    }
}
