//! The options of a chat session.

use std::time::Duration;

/// Options of a [`ChatSession`](super::ChatSession), fixed at its start.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// Nick to request; `None`: the user stays a guest.
    pub nick: Option<String>,
    /// Rooms to enter. The last of them is the current room.
    pub rooms: Vec<String>,
    /// True if the session ends with its first connection instead of reconnecting.
    pub single_connection: bool,
    /// True if the session ends when the server rejects the nick as invalid; otherwise the user
    /// becomes a guest. A nick that is in use does not end it: the session then takes the nick that
    /// the server offers.
    pub require_nick: bool,
    /// Maximum time from connecting to the server's answer to the greeting.
    pub greeting_timeout: Duration,
    /// Seed of the random delays between connection attempts.
    pub seed: u64,
}

impl Default for SessionOptions {
    /// A guest in the lobby that reconnects, with a greeting timeout of 10 seconds.
    fn default() -> Self {
        Self {
            nick: None,
            rooms: Vec::new(),
            single_connection: false,
            require_nick: false,
            greeting_timeout: Duration::from_secs(10),
            seed: 0,
        }
    }
}
