//! Client-side building blocks for the services, from which a program is assembled.
//!
//! This module must not know a terminal or a command line. The protocol logic is sans-IO:
//! `chat::ChatSession`, for example, takes events and the time, and returns actions. Only
//! [`ClientStream`], [`TextSocket`] and `http::fetch` do I/O.

#[cfg(feature = "cli")]
pub mod chat;
#[cfg(feature = "classic")]
pub mod exec;
#[cfg(feature = "classic")]
pub mod files;
#[cfg(feature = "cli")]
pub mod http;
mod stream;
#[cfg(feature = "classic")]
pub mod text;
mod text_socket;

pub use stream::ClientStream;
pub use text_socket::{TextSocket, TextSocketError};
