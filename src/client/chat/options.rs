//! The options of a chat session.

/// Options of a [`ChatSession`](super::ChatSession), fixed at its start.
#[derive(Clone, Debug, Default)]
pub struct SessionOptions {
    /// Nick to request; `None`: the user stays a guest.
    pub nick: Option<String>,
    /// Rooms to enter. The last of them is the current room.
    pub rooms: Vec<String>,
    /// True if the session ends with its first connection instead of reconnecting.
    pub single_connection: bool,
    /// True if the session ends when the server rejects the nick as invalid. A nick that is in use
    /// does not end it: the session then takes the nick that the server offers.
    pub require_nick: bool,
    /// Seed of the random delays between connection attempts.
    pub seed: u64,
}
