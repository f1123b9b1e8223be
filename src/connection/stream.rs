//! The byte stream under a connection.

use std::io::{self, Read, Write};

/// A byte stream whose writing side can be shut down by itself.
pub(crate) trait Stream: Read + Write {
    /// Returns true if a short read proves the socket empty and a short write proves it full, so
    /// that an edge will follow. Where it returns false, only `WouldBlock` proves either.
    fn short_io_means_would_block(&self) -> bool;

    /// Shuts down the writing side: the peer reads the end of the stream.
    fn shutdown_write(&self) -> io::Result<()>;
}
