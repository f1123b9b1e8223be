//! The byte stream under a connection.

use std::io::{self, Read, Write};

/// A byte stream with a writing side that can be shut down separately.
pub(crate) trait Stream: Read + Write {
    /// Returns true if a short read proves the socket empty and a short write proves it full, so
    /// that the next change of readiness produces an event. If false, only `WouldBlock` proves that
    /// the socket is empty or full.
    fn short_io_means_would_block(&self) -> bool;

    /// Shuts down the writing side: the peer reads the end of the stream.
    fn shutdown_write(&self) -> io::Result<()>;

    /// Returns the number of sent bytes that the peer's system has received; `None` if the system
    /// does not tell. Only differences have a meaning. This is a system call.
    fn received_by_peer(&self) -> Option<u64>;

    /// Returns the number of bytes that have arrived and are not read.
    fn unread_bytes(&self) -> usize;

    /// Makes the close abortive: the system drops the output that it has not sent.
    fn abort_on_close(&self);
}
