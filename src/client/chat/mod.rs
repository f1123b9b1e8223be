//! The state machine of a chat client: its rooms and messages, when it sends, and how it
//! reconnects.
//!
//! This module must not know a socket, a clock, a terminal or a thread; time is an argument. A
//! program passes events to a [`ChatSession`] and executes the [`SessionAction`]s that it returns.
//!
//! Invariants, whatever the network does:
//! - The session shows each message id of a room at most once and in order, and reports every gap.
//! - A message accepted from the user is acknowledged, rejected, or sent again.
//!
//! **A resent message may appear twice in the room**: if only the acknowledgement was lost and the
//! server no longer keeps the message at the reconnect, the client cannot distinguish that case
//! from a lost message. [`Notice::Resending`] announces it.

mod action;
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
mod timeouts;

pub use action::SessionAction;
pub use command::{COMMANDS, ChatCommand, UserInput, parse_line, split_text};
pub use notice::{Ending, Notice};
pub use options::SessionOptions;
pub use session::ChatSession;

pub use crate::services::chat::wire::{LOBBY, MAX_TEXT_BYTES};
