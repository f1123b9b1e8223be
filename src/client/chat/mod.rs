//! The chat client's mind: what it remembers of rooms and messages, when it speaks, and how it comes back after a loss.
//!
//! It must not know a socket, a clock, a terminal or a thread; time is an argument. A program gives a [`Session`] what happened and
//! does the [`Action`]s that it asks for.
//!
//! What holds, whatever the network does: of each room every id is shown at most once and in order, and what is missing is said to
//! be; a message that was taken from the user is acknowledged, refused, or said again. **It may then stand twice in the room**: where
//! only the acknowledgement was lost, and the server no longer had the message to show when the client came back, nobody can tell
//! that from a message that was lost itself. [`Notice::Again`] marks that.

mod backoff;
mod command;
mod error_events;
mod events;
mod notice;
mod options;
mod rate_limiter;
mod requests;
mod room;
mod session;
mod state;
#[cfg(test)]
mod tests;

pub use command::{COMMANDS, Command, Typed, parse, pieces};
pub use notice::{Ending, Notice};
pub use options::{Action, Wishes};
pub use session::Session;

pub use crate::services::chat::wire::{LOBBY, MAX_TEXT_BYTES};
