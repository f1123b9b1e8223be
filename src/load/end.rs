//! The reasons why a connection of the load ends.

use std::io;

/// The reason why a connection ended.
#[derive(Debug)]
pub(super) enum ConnectionEnd {
    /// The connection was never established.
    Refused(io::Error),
    /// The server closed or reset the connection.
    Broken,
    /// The received bytes can no longer be split into answers.
    Garbled,
    /// The connection's only exchange is complete (churn).
    Finished,
}
