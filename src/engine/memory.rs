//! The bound on the bytes that all connections hold together, `max_buffered_bytes`: the decisions
//! that both engines make about it. This file knows neither clock, connection nor thread.
//!
//! The sum counts what peers can make the server hold: the buffers of unfinished frames, undecoded
//! input and queued output, by their capacity; each batch that is queued for several connections,
//! once; what services declare with [`Context::hold`](crate::Context::hold) and for their jobs. The
//! engines count it at the end of each step, so it lags behind by one step, which reads and queues
//! a bounded number of bytes.
//!
//! - Three quarters of the bound are for all connections. Above, a connection that holds more than
//!   its share of an eighth of the bound is not read, and buffers no longer grow by doubling.
//!   Connections that hold less are served. So those who are connected take at most seven eighths,
//!   and the last eighth is for newcomers.
//! - Output that waits for a slow reader shrinks as the peer reads. Unfinished frames do not
//!   shrink, because their peers are not read. So if the sum has not fallen to five eighths when
//!   the grace period ends, the largest holders are closed, until it has.
//! - Output of services is not bounded by reading less, and newcomers may be many. If the sum
//!   reaches the bound, the largest holders are closed at once, and pending connections rejected.
//!
//! A peer that was closed for this reason is not accepted again for ten seconds, as long as half of
//! the bound is used.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use log::Level;

use super::limits::Limits;
use crate::service::address::site_of;
use crate::service::time::Timestamp;
use crate::service::warning_limit::log_limited;
use crate::service::{CloseReason, Peer};

/// The time for which connections may keep the sum above three quarters of the bound before the
/// largest holders are closed.
pub(crate) const MEMORY_GRACE: Duration = Duration::from_secs(5);

/// The time for which a peer that was closed for its memory is not accepted.
const CLOSED_PEER_WAIT: Duration = Duration::from_secs(10);

/// Peers that were closed for their memory and are remembered. Beyond, the oldest are forgotten.
const MAX_CLOSED_PEERS: usize = 1024;

/// The smallest read above the bound, in bytes: enough to justify the system call and to detect the
/// peer's end.
const MIN_READ_BYTES: usize = 1024;

/// The decisions about the sum of held bytes, which the caller counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemoryPolicy {
    max_bytes: usize,
}

impl MemoryPolicy {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { max_bytes: limits.max_buffered_bytes }
    }

    /// Returns true if only the reserve is left: the sum has reached three quarters of the bound.
    #[inline]
    pub(crate) fn is_over(self, sum: u64) -> bool {
        sum >= (self.max_bytes - self.max_bytes / 4) as u64
    }

    /// Returns true if half of the bound is used, so that memory is kept for input and output.
    pub(crate) fn is_half_used(self, sum: u64) -> bool {
        sum >= self.max_bytes as u64 / 2
    }

    /// Returns true if the sum has fallen so far that all connections are read again: to five
    /// eighths of the bound.
    pub(crate) fn is_relieved(self, sum: u64) -> bool {
        sum <= (self.max_bytes / 8 * 5) as u64
    }

    /// Returns true if the sum has reached the bound, so that the largest holders are closed
    /// without a grace period.
    pub(crate) fn is_exceeded(self, sum: u64) -> bool {
        sum >= self.max_bytes as u64
    }

    /// Returns the bytes that each of `open` connections may hold while only the reserve is left.
    pub(crate) fn share_bytes(self, open: usize) -> usize {
        self.max_bytes / 8 / open.max(1)
    }

    /// Returns the number of bytes that may be read while only the reserve is left, from a
    /// connection that holds `held`: the rest of its share, at most `budget`. Returns `None` if the
    /// connection holds more than its share and has to pause. With `reads_to_end`, its end of
    /// stream is reported and it is read on, because its close frees its memory.
    pub(crate) fn read_allowance(self, open: usize, held: usize, budget: usize, reads_to_end: bool) -> Option<usize> {
        let share = self.share_bytes(open);
        let may_read = held <= share || reads_to_end;
        may_read.then(|| share.saturating_sub(held).max(MIN_READ_BYTES).min(budget))
    }

    /// Returns the reason to reject a pending connection, if the sum has reached the bound.
    pub(crate) fn rejection(self, sum: u64) -> Option<CloseReason> {
        self.is_exceeded(sum).then(|| self.close_reason())
    }

    /// Returns the reason to close one of the largest holders.
    pub(crate) fn close_reason(self) -> CloseReason {
        CloseReason::BufferBudget(self.max_bytes)
    }

    /// Returns those of `holders` (bytes and connection) that hold anything, largest first. The
    /// caller closes them one by one until the sum [is relieved](Self::is_relieved).
    pub(crate) fn largest_first<K>(holders: impl Iterator<Item = (usize, K)>) -> Vec<(usize, K)> {
        let mut holders: Vec<_> = holders.filter(|(held, _)| *held > 0).collect();
        holders.sort_by_key(|(held, _)| std::cmp::Reverse(*held));
        holders
    }

    /// Logs that only the reserve is left.
    pub(crate) fn log_reached(self, sum: u64, open: u64) {
        log_limited(
            Level::Warn,
            "memory limit reached",
            format_args!(
                "memory limit reached: connections hold {sum} of {} bytes; the largest holders of {open} are paused",
                self.max_bytes
            ),
        );
    }

    /// Logs that the sum has fallen.
    pub(crate) fn log_cleared(sum: u64) {
        log_limited(
            Level::Info,
            "memory limit cleared",
            format_args!("memory limit cleared: connections hold {sum} bytes; all are read"),
        );
    }
}

/// The addresses of peers that were closed for their memory, and when.
///
/// Behind a loopback address or a Unix-domain socket there may be anybody, so these are not
/// remembered.
#[derive(Debug, Default)]
pub(crate) struct ClosedHolders {
    recent: VecDeque<(IpAddr, Timestamp)>,
}

impl ClosedHolders {
    /// Notes that a peer was closed for its memory.
    pub(crate) fn note(&mut self, peer: &Peer, now: Timestamp) {
        let Some(network) = remote_site(peer) else { return };
        self.recent.retain(|(known, _)| *known != network);
        if self.recent.len() >= MAX_CLOSED_PEERS {
            self.recent.pop_front();
        }
        self.recent.push_back((network, now));
    }

    /// Returns true if a peer has to wait before it is accepted.
    pub(crate) fn must_wait(&mut self, peer: &Peer, now: Timestamp) -> bool {
        while self.recent.front().is_some_and(|(_, at)| *at + CLOSED_PEER_WAIT <= now) {
            self.recent.pop_front();
        }
        remote_site(peer).is_some_and(|network| self.recent.iter().any(|(known, _)| *known == network))
    }
}

/// Returns the address by which a peer is remembered, unless it is on this machine.
fn remote_site(peer: &Peer) -> Option<IpAddr> {
    let Peer::Tcp(addr) = peer else { return None };
    let site = site_of(addr.ip());
    (!site.is_loopback()).then_some(site)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const POLICY: MemoryPolicy = MemoryPolicy { max_bytes: 80_000 };

    #[test]
    fn pressure_begins_at_three_quarters_and_ends_at_five_eighths() {
        assert!(!POLICY.is_over(59_999) && POLICY.is_over(60_000));
        assert!(!POLICY.is_relieved(50_001) && POLICY.is_relieved(50_000));
        assert!(!POLICY.is_half_used(39_999) && POLICY.is_half_used(40_000));
        assert_eq!(POLICY.rejection(79_999), None);
        assert_eq!(POLICY.rejection(80_000), Some(CloseReason::BufferBudget(80_000)));
        assert!(!POLICY.is_exceeded(79_999) && POLICY.is_exceeded(80_000));
    }

    #[test]
    fn a_connection_is_read_up_to_its_share_of_the_reserve() {
        let allowance = |held, reads_to_end| POLICY.read_allowance(4, held, 2_000, reads_to_end);
        assert_eq!(allowance(0, false), Some(2_000), "at most the budget");
        assert_eq!(allowance(1_000, false), Some(1_500));
        assert_eq!(allowance(2_500, false), Some(MIN_READ_BYTES), "no read is too small for its system call");
        assert_eq!(allowance(2_501, false), None);
        assert_eq!(allowance(2_501, true), Some(MIN_READ_BYTES));
        assert_eq!(POLICY.read_allowance(0, 0, 1, false), Some(1), "no connection is counted yet");
    }

    #[test]
    fn holders_are_closed_from_the_largest_on() {
        let holders = [(10, 'a'), (40, 'b'), (0, 'c'), (30, 'd')];
        assert_eq!(MemoryPolicy::largest_first(holders.into_iter()), [(40, 'b'), (30, 'd'), (10, 'a')]);
    }

    #[test]
    fn a_closed_holder_waits_before_it_is_accepted_again() {
        let start = Instant::now();
        let at = |seconds| Timestamp::new(start, start + Duration::from_secs(seconds));
        let peer = |addr: &str| Peer::Tcp(addr.parse().unwrap());
        let mut closed = ClosedHolders::default();
        for addr in ["192.0.2.1:5", "[::ffff:192.0.2.2]:5", "[2001:db8::1]:5", "127.0.0.1:5", "[::1]:5"] {
            closed.note(&peer(addr), at(0));
        }
        closed.note(&Peer::Unix, at(0));
        let waiting = |closed: &mut ClosedHolders, seconds| {
            let addrs = ["192.0.2.1:6", "192.0.2.2:6", "[2001:db8::2]:6", "192.0.2.3:6", "[2001:db8:0:1::1]:6"];
            let addrs = addrs.into_iter().chain(["127.0.0.1:6", "[::1]:6"]);
            addrs.map(|addr| closed.must_wait(&peer(addr), at(seconds))).collect::<Vec<_>>()
        };
        assert_eq!(waiting(&mut closed, 9), [true, true, true, false, false, false, false]);
        closed.note(&peer("192.0.2.1:7"), at(9));
        assert_eq!(waiting(&mut closed, 10), [true, false, false, false, false, false, false], "once more");
        for host in 0..u32::try_from(2 * MAX_CLOSED_PEERS).unwrap() {
            closed.note(&Peer::Tcp((std::net::Ipv4Addr::from_bits(host | 0x0a00_0000), 1).into()), at(11));
        }
        assert_eq!(closed.recent.len(), MAX_CLOSED_PEERS);
    }
}
