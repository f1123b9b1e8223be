//! What the client itself has to say to its user, in words.

use std::fmt;
use std::time::Duration;

use crate::frame::escape;

/// Something that the user should know and the server did not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// There is no connection any more, or an attempt to have one failed.
    Lost {
        /// Why.
        reason: String,
        /// How long until the next attempt.
        again_in: Duration,
    },
    /// The connection is there again.
    Back {
        /// Messages that were said meanwhile and follow now; none: more than were counted.
        missed: Option<usize>,
    },
    /// Messages that nobody will show.
    Missing {
        /// Where they were said.
        room: String,
        /// How many.
        count: u64,
    },
    /// The server was started again: a room's ids begin with 1 once more.
    Anew {
        /// The room.
        room: String,
    },
    /// The nick was taken.
    Renamed {
        /// What was wished for.
        wished: String,
        /// What the user is called instead.
        nick: Option<String>,
    },
    /// These are said again, because it is not known whether they had arrived: they may stand twice.
    Again {
        /// How many.
        count: usize,
    },
    /// Messages to one person may not have arrived; they are not said again.
    Unsure {
        /// How many.
        count: usize,
    },
    /// An answer to a command that needs no server, or a word about one that was not understood.
    Answer(String),
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { reason, again_in } => {
                write!(f, "{}; trying again in {:.1} s", escape::line(reason), again_in.as_secs_f64())
            }
            Self::Back { missed: Some(0) } => f.write_str("back"),
            Self::Back { missed: Some(1) } => f.write_str("back; 1 message was missed and follows"),
            Self::Back { missed: Some(count) } => write!(f, "back; {count} messages were missed and follow"),
            Self::Back { missed: None } => f.write_str("back; many messages were missed and follow"),
            Self::Missing { room, count: 1 } => {
                write!(f, "1 message of {} is missing: the server has it no longer", escape::line(room))
            }
            Self::Missing { room, count } => {
                write!(f, "{count} messages of {} are missing: the server has them no longer", escape::line(room))
            }
            Self::Anew { room } => {
                write!(f, "the server was started again; all that it has of {} follows", escape::line(room))
            }
            Self::Renamed { wished, nick: Some(nick) } => {
                write!(f, "{} is taken, so you are {}", escape::line(wished), escape::line(nick))
            }
            Self::Renamed { wished, nick: None } => {
                write!(f, "{} is taken, so you stay a guest; /nick NAME takes another", escape::line(wished))
            }
            Self::Again { count: 1 } => {
                f.write_str("1 message is said again, because it may not have arrived; it may stand twice")
            }
            Self::Again { count } => {
                write!(f, "{count} messages are said again, because they may not have arrived; they may stand twice")
            }
            Self::Unsure { count } => write!(f, "{count} of your messages to one person may not have arrived"),
            Self::Answer(text) => escape::line(text).fmt(f),
        }
    }
}

/// How a session ended by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All that was asked has been answered.
    Finished {
        /// Requests that the server refused.
        refused: u64,
        /// Messages of which it is not known whether they were said.
        lost: usize,
    },
    /// The connection is gone and is not to be had again.
    Lost(String),
    /// The server wants this user no more, and says why.
    TurnedAway(String),
    /// What answered the connection, or did not, is no chat server.
    NoChat(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_say_what_happened_and_what_comes_next() {
        for (notice, says) in [
            (
                Notice::Lost { reason: "connection lost".into(), again_in: Duration::from_millis(1312) },
                "connection lost; trying again in 1.3 s",
            ),
            (Notice::Back { missed: Some(4) }, "back; 4 messages were missed and follow"),
            (Notice::Missing { room: "t\x1b[2J".into(), count: 2 }, "2 messages of t\\u{1b}[2J are missing"),
            (Notice::Renamed { wished: "eva".into(), nick: Some("eva2".into()) }, "eva is taken, so you are eva2"),
        ] {
            assert!(notice.to_string().starts_with(says), "{notice}");
        }
    }
}
