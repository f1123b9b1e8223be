//! The configuration of an echo load.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::error::LoadError;
use super::write_batch::WireFormat;
use crate::frame::{Framing, encode};
use crate::net::Endpoint;
use crate::net::udp_batch::MAX_DATAGRAM_BYTES;

/// The longest payload. The table that all payloads come from has about this size.
const MAX_PAYLOAD_BYTES: usize = 1 << 30;

/// The most connections, which is the capacity of the slab.
pub(super) const MAX_CONNECTIONS: usize = 1 << 24;

/// The highest rate in messages a second: several times what one thread can send.
pub(super) const MAX_RATE: f64 = 1e8;

/// A load on an echo server.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadConfig {
    /// The server's address: TCP, UDP or a Unix-domain socket.
    pub target: Endpoint,
    /// The framing of the server's byte streams. UDP ignores it.
    pub framing: Framing,
    /// Open connections; for UDP, sockets. With [`Activity::Churn`], connections open at the same
    /// time.
    pub connections: usize,
    /// The range of payload bytes of a message. Sizes are distributed evenly over it.
    pub payload_bytes: RangeInclusive<usize>,
    /// The traffic on the connections.
    pub activity: Activity,
    /// Additional connections that send as fast as the server takes it, and never read.
    pub slow_readers: usize,
    /// The time over which the connections are opened evenly; zero opens them as fast as the server
    /// accepts.
    pub ramp: Duration,
    /// The time for which the load is on before the measured time.
    pub warm_up: Duration,
    /// The measured time.
    pub duration: Duration,
    /// The time after which a message without an answer is lost.
    pub reply_timeout: Duration,
    /// The seed of all payloads: equal seeds send equal bytes.
    pub seed: u64,
}

impl LoadConfig {
    /// Returns an error if the load is impossible. Its text begins with the option's name.
    pub(super) fn check(&self) -> Result<(), LoadError> {
        let is_udp = matches!(self.target, Endpoint::Udp(_));
        let (least, most) = (*self.payload_bytes.start(), *self.payload_bytes.end());
        let try_encode = || match self.wire_format() {
            WireFormat::Stream(framing) => {
                let try_bytes = |bytes| encode(framing, &vec![b'x'; bytes], &mut Vec::new());
                try_bytes(least).and_then(|()| try_bytes(most))
            }
            WireFormat::Datagrams => Ok(()),
        };
        let error = if least > most {
            format!("payload: the range {least} to {most} is empty")
        } else if most > MAX_PAYLOAD_BYTES {
            format!("payload: {most} bytes exceed the maximum of {MAX_PAYLOAD_BYTES}")
        } else if is_udp && most > MAX_DATAGRAM_BYTES {
            format!("payload: a datagram holds at most {MAX_DATAGRAM_BYTES} bytes")
        } else if least == 0 && (is_udp || self.framing == Framing::Raw) {
            "payload: an empty message needs a framing; use at least 1 byte".to_owned()
        } else if let Err(error) = try_encode() {
            format!("payload: {error}")
        } else if self.connections == 0 {
            "connections: at least one is needed".to_owned()
        } else if self.connections.saturating_add(self.slow_readers) > MAX_CONNECTIONS {
            format!("connections: at most {MAX_CONNECTIONS} are possible")
        } else if is_udp && self.slow_readers > 0 {
            "slow-readers: UDP has no flow control, so a slow reader has no effect".to_owned()
        } else if self.duration.is_zero() {
            "duration: must be longer than zero".to_owned()
        } else if self.reply_timeout.is_zero() {
            "answer-timeout: must be longer than zero".to_owned()
        } else {
            return self.activity.check();
        };
        Err(LoadError::Config(error))
    }

    pub(super) fn wire_format(&self) -> WireFormat {
        if matches!(self.target, Endpoint::Udp(_)) { WireFormat::Datagrams } else { WireFormat::Stream(self.framing) }
    }
}

/// The traffic on the connections of a load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activity {
    /// Closed loop: each connection keeps a fixed number of messages in flight, and sends the next
    /// one when an answer arrives. A server that stalls receives no new messages meanwhile, so few
    /// messages show the stall. This measures throughput.
    Closed {
        /// Messages in flight on each connection.
        in_flight: usize,
    },
    /// Open loop: a fixed number of messages a second over all connections, evenly spaced, whether
    /// or not answers arrive. Latency counts from the time when a message was due.
    Open {
        /// Messages a second.
        rate: f64,
    },
    /// Connects, exchanges one message and closes, repeatedly. Latency covers all three.
    Churn,
    /// Exchanges one message after connecting, then keeps the connection open without traffic.
    Idle,
}

impl Activity {
    /// Returns an error if the activity is impossible. Its text begins with the option's name.
    pub(super) fn check(self) -> Result<(), LoadError> {
        let error = match self {
            Self::Closed { in_flight: 0 } => "in-flight: at least one is needed".to_owned(),
            Self::Open { rate } if rate > MAX_RATE => {
                format!("rate: {rate} messages a second exceed the maximum of {MAX_RATE}")
            }
            // The comparison is also false for NaN.
            Self::Open { rate } if rate > 0.0 => return Ok(()),
            Self::Open { rate } => format!("rate: {rate} messages a second are impossible"),
            Self::Closed { .. } | Self::Churn | Self::Idle => return Ok(()),
        };
        Err(LoadError::Config(error))
    }
}
