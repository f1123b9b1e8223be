//! What load to put on a chat server.

use std::time::Duration;

use super::message_stamp::STAMP_BYTES;
use crate::load::config::Activity;
use crate::load::config::{MAX_CONNECTIONS, check_rate};
use crate::load::error::LoadError;
use crate::net::Endpoint;
use crate::services::chat::wire::{LOBBY, MAX_TEXT_BYTES};

/// A load of members, some of whom speak.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatLoadConfig {
    /// The server: TCP or a Unix-domain socket, length-prefixed JSON (`u32be`).
    pub target: Endpoint,
    /// Members, a connection each.
    pub members: usize,
    /// How many of them speak, dealt over the rooms. Each hears itself like everybody else.
    pub publishers: usize,
    /// Rooms, over which the members are dealt. One is `lobby`; several are `bench-0` and so on.
    pub rooms: usize,
    /// Bytes of each text.
    pub payload_bytes: usize,
    /// What the publishers do.
    pub activity: ChatActivity,
    /// How long the load is on before it counts.
    pub warm_up: Duration,
    /// How long it counts.
    pub duration: Duration,
    /// A member that is not in its room after this long is refused. What has not come when nothing has come for this long is
    /// missing, and a closed loop goes on without it.
    pub answer_timeout: Duration,
}

/// What the publishers of a load do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ChatActivity {
    /// Closed loop: so many messages are under way in each room; the next is said when the oldest has come to all members.
    Closed {
        /// Messages under way in each room.
        in_flight: usize,
    },
    /// Open loop: so many messages a second over all rooms, evenly spaced, however long they take. Latency counts from when a
    /// message was due.
    Open {
        /// Messages a second.
        rate: f64,
    },
    /// Nobody speaks: members are only held.
    Idle,
}

impl From<ChatActivity> for Activity {
    fn from(activity: ChatActivity) -> Self {
        match activity {
            ChatActivity::Closed { in_flight } => Self::Closed { in_flight },
            ChatActivity::Open { rate } => Self::Open { rate },
            ChatActivity::Idle => Self::Idle,
        }
    }
}

impl ChatLoadConfig {
    /// Refuses what cannot be done, naming it as a flag would be named.
    pub(super) fn check(&self) -> Result<(), LoadError> {
        let wrong = if matches!(self.target, Endpoint::Udp(_)) {
            "target: members are connections, so over UDP there are none".to_owned()
        } else if self.members == 0 {
            "members: at least one is needed".to_owned()
        } else if self.members > MAX_CONNECTIONS {
            format!("members: more than {MAX_CONNECTIONS}")
        } else if self.rooms == 0 || self.rooms > self.members {
            format!("rooms: {} members fill one room at least and {} at most", self.members, self.members)
        } else if self.activity != ChatActivity::Idle && self.publishers < self.rooms {
            format!("publishers: each of the {} rooms needs one", self.rooms)
        } else if self.publishers > self.members {
            format!("publishers: they are members, and there are {} of these", self.members)
        } else if !(STAMP_BYTES..=MAX_TEXT_BYTES).contains(&self.payload_bytes) {
            format!(
                "payload: a text holds its stamp of {STAMP_BYTES} bytes at least, and {MAX_TEXT_BYTES} bytes at most"
            )
        } else if self.duration.is_zero() {
            "duration: nothing can be measured in no time".to_owned()
        } else if self.answer_timeout.is_zero() {
            "answer-timeout: nothing comes in no time".to_owned()
        } else {
            return match self.activity {
                ChatActivity::Closed { in_flight: 0 } => {
                    Err(LoadError::Config("in-flight: at least one is needed".to_owned()))
                }
                ChatActivity::Open { rate } => check_rate(rate),
                _ => Ok(()),
            };
        };
        Err(LoadError::Config(wrong))
    }

    /// What its rooms are called.
    pub(super) fn room_names(&self) -> Vec<String> {
        if self.rooms == 1 {
            vec![LOBBY.to_owned()]
        } else {
            (0..self.rooms).map(|room| format!("bench-{room}")).collect()
        }
    }
}
