//! The output of a chat session.

use std::io;

use switchboard::services::chat::wire::ChatEvent;

/// A terminal or a pipe.
pub(super) trait ChatDisplay {
    /// Shows a received payload, before it is parsed.
    fn show_payload(&mut self, payload: &[u8]) -> io::Result<()>;

    /// Shows an event, in the order of the room.
    fn show_event(&mut self, event: &ChatEvent<'_>) -> io::Result<()>;

    /// Shows a message of the client itself.
    fn show_notice(&mut self, line: &str) -> io::Result<()>;

    /// Writes all buffered output.
    fn flush(&mut self) -> io::Result<()>;
}
