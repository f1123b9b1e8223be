//! The limits of an engine: each has its unit in its name and a safe default.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::error::Error;
use crate::service::{PanicPolicy, Peer};

/// Upper bound of `max_queued_messages`: the queue is allocated in full at the start.
const MAX_QUEUED_MESSAGES: usize = 1 << 20;

/// The pause of accepting after descriptors have run out. It ends earlier if a connection closes.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Rejected connections that are held open to send them the reason. Beyond this number they are
/// closed without a reason.
pub(crate) const MAX_REJECTED_OPEN: usize = 64;

/// Shared batches that may be queued for one peer, whatever their size, because each takes memory
/// beyond its bytes.
pub(crate) const MAX_SHARED_FRAMES: usize = 16 * 1024;

/// Dropped batches of one connection that are reported with their ids. Further ones are reported as
/// one number of frames.
pub(crate) const MAX_DROPPED_REPORTS: usize = 1024;

/// The time over which [`Limits::min_read_rate`] is averaged.
pub(crate) const READ_RATE_PERIOD: Duration = Duration::from_secs(60);

/// The share of a timeout after which a peer is looked at while output waits for it. A deadline may
/// be late by this much.
const LOOKS_IN_TIMEOUT: u32 = 20;

/// The shortest time between two looks at a peer.
const MIN_LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// The longest `keepalive`: the kernel's bound is 32,767 seconds.
const MAX_KEEPALIVE: Duration = Duration::from_secs(9 * 60 * 60);

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// The limits of an engine on memory, time and work. Sizes are in bytes.
///
/// ```
/// use std::time::Duration;
/// use switchboard::Limits;
/// let limits = Limits { idle_timeout: Duration::from_secs(60), ..Limits::default() };
/// assert_eq!(limits.max_frame_bytes, 1 << 20);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections over all listeners. A further connection receives the reason and is closed.
    pub max_connections: usize,
    /// Open connections of one address over all listeners; an IPv6 address stands for its /64
    /// network. A further connection receives the reason and is closed. `Some(0)`: no limit.
    /// `None`: 256, and no limit for the addresses of this machine (loopback), so that a load test
    /// there does not meet a limit that nobody has set.
    pub max_connections_per_address: Option<usize>,
    /// Payload bytes of one frame. The declared length is checked before any byte of the payload is
    /// stored.
    pub max_frame_bytes: usize,
    /// Output bytes queued for one peer. Above half of this (high water) the peer is not read;
    /// below a quarter (low water) it is read again. The limit is checked before output is added,
    /// so that a single frame always fits: the queue holds at most this plus the replies of one
    /// step.
    pub max_write_buffer_bytes: usize,
    /// Bytes that all connections together hold: received, queued, and kept by services for them
    /// (see [`Context::hold`](crate::Context::hold)). From three quarters of it on, connections
    /// that hold more than a small share are not read. At the limit, the largest holders are closed
    /// and new connections rejected. The sum exceeds it by at most one step's bytes.
    pub max_buffered_bytes: usize,
    /// The time between a frame's first byte and its last. Time in which the engine paused reading
    /// does not count. Zero: no limit.
    pub frame_timeout: Duration,
    /// The time in which a peer must receive at least one byte of its queued output. Zero: no
    /// limit.
    pub write_timeout: Duration,
    /// Bytes in a second that a peer must receive while output is queued for it, averaged over a
    /// minute. Zero: no limit.
    pub min_read_rate: usize,
    /// The time without a byte in either direction. Zero: no limit.
    pub idle_timeout: Duration,
    /// The silence on a TCP connection after which the kernel asks the peer's machine whether it is
    /// still there. Without an answer, it gives up after about the same time again. Zero: it never
    /// asks.
    pub keepalive: Duration,
    /// The time that a draining engine spends on flushing queued output. Zero: none.
    pub drain_timeout: Duration,
    /// The time over which a draining engine spreads the closes of its connections, which it goes
    /// on serving meanwhile. Otherwise all clients would connect again at the same time. Zero: all
    /// close at once.
    pub drain_jitter: Duration,
    /// The time for which input is discarded after the engine has shut down its side. Closing at
    /// once could cause a reset, which would lose the last output (RFC 1122, section 4.2.2.13).
    pub linger_timeout: Duration,
    /// The policy for a peer that reads too slowly.
    pub slow_consumer: SlowConsumer,
    /// The policy for a panic in a callback of a service. A service that panics
    /// [`PanicPolicy::MAX_PANICS`] times within [`PanicPolicy::WINDOW`] is stopped.
    pub panic: PanicPolicy,
    /// Connections that the kernel queues until they are accepted, see listen(2).
    pub backlog: u32,
    /// Connections accepted from one listener in one turn.
    pub accept_budget: usize,
    /// Bytes read from one connection in one turn; the rest waits for the next turn.
    pub read_budget_bytes: usize,
    /// Datagrams received from one socket in one turn.
    pub datagram_budget: usize,
    /// The time for which one connection, listener or socket is served in one turn; the rest waits
    /// for the next turn. It is checked between callbacks. Zero: no limit.
    pub turn_budget: Duration,
    /// The length of a turn of the loop beyond which a warning names the service and the callback
    /// that took the time. Zero: none. Turns longer than 10 ms are counted in any case, see
    /// [`Stats::long_turns`](crate::Stats::long_turns).
    pub max_turn: Duration,
    /// Worker threads for offloaded work, started when first needed.
    pub workers: usize,
    /// Jobs that may wait for a worker thread. Those of a service with
    /// [`jobs_wait`](crate::ServiceOptions::jobs_wait) are not rejected.
    ///
    /// The connections take turns, and the jobs of one connection never have all threads if there
    /// is more than one.
    pub max_queued_jobs: usize,
    /// Jobs of one connection that wait or run. The connection is not read until one of them is
    /// done.
    pub max_jobs_per_connection: usize,
    /// Messages from other threads that may wait for the loop.
    pub max_queued_messages: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 100_000,
            max_connections_per_address: None,
            max_frame_bytes: MIB,
            max_write_buffer_bytes: MIB,
            max_buffered_bytes: 256 * MIB,
            frame_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            min_read_rate: 240,
            idle_timeout: Duration::ZERO,
            keepalive: Duration::from_secs(5 * 60),
            drain_timeout: Duration::from_secs(5),
            drain_jitter: Duration::ZERO,
            linger_timeout: Duration::from_secs(1),
            slow_consumer: SlowConsumer::Disconnect,
            panic: PanicPolicy::Close,
            backlog: 4096,
            accept_budget: 256,
            read_budget_bytes: 256 * KIB,
            datagram_budget: 1024,
            turn_budget: Duration::from_micros(500),
            max_turn: Duration::ZERO,
            workers: 4,
            max_queued_jobs: 1024,
            max_jobs_per_connection: 16,
            max_queued_messages: 1024,
        }
    }
}

impl Limits {
    /// Largest valid `max_connections`: the index bits of a connection's id on 32-bit platforms,
    /// rounded down.
    pub const MAX_CONNECTIONS: usize = 1_000_000;

    /// Returns the queued output above which a connection is not read.
    pub fn high_water_bytes(&self) -> usize {
        self.max_write_buffer_bytes / 2
    }

    /// Returns the queued output below which a connection is read again.
    pub fn low_water_bytes(&self) -> usize {
        self.max_write_buffer_bytes / 4
    }

    /// Returns the bound of a peer's write queue. A console is never closed for reading slowly: it
    /// drops the oldest output.
    #[inline]
    pub(crate) fn queue_bound(&self, peer: &Peer) -> QueueBound {
        let is_console = *peer == Peer::Console;
        let policy = if is_console { SlowConsumer::DropOldest } else { self.slow_consumer };
        QueueBound { max_bytes: self.max_write_buffer_bytes, policy, may_drop_replies: is_console }
    }

    /// Returns the time between two looks at a peer while output waits for it; `None` if no limit
    /// needs them.
    #[inline]
    pub(crate) fn look_interval(&self) -> Option<Duration> {
        let rate_period = if self.min_read_rate == 0 { Duration::MAX } else { READ_RATE_PERIOD };
        let write_timeout = if self.write_timeout.is_zero() { Duration::MAX } else { self.write_timeout };
        let shorter = rate_period.min(write_timeout);
        (shorter != Duration::MAX).then(|| (shorter / LOOKS_IN_TIMEOUT).max(MIN_LOOK_INTERVAL))
    }

    /// Checks that each limit is in its range and that no two contradict each other.
    ///
    /// # Errors
    /// [`Error::Limits`] names the limit.
    pub fn validate(&self) -> Result<(), Error> {
        let wrong = |name, requirement| Err(Error::Limits { name, requirement });
        let nonzero = [
            (self.max_connections, "max-connections"),
            (self.max_frame_bytes, "max-frame-bytes"),
            (self.max_buffered_bytes, "max-buffered-bytes"),
            (self.backlog as usize, "backlog"),
            (self.accept_budget, "accept-budget"),
            (self.read_budget_bytes, "read-budget-bytes"),
            (self.datagram_budget, "datagram-budget"),
            (self.workers, "workers"),
            (self.max_queued_jobs, "max-queued-jobs"),
            (self.max_jobs_per_connection, "max-jobs-per-connection"),
            (self.max_queued_messages, "max-queued-messages"),
        ];
        if let Some((_, name)) = nonzero.into_iter().find(|(value, _)| *value == 0) {
            return wrong(name, "must be at least 1");
        }
        if self.max_connections > Self::MAX_CONNECTIONS {
            return wrong("max-connections", "must be at most 1000000");
        }
        if self.max_queued_messages > MAX_QUEUED_MESSAGES {
            let requirement = "must be at most 1048576, because its queue is allocated at the start";
            return wrong("max-queued-messages", requirement);
        }
        if self.max_write_buffer_bytes < 4 {
            return wrong("max-write-buffer-bytes", "must be at least 4");
        }
        if !self.keepalive.is_zero() && !(Duration::from_secs(1)..=MAX_KEEPALIVE).contains(&self.keepalive) {
            return wrong("keepalive", "must be 0, or from 1s to 9h");
        }
        if self.drain_jitter > self.drain_timeout {
            return wrong("drain-jitter", "must be at most the drain timeout");
        }
        // A frame may be held twice, as input and as reply; 64 KiB cover its header and the
        // bookkeeping.
        if self.max_buffered_bytes / 2 < self.max_frame_bytes.saturating_add(64 * KIB) {
            let requirement =
                "must be at least twice (max-frame-bytes + 64 KiB), or a frame of the largest size would not fit";
            return wrong("max-buffered-bytes", requirement);
        }
        Ok(())
    }
}

/// The bound of one peer's write queue and the policy beyond it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueBound {
    pub(crate) max_bytes: usize,
    pub(crate) policy: SlowConsumer,
    /// True if the policy drops replies like batches, instead of a close when replies alone reach
    /// the bound.
    pub(crate) may_drop_replies: bool,
}

/// The policy for output beyond [`Limits::max_write_buffer_bytes`].
///
/// Only output that a callback of another connection, or of none, sends to a peer is dropped.
/// Replies are not: under the drop policies queued output of others makes room for them. A peer
/// whose replies alone reach the limit is disconnected under every policy. That cannot happen with
/// replies to requests, because reading pauses at half of the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlowConsumer {
    /// Closes the connection, because the peer would otherwise receive an incomplete stream.
    #[default]
    Disconnect,
    /// Drops the newest frames, usually the one to send; the peer receives the older ones.
    DropNewest,
    /// Drops the oldest complete frames; the peer receives the newest ones.
    DropOldest,
}

impl SlowConsumer {
    /// The policies with their names on the command line.
    pub const NAMES: [(&'static str, Self); 3] =
        [("disconnect", Self::Disconnect), ("drop-newest", Self::DropNewest), ("drop-oldest", Self::DropOldest)];
}

impl FromStr for SlowConsumer {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, policy)| *policy).ok_or("write disconnect, drop-newest or drop-oldest")
    }
}

impl fmt::Display for SlowConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = Self::NAMES.iter().find(|(_, policy)| policy == self);
        f.write_str(found.map_or("", |(name, _)| name))
    }
}
