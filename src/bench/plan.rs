//! What load to put on a server.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::endpoint::Endpoint;
use crate::frame::Framing;

/// A load.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The server: TCP, UDP or a Unix-domain socket.
    pub target: Endpoint,
    /// How the server's byte streams are cut. UDP has no use for it.
    pub framing: Framing,
    /// Connections held open, or for UDP sockets. With [`Activity::Churn`], connections at once.
    pub connections: usize,
    /// Payload bytes of a message, each drawn evenly from this range.
    pub payload_bytes: RangeInclusive<usize>,
    /// What the connections do.
    pub activity: Activity,
    /// Connections in addition that send as fast as the server takes it, and never read.
    pub slow_readers: usize,
    /// Over how long the connections are opened, evenly; zero: as fast as the server accepts.
    pub ramp: Duration,
    /// How long the load is on before it counts.
    pub warm_up: Duration,
    /// How long it counts.
    pub duration: Duration,
    /// An answer that has not come after this long is lost.
    pub answer_timeout: Duration,
    /// Where payloads begin: equal seeds send equal bytes.
    pub seed: u64,
}

/// What the connections of a load do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activity {
    /// Closed loop: each connection has so many messages under way, and sends the next when an answer comes. A server that
    /// stalls is sent nothing meanwhile, so its worst latencies are few: this measures throughput.
    Closed {
        /// Messages under way on each connection.
        in_flight: usize,
    },
    /// Open loop: so many messages a second over all connections, evenly spaced, whether or not answers come. Latency counts
    /// from when a message was due.
    Open {
        /// Messages a second.
        rate: f64,
    },
    /// Connect, one exchange, close, again and again; latency is that of all three.
    Churn,
    /// One exchange when connected, then nothing: connections are only held.
    Idle,
}
