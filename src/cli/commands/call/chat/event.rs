//! The events that reach the loop of a chat session.

use std::io;

use super::connection::ChatConnection;
use crate::cli::commands::call::text::DecodedText;
use crate::cli::terminal::InputLine;

/// An event of a chat session, from the user's input, a connection or a signal.
pub(super) enum ClientEvent {
    /// The user wrote this line, or has ended the input.
    Input(InputLine),
    /// A message from the input thread for the user.
    Notice(String),
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
    /// The server, which has no JSON, sent this text.
    Text(DecodedText),
    /// The server closed the connection.
    Closed,
    /// No server listens at the address of a UDP socket.
    Unreachable(io::Error),
    /// The connection was lost, or could not be opened, for this reason.
    Lost(String),
    /// The server does not use this protocol, so a new connection would not help.
    ProtocolError(String),
}
