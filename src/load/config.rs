//! The traffic of a load, and the part of its configuration that the driver needs.

use std::time::Duration;

use super::error::LoadError;
use crate::engine::limits::Limits;
use crate::net::Endpoint;

/// The most connections, slow readers included: as many as a server may have.
const MAX_CONNECTIONS: usize = Limits::MAX_CONNECTIONS;

/// The most messages in flight of a closed loop on all connections together: 512 MiB of their times
/// at most.
const MAX_IN_FLIGHT: usize = 1 << 24;

/// The highest rate in messages a second: several times what one thread can send.
pub(super) const MAX_RATE: f64 = 1e8;

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
    /// Returns an error if a closed loop has more than `most` messages in flight in each place.
    /// `place` names a place and all of them, as in `on each connection (connections: 50)`.
    pub(super) fn check_in_flight(self, most: usize, place: &str) -> Result<(), LoadError> {
        match self {
            Self::Closed { in_flight } if in_flight > most => {
                Err(LoadError::Config(format!("in-flight: at most {most} are possible {place}")))
            }
            _ => Ok(()),
        }
    }

    fn check(self) -> Result<(), LoadError> {
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

/// The part of a load's configuration that the driver needs.
#[derive(Clone, Debug)]
pub(super) struct DriverConfig {
    pub(super) target: Endpoint,
    pub(super) activity: Activity,
    /// Planned connections, without the slow readers.
    pub(super) connections: usize,
    pub(super) slow_readers: usize,
    pub(super) ramp: Duration,
    pub(super) warm_up: Duration,
    pub(super) duration: Duration,
    pub(super) reply_timeout: Duration,
}

impl DriverConfig {
    /// Returns an error if the load is impossible. Its text begins with the option's name;
    /// `connections` is that of the number of connections.
    pub(super) fn check(&self, connections: &str) -> Result<(), LoadError> {
        let error = if self.connections == 0 {
            format!("{connections}: at least one is needed")
        } else if self.connections > MAX_CONNECTIONS {
            format!("{connections}: at most {MAX_CONNECTIONS} are possible")
        } else if self.slow_readers > MAX_CONNECTIONS - self.connections {
            format!("slow-readers: at most {MAX_CONNECTIONS} are possible, {connections} included")
        } else if self.duration.is_zero() {
            "duration: must be longer than zero".to_owned()
        } else if self.reply_timeout.is_zero() {
            "answer-timeout: must be longer than zero".to_owned()
        } else {
            return self.activity.check();
        };
        Err(LoadError::Config(error))
    }

    /// Returns the most messages that may be in flight on each connection.
    pub(super) fn max_in_flight(&self) -> usize {
        MAX_IN_FLIGHT / self.connections.max(1)
    }
}
