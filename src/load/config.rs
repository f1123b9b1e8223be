//! What load to put on a server.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::error::LoadError;
use super::write_batch::WireFormat;
use crate::frame::{Framing, encode};
use crate::net::Endpoint;
use crate::net::udp_batch::MAX_DATAGRAM_BYTES;

/// The longest payload: what is sent is made from a table of about this size.
const MAX_PAYLOAD_BYTES: usize = 1 << 30;

/// The most connections: as many as a slab has numbers for.
pub(super) const MAX_CONNECTIONS: usize = 1 << 24;

/// The highest rate, in messages a second: several times what one thread can send.
pub(super) const MAX_RATE: f64 = 1e8;

/// A load.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadConfig {
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

impl LoadConfig {
    /// Refuses what cannot be done, naming it as a flag would be named.
    pub(super) fn check(&self) -> Result<(), LoadError> {
        let is_udp = matches!(self.target, Endpoint::Udp(_));
        let (least, most) = (*self.payload_bytes.start(), *self.payload_bytes.end());
        let carried = || match self.wire() {
            WireFormat::Stream(framing) => {
                let carry = |bytes| encode(framing, &vec![b'x'; bytes], &mut Vec::new());
                carry(least).and_then(|()| carry(most))
            }
            WireFormat::Datagrams => Ok(()),
        };
        let wrong = if least > most {
            format!("payload: the range {least} to {most} is empty")
        } else if most > MAX_PAYLOAD_BYTES {
            format!("payload: {most} bytes are more than {MAX_PAYLOAD_BYTES}")
        } else if is_udp && most > MAX_DATAGRAM_BYTES {
            format!("payload: a datagram holds at most {MAX_DATAGRAM_BYTES} bytes")
        } else if least == 0 && (is_udp || self.framing == Framing::Raw) {
            "payload: of no bytes nothing can be heard without frames".to_owned()
        } else if let Err(error) = carried() {
            format!("payload: {error}")
        } else if self.connections == 0 {
            "connections: at least one is needed".to_owned()
        } else if self.connections.saturating_add(self.slow_readers) > MAX_CONNECTIONS {
            format!("connections: more than {MAX_CONNECTIONS}")
        } else if is_udp && self.slow_readers > 0 {
            "slow-readers: over UDP nobody waits for a reader".to_owned()
        } else if self.duration.is_zero() {
            "duration: nothing can be measured in no time".to_owned()
        } else if self.answer_timeout.is_zero() {
            "answer-timeout: no answer comes in no time".to_owned()
        } else {
            return self.check_activity();
        };
        Err(LoadError::Config(wrong))
    }

    fn check_activity(&self) -> Result<(), LoadError> {
        match self.activity {
            Activity::Closed { in_flight: 0 } => Err(LoadError::Config("in-flight: at least one is needed".to_owned())),
            Activity::Open { rate } => check_rate(rate),
            _ => Ok(()),
        }
    }

    pub(super) fn wire(&self) -> WireFormat {
        if matches!(self.target, Endpoint::Udp(_)) { WireFormat::Datagrams } else { WireFormat::Stream(self.framing) }
    }
}

/// Refuses a rate that cannot be kept.
pub(super) fn check_rate(rate: f64) -> Result<(), LoadError> {
    if rate > MAX_RATE {
        let wrong = format!("rate: {rate} messages a second are more than {MAX_RATE}, the highest there is");
        return Err(LoadError::Config(wrong));
    }
    // Nor what is no number.
    let can_be = rate > 0.0;
    if can_be { Ok(()) } else { Err(LoadError::Config(format!("rate: {rate} messages a second cannot be sent"))) }
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
