//! Notices of the session itself to the user, and the ways in which a session ends.

use std::fmt;
use std::time::Duration;

use crate::frame::escape;

/// Information for the user that comes from the session and not from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The connection was lost, or an attempt to connect failed.
    Disconnected {
        /// The cause.
        reason: String,
        /// Time until the next attempt.
        retry_in: Duration,
    },
    /// The session is connected again.
    Reconnected {
        /// Number of missed messages, which follow; `None`: too many to count.
        missed: Option<usize>,
    },
    /// Messages of a room are lost, because the server no longer keeps them.
    Missing {
        /// The room.
        room: String,
        /// Number of messages.
        count: u64,
    },
    /// The server restarted, so the message ids of a room start at 1 again.
    ServerRestarted {
        /// The room.
        room: String,
    },
    /// The requested nick is in use.
    NickTaken {
        /// The requested nick.
        requested: String,
        /// The nick that the user has instead; `None`: the user stays a guest.
        assigned: Option<String>,
    },
    /// The server does not accept the nick.
    NickRejected {
        /// The requested nick.
        requested: String,
    },
    /// Messages without an acknowledgement are sent again. They may appear twice.
    Resending {
        /// Number of messages.
        count: usize,
    },
    /// Private messages may not have arrived. They are not sent again.
    Unconfirmed {
        /// Number of messages.
        count: usize,
    },
    /// The result of a command that the session executes without the server.
    CommandReply(String),
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // At most 0.0 s with one decimal place.
            Self::Disconnected { reason, retry_in } if *retry_in < Duration::from_millis(50) => {
                write!(f, "{}; trying again now", escape::line(reason))
            }
            Self::Disconnected { reason, retry_in } => {
                write!(f, "{}; trying again in {:.1} s", escape::line(reason), retry_in.as_secs_f64())
            }
            Self::Reconnected { missed: Some(0) } => f.write_str("reconnected"),
            Self::Reconnected { missed: Some(1) } => f.write_str("reconnected; 1 missed message follows"),
            Self::Reconnected { missed: Some(count) } => write!(f, "reconnected; {count} missed messages follow"),
            Self::Reconnected { missed: None } => f.write_str("reconnected; many missed messages follow"),
            Self::Missing { room, count: 1 } => {
                write!(f, "1 message of {} is lost: the server no longer keeps it", escape::line(room))
            }
            Self::Missing { room, count } => {
                write!(f, "{count} messages of {} are lost: the server no longer keeps them", escape::line(room))
            }
            Self::ServerRestarted { room } => {
                write!(f, "the server restarted; all messages that it has of {} follow", escape::line(room))
            }
            Self::NickTaken { requested, assigned: Some(nick) } => {
                write!(f, "nick {} is in use; you are {}", escape::line(requested), escape::line(nick))
            }
            Self::NickTaken { requested, assigned: None } => {
                write!(f, "nick {} is in use; you stay a guest: /nick NAME takes another", escape::line(requested))
            }
            Self::NickRejected { requested } => {
                write!(f, "nick {} is refused; you are a guest: /nick NAME takes a nick", escape::line(requested))
            }
            Self::Resending { count: 1 } => {
                f.write_str("sending 1 message again: it may not have arrived, and may appear twice")
            }
            Self::Resending { count } => {
                write!(f, "sending {count} messages again: they may not have arrived, and may appear twice")
            }
            Self::Unconfirmed { count } => write!(f, "{count} of your private messages may not have arrived"),
            Self::CommandReply(text) => escape::line(text).fmt(f),
        }
    }
}

/// The reason why a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The user finished, and the server answered all requests, or it stopped answering.
    Finished {
        /// Number of requests that the server rejected.
        rejected: u64,
        /// Number of messages that may not have arrived.
        unconfirmed: usize,
    },
    /// The connection was lost, and the options forbid another; the cause.
    Disconnected(String),
    /// The server rejected the user: a ban, a kick, or a required nick that is invalid; the cause.
    Rejected(String),
    /// The peer does not answer like a chat server; the cause.
    NotChatServer(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notice_names_the_event_and_the_next_step() {
        for (notice, expected) in [
            (
                Notice::Disconnected { reason: "connection lost".into(), retry_in: Duration::from_millis(1312) },
                "connection lost; trying again in 1.3 s",
            ),
            (
                Notice::Disconnected { reason: "connection lost".into(), retry_in: Duration::from_millis(49) },
                "connection lost; trying again now",
            ),
            (Notice::NickRejected { requested: "e va".into() }, "nick e va is refused; you are a guest"),
            (Notice::Reconnected { missed: Some(4) }, "reconnected; 4 missed messages follow"),
            (Notice::Missing { room: "t\x1b[2J".into(), count: 2 }, "2 messages of t\\u{1b}[2J are lost"),
            (
                Notice::NickTaken { requested: "eva".into(), assigned: Some("eva2".into()) },
                "nick eva is in use; you are eva2",
            ),
        ] {
            assert!(notice.to_string().starts_with(expected), "{notice}");
        }
    }
}
