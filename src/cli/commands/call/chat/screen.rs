//! Where a client shows what it has to show.

use std::io;

use switchboard::services::chat::wire::ChatEvent;

/// A pipe or a terminal.
pub(super) trait Screen {
    /// The server sent this, whatever it means.
    fn payload(&mut self, payload: &[u8]) -> io::Result<()>;

    /// An event whose turn it is.
    fn event(&mut self, event: &ChatEvent<'_>) -> io::Result<()>;

    /// A line of the client's own.
    fn tell(&mut self, line: &str) -> io::Result<()>;

    /// All that was shown so far is to be seen.
    fn flush(&mut self) -> io::Result<()>;
}
