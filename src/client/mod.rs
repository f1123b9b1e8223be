//! Client-side building blocks for the services, from which a program is assembled.
//!
//! This module must not know a terminal or a command line. The protocol logic is sans-IO:
//! `chat::ChatSession`, for example, takes events and the time, and returns actions. Only
//! [`Conversation`], [`TextSocket`] and `http::fetch` do I/O.

#[cfg(feature = "cli")]
pub mod chat;
mod conversation;
#[cfg(feature = "classic")]
pub mod exec;
#[cfg(feature = "classic")]
pub mod files;
#[cfg(feature = "cli")]
pub mod http;
#[cfg(feature = "classic")]
pub mod text;
mod text_socket;
mod wait;

pub use conversation::{Conversation, ConversationError};
pub use text_socket::{TextSocket, TextSocketError};
pub use wait::{CancelToken, WaitFor, WaitLimits, WaitResult};
