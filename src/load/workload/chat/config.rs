//! The configuration of a chat load.

use std::time::Duration;

use super::delivery_checker;
use super::message_stamp::STAMP_BYTES;
use crate::load::config::{Activity, DriverConfig};
use crate::load::error::LoadError;
use crate::net::Endpoint;
use crate::services::chat::wire::{LOBBY, MAX_TEXT_BYTES};

/// A load of chat members, some of which publish.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatLoadConfig {
    /// The server's address: TCP or a Unix-domain socket, with length-prefixed JSON (`u32be`).
    pub target: Endpoint,
    /// Members; each has a connection of its own.
    pub members: usize,
    /// Members that publish, distributed over the rooms. A publisher receives its own messages,
    /// too.
    pub publishers: usize,
    /// Rooms, over which the members are distributed. A single room is `lobby`; several rooms are
    /// `bench-0`, `bench-1` and so on.
    pub rooms: usize,
    /// Bytes of each text.
    pub payload_bytes: usize,
    /// The traffic of the publishers; [`Activity::Churn`] is impossible. Closed loop: the number of
    /// messages in flight is that of each room, and the next message is sent when the oldest has
    /// been delivered to all members. Open loop: the rate is that of all rooms together.
    pub activity: Activity,
    /// The time for which the load is on before the measured time.
    pub warm_up: Duration,
    /// The measured time.
    pub duration: Duration,
    /// The time after which a member that has not joined its room is refused. When no new message
    /// has arrived for this long, every outstanding one is missing, and a closed loop continues.
    pub reply_timeout: Duration,
}

impl ChatLoadConfig {
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
            connections: self.members,
            slow_readers: 0,
            ramp: Duration::ZERO,
            warm_up: self.warm_up,
            duration: self.duration,
            reply_timeout: self.reply_timeout,
        };
        config.check("members")?;
        let error = if matches!(self.target, Endpoint::Udp(_)) {
            "target: members need a connection; use TCP or a Unix-domain socket instead of UDP".to_owned()
        } else if self.rooms == 0 || self.rooms > self.members {
            format!("rooms: {} members need between 1 and {} rooms", self.members, self.members)
        } else if self.activity != Activity::Idle && self.publishers < self.rooms {
            format!("publishers: each of the {} rooms needs one", self.rooms)
        } else if self.publishers > self.members {
            format!("publishers: {} exceed the {} members", self.publishers, self.members)
        } else if !(STAMP_BYTES..=MAX_TEXT_BYTES).contains(&self.payload_bytes) {
            format!("payload: a text has between {STAMP_BYTES} (its stamp) and {MAX_TEXT_BYTES} bytes")
        } else if self.activity == Activity::Churn {
            "churn: members keep their connections".to_owned()
        } else {
            // A delivery to a member that lags behind by more than a log's length is not compared.
            let (most, rooms) = (delivery_checker::max_entries(self.rooms), self.rooms);
            return self.activity.check_in_flight(most, &format!("in each room (rooms: {rooms})")).map(|()| config);
        };
        Err(LoadError::Config(error))
    }

    /// Returns the names of the rooms.
    pub(super) fn room_names(&self) -> Vec<String> {
        if self.rooms == 1 {
            vec![LOBBY.to_owned()]
        } else {
            (0..self.rooms).map(|room| format!("bench-{room}")).collect()
        }
    }
}
