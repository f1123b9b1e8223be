//! Statistics of an engine since its start. Counters only grow; the two gauges hold current values.

use std::fmt;
use std::time::Duration;

use super::lag::{LongTurns, Work};

/// Counters and gauges of one engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Gauge: open connections.
    pub open: u64,
    /// Gauge: bytes that connections hold, received or queued, and that services keep for them.
    pub buffered_bytes: u64,
    /// Gauge: bytes of messages that are queued for several connections, each counted once. With
    /// `buffered_bytes` it is the sum that `Limits::max_buffered_bytes` bounds.
    pub shared_bytes: u64,
    /// Connections accepted and opened.
    pub accepted: u64,
    /// Connections rejected because a limit was reached.
    pub refused: u64,
    /// Those of the rejected connections that were rejected for want of memory.
    pub refused_for_memory: u64,
    /// Connections closed for a reason that is not a fault, see `CloseReason::is_fault`.
    pub closed: u64,
    /// Connections closed because of a fault.
    pub faulted: u64,
    /// Those of the faulted connections that were closed as the largest holders of memory.
    pub closed_for_memory: u64,
    /// Pauses of accepting because no descriptor was free.
    pub accept_pauses: u64,
    /// Pauses of reading one connection because it had too many bytes queued or held.
    pub read_pauses: u64,
    /// Frames passed to services.
    pub frames_in: u64,
    /// Bytes received over connections.
    pub bytes_in: u64,
    /// Bytes sent over connections.
    pub bytes_out: u64,
    /// Frames dropped for slow consumers.
    pub frames_dropped: u64,
    /// Datagrams received.
    pub datagrams_in: u64,
    /// Datagrams sent.
    pub datagrams_out: u64,
    /// Datagrams that could not be sent.
    pub datagrams_dropped: u64,
    /// Datagrams that were not answered because their source exceeded the rate of
    /// [`ServiceOptions::answers_per_second`](crate::ServiceOptions::answers_per_second).
    pub datagrams_limited: u64,
    /// Jobs offloaded.
    pub jobs: u64,
    /// Turns of the event loop; on `Threaded`, of the loops of all threads.
    pub turns: u64,
    /// Turns that took longer than 10 ms. On `Threaded`, a turn is a group of callbacks that one
    /// thread makes while no other can call the service.
    pub long_turns: u64,
    /// The longest turn.
    pub longest_turn: Duration,
    /// The turns longer than 10 ms by what they spent most of their time on, as far as it is known.
    pub long_turns_by_work: Vec<LongTurns>,
}

impl Stats {
    /// The number of counters, without the gauges.
    pub(crate) const COUNTERS: usize = 19;

    /// Returns the counters, without the gauges.
    pub(crate) fn counters(&mut self) -> [&mut u64; Self::COUNTERS] {
        [
            &mut self.accepted,
            &mut self.refused,
            &mut self.refused_for_memory,
            &mut self.closed,
            &mut self.faulted,
            &mut self.closed_for_memory,
            &mut self.accept_pauses,
            &mut self.read_pauses,
            &mut self.frames_in,
            &mut self.bytes_in,
            &mut self.bytes_out,
            &mut self.frames_dropped,
            &mut self.datagrams_in,
            &mut self.datagrams_out,
            &mut self.datagrams_dropped,
            &mut self.datagrams_limited,
            &mut self.jobs,
            &mut self.turns,
            &mut self.long_turns,
        ]
    }

    /// Counts a turn that took longer than 10 ms, most of it for `work`.
    pub(crate) fn count_long_turn(&mut self, service: &str, work: Work, took: Duration) {
        self.long_turns += 1;
        LongTurns::count(&mut self.long_turns_by_work, service, work, took);
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "open={} buffered_bytes={} shared_bytes={} accepted={} refused={} refused_for_memory={} closed={} faulted={} \
             closed_for_memory={} accept_pauses={} read_pauses={} \
             frames_in={} bytes_in={} bytes_out={} frames_dropped={} datagrams_in={} datagrams_out={} \
             datagrams_dropped={} datagrams_limited={} jobs={} turns={} long_turns={} longest_turn_us={}",
            self.open,
            self.buffered_bytes,
            self.shared_bytes,
            self.accepted,
            self.refused,
            self.refused_for_memory,
            self.closed,
            self.faulted,
            self.closed_for_memory,
            self.accept_pauses,
            self.read_pauses,
            self.frames_in,
            self.bytes_in,
            self.bytes_out,
            self.frames_dropped,
            self.datagrams_in,
            self.datagrams_out,
            self.datagrams_dropped,
            self.datagrams_limited,
            self.jobs,
            self.turns,
            self.long_turns,
            self.longest_turn.as_micros()
        )?;
        self.long_turns_by_work.iter().try_for_each(|LongTurns { service, step, work, turns, .. }| {
            write!(f, " long_turns/{step}/{work}/{service}={turns}")
        })
    }
}
