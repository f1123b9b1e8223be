//! The output of a chat session.

use std::io;

use switchboard::escape;
use switchboard::services::chat::wire::ChatEvent;

/// A terminal or a pipe.
pub(super) trait ChatDisplay {
    /// Shows a received payload, before it is parsed.
    fn show_payload(&mut self, payload: &[u8]) -> io::Result<()>;

    /// Shows an event, in the order of the room.
    fn show_event(&mut self, event: &ChatEvent<'_>) -> io::Result<()>;

    /// Shows text of a server without JSON: one or more lines.
    fn show_text(&mut self, text: &str) -> io::Result<()>;

    /// Shows a message of the client itself.
    fn show_notice(&mut self, line: &str) -> io::Result<()>;

    /// Writes all buffered output.
    fn flush(&mut self) -> io::Result<()>;
}

/// Returns the lines of a server's text, with control characters escaped. Empty text is one empty
/// line.
pub(super) fn text_lines(text: &str) -> impl Iterator<Item = String> {
    let empty = text.is_empty().then_some("");
    text.lines().chain(empty).map(|line| escape::text(line).into_owned())
}
