//! The states of a session, and its records of requests without an answer. This file has no logic.

use std::time::Duration;

use crate::services::chat::wire::ChatRequest;

/// The connection state of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionState {
    /// No connection; the program is connecting.
    Disconnected,
    /// No connection; the time of the next attempt.
    BackingOff(Duration),
    /// Connected; the request for the nick, or a guest's first ping, has no answer yet.
    Greeting,
    /// The rooms were joined again, and the server replays the messages that the session missed.
    CatchingUp,
    /// Connected; requests of the user are sent as soon as the rate limit allows.
    Ready,
    /// The session has ended.
    Ended,
}

/// The session's knowledge of its peer. An event proves that the peer is a chat server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PeerIdentity {
    /// No connection was established yet.
    NotConnected,
    /// The peer has sent no event on any connection.
    Unknown { first_connected_at: Duration },
    /// The peer has sent an event.
    ChatServer,
}

/// The purpose of a ping. Its pong proves that the server handled all earlier requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PingPurpose {
    /// The greeting of a guest: its pong proves that the peer is a chat server.
    Greeting,
    /// Detects a dead server.
    Keepalive,
    /// Marks the end of the replay.
    CatchUp,
    /// Marks the last answer before the session ends.
    Finish,
}

/// The progress of a close that the user requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CloseState {
    /// The user may send more.
    Open,
    /// The user is done: the session ends after the last answer.
    Requested,
    /// The user is done, and the server has answered all requests of this connection.
    Confirmed,
}

/// A request that is sent before the user's requests.
#[derive(Debug)]
pub(super) enum PriorityRequest {
    /// A request of the session itself.
    ChatRequest(ChatRequest<'static>),
    /// A ping.
    Ping(PingPurpose),
}

/// A message of the user without an acknowledgement.
#[derive(Debug)]
pub(super) struct Unacked {
    pub(super) room: String,
    pub(super) text: String,
    pub(super) is_action: bool,
    /// Nick of the user when the message was sent.
    pub(super) nick: Option<String>,
    /// Label (`ref`) on this connection; `None`: sent on an earlier connection, so it must be sent
    /// again.
    pub(super) label: Option<u64>,
}
