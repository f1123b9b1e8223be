//! What an engine has done since it started. Counters only ever grow; the two gauges say what is now.

use std::fmt;

/// Counters and gauges of one engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Gauge: connections open now.
    pub open: u64,
    /// Gauge: bytes that connections hold now, received and waiting.
    pub buffered_bytes: u64,
    /// Connections accepted and served.
    pub accepted: u64,
    /// Newcomers turned away: the server was full.
    pub refused: u64,
    /// Connections that ended in the ordinary course of things.
    pub closed: u64,
    /// Connections that ended by somebody's fault.
    pub faulted: u64,
    /// Times that accepting paused because descriptors had run out.
    pub accept_pauses: u64,
    /// Times that a connection was not read because it owed or held too much.
    pub read_pauses: u64,
    /// Frames handed to services.
    pub frames_in: u64,
    /// Bytes received over connections.
    pub bytes_in: u64,
    /// Bytes that sockets took from us over connections.
    pub bytes_out: u64,
    /// Frames dropped for slow consumers.
    pub frames_dropped: u64,
    /// Datagrams received.
    pub datagrams_in: u64,
    /// Datagrams sent.
    pub datagrams_out: u64,
    /// Datagrams that could not be sent.
    pub datagrams_dropped: u64,
    /// Pieces of work offloaded.
    pub jobs: u64,
    /// Turns of the loop; with a thread for each connection, of all their loops together.
    pub turns: u64,
}

impl Stats {
    /// How many counters there are, the gauges apart.
    pub(crate) const COUNTERS: usize = 15;

    /// The counters, the gauges apart.
    pub(crate) fn counters(&mut self) -> [&mut u64; Self::COUNTERS] {
        [
            &mut self.accepted,
            &mut self.refused,
            &mut self.closed,
            &mut self.faulted,
            &mut self.accept_pauses,
            &mut self.read_pauses,
            &mut self.frames_in,
            &mut self.bytes_in,
            &mut self.bytes_out,
            &mut self.frames_dropped,
            &mut self.datagrams_in,
            &mut self.datagrams_out,
            &mut self.datagrams_dropped,
            &mut self.jobs,
            &mut self.turns,
        ]
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "open={} buffered_bytes={} accepted={} refused={} closed={} faulted={} accept_pauses={} read_pauses={} \
             frames_in={} bytes_in={} bytes_out={} frames_dropped={} datagrams_in={} datagrams_out={} \
             datagrams_dropped={} jobs={} turns={}",
            self.open,
            self.buffered_bytes,
            self.accepted,
            self.refused,
            self.closed,
            self.faulted,
            self.accept_pauses,
            self.read_pauses,
            self.frames_in,
            self.bytes_in,
            self.bytes_out,
            self.frames_dropped,
            self.datagrams_in,
            self.datagrams_out,
            self.datagrams_dropped,
            self.jobs,
            self.turns
        )
    }
}
