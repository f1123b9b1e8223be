//! The address and the framing of a chat server.

use std::io;
use std::time::Duration;

use switchboard::{Framing, SocketStream};

use crate::cli::commands::call::server_address::ServerAddress;
use crate::cli::error::CliError;

/// The time limit for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A server's address and its framing.
#[derive(Clone, Debug)]
pub(super) struct ChatEndpoint {
    pub(super) server: ServerAddress,
    pub(super) framing: Framing,
}

impl ChatEndpoint {
    /// Connects. The error advises what to do.
    pub(super) fn connect(&self) -> Result<SocketStream, CliError> {
        self.server.connect(CONNECT_TIMEOUT)
    }

    /// Connects like [`connect`](Self::connect), but returns the system's error.
    pub(super) fn try_connect(&self) -> io::Result<SocketStream> {
        self.server.try_connect(CONNECT_TIMEOUT)
    }
}
