//! The configuration of an echo load.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::message_encoder::WireFormat;
use crate::frame::{Framing, encode};
use crate::load::config::{Activity, DriverConfig};
use crate::load::error::LoadError;
use crate::net::Endpoint;
use crate::net::udp_batch::max_datagram_bytes;

/// The longest payload. The table that all payloads come from has about this size.
const MAX_PAYLOAD_BYTES: usize = 1 << 30;

/// The most bytes of the longest payloads, one for each connection: a connection keeps the part of
/// a message that its socket does not take.
const MAX_UNSENT_BYTES: u64 = 16 << 30;

/// Bytes from which a payload that the framing can carry is not encoded to check it: only a shorter
/// one can be too short.
const LONG_PAYLOAD_BYTES: usize = 64 * 1024;

/// Bytes at which a batch of messages is full.
const BATCH_BYTES: usize = 256 * 1024;

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
    /// Checks the load without a server.
    ///
    /// # Errors
    /// [`LoadError::Config`] if the load is impossible. Its text begins with the option's name.
    pub fn validate(&self) -> Result<(), LoadError> {
        self.check().map(drop)
    }

    /// Returns the driver's part of the configuration, or an error if the load is impossible. Its
    /// text begins with the option's name.
    pub(super) fn check(&self) -> Result<DriverConfig, LoadError> {
        let config = DriverConfig {
            target: self.target.clone(),
            activity: self.activity,
            connections: self.connections,
            slow_readers: self.slow_readers,
            ramp: self.ramp,
            warm_up: self.warm_up,
            duration: self.duration,
            reply_timeout: self.reply_timeout,
        };
        config.check("connections")?;
        let connections = self.connections;
        self.activity
            .check_in_flight(config.max_in_flight(), &format!("on each connection (connections: {connections})"))?;
        let max_datagram_bytes = match self.target {
            Endpoint::Udp(addr) => Some(max_datagram_bytes(addr)),
            Endpoint::Tcp(_) | Endpoint::Unix(_) => None,
        };
        let is_udp = max_datagram_bytes.is_some();
        let (least, most) = (*self.payload_bytes.start(), *self.payload_bytes.end());
        let try_encode = || match self.wire_format() {
            WireFormat::Stream(framing) => {
                let fits = |bytes| framing == Framing::Lines || framing.can_carry(bytes);
                let try_bytes = |bytes| match bytes {
                    LONG_PAYLOAD_BYTES.. if fits(bytes) => Ok(()),
                    _ => encode(framing, &vec![b'x'; bytes], &mut Vec::new()),
                };
                try_bytes(least).and_then(|()| try_bytes(most))
            }
            WireFormat::Datagrams => Ok(()),
        };
        let error = if least > most {
            format!("payload: the range {least} to {most} is empty")
        } else if most > MAX_PAYLOAD_BYTES {
            format!("payload: {most} bytes exceed the maximum of {MAX_PAYLOAD_BYTES}")
        } else if (most as u64).saturating_mul(self.connections.saturating_add(self.slow_readers) as u64)
            > MAX_UNSENT_BYTES
        {
            format!(
                "payload: {most} bytes on each of {connections} connections exceed the maximum of {MAX_UNSENT_BYTES} in all"
            )
        } else if let Some(max_bytes) = max_datagram_bytes.filter(|max_bytes| most > *max_bytes) {
            format!("payload: a datagram holds at most {max_bytes} bytes")
        } else if least == 0 && (is_udp || self.framing == Framing::Raw) {
            "payload: an empty message needs a framing; use at least 1 byte".to_owned()
        } else if let Err(error) = try_encode() {
            format!("payload: {error}")
        } else if is_udp && self.slow_readers > 0 {
            "slow-readers: UDP has no flow control, so a slow reader has no effect".to_owned()
        } else {
            return Ok(config);
        };
        Err(LoadError::Config(error))
    }

    /// Returns the bytes at which a batch is full: one message for datagrams.
    pub(super) fn batch_bytes(&self) -> usize {
        if self.wire_format() == WireFormat::Datagrams { 1 } else { BATCH_BYTES }
    }

    pub(super) fn wire_format(&self) -> WireFormat {
        if matches!(self.target, Endpoint::Udp(_)) { WireFormat::Datagrams } else { WireFormat::Stream(self.framing) }
    }
}
