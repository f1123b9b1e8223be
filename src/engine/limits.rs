//! Every bound of an engine, in one place, with its unit in its name and a safe default.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::error::Error;
use crate::service::Peer;

/// The queue of messages has its full size from the start.
const MAX_QUEUED_MESSAGES: usize = 1 << 20;

/// What a connection's id has room for on every platform, rounded down.
const MAX_CONNECTIONS: usize = 1_000_000;

/// How long accepting rests when descriptors have run out and none of ours is closed meanwhile.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Newcomers that are being told why they are turned away, at once. Beyond it they are closed without a word.
pub(crate) const MAX_REFUSED_OPEN: usize = 64;

/// How long holders that are not read may keep what all hold above its bound.
pub(crate) const BUDGET_PATIENCE: Duration = Duration::from_secs(5);

/// Even above that bound a read is worth its call, and an end is found.
pub(crate) const MIN_READ_BYTES: usize = 1024;

/// Frames shared with others that may wait for one peer, however small they are: each costs more than its bytes.
pub(crate) const MAX_SHARED_FRAMES: usize = 16 * 1024;

/// Dropped batches that a service is still to be told of, for one connection, by their names. Of more it learns the number.
pub(crate) const MAX_MISSED: usize = 1024;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// What an engine will hold, wait for and do, at most. Sizes are bytes.
///
/// ```
/// use std::time::Duration;
/// use switchboard::Limits;
/// let limits = Limits { idle_timeout: Duration::from_secs(60), ..Limits::default() };
/// assert_eq!(limits.max_frame_bytes, 1 << 20);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections, over all listeners. A newcomer beyond it is told so and closed.
    pub max_connections: usize,
    /// Payload bytes of one frame, checked against the prefix before a byte of the body is kept.
    pub max_frame_bytes: usize,
    /// Bytes that may wait for one peer. Half of it is the high water above which the peer is not read, a quarter the low
    /// water below which it is read again. It is checked before anything is added, so that a single frame always passes, and
    /// the bound is this plus the replies of one step.
    pub max_write_buffer_bytes: usize,
    /// Bytes that all connections together may hold, received and waiting. Reached, connections that hold more than their
    /// share are not read, others are read up to their share, and newcomers are refused. Buffers grow by doubling, so the sum is
    /// at most about three times this.
    pub max_buffered_bytes: usize,
    /// From a frame's first byte to its last. Time in which the engine itself did not read is not counted. Zero: no limit.
    pub frame_timeout: Duration,
    /// How long a peer may take not one byte of what is owed to it. Zero: no limit.
    pub write_timeout: Duration,
    /// How long a connection may be silent in both directions. Zero: no limit.
    pub idle_timeout: Duration,
    /// How long a stopping engine flushes what it owes. Zero: not at all.
    pub drain_timeout: Duration,
    /// How long input is discarded after the engine has closed its side, so that its last words are not lost to a reset.
    pub linger_timeout: Duration,
    /// What happens to a peer that reads too slowly.
    pub slow_consumer: SlowConsumer,
    /// Connections that the operating system may hold for us between accepts.
    pub backlog: u32,
    /// Connections accepted from one listener in one turn.
    pub accept_budget: usize,
    /// Bytes read from one connection in one turn; it goes on in the next.
    pub read_budget_bytes: usize,
    /// Datagrams received from one socket in one turn.
    pub datagram_budget: usize,
    /// Threads for work that blocks, started when first needed.
    pub workers: usize,
    /// Pieces of blocking work that may wait for a worker.
    pub max_queued_jobs: usize,
    /// Messages from other threads that may wait for the loop.
    pub max_queued_messages: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 100_000,
            max_frame_bytes: MIB,
            max_write_buffer_bytes: MIB,
            max_buffered_bytes: 256 * MIB,
            frame_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            idle_timeout: Duration::ZERO,
            drain_timeout: Duration::from_secs(5),
            linger_timeout: Duration::from_secs(1),
            slow_consumer: SlowConsumer::Disconnect,
            backlog: 4096,
            accept_budget: 256,
            read_budget_bytes: 256 * KIB,
            datagram_budget: 1024,
            workers: 4,
            max_queued_jobs: 1024,
            max_queued_messages: 1024,
        }
    }
}

impl Limits {
    /// Pending output above which a connection is not read.
    pub fn high_water_bytes(&self) -> usize {
        self.max_write_buffer_bytes / 2
    }

    /// Pending output below which a connection is read again.
    pub fn low_water_bytes(&self) -> usize {
        self.max_write_buffer_bytes / 4
    }

    /// What each of `open` connections may hold while all together hold too much.
    pub(crate) fn share_bytes(&self, open: usize) -> usize {
        self.max_buffered_bytes / open.max(1)
    }

    /// What all may hold for everybody to be read again: an eighth of the bound to spare.
    pub(crate) fn relief_bytes(&self) -> u64 {
        let max = self.max_buffered_bytes as u64;
        max - max / 8
    }

    /// What a peer's write queue is held to. Nobody's console is taken away because its reader went to lunch.
    #[inline]
    pub(crate) fn queue_bound(&self, peer: &Peer) -> QueueBound {
        let policy = if *peer == Peer::Console { SlowConsumer::DropOldest } else { self.slow_consumer };
        QueueBound { max_bytes: self.max_write_buffer_bytes, policy }
    }

    /// Checks that the engine can work at all with these.
    ///
    /// # Errors
    /// [`Error::Limits`] names the limit that is out of its range.
    pub fn validate(&self) -> Result<(), Error> {
        let must_not_be_zero = [
            (self.max_connections, "max-connections must be at least 1"),
            (self.max_frame_bytes, "max-frame-bytes must be at least 1"),
            (self.max_write_buffer_bytes / 4, "max-write-buffer-bytes must be at least 4"),
            (self.max_buffered_bytes, "max-buffered-bytes must be at least 1"),
            (self.backlog as usize, "backlog must be at least 1"),
            (self.accept_budget, "accept-budget must be at least 1"),
            (self.read_budget_bytes, "read-budget-bytes must be at least 1"),
            (self.datagram_budget, "datagram-budget must be at least 1"),
            (self.workers, "workers must be at least 1"),
            (self.max_queued_jobs, "max-queued-jobs must be at least 1"),
            (self.max_queued_messages, "max-queued-messages must be at least 1"),
        ];
        if self.max_connections > MAX_CONNECTIONS {
            return Err(Error::Limits("max-connections must be at most 1000000"));
        }
        if self.max_queued_messages > MAX_QUEUED_MESSAGES {
            return Err(Error::Limits(
                "max-queued-messages must be at most 1048576, because its queue is allocated at the start",
            ));
        }
        match must_not_be_zero.iter().find(|(value, _)| *value == 0) {
            Some((_, what)) => Err(Error::Limits(what)),
            // Received and answered, a frame may be held twice; its head and bookkeeping are small beside 64 KiB.
            None if self.max_buffered_bytes / 2 < self.max_frame_bytes.saturating_add(64 * KIB) => Err(Error::Limits(
                "max-buffered-bytes is less than twice max-frame-bytes and 64 KiB, so no large frame could pass",
            )),
            None => Ok(()),
        }
    }
}

/// What bounds one peer's pending output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueBound {
    pub(crate) max_bytes: usize,
    pub(crate) policy: SlowConsumer,
}

/// What happens when more waits for a peer than [`Limits::max_write_buffer_bytes`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlowConsumer {
    /// The connection is closed: what it would read later would have a hole in it.
    #[default]
    Disconnect,
    /// The new frame is dropped; the peer gets the old ones.
    DropNewest,
    /// The oldest whole frames are dropped; the peer gets the news.
    DropOldest,
}

impl SlowConsumer {
    /// Every policy with its name on the command line.
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
