//! What a session is asked for at its beginning, and what it asks for in turn.

use super::notice::{Ending, Notice};
use crate::services::chat::wire::{Event, Labelled};

/// What the user wants from the beginning.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// The nick; none: stay a guest.
    pub nick: Option<String>,
    /// Rooms to enter. The last of them is the current one.
    pub rooms: Vec<String>,
    /// Whether a lost connection is the end.
    pub once: bool,
    /// Whether a nick that cannot be had at all is the end. One that is taken is not: there is another like it.
    pub insists: bool,
    /// Decides how long the waits between attempts to connect are.
    pub seed: u64,
}

/// What the program is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Open a connection.
    Connect,
    /// Close the connection: it is of no more use.
    Disconnect,
    /// Send this.
    Send(Labelled<'static>),
    /// Show what the server said.
    Show(Event<'static>),
    /// Tell the user.
    Tell(Notice),
    /// There is nothing more to do.
    End(Ending),
}
