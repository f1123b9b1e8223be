//! The events that reach the loop of a chat session, and the permits that it gives to read lines.

use std::sync::mpsc::Sender;

use super::connection::ChatConnection;

/// An event of a chat session, from the user's input, a connection or a signal.
pub(super) enum ClientEvent {
    /// The user wrote this line.
    Line(String),
    /// The user wrote a line that cannot be sent, for this reason.
    InvalidLine(String),
    /// A message from the input thread for the user.
    Notice(String),
    /// The user's input has ended.
    EndOfInput,
    /// An event of the connection with this number.
    Connection(u64, ConnectionEvent),
    /// The process received this signal.
    Signal(i32),
}

/// An event of one connection.
pub(super) enum ConnectionEvent {
    Opened(ChatConnection),
    /// The server sent a frame with this payload.
    Payload(Vec<u8>),
    /// The connection was lost, or could not be opened, for this reason.
    Lost(String),
    /// The server does not use this protocol, so a new connection would not help.
    ProtocolError(String),
}

/// The session loop's side of the input thread, which waits for a permit before it reads each line.
pub(super) struct LinePermits {
    /// Sends a permit to read one line; its value is the prompt.
    pub(super) permit_sender: Sender<String>,
    /// The number of permits that may be given ahead of the lines.
    pub(super) max_ahead: usize,
    /// True if a person types at a prompt.
    pub(super) is_interactive: bool,
}
