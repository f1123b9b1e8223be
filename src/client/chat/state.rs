//! What a session remembers of one connection, and of what it said on it. No behaviour.

use std::time::Duration;

use crate::services::chat::wire::Request;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// There is none, and an attempt is under way.
    Down,
    /// There is none, and the next attempt is due then.
    Waiting(Duration),
    /// The nick has been asked for.
    Greeting,
    /// Rooms were entered again, and what was missed there is being replayed.
    CatchingUp,
    /// What the user says is sent at once.
    Ready,
    /// The session is over.
    Over,
}

/// What the answer to a ping is waited for with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ping {
    /// The server lives.
    Alive,
    /// All that was missed has been replayed.
    CaughtUp,
    /// All that was asked before has been answered.
    Finished,
}

/// Whether the user has more to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Farewell {
    /// It may be.
    Open,
    /// No: the session ends when all is answered.
    Meant,
    /// No; and all that was asked on this connection has been answered.
    Answered,
}

/// What goes before anything that the user asks for.
#[derive(Debug)]
pub(super) enum Urgent {
    Ask(Request<'static>),
    Ping(Ping),
}

/// A message of the user's that is not acknowledged.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) room: String,
    pub(super) text: String,
    /// What the user was called when it was sent.
    pub(super) nick: Option<String>,
    /// Its `ref` on this connection; none: it was sent on one that is gone.
    pub(super) label: Option<u64>,
}
